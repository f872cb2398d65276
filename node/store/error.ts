// The error of everything in this folder.

export type NodeStoreErrorCode =
  | 'already_confirmed' // this party has signed its one confirmation for the key request
  | 'closed' // used after close()
  | 'conflicting_result' // another result of the request is stored already, and stays
  | 'corrupt' // what is on disk is not what was written
  | 'epoch_erased' // the epoch's shares were destroyed on purpose
  | 'fork' // another log entry of the same seq is remembered
  | 'head_behind' // a newer log head is remembered
  | 'invalid' // an argument that does not fit the others
  | 'journal_missing' // the folder's db is gone, and keys were made before
  | 'locked' // the folder is in use
  | 'storage_key_missing' // the folder's storage.key is gone
  | 'unavailable' // the folder cannot be used
  | 'unknown_request' // no job, or no pending share, of that request
  | 'unknown_schema' // written by another version or program
  | 'write_failed' // the outcome of the write is unknown: restart
  | 'wrong_network' // the folder belongs to a node of another network
  | 'wrong_state'; // the job is past that

export class NodeStoreError extends Error {
  override readonly name = 'NodeStoreError';
  readonly code: NodeStoreErrorCode;
  constructor(code: NodeStoreErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.code = code;
  }
}
