// Key and sign requests: reads what a call names, applies a pure transition, commits, answers with a view.
import { anySignal } from 'any-signal';
import type { Hex } from '../protocol/hex.ts';
import { type Envelope, readContent } from '../protocol/records/envelope.ts';
import { openKeyring } from '../protocol/records/keyring-roster.ts';
import { partyResult } from '../protocol/records/party-result.ts';
import { request as requestRecord } from '../protocol/records/request.ts';
import type { Params, Result } from '../protocol/rpc.ts';
import type { Access } from './access.ts';
import { keyringStream, type Page, workspaceStream } from './index-keys.ts';
import type { Repository } from './repository.ts';
import type { Caller } from './rpc/handlers.ts';
import { StateError } from './state/error.ts';
import { evidenceOf, isFinal, type RequestContext, type StoredRequest, votesOf } from './state/request.ts';
import { submitResult } from './state/results.ts';
import {
  authorisationOf,
  decide,
  initiatorOf,
  keyIdsOf,
  rejudge,
  submitRequest,
} from './state/transitions.ts';
import { keyView, receiptOf, requestView } from './state/views.ts';
import type { Store } from './store/store.ts';

export interface RequestsOptions {
  readonly store: Store;
  readonly networkId: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly log: (event: string, fields: Record<string, unknown>) => void;
}

const defaultLimit = 50;

export class Requests {
  readonly #options: RequestsOptions;
  readonly #repository: Repository;
  readonly #access: Access;
  readonly #stopped: AbortSignal;

  constructor(repository: Repository, access: Access, options: RequestsOptions, stopped: AbortSignal) {
    this.#repository = repository;
    this.#access = access;
    this.#options = options;
    this.#stopped = stopped;
  }

