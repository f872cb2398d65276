// What schemas do not say, in words, for the OpenRPC document: errors, access, what each method does besides its summary,
// which errors it has of its own, and what fields mean.
import type { Access, MethodName, RpcErrorName } from '../rpc.ts';

export const errorWords: Readonly<Record<RpcErrorName, string>> = {
  parse_error: 'The body is not JSON in UTF-8.',
  invalid_request: 'What was sent is no JSON-RPC 2.0 call, or no HTTP request of this interface.',
  method_not_found: 'There is no method of this name.',
  invalid_params: 'Parameters, or the content of a record in them, are not as the method describes them.',
  internal_error: 'The coordinator failed; `remedy` has a reference by which its operator finds the cause.',
  unauthenticated:
    'The HTTP request is not signed, not correctly, not in time, or not for the first time; `serverTime` tells the clock.',
  forbidden: 'Whoever signed has no right to this.',
  not_found: 'What is named is not here.',
  wrong_state: 'The request, key or keyring is not in a state that allows this.',
  stale_log_head:
    'The record was made under another state of the workspace: read the workspace, make it anew.',
  expired: 'A record, grant or approval has run out, or was made ahead of the clock; compare `serverTime`.',
  idempotency_mismatch:
    'Reserved. Ids of records are hashes of their bytes: the same id with other bytes cannot be sent.',
  bad_signature: 'A record is not signed by whom it must be, or a signature in it does not verify.',
  policy_denied: 'The sign policy of the workspace allows this to nobody.',
  rate_limited: 'Too many requests at this time; `retryAfterMs` tells when to try again.',
  cursor_too_old:
    'Events after this cursor are no longer kept, or never were: take a snapshot, watch from its cursor.',
  too_large: 'The body or the batch is larger than the coordinator takes, or nests too deep.',
  conflicting_result: 'The party has already given another result for this request; the first one stands.',
  unavailable: 'The coordinator is closing, or its store does not answer: send the same bytes again later.',
};

export const accessWords: Readonly<Record<Access, string>> = {
  open: 'Anybody may call it: what must be authorised in it is signed by itself.',
  signed: 'The HTTP request is signed with a credential of an owner of the workspace concerned.',
  connector: "The HTTP request is signed by a connector and carries the grant of its keyring's party.",
};

/** Errors of every call, whatever the method. */
export const commonErrors: readonly RpcErrorName[] = [
  'invalid_params',
  'internal_error',
  'rate_limited',
  'too_large',
  'unavailable',
];

/** Errors of calls that must be signed; `expired` and `bad_signature` are about the grant, where one is presented. */
export const signatureErrors: readonly RpcErrorName[] = [
  'unauthenticated',
  'forbidden',
  'expired',
  'bad_signature',
];

/** Errors about the transport: of no method in particular. */
export const transportErrors: readonly RpcErrorName[] = [
  'parse_error',
  'invalid_request',
  'method_not_found',
];

interface MethodWords {
  readonly description: string;
  readonly result: string;
  /** Errors besides those that all methods, or all signed ones, have. */
  readonly errors: readonly RpcErrorName[];
}

const requestErrors: readonly RpcErrorName[] = [
  'not_found',
  'forbidden',
  'bad_signature',
  'stale_log_head',
  'wrong_state',
  'policy_denied',
  'expired',
];

