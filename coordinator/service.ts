// The coordinator's methods: reads what a call names, applies a pure transition, commits, answers with a view. It holds
// and counts what others signed; nothing here can authorise anything.
import { anySignal } from 'any-signal';
import type { Params, Result } from '../protocol/rpc.ts';
import { RecordError, readContent, type Envelope } from '../protocol/records/envelope.ts';
import type { Hex } from '../protocol/hex.ts';
import { decision as decisionRecord } from '../protocol/records/decision.ts';
import { timestamp } from '../protocol/records/fields.ts';
import { openKeyring } from '../protocol/records/keyring-roster.ts';
import { partyResult } from '../protocol/records/party-result.ts';
import { request as requestRecord } from '../protocol/records/request.ts';
import { Access, type CreateRule, known } from './access.ts';
import { Repository, keyringStream, type Page, workspaceStream } from './repository.ts';
import { pageOf } from './page.ts';
import { Registry } from './registry.ts';
import type { ServiceObserver } from './observer.ts';
import { defaultEventsPerStream, Retention } from './retention.ts';
import { RpcError } from './rpc/error.ts';
import type { Caller, CoordinatorService, Handlers } from './rpc/handlers.ts';
import { StateError } from './state/error.ts';
import { evidenceOf, isFinal, type Outcome, type StoredRequest, votesOf } from './state/request.ts';
import {
  authorisationOf,
  recordError,
  decide,
  expire,
  initiatorOf,
  keyIdsOf,
  submitRequest,
} from './state/transitions.ts';
import { submitResult } from './state/results.ts';
import { keyView, receiptOf, requestView } from './state/views.ts';
import { type Store, StoreError } from './store/store.ts';

export interface CoordinatorServiceOptions {
  readonly store: Store;
  readonly networkId: string;
  readonly create: CreateRule;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly log: (event: string, fields: Record<string, unknown>) => void;
  readonly version: string;
  /** Events of each stream that are kept; default 10,000. */
  readonly eventsPerStream?: number;
  /** How often requests whose time is over are ended, and old events forgotten, in milliseconds. */
  readonly sweepIntervalMs?: number;
  readonly observer?: ServiceObserver;
}

const defaultLimit = 50;

const later = async (): Promise<never> => {
  throw new RpcError('unavailable', 'this coordinator does not do that yet', 'use a newer one');
};

/** The methods over a store, with the sweep of ended requests between start() and stop(). */
export function createCoordinatorService(options: CoordinatorServiceOptions): CoordinatorService & {
  readonly registry: Registry;
  start(): void;
  stop(): Promise<void>;
  sweep(): Promise<void>;
} {
  return new Service(options);
}

