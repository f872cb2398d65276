// A person's dealings with a coordinator: client, identity and trusted workspace as the profile names them, and the
// workspace's log verified against the id that is trusted.
import { type Client, createClient } from '../client/rpc-client.ts';
import { RpcClientError } from '../client/rpc-error.ts';
import type { Hex } from '../protocol/hex.ts';
import { ed25519Signer, type Signer } from '../protocol/records/envelope.ts';
import { openWorkspace, type Workspace } from '../protocol/records/workspace.ts';
import type { CommandContext } from './context.ts';
import { CliError } from './errors.ts';
import { openIdentityNamed } from './identities.ts';
import type { SessionOptions } from './options.ts';
import { required, resolveProfile } from './profile.ts';

export interface OpenSession {
  readonly client: Client;
  readonly networkId: string;
}

export interface SignedSession extends OpenSession {
  readonly signer: Signer;
  /** Name of the identity that signs. */
  readonly identity: string;
}

export interface WorkspaceSession extends SignedSession {
  readonly workspaceId: Hex;
}

/** A session that signs nothing. Throws CliError `usage`. */
export async function openSession(context: CommandContext, options: SessionOptions): Promise<OpenSession> {
  const profile = await resolveProfile(context, options);
  const networkId = required(profile, 'networkId');
  const client = createClient({ url: required(profile, 'coordinator'), networkId, now: context.now });
  return { client, networkId };
}

/** Runs `work` with the identity's signer; its seed is gone afterwards. Throws CliError, IdentityError, RpcClientError. */
export async function withSigner<Value>(
  context: CommandContext,
  options: SessionOptions,
  work: (session: SignedSession) => Promise<Value>,
): Promise<Value> {
  const profile = await resolveProfile(context, options);
  const url = required(profile, 'coordinator');
  const networkId = required(profile, 'networkId');
  const { name, seed } = await openIdentityNamed(context, required(profile, 'identity'), options);
  try {
    const signer = ed25519Signer(seed);
    const client = createClient({ url, networkId, signer, now: context.now });
    return await work({ client, networkId, signer, identity: name });
  } catch (error) {
    throw (await otherNetwork(error, url, networkId)) ?? error;
  } finally {
    seed.fill(0);
  }
}

/** A signature made for another network looks like a forged one to a coordinator: what to say instead, if that is it. */
async function otherNetwork(error: unknown, url: string, networkId: string): Promise<CliError | undefined> {
  if (!(error instanceof RpcClientError && error.code === 'unauthenticated')) return undefined;
  try {
    const served = (await createClient({ url, networkId }).call('network_get', {})).networkId;
    if (served === networkId) return undefined;
    const remedy = 'set the network with countersign profile set networkId, or use another coordinator';
    return new CliError('usage', `the coordinator serves network ${served}, not ${networkId}`, remedy, {
      cause: error,
    });
  } catch {
    return undefined; // Only an explanation: the error itself is reported.
  }
}

/** As `withSigner`, in the trusted workspace. */
export async function inWorkspace<Value>(
  context: CommandContext,
  options: SessionOptions,
  work: (session: WorkspaceSession) => Promise<Value>,
): Promise<Value> {
  const workspaceId = required(await resolveProfile(context, options), 'workspaceId') as Hex;
  return await withSigner(context, options, (session) => work({ ...session, workspaceId }));
}

/** The trusted workspace as its log tells it. Throws CliError `failed` when the log is another's, RecordError when bad. */
export async function trustedWorkspace(
  context: CommandContext,
  { client, networkId, workspaceId }: WorkspaceSession,
): Promise<Workspace> {
  const view = await client.call('workspace_get', { workspaceId }, { signal: context.signal });
  return checkTrusted(openWorkspace(view.log, networkId), workspaceId);
}

/** The trusted workspace with the parent that it names, if it is a child. */
export interface TrustedFamily {
  readonly workspace: Workspace;
  readonly parent?: Workspace;
}

/**
 * As `trustedWorkspace`, with the parent of a child workspace: requests name the heads of both. Throws CliError `failed`
 * when the coordinator does not have the parent's log.
 */
export async function trustedFamily(
  context: CommandContext,
  { client, networkId, workspaceId }: WorkspaceSession,
): Promise<TrustedFamily> {
  const view = await client.call('workspace_get', { workspaceId }, { signal: context.signal });
  const workspace = checkTrusted(openWorkspace(view.log, networkId), workspaceId);
  if (workspace.parent === undefined) return { workspace };
  if (view.parentLog === undefined)
    throw new CliError(
      'failed',
      `the coordinator does not have the log of the parent workspace ${workspace.parent}`,
      'use a coordinator that has both, or register the parent at this one',
    );
  const parent = openWorkspace(view.parentLog, networkId);
  if (parent.id === workspace.parent) return { workspace, parent };
  throw new CliError(
    'failed',
    `the coordinator gave the log of workspace ${parent.id} as that of the parent ${workspace.parent}`,
    'do not use this coordinator, and ask its operator',
  );
}

/** The workspace itself, when it is the trusted one. */
export function checkTrusted(workspace: Workspace, workspaceId: Hex): Workspace {
  if (workspace.id === workspaceId) return workspace;
  throw new CliError(
    'failed',
    `the coordinator gave the log of workspace ${workspace.id}, trusted is ${workspaceId}`,
    'do not use this coordinator, and ask its operator',
  );
}

/** Throws CliError `failed` when the coordinator answered with another thing than it was asked for. */
export function requireSame(got: Hex, asked: Hex, what: string): void {
  if (got === asked) return;
  const message = `the coordinator answered with ${what} ${got} when asked for ${asked}`;
  throw new CliError('failed', message, 'do not use this coordinator, and ask its operator');
}
