// Everything a node keeps: `<dir>/storage.key` (sealed under the passphrase), `<dir>/epochs/` (epoch keys), `<dir>/pairs/`
// (secrets of pair setups, never part of a backup) and `<dir>/db` (the journal). Each method's effect is one synchronous batch: it is there, whole, when the method resolves.
import { chmod, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { randomBytes } from '@noble/hashes/utils.js';
import * as z from 'zod';
import { IdentityError } from '../../client/identity/error.ts';
import { createSealedFile, openSealedFile } from '../../client/identity/sealed-file.ts';
import type { Envelope } from '../../protocol/records/envelope.ts';
import { type Epoch, networkIdSchema } from '../../protocol/records/fields.ts';
import { makeFolder, removeLeftovers, writeAtomically } from '../../storage/atomic-file.ts';
import type { RandomBytes } from '../mpc/machine.ts';
import { EpochKeys, epochNames } from './epoch-keys.ts';
import { NodeStoreError } from './error.ts';
import { type Freeze, Freezes } from './freezes.ts';
import {
  type ForkProof,
  type HeadMove,
  Heads,
  type RememberedHead,
  type StrangeLog,
  type WorkspaceHead,
} from './heads.ts';
import { HeldDecisionRecords, type HeldDecisions } from './held-decisions.ts';
import { type Job, Jobs, type JobState, type JsonValue, type OutgoingResult } from './jobs.ts';
import { Journal, type Kind } from './journal.ts';
import { type Debits, LedgerRecords, putForgotten } from './ledger.ts';
import { PairFiles } from './pair-files.ts';
import { PairRecords, Pairs, pairScope } from './pairs.ts';
import { type Pause, pauseKind } from './pause.ts';
import { type PeerBoot, peerBootKind } from './peer-boots.ts';
import { type ActiveKey, type PendingDerived, type PendingShare, Shares, type StoredKey } from './shares.ts';

export interface NodeStoreOptions {
  /** The node's data folder; made with mode 0700 when missing. */
  readonly dir: string;
  readonly passphrase: string;
  /** The network this node belongs to: a folder serves one. */
  readonly networkId: string;
  readonly random?: RandomBytes;
  /** See SealOptions; takes effect when the folder is new. */
  readonly testOnlyScryptCost?: number;
}

const storageKeyKind = 'node-storage';
const storageKeyLength = 32;
const storageKeyFile = 'storage.key';

const networkKind: Kind<{ networkId: string }> = {
  name: 'network',
  schema: z.strictObject({ networkId: networkIdSchema }),
};
/** `marked`: a start has found the mark of the one before it, so that it is missed where it is not. */
const bootKind: Kind<{ count: number; marked?: boolean | undefined }> = {
  name: 'boot',
  schema: z.strictObject({ count: z.int().min(1), marked: z.boolean().optional() }),
};
/** In the folder of pair setups, which backups leave out: the number of the last start. */
const bootMarkFile = 'last-start';
const only = 'this';

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw new NodeStoreError('unavailable', `cannot look at ${path} (${error.code}): check owner and mode`);
    },
  );
}

/** Undefined when there is none that could be read. */
async function readBootMark(path: string): Promise<number | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return /^[0-9]{1,15}\n$/.test(text) ? Number(text) : undefined;
}

async function privateFolder(folder: string): Promise<void> {
  try {
    await makeFolder(folder);
    if (((await stat(folder)).mode & 0o077) !== 0) await chmod(folder, 0o700);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const advice = `make it a folder of the node's user: chmod 700 ${folder}`;
    throw new NodeStoreError('unavailable', `cannot use ${folder} (${code ?? message}): ${advice}`, error);
  }
}

/**
 * Refuses a folder that has keys of epochs, and no journal: epochs get keys after the journal knew its network. Without
 * the journal the shares are gone, and so is what this party has confirmed and signed. Throws `journal_missing`.
 */
async function refuseLostJournal(dir: string, epochs: string): Promise<void> {
  if ((await epochNames(epochs)).length === 0) return;
  const message =
    `${join(dir, 'db')} is missing or empty, and this node has made keys: its shares were in it: ` +
    'restore the whole folder from a backup';
  throw new NodeStoreError('journal_missing', message);
}

