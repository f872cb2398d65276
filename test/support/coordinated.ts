// Requests of a world as the coordinator's state machine holds them: commands are applied one after the other, and every
// event that they gave is kept.
import assert from 'node:assert/strict';
import type { Hex } from '../../protocol/hex.ts';
import type { Payload } from '../../protocol/payloads/payload.ts';
import type { Envelope } from '../../protocol/records/envelope.ts';
import type { CoordinatorEvent } from '../../protocol/rpc.ts';
import { StateError, type StateErrorCode } from '../../coordinator/state/error.ts';
import {
  type RequestContext,
  type StoredRequest,
  type Votes,
  votesOf,
} from '../../coordinator/state/request.ts';
import { type ResultOutcome, submitResult } from '../../coordinator/state/results.ts';
import { decide, expire, submitRequest } from '../../coordinator/state/transitions.ts';
import {
  alonePolicy,
  createWorld,
  messagePayload,
  networkId,
  type RequestOptions,
  signRequest,
  start,
  type World,
} from './fixture.ts';
import { makeKey, refusedBy, signatureBy, signedBy, type WorldKey } from './world-key.ts';

export const payload: Payload = messagePayload('pay bob');

/** Asserts that a command changes nothing and says so with this code, and what to do. */
export function refusesCommand(code: StateErrorCode, work: () => unknown, words = /./): void {
  assert.throws(work, (error) => {
    assert.ok(error instanceof StateError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, words);
    assert.ok(error.remedy.length > 5, 'says what to do');
    return true;
  });
}

export class Coordinated {
  readonly world: World;
  readonly context: RequestContext;
  request: StoredRequest;
  now = start + 1000;
  readonly events: CoordinatorEvent[] = [];

  /** Submits a request at the world's start. Throws StateError as `submitRequest`. */
  constructor(world: World, envelope: Envelope, keys: readonly WorldKey[], now = start + 1000) {
    this.world = world;
    this.context = contextOf(world, keys);
    this.now = now;
    const { request, events } = submitRequest(this.context, envelope, now);
    this.request = request;
    this.events.push(...events);
  }

  get id(): Hex {
    return this.request.requestId;
  }

  get votes(): Votes {
    const { threshold, parties } = this.world.keyring.roster;
    return votesOf(this.request, threshold, parties.length, networkId);
  }

  /** Types of the events, states of those that changed one. */
  get happened(): string[] {
    return this.events.map((event) => (event.type === 'request.state' ? event.state : event.type.slice(8)));
  }

  decide(envelope: Envelope): this {
    const { request, events } = decide(this.request, this.context, envelope, this.now);
    this.request = request;
    this.events.push(...events);
    return this;
  }

  result(envelope: Envelope): ResultOutcome {
    const outcome = submitResult(this.request, this.context, envelope, this.now);
    this.request = outcome.request;
    this.events.push(...outcome.events);
    return outcome;
  }

  /** Ends it when its time is over at `at`, which is the time from then on. */
  expire(at: number): this {
    this.now = at;
    const { request, events } = expire(this.request, at);
    this.request = request;
    this.events.push(...events);
    return this;
  }

  /** The request is as it is, in this state, whatever `work` does; which is refused with this code. */
  unchangedBy(code: StateErrorCode, work: () => unknown, words?: RegExp): void {
    const before = structuredClone(this.request);
    refusesCommand(code, work, words);
    assert.deepEqual(this.request, before);
  }
}

export function contextOf(world: World, keys: readonly WorldKey[]): RequestContext {
  const { genesis, keyring } = world;
  return { networkId, log: [genesis], roster: keyring.envelope, keys: keys.map((key) => key.entry) };
}

/** A sign request of one message, with the parties' ways to answer it. */
export class Signing extends Coordinated {
  readonly key: WorldKey;
  readonly payloads: readonly Payload[];

  constructor(
    world: World,
    key: WorldKey,
    options: RequestOptions & { readonly payloads?: readonly Payload[] } = {},
  ) {
    const { payloads = [payload], ...rest } = options;
    super(
      world,
      signRequest(
        world,
        payloads.map((each) => ({ keyId: key.id, payload: each })),
        rest,
      ),
      [key],
    );
    this.key = key;
    this.payloads = payloads;
  }

  /** Party `index`'s signatures, valid unless others are given. */
  signature(index: number, signatures = this.payloads.map((each) => signatureBy(this.key, each))): Envelope {
    return signedBy(this.world, this.world.parties[index]!, this.id, signatures);
  }

  refusal(index: number, reason?: string): Envelope {
    return refusedBy(this.world, this.world.parties[index]!, this.id, reason);
  }

  sign(index: number): ResultOutcome {
    return this.result(this.signature(index));
  }

  refuse(index: number): ResultOutcome {
    return this.result(this.refusal(index));
  }
}

/** A keyring of n parties with threshold t, and a key of it. */
export interface Ring {
  readonly t: number;
  readonly n: number;
  readonly world: World;
  readonly key: WorldKey;
}

export function ringOf(t: number, n: number): Ring {
  const world = createWorld({ name: `ring ${t}/${n}`, threshold: t, parties: n, signPolicy: alonePolicy });
  return { t, n, world, key: makeKey(world) };
}

export const rings = [ringOf(2, 3), ringOf(3, 5), ringOf(2, 2)];
export const [ring] = rings as [Ring, ...Ring[]];
/** A sign request that is pending. */
export const pending = ({ world, key }: Ring = ring, options = {}): Signing => {
  const signing = new Signing(world, key, options);
  assert.equal(signing.request.state, 'pending');
  return signing;
};
export const first = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
