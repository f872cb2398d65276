// How a protocol run ends without a result: one named code per check.
// `culprit` is set only when the messages that party signed prove the fault to anybody; without proof nobody is named.
import type { PartyIndex } from './machine.ts';

export type AbortCode =
  // The machine itself.
  | 'finished'
  | 'already_started'
  | 'not_started'
  | 'internal'
  // Parameters of a run.
  | 'invalid_session'
  | 'invalid_epoch'
  | 'invalid_index'
  | 'duplicate_index'
  | 'unsorted_indices'
  | 'invalid_threshold'
  // Every message.
  | 'malformed_message'
  | 'unknown_message'
  | 'not_a_member'
  | 'duplicate_message'
  | 'wrong_receiver'
  | 'equivocation'
  // Encodings.
  | 'malformed_scalar'
  | 'malformed_point'
  // Key generation.
  | 'commitment_count'
  | 'opening_mismatch'
  | 'invalid_proof'
  | 'invalid_dealt_share'
  | 'echo_mismatch'
  | 'identity_public_key'
  | 'degenerate_key'
  // Pair setup, and products of secrets.
  | 'malformed_setup'
  | 'setup_mismatch'
  | 'transfer_check'
  | 'product_check'
  // Loading a key.
  | 'public_key_mismatch'
  | 'signing_share_mismatch'
  // Signing.
  | 'set_size'
  | 'duplicate_member'
  | 'self_not_in_set'
  | 'stranger_in_set'
  | 'key_mismatch'
  | 'item_count'
  | 'stranger_commitment'
  | 'missing_commitment'
  | 'own_commitment_mismatch'
  | 'nonces_unavailable'
  | 'malformed_share'
  | 'invalid_share'
  | 'own_share_invalid'
  | 'invalid_signature'
  // ECDSA.
  | 'missing_setup'
  | 'inconsistent_inputs'
  | 'identity_nonce'
  | 'presignature_id'
  | 'presignature_unavailable'
  | 'malformed_digest'
  | 'degenerate_signature';

export interface AbortDetails {
  /** The party that provably caused it. */
  readonly culprit?: PartyIndex | undefined;
  /** True when the pair of parties must never run this protocol together again. */
  readonly ban?: boolean | undefined;
  readonly cause?: unknown;
}

/** A run that ended without result. Messages hold indices, lengths and public values only. */
export class Abort extends Error {
  override readonly name = 'Abort';
  readonly code: AbortCode;
  readonly culprit?: PartyIndex;
  readonly ban?: boolean;

  constructor(code: AbortCode, message: string, details: AbortDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    if (details.culprit !== undefined) this.culprit = details.culprit;
    if (details.ban !== undefined) this.ban = details.ban;
  }
}
