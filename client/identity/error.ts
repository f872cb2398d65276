// The error of everything in this folder: passphrases, sealed files, identities.

export type IdentityErrorCode =
  | 'bad_name' // an identity's name is not allowed
  | 'bad_passphrase' // empty, or not text
  | 'cancelled' // the terminal prompt was left
  | 'damaged' // right passphrase, but what it sealed was changed
  | 'exists' // the file is already there
  | 'kdf_out_of_bounds' // the file asks for more work or memory than any file of ours
  | 'malformed' // not a sealed file
  | 'missing' // no such file
  | 'no_passphrase' // none of the sources has one
  | 'readable_by_others' // the file's mode lets others in
  | 'unreadable' // the file cannot be read
  | 'unwritable' // the file cannot be written
  | 'wrong_kind' // sealed for another purpose
  | 'wrong_passphrase';

export class IdentityError extends Error {
  override readonly name = 'IdentityError';
  readonly code: IdentityErrorCode;
  constructor(code: IdentityErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.code = code;
  }
}
