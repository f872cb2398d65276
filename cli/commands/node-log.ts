// `countersign node log import|export|show`: what owners decided, handed to a node past a coordinator that may keep it back; and what
// the node knows of the logs of workspaces.
import { Command } from 'commander';
import * as z from 'zod';
import type { CommandFactory } from '../command.ts';
import { requireId } from '../ids.ts';
import { askNode } from '../node-control.ts';
import { blockedLine, blockedSchema } from '../node-status-view.ts';
import { type JsonOption, withExample, withJson } from '../options.ts';
import { printResult, shortId } from '../output.ts';
import { jsonText, readJson, requireFree, writeOut } from '../record-file.ts';

interface Options extends JsonOption {
  readonly dir: string;
}

const importedSchema = z.object({
  logs: z.array(z.object({ workspaceId: z.string(), outcome: z.string() })),
  decisions: z.array(
    z.object({
      requestId: z.string(),
      principal: z.string(),
      decision: z.string(),
      outcome: z.string(),
    }),
  ),
});

const outcomes: Readonly<Record<string, string>> = {
  newer: 'newer than what this node knew: it is in force here, and the other nodes are told',
  same: 'known already',
  older: 'older than what this node knows: nothing changed',
  fork: 'FORKED from what this node knows: nothing is signed for the workspace until its owners have resolved it',
  counted: 'counts here, and the other nodes are told',
  held: 'kept until the request comes, and the other nodes are told',
  late: 'too late: this node has its result already',
  ignored: 'ignored: it says nothing that counts here',
};

const importCommand: CommandFactory = (context) =>
  withExample(
    withJson(new Command('import'))
      .description(
        "Hand a running node a workspace's log, or decisions on requests, that owners exported: it verifies every record, " +
          'obeys what is newer, and tells the other nodes.',
      )
      .argument('<file>', 'what an owner exported: a log, or decisions')
      .requiredOption('--dir <dir>', "the node's folder")
      .action(async (file: string, options: Options) => {
        const { handedSchema, maxHandedBytes } = await import('../../protocol/handed.ts');
        const handed = await readJson(file, handedSchema, 'an exported log, or decisions', maxHandedBytes);
        const taken = await askNode(context, options.dir, 'log-import', handed, importedSchema);
        printResult(context, options, taken, () => [
          ...taken.logs.map(
            ({ workspaceId, outcome }) => `log of ${workspaceId}: ${outcomes[outcome] ?? outcome}`,
          ),
          ...taken.decisions.map(
            ({ requestId, principal, decision, outcome }) =>
              `${decision} of ${requestId} by ${principal}: ${outcomes[outcome] ?? outcome}`,
          ),
        ]);
      }),
    'countersign node log import revoked.json --dir /var/lib/countersign/node',
  );

const exportCommand: CommandFactory = (context) =>
  withExample(
    withJson(new Command('export'))
      .description(
        "Write a workspace's log as a running node knows it to a file; of one that has forked, both logs.",
      )
      .argument('<workspace>', "the workspace's id")
      .requiredOption('--dir <dir>', "the node's folder")
      .requiredOption('--out <file>', 'where to write it')
      .action(async (text: string, options: Options & { readonly out: string }) => {
        const workspaceId = requireId(text, 'workspace');
        await requireFree(options.out);
        const { handedForkSchema, handedLogSchema } = await import('../../protocol/handed.ts');
        const schema = z.discriminatedUnion('type', [handedLogSchema, handedForkSchema]);
        const handed = await askNode(context, options.dir, 'log-export', { workspaceId }, schema);
        await writeOut(options.out, jsonText(handed));
        const forked = handed.type === 'countersign.fork';
        printResult(context, options, { file: options.out, workspaceId, forked }, () => [
          forked
            ? `written to ${options.out}: both logs of the fork; owners resolve it with countersign workspace resolve`
            : `written to ${options.out}: the newest log that this node knows`,
        ]);
      }),
    'countersign node log export 0x91c4... --dir /var/lib/countersign/node --out fork.json',
  );

const shownSchema = z.object({ workspaces: z.array(blockedSchema) });

const showCommand: CommandFactory = (context) =>
  withExample(
    withJson(new Command('show'))
      .description('Show the newest state of each workspace that a running node knows, forks and freezes.')
      .argument('[workspace]', "one workspace's id")
      .requiredOption('--dir <dir>', "the node's folder")
      .action(async (workspaceId: string | undefined, options: Options) => {
        const params = workspaceId === undefined ? undefined : { workspaceId };
        const { workspaces } = await askNode(context, options.dir, 'log-show', params, shownSchema);
        printResult(context, options, workspaces, () =>
          workspaces.length === 0
            ? ['none is known']
            : workspaces.flatMap((workspace) => {
                const { workspaceId: id, head, fork, frozen } = workspace;
                const at = head === undefined ? 'not known' : `entry ${head.seq} ${shortId(head.id)}`;
                return [`${id} ${at}`, ...(fork || frozen ? [`  ${blockedLine(workspace)}`] : [])];
              }),
        );
      }),
    'countersign node log show --dir /var/lib/countersign/node',
  );

export const nodeLog: CommandFactory = (context) =>
  new Command('log')
    .description('hand a node what owners decided, and look at what it knows: import, export, show')
    .addCommand(importCommand(context))
    .addCommand(exportCommand(context))
    .addCommand(showCommand(context));
