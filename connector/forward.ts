// Brings requests from the coordinator to the node: a snapshot of those that are pending, then the keyring's events as
// they happen. The cursor on disk follows what the node has stored, so everything arrives at least once. Now and then it
// looks again at all that is pending: what a coordinator kept back, or showed wrongly at first, comes this way. What the
// node holds open and has ended meanwhile is brought too: with a receipt, or with the decisions that rejected it.
import { setTimeout as wait } from 'node:timers/promises';
import type { Client } from '../client/rpc-client.ts';
import { RpcClientError } from '../client/rpc-error.ts';
import type { Evidence } from '../protocol/authorize.ts';
import type { Hex } from '../protocol/hex.ts';
import type { Envelope } from '../protocol/records/envelope.ts';
import type { CoordinatorEvent, Result } from '../protocol/rpc.ts';
import type { Cursor } from './cursor.ts';
import { bringEnd, idOf, type PendingItem } from './bring-end.ts';
import { type AttemptOutcome, type Bring, Deliveries } from './deliveries.ts';
import { Ends } from './ends.ts';
import { askNode, type Door, NodeError } from './node-door.ts';
import type { Log, Outage } from './outage.ts';
import { type Backoff, delayAfter, retry } from './retry.ts';

export interface ForwardOptions {
  readonly client: Client;
  readonly door: Door;
  readonly networkId: string;
  readonly keyringId: Hex;
  readonly cursor: Cursor;
  readonly backoff: Backoff;
  /** Milliseconds between two looks at everything that is pending. */
  readonly lookAgainMs: number;
  readonly coordinator: Outage;
  readonly node: Outage;
  readonly log: Log;
  /** Called whenever the coordinator has accepted the watch. */
  readonly onWatching: () => void;
  /** The node's result of a request that it had finished before: this connector may never have seen it. */
  readonly onResult: (result: Envelope) => Promise<void>;
  /** Told of what ends the connector; aborts the signal. */
  readonly onFatal: (error: unknown) => void;
  readonly signal: AbortSignal;
}

/** Requests of a snapshot's page. Evidence can be large, and the page halves when it is too much. */
const pageLimit = 20;
/** How often the logs are asked for in vain, all pages together, before it goes on without them. */
const maxLogTries = 6;

/** Of the next page, when one failed: half as many where it may have been too much. */
function limitAfter({ code }: RpcClientError, limit: number): number {
  return code === 'bad_response' || code === 'timeout' ? Math.max(1, Math.floor(limit / 2)) : limit;
}

/** A workspace's newest log, as the coordinator has it. */
type LogItem = Result<'connector_logs'>['items'][number];

/** Also one that still awaits approvals: the node has to have seen it, as delays count from then. */
const isOpen = ({ state }: { readonly state: string }): boolean => state === 'partial' || state === 'pending';

const settled: AttemptOutcome = { outcome: 'settled' };
const later = (askedMs = 0): AttemptOutcome => ({ outcome: 'later', askedMs });

export class Forwarder {
  readonly #options: ForwardOptions;
  readonly #deliveries: Deliveries;
  readonly #ends: Ends;
  /** Workspaces whose logs are on their way: ids of requests are none of these. */
  readonly #workspaces = new Set<Hex>();
  /** Why the node put requests off, so that each reason is logged once. */
  readonly #putOff = new Map<Hex, string>();

