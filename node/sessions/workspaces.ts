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
  readonly code: 'stale_log_head' | 'log_unsaved' | 'fork' | 'frozen_here';
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

/** A log that holds, and that the disk does not have yet. */
interface UnsavedLog {
  readonly log: WholeLog;
  /** What the disk has. */
  readonly saved: KnownLog | undefined;
  /** Its owners have said that it stands, whatever the disk has. */
  readonly leaves: boolean;
  readonly source: string;
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
  readonly #unsaved = new Map<Hex, UnsavedLog>();
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

  /** The newest log, by which this node judges. */
  known(workspaceId: Hex): KnownLog | undefined {
    return this.#known.get(workspaceId);
  }

  /** The newest log that is durable, of which others may be told. */
  saved(workspaceId: Hex): KnownLog | undefined {
    const unsaved = this.#unsaved.get(workspaceId);
    return unsaved === undefined ? this.#known.get(workspaceId) : unsaved.saved;
  }

  /** Whether the newest log is durable. */
  isSaved(workspaceId: Hex): boolean {
    return !this.#unsaved.has(workspaceId);
  }

  ids(): Iterable<Hex> {
    return this.#known.keys();
  }

  /** Nothing is known of it any more but what its operator said. Its log is taken off the disk elsewhere. */
  forget(workspaceId: Hex): void {
    this.#known.delete(workspaceId);
    this.#unsaved.delete(workspaceId);
    this.#forks.delete(workspaceId);
    this.#branches.delete(workspaceId);
    this.#aside.delete(workspaceId);
  }

  /** The proof that a workspace's log has forked, until its owners have resolved it. */
  fork(workspaceId: Hex): ForkProof | undefined {
    return this.#forks.get(workspaceId);
  }

  /** What this node can tell of a workspace: its newest log that is durable, and the other branch of one that has forked. */
  branches(workspaceId: Hex): readonly LogChain[] {
    return [this.saved(workspaceId) ?? [], this.#branches.get(workspaceId) ?? []].flat();
  }

  /** Whether a log up to this entry has come: it is in what can be told, or was left aside for an open fork. */
  holds(workspaceId: Hex, entry: Hex): boolean {
    const isIn = ({ chain }: LogChain): boolean => chain.includes(entry);
    return this.branches(workspaceId).some(isIn) || this.#aside.get(workspaceId)?.has(entry) === true;
  }

  /**
   * A log that was replayed and verified. A newer one holds at once, which `onHeld` hears; durable when it resolves. After a
   * write that failed it still holds, and the next call tries again. Calls about one workspace come one after the other.
   */
  async observe(
    workspace: Workspace,
    source: string,
    onHeld: () => void = () => undefined,
  ): Promise<LogOutcome> {
    const { id } = workspace;
    const known = this.#known.get(id);
    const compared = known && (await this.#weighed(known, workspace));
    if (compared?.relation === 'fork') return await this.#forked(workspace, compared, source);
    if (compared && compared.relation !== 'newer') {
      await this.#save(id);
      return compared.relation;
    }
    const joined = compared ? await this.#joined(known!, workspace, compared.ahead) : workspace;
    const { head, chain, resolved } = joined;
    const saved = this.saved(id);
    const leaves = saved !== undefined && leavesEntries(saved, joined);
    // At once: what is signed while a disk is slow would be signed in a state that its owners have left.
    this.#known.set(id, { id, head, chain, resolved });
    this.#unsaved.set(id, { log: joined, saved, leaves, source });
    onHeld();
    await this.#save(id);
    return 'newer';
  }

  /** Writes the newest log, unless the disk has it. Until then nothing is signed by it, nor does it end a fork. */
  async #save(id: Hex): Promise<void> {
    const unsaved = this.#unsaved.get(id);
    if (unsaved === undefined) return;
    const { store, log } = this.#context;
    const { log: joined, saved, leaves, source } = unsaved;
    const { head } = joined;
    const fork = this.#forks.get(id);
    const ends = fork !== undefined && this.#isOver(fork, joined);
    await store.rememberHead(joined, { leaves, ends });
    this.#unsaved.delete(id);
    if (ends) {
      this.#forks.delete(id);
      this.#branches.delete(id);
      this.#aside.delete(id);
      log('workspace.resolved', { workspaceId: id, seq: fork.common.seq + 1, left: leaves });
    }
    if (saved !== undefined) log('workspace.head', { workspaceId: id, seq: head.seq, id: head.id, source });
  }

  /** As `weighLogs`, which replays what is known, and so only where it matters. */
  async #weighed(known: KnownLog, received: Workspace): Promise<LogRelation> {
    const { networkId } = this.#context;
    const quick = compareLogs(known, received);
    const leaves = quick.relation === 'newer' && quick.ahead === 'received';
    if (quick.relation !== 'fork' && !(leaves && leavesEntries(known, received))) return quick;
    const log = await this.#logOf(known.id);
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
    const { networkId } = this.#context;
    if (ahead === 'received' && known.resolved.size === 0) return received;
    const held = { ...known, log: (await this.#logOf(known.id)) ?? [] };
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
    const logs = [(await this.#logOf(id)) ?? [], workspace.log] as const;
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

  /** The newest log, whether the disk has it or not. */
  async #logOf(id: Hex): Promise<readonly Envelope[] | undefined> {
    return this.#unsaved.get(id)?.log.log ?? (await this.#context.store.logOf(id));
  }

  /** Its newest log that is durable, and of one that has forked the other one too. */
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
      if (this.#unsaved.has(id)) {
        const message = `log entry ${head.seq} of workspace ${id} is not on this node's disk yet`;
        return { code: 'log_unsaved', message };
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
