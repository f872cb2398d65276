// kill -9 of nodes at random moments, while keys of three types sign at once: every request is fulfilled, no ECDSA nonce is
// used twice, and what checks were under way costs pair setups, no bans. RANDOM_SEED repeats the choices of a run (when they
// meet what, the machine decides); RANDOM_KILLS makes more or fewer of them.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { ProvenKey } from '../../client/verify.ts';
import type { KeyType } from '../../protocol/keys/key-type.ts';
import { Chance, seedFromEnvironment } from '../support/chance.ts';
import { judge } from '../support/crash-judge.ts';
import { LocalNetwork } from '../support/local-network.ts';
import { PersistentOwners } from '../support/persistent-owners.ts';
import {
  assertBySecondLibrary,
  nonceOf,
  payloadFor,
  provenKey,
  provenSignatures,
} from '../support/signed-payloads.ts';

const seed = seedFromEnvironment();
const kills = Number(process.env['RANDOM_KILLS'] ?? 4);
const longestPauseMs = 2500;
const longestAbsenceMs = 500;
const keyTypes: readonly KeyType[] = ['ed25519', 'ecdsa_secp256k1', 'ecdsa_secp256k1', 'bitcoin_secp256k1'];

describe(`keys of several types among nodes that are killed at random (RANDOM_SEED=${seed})`, function () {
  this.timeout(300_000 + kills * 15_000);
  let net: LocalNetwork;
  let owners: PersistentOwners;
  const keys: ProvenKey[] = [];

  before(async () => {
    assert.ok(Number.isSafeInteger(kills), 'RANDOM_KILLS');
    net = await LocalNetwork.start(3, 2, { settings: { presignatures: 4 } });
    owners = new PersistentOwners(net);
    await net.pairsReady();
    for (const keyType of keyTypes) assert.ok(await owners.makeKey(() => false, keyType));
    for (const keyId of owners.keys) keys.push(await provenKey(net, keyId));
  });
  after(async () => {
    await owners?.stop();
    await net?.stop();
  });

  it('fulfils every request', async function () {
    const chance = new Chance(seed);
    const nonces = new Set<string>();
    let signed = 0;
    let over = false;
    async function killAll(): Promise<void> {
      for (let killed = 0; killed < kills; killed++) {
        const name = chance.of(net.nodes);
        await delay(chance.below(longestPauseMs));
        await net.kill(name);
        await delay(chance.below(longestAbsenceMs));
        await net.restart(name);
      }
    }
    const killing = killAll().finally(() => (over = true));
    const failed = killing.then(() => new Promise<never>(() => undefined));
    async function ask(key: ProvenKey, items: number): Promise<void> {
      const payloads = Array.from({ length: items }, () => payloadFor(key, `request ${++signed}`));
      const id = await owners.signWith(key.key.id, ...payloads);
      if (key.key.keyType === 'ed25519') return;
      const signatures = await provenSignatures(net, id, key);
      assertBySecondLibrary(key, signatures);
      for (const { signature } of signatures) {
        const r = nonceOf(key, signature);
        assert.ok(!nonces.has(r), `${id} has a nonce that was there before`);
        nonces.add(r);
      }
    }
    // The second Ethereum key signs more items than pools are used for.
    const loops = keys.map(async (key, place) => {
      while (!over) await Promise.race([ask(key, place === 2 ? 6 : 1), failed]);
    });
    await Promise.all(loops);
    await killing;
    for (const name of net.nodes) {
      const { pairs = [] } = await net.status(name);
      assert.ok(
        pairs.every(({ ban }) => ban === undefined),
        `${name} has banned a party that was only killed`,
      );
    }
    await judge(net, owners, owners.seen);
    await net.pairsReady();
    for (const key of keys) await ask(key, 1);
    this.test!.title += ` (${kills} kills, ${owners.signatures.length} requests, ${nonces.size} ECDSA signatures)`;
  });
});
