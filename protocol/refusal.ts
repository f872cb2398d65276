// Why evidence authorises nothing.

export type RefusalReason =
  | 'bad_evidence' // a record is malformed, or not signed by whom it must be: nothing is known about the request itself
  | 'stale_log_head' // the request, or what the verifier trusts, is about another state of the workspace
  | 'not_served' // workspace and keyring do not serve each other
  | 'wrong_key' // a key is not one of the workspace's, or not of this keyring
  | 'wrong_parent' // a key cannot be derived from this one: of another workspace, keyring or type, or no key at all
  | 'parent_is_derived' // keys are derived from generated ones only, by one path
  | 'bad_payload' // an item cannot be what it says
  | 'key_disabled' // by its workspace's owners
  | 'frozen' // the workspace or its parent, by its owners
  | 'policy_denied'
  | 'approvers' // rejected by approvers
  | 'cancelled' // rejected by its initiator
  | 'expired'
  | 'too_early'; // made ahead of the verifier's clock

/** `final`: whether no later evidence, clock or decision can change it. */
export class Refused extends Error {
  readonly reason: RefusalReason;
  readonly final: boolean;
  constructor(reason: RefusalReason, detail: string, final: boolean) {
    super(detail);
    this.reason = reason;
    this.final = final;
  }
}
