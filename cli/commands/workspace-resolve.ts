// `countersign workspace resolve`, `approve-resolution` and `import`: which of two entries at one place of the log stands, signed
// by one owner after the other in a file, for nodes and the coordinator to take.
import { Command } from 'commander';
import { buildChange, buildDecision } from '../../client/records.ts';
import { type HandedFork, handedForkSchema, handedLogSchema, maxHandedBytes } from '../../protocol/handed.ts';
import type { Hex } from '../../protocol/hex.ts';
import { logAt, openWorkspace, ownerOf } from '../../protocol/records/workspace.ts';
import type { CommandFactory } from '../command.ts';
import { confirm } from '../confirm.ts';
import type { CommandContext } from '../context.ts';
import { guardResolution } from '../decided-changes.ts';
import { CliError } from '../errors.ts';
import { requireId } from '../ids.ts';
import { type SessionOptions, withExample, withWorkspace } from '../options.ts';
import { fields, printNotes, printResult } from '../output.ts';
import { jsonText, readJson, requireFree, writeOut } from '../record-file.ts';
import {
  forkLines,
  judgeResolution,
  openFork,
  type OpenFork,
  type Resolution,
  resolutionSchema,
  resolvedLog,
  withKnown,
} from '../resolution.ts';
import { checkTrusted, inWorkspace, trustedWorkspace, type WorkspaceSession } from '../session.ts';

interface ResolveOptions extends SessionOptions {
  readonly yes?: boolean;
  readonly second?: boolean;
  readonly log?: string;
}

const resolving = (name: string): Command =>
  withWorkspace(new Command(name))
    .option(
      '--log <file>',
      'where to write the log in which the entry stands, once enough owners agree (default: beside the file)',
    )
    .option('--yes', 'do not ask for confirmation')
    .option('--second', 'although you signed that the other entry stands');

const readFork = (file: string): Promise<HandedFork> =>
  readJson(file, handedForkSchema, 'a fork of a log', maxHandedBytes);

const howFar =
  'How far each branch went is what this file says. With --fork it is what your node knows: countersign node log export';

/** Fails before anything is signed when this owner has signed otherwise; what it returns remembers it. */
async function guard(
  context: CommandContext,
  { workspaceId, signer, identity }: WorkspaceSession,
  { common }: OpenFork,
  { changeId, stands }: { readonly changeId: Hex; readonly stands: Hex },
  second: boolean | undefined,
): Promise<() => Promise<void>> {
  const owner = ownerOf(common, signer.credential)?.name ?? identity;
  return await guardResolution(
    context,
    { owner, workspaceId, prev: common.head.id, changeId, stands },
    second,
  );
}

/** Writes the file for the next owner, and the log when nobody else is needed. */
async function handOn(
  context: CommandContext,
  { networkId }: WorkspaceSession,
  options: ResolveOptions,
  resolution: Resolution,
  { fork, file, replace }: { readonly fork: OpenFork; readonly file: string; readonly replace: boolean },
): Promise<void> {
  const { opened, stands, judged } = judgeResolution(fork, resolution, networkId);
  await writeOut(file, jsonText(resolution), { replace });
  const changeId = opened.record.id;
  const result = { changeId, stands, file, decided: judged.verdict === 'satisfied' };
  if (judged.verdict === 'waiting') {
    const missing = judged.missing.map(
      ({ rule, need, have, from }) =>
        `rule ${rule}: ${have.length} of ${need}, may decide: ${from.join(', ')}`,
    );
    return printResult(context, options, { ...result, missing: judged.missing }, () => [
      ...fields([
        ['stands', stands],
        ['missing', missing],
      ]),
      `Next: another owner runs countersign workspace approve-resolution ${file}`,
    ]);
  }
  if (judged.verdict !== 'satisfied')
    throw new CliError('failed', `it cannot be decided: ${judged.reason}`, 'begin anew with another file');
  const log = options.log ?? `${file.replace(/\.json$/, '')}-log.json`;
  await writeOut(log, jsonText(resolvedLog(fork, stands, resolution, networkId)));
  printResult(context, options, { ...result, log }, () => [
    ...fields([
      ['stands', stands],
      ['log', log],
    ]),
    `Next: every operator runs countersign node log import ${log} --dir DIR, and an owner countersign workspace import ${log}`,
  ]);
}

export const workspaceResolve: CommandFactory = (context) =>
  withExample(
    resolving('resolve')
      .description(
        'Of two entries that stand at one place of the log, sign that one stands. A majority of the owners must sign it.',
      )
      .argument('<id>', 'the entry that stands, by its whole id')
      .requiredOption('--fork <file>', 'both logs, as countersign node log export writes them')
      .requiredOption('--out <file>', 'where to write what the other owners approve')
      .action(async (text: string, options: ResolveOptions & { fork: string; out: string }) => {
        const stands = requireId(text, 'log entry');
        const handed = await readFork(options.fork);
        await requireFree(options.out);
        await inWorkspace(context, options, async (session) => {
          const { networkId, workspaceId, signer } = session;
          const fork = openFork(handed, networkId, workspaceId);
          if (!fork.branches.has(stands))
            throw new CliError(
              'usage',
              `${stands} is none of the two entries`,
              `name ${[...fork.branches.keys()].join(' or ')}`,
            );
          printNotes(context, [...forkLines(fork, networkId), `${stands} shall stand`]);
          await confirm(context, 'Sign this?', options);
          const { common } = fork;
          const built = buildChange(
            { networkId, workspace: common, change: { kind: 'resolve', stands }, now: context.now() },
            signer,
          );
          const remember = await guard(
            context,
            session,
            fork,
            { changeId: built.id, stands },
            options.second,
          );
          await remember();
          const resolution: Resolution = {
            type: 'countersign.resolution',
            fork: handed,
            change: built.envelope,
            decisions: [],
          };
          await handOn(context, session, options, resolution, { fork, file: options.out, replace: false });
        });
      }),
    'countersign workspace resolve 0x5bd0... --fork fork.json --out resolution.json',
  );

