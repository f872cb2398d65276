// STARTs that only a dishonest leader sends: each is refused under its name, no share leaves because of it, the leader is
// called guilty only by what it signed, and the honest parties still fulfil the request.
import assert from 'node:assert/strict';
import { acceptCommitment } from '../../node/sessions/attempt.ts';
import type { SessionErrorCode } from '../../node/sessions/error.ts';
import {
  type Accept,
  type Body,
  decodeFrame,
  encodeFrame,
  type FrameOf,
  type Propose,
} from '../../node/sessions/wire.ts';
import {
  assertFulfilled,
  assertNoRounds,
  assertRefused,
  codesAt,
  keyedNetwork,
  keyTypes,
  scene,
  stranger,
} from '../support/attack-scene.ts';
import { networkId, seedOf } from '../support/fixture.ts';
import { framesSent } from '../support/session-attacker.ts';

for (const keyType of keyTypes)
  describe(`sessions: START, ${keyType}`, () => {
    /** The attacker proposes, and gets the ACCEPTs of all. */
    async function accepted(parties = 4, threshold = 3) {
      const scenery = await scene(
        parties,
        threshold,
        async () => await keyedNetwork(parties, threshold, keyType),
      );
      const { attacker, full, net, honest } = scenery;
      const attempt = attacker.attempt(full);
      attacker.toAll(attempt.frame);
      await net.until(() => attacker.accepts(attempt.attemptId).size === honest.length);
      const others = honest.map((index) => {
        const frame = attacker.accepts(attempt.attemptId).get(net.node(index).party.credential);
        assert(frame);
        return frame;
      });
      return { ...scenery, attempt, others };
    }
    type Accepted = Awaited<ReturnType<typeof accepted>>;
    const bytesOf = (...frames: FrameOf<'accept'>[]): Uint8Array[] => frames.map((frame) => frame.bytes);

    /** The ACCEPT with one field changed, under the signature of the one that was given. */
    const altered = (frame: FrameOf<'accept'> | undefined, change: Partial<Accept>): Uint8Array => {
      assert(frame?.signature);
      const { signature } = frame;
      const forged = { credential: '', sign: () => signature };
      return encodeFrame('accept', { ...frame.content, ...change }, { networkId, keyringId: '' }, forged);
    };
    const starts: [string, SessionErrorCode, 'leader' | undefined, (scene: Accepted) => Uint8Array][] = [
      [
        't + 1 members',
        'set_size',
        'leader',
        ({ attacker, attempt, others }) => attacker.start(attempt, [attempt.accept, ...bytesOf(...others)]),
      ],
      [
        't - 1 members',
        'set_size',
        'leader',
        ({ attacker, attempt, others }) =>
          attacker.start(attempt, [attempt.accept, ...bytesOf(...others.slice(0, 1))]),
      ],
      [
        'a member twice',
        'duplicate_member',
        'leader',
        ({ attacker, attempt, others }) => {
          const [first] = bytesOf(...others) as [Uint8Array];
          return attacker.start(attempt, [attempt.accept, first, first]);
        },
      ],
      [
        'a set without its leader',
        'commitment_mismatch',
        'leader',
        ({ attacker, attempt, others }) => attacker.start(attempt, bytesOf(...others)),
      ],
      [
        'another ACCEPT of the leader than it committed to',
        'commitment_mismatch',
        'leader',
        ({ attacker, attempt, others }) =>
          attacker.start(attempt, [
            attacker.accept(attempt.attemptId, attempt.propose),
            ...bytesOf(...others.slice(0, 2)),
          ]),
      ],
      [
        'another salt than it committed with',
        'commitment_mismatch',
        'leader',
        ({ attacker, attempt, others }) =>
          attacker.start(attempt, [attempt.accept, ...bytesOf(...others.slice(0, 2))], {
            salt: seedOf('salt'),
          }),
      ],
      [
        "a stranger's ACCEPT",
        'stranger',
        undefined,
        ({ attacker, attempt, others }) => {
          const { content } = decodeFrame(attempt.accept) as FrameOf<'accept'>;
          const accept = { ...content, party: stranger.credential };
          const bytes = encodeFrame('accept', accept, attacker.wire, stranger);
          return attacker.start(attempt, [attempt.accept, bytes, ...bytesOf(...others.slice(0, 1))]);
        },
      ],
      [
        'an ACCEPT of another attempt',
        'wrong_attempt',
        undefined,
        ({ attacker, attempt, full, others }) => {
          const other = attacker.attempt(full, 9);
          const salt = seedOf('salt');
          const propose = { ...attempt.propose, commitment: acceptCommitment(other.accept, salt) };
          const frame = attacker.encode('propose', propose);
          return attacker.start({ ...attempt, frame, salt }, [
            other.accept,
            ...bytesOf(...others.slice(0, 2)),
          ]);
        },
      ],
      [
        'an ACCEPT under another log head',
        'wrong_attempt',
        undefined,
        ({ attacker, attempt, others }) => {
          const logHead = { ...attempt.propose.logHead, seq: 1 };
          const accept = attacker.accept(attempt.attemptId, attempt.propose, { logHead });
          return attacker.start(attempt, [accept, ...bytesOf(...others.slice(0, 2))]);
        },
      ],
      [
        'another PROPOSE under the same id, with a commitment made afterwards',
        'leader_equivocated',
        'leader',
        ({ attacker, attempt, others }) => {
          const accept = attacker.accept(attempt.attemptId, attempt.propose);
          const salt = seedOf('afterwards');
          const propose: Propose = { ...attempt.propose, commitment: acceptCommitment(accept, salt) };
          const frame = attacker.encode('propose', propose);
          return attacker.start({ ...attempt, frame, salt }, [accept, ...bytesOf(...others.slice(0, 2))]);
        },
      ],
      [
        'something else than a PROPOSE',
        'malformed_message',
        undefined,
        ({ attacker, attempt, others }) =>
          attacker.start(attempt, bytesOf(...others), { propose: attempt.accept }),
      ],
      [
        'the signature of another party',
        'bad_signature',
        undefined,
        ({ attacker, attempt, others }) => {
          const content: Body<'start'> = {
            propose: attempt.frame,
            accepts: [attempt.accept, ...bytesOf(...others.slice(0, 2))],
            salt: attempt.salt,
          };
          return encodeFrame('start', content, attacker.wire, stranger);
        },
      ],
      [
        'a PROPOSE among the ACCEPTs',
        'malformed_message',
        undefined,
        ({ attacker, attempt, others }) =>
          attacker.start(attempt, [attempt.accept, attempt.frame, ...bytesOf(...others.slice(0, 1))]),
      ],
      [
        'more than one nonce pair an item',
        'item_count',
        'leader',
        ({ attacker, attempt, others }) => {
          const { nonces } = (others[0] as FrameOf<'accept'>).content;
          const accept = attacker.accept(attempt.attemptId, attempt.propose, {
            nonces: [...nonces, attacker.noncePair],
          });
          return attacker.start(attempt, [accept, ...bytesOf(...others.slice(0, 2))]);
        },
      ],
    ];
    const changes: [keyof Accept, SessionErrorCode, (accept: Accept) => Partial<Accept>][] = [
      ['attemptId', 'bad_signature', () => ({ attemptId: '00'.repeat(32) })],
      ['party', 'stranger', () => ({ party: stranger.credential })],
      ['entropy', 'bad_signature', () => ({ entropy: seedOf('entropy') })],
      [
        'nonces',
        'bad_signature',
        ({ nonces }) => {
          const exchanged = nonces.map(({ hiding, binding }) => ({ hiding: binding, binding: hiding }));
          const pair = { hiding: seedOf('hiding'), binding: seedOf('binding') };
          return { nonces: exchanged.length > 0 ? exchanged : [pair] };
        },
      ],
      ['logHead', 'bad_signature', ({ logHead }) => ({ logHead: { ...logHead, seq: 1 } })],
    ];
    for (const [field, code, change] of changes)
      starts.push([
        `an ACCEPT whose ${field} was altered`,
        code,
        undefined,
        ({ attacker, attempt, others }) => {
          const [first, second] = others as [FrameOf<'accept'>, FrameOf<'accept'>];
          return attacker.start(attempt, [
            attempt.accept,
            altered(second, change(second.content)),
            first.bytes,
          ]);
        },
      ]);

    for (const [name, code, culprit, make] of starts)
      it(`with ${name}: ${code}`, async () => {
        const scenery = await accepted();
        const { net, attacker } = scenery;
        await net.deliver(attacker.signer.credential, 0, make(scenery));
        assertRefused(scenery, code, culprit && attacker.signer.credential);
        // What proves the leader guilty ends its attempt; anything else is as if it had not come.
        const ended = net.logged(0, 'session.aborted').map((fields) => fields['code']);
        assert.deepEqual(ended, culprit ? [code] : []);
        assertNoRounds(scenery);
        await assertFulfilled(scenery);
      });

    it('with an ACCEPT that this party sent for the same attempt before, altered nowhere, starts it once', async () => {
      const scenery = await accepted();
      const { net, attacker, attempt, others } = scenery;
      const start = attacker.start(attempt, [attempt.accept, ...bytesOf(...others.slice(0, 2))]);
      for (let copy = 0; copy < 3; copy++) await net.deliver(attacker.signer.credential, 0, start);
      const rounds = framesSent(net, net.node(0).party.credential, 'round');
      const bodies = new Set(rounds.map(({ frame }) => frame.body.join()));
      // By ECDSA each other member is sent a first message of its own.
      const receivers = new Set(rounds.map(({ to }) => to));
      assert.equal(
        bodies.size,
        keyType === 'ecdsa_secp256k1' ? receivers.size : 1,
        'one share for one nonce',
      );
      await assertFulfilled(scenery);
    });

    it('with an ACCEPT from before a restart: wrong_attempt', async () => {
      const scenery = await accepted();
      const { net, attacker, attempt, others } = scenery;
      const { credential } = attacker.signer;
      net.kill(0);
      await net.boot(0);
      await net.deliver(credential, 0, attempt.frame);
      assert.equal(
        framesSent(net, net.node(0).party.credential, 'accept').length,
        2,
        'it knows nothing of the first',
      );
      const start = attacker.start(attempt, [attempt.accept, ...bytesOf(...others.slice(0, 2))]);
      await net.deliver(credential, 0, start);
      assertRefused(scenery, 'wrong_attempt');
      assertNoRounds(scenery);
      await assertFulfilled(scenery);
    });

    it('is taken from nobody but its leader and the members', async () => {
      const scenery = await accepted();
      const { net, attacker, attempt, others } = scenery;
      const start = attacker.start(attempt, [attempt.accept, ...bytesOf(...others.slice(0, 2))]);
      await net.deliver(net.node(1).party.credential, 0, start);
      assert.deepEqual(net.logged(0, 'session.started'), []);
      assert.deepEqual(codesAt(net), []);
      await assertFulfilled(scenery);
    });
  });
