// `countersign audit export`, `verify` and `csv`: a workspace's history as one file. To verify it needs no coordinator, identity
// or network: only the file, and from elsewhere the workspace's id.
import { Command } from 'commander';
import { AuditError, AuditWriter } from '../../protocol/audit.ts';
import { type Audited, AuditReader, continues } from '../../protocol/audit-check.ts';
import type { Hex } from '../../protocol/hex.ts';
import { csvHeader, csvRows } from '../audit-csv.ts';
import { checkAuditFile, linesOf, readAudit } from '../audit-file.ts';
import { fetchEnded, listEnded } from '../audit-history.ts';
import type { CommandFactory } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { CliError } from '../errors.ts';
import { type JsonOption, type SessionOptions, withExample, withJson, withWorkspace } from '../options.ts';
import { fields, printNotes, printResult } from '../output.ts';
import { required, resolveProfile } from '../profile.ts';
import { during } from '../progress.ts';
import { requireFree, writeOut } from '../record-file.ts';
import { inWorkspace, trustedWorkspace, type WorkspaceSession } from '../session.ts';

interface ExportOptions extends SessionOptions {
  readonly out?: string;
  readonly extends?: string;
}

/** What was found wrong while a file was written. */
interface Written {
  audited?: Audited;
  wrong?: AuditError;
}

/** The lines of a file with all that ended, checked as they are written: `written` tells what came of it. */
async function* exported(
  context: CommandContext,
  session: WorkspaceSession,
  earlier: { readonly path: string; readonly audited: Audited } | undefined,
  written: Written,
): AsyncGenerator<string> {
  const { networkId, workspaceId } = session;
  const workspace = await trustedWorkspace(context, session);
  const reader = new AuditReader({ workspaceId });
  const checked = (line: string): string => {
    try {
      if (written.wrong === undefined) reader.take(line);
    } catch (error) {
      if (!(error instanceof AuditError)) throw error;
      written.wrong = error;
    }
    return `${line}\n`;
  };
  const known = earlier?.audited.ids ?? new Set<Hex>();
  const ended = (await listEnded(context, session)).filter(({ id }) => !known.has(id));
  let writer = new AuditWriter();
  if (earlier === undefined) {
    yield checked(writer.header({ type: 'countersign.audit', version: 1, networkId, workspaceId }));
    yield checked(writer.entry({ kind: 'genesis', genesis: workspace.log[0]! }));
  } else {
    let left = earlier.audited.heads.length;
    for await (const line of linesOf(earlier.path)) if ((left -= 1) >= 0) yield checked(line);
    writer = AuditWriter.after(earlier.audited.head, earlier.audited.entries);
  }
  for (const each of ended) yield checked(writer.entry(await fetchEnded(context, session, each, workspace)));
  yield checked(writer.end());
  if (written.wrong === undefined) written.audited = reader.finish();
}

function auditedLines({ workspace, changes, requests, entries, head }: Audited): string[] {
  return fields([
    ['workspace', `${workspace.name} (${workspace.id})`],
    ['log head', `${workspace.head.seq} ${workspace.head.id}`],
    ['entries', String(entries)],
    ['changes', `${changes.fulfilled} in the log, ${changes.rejected} not`],
    ['requests', `${requests.fulfilled} fulfilled, ${requests.rejected} rejected`],
    ['head', head],
  ]);
}

function auditedJson({ header, workspace, changes, requests, entries, head }: Audited) {
  const { networkId, workspaceId } = header;
  return { networkId, workspaceId, logHead: workspace.head, entries, changes, requests, head };
}

