// Every fault that a party's own messages prove, committed in a running network: the honest parties keep a bundle that
// proves it to anybody, the culprit is left out of what follows, and nobody else is blamed.
import assert from 'node:assert/strict';
import { ed25519, ED25519_TORSION_SUBGROUP } from '@noble/curves/ed25519.js';
import { concatBytes } from '@noble/hashes/utils.js';
import type { KeyGenerationOptions } from '../../node/mpc/dkg/generate.ts';
import type { Machine, Step } from '../../node/mpc/machine.ts';
import type { FaultCode } from '../../node/sessions/blame/bundle.ts';
import { MessageKind } from '../../node/mpc/rounds.ts';
import { decodeFrame, type FrameOf } from '../../node/sessions/wire.ts';
import { acceptCommitment, attemptIdOf } from '../../node/sessions/attempt.ts';
import { scene } from '../support/attack-scene.ts';
import {
  assertProven,
  cheatInRounds,
  CheatingDealer,
  framesIn,
  requestKey,
  roundBy,
  verdictOf,
} from '../support/cheats.ts';
import type { Dishonesty } from '../support/dishonest-dealer.ts';
import { DishonestDealer } from '../support/dishonest-dealer.ts';
import { networkId, seedOf } from '../support/fixture.ts';
import { flip } from '../support/key-generation-runs.ts';
import { seededRandom } from '../support/mpc-network.ts';
import { Attacker, framesSent, KeyedNetwork } from '../support/session-attacker.ts';

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
    const { net, attacker, honest, id } = await scene(4, 3);
    attacker.onFrame = (from, frame) => {
      if (frame.type !== 'propose') return;
      const nonces = [{ hiding: new Uint8Array(32).fill(2), binding: new Uint8Array(32).fill(2) }];
      const attemptId = attemptIdOf(frame.content, networkId);
      attacker.send(from, attacker.accept(attemptId, frame.content, { nonces }));
    };
    await net.signedBy(id, honest);
    const witnesses = honest.filter((index) => net.node(index).blamed.length > 0);
    assertProven(net, witnesses, 'malformed_point', attacker.index);
    await net.stop();
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

