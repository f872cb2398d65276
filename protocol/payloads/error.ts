// Why a payload cannot be signed, read or assembled.

export type PayloadErrorCode =
  | 'invalid_payload' // does not fit the schema of payloads
  | 'too_large' // the signed transaction or message would exceed what its chain takes
  | 'malformed_transaction' // not a transaction message, or one that the chain would refuse unseen
  | 'not_canonical' // decodes, but has another encoding: trailing bytes or a longer spelling of a length
  | 'unsupported_version' // a transaction message of a version that is not decoded here
  | 'unsupported_chain' // a chain that is not named, or by a number that is not read exactly
  | 'wrong_key' // the key's type or length does not fit the payload
  | 'not_a_signer' // the key is not among the signers the transaction asks for, or not of this input
  | 'unsupported_sighash' // a signature that would leave parts of the transaction open
  | 'unproven_amount' // an input whose amount only somebody's word tells: the fee could be anything
  | 'invalid_typed_data' // typed data that is not exactly of its types
  | 'empty_message' // nothing to sign
  | 'not_text' // a message that is not UTF-8
  | 'bad_signature' // not this key's signature of this payload
  | 'already_signed' // a transaction that carries signatures, which would be lost
  | 'unreadable' // a payload file in none of the known forms
  | 'invalid_argument'; // an address, blockhash or amount a transaction cannot be built from

export class PayloadError extends Error {
  override readonly name = 'PayloadError';
  readonly code: PayloadErrorCode;
  constructor(code: PayloadErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
