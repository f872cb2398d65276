// The TypeScript SDK of Countersign: a typed client of coordinators, builders of the records that people sign, and the
// checks that spare believing a coordinator. Web standards only; sealed identities on disk are in identity/.
export { type CallOptions, type Client, type ClientOptions, createClient } from './rpc-client.ts';
export { RpcClientError, type RpcClientErrorCode } from './rpc-error.ts';
export type { EventStreamName, SequencedEvent, WatchOptions } from './watch.ts';
export {
  challengeOf,
  passkeyCredential,
  type PasskeyOptions,
  typedDataOf,
  walletCredential,
  withPasskeySignature,
  withWalletSignature,
} from './owner-signatures.ts';
export {
  type Author,
  buildChange,
  buildDecision,
  buildGenesis,
  buildKeyRequest,
  type BuildOptions,
  buildRosterDraft,
  buildSignRequest,
  type BuiltRecord,
  type ChangeOptions,
  type DecisionOptions,
  defaultApprovalLifetime,
  defaultChangeLifetime,
  type GenesisOptions,
  type KeyRequestOptions,
  longestDelay,
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
export { type ReceivedWebhook, verifyWebhook, type WebhookMessage, webhookTolerance } from './webhook.ts';
export { WebhookError, type WebhookErrorCode, type WebhookType, webhookTypes } from '../protocol/webhook.ts';
export {
  authorize,
  type Authorisation,
  type AuthorisedItem,
  type Evidence,
  type KeyEntry,
  type RefusalReason,
  type Trust,
  type VerifiedKey,
  type Verdict,
  verifyKey,
} from '../protocol/authorize.ts';
export { fromHex, type Hex, toHex } from '../protocol/hex.ts';
export { CertificateError } from '../protocol/keys/certificate.ts';
export { DerivationError, type DerivationErrorCode, derivedResult } from '../protocol/keys/derivation.ts';
export {
  addressesOf,
  type ChainAddress,
  type KeyType,
  KeyTypeError,
  verifySignature,
} from '../protocol/keys/key-type.ts';
export type { EvmSignature } from '../protocol/payloads/evm.ts';
export { messagePayload } from '../protocol/payloads/message.ts';
export {
  assemble,
  assembleAll,
  type Assembled,
  type DecodedPayload,
  decodePayload,
  parsePayload,
  type Payload,
  PayloadError,
  type PayloadErrorCode,
  type PayloadFacts,
  type PayloadKey,
  type SignedPayload,
} from '../protocol/payloads/payload.ts';
export { parsePayloadFile, parsePayloadsFile } from '../protocol/payloads/read.ts';
export { defaultAdminPolicy, defaultPolicy, type Policy, policySchema } from '../protocol/policy/schema.ts';
export {
  decodeReceipt,
  encodeReceipt,
  maxReceiptBytes,
  type Receipt,
  ReceiptError,
  type ReceiptErrorCode,
  type ReceiptProof,
  verifyReceipt,
} from '../protocol/receipt.ts';
export { type ConnectorGrant, connectorGrant } from '../protocol/records/connector-grant.ts';
export { type Decision, decision as decisionRecord } from '../protocol/records/decision.ts';
export {
  addSignature,
  createRecord,
  ed25519Signer,
  type Envelope,
  envelopeId,
  readContent,
  RecordError,
  type RecordErrorCode,
  type RecordType,
  type Signer,
  type VerifiedRecord,
  verifyRecord,
} from '../protocol/records/envelope.ts';
export { type Credential, type CredentialType, credentialType } from '../protocol/records/fields.ts';
export { type Keyring, keyringRoster, openKeyring, type Party } from '../protocol/records/keyring-roster.ts';
export { type PartyResult, partyResult } from '../protocol/records/party-result.ts';
export {
  type Origin,
  type Request,
  request as requestRecord,
  type SignRequest,
} from '../protocol/records/request.ts';
export { type Change, type WorkspaceChange, workspaceChange } from '../protocol/records/workspace-change.ts';
export { compareLogs, joinLogs, type LogRelation } from '../protocol/records/log-relation.ts';
export { type Principal, workspaceGenesis } from '../protocol/records/workspace-genesis.ts';
export type { WorkspaceState } from '../protocol/records/workspace-state.ts';
export {
  appendChange,
  judgeChange,
  logAt,
  openChange,
  type OpenedChange,
  openWorkspace,
  ownerOf,
  type Workspace,
} from '../protocol/records/workspace.ts';
export type { Assertion } from '../protocol/records/webauthn.ts';
export {
  type Access,
  actionId,
  type ActionView,
  asRequest,
  type ChangeStateName,
  type ChangeView,
  type CoordinatorEvent,
  errorCodes,
  type KeyringView,
  type KeyView,
  type MethodName,
  methods,
  type Params,
  type PolicyWords,
  type RequestStateName,
  type RequestView,
  type Result,
  type RpcErrorName,
  type WorkspaceView,
} from '../protocol/rpc.ts';
export { httpHeaders, signHttp } from '../protocol/signed-http.ts';
