// Requests as their signed bytes tell them, and waiting for their end.
import { setTimeout as delay } from 'node:timers/promises';
import type { RpcClientError } from '../client/rpc-error.ts';
import type { Hex } from '../protocol/hex.ts';
import { RecordError, verifyRecord } from '../protocol/records/envelope.ts';
import { openKeyring } from '../protocol/records/keyring-roster.ts';
import { type Request, request as requestRecord } from '../protocol/records/request.ts';
import { ownerOf, type Workspace } from '../protocol/records/workspace.ts';
import type { RequestView } from '../protocol/rpc.ts';
import type { CommandContext } from './context.ts';
import { CliError } from './errors.ts';
import { allPages, uniqueId, wholeId } from './ids.ts';
import { printNotes } from './output.ts';
import { type ProgressOptions, startProgress } from './progress.ts';
import type { WorkspaceSession } from './session.ts';

/** The id of a request of the trusted workspace, from the id or a unique prefix of it. */
export async function findRequest(
  context: CommandContext,
  { client, workspaceId }: WorkspaceSession,
  text: string,
): Promise<Hex> {
  const whole = wholeId(text);
  if (whole !== undefined) return whole;
  const views = await allPages((page) =>
    client.call('sign_list', { workspaceId, ...page }, { signal: context.signal }),
  );
  return uniqueId(
    text,
    views.map((view) => view.requestId),
    'request',
  );
}

/** A request proven from a view: it is the one asked for, of the trusted workspace, and its initiator signed it. */
export interface ProvenRequest {
  readonly id: Hex;
  readonly content: Request;
}

/** Throws RecordError, or CliError `failed` when the coordinator shows another request. */
export function proveRequest(
  view: Pick<RequestView, 'request'>,
  requestId: Hex,
  workspace: Workspace,
  networkId: string,
): ProvenRequest {
  const { id, content, signedBy } = verifyRecord(requestRecord, view.request, networkId);
  if (id !== requestId || content.workspaceId !== workspace.id) {
    throw new CliError(
      'failed',
      `the coordinator answered with request ${id} of workspace ${content.workspaceId} when asked for ${requestId}`,
      'do not use this coordinator, and ask its operator',
    );
  }
  if (!signedBy.every((credential) => ownerOf(workspace, credential)?.name === content.initiator)) {
    throw new RecordError('missing_signature', 'request', `not signed by its initiator ${content.initiator}`);
  }
  return { id, content };
}

export function isFinal(view: Pick<RequestView, 'state'>): boolean {
  return view.state === 'fulfilled' || view.state === 'rejected';
}

/** Longest single wait at the coordinator, and pause after a call that may succeed later; in milliseconds. */
const oneWaitMs = 25_000;
const pauseMs = 1000;
/** Calls in a row that may fail before waiting is given up. */
const maxFailures = 10;
const passing: readonly string[] = ['unreachable', 'timeout', 'unavailable', 'rate_limited'];

/** Whether a call failed in a way that says nothing about the next one. */
export function mayPass(error: unknown): error is RpcClientError {
  const { name, code } = error as RpcClientError;
  return name === 'RpcClientError' && passing.includes(code);
}

function describeState(view: RequestView): string {
  if (view.state === 'pending')
    return `pending: ${view.votes.have} of ${view.votes.need} parties have answered`;
  if (view.state !== 'partial') return view.state;
  const missing = (view.missing ?? []).map(
    ({ rule, need, have }) => `${need - have.length} more for rule ${rule}`,
  );
  return missing.length === 0 ? 'partial' : `partial: approvals missing, ${missing.join('; ')}`;
}

/** So many more of those: what somebody who waits wants to know. */
function more(count: number, names: readonly string[]): string {
  return count >= names.length ? names.join(', ') : `${count} more of ${names.join(', ')}`;
}

