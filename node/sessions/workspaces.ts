// What this node knows of workspaces, and why it may sign nothing for one: its newest log, behind which it never goes back;
// logs that its owners let fork; and workspaces that this node's operator has frozen.
import { type Authorisation, maxLogEnvelopes } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { Envelope } from '../../protocol/records/envelope.ts';
import type { LogHead } from '../../protocol/records/fields.ts';
import {
  compareLogs,
  joinLogs,
  leavesEntries,
  type LogChain,
  type LogFork,
  type LogRelation,
  weighLogs,
  type WholeLog,
} from '../../protocol/records/log-relation.ts';
import { openWorkspace, type Workspace } from '../../protocol/records/workspace.ts';
import type { Freeze } from '../store/freezes.ts';
import type { ForkProof } from '../store/heads.ts';
import type { SessionContext } from './context.ts';

export type KnownLog = LogChain;

/** How a log stands to what was known; `newer` also of a workspace that was not known. */
export type LogOutcome = 'newer' | 'same' | 'older' | 'fork';

/** Why nothing is signed for a request whose evidence may be sound. */
export interface Obstacle {
  readonly code: 'stale_log_head' | 'fork' | 'frozen_here';
  readonly message: string;
}

/** For `node status` and `node log show`. */
export interface WorkspaceStatus {
  readonly workspaceId: Hex;
  readonly head?: LogHead;
  /** Two entries stand after `common`. */
  readonly fork?: { readonly at: number; readonly common: LogHead; readonly entries: readonly [Hex, Hex] };
  readonly frozen?: { readonly since: string; readonly reason?: string };
}

type Asked = Pick<Authorisation, 'workspace' | 'parent'>;

/** The workspace that asks, and its parent, when it has one. */
export function workspacesOf({ workspace, parent }: Asked): readonly Workspace[] {
  return parent === undefined ? [workspace] : [workspace, parent];
}

/** Heads of logs that are remembered beside an open fork. */
const maxAside = 64;

export class Workspaces {
  readonly #context: SessionContext;
  readonly #known = new Map<Hex, KnownLog>();
  /** Those that are not resolved. */
  readonly #forks = new Map<Hex, ForkProof>();
  /** Of those, the branch that this node does not go on with. */
  readonly #branches = new Map<Hex, LogChain>();
  /** Heads of further logs of those, which came meanwhile. */
  readonly #aside = new Map<Hex, Set<Hex>>();
  readonly #freezes = new Map<Hex, Freeze>();

  constructor(context: SessionContext) {
    this.#context = context;
  }

  /** Takes up what the journal holds; before anything is judged. */
  async open(): Promise<void> {
    const { store, log, networkId } = this.#context;
    for (const known of await store.heads()) this.#known.set(known.id, known);
    for (const fork of await store.forks()) {
      if (!fork.open) continue;
      this.#forks.set(fork.workspaceId as Hex, fork);
      this.#branches.set(fork.workspaceId as Hex, openWorkspace(fork.logs[1], networkId));
      log('workspace.forked', { level: 'warn', workspaceId: fork.workspaceId, seq: fork.common.seq + 1 });
    }
    for (const freeze of await store.freezes()) {
      this.#freezes.set(freeze.workspaceId as Hex, freeze);
      log('workspace.frozen', { level: 'warn', ...freeze });
    }
  }

  /** How many are known. */
  get size(): number {
    return this.#known.size;
  }

  known(workspaceId: Hex): KnownLog | undefined {
    return this.#known.get(workspaceId);
  }

  all(): Iterable<KnownLog> {
    return this.#known.values();
  }

  /** The proof that a workspace's log has forked, until its owners have resolved it. */
  fork(workspaceId: Hex): ForkProof | undefined {
    return this.#forks.get(workspaceId);
  }

