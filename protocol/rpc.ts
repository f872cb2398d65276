// The coordinator's RPC: method names, schemas of parameters and results, error codes. Server and client share this
// file; documentation is generated from it.
import * as z from 'zod';
import { evidenceSchema, logSchema } from './authorize.ts';
import { type Hex, hexBytes } from './hex.ts';
import { keyEntrySchema } from './key-proofs.ts';
import { derivationPathSchema } from './keys/derivation.ts';
import { keyTypeSchema } from './keys/key-type.ts';
import { credentialTypeSchema } from './policy/schema.ts';
import { receiptSchema } from './receipt.ts';
import { envelopeSchema } from './records/envelope.ts';
import {
  ed25519CredentialSchema,
  epochSchema,
  logHeadSchema,
  nameSchema,
  networkIdSchema,
  recordIdSchema,
  timestampSchema,
} from './records/fields.ts';

/** JSON-RPC's own codes, then the coordinator's. */
export const errorCodes = {
  parse_error: -32700,
  invalid_request: -32600,
  method_not_found: -32601,
  invalid_params: -32602,
  internal_error: -32603,
  unauthenticated: -32001,
  forbidden: -32002,
  not_found: -32003,
  wrong_state: -32004,
  stale_log_head: -32005,
  expired: -32006,
  idempotency_mismatch: -32007,
  bad_signature: -32008,
  policy_denied: -32009,
  rate_limited: -32010,
  cursor_too_old: -32011,
  too_large: -32012,
  conflicting_result: -32013,
  unavailable: -32014,
} as const;
export type RpcErrorName = keyof typeof errorCodes;

/** `data` of an RPC error: a stable name, what was wrong, what to do about it. */
export const errorDataSchema = z.object({
  code: z.enum(Object.keys(errorCodes) as [RpcErrorName, ...RpcErrorName[]]),
  detail: z.string(),
  remedy: z.string(),
  retryAfterMs: z.int().optional(),
  serverTime: timestampSchema.optional(),
});
export type RpcErrorData = z.infer<typeof errorDataSchema>;

export const requestStateSchema = z.enum(['partial', 'pending', 'fulfilled', 'rejected']);
export type RequestStateName = z.infer<typeof requestStateSchema>;

export const rejectionCodeSchema = z.enum([
  'approvers', // the approvers said no
  'cancelled', // the initiator took it back
  'approval_timeout', // it ended before it had its approvals
  'policy_changed', // the workspace, or its parent, is no longer as it was when this was asked for
  'superseded', // of a change: another one took its place in the log
  'parties', // too many parties refused
  'mpc_timeout', // it ended before enough parties had signed
]);
export type RejectionCode = z.infer<typeof rejectionCodeSchema>;

export const missingSchema = z.strictObject({
  rule: z.string(),
  need: z.int(),
  have: z.array(z.string()),
  from: z.array(z.string()),
  /** Only decisions signed with a credential of one of these kinds count. */
  credential: z.array(credentialTypeSchema).exactOptional(),
});

/** What a rule waits for that nobody has to decide. */
export const holdSchema = z.strictObject({
  rule: z.string(),
  hold: z.enum(['delay', 'hours', 'limit']),
  until: timestampSchema.exactOptional(),
  detail: z.string(),
});

/** Results of distinct parties that count, how many it takes, refusals. */
export const votesSchema = z.strictObject({ have: z.int(), need: z.int(), refused: z.int() });

/** How a request stands. Everything in it that matters is derived from records the reader can verify. */
export const requestViewSchema = z.strictObject({
  requestId: recordIdSchema,
  kind: z.enum(['key', 'sign']),
  workspaceId: recordIdSchema,
  keyringId: recordIdSchema,
  state: requestStateSchema,
  reason: z.strictObject({ code: rejectionCodeSchema, detail: z.string() }).optional(),
  request: envelopeSchema,
  decisions: z.array(envelopeSchema),
  /** While partial: what the policy still wants. */
  missing: z.array(missingSchema).optional(),
  /** While partial: what it waits for besides. */
  holds: z.array(holdSchema).exactOptional(),
  votes: votesSchema,
  results: z.array(envelopeSchema),
  /** Fulfilled sign request: one signature an item, and the signed transaction where the payload is one. */
  signatures: z.array(hexBytes(64, 72)).optional(),
  transactions: z
    .array(
      z.strictObject({
        item: z.int(),
        /** As the network takes it; absent while signatures are missing from a PSBT. */
        transaction: hexBytes(1, 400_000).optional(),
        psbt: hexBytes(1, 400_000).optional(),
        /** Whose signatures are missing. */
        missing: z.array(z.string()),
      }),
    )
    .optional(),
  /** Ended rejected after the parties could have signed: make it invalid on chain before asking for another. */
  mayHaveBeenSigned: z.boolean(),
  created: timestampSchema,
  expires: timestampSchema,
  updated: timestampSchema,
});
export type RequestView = z.infer<typeof requestViewSchema>;