export const auditExport: CommandFactory = (context) =>
  withExample(
    withWorkspace(new Command('export'))
      .description('Write every request and change that ended, with all signed records of it, one a line.')
      .option('--out <file>', 'write it to this file (default: standard output)')
      .option('--extends <file>', 'begin with this earlier file, and add what has ended since')
      .action(async (options: ExportOptions) => {
        const { out } = options;
        if (options.json === true && out === undefined)
          throw new CliError('usage', '--json tells about the file that --out names', 'add --out');
        if (out !== undefined) await requireFree(out);
        await inWorkspace(context, options, async (session) => {
          const path = options.extends;
          const earlier = path === undefined ? undefined : await checkEarlier(path, session);
          const written: Written = {};
          const lines = exported(context, session, earlier, written);
          await during(context, options, 'reading the history', async () => {
            if (out !== undefined) return await writeOut(out, lines);
            for await (const line of lines) context.stdout.write(line);
          });
          if (written.wrong !== undefined)
            throw new CliError(
              'failed',
              `what the coordinator gave${out === undefined ? '' : `, written to ${out},`} does not hold: ${written.wrong.message}`,
              "ask the coordinator's operator for the records in that line",
            );
          const audited = written.audited!;
          if (out === undefined) return printNotes(context, auditedLines(audited));
          printResult(context, options, { file: out, ...auditedJson(audited) }, () => [
            ...auditedLines(audited),
            `written to ${out}: keep its head, and the file`,
          ]);
        });
      }),
    'countersign audit export --out 2026-03.audit',
    'countersign audit export --extends 2026-03.audit --out 2026-04.audit',
  );

async function checkEarlier(
  path: string,
  { networkId, workspaceId }: WorkspaceSession,
): Promise<{ path: string; audited: Audited }> {
  const audited = await checkAuditFile(path, workspaceId);
  if (audited.header.networkId === networkId) return { path, audited };
  throw new CliError('usage', `${path} is of network ${audited.header.networkId}`, 'name another file');
}

interface VerifyOptions extends JsonOption {
  readonly workspace?: string;
  readonly extends?: string;
}

async function trustedId(context: CommandContext, { workspace }: VerifyOptions): Promise<Hex> {
  const profile = await resolveProfile(context, workspace === undefined ? {} : { workspace });
  return required(profile, 'workspaceId') as Hex;
}

const withTrusted = (command: Command): Command =>
  withJson(command).option('--workspace <id>', 'trusted workspace, instead of the profile');

export const auditVerify: CommandFactory = (context) =>
  withExample(
    withTrusted(new Command('verify'))
      .description(
        'Verify an audit file without a coordinator: its chain, the log, and all records in it. It cannot tell what was left out; --extends can.',
      )
      .argument('<file>', 'the file, as audit export has written it')
      .option('--extends <file>', 'an earlier file, with which it must begin')
      .action(async (file: string, options: VerifyOptions) => {
        const workspaceId = await trustedId(context, options);
        const older = options.extends;
        await during(context, options, `verifying ${file}`, async () => {
          const audited = await checkAuditFile(file, workspaceId);
          if (older !== undefined && !continues(audited, await checkAuditFile(older, workspaceId)))
            throw new CliError(
              'failed',
              `${file} does not begin with what is in ${older}`,
              'one of them was changed, or leaves something out: compare them with a third from another owner',
            );
          const value = {
            valid: true,
            ...auditedJson(audited),
            ...(older !== undefined && { extends: older }),
          };
          printResult(context, options, value, () => [
            ...fields([['verdict', 'everything in the file holds']]),
            ...auditedLines(audited),
            ...(older === undefined ? [] : [`it begins with all that is in ${older}`]),
          ]);
        });
      }),
    'countersign audit verify 2026-04.audit --extends 2026-03.audit',
  );

interface CsvOptions extends VerifyOptions {
  readonly out: string;
}

export const auditCsv: CommandFactory = (context) =>
  withExample(
    withTrusted(new Command('csv'))
      .description('Verify an audit file, and write its requests as a table for spreadsheets.')
      .argument('<file>', 'the file, as audit export has written it')
      .requiredOption('--out <file>', 'where to write the table')
      .action(async (file: string, options: CsvOptions) => {
        const workspaceId = await trustedId(context, options);
        await requireFree(options.out);
        let rows = 0;
        async function* table(): AsyncGenerator<string> {
          yield csvHeader;
          for await (const request of readAudit(file, workspaceId))
            for (const row of csvRows(request)) {
              rows += 1;
              yield row;
            }
        }
        await during(context, options, `verifying ${file}`, () => writeOut(options.out, table()));
        printResult(context, options, { file: options.out, rows }, () => [
          `written to ${options.out}: ${rows} ${rows === 1 ? 'row' : 'rows'}`,
        ]);
      }),
    'countersign audit csv 2026-04.audit --out 2026-04.csv',
  );
