// Signers of ECDSA that are killed around every message: no presignature and no nonce ever serves two digests, whoever is
// killed and started again, and the rest sign.
import assert from 'node:assert/strict';
import { type Hex, toHex } from '../../protocol/hex.ts';
import { openStart } from '../../node/sessions/attempt.ts';
import { decodeFrame, encodeFrame } from '../../node/sessions/wire.ts';
import { ecdsaNetwork, kindOf, kinds, onlineShares, pooled, signOnce } from '../support/ecdsa-scene.ts';
import { networkId } from '../support/fixture.ts';
import type { KeyedNetwork } from '../support/session-attacker.ts';

/** Of everything that has left any process: one share a session and party, one session a presignature. */
function assertUsedOnce(net: KeyedNetwork): void {
  const shares = new Map<string, string>();
  for (const { from, sid, share } of onlineShares(net)) {
    const name = `${from} ${sid}`;
    assert.equal(shares.get(name) ?? share, share, 'two shares of one session');
    shares.set(name, share);
  }
  assert.equal(new Set(shares.values()).size, shares.size, 'one share in two sessions');
  const wire = { networkId, keyringId: net.world.keyring.id };
  const sessions = new Map<string, string>();
  for (const { bytes } of net.sent) {
    const frame = decodeFrame(bytes);
    if (frame.type !== 'start') continue;
    const { propose, listed, sid } = openStart(frame, net.world.keyring, wire);
    if (listed === undefined) continue;
    const used = [...shares.keys()].some((name) => name.endsWith(` ${toHex(sid)}`));
    if (!used) continue;
    for (const id of propose.sets![listed]!.presignatures) {
      assert.equal(sessions.get(toHex(id)) ?? toHex(sid), toHex(sid), 'one presignature in two sessions');
      sessions.set(toHex(id), toHex(sid));
    }
  }
}

type When = 'before' | 'after';

/** Kills a party around its first message of this kind from now on. Returns whether that has happened. */
function killAt(net: KeyedNetwork, victim: number, kind: number, when: When): () => boolean {
  const { credential } = net.node(victim).party;
  let killed = false;
  net.intercept = (sent) => {
    if (killed || sent.from !== credential || kindOf(sent) !== kind) return sent.bytes;
    killed = true;
    if (when === 'before') {
      net.kill(victim);
      return undefined;
    }
    net.clock.after(0, () => net.kill(victim));
    return sent.bytes;
  };
  return () => killed;
}

const moments = (['before', 'after'] as const).flatMap((when) =>
  Object.entries(kinds).map(([name, kind]) => ({ name: `${when} its ${name}`, kind, when })),
);

describe('sessions: ECDSA signers that are killed', function () {
  this.timeout(300_000);

  for (const { name, kind, when } of moments)
    for (const victim of [0, 1])
      it(`${victim === 0 ? 'the leader' : 'a member'} ${name}, presigning within`, async () => {
        const net = await ecdsaNetwork(3, 2);
        await net.bootAll();
        const killed = killAt(net, victim, kind, when);
        const { id, full } = net.messageLedBy(0, 1, 2);
        await net.submit(full, [0, 1, 2]);
        await net.until(killed, 60_000, 'the kill');
        const rest = [0, 1, 2].filter((index) => index !== victim);
        await net.signedBy(id, rest);
        await net.boot(victim);
        await net.signedBy(id, [victim]);
        assertUsedOnce(net);
        await net.stop();
      });

  for (const when of ['before', 'after'] as const)
    for (const victim of [0, 1])
      it(`${victim === 0 ? 'the leader' : 'a member'} ${when} its share, with presignatures`, async () => {
        const net = await ecdsaNetwork(2, 2, 2);
        await net.bootAll();
        await signOnce(net, [0, 1], 0);
        await net.until(() => pooled(net, 0, 0) === 2 && pooled(net, 1, 0) === 2, 60_000, 'the pool');
        const killed = killAt(net, victim, kinds.share, when);
        const { id, full } = net.messageLedBy(0, 1);
        await net.submit(full, [0, 1]);
        await net.until(killed, 60_000, 'the kill');
        await net.pass(1000);
        await net.boot(victim);
        assert.equal(pooled(net, 1 - victim, 0), 0, 'what the process had made is burnt');
        await net.signedBy(id, [0, 1]);
        assertUsedOnce(net);
        await net.stop();
      });

  for (const kind of [kinds.commit, kinds.multiply])
    for (const victim of [0, 1])
      it(`${victim === 0 ? 'the owner' : 'a member'} while a pool is filled, at 0x${kind.toString(16)}`, async () => {
        const net = await ecdsaNetwork(2, 2, 2);
        await net.bootAll();
        await signOnce(net, [0, 1], 0);
        const killed = killAt(net, victim, kind, 'after');
        await net.until(killed, 60_000, 'the kill');
        await net.pass(1000);
        await net.boot(victim);
        await net.pass(1000);
        await signOnce(net, [0, 1], 0);
        await net.until(() => pooled(net, 0, 0) === 2, 120_000, 'the pool');
        const { id, full } = net.messageLedBy(0, 1);
        await net.submit(full, [0, 1]);
        await net.signedBy(id, [0, 1]);
        assertUsedOnce(net);
        await net.stop();
      });

  it('is noticed by this test when a presignature serves twice', async () => {
    const net = await ecdsaNetwork(2, 2);
    await net.bootAll();
    const id: Hex = await signOnce(net, [0, 1], 0);
    assertUsedOnce(net);
    const share = net.sent.find((sent) => kindOf(sent) === kinds.share);
    assert.ok(id && share);
    const frame = decodeFrame(share.bytes);
    assert(frame.type === 'round');
    const forged = frame.content.message.slice();
    forged[40]! ^= 1;
    const { party } = net.node(0);
    const wire = { networkId, keyringId: net.world.keyring.id };
    const bytes = encodeFrame('round', { ...frame.content, message: forged }, wire, party);
    net.sent.push({ ...share, bytes });
    assert.throws(() => assertUsedOnce(net), /two shares of one session/);
    await net.stop();
  });
});