  async submit(envelope: Envelope, kind: 'key' | 'sign'): Promise<Result<'sign_request'>> {
    const { networkId, now, log } = this.#options;
    const { id, content } = readContent(requestRecord, envelope, networkId);
    if (content.kind !== kind)
      throw new StateError('invalid_params', `a ${content.kind} request`, `use ${content.kind}_request`);
    const known = await this.#repository.find(id);
    if (known !== undefined) return this.#resubmitted(known, envelope);
    const keyIds = keyIdsOf(content);
    await this.#requireReady(keyIds);
    const keyringId = content.kind === 'key' ? content.keyringId : await this.#keyringOf(keyIds);
    const { request, context, added } = await this.#repository.addRequest(
      id,
      { content, keyringId, keyIds },
      now,
      (around, at) => submitRequest(around, envelope, at),
    );
    if (!added) return this.#resubmitted(request, envelope);
    log('request.received', { requestId: id, kind, initiator: initiatorOf(request, networkId) });
    return requestView(request, context, now());
  }

  /** The same bytes again get the same answer, provided that the initiator signed this envelope too. */
  async #resubmitted(request: StoredRequest, envelope: Envelope): Promise<Result<'sign_request'>> {
    authorisationOf({ ...request, envelope }, await this.contextOf(request));
    return this.view(await this.current(request.requestId));
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

  async decide(id: Hex, envelope: Envelope): Promise<Result<'sign_get'>> {
    await this.current(id);
    const outcome = await this.#repository.change('decision', id, this.#options.now, (request, context, at) =>
      decide(request, context, envelope, at),
    );
    return this.view(outcome.request);
  }

  async submitResult(envelope: Envelope, caller: Caller): Promise<Result<'connector_submitResult'>> {
    const { networkId, now } = this.#options;
    const { content } = readContent(partyResult, envelope, networkId);
    const request = await this.current(content.subject);
    const party = await this.#access.connectorOf(request.keyringId, caller);
    if (party !== content.party) {
      throw new StateError(
        'forbidden',
        `this connector speaks for ${party}`,
        "submit the results of the connector's own party",
      );
    }
    const outcome = await this.#repository.change('result', content.subject, now, (stored, context, at) =>
      submitResult(stored, context, envelope, at),
    );
    if (outcome.conflict) {
      throw new StateError(
        'conflicting_result',
        'this party has another result for the request',
        'the first one stands',
      );
    }
    const { requestId, state, keyringId } = outcome.request;
    const { roster } = openKeyring((await this.#repository.keyring(keyringId)).roster, networkId);
    const votes = votesOf(outcome.request, roster.threshold, roster.parties.length, networkId);
    return { requestId, state, votes, counted: outcome.counted };
  }

  async pending(params: Params<'connector_pending'>, caller: Caller): Promise<Result<'connector_pending'>> {
    const { keyringId, requestIds, after, limit } = params;
    await this.#access.connectorOf(keyringId, caller);
    // The cursor is taken first: what changes while the page is read is seen again in the stream.
    const cursor = await this.#options.store.last(keyringStream(keyringId));
    const page: Page = requestIds
      ? { ids: requestIds }
      : await this.#repository.openOf(keyringId, after, limit ?? defaultLimit);
    const found = await Promise.all(page.ids.map((id) => this.#repository.find(id)));
    const own = found.flatMap((request) => (request?.keyringId === keyringId ? [request.requestId] : []));
    const items = (await Promise.all(own.map((id) => this.current(id)))).map(async (request) => ({
      requestId: request.requestId,
      state: request.state,
      evidence: evidenceOf(request, await this.contextOf(request)),
    }));
    return { cursor, items: await Promise.all(items), ...(page.next !== undefined && { next: page.next }) };
  }

  async wait(
    requestId: Hex,
    timeoutMs: number,
    caller: Caller,
    signal: AbortSignal,
  ): Promise<Result<'sign_wait'>> {
    const request = await this.readable(requestId, caller);
    const until = anySignal([signal, this.#stopped, AbortSignal.timeout(timeoutMs)]);
    try {
      for await (const _ of this.#options.store.watch(workspaceStream(request.workspaceId), {
        signal: until,
      })) {
        const current = await this.current(requestId);
        if (isFinal(current)) return await this.view(current);
      }
    } finally {
      until.clear();
    }
    return this.view(await this.current(requestId));
  }

  /** A request as it stands now: first ended, or let go on, when time or a change of its workspace means so. */
  async current(id: Hex): Promise<StoredRequest> {
    const { now } = this.#options;
    const held = await this.#repository.request(id);
    const lapsed = (await this.#repository.lapsed(held, now())).request !== held;
    if (lapsed) {
      const ended = await this.#repository.change('expiry', id, now, (request) => ({ request, events: [] }));
      return ended.request;
    }
    if (held.due === undefined || held.due > now()) return held;
    return (await this.#repository.change('time', id, now, rejudge)).request;
  }

  contextOf(request: StoredRequest): Promise<RequestContext> {
    return this.#repository.contextOf(request, this.#options.now());
  }

  async view(request: StoredRequest): Promise<Result<'sign_get'>> {
    return requestView(request, await this.contextOf(request), this.#options.now());
  }

  async keyView(request: StoredRequest): Promise<Result<'key_get'>> {
    const { roster } = await this.#repository.keyring(request.keyringId);
    const parent = await this.#repository.parentOf(request);
    return keyView(request, roster, this.#options.networkId, parent);
  }

  async action(requestId: Hex, caller: Caller): Promise<Result<'action_get'>> {
    const request = await this.readable(requestId, caller);
    const context = await this.contextOf(request);
    return {
      view: requestView(request, context, this.#options.now()),
      evidence: evidenceOf(request, context),
    };
  }

  async receipt(requestId: Hex, caller: Caller): Promise<Result<'receipt_get'>> {
    const request = await this.readable(requestId, caller);
    return { receipt: receiptOf(request, await this.contextOf(request)) };
  }

  async readable(id: Hex, caller: Caller): Promise<StoredRequest> {
    const request = await this.current(id);
    await this.#access.mayReadRequest(request, caller);
    return request;
  }
}
