// Brings the node's own results to the coordinator, in order, each until the coordinator has answered for good.
import type { Client } from '../client/rpc-client.ts';
import { RpcClientError, type RpcClientErrorCode } from '../client/rpc-error.ts';
import { maxResultsWaitMs } from '../protocol/door-messages.ts';
import type { Hex } from '../protocol/hex.ts';
import { type Envelope, readContent, RecordError } from '../protocol/records/envelope.ts';
import { partyResult } from '../protocol/records/party-result.ts';
import type { Cursor } from './cursor.ts';
import { askNode, type Door, type NodeAnswer, NodeError } from './node-door.ts';
import type { Log, Outage } from './outage.ts';
import { type Backoff, retry } from './retry.ts';

export interface SubmitOptions {
  readonly client: Client;
  readonly door: Door;
  readonly networkId: string;
  readonly cursor: Cursor;
  readonly backoff: Backoff;
  readonly coordinator: Outage;
  readonly node: Outage;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Answers that sending the same result again cannot change. */
const permanent: ReadonlySet<RpcClientErrorCode> = new Set([
  'conflicting_result',
  'not_found',
  'bad_signature',
  'wrong_state',
  'invalid_params',
  'idempotency_mismatch',
  'policy_denied',
  'stale_log_head',
  'too_large',
]);

const batch = 8;

type Results = NodeAnswer<'results'>['results'];

/** Runs until the signal aborts, and throws its reason then. Throws ConnectorError when the cursor cannot be kept. */
export async function submitResults(options: SubmitOptions): Promise<never> {
  const { cursor, backoff, signal, log } = options;
  for (;;) {
    signal.throwIfAborted();
    const results = await nextResults(options, cursor.sequence ?? 0).catch(async (error: unknown) => {
      if (!isAhead(error)) throw error;
      // The node runs on an older copy of its folder: what it has is handed in once more.
      log('node.rewound', { had: cursor.sequence ?? 0, detail: error.message });
      await cursor.set(0);
      return [];
    });
    // A node waits before it says that there are none; should it not, this loop still must not spin.
    if (results.length === 0) await backoff.sleep(backoff.firstMs, signal);
    // Sent together, counted in order: a crash repeats what came after the first that was not counted.
    const sent = results.map(({ result }) => submitResult(options, result));
    const all = Promise.allSettled(sent);
    try {
      for (const [index, { sequence }] of results.entries()) {
        await sent[index];
        await cursor.set(sequence);
      }
    } finally {
      await all;
    }
  }
}

/** Whether the node has not made as many results as were taken from it. */
function isAhead(error: unknown): error is NodeError {
  return error instanceof NodeError && error.code === 'refused' && error.reason === 'cursor_ahead';
}

/** The node's results after a sequence number; waits for the first. Throws when the node has not come so far. */
async function nextResults(options: SubmitOptions, after: number): Promise<Results> {
  const { door, node, signal, backoff } = options;
  let waitMs = maxResultsWaitMs;
  return retry(
    async () => {
      const request = { method: 'results' as const, after, limit: batch, waitMs };
      const { results } = await askNode(door, request, signal);
      const rising = results.every(
        ({ sequence }, index) => sequence > (results[index - 1]?.sequence ?? after),
      );
      if (!rising) throw new NodeError('bad_response', `the node's results do not rise from ${after}`, true);
      node.worked('results');
      return results;
    },
    {
      backoff,
      signal,
      onFailure: (error) => {
        if (!(error instanceof NodeError) || (after > 0 && isAhead(error))) throw error;
        waitMs = 0; // The next answer tells that the node is back: it should not wait for a result to tell it.
        node.failed('results', { code: error.reason, detail: error.message });
        return 0;
      },
    },
  );
}

/** Hands one result in. Returns when it was answered for good, whether or not it counts. */
export async function submitResult(
  options: Omit<SubmitOptions, 'cursor'>,
  envelope: Envelope,
): Promise<void> {
  const { client, coordinator, log, signal, backoff, networkId } = options;
  let requestId: Hex;
  let resultId: Hex;
  try {
    const record = readContent(partyResult, envelope, networkId);
    resultId = record.id;
    requestId = record.content.subject;
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    log('result.skipped', { code: error.code, detail: error.message });
    return;
  }
  log('result.received', { requestId, resultId });
  const answer = await retry(
    async () => {
      try {
        return await client.call('connector_submitResult', { result: envelope }, { signal });
      } catch (error) {
        if (!(error instanceof RpcClientError) || !permanent.has(error.code)) throw error;
        log('result.skipped', { requestId, resultId, code: error.code, detail: error.detail });
        return undefined;
      }
    },
    {
      backoff,
      signal,
      onFailure: (error) => {
        if (!(error instanceof RpcClientError)) throw error;
        coordinator.failed('submit', error);
        return error.retryAfterMs ?? 0;
      },
    },
  );
  coordinator.worked('submit');
  if (answer === undefined) return;
  const { state, votes, counted } = answer;
  log('result.submitted', { requestId, resultId, state, votes, counted });
}