class Service implements CoordinatorService {
  readonly handlers: Handlers;
  readonly #options: CoordinatorServiceOptions;
  readonly #repository: Repository;
  readonly #access: Access;
  readonly registry: Registry;
  readonly #retention: Retention;
  readonly #stopped = new AbortController();
  #sweeping: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: CoordinatorServiceOptions) {
    this.#options = options;
    this.#repository = new Repository(options.store, options.networkId, (outcome, before) =>
      this.#tell(outcome, before),
    );
    this.#access = new Access(this.#repository, options.networkId, options.create);
    this.registry = new Registry(this.#repository, this.#access, options);
    this.#retention = new Retention(options.store, options.eventsPerStream ?? defaultEventsPerStream);
    this.handlers = this.#guard({
      // Loaded when it is asked for: it is of no other use.
      'rpc.discover': async () => (await import('./rpc/discover.ts')).discover(options.version),
      network_get: async () => ({
        networkId: options.networkId,
        time: timestamp(options.now()),
        version: options.version,
      }),
      workspace_create: async ({ genesis }) => this.registry.createWorkspace(genesis),
      workspace_get: async ({ workspaceId }, caller) => {
        await this.#access.mayReadWorkspace(workspaceId, caller);
        return this.registry.workspaceView(workspaceId);
      },
      workspace_list: async ({ after, limit }, caller) => {
        const page = await this.#repository.workspacesOf(known(caller), after, limit ?? defaultLimit);
        return pageOf(page, (id) => this.registry.workspaceView(id));
      },
      keyring_create: async ({ roster }) => this.registry.createKeyring(roster),
      keyring_get: async ({ keyringId }) => this.registry.keyringView(keyringId),
      keyring_list: async ({ after, limit }) =>
        pageOf(await this.#repository.keyrings(after, limit ?? defaultLimit), (id) =>
          this.registry.keyringView(id),
        ),
      key_request: async ({ request }) => this.#submit(request, 'key'),
      key_get: async ({ keyId }, caller) => {
        const request = await this.#readable(keyId, caller);
        if (request.kind !== 'key') {
          throw new StateError('not_found', `${keyId} is a sign request, no key`, 'name a key by its id');
        }
        return this.#keyView(request);
      },
      key_list: async ({ workspaceId, after, limit }, caller) => {
        await this.#access.mayReadWorkspace(workspaceId, caller);
        const page = await this.#repository.keysOf(workspaceId, after, limit ?? defaultLimit);
        return pageOf(page, async (id) => this.#keyView(await this.#current(id)));
      },
      sign_request: async ({ request }) => this.#submit(request, 'sign'),
      sign_get: async ({ requestId }, caller) => this.#view(await this.#readable(requestId, caller)),
      sign_list: async ({ workspaceId, state, after, limit }, caller) => {
        await this.#access.mayReadWorkspace(workspaceId, caller);
        // As in `connector_pending`: taken first.
        const cursor = await options.store.last(workspaceStream(workspaceId));
        const page = await this.#repository.requestsOf(workspaceId, after, limit ?? defaultLimit);
        const views = await pageOf(page, async (id) => this.#view(await this.#current(id)));
        return state === undefined
          ? { ...views, cursor }
          : { ...views, cursor, items: views.items.filter((view) => view.state === state) };
      },
      sign_wait: async ({ requestId, timeoutMs }, caller, signal) =>
        this.#wait(requestId, timeoutMs, caller, signal),
      action_list: async ({ workspaceId, after, limit }, caller) => {
        await this.#access.mayReadWorkspace(workspaceId, caller);
        const page = await this.#repository.actionsOf(workspaceId, after, limit ?? defaultLimit);
        const views = await pageOf(page, async (id) => this.#view(await this.#current(id)));
        return { ...views, items: views.items.filter((view) => view.missing !== undefined) };
      },
      action_get: async ({ requestId }, caller) => {
        const request = await this.#readable(requestId, caller);
        const context = await this.#repository.contextOf(request);
        return { view: requestView(request, context, options.now()), evidence: evidenceOf(request, context) };
      },
      receipt_get: async ({ requestId }, caller) => {
        const request = await this.#readable(requestId, caller);
        return { receipt: receiptOf(request, await this.#repository.contextOf(request)) };
      },
      action_decide: async ({ decision }) => this.#decide(decision),
      connector_pending: async (params, caller) => this.#pending(params, caller),
      workspace_log: later,
      workspace_propose: later,
      change_get: later,
      change_list: later,
      policy_validate: later,
      policy_simulate: later,
      policy_explain: later,
      connector_logs: later,
      connector_submitResult: async ({ result }, caller) => this.#submitResult(result, caller),
      connector_heartbeat: async ({ keyringId, nodeUp }, caller) => {
        const party = await this.#access.connectorOf(keyringId, caller);
        this.registry.heard(keyringId, party, nodeUp);
        return { time: timestamp(options.now()) };
      },
    });
  }

  /** Turns what the state machine and the store throw into what callers are told. */
  #guard(handlers: Handlers): Handlers {
    const guarded = Object.entries(handlers).map(([name, handler]) => {
      const call = handler as (params: unknown, caller: Caller, signal: AbortSignal) => Promise<unknown>;
      return [
        name,
        async (params: unknown, caller: Caller, signal: AbortSignal) => {
          try {
            return await call(params, caller, signal);
          } catch (error) {
            throw this.#told(error);
          }
        },
      ];
    });
    return Object.fromEntries(guarded) as Handlers;
  }

  #told(error: unknown): unknown {
    if (error instanceof StateError) return new RpcError(error.code, error.message, error.remedy);
    if (error instanceof RecordError) return this.#told(recordError(error));
    if (error instanceof StoreError) {
      this.#options.log('store.error', { code: error.code, message: error.message });
      return new RpcError('unavailable', 'the store did not answer', 'send the same record again later');
    }
    return error;
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.#sweeping = this.#sweeping
        .then(() => this.#timedSweep())
        .catch((error: unknown) => {
          this.#options.log('sweep.failed', { message: (error as Error).message });
        });
    }, this.#options.sweepIntervalMs ?? 1000);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopped.abort();
    await this.#sweeping;
  }

  async #timedSweep(): Promise<void> {
    const began = performance.now();
    let outcome: 'done' | 'failed' = 'failed';
    try {
      await this.sweep();
      outcome = 'done';
    } finally {
      this.#options.observer?.swept(outcome, performance.now() - began);
    }
  }

  /** Ends requests whose time is over, and forgets old events. */
  async sweep(): Promise<void> {
    const { now } = this.#options;
    for (const id of await this.#repository.ended(now(), 100)) {
      if (this.#stopped.signal.aborted) return;
      // One that cannot be ended must not keep the others from it.
      await this.#current(id).catch((error: unknown) => {
        this.#options.log('sweep.failed', { requestId: id, message: (error as Error).message });
      });
    }
    await this.#retention.trim();
  }

  async mayRead(stream: { kind: 'keyring' | 'workspace'; id: Hex }, caller: Caller): Promise<void> {
    try {
      if (stream.kind === 'workspace') await this.#access.mayReadWorkspace(stream.id, caller);
      else await this.#access.connectorOf(stream.id, caller);
    } catch (error) {
      throw this.#told(error);
    }
  }

  async #submit(envelope: Envelope, kind: 'key' | 'sign'): Promise<Result<'sign_request'>> {
    const { networkId, now, log } = this.#options;
    const { id, content } = readContent(requestRecord, envelope, networkId);
    if (content.kind !== kind)
      throw new StateError('invalid_params', `a ${content.kind} request`, `use ${content.kind}_request`);
    const known = await this.#repository.find(id);
    if (known !== undefined) return this.#resubmitted(known, envelope);
    const keyIds = keyIdsOf(content);
    await this.#requireReady(keyIds);
    const keyringId = content.kind === 'key' ? content.keyringId : await this.#keyringOf(keyIds);
    const context = await this.#repository.context(content.workspaceId, keyringId, keyIds);
    const outcome = submitRequest(context, envelope, now());
    const { request, added } = await this.#repository.addRequest(outcome);
    if (!added) return this.#resubmitted(request, envelope);
    log('request.received', { requestId: id, kind, initiator: initiatorOf(request, networkId) });
    return requestView(request, context, now());
  }

  /** The same bytes again get the same answer, provided that the initiator signed this envelope too. */
  async #resubmitted(request: StoredRequest, envelope: Envelope): Promise<Result<'sign_request'>> {
    authorisationOf({ ...request, envelope }, await this.#repository.contextOf(request));
    return this.#view(await this.#current(request.requestId));
  }

  /** Throws StateError unless each of these is a key that was made. */
  async #requireReady(keyIds: readonly Hex[]): Promise<void> {
    for (const keyId of keyIds) {
      const key = await this.#repository.request(keyId);
      if (key.kind !== 'key')
        throw new StateError('not_found', `${key.requestId} is no key`, 'name a key by its id');
      if (key.state !== 'fulfilled') {
        throw new StateError(
          'wrong_state',
          `key ${key.requestId} is ${key.state}`,
          'wait until the key is fulfilled',
        );
      }
    }
  }

  /** The one keyring of all these keys. */
  async #keyringOf(keyIds: readonly Hex[]): Promise<Hex> {
    const keys = await Promise.all(keyIds.map((keyId) => this.#repository.request(keyId)));
    const keyrings = [...new Set(keys.map((key) => key.keyringId))];
    if (keyrings.length !== 1) {
      throw new StateError(
        'invalid_params',
        'the keys are of several keyrings',
        'make one request a keyring',
      );
    }
    return keyrings[0] as Hex;
  }

  async #decide(envelope: Envelope): Promise<Result<'action_decide'>> {
    const { networkId, now } = this.#options;
    const { content } = readContent(decisionRecord, envelope, networkId);
    const context = await this.#repository.contextOf(await this.#current(content.subject));
    const outcome = await this.#repository.change('decision', content.subject, now, (request, at) =>
      decide(request, context, envelope, at),
    );
    return requestView(outcome.request, context, now());
  }

  async #submitResult(envelope: Envelope, caller: Caller): Promise<Result<'connector_submitResult'>> {
    const { networkId, now } = this.#options;
    const { content } = readContent(partyResult, envelope, networkId);
    const request = await this.#current(content.subject);
    const party = await this.#access.connectorOf(request.keyringId, caller);
    if (party !== content.party) {
      throw new StateError(
        'forbidden',
        `this connector speaks for ${party}`,
        "submit the results of the connector's own party",
      );
    }
    const context = await this.#repository.contextOf(request);
    const outcome = await this.#repository.change('result', content.subject, now, (stored, at) =>
      submitResult(stored, context, envelope, at),
    );
    if (outcome.conflict) {
      throw new StateError(
        'conflicting_result',
        'this party has another result for the request',
        'the first one stands',
      );
    }
    const { requestId, state } = outcome.request;
    return {
      requestId,
      state,
      votes: this.#votes(outcome.request, context.roster),
      counted: outcome.counted,
    };
  }

  #votes(request: StoredRequest, roster: Envelope): Result<'connector_submitResult'>['votes'] {
    const keyring = openKeyring(roster, this.#options.networkId);
    return votesOf(request, keyring.roster.threshold, keyring.roster.parties.length, this.#options.networkId);
  }

  async #pending(params: Params<'connector_pending'>, caller: Caller): Promise<Result<'connector_pending'>> {
    const { keyringId, requestIds, after, limit } = params;
    await this.#access.connectorOf(keyringId, caller);
    // The cursor is taken first: what changes while the page is read is seen again in the stream.
    const cursor = await this.#options.store.last(keyringStream(keyringId));
    const page: Page = requestIds
      ? { ids: requestIds }
      : await this.#repository.openOf(keyringId, after, limit ?? defaultLimit);
    const found = await Promise.all(page.ids.map((id) => this.#repository.find(id)));
    const own = found.flatMap((request) => (request?.keyringId === keyringId ? [request.requestId] : []));
    const items = (await Promise.all(own.map((id) => this.#current(id)))).map(async (request) => ({
      requestId: request.requestId,
      state: request.state,
      evidence: evidenceOf(request, await this.#repository.contextOf(request)),
    }));
    return { cursor, items: await Promise.all(items), ...(page.next !== undefined && { next: page.next }) };
  }

  async #wait(
    requestId: Hex,
    timeoutMs: number,
    caller: Caller,
    signal: AbortSignal,
  ): Promise<Result<'sign_wait'>> {
    const request = await this.#readable(requestId, caller);
    const until = anySignal([signal, this.#stopped.signal, AbortSignal.timeout(timeoutMs)]);
    try {
      for await (const _ of this.#options.store.watch(workspaceStream(request.workspaceId), {
        signal: until,
      })) {
        const current = await this.#current(requestId);
        if (isFinal(current)) return await this.#view(current);
      }
    } finally {
      until.clear();
    }
    return this.#view(await this.#current(requestId));
  }

  /** A request as it stands now: ended first when its time is over. */
  async #current(id: Hex): Promise<StoredRequest> {
    const held = await this.#repository.request(id);
    if (expire(held, this.#options.now()).request === held) return held;
    const outcome = await this.#repository.change('expiry', id, this.#options.now, (request) => ({
      request,
      events: [],
    }));
    return outcome.request;
  }

  async #view(request: StoredRequest): Promise<Result<'sign_get'>> {
    return requestView(request, await this.#repository.contextOf(request), this.#options.now());
  }

  async #keyView(request: StoredRequest): Promise<Result<'key_get'>> {
    const { roster } = await this.#repository.keyring(request.keyringId);
    const parent = await this.#repository.parentOf(request);
    return keyView(request, roster, this.#options.networkId, parent);
  }

  async #readable(id: Hex, caller: Caller): Promise<StoredRequest> {
    const request = await this.#current(id);
    await this.#access.mayReadRequest(request, caller);
    return request;
  }

  /** What was committed, into the log: the same events that went into the streams. */
  #tell(outcome: Outcome, before: StoredRequest | undefined): void {
    this.#options.observer?.changed(outcome.request, before);
    this.#retention.noted(outcome);
    for (const { type, at: _, ...fields } of outcome.events) this.#options.log(type, fields);
  }
}
