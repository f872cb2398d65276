// Why a blame bundle proves nothing, or not what it says.

export type BlameErrorCode =
  | 'malformed' // not a bundle, or not in its one spelling
  | 'bad_roster' // the roster is not one that its admin and all its parties signed
  | 'wrong_keyring' // a good roster, but not of the keyring that the reader trusts
  | 'not_a_party' // the accused is not in the roster
  | 'bad_frame' // a message is malformed, or not signed by whom it must be
  | 'wrong_session' // the messages are of different attempts or sessions
  | 'bad_context' // the key or the message that was signed do not belong to the attempt
  | 'not_proven' // everything is genuine, and no fault of the accused follows from it
  | 'another_fault'; // a fault, but another one, or somebody else's, than the bundle claims

export class BlameError extends Error {
  override readonly name = 'BlameError';
  readonly code: BlameErrorCode;
  constructor(code: BlameErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
