// The coordinator's methods. It holds and counts what others signed; nothing here can authorise anything.
import type { Hex } from '../protocol/hex.ts';
import { RecordError } from '../protocol/records/envelope.ts';
import { timestamp } from '../protocol/records/fields.ts';
import { Access, type CreateRule, known } from './access.ts';
import { Actions } from './actions.ts';
import { ChangeRepository } from './change-repository.ts';
import { Changes } from './changes.ts';
import { keyringStream, workspaceStream } from './index-keys.ts';
import { Logs } from './logs.ts';
import type { ServiceObserver } from './observer.ts';
import { pageOf } from './page.ts';
import { Policies, validatePolicy } from './policies.ts';
import { Registry } from './registry.ts';
import { Repository } from './repository.ts';
import { Requests } from './requests.ts';
import { defaultEventsPerStream, Retention } from './retention.ts';
import { RpcError } from './rpc/error.ts';
import type { Caller, CoordinatorService, Handlers } from './rpc/handlers.ts';
import { recordError, StateError } from './state/error.ts';
import type { Outcome, StoredRequest } from './state/request.ts';
import { type Store, StoreError } from './store/store.ts';
import { Sweep } from './sweep.ts';
import type { LogCommitted } from './workspaces.ts';

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
  readonly registry: Registry;
  readonly #options: CoordinatorServiceOptions;
  readonly #access: Access;
  readonly #retention: Retention;
  readonly #sweep: Sweep;
  readonly #stopped = new AbortController();
  #sweeping: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: CoordinatorServiceOptions) {
    const { store, networkId, now, log, version } = options;
    this.#options = options;
    const stopped = this.#stopped.signal;
    this.#retention = new Retention(store, options.eventsPerStream ?? defaultEventsPerStream);
    const repository = new Repository(store, networkId, (outcome, before) => this.#tell(outcome, before));
    const { workspaces } = repository;
    this.#access = new Access(repository, networkId, options.create);
    this.registry = new Registry(repository, this.#access, options);
    const requests = new Requests(repository, this.#access, options, stopped);
    const proposed = new ChangeRepository(store, networkId, workspaces, (told) => this.#tellLog(told));
    const changes = new Changes(proposed, this.#access, options);
    const actions = new Actions(repository, this.#access, requests, changes, networkId);
    const policies = new Policies(repository, this.#access, requests, options);
    const logs = new Logs(workspaces, this.#access, proposed, options, (told) => this.#tellLog(told));
    this.#sweep = new Sweep({ repository, actions, now, log, stopped });
    this.handlers = this.#guard({
      // Loaded when it is asked for: it is of no other use.
      'rpc.discover': async () => (await import('./rpc/discover.ts')).discover(version),
      network_get: async () => ({ networkId, time: timestamp(now()), version }),
      workspace_create: async ({ genesis }) => this.registry.createWorkspace(genesis),
      workspace_get: async ({ workspaceId }, caller) => {
        await this.#access.mayReadWorkspace(workspaceId, caller);
        return this.registry.workspaceView(workspaceId);
      },
      workspace_list: async ({ after, limit }, caller) => {
        const page = await workspaces.ofOwner(known(caller), after, limit ?? defaultLimit);
        return pageOf(page, (id) => this.registry.workspaceView(id));
      },
      workspace_log: async (params, caller) => logs.after(params, caller),
      workspace_import: async (params, caller) => ({
        outcome: await logs.import(params, caller),
        view: await this.registry.workspaceView(params.workspaceId),
      }),
      workspace_propose: async ({ change }) => changes.propose(change),
      change_get: async ({ changeId }, caller) => changes.get(changeId, caller),
      change_list: async (params, caller) => changes.list(params, caller),
      policy_validate: async (params) => validatePolicy(params),
      policy_simulate: async (params, caller) => policies.simulate(params, caller),
      policy_explain: async (params, caller) => policies.explain(params, caller),
      keyring_create: async ({ roster }) => this.registry.createKeyring(roster),
      keyring_get: async ({ keyringId }) => this.registry.keyringView(keyringId),
      keyring_list: async ({ after, limit }) =>
        pageOf(await repository.keyrings(after, limit ?? defaultLimit), (id) =>
          this.registry.keyringView(id),
        ),
      key_request: async ({ request }) => requests.submit(request, 'key'),
      key_get: async ({ keyId }, caller) => {
        const request = await requests.readable(keyId, caller);
        if (request.kind !== 'key') {
          throw new StateError('not_found', `${keyId} is a sign request, no key`, 'name a key by its id');
        }
        return requests.keyView(request);
      },
      key_list: async ({ workspaceId, after, limit }, caller) => {
        await this.#access.mayReadWorkspace(workspaceId, caller);
        const page = await repository.keysOf(workspaceId, after, limit ?? defaultLimit);
        return pageOf(page, async (id) => requests.keyView(await requests.current(id)));
      },
      sign_request: async ({ request }) => requests.submit(request, 'sign'),
      sign_get: async ({ requestId }, caller) => requests.view(await requests.readable(requestId, caller)),
      sign_list: async ({ workspaceId, state, after, limit }, caller) => {
        await this.#access.mayReadWorkspace(workspaceId, caller);
        // As in `connector_pending`: taken first.
        const cursor = await store.last(workspaceStream(workspaceId));
        const page = await repository.requestsOf(workspaceId, after, limit ?? defaultLimit);
        const views = await pageOf(page, async (id) => requests.view(await requests.current(id)));
        return state === undefined
          ? { ...views, cursor }
          : { ...views, cursor, items: views.items.filter((view) => view.state === state) };
      },
      sign_wait: async ({ requestId, timeoutMs }, caller, signal) =>
        requests.wait(requestId, timeoutMs, caller, signal),
      action_list: async (params, caller) => actions.list(params, caller),
      action_get: async ({ requestId }, caller) => requests.action(requestId, caller),
      action_decide: async ({ decision }) => actions.decide(decision),
      receipt_get: async ({ requestId }, caller) => requests.receipt(requestId, caller),
      connector_pending: async (params, caller) => requests.pending(params, caller),
      connector_logs: async (params, caller) => logs.forConnector(params, caller),
      connector_submitResult: async ({ result }, caller) => requests.submitResult(result, caller),
      connector_heartbeat: async ({ keyringId, nodeUp }, caller) => {
        const party = await this.#access.connectorOf(keyringId, caller);
        this.registry.heard(keyringId, party, nodeUp);
        return { time: timestamp(now()) };
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

  /** Ends and lets go on what time and changes mean for, and forgets old events. */
  async sweep(): Promise<void> {
    await this.#sweep.run();
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

  /** What was committed, into the log: the same events that went into the streams. */
  #tell({ request, events }: Outcome, before: StoredRequest | undefined): void {
    this.#options.observer?.changed(request, before);
    if (events.length > 0)
      this.#retention.noted([keyringStream(request.keyringId), workspaceStream(request.workspaceId)]);
    for (const { type, at: _, ...fields } of events) this.#options.log(type, fields);
  }

  #tellLog({ events, streams }: LogCommitted): void {
    this.#retention.noted(streams);
    for (const { type, at: _, ...fields } of events) this.#options.log(type, fields);
  }
}
