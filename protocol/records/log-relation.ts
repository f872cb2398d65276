// How two logs of one workspace stand to each other, and what both say together. What owners said of which of two entries
// stands (`resolve`) is in no place of the chain: a log that goes on may lack it, and whoever has heard it must not forget it.
import type { Hex } from '../hex.ts';
import { decision as decisionRecord } from './decision.ts';
import { type Envelope, readContent, RecordError } from './envelope.ts';
import type { LogHead } from './fields.ts';
import { workspaceChange } from './workspace-change.ts';
import { judgeChange, logAt, openChange, openWorkspace, type Workspace } from './workspace.ts';

/** What logs are compared by. */
export type LogChain = Pick<Workspace, 'id' | 'head' | 'chain' | 'resolved'>;

/** A log with what it says of its own entries. */
export type WholeLog = LogChain & Pick<Workspace, 'log'>;

/** Two entries in one place: owners have to say which one stands. */
export interface LogFork {
  readonly relation: 'fork';
  /** The last entry that both logs have. */
  readonly common: LogHead;
  /** What each goes on with, or says that it must go on with. */
  readonly known: Hex;
  readonly received: Hex;
}

/** How one log of a workspace stands to another that is known. */
export type LogRelation =
  | { readonly relation: 'same' | 'older' }
  /** Says something that was not known; `ahead` has the entries that stand. Joined they say all of it. */
  | { readonly relation: 'newer'; readonly ahead: 'known' | 'received' }
  | LogFork;

type Side = 'known' | 'received';

/** Whether a log lacks an entry of another one, or has another in its place. */
export function leavesEntries(other: Pick<LogChain, 'chain'>, { chain }: Pick<LogChain, 'chain'>): boolean {
  return other.chain.some((id, seq) => chain[seq] !== id);
}

/**
 * As `compareLogs`, for whoever would leave entries that are known. Those who once were owners can say at any time what they
 * could say then: an entry beside known ones counts only by owners who are still owners there, with credentials that they
 * still have, and what they said of which entry stands only when it is a majority of the owners now, too. What counts for
 * nothing is `older`. Throws RecordError.
 */
export function weighLogs(known: Workspace, received: Workspace, networkId: string): LogRelation {
  const compared = compareLogs(known, received);
  const leaves = compared.relation === 'newer' && leavesEntries(known, received);
  if (
    compared.relation !== 'fork' &&
    !(leaves && compared.relation === 'newer' && compared.ahead === 'received')
  )
    return compared;
  const seq = known.chain.findIndex((id, at) => received.chain[at] !== id);
  const after = seq < 0 ? known.head.seq : seq - 1;
  const common = { seq: after, id: known.chain[after]! };
  const before = openWorkspace(logAt(received.log, common, networkId), networkId);
  const next = groupsOf(received.log.slice(before.log.length));
  const isSaid = (group: readonly Envelope[]): boolean => resolvedBy(group, networkId) === common.id;
  const said = next.find(isSaid);
  const entry = next.find((group) => !isSaid(group));
  const supports = (group: readonly Envelope[] | undefined): number =>
    group === undefined ? 0 : supportersOf(known, before, group, networkId);
  const standing = said !== undefined && supports(said) > known.owners.length / 2;
  if (compared.relation === 'newer' && standing) return compared;
  if (compared.relation === 'fork' && standing) return compared;
  if (supports(entry) === 0) return { relation: 'older' };
  if (compared.relation === 'fork') return compared;
  return { relation: 'fork', common, known: known.chain[after + 1]!, received: received.chain[after + 1]! };
}

/** How many owners of `now` decided an entry at `then` with what they still have, if that sufficed then; else 0. */
function supportersOf(
  now: Workspace,
  then: Workspace,
  [change, ...decisions]: readonly Envelope[],
  networkId: string,
): number {
  const isOwners = (name: string, credentials: readonly string[]): boolean =>
    now.owners.some(
      (owner) => owner.name === name && credentials.some((one) => owner.credentials.includes(one)),
    );
  const opened = openChange(then, change!, networkId);
  if (!isOwners(opened.record.content.initiator, opened.record.signedBy)) return 0;
  const own = decisions.filter((envelope) => {
    try {
      const { content } = readContent(decisionRecord, envelope, networkId);
      const credentials = envelope.signatures.map(({ credential }) => credential);
      return isOwners(content.principal, credentials);
    } catch {
      return false; // Nothing that counts.
    }
  });
  const { judged, positions } = judgeChange(then, opened, own, networkId, undefined);
  return judged.verdict === 'satisfied' ? positions.approved.size : 0;
}