export const changeStateSchema = z.enum(['partial', 'fulfilled', 'rejected']);
export type ChangeStateName = z.infer<typeof changeStateSchema>;

/** How a proposed change of a workspace stands: `fulfilled` is in the log. */
export const changeViewSchema = z.strictObject({
  changeId: recordIdSchema,
  kind: z.literal('change'),
  workspaceId: recordIdSchema,
  state: changeStateSchema,
  reason: z.strictObject({ code: rejectionCodeSchema, detail: z.string() }).optional(),
  change: envelopeSchema,
  decisions: z.array(envelopeSchema),
  /** While partial: what the admin policy still wants. */
  missing: z.array(missingSchema).optional(),
  /** While partial: what it waits for besides. */
  holds: z.array(holdSchema).exactOptional(),
  created: timestampSchema,
  expires: timestampSchema,
  updated: timestampSchema,
});
export type ChangeView = z.infer<typeof changeViewSchema>;

/** What owners decide on. */
export const actionViewSchema = z.discriminatedUnion('kind', [requestViewSchema, changeViewSchema]);
export type ActionView = z.infer<typeof actionViewSchema>;

/** Id of a request or a change. */
export function actionId(view: ActionView): Hex {
  return view.kind === 'change' ? view.changeId : view.requestId;
}

/** Throws TypeError for a change. */
export function asRequest(view: ActionView): RequestView {
  if (view.kind !== 'change') return view;
  throw new TypeError(`${view.changeId} is a change of a workspace, not a request`);
}

export const keyViewSchema = z.strictObject({
  keyId: recordIdSchema,
  workspaceId: recordIdSchema,
  keyringId: recordIdSchema,
  label: z.string(),
  keyType: keyTypeSchema,
  state: requestStateSchema,
  publicKey: hexBytes(32, 33).optional(),
  addresses: z.array(z.strictObject({ chain: z.string(), address: z.string() })),
  request: envelopeSchema,
  certificate: z.array(envelopeSchema),
  /** Of a derived key: the generated key it comes from, and how; without it, it is not proven. */
  parent: recordIdSchema.exactOptional(),
  path: derivationPathSchema.exactOptional(),
  parentKey: keyEntrySchema.exactOptional(),
  /** The roster under which the certificate was made. */
  roster: envelopeSchema,
});
export type KeyView = z.infer<typeof keyViewSchema>;

export const workspaceViewSchema = z.strictObject({
  workspaceId: recordIdSchema,
  name: z.string(),
  head: logHeadSchema,
  log: z.array(envelopeSchema),
  /** Of a child workspace whose parent is here: its parent's log. Requests name its head too. */
  parentLog: z.array(envelopeSchema).exactOptional(),
});
export type WorkspaceView = z.infer<typeof workspaceViewSchema>;

/** Whose policy is in force, in words. */
export const policyWordsSchema = z.strictObject({
  /** `admin` is about changes of the workspace; of the others the first that is there allows, and each denies. */
  level: z.enum(['key', 'workspace', 'parent', 'admin']),
  workspaceId: recordIdSchema,
  /** One line a rule. */
  lines: z.array(z.string()),
  /** What in it its owners may not expect. */
  warnings: z.array(z.string()),
});
export type PolicyWords = z.infer<typeof policyWordsSchema>;

/** What a policy's rules say of one item, before anybody has decided. */
export const simulatedItemSchema = z.strictObject({
  /** Absent for a request for a key. */
  keyId: recordIdSchema.exactOptional(),
  /** Rules that allow it, given their approvals. */
  rules: z.array(z.string()),
  /** Rules that deny it, at some hours or always. */
  denied: z.array(z.string()),
  /** Why rules that allow something do not allow this. */
  mismatches: z.array(
    z.strictObject({ rule: z.string(), condition: z.string(), value: z.string(), wanted: z.string() }),
  ),
});

