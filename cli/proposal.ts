// Proposals of changes of a workspace: made here, signed by their initiator, countersigned by whomever they bring in, and
// handed to the coordinator once they could be the next entry of the log.
import { buildChange } from '../client/records.ts';
import { maxRequestLifetime } from '../protocol/authorize.ts';
import {
  addSignature,
  ed25519Signer,
  type Envelope,
  envelopeId,
  readContent,
  RecordError,
  verifyRecord,
} from '../protocol/records/envelope.ts';
import { timeOf } from '../protocol/records/fields.ts';
import {
  type Change,
  introducedBy,
  type WorkspaceChange,
  workspaceChange,
} from '../protocol/records/workspace-change.ts';
import { checkChange, openChange, ownerOf, type Workspace } from '../protocol/records/workspace.ts';
import { describeChange } from './change.ts';
import type { CommandContext } from './context.ts';
import { guardApproval } from './decided-changes.ts';
import { CliError } from './errors.ts';
import { openIdentityNamed } from './identities.ts';
import type { SessionOptions } from './options.ts';
import { fields, printNotes, printResult } from './output.ts';
import { jsonText, requireFree, writeOut } from './record-file.ts';
import { inWorkspace, trustedWorkspace, type WorkspaceSession } from './session.ts';

export interface ProposeOptions extends SessionOptions {
  readonly expires?: number;
  readonly out?: string;
  readonly countersignAs?: string;
  readonly second?: boolean;
}

async function submit(
  context: CommandContext,
  { client, networkId }: WorkspaceSession,
  change: Envelope,
  options: ProposeOptions,
): Promise<void> {
  const changeId = envelopeId(change, networkId);
  const view = await client.call('workspace_propose', { change }, { signal: context.signal });
  const missing = view.missing ?? [];
  printResult(context, options, { changeId, state: view.state, missing }, () =>
    fields([
      ['change', changeId],
      ['state', view.state === 'fulfilled' ? 'in the log' : view.state],
      [
        'missing',
        missing.map(
          ({ rule, need, have, from }) =>
            `rule ${rule}: ${have.length} of ${need}, may decide: ${from.join(', ')}`,
        ),
      ],
    ]),
  );
}

/** Credentials that a change brings in and that have not signed it. */
function awaitedBy({ change }: Pick<WorkspaceChange, 'change'>, { signatures }: Envelope): string[] {
  return introducedBy({ change }).filter((one) => !signatures.some(({ credential }) => credential === one));
}

/** The change with the signature of a local identity, which it brings in. Throws CliError `usage` when it does not. */
export async function countersigned(
  context: CommandContext,
  envelope: Envelope,
  content: WorkspaceChange,
  name: string,
  options: ProposeOptions,
): Promise<Envelope> {
  const { seed } = await openIdentityNamed(context, name, options);
  try {
    const signer = ed25519Signer(seed);
    if (!introducedBy(content).includes(signer.credential))
      throw new CliError(
        'usage',
        `${signer.credential} of ${name} is not brought in by this change`,
        'name the identity that is',
      );
    return addSignature(envelope, content.networkId, signer);
  } finally {
    seed.fill(0);
  }
}

/** Throws CliError unless the change would be the next entry of the log, and all whom it brings in have signed. */
function requireNext(workspace: Workspace, envelope: Envelope, content: WorkspaceChange, now: number): void {
  const { head } = workspace;
  if (content.workspaceId !== workspace.id)
    throw new CliError(
      'usage',
      `the change is of workspace ${content.workspaceId}, trusted is ${workspace.id}`,
      'name the other with --workspace',
    );
  if (content.prev !== head.id)
    throw new CliError(
      'failed',
      `the change follows entry ${content.seq - 1}, and the log is at entry ${head.seq} ${head.id} now`,
      'make the change anew, and let it be countersigned again',
    );
  if (timeOf(content.expires) <= now)
    throw new CliError('failed', `the change ended at ${content.expires}`, 'make it anew');
  const awaited = awaitedBy(content, envelope);
  if (awaited.length > 0)
    throw new CliError(
      'usage',
      `${awaited.join(', ')} must countersign first`,
      'hand the change on as a file, written with --out, or give --countersign-as for an identity on this machine',
    );
  openChange(workspace, envelope, content.networkId);
}

/** Throws CliError `failed` when the workspace, as it is, cannot be changed so. */
function requirePossible(workspace: Workspace, change: Change): void {
  try {
    checkChange(workspace, change);
  } catch (cause) {
    if (!(cause instanceof RecordError)) throw cause;
    const what = cause.message.replace(/^workspace\.change: /, '');
    throw new CliError('failed', what, 'see countersign workspace show, and propose another change', {
      cause,
    });
  }
}

export async function propose(
  context: CommandContext,
  options: ProposeOptions,
  make: (session: WorkspaceSession, workspace: Workspace) => Promise<Change>,
): Promise<void> {
  if (options.expires !== undefined && options.expires > maxRequestLifetime)
    throw new CliError(
      'usage',
      'no change can be decided on for more than 30 days',
      'give --expires 30d or less',
    );
  if (options.out !== undefined) await requireFree(options.out);
  await inWorkspace(context, options, async (session) => {
    const { networkId, signer } = session;
    const workspace = await trustedWorkspace(context, session);
    const change = await make(session, workspace);
    printNotes(context, describeChange(change));
    requirePossible(workspace, change);
    const lifetime = options.expires === undefined ? {} : { lifetimeMs: options.expires };
    const now = context.now();
    const built = buildChange({ networkId, workspace, change, now, ...lifetime }, signer);
    const { content } = readContent(workspaceChange, built.envelope, networkId);
    const envelope =
      options.countersignAs === undefined
        ? built.envelope
        : await countersigned(context, built.envelope, content, options.countersignAs, options);
    if (options.out === undefined) requireNext(workspace, envelope, content, now);
    const remember = await guardApproval(context, session, workspace, built.id, options.second);
    await remember();
    if (options.out === undefined) return await submit(context, session, envelope, options);
    await writeOut(options.out, jsonText(envelope));
    const awaited = awaitedBy(content, envelope);
    printResult(context, options, { changeId: built.id, file: options.out, awaits: awaited }, () => [
      `written to ${options.out}`,
      awaited.length === 0
        ? `Next: countersign workspace propose ${options.out}`
        : `Next: whoever has ${awaited.join(', ')} runs countersign workspace countersign ${options.out}, then you propose it`,
    ]);
  });
}

/** A change in a file whose signatures so far are sound, whoever still has to sign. Throws RecordError. */
export function readable(change: Envelope, networkId: string): WorkspaceChange {
  return verifyRecord({ ...workspaceChange, signers: () => [] }, change, networkId).content;
}

/** Proposes a change from a file. Throws CliError, RecordError. */
export async function proposeFile(
  context: CommandContext,
  options: ProposeOptions,
  change: Envelope,
): Promise<void> {
  await inWorkspace(context, options, async (session) => {
    const { networkId, signer } = session;
    const content = readable(change, networkId);
    printNotes(context, [`proposed by ${content.initiator}`, ...describeChange(content.change)]);
    const workspace = await trustedWorkspace(context, session);
    requireNext(workspace, change, content, context.now());
    // Whoever proposes a change approves it by that; somebody else may carry it without an opinion.
    if (ownerOf(workspace, signer.credential)?.name === content.initiator) {
      const id = envelopeId(change, networkId);
      const remember = await guardApproval(context, session, workspace, id, options.second);
      await remember();
    }
    await submit(context, session, change, options);
  });
}