export const workspaceApproveResolution: CommandFactory = (context) =>
  withExample(
    resolving('approve-resolution')
      .description('Sign too that one of two entries stands, after both were shown and you confirmed.')
      .argument('<file>', 'what workspace resolve wrote; your approval is added to it')
      .option('--fork <file>', 'both logs, as your own node exports them, to see how far each branch went')
      .action(async (file: string, options: ResolveOptions & { fork?: string }) => {
        const resolution = await readJson(file, resolutionSchema, 'a resolution of a fork', maxHandedBytes);
        const known = options.fork === undefined ? undefined : await readFork(options.fork);
        await inWorkspace(context, options, async (session) => {
          const { networkId, workspaceId, signer } = session;
          const told = openFork(resolution.fork, networkId, workspaceId);
          const fork = known === undefined ? told : withKnown(told, openFork(known, networkId, workspaceId));
          const { opened, stands, judged } = judgeResolution(fork, resolution, networkId);
          const { id, content } = opened.record;
          printNotes(context, [
            ...forkLines(fork, networkId),
            `${stands} shall stand, says ${content.initiator}`,
            ...(known === undefined ? [howFar] : []),
          ]);
          if (judged.verdict !== 'satisfied') {
            await confirm(context, 'Approve this?', options);
            const remember = await guard(context, session, fork, { changeId: id, stands }, options.second);
            const { decisions } = resolution;
            const { envelope } = buildDecision(
              {
                networkId,
                workspace: fork.common,
                subject: id,
                decision: 'approve',
                decisions,
                now: context.now(),
              },
              signer,
            );
            await remember();
            resolution.decisions.push(envelope);
          }
          await handOn(context, session, options, resolution, { fork, file, replace: true });
        });
      }),
    'countersign workspace approve-resolution resolution.json',
  );

export const workspaceImport: CommandFactory = (context) =>
  withExample(
    withWorkspace(new Command('import'))
      .description(
        'Bring the coordinator entries of the log that it lacks, or what a majority of the owners said of a fork.',
      )
      .argument('<file>', 'a log, as approve-resolution, workspace log or node log export writes it')
      .action(async (file: string, options: SessionOptions) => {
        const { log } = await readJson(file, handedLogSchema, 'an exported log', maxHandedBytes);
        await inWorkspace(context, options, async (session) => {
          const { client, networkId, workspaceId } = session;
          const brought = openWorkspace(log, networkId);
          if (brought.id !== workspaceId)
            throw new CliError(
              'usage',
              `the log is of workspace ${brought.id}, trusted is ${workspaceId}`,
              'name the other with --workspace',
            );
          const { chain } = await trustedWorkspace(context, session);
          const differs = brought.chain.findIndex((id, seq) => chain[seq] !== id);
          // What is said of the entry after the last one that both have comes after that one's decisions.
          const after = (differs < 0 ? brought.chain.length : differs) - 1;
          const shared = commonOf(brought.resolved.keys(), brought.chain, after);
          const before = logAt(log, { seq: shared, id: brought.chain[shared]! }, networkId);
          const entries = log.slice(before.length);
          if (entries.length === 0) return printOutcome(context, options, 'same', brought.head);
          const params = { workspaceId, after: shared, log: entries };
          const { outcome, view } = await client.call('workspace_import', params, { signal: context.signal });
          const { head } = checkTrusted(openWorkspace(view.log, networkId), workspaceId);
          printOutcome(context, options, outcome, head);
        });
      }),
    'countersign workspace import resolution-log.json',
  );

/** The last shared entry after which the log that is brought says everything that it may have to say. */
function commonOf(resolved: Iterable<Hex>, chain: readonly Hex[], after: number): number {
  const said = [...resolved].map((id) => chain.indexOf(id)).filter((seq) => seq >= 0 && seq < after);
  return Math.min(after, ...said);
}

const outcomes = {
  newer: 'newer than what the coordinator had: it is in force there',
  same: 'known there already',
  older: 'older than what the coordinator has: nothing changed',
} as const;

function printOutcome(
  context: CommandContext,
  options: SessionOptions,
  outcome: keyof typeof outcomes,
  head: { readonly seq: number; readonly id: Hex },
): void {
  printResult(context, options, { outcome, head }, () =>
    fields([
      ['log', outcomes[outcome]],
      ['head', `entry ${head.seq} ${head.id}`],
    ]),
  );
}

export const workspaceResolutions: readonly CommandFactory[] = [
  workspaceResolve,
  workspaceApproveResolution,
  workspaceImport,
];
