// A running coordinator with a keyring whose parties answer by themselves: their connectors watch its stream over HTTP and
// hand in results. Keys are ordinary ones that this process knows whole, certified as if the parties had made them.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, createClient } from '../../client/mod.ts';
import { type CoordinatorConfigInput, parseCoordinatorConfig } from '../../coordinator/config.ts';
import { startCoordinator } from '../../coordinator/main.ts';
import type { Log } from '../../coordinator/rpc/json-rpc.ts';
import type { Hex } from '../../protocol/hex.ts';
import { verifyRecord } from '../../protocol/records/envelope.ts';
import { request as requestRecord } from '../../protocol/records/request.ts';
import { createWorld, grantFor, hour, networkId, signerOf, type World } from './fixture.ts';
import { makeKey, signatureBy, signedBy, type WorldKey } from './world-key.ts';

export interface RunningNetwork {
  readonly url: string;
  readonly networkId: string;
  readonly keyringId: Hex;
  /** Stops parties and coordinator, removes what they stored, and throws what a party failed at. */
  stop(): Promise<void>;
}

class Parties {
  readonly #world: World;
  readonly #clients: readonly Client[];
  readonly #keys = new Map<Hex, WorldKey>();
  readonly #acted = new Set<Hex>();

  constructor(world: World, url: string) {
    this.#world = world;
    this.#clients = world.parties.map((party, index) => {
      const signer = signerOf('connector', index);
      const grant = grantFor(world, party, signer, Date.now() + hour);
      return createClient({ url, networkId, signer, grant });
    });
  }

  /** Answers every request that becomes pending, until the signal aborts. */
  async run(signal: AbortSignal, ready: () => void): Promise<void> {
    const keyringId = this.#world.keyring.id;
    const [first] = this.#clients as [Client, ...Client[]];
    try {
      for await (const { event } of first.events({ kind: 'keyring', id: keyringId }, 0, {
        signal,
        onOpen: ready,
      })) {
        if (event.type === 'request.state' && event.state === 'pending') await this.#act(event.requestId);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async #act(requestId: Hex): Promise<void> {
    if (this.#acted.has(requestId)) return;
    this.#acted.add(requestId);
    const { keyring, parties } = this.#world;
    const { items } = await this.#clients[0]!.call('connector_pending', {
      keyringId: keyring.id,
      requestIds: [requestId],
    });
    const envelope = items[0]!.evidence.request;
    const { content } = verifyRecord(requestRecord, envelope, networkId);
    if (content.kind === 'key') {
      const key = makeKey(this.#world, requestId, envelope);
      this.#keys.set(requestId, key);
      for (const [index, result] of key.certificate.entries())
        await this.#clients[index]!.call('connector_submitResult', { result });
      return;
    }
    const signatures = content.items.map(({ keyId, payload }) =>
      signatureBy(this.#keys.get(keyId)!, payload),
    );
    for (let index = 0; index < keyring.roster.threshold; index += 1) {
      const result = signedBy(this.#world, parties[index]!, requestId, signatures);
      await this.#clients[index]!.call('connector_submitResult', { result });
    }
  }
}

/** Starts a coordinator that registers for anybody, a keyring on it, and the keyring's parties. */
export async function runNetwork(
  options: {
    readonly origins?: readonly string[];
    readonly webhooks?: CoordinatorConfigInput['webhooks'];
    readonly log?: Log;
  } = {},
): Promise<RunningNetwork> {
  const dir = await mkdtemp(join(tmpdir(), 'countersign-acting-'));
  const config = parseCoordinatorConfig({
    networkId,
    dir,
    listen: { port: 0 },
    create: 'open',
    cors: { origins: [...(options.origins ?? [])] },
    webhooks: options.webhooks,
  });
  const { log = () => undefined } = options;
  const coordinator = await startCoordinator({ config, log, version: '0.1.0' });
  const controller = new AbortController();
  let running: Promise<void> = Promise.resolve();
  const stop = async (): Promise<void> => {
    controller.abort();
    try {
      await running;
    } finally {
      await coordinator.stop();
      await rm(dir, { recursive: true, force: true });
    }
  };
  try {
    const { url } = coordinator;
    const world = createWorld({ name: 'acting' });
    const anybody = createClient({ url, networkId });
    const { keyringId } = await anybody.call('keyring_create', { roster: world.keyring.envelope });
    assert.equal(keyringId, world.keyring.id);
    const parties = new Parties(world, url);
    await new Promise<void>((resolve, reject) => {
      running = parties.run(controller.signal, resolve);
      running.catch(reject);
    });
    return { url, networkId, keyringId, stop };
  } catch (error) {
    await stop().catch(() => undefined);
    throw error;
  }
}
