// Whether one party's result is what an authorised request asks for, to the last signature: the same question for the
// coordinator that counts it and for whoever reads a receipt.
import type { Authorisation } from './authorize.ts';
import { fromHex, type Hex } from './hex.ts';
import { checkKeyResult, sameKeyResult } from './keys/certificate.ts';
import { verifySignature } from './keys/key-type.ts';
import { type Envelope, type VerifiedRecord, verifyRecord } from './records/envelope.ts';
import { sameEpoch } from './records/fields.ts';
import { type PartyResult, partyResult } from './records/party-result.ts';

export type PartyResultErrorCode =
  | 'outsider' // no party of the keyring
  | 'wrong_subject' // about another request, keyring or epoch
  | 'wrong_kind' // a key where signatures were asked for, or the reverse, or of another type
  | 'bad_key' // a key that cannot be one of this keyring
  | 'not_derived' // another key than the one that the request's parent and path give
  | 'item_count'
  | 'bad_signature';

export class PartyResultError extends Error {
  override readonly name = 'PartyResultError';
  readonly code: PartyResultErrorCode;
  constructor(code: PartyResultErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Form, membership, subject and the party's own signature. Throws RecordError, PartyResultError. */
export function verifyPartyResult(
  envelope: Envelope,
  { keyring, requestId }: Pick<Authorisation, 'keyring' | 'requestId'>,
  networkId: string,
): VerifiedRecord<PartyResult> {
  const record = verifyRecord(partyResult, envelope, networkId);
  const { subject, keyringId, epoch, party } = record.content;
  if (!keyring.roster.parties.some((member) => member.key === party))
    throw new PartyResultError('outsider', `${party} is no party of keyring ${keyring.id}`);
  if (subject !== requestId || keyringId !== keyring.id || !sameEpoch(epoch, keyring.epoch))
    throw new PartyResultError('wrong_subject', 'the result is about another request, keyring or epoch');
  return record;
}

/** Whether what the party says is what the request asks for; a refusal always is. Throws PartyResultError. */
export function checkPartyResult(
  { result }: PartyResult,
  { request, items, keyring, derived }: Pick<Authorisation, 'request' | 'items' | 'keyring' | 'derived'>,
): void {
  if (result.kind === 'refusal') return;
  const wanted = request.kind === 'key' ? 'key' : 'signatures';
  if (result.kind !== wanted)
    throw new PartyResultError(
      'wrong_kind',
      `the result is of kind ${result.kind}, a ${wanted} result is asked for`,
    );
  if (result.kind === 'signatures') return checkSignatures(result.signatures, items);
  try {
    checkKeyResult(result, keyring);
  } catch (cause) {
    throw new PartyResultError('bad_key', (cause as Error).message, { cause });
  }
  if (request.kind === 'key' && result.keyType !== request.keyType)
    throw new PartyResultError(
      'wrong_kind',
      `a ${result.keyType} key, a ${request.keyType} key is asked for`,
    );
  if (derived !== undefined && !sameKeyResult(result, derived.result))
    throw new PartyResultError(
      'not_derived',
      `not the key that ${derived.path} of key ${derived.parent.key.id} gives`,
    );
}

/** One valid signature for each item. Throws PartyResultError. */
export function checkSignatures(signatures: readonly Hex[], items: Authorisation['items']): void {
  if (signatures.length !== items.length)
    throw new PartyResultError('item_count', `${signatures.length} signatures for ${items.length} items`);
  for (const [index, { key, payload }] of items.entries()) {
    const signature = fromHex(signatures[index]!);
    if (!verifySignature(key.keyType, payload.publicKey, payload.message, signature))
      throw new PartyResultError(
        'bad_signature',
        `the signature of item ${index} is not valid under its key`,
      );
  }
}