export const methodWords: Readonly<Record<MethodName, MethodWords>> = {
  'rpc.discover': {
    description: 'The document is generated from the schemas by which the coordinator checks calls.',
    result: 'An OpenRPC document.',
    errors: [],
  },
  network_get: {
    description: 'Records name the network: make them for `networkId`. Compare `time` with your own clock.',
    result: 'Network, clock and version of the software.',
    errors: [],
  },
  workspace_create: {
    description:
      'The id of the genesis is the id of the workspace. A coordinator with an allowlist registers only what a listed credential signed. The parent of a child workspace must be there already.',
    result: 'The workspace as registered, by this call or an earlier one.',
    errors: ['forbidden', 'bad_signature', 'not_found', 'wrong_state'],
  },
  workspace_get: {
    description: 'Verify the log: owners, keyrings and policies follow from it.',
    result: 'The workspace.',
    errors: ['not_found'],
  },
  workspace_list: {
    description: 'Workspaces that name the credential which signed the HTTP request.',
    result: 'A page of workspaces.',
    errors: [],
  },
  workspace_log: {
    description:
      'Replay it on top of what is known. `after` is the `seq` of an entry; without it, the whole log. A `resolve` stands before ' +
      'the entry that it is about.',
    result: 'Signed records, and the head to which they lead.',
    errors: ['not_found'],
  },
  workspace_import: {
    description:
      'The records follow entry `after` of the log here, and prove themselves: whoever brings them proves nothing, but must be an ' +
      'owner in one of the two logs. A log that forks from the one here is taken once a majority of the owners has said, by a ' +
      '`resolve` in it, which entry stands; what was open in a branch that is left ends as `policy_changed`.',
    result: 'How the log stood to the one here (`newer`: it was taken), and the workspace as it is now.',
    errors: ['not_found', 'forbidden', 'bad_signature', 'wrong_state'],
  },
  workspace_propose: {
    description:
      'The id of the record is the id of the change. One that brings in an owner or a credential is countersigned by it. Of changes that follow the same entry the first that is decided stands.',
    result: 'How the change stands: `fulfilled` when its initiator alone suffices.',
    errors: [
      'not_found',
      'forbidden',
      'bad_signature',
      'stale_log_head',
      'wrong_state',
      'policy_denied',
      'expired',
    ],
  },
  change_get: {
    description: 'Judge the change from its signed bytes, against the log before it.',
    result: 'The change, and the log that it follows.',
    errors: ['not_found'],
  },
  change_list: {
    description: '`state` filters within a page: a page may be empty and still have a `next`.',
    result: 'A page of changes.',
    errors: ['not_found'],
  },
  policy_validate: {
    description: 'Nothing is stored. With `owners`, also what their names make impossible.',
    result:
      'Complaints, each with its place in the policy; none: the policy is good. Then it is also put into words.',
    errors: [],
  },
  policy_simulate: {
    description:
      'Give the unsigned content of a request, or the id of one that was made. Its initiator is taken to have approved, and each of `approvals`.',
    result: 'What the rules would say, and whom they would still want.',
    errors: ['not_found'],
  },
  policy_explain: {
    description: 'Derived from the log, as anybody can who has it.',
    result: 'Policies, the nearest first.',
    errors: ['not_found'],
  },
  keyring_create: {
    description:
      'The id of the roster is the id of the keyring. A coordinator with an allowlist registers only what a listed admin signed.',
    result: 'The keyring as registered, by this call or an earlier one.',
    errors: ['forbidden', 'bad_signature'],
  },
  keyring_get: {
    description: 'Verify the roster: parties and threshold follow from it. Presence is a hint.',
    result: 'The keyring.',
    errors: ['not_found'],
  },
  keyring_list: { description: 'In the order of their ids.', result: 'A page of keyrings.', errors: [] },
  key_request: {
    description:
      'The id of the request is the id of the key. The parties make it once the policy is met; with `parent` and `path` in the ' +
      'request they derive it, each for itself, from an active key of the same workspace, keyring and type.',
    result: 'How the request stands: `partial` while approvals are missing, else `pending`.',
    errors: requestErrors,
  },
  key_get: {
    description:
      "Verify the certificate before anything is paid to the key; of a derived key against its parent's, in `parentKey`.",
    result: 'The key; with public key, addresses and certificate once it is `fulfilled`.',
    errors: ['not_found'],
  },
  key_list: { description: 'Oldest first.', result: 'A page of keys.', errors: ['not_found'] },
  sign_request: {
    description: 'One request has up to 50 items, signed all or none, of keys of one keyring.',
    result: 'How the request stands: `partial` while approvals are missing, else `pending`.',
    errors: requestErrors,
  },
  sign_get: {
    description: 'Connectors of the keyring may ask too, with their grant.',
    result: 'The request; with `signatures` once it is `fulfilled`.',
    errors: ['not_found'],
  },
  sign_list: {
    description: '`state` filters within a page: a page may be empty and still have a `next`.',
    result: 'A page of requests.',
    errors: ['not_found'],
  },
  sign_wait: {
    description: 'Answers at once when the request is final. Waiting costs nothing but the connection.',
    result: 'The request, final or not.',
    errors: ['not_found'],
  },
  action_list: {
    description:
      'What the owners of a workspace have still to decide, and what waits for time alone. `mine` filters within a page.',
    result: 'A page of requests and changes, told apart by `kind`.',
    errors: ['not_found'],
  },
  action_get: {
    description:
      'Decode the payload from the signed request in the evidence, never from a description of it.',
    result: 'The request and its evidence.',
    errors: ['not_found'],
  },
  action_decide: {
    description:
      'An approver decides while the request or change is `partial`; while a request is `pending`, approvals can be renewed. The initiator can take it back.',
    result: 'The request or change as the decision leaves it.',
    errors: ['not_found', 'forbidden', 'bad_signature', 'stale_log_head', 'wrong_state', 'expired'],
  },
  receipt_get: {
    description:
      'The receipt can be verified without a coordinator, by whoever knows the id of the workspace.',
    result: 'The receipt.',
    errors: ['not_found', 'wrong_state'],
  },
  connector_pending: {
    description:
      'A snapshot: take the cursor of the first page, read all pages, then watch the stream of the keyring from there. With `requestIds`, only these.',
    result: 'A page of requests with evidence, and the cursor.',
    errors: ['not_found'],
  },
  connector_logs: {
    description: 'In the order of their ids. With `workspaceIds`, only these.',
    result: 'A page of logs.',
    errors: ['not_found'],
  },
  connector_submitResult: {
    description: 'The coordinator verifies the result and counts distinct parties.',
    result: 'How the request stands with it.',
    errors: ['not_found', 'wrong_state', 'conflicting_result'],
  },
  connector_heartbeat: {
    description: 'Presence is kept in memory and shown in `keyring_get`.',
    result: "The coordinator's clock.",
    errors: ['not_found'],
  },
};