async function openStorageKey(journal: Journal, options: NodeStoreOptions): Promise<Uint8Array> {
  const { dir, passphrase, networkId, random = randomBytes, testOnlyScryptCost } = options;
  const path = join(dir, storageKeyFile);
  const network = await journal.get(networkKind, only);
  if (network !== undefined && network.networkId !== networkId) {
    const message = `${dir} belongs to network ${network.networkId}, this node is of ${networkId}: use another folder`;
    throw new NodeStoreError('wrong_network', message);
  }
  try {
    return (await openSealedFile(path, { kind: storageKeyKind, passphrase })).plaintext;
  } catch (error) {
    if (!(error instanceof IdentityError && error.code === 'missing')) throw error;
  }
  if (network !== undefined) {
    throw new NodeStoreError(
      'storage_key_missing',
      `${path} is missing, no share opens without it: restore it from a backup`,
    );
  }
  const storageKey = random(storageKeyLength);
  const sealing = {
    name: 'node.storage-key',
    kind: storageKeyKind,
    passphrase,
    random,
    ...(testOnlyScryptCost && { testOnlyScryptCost }),
  };
  await createSealedFile(path, storageKey, sealing);
  return storageKey;
}

export class NodeStore {
  /** The network this store belongs to. */
  readonly networkId: string;
  readonly #journal: Journal;
  readonly #epochKeys: EpochKeys;
  readonly #shares: Shares;
  readonly #jobs: Jobs;
  readonly #heads: Heads;
  readonly #freezes: Freezes;
  readonly #held: HeldDecisionRecords;
  readonly #ledger: LedgerRecords;
  readonly #pairFiles: PairFiles;
  readonly #pairRecords: PairRecords;

  readonly #bootMark: string;
  #restored = false;
  #boots: Promise<unknown> = Promise.resolve();

  private constructor(
    journal: Journal,
    epochKeys: EpochKeys,
    pairFiles: PairFiles,
    { networkId, dir }: NodeStoreOptions,
  ) {
    this.networkId = networkId;
    this.#bootMark = join(dir, 'pairs', bootMarkFile);
    this.#journal = journal;
    this.#epochKeys = epochKeys;
    this.#pairFiles = pairFiles;
    this.#pairRecords = new PairRecords(journal, pairFiles);
    this.#shares = new Shares(journal, epochKeys, networkId);
    this.#jobs = new Jobs(journal, networkId);
    this.#heads = new Heads(journal);
    this.#freezes = new Freezes(journal);
    this.#held = new HeldDecisionRecords(journal);
    this.#ledger = new LedgerRecords(journal);
  }