export const keyringViewSchema = z.strictObject({
  keyringId: recordIdSchema,
  epoch: epochSchema,
  roster: envelopeSchema,
  /** When each party's connector was last heard of. */
  presence: z.array(
    z.strictObject({ party: ed25519CredentialSchema, seen: timestampSchema.optional(), nodeUp: z.boolean() }),
  ),
});
export type KeyringView = z.infer<typeof keyringViewSchema>;

const page = { after: z.string().max(300).optional(), limit: z.int().min(1).max(200).optional() };
const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.strictObject({ items: z.array(item), next: z.string().optional() });

/** An event of a stream; its sequence number, gapless from 1, is the SSE id and the resume cursor. */
export const eventSchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('request.state'),
    requestId: recordIdSchema,
    kind: z.enum(['key', 'sign']),
    state: requestStateSchema,
    at: timestampSchema,
    reason: z.strictObject({ code: rejectionCodeSchema, detail: z.string() }).optional(),
  }),
  z.strictObject({
    type: z.literal('request.decision'),
    requestId: recordIdSchema,
    decisionId: recordIdSchema,
    principal: z.string(),
    decision: z.enum(['approve', 'reject', 'withdraw']),
    at: timestampSchema,
  }),
  z.strictObject({
    type: z.literal('request.result'),
    requestId: recordIdSchema,
    resultId: recordIdSchema,
    party: ed25519CredentialSchema,
    result: z.enum(['signatures', 'key', 'refusal']),
    votes: votesSchema,
    at: timestampSchema,
  }),
  z.strictObject({
    type: z.literal('change.state'),
    changeId: recordIdSchema,
    state: changeStateSchema,
    at: timestampSchema,
    reason: z.strictObject({ code: rejectionCodeSchema, detail: z.string() }).optional(),
  }),
  z.strictObject({
    type: z.literal('change.decision'),
    changeId: recordIdSchema,
    decisionId: recordIdSchema,
    principal: z.string(),
    decision: z.enum(['approve', 'reject', 'withdraw']),
    at: timestampSchema,
  }),
  /** On the streams of the workspace and of every keyring that it uses, or used until then. */
  z.strictObject({
    type: z.literal('workspace.head'),
    workspaceId: recordIdSchema,
    head: logHeadSchema,
    at: timestampSchema,
  }),
]);
export type CoordinatorEvent = z.infer<typeof eventSchema>;

/** Who may call: anybody, whoever signs the HTTP request with a known credential, or a connector with a party's grant. */
export type Access = 'open' | 'signed' | 'connector';

const byId = <Field extends string>(field: Field) =>
  z.strictObject({ [field]: recordIdSchema } as Record<Field, typeof recordIdSchema>);

