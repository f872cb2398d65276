// Brings the node how a request has ended that it holds open: signed, with the receipt that proves it; rejected, with what its
// owners decided. That the coordinator calls it ended is no word to the node, which judges what it is brought.
import type { Client } from '../client/rpc-client.ts';
import { RpcClientError, type RpcClientErrorCode } from '../client/rpc-error.ts';
import type { Hex } from '../protocol/hex.ts';
import { type Envelope, envelopeId } from '../protocol/records/envelope.ts';
import type { Result } from '../protocol/rpc.ts';
import { askNode, type Door, NodeError } from './node-door.ts';
import type { Log, Outage } from './outage.ts';

/** A request as it stands at the coordinator. */
export type PendingItem = Result<'connector_pending'>['items'][number];

export interface BringEndOptions {
  readonly client: Client;
  readonly door: Door;
  readonly networkId: string;
  readonly coordinator: Outage;
  readonly node: Outage;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Answers of a coordinator that calls a request fulfilled and has no receipt of it to give. */
const withoutReceipt: ReadonlySet<RpcClientErrorCode> = new Set([
  'wrong_state',
  'not_found',
  'forbidden',
  'invalid_params',
  'method_not_found',
  'internal_error',
  'too_large',
  'bad_response',
]);

/** The id of a record that nobody has looked at yet; undefined when its bytes are none. */
export function idOf(envelope: Envelope, networkId: string): Hex | undefined {
  try {
    return envelopeId(envelope, networkId);
  } catch {
    return undefined;
  }
}

/**
 * Returns whether the node was told all there is to tell: what the coordinator has no proof of is to be asked for another time.
 * Throws RpcClientError, NodeError, or the signal's reason.
 */
export async function bringEnd(item: PendingItem, options: BringEndOptions): Promise<boolean> {
  return item.state === 'fulfilled' ? bringReceipt(item.requestId, options) : bringRejection(item, options);
}

async function bringReceipt(requestId: Hex, options: BringEndOptions): Promise<boolean> {
  const { client, door, networkId, coordinator, node, log, signal } = options;
  const skip = (code: string, detail: string): false => {
    log('request.skipped', { requestId, code, detail });
    return false;
  };
  try {
    const { receipt } = await client.call('receipt_get', { requestId }, { signal });
    coordinator.worked('evidence');
    if (idOf(receipt.evidence.request, networkId) !== requestId)
      return skip('wrong_evidence', 'the receipt is of another request');
    const { state, detail } = await askNode(door, { method: 'signed', receipt }, signal);
    node.worked('deliver');
    log('request.forwarded', { requestId, nodeState: state, ...(detail !== undefined && { detail }) });
    return true;
  } catch (error) {
    if (error instanceof RpcClientError && withoutReceipt.has(error.code))
      return skip(error.code, error.detail);
    throw error;
  }
}

/** The node holds the request on until its time is over: until then its owners may decide otherwise. */
async function bringRejection(
  { requestId, evidence }: PendingItem,
  { door, networkId, node, log, signal }: BringEndOptions,
): Promise<boolean> {
  if (idOf(evidence.request, networkId) !== requestId) {
    log('request.skipped', {
      requestId,
      code: 'wrong_evidence',
      detail: 'the evidence is of another request',
    });
    return false;
  }
  let said: { readonly nodeState: string; readonly detail?: string };
  try {
    const { state: nodeState, detail } = await askNode(door, { method: 'deliver', evidence }, signal);
    said = { nodeState, ...(detail !== undefined && { detail }) };
  } catch (error) {
    if (!(error instanceof NodeError) || error.code !== 'refused' || error.retry) throw error;
    said = { nodeState: 'waiting', detail: error.message };
  }
  node.worked('deliver');
  log('request.forwarded', { requestId, ...said });
  return true;
}