/** Compares a log with one that is known, both replayed. Throws RecordError when they are of different workspaces. */
export function compareLogs(known: LogChain, received: LogChain): LogRelation {
  if (known.id !== received.id) {
    const message = `a log of workspace ${received.id} is none of workspace ${known.id}`;
    throw new RecordError('malformed', workspaceChange.type, message);
  }
  const ahead = aheadOf(known, received);
  if (typeof ahead === 'object') return ahead;
  if (ahead === 'received') return { relation: 'newer', ahead };
  if (missingIn(known, received).length > 0) return { relation: 'newer', ahead };
  const isSame = received.head.id === known.head.id && missingIn(received, known).length === 0;
  return { relation: isSame ? 'same' : 'older' };
}

/** Which log goes on with the entries that stand; the known one when neither goes further. */
function aheadOf(known: LogChain, received: LogChain): Side | LogFork {
  const shorter = Math.min(known.chain.length, received.chain.length);
  let seq = 0;
  while (seq < shorter && known.chain[seq] === received.chain[seq]) seq += 1;
  const common = { seq: seq - 1, id: known.chain[seq - 1]! };
  // What a log says stands is what it goes on with, if it goes on.
  const [own, theirs] = [known, received].map(({ chain, resolved }) => {
    const said = resolved.get(common.id);
    return { said: said !== undefined, next: said ?? chain[seq] };
  });
  const further = received.chain.length > known.chain.length ? 'received' : 'known';
  // Without the entry that it says stands it is no reason to leave what is known: that entry may be nobody's.
  if (theirs!.said && received.chain[seq] === undefined && known.chain[seq] !== undefined)
    return own!.next === theirs!.next ? further : 'known';
  if (own!.next === undefined || theirs!.next === undefined || own!.next === theirs!.next) return further;
  if (own!.said === theirs!.said)
    return { relation: 'fork', common, known: own!.next, received: theirs!.next };
  return own!.said ? 'known' : 'received';
}

/** Places of which `other` says which entry stands, and `log`, which has that entry or ends before it, does not. */
function missingIn(log: LogChain, other: LogChain): readonly Hex[] {
  return [...other.resolved].flatMap(([after, stands]) => {
    const seq = log.resolved.has(after) ? -1 : log.chain.indexOf(after);
    const next = log.chain[seq + 1];
    return seq >= 0 && (next === undefined || next === stands) ? [after] : [];
  });
}

/**
 * The log that is ahead with what the other one alone says of which entries stand. Both were replayed, and do not fork:
 * nothing is verified again.
 */
export function joinLogs(ahead: WholeLog, other: WholeLog, networkId: string): WholeLog {
  const { id, head, chain } = ahead;
  const missing = missingIn(ahead, other);
  if (missing.length === 0) return { id, head, chain, resolved: ahead.resolved, log: ahead.log };
  const said = resolvesIn(other.log, networkId);
  const resolved = new Map([
    ...ahead.resolved,
    ...missing.map((after) => [after, other.resolved.get(after)!] as const),
  ]);
  let seq = -1;
  const log = groupsOf(ahead.log).flatMap((group) => {
    if (resolvedBy(group, networkId) !== undefined) return group;
    seq += 1;
    const after = chain[seq]!;
    return missing.includes(after) ? [...group, ...said.get(after)!] : group;
  });
  return { id, head, chain, resolved, log };
}

/** A log by its entries, each followed by the decisions on it. */
export function groupsOf(log: readonly Envelope[]): Envelope[][] {
  const groups: Envelope[][] = [];
  for (const envelope of log) {
    if (envelope.type === decisionRecord.type) groups.at(-1)?.push(envelope);
    else groups.push([envelope]);
  }
  return groups;
}

/** The entry after which this one says what stands; undefined when it says no such thing. */
function resolvedBy([first]: readonly Envelope[], networkId: string): Hex | undefined {
  if (first?.type !== workspaceChange.type) return undefined;
  const { change, prev } = readContent(workspaceChange, first, networkId).content;
  return change.kind === 'resolve' ? prev : undefined;
}

/** What a log says of which entries stand, with the decisions on it, by the entry after which it is said. */
function resolvesIn(log: readonly Envelope[], networkId: string): ReadonlyMap<Hex, readonly Envelope[]> {
  return new Map(
    groupsOf(log).flatMap((group) => {
      const after = resolvedBy(group, networkId);
      return after === undefined ? [] : [[after, group] as const];
    }),
  );
}