/** Every method. Mutations carry signed records, whose ids are their idempotency keys: same bytes, same answer. */
export const methods = {
  'rpc.discover': {
    summary: 'This interface, described in OpenRPC',
    access: 'open',
    params: z.strictObject({}),
    result: z.looseObject({
      openrpc: z.string(),
      info: z.looseObject({ title: z.string(), version: z.string() }),
      methods: z.array(z.looseObject({ name: z.string() })),
    }),
  },
  network_get: {
    summary: 'The network this coordinator serves, and its clock',
    access: 'open',
    params: z.strictObject({}),
    result: z.strictObject({ networkId: networkIdSchema, time: timestampSchema, version: z.string() }),
  },
  workspace_create: {
    summary: 'Registers a workspace from its signed genesis',
    access: 'open',
    params: z.strictObject({ genesis: envelopeSchema }),
    result: workspaceViewSchema,
  },
  workspace_get: {
    summary: 'A workspace with its whole log',
    access: 'signed',
    params: byId('workspaceId'),
    result: workspaceViewSchema,
  },
  workspace_list: {
    summary: 'Workspaces of which the caller is an owner',
    access: 'signed',
    params: z.strictObject(page),
    result: pageOf(workspaceViewSchema),
  },
  workspace_log: {
    summary: "Entries of a workspace's log after one of them, with their decisions",
    access: 'signed',
    params: z.strictObject({ workspaceId: recordIdSchema, after: z.int().min(0).max(1_000_000).optional() }),
    result: z.strictObject({
      workspaceId: recordIdSchema,
      head: logHeadSchema,
      log: z.array(envelopeSchema),
    }),
  },
  workspace_import: {
    summary: 'Brings entries that the coordinator lacks, or what owners said of which entry of a fork stands',
    access: 'signed',
    params: z.strictObject({
      workspaceId: recordIdSchema,
      after: z.int().min(0).max(1_000_000),
      log: logSchema,
    }),
    result: z.strictObject({ outcome: z.enum(['newer', 'same', 'older']), view: workspaceViewSchema }),
  },
  workspace_propose: {
    summary: 'Proposes a change of a workspace with a signed workspace.change',
    access: 'open',
    params: z.strictObject({ change: envelopeSchema }),
    result: changeViewSchema,
  },
  change_get: {
    summary: 'How a change stands, and the log that it follows, so that an owner can judge it',
    access: 'signed',
    params: byId('changeId'),
    result: z.strictObject({ view: changeViewSchema, log: z.array(envelopeSchema) }),
  },
  change_list: {
    summary: 'Changes of a workspace that were proposed, oldest first',
    access: 'signed',
    params: z.strictObject({ workspaceId: recordIdSchema, state: changeStateSchema.optional(), ...page }),
    result: pageOf(changeViewSchema),
  },
  policy_validate: {
    summary: 'What is wrong with a policy',
    access: 'open',
    params: z.strictObject({
      policy: z.looseObject({}),
      /** Default: a sign policy. */
      admin: z.boolean().optional(),
      /** Names of the owners under whom it would be in force. */
      owners: z.array(nameSchema).max(100).optional(),
    }),
    result: z.strictObject({
      complaints: z.array(
        z.strictObject({ path: z.array(z.union([z.string(), z.int()])), message: z.string() }),
      ),
      lines: z.array(z.string()),
      warnings: z.array(z.string()),
    }),
  },
  policy_simulate: {
    summary: 'What the policies in force would say of a request, without making it',
    access: 'signed',
    params: z.strictObject({
      workspaceId: recordIdSchema,
      /** Content of a request, unsigned. */
      request: z.looseObject({}).optional(),
      requestId: recordIdSchema.optional(),
      /** Names of owners who are taken to have approved. */
      approvals: z.array(nameSchema).max(100).optional(),
    }),
    result: z.strictObject({
      verdict: z.enum(['satisfied', 'waiting', 'refused']),
      /** Of one that is refused. */
      reason: z.string().exactOptional(),
      detail: z.string().exactOptional(),
      items: z.array(simulatedItemSchema),
      missing: z.array(missingSchema),
      holds: z.array(holdSchema),
      expires: timestampSchema.exactOptional(),
    }),
  },
  policy_explain: {
    summary: 'The policies in force for a workspace or one of its keys, in words',
    access: 'signed',
    params: z.strictObject({ workspaceId: recordIdSchema, keyId: recordIdSchema.optional() }),
    result: z.strictObject({ policies: z.array(policyWordsSchema) }),
  },
  keyring_create: {
    summary: 'Registers a keyring from a roster that an admin and every party signed',
    access: 'open',
    params: z.strictObject({ roster: envelopeSchema }),
    result: keyringViewSchema,
  },
  keyring_get: {
    summary: 'A keyring with its roster and the presence of its parties',
    access: 'open',
    params: byId('keyringId'),
    result: keyringViewSchema,
  },
  keyring_list: {
    summary: 'All keyrings',
    access: 'open',
    params: z.strictObject(page),
    result: pageOf(keyringViewSchema),
  },
  key_request: {
    summary: 'Asks for a new key with a signed key request',
    access: 'open',
    params: z.strictObject({ request: envelopeSchema }),
    result: requestViewSchema,
  },
  key_get: {
    summary: 'A key with its certificate',
    access: 'signed',
    params: byId('keyId'),
    result: keyViewSchema,
  },
  key_list: {
    summary: 'Keys of a workspace, those still being made included',
    access: 'signed',
    params: z.strictObject({ workspaceId: recordIdSchema, ...page }),
    result: pageOf(keyViewSchema),
  },
  sign_request: {
    summary: 'Asks for signatures with a signed sign request; returns at once',
    access: 'open',
    params: z.strictObject({ request: envelopeSchema }),
    result: requestViewSchema,
  },
  sign_get: {
    summary: 'How a key or sign request stands',
    access: 'signed',
    params: byId('requestId'),
    result: requestViewSchema,
  },
  sign_list: {
    summary:
      'Requests of a workspace, oldest first; `cursor` of the first page is where to watch its events from',
    access: 'signed',
    params: z.strictObject({ workspaceId: recordIdSchema, state: requestStateSchema.optional(), ...page }),
    result: pageOf(requestViewSchema).extend({ cursor: z.int().min(0).exactOptional() }),
  },
  sign_wait: {
    summary: 'Waits until a request is final, at most timeoutMs; answers with how it stands then',
    access: 'signed',
    params: z.strictObject({ requestId: recordIdSchema, timeoutMs: z.int().min(0).max(60_000) }),
    result: requestViewSchema,
  },
  action_list: {
    summary:
      'Requests and changes of a workspace that are not decided, pending requests whose approvals ran out included',
    access: 'signed',
    params: z.strictObject({
      workspaceId: recordIdSchema,
      /** Only those that the caller's own decision can bring further. */
      mine: z.boolean().optional(),
      ...page,
    }),
    result: pageOf(actionViewSchema),
  },
  action_get: {
    summary: 'A request with all evidence for it, so that an approver can judge it from the signed bytes',
    access: 'signed',
    params: byId('requestId'),
    result: z.strictObject({ view: requestViewSchema, evidence: evidenceSchema }),
  },
  action_decide: {
    summary: 'Approves or rejects a request or a change, or takes that back, with a signed decision',
    access: 'open',
    params: z.strictObject({ decision: envelopeSchema }),
    result: actionViewSchema,
  },
  receipt_get: {
    summary: 'Everything signed about a fulfilled request, to be checked offline and kept',
    access: 'signed',
    params: byId('requestId'),
    result: z.strictObject({ receipt: receiptSchema }),
  },
  connector_pending: {
    summary:
      'Requests that the parties of the keyring may act on, with their evidence; and the cursor to watch from',
    access: 'connector',
    params: z.strictObject({
      keyringId: recordIdSchema,
      requestIds: z.array(recordIdSchema).max(50).optional(),
      ...page,
    }),
    result: z.strictObject({
      cursor: z.int().min(0),
      items: z.array(
        z.strictObject({ requestId: recordIdSchema, state: requestStateSchema, evidence: evidenceSchema }),
      ),
      next: z.string().optional(),
    }),
  },
  connector_logs: {
    summary: 'Logs of the workspaces that use the keyring, for its nodes',
    access: 'connector',
    params: z.strictObject({
      keyringId: recordIdSchema,
      workspaceIds: z.array(recordIdSchema).max(50).optional(),
      ...page,
    }),
    result: pageOf(
      z.strictObject({
        workspaceId: recordIdSchema,
        head: logHeadSchema,
        log: z.array(envelopeSchema),
        /** Of a child workspace whose parent is here: its parent's log. */
        parentLog: z.array(envelopeSchema).exactOptional(),
      }),
    ),
  },
  connector_submitResult: {
    summary: "Hands in one party's own signed result",
    access: 'connector',
    params: z.strictObject({ result: envelopeSchema }),
    result: z.strictObject({
      requestId: recordIdSchema,
      state: requestStateSchema,
      votes: votesSchema,
      /** Whether this result is among those that count, by this call or an earlier one. */
      counted: z.boolean(),
    }),
  },
  connector_heartbeat: {
    summary: 'Says that a party is present, and whether its node is reachable',
    access: 'connector',
    params: z.strictObject({ keyringId: recordIdSchema, nodeUp: z.boolean() }),
    result: z.strictObject({ time: timestampSchema }),
  },
} as const satisfies Record<
  string,
  { summary: string; access: Access; params: z.ZodType; result: z.ZodType }
>;

export type MethodName = keyof typeof methods;
export type Params<Name extends MethodName> = z.input<(typeof methods)[Name]['params']>;
export type Result<Name extends MethodName> = z.output<(typeof methods)[Name]['result']>;