describe('blame: key generation', () => {
  const torsion = ed25519.Point.fromHex(ED25519_TORSION_SUBGROUP[1]!);
  const cases: [FaultCode, string, Dishonesty][] = [
    ['commitment_count', 'a longer polynomial', { coefficients: 3 }],
    [
      'opening_mismatch',
      'another salt than committed to',
      { reopened: (own) => ({ ...own, salt: flip(own.salt, 0) }) },
    ],
    [
      'malformed_point',
      'a commitment outside the prime-order subgroup',
      {
        opening: (own) => ({
          ...own,
          commitments: concatBytes(torsion.toBytes(), own.commitments.subarray(32)),
        }),
      },
    ],
    ['invalid_proof', 'a false proof', { opening: (own) => ({ ...own, proof: flip(own.proof, 33) }) }],
    [
      'malformed_scalar',
      'a proof that is not canonical',
      {
        opening: (own) => ({
          ...own,
          proof: concatBytes(own.proof.subarray(0, 32), new Uint8Array(32).fill(0xff)),
        }),
      },
    ],
    [
      'invalid_dealt_share',
      'a share beside the polynomial',
      { reveal: (_, reveal) => ({ ...reveal, share: flip(reveal.share, 0) }) },
    ],
    [
      'malformed_scalar',
      'a share of 0xff bytes',
      { reveal: (_, reveal) => ({ ...reveal, share: new Uint8Array(32).fill(0xff) }) },
    ],
    ['malformed_message', 'a reveal cut short', { body: (_, body) => body.subarray(0, -1) }],
  ];
  for (const [code, what, dishonesty] of cases)
    it(`${what}: ${code}; nobody confirms a key, and the request ends as what it is`, async () => {
      const net = await KeyedNetwork.create(3, 2);
      const dealer = CheatingDealer.of(net, 2, dishonesty);
      for (const index of [0, 1]) await net.boot(index);
      const { id } = await requestKey(net, [0, 1]);
      await net.until(() => [0, 1].some((index) => net.node(index).blamed.length > 0), 60_000, 'a proof');
      await net.pass(5000);
      assertProven(
        net,
        [0, 1].filter((index) => net.node(index).blamed.length > 0),
        code,
        2,
      );
      assert.ok(dealer.sessions.length > 1, 'it is tried again: all parties are needed');
      for (const index of [0, 1]) {
        assert.ok(!net.node(index).store.pending.has(id) && !net.node(index).store.active.has(id));
        for (const bundle of net.node(index).blamed)
          assert.equal(verdictOf(net, bundle).accused, net.node(2).party.credential);
      }
      await net.pass(20_000);
      for (const index of [0, 1]) {
        const result = net.resultAt(index, id);
        assert(result?.kind === 'refusal', JSON.stringify(result));
        assert.equal(result.code, 'expired');
        assert.ok(!net.node(index).store.pending.has(id) && !net.node(index).store.active.has(id));
      }
      await net.stop();
    });

  it('a dealer that deals badly and finishes by itself: nobody else confirms, nobody ever activates', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.bootAll();
    const { credential } = net.node(2).party;
    net.intercept = ({ from, bytes }) => {
      const frame = decodeFrame(bytes);
      if (from !== credential || frame.type !== 'round') return bytes;
      const { message } = frame.content;
      if (message[0] !== MessageKind.dkgReveal) return bytes;
      return roundBy(net, 2, frame, concatBytes(message.subarray(0, -32), flip(message.subarray(-32), 0)));
    };
    const { id } = await requestKey(net, [0, 1, 2]);
    await net.until(() => [0, 1].every((index) => net.resultAt(index, id)), 60_000, 'the end');
    const witnesses = [0, 1].filter((index) => net.node(index).blamed.length > 0);
    assertProven(net, witnesses, 'invalid_dealt_share', 2);
    for (const index of [0, 1]) {
      const result = net.resultAt(index, id);
      assert(result?.kind === 'refusal', JSON.stringify(result));
      assert.equal(result.code, 'run_lost');
      assert.ok(!net.node(index).store.pending.has(id));
    }
    assert.ok(net.nodes.every((node) => !node.store.active.has(id)));
    await net.stop();
  });

  it('a dealt share is not published by a party that has confirmed a run of the same request', async () => {
    const net = await KeyedNetwork.create(3, 2);
    CheatingDealer.of(net, 2, { reveal: (_, reveal) => ({ ...reveal, share: flip(reveal.share, 0) }) });
    for (const index of [0, 1]) await net.boot(index);
    const { confirmation } = net.node(0).store.pending.get(net.key.id)!;
    // As a write of another run would have left it by the time the proof is there.
    for (const index of [0, 1])
      net.node(index).store.confirmationOf = async () => (withheld() ? confirmation : undefined);
    const withheld = (): boolean => [0, 1].some((index) => net.logged(index, 'session.aborted').length > 0);
    await requestKey(net, [0, 1]);
    await net.until(
      () => [0, 1].some((index) => net.logged(index, 'blame.withheld').length > 0),
      60_000,
      'a proof',
    );
    for (const index of [0, 1]) assert.deepEqual(net.node(index).blamed, []);
    await net.stop();
  });

  it('a proof that cannot be kept does not disturb the session', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.bootAll();
    cheatInRounds(net, 1, (message) => flip(message, 40));
    for (const index of [0, 2])
      net.node(index).blamed.push = () => {
        throw new Error('no room');
      };
    const { id, full } = net.messageLedBy(1);
    await net.submit(full, [0, 1, 2]);
    await net.signedBy(id, [0, 2]);
    assert.ok([0, 2].some((index) => net.logged(index, 'blame.failed').length > 0));
    await net.stop();
  });

  /** A dealer with another face for party 0 than for the rest. */
  function twoFaced(options: KeyGenerationOptions): Machine<unknown> {
    const faces = ['left', 'right'].map(
      (seed) =>
        new DishonestDealer({ ...options, random: seededRandom(`${seed}/${options.sid.join()}`) }, {}),
    );
    const merge = (steps: readonly Step<unknown>[]): Step<unknown> => ({
      messages: [
        ...steps[0]!.messages.filter(({ to }) => to === 1),
        ...steps[1]!.messages.filter(({ to }) => to !== 1),
      ],
    });
    return {
      start: () => merge(faces.map((face) => face.start())),
      receive: (from, bytes) => merge(faces.map((face) => face.receive(from, bytes))),
      awaited: () => [],
      destroy: () => undefined,
    };
  }

  it('different commitments to different peers: all honest parties come to hold the proof, and nobody activates', async () => {
    const net = await KeyedNetwork.create(5, 3);
    const dealer = new CheatingDealer(net, 4, twoFaced);
    const honest = [0, 1, 2, 3];
    for (const index of honest) await net.boot(index);
    const { id } = await requestKey(net, honest);
    await net.until(
      () => honest.every((index) => net.node(index).blamed.length > 0),
      60_000,
      'the proof at all of them',
    );
    const file = assertProven(net, honest, 'equivocation', 4);
    const [start, one, other] = framesIn(file);
    assert(start?.type === 'start' && one?.type === 'round' && other?.type === 'round');
    assert.ok(
      framesIn(file)
        .slice(1)
        .every((frame) => frame.type === 'round' && frame.content.message[0] === MessageKind.dkgCommit),
      'commitments only',
    );
    assert.ok(dealer.sessions.length > 0);
    for (const index of honest) {
      assert.ok(!net.node(index).store.pending.has(id) && !net.node(index).store.active.has(id));
      for (const bundle of net.node(index).blamed)
        assert.equal(verdictOf(net, bundle).accused, dealer.attacker.signer.credential);
      // What is shown is bounded: all commitments once, and half of a proof once.
      const shown = framesSent(net, net.node(index).party.credential, 'exhibit').filter(
        ({ frame }) => frame.content.attemptId === dealer.sessions[0]!.attemptId,
      );
      assert.ok(shown.length <= 2 * 4, `${shown.length}`);
    }
    await net.stop();
  });

  it('different commitments, noticed by one party alone: it is shown the other half', async () => {
    const net = await KeyedNetwork.create(5, 3);
    const dealer = new CheatingDealer(net, 4, twoFaced);
    const honest = [0, 1, 2, 3];
    for (const index of honest) await net.boot(index);
    const { credential } = net.node(0).party;
    // Without its reveals nobody else gets to see that it has another commitment.
    net.intercept = ({ from, bytes }) => {
      const frame = decodeFrame(bytes);
      const isReveal = frame.type === 'round' && frame.content.message[0] === MessageKind.dkgReveal;
      return from === credential && isReveal ? undefined : bytes;
    };
    await requestKey(net, honest);
    const proven = (index: number): boolean =>
      net.node(index).blamed.some(({ attemptId }) => attemptId === dealer.sessions[0]?.attemptId);
    await net.until(() => honest.every(proven), 5000, 'the proof about the first attempt at all of them');
    assertProven(net, honest, 'equivocation', 4);
    await net.stop();
  });

  it('a false echo about an honest party proves nothing against it, and nobody is blamed', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const dealer = CheatingDealer.of(net, 2, {
      reveal: (_, reveal) => ({ ...reveal, echo: reveal.echo.map((digest) => flip(digest, 3)) }),
    });
    for (const index of [0, 1]) await net.boot(index);
    const { id } = await requestKey(net, [0, 1]);
    await net.until(
      () =>
        framesSent(net, net.node(0).party.credential, 'exhibit').length > 0 ||
        framesSent(net, net.node(1).party.credential, 'exhibit').length > 0,
      60_000,
      'an exhibit',
    );
    await net.pass(3000);
    for (const index of [0, 1]) {
      assert.deepEqual(net.node(index).blamed, []);
      assert.ok(!net.node(index).store.pending.has(id));
      const aborted = net.logged(index, 'session.aborted');
      assert.ok(
        aborted.every(({ culprit }) => culprit === undefined),
        JSON.stringify(aborted),
      );
    }
    assert.ok(dealer.sessions.length > 0);
    await net.stop();
  });

  it('an exhibit that its party has not signed, or of another session, is refused and convicts nobody', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const dealer = CheatingDealer.of(net, 2, { reveal: (_, reveal) => ({ ...reveal, receiver: 7 }) });
    for (const index of [0, 1]) await net.boot(index);
    const { id } = await requestKey(net, [0, 1]);
    await net.until(() => net.logged(0, 'session.aborted').length > 0, 60_000, 'an end');
    const { attemptId, sid } = dealer.sessions[0]!;
    const { attacker } = dealer;
    const party = net.node(1).party.credential;
    const message = (session: Uint8Array): Uint8Array =>
      concatBytes(Uint8Array.of(MessageKind.dkgCommit), session, seedOf('digest'));
    const forged = attacker.encode('round', { attemptId, sid, message: message(sid) });
    const true1 = framesSent(net, party, 'round').find(
      ({ frame }) =>
        frame.content.message[0] === MessageKind.dkgCommit && frame.content.attemptId !== attemptId,
    );
    for (const [frame, code] of [
      [forged, 'bad_signature'],
      [
        attacker.encode('round', { attemptId, sid: seedOf('other'), message: message(seedOf('other')) }),
        'wrong_attempt',
      ],
      [true1?.frame.bytes ?? attacker.accept(attemptId, dealer.sessions[0]!.propose), 'wrong_attempt'],
    ] as const) {
      const before = net.logged(0, 'session.message_rejected').length;
      const exhibit = attacker.encode('exhibit', {
        attemptId,
        requestId: id,
        commitments: [{ party, frame }],
      });
      await net.deliver(attacker.signer.credential, 0, exhibit);
      const rejected = net.logged(0, 'session.message_rejected').slice(before);
      // Two exhibits of a party about one attempt are looked at, no more.
      if (code !== 'wrong_attempt' || rejected.length > 0)
        assert.deepEqual(
          rejected.map((each) => each['code']),
          [code],
        );
    }
    assert.deepEqual(net.node(0).blamed, []);
    await net.stop();
  });
});
