// `countersign workspace log`: the entries of the trusted workspace's log, each judged here; or all of it as a file, for a
// node whose coordinator keeps it back.
import { Command } from 'commander';
import {
  extendWorkspace,
  judgeChange,
  openChange,
  openWorkspace,
  type Workspace,
} from '../../protocol/records/workspace.ts';
import { envelopeId, readContent } from '../../protocol/records/envelope.ts';
import { groupsOf } from '../../protocol/records/log-relation.ts';
import { workspaceGenesis } from '../../protocol/records/workspace-genesis.ts';
import { describeChange } from '../change.ts';
import type { CommandFactory } from '../command.ts';
import { type SessionOptions, withExample, withWorkspace } from '../options.ts';
import { printResult, shortId, table } from '../output.ts';
import { jsonText, writeOut } from '../record-file.ts';
import { inWorkspace, trustedFamily } from '../session.ts';

interface LogEntry {
  readonly seq: number;
  readonly id: string;
  readonly created: string;
  readonly what: string;
  readonly by: string;
  readonly approvedBy: readonly string[];
}

/** What each entry of a log did, and who agreed. Throws RecordError. */
function readLog({ log }: Workspace, networkId: string): LogEntry[] {
  const [genesis, ...changes] = groupsOf(log);
  const [first] = genesis!;
  const { created, name } = readContent(workspaceGenesis, first!, networkId).content;
  let workspace = openWorkspace([first!], networkId);
  const signers = workspace.owners.filter(({ credentials }) =>
    first!.signatures.some(({ credential }) => credentials.includes(credential)),
  );
  const by = signers.map((owner) => owner.name).join(', ');
  const entries = [
    {
      seq: 0,
      id: envelopeId(first!, networkId),
      created,
      what: `Create "${name}"`,
      by,
      approvedBy: [] as string[],
    },
  ];
  for (const [change, ...decisions] of changes) {
    const opened = openChange(workspace, change!, networkId);
    const { id, content } = opened.record;
    const { positions } = judgeChange(workspace, opened, decisions, networkId, undefined);
    entries.push({
      seq: content.seq,
      id,
      created: content.created,
      what: describeChange(content.change)[0]!,
      by: content.initiator,
      approvedBy: [...positions.approved.keys()],
    });
    workspace = extendWorkspace(workspace, [change!, ...decisions], networkId);
  }
  return entries;
}

interface Options extends SessionOptions {
  readonly out?: string;
}

export const workspaceLog: CommandFactory = (context) =>
  withExample(
    withWorkspace(new Command('log'))
      .description('List what the owners changed in the trusted workspace, and who agreed.')
      .option('--out <file>', 'write the signed log to this file, as node log import takes it')
      .action(async (options: Options) => {
        await inWorkspace(context, options, async (session) => {
          const { workspace, parent } = await trustedFamily(context, session);
          const { head } = workspace;
          if (options.out !== undefined) {
            const file = {
              type: 'countersign.log',
              log: workspace.log,
              ...(parent && { parentLog: parent.log }),
            };
            await writeOut(options.out, jsonText(file));
            const value = { file: options.out, workspaceId: workspace.id, head };
            return printResult(context, options, value, () => [
              `written to ${options.out}: the log up to entry ${head.seq} ${head.id}`,
            ]);
          }
          const entries = readLog(workspace, session.networkId);
          printResult(context, options, { workspaceId: workspace.id, head, entries }, () =>
            table(
              ['entry', 'id', 'proposed', 'what', 'by', 'approved by'],
              entries.map(({ seq, id, created, what, by, approvedBy }) => [
                String(seq),
                shortId(id),
                created,
                what,
                by,
                approvedBy.join(' '),
              ]),
            ),
          );
        });
      }),
    'countersign workspace log',
    'countersign workspace log --out treasury-log.json',
  );
