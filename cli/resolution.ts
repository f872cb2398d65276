// What the owners say of two entries at one place of a workspace's log: a file that goes from one owner to the next, past any
// coordinator, until enough of them have signed that one entry stands.
import * as z from 'zod';
import { type HandedLog, type HandedFork, handedForkSchema } from '../protocol/handed.ts';
import type { Hex } from '../protocol/hex.ts';
import type { PolicyVerdict } from '../protocol/policy/judge.ts';
import { type Envelope, envelopeSchema, readContent } from '../protocol/records/envelope.ts';
import { compareLogs, joinLogs } from '../protocol/records/log-relation.ts';
import { workspaceChange } from '../protocol/records/workspace-change.ts';
import {
  judgeChange,
  logAt,
  openChange,
  type OpenedChange,
  openWorkspace,
  type Workspace,
} from '../protocol/records/workspace.ts';
import { describeChange } from './change.ts';
import { CliError } from './errors.ts';
import { shortId } from './output.ts';

export const resolutionSchema = z.strictObject({
  type: z.literal('countersign.resolution'),
  fork: handedForkSchema,
  change: envelopeSchema,
  decisions: z.array(envelopeSchema).max(400),
});
export type Resolution = z.infer<typeof resolutionSchema>;

export interface OpenFork {
  /** At the last entry that both logs have: its owners decide. */
  readonly common: Workspace;
  /** By the entry with which each goes on. */
  readonly branches: ReadonlyMap<Hex, Workspace>;
}

const askNode = 'take it again from a node: countersign node log export';

/** Both logs of a fork, replayed. Throws CliError `usage` when it is none of the trusted workspace; RecordError. */
export function openFork({ log, after, other }: HandedFork, networkId: string, workspaceId: Hex): OpenFork {
  const known = openWorkspace(log, networkId);
  if (known.id !== workspaceId)
    throw new CliError(
      'usage',
      `the fork is of workspace ${known.id}, trusted is ${workspaceId}`,
      'name the other with --workspace',
    );
  const shared = known.chain[after];
  if (shared === undefined) throw new CliError('usage', `the first log ends before entry ${after}`, askNode);
  const received = openWorkspace([...logAt(log, { seq: after, id: shared }, networkId), ...other], networkId);
  const compared = compareLogs(known, received);
  if (compared.relation !== 'fork')
    throw new CliError('usage', 'the two logs do not fork: one of them stands already', askNode);
  const common = openWorkspace(logAt(log, compared.common, networkId), networkId);
  // What each says of its own next entry is before that entry.
  if ([known, received].every(({ resolved }) => resolved.has(common.head.id)))
    throw new CliError(
      'failed',
      `the owners have said of entry ${common.head.seq + 1} that either one stands`,
      'nothing more can be said of it: make a new workspace',
    );
  return {
    common,
    branches: new Map([
      [compared.known, known],
      [compared.received, received],
    ]),
  };
}

/**
 * A fork as a file tells it, with the branches as they are known otherwise too: whoever wrote the file can have left out how far
 * one went. Throws CliError `usage` when it is not the same fork.
 */
export function withKnown(fork: OpenFork, known: OpenFork): OpenFork {
  const isSame =
    fork.common.head.id === known.common.head.id &&
    [...fork.branches.keys()].every((id) => known.branches.has(id));
  if (!isSame)
    throw new CliError(
      'usage',
      `the fork that you know is after entry ${known.common.head.id}, of ${[...known.branches.keys()].join(' and ')}: not this one`,
      askNode,
    );
  const longer = ([id, told]: [Hex, Workspace]): [Hex, Workspace] => {
    const own = known.branches.get(id)!;
    return [id, own.chain.length < told.chain.length ? told : own];
  };
  return { common: fork.common, branches: new Map([...fork.branches].map(longer)) };
}

/** What the two entries do, and how far each branch went. */
export function forkLines({ common, branches }: OpenFork, networkId: string): string[] {
  const seq = common.head.seq + 1;
  return [...branches].flatMap(([id, { log, head }]) => {
    const entry = log
      .slice(common.log.length)
      .filter(({ type }) => type === workspaceChange.type)
      .map((envelope) => readContent(workspaceChange, envelope, networkId).content)
      .find(({ change, seq: of }) => of === seq && change.kind !== 'resolve');
    const further = head.seq - seq;
    const what = entry === undefined ? ['not known here'] : describeChange(entry.change);
    return [
      `entry ${seq} ${id}, by ${entry?.initiator ?? 'nobody known'}, ${entry?.created ?? ''}`,
      ...what.map((line) => `  ${line}`),
      ...(further > 0 ? [`  and ${further} more after it, up to entry ${head.seq} ${shortId(head.id)}`] : []),
    ];
  });
}

export interface JudgedResolution {
  readonly opened: OpenedChange;
  readonly stands: Hex;
  readonly judged: PolicyVerdict;
}

/** How far the owners have come. Throws CliError `usage` for another change; RecordError. */
export function judgeResolution(
  { common, branches }: OpenFork,
  { change, decisions }: Pick<Resolution, 'change' | 'decisions'>,
  networkId: string,
): JudgedResolution {
  const opened = openChange(common, change, networkId);
  const { content } = opened.record;
  if (content.change.kind !== 'resolve' || !branches.has(content.change.stands))
    throw new CliError('usage', 'it names none of the two entries', 'ask its initiator for the right file');
  const { judged } = judgeChange(common, opened, decisions, networkId, undefined);
  return { opened, stands: content.change.stands, judged };
}

/** The log in which the entry stands, once the owners have decided. Throws RecordError when they have not. */
export function resolvedLog(
  { common, branches }: OpenFork,
  stands: Hex,
  { change, decisions }: { readonly change: Envelope; readonly decisions: readonly Envelope[] },
  networkId: string,
): HandedLog {
  const said = openWorkspace([...common.log, change, ...decisions], networkId);
  const { log } = joinLogs(branches.get(stands)!, said, networkId);
  return { type: 'countersign.log', log: [...openWorkspace(log, networkId).log] };
}
