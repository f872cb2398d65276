// Tells the coordinator, every few seconds, that this party is present and whether its node answers.
import type { Client } from '../client/rpc-client.ts';
import { startDeadline } from '../client/deadline.ts';
import { RpcClientError } from '../client/rpc-error.ts';
import type { ConnectorGrant } from '../protocol/records/connector-grant.ts';
import type { CoordinatorClock } from './clock.ts';
import { askNode, type Door, NodeError } from './node-door.ts';
import type { Outage } from './outage.ts';
import type { Backoff } from './retry.ts';

export interface HeartbeatOptions {
  readonly client: Client;
  readonly door: Door;
  readonly grant: ConnectorGrant;
  /** Milliseconds between two heartbeats; a node that takes longer to answer is not up. */
  readonly intervalMs: number;
  readonly backoff: Backoff;
  readonly coordinator: Outage;
  readonly node: Outage;
  readonly clock: CoordinatorClock;
  readonly signal: AbortSignal;
}

/** Runs until the signal aborts, and throws its reason then. */
export async function beat(options: HeartbeatOptions): Promise<never> {
  const { client, grant, intervalMs, coordinator, clock, backoff, signal } = options;
  for (;;) {
    const nodeUp = await isNodeUp(options);
    const asked = performance.now();
    try {
      const params = { keyringId: grant.keyringId, nodeUp };
      const { time } = await client.call('connector_heartbeat', params, { signal });
      clock.heard(time, performance.now() - asked);
      coordinator.worked('heartbeat');
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof RpcClientError)) throw error;
      if (error.serverTime !== undefined) clock.heard(error.serverTime, performance.now() - asked);
      coordinator.failed('heartbeat', error);
    }
    await backoff.sleep(intervalMs, signal);
  }
}

/** Whether the node answers, and is the one whose party made the grant. */
async function isNodeUp({
  door,
  grant,
  intervalMs,
  node,
  signal: outer,
}: HeartbeatOptions): Promise<boolean> {
  const late = () => new NodeError('unreachable', `the node did not answer within ${intervalMs} ms`, true);
  const deadline = startDeadline(outer, intervalMs, late);
  try {
    const status = await askNode(door, { method: 'status' }, deadline.signal);
    const expected = { networkId: grant.networkId, keyringId: grant.keyringId, party: grant.party };
    for (const field of ['networkId', 'keyringId', 'party'] as const) {
      if (status[field] === expected[field]) continue;
      const detail = `the node's ${field} is ${status[field]}, the grant's ${expected[field]}: correct the configuration`;
      node.failed('status', { code: 'wrong_node', detail });
      return false;
    }
    node.worked('status');
    return true;
  } catch (error) {
    outer.throwIfAborted();
    if (!(error instanceof NodeError)) throw error;
    node.failed('status', { code: error.reason, detail: error.message });
    return false;
  } finally {
    deadline.end();
  }
}
