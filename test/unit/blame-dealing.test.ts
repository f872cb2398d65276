// Faults of a dealer in key generation that its own messages prove: the honest parties keep a bundle, nobody activates a key,
// and two commitments signed for two peers come together as one proof.
import assert from 'node:assert/strict';
import { ed25519, ED25519_TORSION_SUBGROUP } from '@noble/curves/ed25519.js';
import { concatBytes } from '@noble/hashes/utils.js';
import type { KeyGenerationOptions } from '../../node/mpc/dkg/generate.ts';
import type { Machine, Step } from '../../node/mpc/machine.ts';
import type { FaultCode } from '../../node/sessions/blame/bundle.ts';
import { MessageKind } from '../../node/mpc/rounds.ts';
import { decodeFrame } from '../../node/sessions/wire.ts';
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
import { seedOf } from '../support/fixture.ts';
import { flip } from '../support/key-generation-runs.ts';
import { seededRandom } from '../support/mpc-network.ts';
import { framesSent, KeyedNetwork } from '../support/session-attacker.ts';

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
