// A network of nodes' sessions in one process on virtual time: real records, real cryptography, messages delivered in
// memory with delays from a seed. Hooks may drop, alter or watch what is sent.
import assert from 'node:assert/strict';
import type { Evidence } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { Envelope, Signer } from '../../protocol/records/envelope.ts';
import { readContent } from '../../protocol/records/envelope.ts';
import { partyResult } from '../../protocol/records/party-result.ts';
import type { Origin } from '../../protocol/records/request.ts';
import type { WholeLog } from '../../protocol/records/log-relation.ts';
import type { KeyShare } from '../../node/mpc/dkg/key-share.ts';
import {
  type BlameFile,
  type Clock,
  defaultTiming,
  type LoadedKey,
  type SessionContext,
  type SessionStore,
  type StoredJob,
} from '../../node/sessions/context.ts';
import { deriveStoredKey } from '../../node/sessions/derived.ts';
import { PairGate } from '../../node/sessions/pairs/gate.ts';
import { bootId, Sessions } from '../../node/sessions/sessions.ts';
import type { KnownLog } from '../../node/sessions/workspaces.ts';
import type { Freeze } from '../../node/store/freezes.ts';
import type { ForkProof, HeadMove, StrangeLog } from '../../node/store/heads.ts';
import type { HeldDecisions } from '../../node/store/held-decisions.ts';
import type { Debits } from '../../node/store/ledger.ts';
import { longestWindow } from '../../protocol/policy/schema.ts';
import { inlineWork } from '../../node/work/inline.ts';
import type { Work } from '../../node/work/work.ts';
import { networkId, seedOf, start, type World } from './fixture.ts';
import { dealtSetup } from './dkls23-parties.ts';
import { MemoryPairStore } from './memory-pair-store.ts';

/** Time that passes only when told. */
export class VirtualClock implements Clock {
  #now = start;
  #next = 0;
  readonly #timers = new Map<number, { at: number; call: () => void }>();

  now(): number {
    return this.#now;
  }

  after(ms: number, call: () => void): () => void {
    const id = this.#next++;
    this.#timers.set(id, { at: this.#now + Math.max(0, ms), call });
    return () => this.#timers.delete(id);
  }

  /** Runs the earliest timer. Returns false when there is none before `until`. */
  step(until: number): boolean {
    const [first] = [...this.#timers].toSorted(([a, x], [b, y]) => x.at - y.at || a - b);
    if (first === undefined || first[1].at > until) return false;
    this.#timers.delete(first[0]);
    this.#now = Math.max(this.#now, first[1].at);
    first[1].call();
    return true;
  }
}

/** What a node's disk would hold. Lives longer than the node in tests that restart it. */
export class MemorySessionStore implements SessionStore {
  readonly jobs = new Map<
    Hex,
    { evidence: Evidence; state: 'stored' | 'started' | 'done'; seen: number | undefined }
  >();
  readonly logs = new Map<Hex, WholeLog>();
  readonly forked = new Map<string, ForkProof>();
  readonly strange = new Map<string, StrangeLog>();
  readonly frozen = new Map<Hex, Freeze>();
  readonly held = new Map<Hex, HeldDecisions['decisions']>();
  readonly debited = new Map<string, Debits>();
  /** As a start on an old copy of the folder leaves it. */
  forgotten: number | undefined;
  readonly finished = new Map<Hex, Envelope>();
  readonly pending = new Map<Hex, { share: KeyShare; confirmation: Envelope }>();
  readonly derived = new Map<
    Hex,
    { origin: Origin; confirmation: Envelope; certificate?: readonly Envelope[] }
  >();
  readonly active = new Map<Hex, { share: KeyShare; certificate: readonly Envelope[] }>();
  /** Called before every durable write with its name; throws to crash there. */
  beforeWrite: (name: string) => void = () => undefined;
  /** Called when a read or write is done, before who asked for it goes on. */
  afterCall: (name: string) => void = () => undefined;