/** What a field means, wherever it stands; a whole path (`Component.field`) comes before its last part. */
export const fieldWords: Readonly<Record<string, string>> = {
  address: 'As its chain spells it.',
  addresses: 'Where the key can hold funds; empty until it is made.',
  after: 'The `next` of the page before.',
  at: 'When it happened.',
  bytes: 'The record in canonical JSON, base64url without padding: exactly these bytes are signed.',
  certificate: 'The equal, signed key results of all parties; empty until the key is made.',
  chain: 'Name of the chain, as policies use it.',
  code: 'Stable name.',
  counted: 'Whether this result is among those that count, by this call or an earlier one.',
  created: 'When the coordinator took it.',
  credential: 'Public key that signed.',
  cursor: 'Sequence number of the last event: watch the stream from here. Of the first page.',
  decision: 'A signed `decision`.',
  'Event.request.decision.decision': 'What was decided.',
  decisionId: 'Id of the decision.',
  decisions: 'Signed decisions, in the order in which they came.',
  detail: 'What was wrong, in words.',
  epoch: 'Version of the roster and its shares.',
  evidence: 'Everything signed that is needed to judge the request.',
  expires: 'When it ends unless it is final before.',
  from: 'Who may still decide.',
  genesis: 'A signed `workspace.genesis`.',
  have: 'How many, or who, so far.',
  head: 'The last entry of the log.',
  id: 'Id of the record.',
  info: 'Title and version.',
  item: 'Index of the item in the request.',
  items: 'The entries of this page.',
  keyId: 'Id of a key: of its signed key request.',
  keyType: 'What kind of key it is.',
  keyringId: 'Id of a keyring: of its signed roster.',
  keys:
    'Of each key that is to sign, and of the parents of derived ones: its own request and certificate. Of a request for a ' +
    'derived key: its parent.',
  kind: 'What is asked for.',
  label: 'Title for people.',
  limit: 'Entries of a page; 50 unless given.',
  log: 'Signed records, genesis first.',
  mayHaveBeenSigned:
    'Ended `rejected` after the parties could have signed: make it invalid on its chain before asking for another.',
  methods: 'The methods.',
  missing: 'While `partial`: what the policy still wants.',
  'RequestView.transactions.missing': 'Whose signatures are missing.',
  name: 'Name for people.',
  'rpc.discover.methods.name': 'Name of the method.',
  need: 'How many it takes.',
  networkId: 'Name of the network: in every record.',
  next: 'Cursor of the next page; absent on the last.',
  nodeUp: "Whether the party's node is reachable by its connector.",
  openrpc: 'Version of OpenRPC.',
  parent: 'Of a derived key: id of the generated key it comes from.',
  parentKey: 'Of a derived key: request and certificate of its parent, without which it is not proven.',
  party: 'Key of the party.',
  path: 'Of a derived key: how it is derived, like `m/0/7`.',
  presence: "When each party's connector was last heard of, since the coordinator started.",
  principal: 'Name of the owner.',
  psbt: 'The PSBT with the signatures that are there.',
  publicKey: 'Absent until the key is made.',
  reason: 'Of a rejected request: why.',
  receipt: 'As `verifyReceipt` of the client checks it.',
  refused: 'How many parties refused.',
  remedy: 'What to do about it.',
  request: 'The signed `request`.',
  requestId: 'Id of a request: of its signed record.',
  requestIds: 'Only these requests, at most 50.',
  result: 'A signed `party.result`.',
  'Event.request.result.result': 'What the party reports.',
  resultId: 'Id of the result.',
  results: 'Signed results of parties.',
  retryAfterMs: 'Milliseconds after which to try again.',
  roster: 'The signed `keyring.roster`.',
  'KeyView.roster': 'The roster under which the certificate was made.',
  rule: 'Id of the rule of the policy.',
  run: 'Run of refresh under that roster.',
  'Epoch.roster': 'Number of the roster.',
  seen: 'Absent when it was not heard of.',
  seq: 'Position in the log, 0 for the genesis.',
  serverTime: "The coordinator's clock.",
  signature: 'Over the id of the record.',
  signatures: 'One signature an item, in the order of the request.',
  'Envelope.signatures': 'Of everybody who signed the record.',
  state: 'How it stands.',
  time: "The coordinator's clock.",
  timeoutMs: 'Milliseconds to wait at most.',
  title: 'Title.',
  transaction: 'As the network takes it; absent while signatures are missing from a PSBT.',
  transactions: 'Where payloads are transactions: with their signatures.',
  type: 'What it is.',
  updated: 'When it last changed.',
  version: 'Version.',
  view: 'How the request stands.',
  votes: 'Results of distinct parties that count, how many it takes, refusals.',
  workspaceId: 'Id of a workspace: of its signed genesis.',
  admin: 'Whether it is one of changes of the workspace itself.',
  approvals: 'Names of owners who are taken to have approved.',
  'workspace_log.after': 'The `seq` of the last entry that is known.',
  'workspace_import.after': 'The `seq` of the last entry that both logs have.',
  'workspace_import.outcome':
    'How the log stood to the one here: `newer` was taken, the others change nothing.',
  change: 'A signed `workspace.change`.',
  changeId: 'Id of a change: of its signed record.',
  complaints: 'What is wrong. Empty: nothing.',
  condition: 'The condition of the rule that does not hold.',
  'Missing.credential': 'Only decisions signed with a credential of one of these kinds count.',
  denied: 'Rules that deny it, at their hours or always.',
  hold: 'What it waits for.',
  holds: 'What rules wait for that nobody has to decide.',
  level: 'Whose policy it is; `admin` is about changes of the workspace.',
  lines: 'In words, one line a rule.',
  message: 'What is wrong, in words.',
  mine: 'Only what awaits a decision of the caller.',
  mismatches: 'Why rules that allow something do not allow this.',
  owners: 'Names of owners.',
  parentLog: "Of a child workspace: its parent's log.",
  policies: 'Policies in force.',
  policy: 'A policy.',
  'policy_validate.complaints.path': 'Where it is, from the outside in.',
  'policy_simulate.request': 'Content of a `request`, unsigned.',
  rules: 'Rules that allow it, given their approvals.',
  until: 'When that is over, as far as it is known.',
  value: 'What it saw.',
  verdict: 'Whether it would be signed.',
  wanted: 'What it wants.',
  warnings: 'What in it its owners may not expect.',
  workspaceIds: 'Only these workspaces, at most 50.',
};