  constructor(options: ForwardOptions) {
    this.#options = options;
    this.#deliveries = new Deliveries({
      backoff: options.backoff,
      signal: options.signal,
      attempt: (requestId, bring) => this.#attempt(requestId, bring),
      onProgress: (position) => options.cursor.set(position),
      onFatal: options.onFatal,
    });
    this.#ends = new Ends({
      ...options,
      bring: (requestId) => this.#deliveries.addFromSnapshot(requestId, () => this.#bringNewest(requestId)),
    });
  }

  /** As Deliveries tell it. */
  get state(): Deliveries['state'] {
    return this.#deliveries.state;
  }

  /** Runs until the signal aborts. Fatal is, among others, a ConnectorError when the cursor cannot be kept. */
  async run(): Promise<void> {
    const { signal, onFatal } = this.#options;
    const loops = [this.#watch(), this.#lookAgain(), this.#ends.run()];
    try {
      await Promise.all(loops);
    } catch (error) {
      if (!signal.aborted) onFatal(error);
    }
    await Promise.allSettled(loops);
    await this.#deliveries.ended();
  }

  async #watch(): Promise<never> {
    const { client, keyringId, coordinator, log, backoff, signal, onWatching } = this.#options;
    let position = await this.#snapshot();
    for (let failures = 0; ; failures += 1) {
      let opened = false;
      let askedMs = 0;
      let again = false;
      try {
        const onOpen = () => {
          opened = true;
          coordinator.worked('watch');
          onWatching();
        };
        for await (const next of client.events({ kind: 'keyring', id: keyringId }, position, {
          signal,
          onOpen,
        })) {
          failures = 0;
          position = next.sequence;
          await this.#deliveries.addEvent(position, this.#concerns(next.event));
        }
        log('watch.ended', { position });
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof RpcClientError)) throw error;
        const { code, detail, retryAfterMs = 0 } = error;
        askedMs = retryAfterMs;
        // After an event that cannot be read the stream leads no further either: a snapshot leads around it.
        again = code === 'cursor_too_old' || (opened && code === 'bad_response');
        if (opened || again) log('watch.ended', { position, code, detail });
        else coordinator.failed('watch', error);
      }
      // A coordinator that lets us in is asked again soon, though not at once if it closes every time.
      if (opened) failures = Math.min(failures, 3);
      await backoff.sleep(delayAfter(backoff, failures, askedMs), signal);
      if (again) position = await this.#snapshot();
    }
  }

  /** The request, or the workspace, that an event gives news of for the node. Results and ends are not its business. */
  #concerns(event: CoordinatorEvent): Hex | undefined {
    if (event.type === 'workspace.head') {
      this.#workspaces.add(event.workspaceId);
      return event.workspaceId;
    }
    if (event.type === 'request.decision') return event.requestId;
    if (event.type !== 'request.state' || !isOpen(event)) return undefined;
    this.#options.log('request.seen', { requestId: event.requestId, kind: event.kind, state: event.state });
    return event.requestId;
  }

  async #lookAgain(): Promise<never> {
    const { lookAgainMs, signal } = this.#options;
    for (;;) {
      await wait(lookAgainMs, undefined, { signal });
      await this.#offerLogs();
      await this.#offerPending();
    }
  }

  /** Offers every pending request to the node, and returns the position from which to watch. */
  async #snapshot(): Promise<number> {
    const { cursor, log } = this.#options;
    const position = await this.#offerPending((fields) => log('request.seen', fields));
    if (cursor.sequence !== undefined && position < cursor.sequence) {
      log('coordinator.rewound', { had: cursor.sequence, has: position });
    }
    await this.#offerLogs();
    this.#deliveries.endSnapshot(position);
    return position;
  }

  /** Offers every pending request to the node; returns where the stream stood before the first was read. */
  async #offerPending(seen: (fields: Record<string, unknown>) => void = () => undefined): Promise<number> {
    let position: number | undefined;
    const open = new Set<Hex>();
    let after: string | undefined;
    let limit = pageLimit;
    do {
      const page = await this.#page(
        after,
        () => limit,
        (error) => (limit = limitAfter(error, limit)),
      );
      // What changes while later pages are read is seen again in the stream: the first page's cursor counts.
      position ??= page.cursor;
      const pending = page.items.filter(isOpen);
      for (const { requestId, state } of pending) {
        open.add(requestId);
        seen({ requestId, state });
      }
      await Promise.all(
        pending.map((item) =>
          this.#deliveries.addFromSnapshot(item.requestId, () =>
            this.#deliver(item.requestId, item.evidence),
          ),
        ),
      );
      after = page.next;
    } while (after !== undefined);
    this.#ends.compare(open);
    return position;
  }

  async #page(
    after: string | undefined,
    limit: () => number,
    failed: (error: RpcClientError) => void,
  ): Promise<Result<'connector_pending'>> {
    const { client, keyringId, coordinator, backoff, signal } = this.#options;
    const page = await retry(
      () =>
        client.call(
          'connector_pending',
          { keyringId, limit: limit(), ...(after !== undefined && { after }) },
          { signal },
        ),
      {
        backoff,
        signal,
        onFailure: (error) => {
          if (!(error instanceof RpcClientError)) throw error;
          coordinator.failed('snapshot', error);
          failed(error);
          return error.retryAfterMs ?? 0;
        },
      },
    );
    coordinator.worked('snapshot');
    return page;
  }

  /** One attempt to bring a request to the node. Throws only the signal's reason, or what is a fault of this program. */
  async #attempt(requestId: Hex, bring: Bring = () => this.#bringNewest(requestId)): Promise<AttemptOutcome> {
    const { signal, coordinator, node } = this.#options;
    try {
      return await bring();
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof RpcClientError) {
        coordinator.failed('evidence', error);
        return later(error.retryAfterMs);
      }
      if (!(error instanceof NodeError)) throw error;
      if (error.code !== 'refused' && error.code !== 'too_large') {
        node.failed('deliver', { code: error.reason, detail: error.message });
        return later();
      }
      node.worked('deliver');
      return this.#refused(requestId, error);
    }
  }

  /** Brings what the coordinator has now of a request, or of a workspace. */
  async #bringNewest(id: Hex): Promise<AttemptOutcome> {
    if (this.#workspaces.has(id)) {
      const item = await this.#fetchLog(id);
      return item === undefined ? settled : this.#bringLog(item);
    }
    const found = await this.#fetch(id);
    if (found !== undefined && isOpen(found)) return this.#deliver(id, found.evidence);
    if (this.#ends.wants(id)) {
      // Of what the coordinator has forgotten there is nothing to tell.
      if (found !== undefined && (await bringEnd(found, this.#options))) this.#ends.told(id);
    } else {
      // It has ended: nothing fails at the node any more because of this request, which it may hold open all the same.
      this.#options.node.worked('deliver');
      if (found !== undefined) this.#ends.suspect(id);
    }
    return this.#settle(id);
  }

  async #fetchLog(workspaceId: Hex): Promise<LogItem | undefined> {
    const { client, keyringId, coordinator, signal } = this.#options;
    const { items } = await client.call(
      'connector_logs',
      { keyringId, workspaceIds: [workspaceId] },
      { signal },
    );
    coordinator.worked('evidence');
    return items.find((item) => item.workspaceId === workspaceId);
  }

  /** Brings the log of a workspace to the node, which obeys it whatever the coordinator thinks of it. */
  async #bringLog({ workspaceId, log: records, parentLog }: LogItem): Promise<AttemptOutcome> {
    const { door, node, log, signal } = this.#options;
    const logs = [{ log: records, ...(parentLog && { parentLog }) }];
    const [taken] = (await askNode(door, { method: 'logs', logs }, signal)).logs;
    node.worked('deliver');
    const { outcome = 'refused', detail } = taken ?? {};
    log('log.forwarded', { workspaceId, outcome, ...(detail !== undefined && { detail }) });
    return outcome === 'busy' ? later() : settled;
  }

  /** Brings the logs of all workspaces of the keyring, which may have changed while nobody watched. */
  async #offerLogs(): Promise<void> {
    const { client, keyringId, coordinator, backoff, signal } = this.#options;
    let after: string | undefined;
    let limit = pageLimit;
    let tries = 0;
    const ask = async (): Promise<Result<'connector_logs'>> =>
      client.call('connector_logs', { keyringId, limit, ...(after !== undefined && { after }) }, { signal });
    // Of what changed while nobody watched nothing else tells for long: one failure is no reason to go on without.
    const onFailure = (error: unknown): number => {
      tries += 1;
      if (!(error instanceof RpcClientError)) throw error;
      if (error.code === 'method_not_found' || tries >= maxLogTries) throw error;
      coordinator.failed('logs', error);
      limit = limitAfter(error, limit);
      return error.retryAfterMs ?? 0;
    };
    try {
      do {
        const page = await retry(ask, { backoff, signal, onFailure });
        for (const item of page.items) {
          // What evidence does not bring by itself, and what takes something back.
          if (item.head.seq === 0) continue;
          this.#workspaces.add(item.workspaceId);
          await this.#deliveries.addFromSnapshot(item.workspaceId, () => this.#bringLog(item));
        }
        after = page.next;
      } while (after !== undefined);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof RpcClientError)) throw error;
      // One of an older version has no logs to give: requests bring them.
      if (error.code !== 'method_not_found') coordinator.failed('logs', error);
      return;
    }
    coordinator.worked('logs');
  }

  async #fetch(requestId: Hex): Promise<PendingItem | undefined> {
    const { client, keyringId, coordinator, signal } = this.#options;
    const { items } = await client.call(
      'connector_pending',
      { keyringId, requestIds: [requestId] },
      { signal },
    );
    coordinator.worked('evidence');
    return items.find((item) => item.requestId === requestId);
  }

  async #deliver(requestId: Hex, evidence: Evidence): Promise<AttemptOutcome> {
    const { door, node, networkId, log, signal } = this.#options;
    if (idOf(evidence.request, networkId) !== requestId) {
      log('request.skipped', {
        requestId,
        code: 'wrong_evidence',
        detail: 'the evidence is of another request',
      });
      return this.#settle(requestId);
    }
    const { state, detail, result } = await askNode(door, { method: 'deliver', evidence }, signal);
    node.worked('deliver');
    log('request.forwarded', { requestId, nodeState: state, ...(detail !== undefined && { detail }) });
    if (result !== undefined) await this.#options.onResult(result);
    return this.#settle(requestId);
  }

  #refused(requestId: Hex, error: NodeError): AttemptOutcome {
    const { log } = this.#options;
    const fields = { requestId, code: error.reason, detail: error.message };
    if (!error.retry) {
      log('request.skipped', fields);
      return this.#settle(requestId);
    }
    if (this.#putOff.get(requestId) !== error.reason) log('request.delayed', fields);
    this.#putOff.set(requestId, error.reason);
    return later();
  }

  #settle(requestId: Hex): AttemptOutcome {
    this.#putOff.delete(requestId);
    this.#ends.settle(requestId);
    return settled;
  }
}