  async putJob(requestId: Hex, evidence: Evidence, seen: number): Promise<void> {
    this.beforeWrite('putJob');
    const job = this.jobs.get(requestId);
    this.jobs.set(requestId, { state: job?.state ?? 'stored', evidence, seen: job?.seen ?? seen });
  }
  async job(requestId: Hex): Promise<StoredJob | undefined> {
    const job = this.jobs.get(requestId);
    return job && { requestId, evidence: job.evidence, seen: job.seen };
  }
  async openJobs(): Promise<readonly StoredJob[]> {
    return [...this.jobs].flatMap(([requestId, { evidence, state, seen }]) =>
      state === 'done' ? [] : [{ requestId, evidence, seen }],
    );
  }
  async markStarted(requestId: Hex, debits?: Debits): Promise<void> {
    this.beforeWrite('markStarted');
    const job = this.jobs.get(requestId);
    if (job === undefined) throw new Error(`no job ${requestId}`);
    if (job.state === 'stored') job.state = 'started';
    if (debits) this.debited.set(requestId, debits);
  }
  async finishJob(requestId: Hex, result: Envelope, debits?: Debits): Promise<void> {
    this.beforeWrite('finishJob');
    const job = this.jobs.get(requestId);
    if (job === undefined) throw new Error(`no job ${requestId}`);
    const held = this.finished.get(requestId);
    if (held && held.bytes !== result.bytes && this.kindOf(held) !== 'refusal')
      throw new Error('conflicting result');
    this.finished.set(requestId, result);
    if (debits) this.debited.set(requestId, debits);
    job.state = 'done';
  }
  async passRefusal(requestId: Hex, result: Envelope): Promise<boolean> {
    this.beforeWrite('passRefusal');
    if (!this.jobs.has(requestId)) this.finished.set(requestId, result);
    return true;
  }
  async resultOf(requestId: Hex): Promise<Envelope | undefined> {
    return this.finished.get(requestId);
  }
  async putPendingShare(pending: { requestId: Hex; share: KeyShare; confirmation: Envelope }): Promise<void> {
    this.beforeWrite('putPendingShare');
    if (this.pending.has(pending.requestId) || this.active.has(pending.requestId))
      throw new Error('already confirmed');
    this.pending.set(pending.requestId, pending);
  }
  async putPendingDerived(pending: {
    requestId: Hex;
    origin: Origin;
    confirmation: Envelope;
  }): Promise<void> {
    this.beforeWrite('putPendingDerived');
    const { requestId, origin, confirmation } = pending;
    if (this.derived.has(requestId)) throw new Error('already confirmed');
    if (!this.active.has(origin.parent)) throw new Error(`no active key ${origin.parent}`);
    this.derived.set(requestId, { origin, confirmation });
  }
  async confirmationOf(requestId: Hex): Promise<Envelope | undefined> {
    return (this.pending.get(requestId) ?? this.derived.get(requestId))?.confirmation;
  }
  async pendingKeys(): Promise<readonly Hex[]> {
    const derived = [...this.derived].flatMap(([id, { certificate }]) => (certificate ? [] : [id]));
    return [...[...this.pending.keys()].filter((requestId) => !this.active.has(requestId)), ...derived];
  }
  async activateKey(requestId: Hex, certificate: readonly Envelope[]): Promise<void> {
    this.beforeWrite('activateKey');
    const derived = this.derived.get(requestId);
    if (derived) {
      derived.certificate = certificate;
      return;
    }
    const { share } = this.pending.get(requestId) as { share: KeyShare };
    this.active.set(requestId, { share, certificate });
  }
  async keyOf(keyId: Hex): Promise<LoadedKey | undefined> {
    const { origin, certificate } = this.derived.get(keyId) ?? {};
    if (origin === undefined || certificate === undefined) return this.active.get(keyId);
    const { share } = this.active.get(origin.parent) as { share: KeyShare };
    return { ...deriveStoredKey(origin.parent, share, origin.path), certificate };
  }
  async rememberHead(log: WholeLog, { leaves, ends }: HeadMove): Promise<void> {
    this.beforeWrite('rememberHead');
    const known = this.logs.get(log.id);
    if (!leaves && known !== undefined && known.head.seq > log.head.seq) throw new Error('goes back');
    this.logs.set(log.id, log);
    const fork = this.forked.get(log.id);
    if (ends && fork) this.forked.set(log.id, { ...fork, open: false });
  }
  async heads(): Promise<readonly KnownLog[]> {
    return [...this.logs.values()];
  }
  async logOf(workspaceId: Hex): Promise<readonly Envelope[] | undefined> {
    return this.logs.get(workspaceId)?.log;
  }
  async rememberFork(proof: ForkProof): Promise<void> {
    this.beforeWrite('rememberFork');
    this.forked.set(proof.workspaceId, proof);
  }
  async forks(): Promise<readonly ForkProof[]> {
    return [...this.forked.values()];
  }
  async strangeLogs(): Promise<readonly StrangeLog[]> {
    return [...this.strange.values()];
  }
  async chargeLog(log: StrangeLog): Promise<void> {
    this.beforeWrite('chargeLog');
    this.strange.set(log.workspaceId, log);
  }
  async claimLog(workspaceId: Hex): Promise<void> {
    this.beforeWrite('claimLog');
    this.strange.delete(workspaceId);
  }
  async forgetLog(workspaceId: Hex): Promise<void> {
    this.beforeWrite('forgetLog');
    if (!this.strange.delete(workspaceId)) return;
    this.logs.delete(workspaceId);
    this.forked.delete(workspaceId);
  }
  async freezes(): Promise<readonly Freeze[]> {
    return [...this.frozen.values()];
  }
  async setFreeze(workspaceId: Hex, freeze: Freeze | undefined): Promise<void> {
    this.beforeWrite('setFreeze');
    if (freeze) this.frozen.set(workspaceId, freeze);
    else this.frozen.delete(workspaceId);
  }
  async heldDecisions(): Promise<readonly HeldDecisions[]> {
    return [...this.held].map(([requestId, decisions]) => ({ requestId, decisions }));
  }
  async setHeldDecisions(
    changed: readonly { requestId: Hex; decisions: HeldDecisions['decisions'] }[],
  ): Promise<void> {
    this.beforeWrite('setHeldDecisions');
    for (const { requestId, decisions } of changed) {
      if (decisions.length > 0) this.held.set(requestId, decisions);
      else this.held.delete(requestId);
    }
  }
  async debits(now: number): Promise<readonly Debits[]> {
    return [...this.debited.values()].filter(({ at }) => at > now - longestWindow);
  }
  async noteDebits(debits: Debits): Promise<void> {
    this.beforeWrite('noteDebits');
    this.debited.set(debits.requestId, debits);
  }
  async forgetDebits(requestIds: readonly string[]): Promise<void> {
    this.beforeWrite('forgetDebits');
    for (const requestId of requestIds) this.debited.delete(requestId);
  }
  async debitsForgotten(): Promise<number | undefined> {
    return this.forgotten;
  }
  kindOf(envelope: Envelope): string {
    return readContent(partyResult, envelope, networkId).content.result.kind;
  }
}

/** The store as one process sees it: of what that process still wants to do after it died, nothing happens. */
function whileAlive(store: MemorySessionStore, lives: () => boolean): SessionStore {
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return async (...parameters: unknown[]) => {
        const never = new Promise<never>(() => undefined);
        if (!lives()) return never;
        try {
          const result: unknown = await (value as (...all: unknown[]) => unknown).apply(target, parameters);
          target.afterCall(String(name));
          if (lives()) return result;
        } catch (error) {
          if (lives()) throw error;
        }
        return never;
      };
    },
  });
}

