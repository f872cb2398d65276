// Every fault that a party's own messages prove, committed in a running network: the honest parties keep a bundle that
// proves it to anybody, the culprit is left out of what follows, and nobody else is blamed.
import assert from 'node:assert/strict';
import { concatBytes } from '@noble/hashes/utils.js';
import type { FaultCode } from '../../node/sessions/blame/bundle.ts';
import { MessageKind } from '../../node/mpc/rounds.ts';
import { decodeFrame, type FrameOf } from '../../node/sessions/wire.ts';
import { acceptCommitment, attemptIdOf } from '../../node/sessions/attempt.ts';
import { scene } from '../support/attack-scene.ts';
import { assertBadNoncesProven, assertProven, cheatInRounds, roundBy } from '../support/cheats.ts';
import { networkId, seedOf } from '../support/fixture.ts';
import { flip } from '../support/key-generation-runs.ts';
import { Attacker, KeyedNetwork } from '../support/session-attacker.ts';

/** The culprit belongs to no set that was started after the fault. */
function assertLeftOut(net: KeyedNetwork, honest: readonly number[], culprit: number): void {
  const { credential } = net.node(culprit).party;
  for (const index of honest) {
    const lines = net.node(index).logged;
    const failed = lines.findIndex(
      ({ event, fields }) => event === 'session.aborted' && fields['culprit'] === credential,
    );
    if (failed < 0) continue;
    const later = lines
      .slice(failed)
      .filter(
        ({ event, fields }) =>
          event === 'session.started' && fields['leader'] === net.node(index).party.credential,
      );
    for (const { fields } of later)
      assert(!(fields['set'] as string[]).includes(credential), 'the culprit is left out');
  }
}

describe('blame: signing', () => {
  const order = Uint8Array.from(
    Buffer.from('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010', 'hex'),
  );
  const shares: [FaultCode, string, (message: Uint8Array) => Uint8Array][] = [
    [
      'invalid_share',
      'a share of something else',
      (message) => concatBytes(message.subarray(0, 33), flip(message.subarray(33), 0)),
    ],
    [
      'malformed_share',
      '0xff bytes',
      (message) => concatBytes(message.subarray(0, 33), new Uint8Array(32).fill(0xff)),
    ],
    ['malformed_share', 'the order of the group', (message) => concatBytes(message.subarray(0, 33), order)],
    ['malformed_message', 'a share too many', (message) => concatBytes(message, message.subarray(33))],
    ['malformed_message', 'no share', (message) => message.subarray(0, 33)],
    ['malformed_message', 'less than a session id', (message) => message.subarray(0, 20)],
    [
      'unknown_message',
      'a message of key generation',
      (message) => concatBytes(Uint8Array.of(MessageKind.dkgCommit), message.subarray(1)),
    ],
  ];
  for (const [parties, threshold] of [
    [3, 2],
    [5, 3],
  ] as const)
    for (const [code, what, alter] of shares)
      it(`${threshold} of ${parties}: ${what}: ${code}, and the next attempt without the culprit signs`, async () => {
        const net = await KeyedNetwork.create(parties, threshold);
        await net.bootAll();
        const cheat = 1;
        // The cheat leads first, so it is surely in the first set.
        const { id, full } = net.messageLedBy(cheat);
        cheatInRounds(net, cheat, alter);
        const honest = [...net.nodes.keys()].filter((index) => index !== cheat);
        await net.submit(full, [...net.nodes.keys()]);
        await net.signedBy(id, honest);
        const witnesses = honest.filter((index) => net.node(index).blamed.length > 0);
        assertProven(net, witnesses, code, cheat);
        assert.ok(witnesses.length >= threshold - 1);
        assertLeftOut(net, honest, cheat);
        assert.deepEqual(net.node(cheat).blamed, [], 'nobody honest is blamed');
        await net.stop();
      });

  it('3 of 5: two different shares in one session: equivocation', async () => {
    const net = await KeyedNetwork.create(5, 3);
    await net.bootAll();
    const [cheat, late] = [1, 2];
    const { id, full } = net.messageLedBy(cheat);
    const { credential } = net.node(cheat).party;
    net.intercept = ({ from, to, bytes }) => {
      const frame = decodeFrame(bytes);
      if (frame.type !== 'round' || to === undefined) return bytes;
      const receiver = net.nodes.findIndex((node) => node.party.credential === to);
      const deliver = (frameBytes: Uint8Array, ms: number): void =>
        void net.clock.after(ms, () => void net.node(receiver).sessions.receive(from, frameBytes));
      if (from === credential) {
        const other = concatBytes(
          frame.content.message.subarray(0, 33),
          seedOf('share').map((byte, at) => (at === 31 ? 1 : byte)),
        );
        deliver(roundBy(net, cheat, frame, other), 2);
        return bytes;
      }
      // The third member is slow, so that nothing is judged before both shares of the cheat are there.
      if (from === net.node(late).party.credential) {
        deliver(bytes, 50);
        return undefined;
      }
      return bytes;
    };
    const honest = [0, 2, 3, 4];
    await net.submit(full, [...net.nodes.keys()]);
    await net.signedBy(id, honest);
    const witnesses = honest.filter((index) => net.node(index).blamed.length > 0);
    assert.ok(witnesses.length > 0);
    assertProven(net, witnesses, 'equivocation', cheat);
    assertLeftOut(net, honest, cheat);
    await net.stop();
  });

  it('nonce commitments that are no points: malformed_point, from its own ACCEPT', async () => {
    const attacked = await scene(4, 3);
    await assertBadNoncesProven(attacked, new Uint8Array(32).fill(2));
    await attacked.net.stop();
  });
});

