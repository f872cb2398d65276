// The node's store as sessions use it.
import { type Evidence, evidenceSchema } from '../../protocol/authorize.ts';
import { type Hex, toHex } from '../../protocol/hex.ts';
import { type KeyringRoster, partyIndex } from '../../protocol/records/keyring-roster.ts';
import { keyTypeSchema } from '../../protocol/keys/key-type.ts';
import { envelopeSchema, readContent } from '../../protocol/records/envelope.ts';
import * as z from 'zod';
import { partyResult } from '../../protocol/records/party-result.ts';
import type { Origin } from '../../protocol/records/request.ts';
import { openWorkspace } from '../../protocol/records/workspace.ts';
import { NodeStoreError } from '../store/error.ts';
import type { WorkspaceHead } from '../store/heads.ts';
import type { NodeStore } from '../store/node-store.ts';
import type { JsonValue } from '../store/jobs.ts';
import type { ActiveKey, ShareFields } from '../store/shares.ts';
import type { LoadedKey, SessionStore, StoredJob } from './context.ts';
import { deriveStoredKey, type RootShare } from './derived.ts';
import type { KnownLog } from './workspaces.ts';

function bytesField(share: ShareFields, field: string): Uint8Array {
  const value = share[field];
  if (!(value instanceof Uint8Array)) throw new TypeError(`a stored share has no ${field}`);
  return value;
}

function openShare(share: ShareFields, roster: KeyringRoster, self: string): RootShare {
  const { keyType, commitments } = share;
  if (!Array.isArray(commitments)) throw new TypeError('a stored share has no commitments');
  return {
    keyType: keyTypeSchema.parse(keyType),
    index: partyIndex(roster, self),
    threshold: roster.threshold,
    parties: roster.parties.map((_, index) => index + 1),
    publicKey: bytesField(share, 'publicKey'),
    commitments: commitments as readonly Uint8Array[],
    signingShare: bytesField(share, 'signingShare'),
    chainCode: bytesField(share, 'chainCode'),
  };
}

/** Throws NodeStoreError `corrupt` unless what a path gives is the key that this party once confirmed. */
function openDerived(key: ActiveKey, origin: Origin, share: RootShare, networkId: string): LoadedKey {
  const derived = deriveStoredKey(origin.parent, share, origin.path);
  const { result } = readContent(partyResult, key.confirmation, networkId).content;
  if (result.kind !== 'key' || result.commitments[0] !== toHex(derived.share.publicKey)) {
    const message = `${origin.path} of key ${origin.parent} is not what this party confirmed as key ${key.keyId}`;
    throw new NodeStoreError('corrupt', `${message}: restore the node from a backup`);
  }
  return { ...derived, certificate: key.certificate };
}

const logSchema = z.array(envelopeSchema);

/** Logs that an older version wrote are replayed: it kept nothing else of them. */
function readHead(
  { workspaceId, seq, id, log, chain, resolved = [] }: WorkspaceHead,
  networkId: string,
): KnownLog {
  if (chain === undefined) {
    const opened = openWorkspace(logSchema.parse(log), networkId);
    return { id: opened.id, head: opened.head, chain: opened.chain, resolved: opened.resolved };
  }
  return {
    id: workspaceId as Hex,
    head: { seq, id: id as Hex },
    chain: chain as readonly Hex[],
    resolved: new Map(resolved as readonly (readonly [Hex, Hex])[]),
  };
}

/** `self`: this party's credential. */
export function sessionStore(store: NodeStore, roster: KeyringRoster, self: string): SessionStore {
  const readJob = (job: { requestId: string; evidence: unknown; seen?: number | undefined }): StoredJob => ({
    requestId: job.requestId as Hex,
    evidence: evidenceSchema.parse(job.evidence),
    seen: job.seen,
  });
  return {
    putJob: async (requestId, evidence: Evidence, seen) => {
      await store.putJob(requestId, evidence as unknown as JsonValue, seen);
    },
    job: async (requestId) => {
      const job = await store.job(requestId);
      return job && readJob(job);
    },
    openJobs: async () => (await store.openJobs()).map(readJob),
    markStarted: (requestId, debits) => store.markStarted(requestId, debits),
    finishJob: (requestId, result, debits) => store.finishJob(requestId, result, debits),
    passRefusal: (requestId, result) => store.passRefusal(requestId, result),
    resultOf: (requestId) => store.resultOf(requestId),
    putPendingShare: ({ share, ...pending }) => {
      const { keyType, index, threshold, publicKey, chainCode, commitments, signingShare, transcriptHash } =
        share;
      const fields = {
        keyType,
        index,
        threshold,
        publicKey,
        chainCode,
        commitments,
        signingShare,
        transcriptHash,
      };
      return store.putPendingShare({ ...pending, share: fields });
    },
    confirmationOf: (requestId) => store.confirmationOf(requestId),
    pendingKeys: async () =>
      (await store.keys()).filter((key) => !key.certificate).map((key) => key.keyId as Hex),
    activateKey: (requestId, certificate) => store.activateKey(requestId, certificate),
    putPendingDerived: (pending) => store.putPendingDerived(pending),
    keyOf: async (keyId) => {
      const key = await store.keyOf(keyId);
      if (key === undefined) return undefined;
      const share = openShare(key.share, roster, self);
      if (key.origin) return openDerived(key, key.origin, share, store.networkId);
      const { chainCode: _, ...generated } = share;
      return { share: generated, certificate: key.certificate };
    },
    rememberHead: ({ id, head, chain, resolved, log }, because) => {
      const remembered = { ...head, log: log as unknown as JsonValue, chain, resolved: [...resolved] };
      return store.rememberHead(id, remembered, because);
    },
    heads: async () => (await store.heads()).map((head) => readHead(head, store.networkId)),
    logOf: async (workspaceId) => {
      const head = await store.head(workspaceId);
      return head && logSchema.parse(head.log);
    },
    rememberFork: (proof) => store.rememberFork(proof),
    forks: () => store.forks(),
    strangeLogs: () => store.strangeLogs(),
    chargeLog: (log) => store.chargeLog(log),
    claimLog: (workspaceId) => store.claimLog(workspaceId),
    forgetLog: (workspaceId) => store.forgetLog(workspaceId),
    freezes: () => store.freezes(),
    setFreeze: (workspaceId, freeze) => store.setFreeze(workspaceId, freeze),
    heldDecisions: () => store.heldDecisions(),
    setHeldDecisions: (changed) => store.setHeldDecisions(changed),
    debits: (now) => store.debits(now),
    noteDebits: (debits) => store.noteDebits(debits),
    forgetDebits: (requestIds, now) => store.forgetDebits(requestIds, now),
    debitsForgotten: () => store.debitsForgotten(),
  };
}