export interface Sent {
  readonly from: string;
  /** Undefined: gossip. */
  readonly to?: string;
  readonly bytes: Uint8Array;
}

export interface SimulatedNode {
  readonly party: Signer;
  readonly store: MemorySessionStore;
  /** Its pair setups and bans; like the store, it outlives the process. */
  readonly pairs: MemoryPairStore;
  /** Where it takes part in ECDSA. */
  gate: PairGate | undefined;
  sessions: Sessions;
  boot: string;
  alive: boolean;
  /** As its disk says when it boots. */
  paused: boolean;
  readonly logged: { event: string; fields: Record<string, unknown> }[];
  /** Proofs of others' faults that it has kept. */
  readonly blamed: BlameFile[];
}

export interface SessionWorldOptions {
  readonly seed?: string;
  readonly streamCopies?: boolean;
  /**
   * Parties take part in ECDSA, and keep so many presignatures. `dealt`: every pair has a setup from the start, dealt by
   * somebody who knows both sides; else they make their own, which takes seconds.
   */
  readonly ecdsa?: { readonly presignatures: number; readonly dealt?: boolean };
  /** Where a node's work is done instead of at once. */
  readonly work?: (inline: Work, net: SessionWorld, index: number) => Work;
  /** What arrives instead; undefined drops it. */
  readonly intercept?: (sent: Sent) => Uint8Array | undefined;
  /**
   * After how many virtual milliseconds each copy of a message arrives at `to`; none: it is lost. What goes over a stream
   * (`sent.to`) arrives once and in order: only the first is counted.
   */
  readonly delays?: (sent: Sent, to: string) => readonly number[];
  /** How far a node's clock is from the true time, in milliseconds. */
  readonly skew?: (index: number) => number;
}