describe('blame: the agreement on an attempt', () => {
  /** The attacker leads, and has everybody's ACCEPT. */
  async function accepted() {
    const scenery = await scene(4, 3);
    const { attacker, full, net, honest } = scenery;
    const attempt = attacker.attempt(full);
    attacker.toAll(attempt.frame);
    await net.until(() => attacker.accepts(attempt.attemptId).size === honest.length);
    const others = honest.map(
      (index) => attacker.accepts(attempt.attemptId).get(net.node(index).party.credential)!.bytes,
    );
    return { ...scenery, attempt, others };
  }
  type Accepted = Awaited<ReturnType<typeof accepted>>;

  const cases: [FaultCode, string, (scene: Accepted) => Uint8Array[]][] = [
    [
      'set_size',
      'a set of t + 1',
      ({ attacker, attempt, others }) => [attacker.start(attempt, [attempt.accept, ...others])],
    ],
    [
      'duplicate_member',
      'a member twice',
      ({ attacker, attempt, others }) => [attacker.start(attempt, [attempt.accept, others[0]!, others[0]!])],
    ],
    [
      'commitment_mismatch',
      'a set without its leader',
      ({ attacker, attempt, others }) => [attacker.start(attempt, others)],
    ],
    [
      'item_count',
      'its own ACCEPT with two nonce pairs for one item',
      ({ attacker, attempt, others }) => {
        const [own] = [decodeFrame(attempt.accept) as FrameOf<'accept'>];
        const nonces = [...own.content.nonces, ...own.content.nonces];
        const accept = attacker.accept(attempt.attemptId, attempt.propose, { nonces });
        return [attacker.start(attempt, [accept, ...others.slice(0, 2)])];
      },
    ],
    [
      'leader_equivocated',
      'two STARTs',
      ({ attacker, attempt, others }) => [
        attacker.start(attempt, [attempt.accept, ...others.slice(0, 2)]),
        attacker.start(attempt, [attempt.accept, others[0]!, others[2]!]),
      ],
    ],
    [
      'leader_equivocated',
      'two PROPOSEs of one attempt',
      ({ attacker, attempt }) => [
        attacker.encode('propose', { ...attempt.propose, commitment: seedOf('another') }),
      ],
    ],
    [
      'leader_equivocated',
      'a START with another PROPOSE than it sent',
      ({ attacker, attempt, others }) => {
        const accept = attacker.accept(attempt.attemptId, attempt.propose);
        const salt = seedOf('afterwards');
        const frame = attacker.encode('propose', {
          ...attempt.propose,
          commitment: acceptCommitment(accept, salt),
        });
        return [attacker.start({ ...attempt, frame, salt }, [accept, ...others.slice(0, 2)])];
      },
    ],
  ];
  for (const [code, what, make] of cases)
    it(`${what}: ${code}, and the others sign without the leader`, async () => {
      const scenery = await accepted();
      const { net, attacker, honest, id } = scenery;
      for (const frame of make(scenery)) await net.deliver(attacker.signer.credential, 0, frame);
      assertProven(net, [0], code, attacker.index);
      await net.signedBy(id, honest);
      assert.equal(net.node(0).blamed.length, 1, 'once');
      assertLeftOut(net, honest, attacker.index);
      await net.stop();
    });

  it('different STARTs shown to different members: who is shown the other one has the proof', async () => {
    const { net, attacker, honest, id, attempt, others } = await accepted();
    const { credential } = attacker.signer;
    await net.deliver(credential, 0, attacker.start(attempt, [attempt.accept, others[0]!, others[1]!]));
    await net.deliver(credential, 1, attacker.start(attempt, [attempt.accept, others[1]!, others[0]!]));
    await net.signedBy(id, honest);
    const witnesses = [0, 1].filter((index) => net.node(index).blamed.length > 0);
    assertProven(net, witnesses, 'leader_equivocated', attacker.index);
    await net.stop();
  });

  it('an ACCEPT with too many nonces, sent to an honest leader: item_count, and its sender is left out', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const attacker = new Attacker(net, 2);
    for (const index of [0, 1]) await net.boot(index);
    attacker.onFrame = (from, frame) => {
      if (frame.type !== 'propose') return;
      const attemptId = attemptIdOf(frame.content, networkId);
      const [pair] = (decodeFrame(attacker.accept(attemptId, frame.content)) as FrameOf<'accept'>).content
        .nonces;
      attacker.send(from, attacker.accept(attemptId, frame.content, { nonces: [pair!, pair!] }));
    };
    // The other ACCEPT comes later, or the leader may have its set before it looks at this one.
    net.intercept = ({ from, to, bytes }) => {
      if (decodeFrame(bytes).type !== 'accept' || to !== net.node(0).party.credential) return bytes;
      net.clock.after(50, () => void net.node(0).sessions.receive(from, bytes));
      return undefined;
    };
    const { id, full } = net.messageLedBy(0);
    await net.submit(full, [0, 1]);
    await net.signedBy(id, [0, 1]);
    assertProven(net, [0], 'item_count', 2);
    await net.stop();
  });
});