  /**
   * Opens or creates a node's store. Throws NodeStoreError `locked`, `corrupt`, `unknown_schema`, `unavailable`,
   * `storage_key_missing`, `journal_missing`, `wrong_network`; IdentityError `wrong_passphrase` and what else openSealedFile throws.
   */
  static async open(options: NodeStoreOptions): Promise<NodeStore> {
    const { dir, networkId, random = randomBytes } = options;
    const epochs = join(dir, 'epochs');
    const pairs = join(dir, 'pairs');
    for (const folder of [dir, epochs, pairs]) await privateFolder(folder);
    const db = join(dir, 'db');
    // Before LevelDB makes an empty one, which would be in the way of the one restored.
    if (!(await exists(join(db, 'CURRENT')))) await refuseLostJournal(dir, epochs);
    const journal = await Journal.open(db);
    try {
      if ((await journal.get(networkKind, only)) === undefined) await refuseLostJournal(dir, epochs);
      const storageKey = await openStorageKey(journal, options);
      // After storage.key is durable: from now on its loss is an error, not a first start.
      await journal.change('network', (change) => {
        if (change.get(networkKind, only) === undefined) change.put(networkKind, only, { networkId });
      });
      const pairFiles = new PairFiles(pairs, storageKey.slice(), random);
      const store = new NodeStore(journal, new EpochKeys(epochs, storageKey, random), pairFiles, options);
      await removeLeftovers(dir, [storageKeyFile]);
      await removeLeftovers(pairs, [bootMarkFile]);
      await store.#epochKeys.removeLeftovers();
      await store.#shares.resumeErasures();
      await store.#shares.loadEpochs();
      for (const erased of await store.#shares.erasedEpochs()) await store.#pairRecords.dropEpoch(erased);
      await store.#pairRecords.eraseStrays();
      return store;
    } catch (error) {
      await journal.close();
      throw error;
    }
  }

  /**
   * The number of this start, from 1; no two starts get the same. Where the journal is older than the mark that the last
   * start left beside it, or that mark is gone, the folder was restored from a backup: then debits count as forgotten from
   * `now` on, in milliseconds since 1970, as durably as the number.
   */
  nextBoot(now = Date.now()): Promise<number> {
    // One after the other: each compares the mark with what the one before it has written.
    const counted = this.#boots.then(() => this.#countBoot(now));
    this.#boots = counted.catch(() => undefined);
    return counted;
  }

  async #countBoot(now: number): Promise<number> {
    const mark = await readBootMark(this.#bootMark);
    const count = await this.#journal.change('boot', (change) => {
      const known = change.get(bootKind, only);
      const next = (known?.count ?? 0) + 1;
      const marked = (known?.marked ?? false) || mark !== undefined;
      change.put(bootKind, only, { count: next, marked });
      this.#restored = mark === undefined ? known?.marked === true : mark > (known?.count ?? 0);
      if (this.#restored) putForgotten(change, now);
      return next;
    });
    await writeAtomically(this.#bootMark, `${count}\n`, { name: 'node.boot-mark' });
    return count;
  }

  /** Whether `nextBoot` has found that the folder was restored from a backup. */
  get restored(): boolean {
    return this.#restored;
  }

  /** Remembers a peer's start, unless one with this or a higher counter is known. */
  rememberBoot(party: string, { counter, bootId }: PeerBoot): Promise<void> {
    return this.#journal.change('peer.boot', (change) => {
      const known = change.get(peerBootKind, party);
      if (known === undefined || counter > known.highest)
        change.put(peerBootKind, party, { party, highest: counter, ...(bootId !== undefined && { bootId }) });
    });
  }

  /** Of each peer the first start that showed its highest boot counter. */
  async highestBoots(): Promise<ReadonlyMap<string, PeerBoot>> {
    const known = await this.#journal.list(peerBootKind);
    return new Map(known.map(({ party, highest, bootId }) => [party, { counter: highest, bootId }]));
  }

  /** The operator's pause, if one stands. */
  pause(): Promise<Pause | undefined> {
    return this.#journal.get(pauseKind, only);
  }

  /** Sets the operator's pause, or ends it. */
  setPause(pause: Pause | undefined): Promise<void> {
    return this.#journal.change('pause', (change) => {
      if (pause === undefined) change.del(pauseKind, only);
      else change.put(pauseKind, only, pause);
    });
  }

  /**
   * Stores a new share, sealed, with the party's one confirmation. Throws `already_confirmed` whenever the request has a
   * confirmation, `epoch_erased`, `invalid` when the records are not of this request; RecordError when one is malformed.
   */
  putPendingShare(pending: PendingShare): Promise<void> {
    return this.#shares.putPendingShare(pending);
  }

  /**
   * Stores the party's one confirmation of a derived key; its parent must be an active, generated key here. Throws as
   * `putPendingShare`, and `wrong_state`.
   */
  putPendingDerived(pending: PendingDerived): Promise<void> {
    return this.#shares.putPendingDerived(pending);
  }

  /** The confirmation this party gave for a key request, pending or active. */
  confirmationOf(requestId: string): Promise<Envelope | undefined> {
    return this.#shares.confirmationOf(requestId);
  }

  /**
   * Makes a pending key active with its certificate, which the caller has verified. Does nothing when it is active.
   * Throws `unknown_request`, `invalid`.
   */
  activateKey(requestId: string, certificate: readonly Envelope[]): Promise<void> {
    return this.#shares.activateKey(requestId, certificate);
  }

  /** An active key with its share opened; a derived one with its parent's. Throws `epoch_erased`, `corrupt`. */
  keyOf(keyId: string): Promise<ActiveKey | undefined> {
    return this.#shares.keyOf(keyId);
  }

  /** All keys, pending ones (without `certificate`) included, without shares. */
  keys(): Promise<readonly StoredKey[]> {
    return this.#shares.keys();
  }

  /**
   * Destroys the key of an epoch's shares: none opens again, and the epoch takes no new ones. Its pair setups are erased
   * too. Throws `unavailable`.
   */
  async eraseEpoch(keyringId: string, epoch: Epoch): Promise<void> {
    await this.#shares.eraseEpoch(keyringId, epoch);
    await this.#pairRecords.dropEpoch({ keyringId, epoch });
  }

  /**
   * The pairs of this party with others: bans and incidents of all time, setups of one keyring and epoch. `self`: this
   * party's credential. Throws `invalid`.
   */
  pairs(self: string, keyringId: string, epoch: Epoch): Pairs {
    return new Pairs(this.#journal, this.#pairFiles, pairScope(self, keyringId, epoch));
  }

  /**
   * Stores a request with its evidence, or newer evidence while the job is open. `seen`, milliseconds since 1970, is
   * kept from the first call. Returns the job's state; a job that is done stays as it is.
   */
  putJob(requestId: string, evidence: JsonValue, seen?: number): Promise<JobState> {
    return this.#jobs.putJob(requestId, evidence, seen);
  }

  job(requestId: string): Promise<Job | undefined> {
    return this.#jobs.job(requestId);
  }

  /** Jobs that are stored or started. */
  openJobs(): Promise<readonly Job[]> {
    return this.#jobs.openJobs();
  }

  /**
   * To be awaited before anything of the signing rounds leaves. What the request takes from limits is written with it, in
   * one batch. Throws `unknown_request`, `wrong_state` when done.
   */
  markStarted(requestId: string, debits?: Debits): Promise<void> {
    return this.#jobs.markStarted(requestId, debits);
  }

  /**
   * Stores this party's own `party.result` and queues it for the connector. The same bytes again do nothing. Signatures
   * replace a refusal; any other second result throws `conflicting_result`, as does a key result that is not the stored
   * confirmation. `debits`: what the request takes from limits, in the same batch. Throws `unknown_request`, `invalid`;
   * RecordError when the record is malformed.
   */
  finishJob(requestId: string, result: Envelope, debits?: Debits): Promise<void> {
    return this.#jobs.finishJob(requestId, result, debits);
  }

  /**
   * Queues a refusal of a request of which no job is stored; with its acknowledgement everything about it is forgotten. Does
   * nothing when there is a job. Returns false when too many results wait. Throws `invalid`; RecordError.
   */
  passRefusal(requestId: string, result: Envelope): Promise<boolean> {
    return this.#jobs.passRefusal(requestId, result);
  }

  /** The result that stands, also after it was acknowledged. */
  resultOf(requestId: string): Promise<Envelope | undefined> {
    return this.#jobs.resultOf(requestId);
  }

  /** At most `limit` unacknowledged results with a sequence above `after`. */
  results(after: number, limit: number): Promise<readonly OutgoingResult[]> {
    return this.#jobs.results(after, limit);
  }

  /** The connector has them up to this sequence: they leave the queue. Throws `invalid` beyond the last one. */
  acknowledgeResults(upTo: number): Promise<void> {
    return this.#jobs.acknowledgeResults(upTo);
  }

  /**
   * Remembers a newer head; the known one again does nothing. With `resolves`, the owners have said that this log stands:
   * it takes the place of any other, and ends the workspace's fork. Throws `head_behind`, `fork`.
   */
  rememberHead(workspaceId: string, head: RememberedHead, because?: HeadMove): Promise<void> {
    return this.#heads.rememberHead(workspaceId, head, because);
  }

  head(workspaceId: string): Promise<RememberedHead | undefined> {
    return this.#heads.head(workspaceId);
  }

  heads(): Promise<readonly WorkspaceHead[]> {
    return this.#heads.heads();
  }

  /** Keeps both logs of a fork; while one of the workspace is open, that one stays. */
  rememberFork(proof: ForkProof): Promise<void> {
    return this.#heads.rememberFork(proof);
  }

  forks(): Promise<readonly ForkProof[]> {
    return this.#heads.forks();
  }

  /** Logs of workspaces for which this node has never begun anything, with who is charged for them. */
  strangeLogs(): Promise<readonly StrangeLog[]> {
    return this.#heads.strangeLogs();
  }

  chargeLog(log: StrangeLog): Promise<void> {
    return this.#heads.chargeLog(log);
  }

  /** From now on this log is kept for good. */
  claimLog(workspaceId: string): Promise<void> {
    return this.#heads.claimLog(workspaceId);
  }

  /** Forgets a log that was charged, and a fork of it; one that was claimed stays. */
  forgetLog(workspaceId: string): Promise<void> {
    return this.#heads.forgetLog(workspaceId);
  }

  /** Workspaces that the operator has frozen on this node. */
  freezes(): Promise<readonly Freeze[]> {
    return this.#freezes.all();
  }

  /** Sets the operator's freeze of a workspace, or ends it. */
  setFreeze(workspaceId: string, freeze: Freeze | undefined): Promise<void> {
    return this.#freezes.set(workspaceId, freeze);
  }

  /** Decisions about requests that have not come yet. */
  heldDecisions(): Promise<readonly HeldDecisions[]> {
    return this.#held.all();
  }

  setHeldDecisions(
    changed: readonly { requestId: string; decisions: HeldDecisions['decisions'] }[],
  ): Promise<void> {
    return this.#held.set(changed);
  }

  /** What was taken from limits, as far as any still counts it at `now`; the rest is deleted. */
  debits(now: number): Promise<readonly Debits[]> {
    return this.#ledger.load(now);
  }

  /** What a request takes from limits that others have signed. */
  noteDebits(debits: Debits): Promise<void> {
    return this.#ledger.note(debits);
  }

  /** Deletes debits of these requests, as far as no limit counts them any more at `now`. */
  forgetDebits(requestIds: readonly string[], now: number): Promise<void> {
    return this.#ledger.forget(requestIds, now);
  }

  /** When debits may have been forgotten last, in milliseconds since 1970. */
  debitsForgotten(): Promise<number | undefined> {
    return this.#ledger.forgotten();
  }

  /** Completes what was accepted, zeroes the keys and releases the folder. */
  async close(): Promise<void> {
    await this.#journal.close();
    await this.#epochKeys.close();
    this.#pairFiles.close();
  }
}