  /** What this node can tell of a workspace: its newest log, and the other branch of one that has forked. */
  branches(workspaceId: Hex): readonly LogChain[] {
    return [this.#known.get(workspaceId) ?? [], this.#branches.get(workspaceId) ?? []].flat();
  }

  /** Whether a log up to this entry has come: it is in what can be told, or was left aside for an open fork. */
  holds(workspaceId: Hex, entry: Hex): boolean {
    const isIn = ({ chain }: LogChain): boolean => chain.includes(entry);
    return this.branches(workspaceId).some(isIn) || this.#aside.get(workspaceId)?.has(entry) === true;
  }

  /** A log that was replayed and verified. Durable when it resolves. Calls about one workspace come one after the other. */
  async observe(workspace: Workspace, source: string): Promise<LogOutcome> {
    const { store, log } = this.#context;
    const { id } = workspace;
    const known = this.#known.get(id);
    const compared = known && (await this.#weighed(known, workspace));
    if (compared?.relation === 'fork') return await this.#forked(workspace, compared, source);
    if (compared && compared.relation !== 'newer') return compared.relation;
    const joined = compared ? await this.#joined(known!, workspace, compared.ahead) : workspace;
    const { head, chain, resolved } = joined;
    const fork = this.#forks.get(id);
    const leaves = known !== undefined && leavesEntries(known, joined);
    const ends = fork !== undefined && this.#isOver(fork, joined);
    await store.rememberHead(joined, { leaves, ends });
    this.#known.set(id, { id, head, chain, resolved });
    if (ends) {
      this.#forks.delete(id);
      this.#branches.delete(id);
      this.#aside.delete(id);
      log('workspace.resolved', { workspaceId: id, seq: fork.common.seq + 1, left: leaves });
    }
    if (known !== undefined) log('workspace.head', { workspaceId: id, seq: head.seq, id: head.id, source });
    return 'newer';
  }

  /** As `weighLogs`, which replays what is known, and so only where it matters. */
  async #weighed(known: KnownLog, received: Workspace): Promise<LogRelation> {
    const { store, networkId } = this.#context;
    const quick = compareLogs(known, received);
    const leaves = quick.relation === 'newer' && quick.ahead === 'received';
    if (quick.relation !== 'fork' && !(leaves && leavesEntries(known, received))) return quick;
    const log = await store.logOf(known.id);
    return log === undefined ? quick : weighLogs(openWorkspace(log, networkId), received, networkId);
  }

  /** Whether a fork is none any more in this log: its owners have said which entry stands, or the other branch counts for nothing. */
  #isOver({ common, logs }: ForkProof, joined: WholeLog): boolean {
    if (joined.resolved.has(common.id as Hex) || joined.chain[common.seq] !== common.id) return true;
    const { networkId } = this.#context;
    const [own, other] = [joined.log, logs[1]].map((log) => openWorkspace(log, networkId));
    return weighLogs(own!, other!, networkId).relation !== 'fork';
  }

