// The TypeScript SDK of Countersign: a typed client of coordinators, builders of the records that people sign, and the
// checks that spare believing a coordinator. Web standards only; sealed identities on disk are in identity/.
export { type CallOptions, type Client, type ClientOptions, createClient } from './rpc-client.ts';
export { RpcClientError, type RpcClientErrorCode } from './rpc-error.ts';
export type { EventStreamName, SequencedEvent, WatchOptions } from './watch.ts';
export {
  buildDecision,
  buildGenesis,
  buildKeyRequest,
  type BuildOptions,
  buildRosterDraft,
  buildSignRequest,
  type BuiltRecord,
  type DecisionOptions,
  defaultApprovalLifetime,
  type GenesisOptions,
  type KeyRequestOptions,
  type RequestOptions,
  type RosterOptions,
  type SignRequestOptions,
} from './records.ts';
export {
  type KeyExpectations,
  type ProvenKey,
  type ProvenSignature,
  type SignatureExpectations,
  VerificationError,
  type VerificationErrorCode,
  verifyKeyView,
  verifySignatures,
} from './verify.ts';
export {
  authorize,
  type Evidence,
  type Trust,
  type VerifiedKey,
  type Verdict,
} from '../protocol/authorize.ts';
export { fromHex, type Hex, toHex } from '../protocol/hex.ts';
export { type Assembled, type DecodedPayload, type Payload } from '../protocol/payloads/payload.ts';
export { parsePayloadFile } from '../protocol/payloads/read.ts';
export { defaultAdminPolicy, defaultPolicy, type Policy } from '../protocol/policy/schema.ts';
export { addSignature, ed25519Signer, type Envelope, type Signer } from '../protocol/records/envelope.ts';
export { openKeyring } from '../protocol/records/keyring-roster.ts';
export { openWorkspace, type Workspace } from '../protocol/records/workspace.ts';
export type {
  CoordinatorEvent,
  KeyringView,
  KeyView,
  MethodName,
  Params,
  RequestView,
  Result,
  WorkspaceView,
} from '../protocol/rpc.ts';
