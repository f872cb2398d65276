// A coordinator's service over a store, with a world registered: calls go to the handlers as the RPC server makes them,
// parameters and results held to the schemas of protocol/rpc.ts.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RpcError } from '../../coordinator/rpc/error.ts';
import type { Caller } from '../../coordinator/rpc/handlers.ts';
import { type CoordinatorServiceOptions, createCoordinatorService } from '../../coordinator/service.ts';
import { LevelStore } from '../../coordinator/store/level.ts';
import { MemoryStore } from '../../coordinator/store/memory.ts';
import type { JsonValue, Store } from '../../coordinator/store/store.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { Envelope, Signer } from '../../protocol/records/envelope.ts';
import { type MethodName, methods, type Params, type Result, type RpcErrorName } from '../../protocol/rpc.ts';
import {
  createWorld,
  keyRequest,
  networkId,
  resultBy,
  signerOf,
  signRequest,
  start,
  type World,
} from './fixture.ts';
import { makeKey, signatureBy, signedBy, type WorldKey } from './world-key.ts';
import { payload } from './coordinated.ts';

export type Open = () => Promise<{ readonly store: Store; readonly close: () => Promise<void> }>;

/** Every store there is, each opened afresh and leaving nothing behind. */
export const stores: Readonly<Record<string, Open>> = {
  memory: async () => {
    const store = new MemoryStore();
    return { store, close: () => store.close() };
  },
  level: async () => {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-service-'));
    const store = await LevelStore.open({ folder });
    return {
      store,
      close: async () => {
        await store.close();
        await rm(folder, { recursive: true, force: true });
      },
    };
  },
};

export class ServiceWorld {
  readonly world: World;
  readonly store: Store;
  readonly service: ReturnType<typeof createCoordinatorService>;
  readonly logged: { readonly event: string; readonly fields: Record<string, unknown> }[] = [];
  now = start;

  constructor(world: World, store: Store, options: Partial<CoordinatorServiceOptions> = {}) {
    this.world = world;
    this.store = store;
    this.service = createCoordinatorService({
      store,
      networkId,
      create: 'open',
      now: () => this.now,
      log: (event, fields) => void this.logged.push({ event, fields }),
      version: '1.2.3',
      ...options,
    });
  }

  async call<Name extends MethodName>(
    name: Name,
    params: Params<Name>,
    caller: Caller = {},
    signal: AbortSignal = new AbortController().signal,
  ): Promise<Result<Name>> {
    const handler = this.service.handlers[name] as (...parameters: unknown[]) => Promise<unknown>;
    const result = await handler(methods[name].params.parse(params), caller, signal);
    return methods[name].result.parse(result) as Result<Name>;
  }

  /** Asserts that a call is refused with this code, in words that say what to do. */
  async refuses<Name extends MethodName>(
    code: RpcErrorName,
    name: Name,
    params: Params<Name>,
    caller: Caller = {},
    words = /./,
  ): Promise<void> {
    await assert.rejects(this.call(name, params, caller), (error) => {
      assert.ok(error instanceof RpcError, String(error));
      assert.equal(error.name, code, error.detail);
      assert.match(error.detail, words);
      assert.ok(error.remedy.length > 5);
      return true;
    });
  }

  /** Registers the world's keyring and workspace. */
  async register(): Promise<this> {
    await this.call('keyring_create', { roster: this.world.keyring.envelope });
    await this.call('workspace_create', { genesis: this.world.genesis });
    return this;
  }

  owner(name = 'alice'): Caller {
    return { credential: this.world.owners[name]!.credential };
  }

  /** The connector of party `index`. */
  connector(index: number, world = this.world): Caller {
    const connector = signerOf('connector', index);
    return {
      credential: connector.credential,
      grant: {
        keyringId: world.keyring.id,
        party: world.parties[index]!.credential,
        connector: connector.credential,
      },
    };
  }

  submit(
    index: number,
    result: Params<'connector_submitResult'>['result'],
  ): Promise<Result<'connector_submitResult'>> {
    return this.call('connector_submitResult', { result }, this.connector(index));
  }

  /** A key, asked for and confirmed by all parties. */
  async key(name = 'treasury'): Promise<WorldKey> {
    const request = keyRequest(this.world, { label: name, created: this.now });
    await this.call('key_request', { request });
    const key = makeKey(this.world, name, request);
    for (const [index, result] of key.certificate.entries()) await this.submit(index, result);
    return key;
  }

  /** Party `index`'s own signature of the usual payload, handed in. */
  sign(index: number, key: WorldKey, subject: Hex): Promise<Result<'connector_submitResult'>> {
    return this.submit(index, signedBy(this.world, this.party(index), subject, [signatureBy(key, payload)]));
  }

  refuse(index: number, subject: Hex): Promise<Result<'connector_submitResult'>> {
    const result = { kind: 'refusal' as const, code: 'not_authorised' as const, reason: 'policy' };
    return this.submit(index, resultBy(this.world, this.party(index), subject, result));
  }

  party(index: number): Signer {
    return this.world.parties[index]!;
  }

  /** All events of a stream, whose sequences must be 1, 2, 3... */
  async events(kind: 'keyrings' | 'workspaces', id?: Hex): Promise<Record<string, JsonValue>[]> {
    const stream = `${kind}/${id ?? (kind === 'keyrings' ? this.world.keyring.id : this.world.workspace.id)}`;
    const events = await this.store.read(stream, 0, 10_000);
    assert.deepEqual(
      events.map((event) => event.sequence),
      events.map((_, index) => index + 1),
    );
    assert.equal(await this.store.last(stream), events.length);
    return events.map((event) => event.event as Record<string, JsonValue>);
  }
}

/** Runs `work` on a registered world over a fresh store, and stops everything. */
export async function withService(
  open: Open,
  work: (world: ServiceWorld) => Promise<void>,
  world: World = createWorld(),
  options: Partial<CoordinatorServiceOptions> = {},
): Promise<void> {
  const { store, close } = await open();
  try {
    const serviceWorld = new ServiceWorld(world, store, options);
    try {
      await work(await serviceWorld.register());
    } finally {
      await serviceWorld.service.stop();
    }
  } finally {
    await close();
  }
}

/** A request for the key's signature of the usual payload. */
export const asked = (at: ServiceWorld, key: WorldKey, options = {}): Envelope =>
  signRequest(at.world, [{ keyId: key.id, payload }], { created: at.now, ...options });

/** Asks for the key's signature of the usual payload. */
export async function submitted(at: ServiceWorld, key: WorldKey): Promise<Envelope> {
  const request = asked(at, key);
  await at.call('sign_request', { request });
  return request;
}