/** Whom a request waits for, as the coordinator tells it. `parties`: names of the keyring's parties by their keys. */
function awaited(view: RequestView, parties: ReadonlyMap<string, string>): string {
  if (view.state === 'partial') {
    const rules = (view.missing ?? []).map(({ need, have, from }) =>
      more(
        need - have.length,
        from.filter((name) => !have.includes(name)),
      ),
    );
    return `waiting for approvals${rules.length === 0 ? '' : `: ${rules.join('; ')}`}`;
  }
  const answered = new Set(
    view.results.flatMap(({ signatures }) => signatures.map((entry) => entry.credential)),
  );
  const silent = [...parties].filter(([key]) => !answered.has(key)).map(([, name]) => name);
  const { have, need } = view.votes;
  if (silent.length === 0) return `waiting for parties: ${have} of ${need} have answered`;
  return `waiting for parties: ${more(need - have, silent)}`;
}

/** Names of a keyring's parties by their keys: only shown, so whatever goes wrong with it is no reason to stop. */
async function partyNames(
  context: CommandContext,
  { client, networkId }: Pick<WorkspaceSession, 'client' | 'networkId'>,
  keyringId: Hex,
): Promise<ReadonlyMap<string, string>> {
  try {
    const { roster } = await client.call('keyring_get', { keyringId }, { signal: context.signal });
    return new Map(openKeyring(roster, networkId).roster.parties.map(({ key, name }) => [key, name]));
  } catch {
    return new Map();
  }
}

/**
 * Waits until a request is final, at most so many seconds if given; a coordinator that is away for moments is asked
 * again. Returns how the request stands then. What it waits for is noted for people.
 */
export async function waitForRequest(
  context: CommandContext,
  session: Pick<WorkspaceSession, 'client' | 'networkId'>,
  first: RequestView,
  seconds: number | undefined,
  options: ProgressOptions = {},
): Promise<RequestView> {
  let view = first;
  let away = false;
  let parties: ReadonlyMap<string, string> = new Map();
  const progress = startProgress(context, options, () =>
    away ? 'waiting for the coordinator, which does not answer' : awaited(view, parties),
  );
  if (progress.shows) parties = await partyNames(context, session, view.keyringId);
  const { client } = session;
  const end = seconds === undefined ? Infinity : context.now() + seconds * 1000;
  let said = '';
  let failures = 0;
  try {
    while (!isFinal(view)) {
      const state = describeState(view);
      if (state !== said) progress.beside(() => printNotes(context, [state]));
      said = state;
      const left = end - context.now();
      if (left <= 0) break;
      const timeoutMs = Math.ceil(Math.min(left, oneWaitMs));
      try {
        view = await client.call(
          'sign_wait',
          { requestId: view.requestId, timeoutMs },
          { signal: context.signal },
        );
        failures = 0;
      } catch (error) {
        failures += 1;
        if (!mayPass(error) || failures >= maxFailures) throw error;
        away = true;
        await delay(Math.min(error.retryAfterMs ?? pauseMs, oneWaitMs), undefined, {
          signal: context.signal,
        });
      }
      away = failures > 0;
    }
  } finally {
    progress.stop();
  }
  return view;
}

/** Nothing when the request is fulfilled. Throws CliError `rejected` or `waiting` otherwise. */
export function requireFulfilled(view: RequestView): void {
  if (view.state === 'fulfilled') return;
  if (view.state !== 'rejected') {
    throw new CliError(
      'waiting',
      `request ${view.requestId} is still ${describeState(view)}`,
      `wait on with countersign request show ${view.requestId} --wait`,
    );
  }
  const reason = view.reason === undefined ? 'no reason given' : `${view.reason.code}, ${view.reason.detail}`;
  throw new CliError(
    'rejected',
    `request ${view.requestId} was rejected (${reason})`,
    view.mayHaveBeenSigned
      ? 'it may have been signed all the same: make it invalid on chain before you ask again'
      : 'ask again once the reason is gone',
  );
}

/** `--wait [SECONDS]`: undefined without it, Infinity without seconds. Throws CliError `usage`. */
export function waitSeconds(wait: string | boolean | undefined): number | undefined {
  if (wait === undefined || wait === false) return undefined;
  if (wait === true) return Infinity;
  const seconds = /^[0-9]{1,7}(\.[0-9]{1,3})?$/.test(wait) ? Number(wait) : NaN;
  if (seconds > 0) return seconds;
  throw new CliError(
    'usage',
    `--wait ${JSON.stringify(wait)} is no number of seconds`,
    'give seconds, or --wait alone',
  );
}