export class SessionWorld {
  readonly world: World;
  readonly clock = new VirtualClock();
  readonly nodes: SimulatedNode[];
  /** Everything that left a node, in order. */
  readonly sent: Sent[] = [];
  intercept: (sent: Sent) => Uint8Array | undefined;
  readonly #options: SessionWorldOptions;
  /** Pairs without a channel, and what waits in the outboxes of each: `from/to`. */
  readonly #cut = new Map<string, (() => void)[]>();
  /** When the last message of each stream arrives: `from/to`. */
  readonly #arrivals = new Map<string, number>();
  #draws = 0;
  /** Messages that each running process is at work on, by its boot id. */
  readonly #busy = new Map<string, number>();

  constructor(world: World, options: SessionWorldOptions = {}) {
    this.world = world;
    this.#options = options;
    this.intercept = options.intercept ?? ((sent) => sent.bytes);
    this.nodes = world.parties.map((party) => {
      const node: SimulatedNode = {
        party,
        store: new MemorySessionStore(),
        pairs: new MemoryPairStore(),
        gate: undefined,
        sessions: undefined as unknown as Sessions,
        boot: '',
        alive: false,
        paused: false,
        logged: [],
        blamed: [],
      };
      return node;
    });
    if (options.ecdsa?.dealt) this.#deal();
  }

