// Threshold ECDSA among real processes: pair setups when a keyring is activated, keys and signatures for Ethereum and Bitcoin,
// kill -9 while it signs, restarts, a restored folder, and pools that nobody waits for.
import assert from 'node:assert/strict';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProvenKey } from '../../client/verify.ts';
import { command } from '../../cli/testnet/operators.ts';
import { nodePairSetup } from '../../cli/commands/node-pair-setup.ts';
import { taggedHash, uint32 } from '../../node/mpc/hash.ts';
import { fromHex, type Hex } from '../../protocol/hex.ts';
import type { Payload } from '../../protocol/payloads/payload.ts';
import { LocalNetwork, type LogLine } from '../support/local-network.ts';
import {
  assertBySecondLibrary,
  evmTransfer,
  nonceOf,
  payloadFor,
  provenKey,
  provenSignatures,
  spendOf,
} from '../support/signed-payloads.ts';
import { until } from '../support/until.ts';

const pooled = 2;
const longPool = 64;

describe('threshold ECDSA among real processes', function () {
  this.timeout(240_000);
  let net: LocalNetwork;
  let evm: ProvenKey;
  let bitcoin: ProvenKey;
  /** r of every signature, with its request. */
  const nonces = new Map<string, Hex>();

  before(async () => {
    // A round in which a killed party is awaited takes that long.
    const timing = { roundDeadlineMs: 10_000 };
    net = await LocalNetwork.start(3, 2, { settings: { presignatures: pooled, workers: 1, timing } });
  });
  after(async () => {
    await net?.stop();
  });

  const eventsOf = async (event: string, purpose?: string): Promise<readonly LogLine[]> => {
    const all = (await Promise.all(net.nodes.map((name) => net.log(name)))).flat();
    return all.filter((line) => line.event === event && (!purpose || line.fields['purpose'] === purpose));
  };
  const setupsRun = async (): Promise<number> => (await eventsOf('offline.started', 'pair-setup')).length;

  async function makeKey(keyType: 'ecdsa_secp256k1' | 'bitcoin_secp256k1' | 'ed25519'): Promise<ProvenKey> {
    const id = await net.requestKey(keyType, keyType);
    const { state, reason } = await net.final(id);
    assert.equal(state, 'fulfilled', JSON.stringify(reason));
    return provenKey(net, id);
  }

  async function ask(key: ProvenKey, ...payloads: readonly Payload[]): Promise<Hex> {
    const id = await net.requestSignatures(key.key.id, ...payloads);
    await net.decide(id, 'bob', 'approve');
    return id;
  }

  /** Waits for the signatures, which must be good for a second library, each with a nonce of its own. */
  async function isSigned(id: Hex, key: ProvenKey): Promise<void> {
    const view = await net.final(id, 180_000);
    assert.equal(view.state, 'fulfilled', JSON.stringify(view.reason));
    const signed = await provenSignatures(net, id, key);
    assertBySecondLibrary(key, signed);
    for (const { signature } of signed) {
      const r = nonceOf(key, signature);
      assert.ok(!nonces.has(r), `${id} has a nonce of ${nonces.get(r)}`);
      nonces.set(r, id);
    }
  }

  /** Sets in which parties began to sign, each once for every attempt. */
  async function setsOf(id: Hex): Promise<readonly (readonly string[])[]> {
    const started = (await eventsOf('session.started')).filter(({ fields }) => fields['requestId'] === id);
    const byAttempt = new Map(
      started.map(({ fields }) => [fields['attemptId'], fields['set'] as readonly string[]]),
    );
    return [...byAttempt.values()];
  }

  /** Everything in the nodes' folders that a run of the presignatures' making could have left its mark in. */
  async function foldersOf(node: string): Promise<readonly [string, Buffer][]> {
    const { nodeDir } = net.layout.parties.find((party) => party.node === node)!;
    const entries = await readdir(nodeDir, { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    const read = files.map(async (path): Promise<[string, Buffer][]> => {
      try {
        return [[path, await readFile(path)]];
      } catch (error) {
        // The node runs: a temporary file may have its name by now, or another has taken its place.
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
        throw error;
      }
    });
    return (await Promise.all(read)).flat();
  }

  it('makes the setup of every pair once, when the keyring is activated', async () => {
    await net.pairsReady();
    const made = await eventsOf('pair.setup.ready');
    assert.equal(made.length, 6);
    for (const name of net.nodes) {
      const { pairs = [] } = await net.status(name);
      assert.deepEqual(
        pairs.map(({ state, incidents }) => [state, incidents]),
        [
          ['ready', 0],
          ['ready', 0],
        ],
      );
    }
  });

  it('makes keys without any pair setup', async () => {
    const before = await setupsRun();
    evm = await makeKey('ecdsa_secp256k1');
    bitcoin = await makeKey('bitcoin_secp256k1');
    assert.notEqual(evm.key.publicKey, bitcoin.key.publicKey);
    assert.equal(await setupsRun(), before);
  });

  it('signs messages and transactions of Ethereum by two of three', async () => {
    const id = await ask(evm, payloadFor(evm, 'hello'), evmTransfer(0));
    await isSigned(id, evm);
    for (const set of await setsOf(id)) assert.equal(set.length, 2);
  });

  it('signs both inputs of a P2WPKH spend, which Bitcoin’s rules accept', async () => {
    const psbt = spendOf(bitcoin, 2);
    await isSigned(
      await ask(bitcoin, { kind: 'bitcoin.psbt', psbt, input: 0 }, { kind: 'bitcoin.psbt', psbt, input: 1 }),
      bitcoin,
    );
  });

  it('signs fifty items at once', async () => {
    const payloads = Array.from({ length: 50 }, (_, item) => payloadFor(evm, `item ${item}`));
    const before = nonces.size;
    await isSigned(await ask(evm, ...payloads), evm);
    assert.equal(nonces.size, before + 50);
  });

  for (const [point, items] of [
    ['session.proposed', 1],
    ['session.started', 1],
    ['session.started', 20],
  ] as const) {
    it(`signs ${items} although a signer is killed at ${point}`, async () => {
      await net.pairsReady();
      const id = await ask(
        evm,
        ...Array.from({ length: items }, (_, item) => payloadFor(evm, `${point} ${item}`)),
      );
      const killed = await Promise.race(
        net.nodes.map(async (name) => {
          await net.logged(name, point, id);
          return name;
        }),
      );
      await net.kill(killed);
      await isSigned(id, evm);
      await net.restart(killed);
      // What it had forgotten of this request it learns; what it had in memory is gone.
      await net.logged(killed, 'result.stored', id, ({ kind }) => kind === 'signatures');
    });
  }

  it('keeps no trace of a presignature on any disk', async () => {
    const made = await eventsOf('offline.started', 'presign');
    assert.ok(made.length > 0);
    const marks = made.flatMap(({ fields }) => {
      const sid = fromHex(fields['sessionId'] as Hex);
      const ids = Array.from({ length: pooled }, (_, item) =>
        taggedHash('countersign/v1/presignature-id', sid, uint32(item)),
      );
      return [sid, ...ids];
    });
    for (const node of net.nodes) {
      for (const [path, bytes] of await foldersOf(node)) {
        for (const mark of marks) {
          assert.ok(!bytes.includes(Buffer.from(mark)), path);
          assert.ok(!bytes.includes(Buffer.from(mark).toString('hex')), path);
        }
      }
    }
  });

  it('makes the setups of a restored folder anew when its operator says so, and signs', async () => {
    const [restored] = net.layout.parties;
    assert.ok(restored);
    const { node, nodeDir } = restored;
    const rest = net.nodes.filter((name) => name !== node);
    // A setup that is being made anew, after a kill, is on no record that a restored folder could have.
    await net.pairsReady();
    await net.kill(node);
    await rm(join(nodeDir, 'pairs'), { recursive: true });
    await net.restart(node);
    const { pairs = [] } = await net.status(node);
    assert.deepEqual(
      pairs.map(({ state, ban }) => [state, ban?.code]),
      [
        ['banned', 'restored'],
        ['banned', 'restored'],
      ],
    );
    await isSigned(await ask(evm, payloadFor(evm, 'without the restored one')), evm);
    for (const { name } of pairs) {
      const lifted = await command(net.people, nodePairSetup, name, '--dir', nodeDir, '--yes');
      assert.equal(lifted['was'], 'banned');
    }
    await net.pairsReady();
    // Without one of the others it takes part.
    await net.kill(rest[0]!);
    await isSigned(await ask(evm, payloadFor(evm, 'with the restored one')), evm);
    await net.restart(rest[0]!);
  });

  it('after a restart of all nodes has every pair setup, and runs none', async () => {
    await net.pairsReady();
    const before = await setupsRun();
    // In order: a kill in the midst of a check costs the setup, and pools are being filled.
    for (const name of net.nodes) await net.end(name);
    for (const name of net.nodes) await net.configure(name, { presignatures: longPool });
    await Promise.all(net.nodes.map((name) => net.restart(name)));
    for (const name of net.nodes) {
      const { pairs = [], presignatures } = await net.status(name);
      assert.deepEqual(
        pairs.map(({ state }) => state),
        ['ready', 'ready'],
      );
      assert.deepEqual(presignatures, []);
    }
    await isSigned(await ask(evm, payloadFor(evm, 'after a restart')), evm);
    assert.equal(await setupsRun(), before);
  });

  it('never lets a signature wait for pools that are being filled', async () => {
    const made = async (): Promise<number> => (await eventsOf('presign.done')).length;
    const flat = await makeKey('ed25519');
    await isSigned(await ask(evm, payloadFor(evm, 'before the pools')), evm);
    const before = await made();
    await until(async () => (await made()) > before, 'the first presignatures', 60_000);
    const [one, other] = await Promise.all([
      ask(flat, payloadFor(flat, 'while pools fill')),
      ask(evm, payloadFor(evm, 'while pools fill')),
    ]);
    assert.equal((await net.final(one)).state, 'fulfilled');
    await isSigned(other, evm);
    const pools = await Promise.all(
      net.nodes.map(async (name) => (await net.status(name)).presignatures ?? []),
    );
    const full = pools.filter((of) => of.some(({ ready, target }) => ready >= target));
    assert.deepEqual(full, [], 'the pools were full before the signatures were there');
  });
});