  /** What owners said of which entries stand is in no place of a log that goes on: it is carried into it. */
  async #joined(known: KnownLog, received: Workspace, ahead: 'known' | 'received'): Promise<WholeLog> {
    const { store, networkId } = this.#context;
    if (ahead === 'received' && known.resolved.size === 0) return received;
    const held = { ...known, log: (await store.logOf(known.id)) ?? [] };
    const [first, other] = ahead === 'known' ? [held, received] : [received, held];
    const joined = joinLogs(first, other, networkId);
    // No longer than others take: what was said is remembered all the same.
    return joined.log.length > maxLogEnvelopes ? { ...joined, log: first.log } : joined;
  }

  /** Another fork of a workspace is not kept beside one that is open: it is seen when its log comes after that has ended. */
  async #forked(workspace: Workspace, { common, known, received }: LogFork, source: string): Promise<'fork'> {
    const { store, log, clock } = this.#context;
    const { id } = workspace;
    if (this.#forks.has(id)) {
      const aside = this.#aside.get(id) ?? new Set();
      if (aside.size < maxAside) this.#aside.set(id, aside.add(workspace.head.id));
      return 'fork';
    }
    const logs = [(await store.logOf(id)) ?? [], workspace.log] as const;
    const proof: ForkProof = { workspaceId: id, at: clock.now(), common, known, received, logs, open: true };
    // At once: what is signed while a disk is slow would be signed on one owner's word against another's.
    this.#forks.set(id, proof);
    this.#branches.set(id, workspace);
    log('session.incident', {
      code: 'fork',
      workspaceId: id,
      seq: common.seq + 1,
      own: known,
      received,
      source,
    });
    await store.rememberFork(proof);
    return 'fork';
  }

  /** Its newest log, and of one that has forked the other one too. */
  async logsOf(
    workspaceId: Hex,
  ): Promise<{ readonly log: readonly Envelope[]; readonly fork?: ForkProof } | undefined> {
    const log = await this.#context.store.logOf(workspaceId);
    const fork = this.#forks.get(workspaceId);
    return log && { log, ...(fork && { fork }) };
  }

  /** Why nothing may be signed now for what this asks for, whatever its evidence says. */
  obstacle(asked: Asked): Obstacle | undefined {
    for (const { id, head } of workspacesOf(asked)) {
      const freeze = this.#freezes.get(id);
      if (freeze !== undefined) {
        const why = freeze.reason === undefined ? '' : `: ${freeze.reason}`;
        const message = `workspace ${id} is frozen on this node by its operator since ${freeze.since}${why}`;
        return { code: 'frozen_here', message };
      }
      const fork = this.#forks.get(id);
      if (fork !== undefined) {
        const message = `workspace ${id} has two log entries ${fork.common.seq + 1}: its owners must resolve which one stands`;
        return { code: 'fork', message };
      }
      const known = this.#known.get(id)?.head;
      if (known !== undefined && known.id !== head.id) {
        const message = `workspace ${id} is at log entry ${known.seq} ${known.id}, the request was made at ${head.seq}`;
        return { code: 'stale_log_head', message };
      }
    }
    return undefined;
  }

  isFrozen(workspaceId: Hex): boolean {
    return this.#freezes.has(workspaceId);
  }

  /** Holds from the moment of the call; durable when it resolves. */
  async freeze(freeze: Freeze): Promise<void> {
    const workspaceId = freeze.workspaceId as Hex;
    this.#freezes.set(workspaceId, freeze);
    this.#context.log('workspace.frozen', { level: 'warn', ...freeze });
    await this.#context.store.setFreeze(workspaceId, freeze);
  }

  /** Durable before anything is signed again. Returns the freeze that has ended. */
  async unfreeze(workspaceId: Hex): Promise<Freeze | undefined> {
    const freeze = this.#freezes.get(workspaceId);
    if (freeze === undefined) return undefined;
    await this.#context.store.setFreeze(workspaceId, undefined);
    this.#freezes.delete(workspaceId);
    this.#context.log('workspace.unfrozen', { level: 'warn', workspaceId, frozenSince: freeze.since });
    return freeze;
  }

  status(): readonly WorkspaceStatus[] {
    const ids = new Set([...this.#known.keys(), ...this.#freezes.keys()]);
    return [...ids].map((workspaceId) => {
      const head = this.#known.get(workspaceId)?.head;
      const fork = this.#forks.get(workspaceId);
      const freeze = this.#freezes.get(workspaceId);
      return {
        workspaceId,
        ...(head && { head }),
        ...(fork && {
          fork: {
            at: fork.at,
            common: fork.common as LogHead,
            entries: [fork.known as Hex, fork.received as Hex] as const,
          },
        }),
        ...(freeze && {
          frozen: {
            since: freeze.since,
            ...(freeze.reason !== undefined && { reason: freeze.reason }),
          },
        }),
      };
    });
  }
}