  #deal(): void {
    for (const [index, node] of this.nodes.entries()) {
      for (const [other, { party }] of this.nodes.entries()) {
        if (other !== index) node.pairs.kept(party.credential).setup = dealtSetup(index + 1, other + 1);
      }
    }
  }

  #random(length: number): Uint8Array {
    const chunks: Uint8Array[] = [];
    for (let have = 0; have < length; have += 32)
      chunks.push(seedOf(this.#options.seed ?? 'seed', 'draw', this.#draws++));
    return Uint8Array.from(chunks.flatMap((chunk) => [...chunk]).slice(0, length));
  }

  /** Starts a node, or starts it again on what its store holds. */
  async boot(index: number): Promise<SimulatedNode> {
    const node = this.nodes[index] as SimulatedNode;
    const random = (length: number): Uint8Array => this.#random(length);
    const boot = bootId(random);
    node.boot = boot;
    node.alive = true;
    // What a killed process still had in mind comes to nothing, also after another one has taken its place.
    const lives = (): boolean => node.alive && node.boot === boot;
    const clock: Clock = {
      now: () => this.clock.now() + (this.#options.skew?.(index) ?? 0),
      after: (ms, call) => this.clock.after(ms, () => lives() && call()),
    };
    const log = (event: string, fields: Record<string, unknown>): unknown =>
      node.logged.push({ event, fields });
    const { ecdsa } = this.#options;
    node.gate =
      ecdsa &&
      (await PairGate.open({
        store: node.pairs,
        clock,
        log,
      }));
    const context: SessionContext = {
      networkId,
      keyring: this.world.keyring,
      signer: node.party,
      boot,
      transport: {
        send: (to, bytes) => lives() && this.#carry(node, to, bytes),
        publish: (bytes) => lives() && this.#carry(node, undefined, bytes),
        up: () =>
          new Set(
            this.nodes
              .filter((other) => other.alive && other !== node && this.#connected(node, other))
              .map((other) => other.party.credential),
          ),
      },
      store: whileAlive(node.store, lives),
      clock,
      random,
      work: this.#options.work?.(inlineWork(random), this, index) ?? inlineWork(random),
      timing: defaultTiming,
      log,
      blame: { wants: () => true, keep: async (bundle) => void node.blamed.push(bundle) },
      streamCopies: this.#options.streamCopies ?? true,
      ...(node.gate && ecdsa && { pairs: node.gate, presignatures: ecdsa.presignatures }),
    };
    node.sessions = new Sessions(context, () => undefined);
    if (node.paused) node.sessions.pause();
    await node.sessions.start();
    for (const other of this.nodes) {
      if (other === node || !other.alive || !lives() || !this.#connected(node, other)) continue;
      other.sessions.peer(node.party.credential, true, node.boot);
      node.sessions.peer(other.party.credential, true, other.boot);
    }
    return node;
  }

  async bootAll(): Promise<void> {
    for (const index of this.nodes.keys()) await this.boot(index);
  }

  /** As kill -9: what was sent may arrive, nothing else happens any more. */
  kill(index: number): void {
    const node = this.nodes[index] as SimulatedNode;
    node.alive = false;
    for (const other of this.nodes) {
      if (other.alive && this.#connected(node, other))
        other.sessions.peer(node.party.credential, false, node.boot);
    }
  }

  #connected(a: SimulatedNode, b: SimulatedNode): boolean {
    return !this.#cut.has(`${a.party.credential}/${b.party.credential}`);
  }

  /** Cuts the channels between these two parties, or restores them: what was sent meanwhile over the streams arrives then. */
  connect(first: number, second: number, connected: boolean): void {
    const [a, b] = [this.nodes[first] as SimulatedNode, this.nodes[second] as SimulatedNode];
    if (a === b || this.#connected(a, b) === connected) return;
    const waiting: (() => void)[] = [];
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const pair = `${from.party.credential}/${to.party.credential}`;
      if (connected) {
        waiting.push(...(this.#cut.get(pair) ?? []));
        this.#cut.delete(pair);
      } else this.#cut.set(pair, []);
      if (a.alive && b.alive) from.sessions.peer(to.party.credential, connected, to.boot);
    }
    for (const send of waiting) send();
  }

  #carry(from: SimulatedNode, to: string | undefined, bytes: Uint8Array): void {
    if (!from.alive) return;
    const sent: Sent = { from: from.party.credential, bytes, ...(to !== undefined && { to }) };
    this.sent.push(sent);
    const arriving = this.intercept(sent);
    if (arriving === undefined) return;
    const receivers = this.nodes.filter(
      (node) => node !== from && (to === undefined || node.party.credential === to),
    );
    for (const receiver of receivers) {
      const { boot } = receiver;
      const party = receiver.party.credential;
      const pair = `${from.party.credential}/${party}`;
      const delays = this.#options.delays?.(sent, party) ?? [to === undefined ? 4 : 1];
      const deliver = (delay: number): void => {
        this.clock.after(delay, () => {
          // A restarted process does not get what was meant for the one before it.
          if (!receiver.alive || receiver.boot !== boot) return;
          const under = this.#busy.get(boot) ?? 0;
          this.#busy.set(boot, under + 1);
          void receiver.sessions
            .receive(from.party.credential, arriving, to === undefined ? 'gossip' : 'stream')
            .finally(() => this.#busy.set(boot, (this.#busy.get(boot) ?? 1) - 1));
        });
      };
      const outbox = this.#cut.get(pair);
      if (to === undefined) {
        if (outbox === undefined) delays.forEach(deliver);
        continue;
      }
      const send = (): void => {
        const now = this.clock.now();
        const at = Math.max(now + (delays[0] ?? 1), this.#arrivals.get(pair) ?? 0);
        this.#arrivals.set(pair, at);
        deliver(at - now);
      };
      if (outbox) outbox.push(send);
      else send();
    }
  }

  /** Lets everything that is ready run. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet++) {
      await new Promise((resolve) => setImmediate(resolve));
      // What waits for the budget of its sender waits for time to pass.
      const isBusy = ({ alive, boot, sessions }: SimulatedNode): boolean =>
        alive && (this.#busy.get(boot) ?? 0) > (sessions.resting ?? 0);
      if (this.nodes.some(isBusy)) quiet = -1;
    }
  }

  /** Runs virtual time until `done`, at most `ms`. Throws when it never is. */
  async until(done: () => boolean, ms = 120_000, what = 'the condition'): Promise<void> {
    const end = this.clock.now() + ms;
    await this.settle();
    while (!done()) {
      if (!this.clock.step(end)) assert.fail(`${what} did not come true within ${ms} virtual ms`);
      await this.settle();
    }
  }

  /** Runs `ms` of virtual time. */
  async pass(ms: number): Promise<void> {
    const end = this.clock.now() + ms;
    await this.settle();
    while (this.clock.step(end)) await this.settle();
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.filter((node) => node.alive).map((node) => node.sessions.stop()));
  }
}
