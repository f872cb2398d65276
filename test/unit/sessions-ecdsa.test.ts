// Sessions of threshold ECDSA on virtual time, with the real cryptography: pair setups, pools of presignatures, signing with
// them and without.
import assert from 'node:assert/strict';
import { type Hex } from '../../protocol/hex.ts';
import type { PairState } from '../../node/sessions/pairs/gate.ts';
import { framesSent, KeyedNetwork, textFor } from '../support/session-attacker.ts';

const dealt = { presignatures: 0, dealt: true };

async function network(
  parties: number,
  threshold: number,
  ecdsa: { presignatures: number; dealt?: boolean } = dealt,
): Promise<KeyedNetwork> {
  return KeyedNetwork.create(parties, threshold, { ecdsa }, 'ecdsa_secp256k1');
}

function statesAt(net: KeyedNetwork, index: number): (PairState | undefined)[] {
  const others = net.world.parties.filter((_, at) => at !== index);
  return others.map(({ credential }) => net.node(index).gate?.state(credential));
}

/** Presignatures that a party owns, as it holds them. */
function owned(net: KeyedNetwork, index: number): number {
  const self = net.node(index).party.credential;
  const own = net
    .node(index)
    .sessions.presignatures()
    .filter(({ owner }) => owner === self);
  return own.reduce((sum, { size }) => sum + size, 0);
}

async function sign(net: KeyedNetwork, ...leaders: number[]): Promise<Hex> {
  const all = [...net.nodes.keys()];
  const { id, full } = net.messageLedBy(...leaders);
  await net.submit(full, all);
  await net.signedBy(id, all);
  return id;
}

describe('sessions: threshold ECDSA', () => {
  let net: KeyedNetwork | undefined;

  afterEach(async () => {
    await net?.stop();
    net = undefined;
  });

  it('makes the pair setups of a keyring by itself, once', async () => {
    net = await network(3, 2, { presignatures: 0 });
    await net.bootAll();
    const current = net;
    await net.until(() => [0, 1, 2].every((at) => statesAt(current, at).every((s) => s === 'ready')));
    const made = [0, 1, 2].map((at) => current.logged(at, 'pair.setup.ready').length);
    assert.deepEqual(made, [2, 2, 2]);
    await sign(net, 0);
    await net.pass(600_000);
    assert.deepEqual(
      [0, 1, 2].map((at) => current.logged(at, 'pair.setup.ready').length),
      made,
    );
  });

  it('signs without a presignature in one attempt, by presigning within it', async () => {
    net = await network(3, 2);
    await net.bootAll();
    const id = await sign(net, 0);
    const started = net.logged(0, 'session.started').filter(({ requestId }) => requestId === id);
    assert.equal(started.length, 1);
    const rounds = framesSent(net, net.node(0).party.credential, 'round').length;
    assert.equal(rounds, 3);
  });

  it('signs with presignatures of a pool in one round, and burns each', async () => {
    net = await network(3, 2, { presignatures: 2, dealt: true });
    await net.bootAll();
    await sign(net, 0);
    const current = net;
    await net.until(() => owned(current, 0) === 2, 60_000, 'the pool');
    const before = framesSent(net, net.node(0).party.credential, 'round').length;
    net.payloads = [textFor('ecdsa_secp256k1', 'one'), textFor('ecdsa_secp256k1', 'two')];
    const { id, full } = net.messageLedBy(0);
    await net.submit(full, [0, 1, 2]);
    await net.signedBy(id, [0, 1, 2]);
    assert.equal(framesSent(net, net.node(0).party.credential, 'round').length, before + 1);
    assert.equal(owned(net, 0), 0);
    await net.until(() => owned(current, 0) === 2, 60_000, 'the pool again');
  });

  it('signs requests of many items, each with a nonce of its own', async () => {
    net = await network(2, 2);
    await net.bootAll();
    // The same text every time: only the nonces differ.
    net.payloads = Array.from({ length: 9 }, () => textFor('ecdsa_secp256k1', 'again'));
    const id = await sign(net, 0);
    const result = net.resultAt(0, id);
    assert(result?.kind === 'signatures');
    assert.equal(new Set(result.signatures.map((signature) => signature.slice(0, 66))).size, 9);
  });

  it('signs by 3 of 5 while two are away', async () => {
    net = await network(5, 3);
    for (const index of [0, 1, 2]) await net.boot(index);
    const { id, full } = net.messageLedBy(0);
    await net.submit(full, [0, 1, 2]);
    await net.signedBy(id, [0, 1, 2]);
  });
});
