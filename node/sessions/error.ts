// Why a message or an attempt came to nothing.

export type SessionErrorCode =
  | 'malformed_message'
  | 'bad_signature'
  | 'unwanted' // what this party has not asked for, and would not keep
  | 'flooded' // too many messages of one party wait
  | 'wrong_sender' // a message that only somebody else may send
  | 'stranger' // somebody who is not in the roster
  | 'wrong_keyring' // another keyring or epoch
  | 'wrong_attempt' // an ACCEPT of another attempt in a START
  | 'duplicate_member'
  | 'set_size'
  | 'commitment_mismatch' // the leader's ACCEPT is not what its PROPOSE committed to
  | 'item_count'
  | 'excluded_pair' // a START with two members of whom one had said that it does not presign with the other
  | 'leader_equivocated' // two PROPOSEs or two STARTs for one attempt id: the leader is guilty
  | 'not_authorised' // the evidence no longer authorises the request
  | 'digests' // the leader proposes another payload than this party's own request has
  | 'round_timeout'
  | 'proposal_timeout' // too few parties accepted in time
  | 'peer_restarted';

/** `culprit`: the credential of the party that provably caused it. */
export class SessionError extends Error {
  override readonly name = 'SessionError';
  readonly code: SessionErrorCode;
  readonly culprit?: string;
  constructor(code: SessionErrorCode, message: string, culprit?: string) {
    super(message);
    this.code = code;
    if (culprit !== undefined) this.culprit = culprit;
  }
}
