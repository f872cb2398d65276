// Every attack on key generation that the design lists, each with its named abort.
import assert from 'node:assert/strict';
import { ed25519, ED25519_TORSION_SUBGROUP } from '@noble/curves/ed25519.js';
import { concatBytes, hexToBytes } from '@noble/hashes/utils.js';
import { KeyGeneration } from '../../node/mpc/dkg/generate.ts';
import type { KeyShare } from '../../node/mpc/dkg/key-share.ts';
import { prove } from '../../node/mpc/dkg/proof.ts';
import type { Opening } from '../../node/mpc/dkg/transcript.ts';
import { contextHash } from '../../node/mpc/dkg/transcript.ts';
import type { Machine, PartyIndex } from '../../node/mpc/machine.ts';
import { encodeMessage, MessageKind } from '../../node/mpc/rounds.ts';
import { DishonestDealer } from '../support/dishonest-dealer.ts';
import type { NetworkOptions } from '../support/mpc-network.ts';
import { runNetwork, seededRandom } from '../support/mpc-network.ts';

import { throwsAbort } from '../support/assert-abort.ts';
import { assertAborts, flip, runsOf } from '../support/key-generation-runs.ts';
import { aboveOrder, encodeAny, schemes } from '../support/signing-schemes.ts';

for (const { keyType, badPoints } of schemes.slice(0, 2))
  describe(`key generation: attacks, ${keyType}`, () => {
    const { group, options, honest, against } = runsOf(keyType);
    const { pointLength, scalarLength } = group;
    const proofLength = pointLength + scalarLength;
    const isLittleEndian = group.encodeScalar(1n)[0] === 1;

    /** The opening that an honest dealer of the standard run reveals. */
    function captureOpening(dealer: PartyIndex): Pick<Opening, 'commitments' | 'proof'> {
      const { delivered } = runNetwork(honest(3, 2));
      const reveal = delivered.find(
        ({ from, bytes }) => from === dealer && bytes[0] === MessageKind.dkgReveal,
      )!;
      const body = reveal.bytes.subarray(33);
      const proofAt = 2 + 2 * pointLength;
      return { commitments: body.slice(2, proofAt), proof: body.slice(proofAt, proofAt + proofLength) };
    }

    it('an honest dealer in the same place finishes (control)', () => {
      assert.equal(against({}).outputs.size, 2);
    });

    it('equivocation: different commitments to two peers, nobody finishes', () => {
      const result = against({ digest: (to, digest) => (to === 3 ? flip(digest, 0) : digest) });
      assert.equal(result.outputs.size, 0);
      // Party 3 holds a digest the opening does not match: proof. Party 1 sees only that 3 received something else.
      assert.deepEqual(
        [result.aborts.get(1)?.code, result.aborts.get(1)?.culprit],
        ['echo_mismatch', undefined],
      );
      assert.ok(['opening_mismatch', 'echo_mismatch'].includes(result.aborts.get(3)!.code));
    });

    it('equivocation with a consistent opening for each peer, nobody finishes', () => {
      // Two complete personalities of party 2, one for each peer.
      const faces = ['left', 'right'].map((seed) => new DishonestDealer(options(2, 3, 2, seed), {}));
      const twoFaced: Machine<KeyShare> = {
        start: () => ({
          messages: [
            faces[0]!.start().messages.find(({ to }) => to === 1)!,
            faces[1]!.start().messages.find(({ to }) => to === 3)!,
          ],
        }),
        receive: (from, bytes) => {
          const [left, right] = faces.map((face) => face.receive(from, bytes).messages);
          const messages = [...left!.filter(({ to }) => to === 1), ...right!.filter(({ to }) => to === 3)];
          return { messages };
        },
        awaited: () => [],
        destroy: () => undefined,
      };
      const machines = honest(3, 2);
      machines.set(2, twoFaced);
      const { outputs, aborts } = runNetwork(machines);
      // Whoever notices first sends nothing more; the other is left without a key, waiting.
      assert.equal(outputs.size, 0);
      assert.ok(aborts.size > 0);
      for (const abort of aborts.values())
        assert.deepEqual([abort.code, abort.culprit], ['echo_mismatch', undefined]);
    });

    it('a false echo is noticed, and nobody is called guilty without proof', () => {
      const result = against({
        reveal: (_, reveal) => ({
          ...reveal,
          echo: reveal.echo.map((digest, at) => (at === 0 ? flip(digest, 3) : digest)),
        }),
      });
      assertAborts(result, 'echo_mismatch', undefined);
    });

    it("rogue key: C' = t G - A cannot be proven", () => {
      // The strongest form: the attacker knows the others' constant terms before it commits.
      const { outputs } = runNetwork(honest(3, 2));
      const others = group.decodePoint(outputs.get(1)!.publicKey);
      const rogue = group.encodePoint(group.multiplyBase(5n).subtract(others));
      const context = contextHash({ ...options(2, 3, 2), purpose: 'generate' });
      const result = against({
        opening: (opening) => {
          const commitments = concatBytes(rogue, opening.commitments.subarray(pointLength));
          const statement = { context, dealer: 2, commitments };
          return { ...opening, commitments, proof: prove(group, statement, 5n, seededRandom('rogue')) };
        },
      });
      assertAborts(result, 'invalid_proof', 2);
    });

    it("replayed proof: another dealer's vector and proof", () => {
      const stolen = captureOpening(1);
      assertAborts(
        against({ opening: (own) => ({ ...own, commitments: stolen.commitments, proof: stolen.proof }) }),
        'invalid_proof',
        2,
      );
    });

    it('replayed proof: the same dealer in another session or epoch', () => {
      for (const change of [{ sid: new Uint8Array(32).fill(8) }, { epoch: { roster: 1, run: 1 } }]) {
        const context = contextHash({ ...options(2, 3, 2), ...change, purpose: 'generate' });
        const result = against({
          opening: (own) => {
            const statement = { context, dealer: 2, commitments: own.commitments };
            // The true secret: first scalar of the dealer's own source.
            const secret = group.reduceScalar(seededRandom('dkg/2')(64));
            return { ...own, proof: prove(group, statement, secret, seededRandom('replay')) };
          },
        });
        assertAborts(result, 'invalid_proof', 2);
      }
    });

    it('session replay: messages of one session, readdressed to another', () => {
      const recorded = runNetwork(honest(3, 2)).delivered;
      const sid = new Uint8Array(32).fill(8);
      const machine = new KeyGeneration({ ...options(1, 3, 2, 'fresh'), sid });
      machine.start();
      const replay = recorded.filter(({ to }) => to === 1);
      for (const { from, bytes } of replay) assert.deepEqual(machine.receive(from, bytes), { messages: [] });
      assert.throws(
        () => {
          for (const { from, bytes } of replay)
            machine.receive(from, encodeMessage(bytes[0] as MessageKind, sid, bytes.subarray(33)));
        },
        throwsAbort('opening_mismatch', replay.find(({ bytes }) => bytes[0] === MessageKind.dkgReveal)!.from),
      );
    });

    it('raised threshold: t + 1 commitments', () => {
      assertAborts(against({ coefficients: 3 }), 'commitment_count', 2);
    });

    it('lowered threshold: t - 1 commitments', () => {
      assertAborts(against({ coefficients: 1 }), 'commitment_count', 2);
    });

    it('parties that disagree on the threshold, epoch or key do not finish together', () => {
      for (const [change, code] of [
        [{ threshold: 3 }, 'commitment_count'],
        [{ epoch: { roster: 2, run: 0 } }, 'opening_mismatch'],
      ] as const) {
        const machines = honest(3, 2);
        machines.set(2, new KeyGeneration({ ...options(2, 3, 2), ...change }));
        assertAborts(runNetwork(machines), code, 2);
      }
    });

    for (const field of ['commitments', 'proof', 'chainCode', 'salt'] as const)
      it(`false opening: another ${field} than committed to`, () => {
        const result = against({ reopened: (own) => ({ ...own, [field]: flip(own[field], 0) }) });
        assertAborts(result, 'opening_mismatch', 2);
      });

    it('a share that does not lie on the committed polynomial', () => {
      const result = against({
        reveal: (_, reveal) => ({
          ...reveal,
          share: group.encodeScalar(group.mod(group.decodeScalar(reveal.share) + 1n)),
        }),
      });
      assertAborts(result, 'invalid_dealt_share', 2);
    });

    it("shares exchanged: each receiver gets the other's", () => {
      const shares = new Map<PartyIndex, Uint8Array>();
      const collect = against({
        reveal: (to, reveal) => {
          shares.set(to, reveal.share);
          return reveal;
        },
      });
      assert.equal(collect.outputs.size, 2);
      const result = against({ reveal: (to, reveal) => ({ ...reveal, share: shares.get(4 - to)! }) });
      assertAborts(result, 'invalid_dealt_share', 2);
    });

    it('a reveal addressed to somebody else is refused, and nobody is named: to that one it may have been sent', () => {
      const result = against({ reveal: (to, reveal) => ({ ...reveal, receiver: 4 - to }) });
      assertAborts(result, 'wrong_receiver', undefined);
    });

    it('a second reveal that is meant for another receiver is no equivocation', () => {
      const { delivered } = runNetwork(honest(3, 2));
      const of2 = (kind: MessageKind, to: PartyIndex): Uint8Array =>
        delivered.find(({ from, to: receiver, bytes }) => from === 2 && receiver === to && bytes[0] === kind)!
          .bytes;
      const machine = honest(3, 2).get(1)!;
      machine.start();
      machine.receive(2, of2(MessageKind.dkgCommit, 1));
      machine.receive(2, of2(MessageKind.dkgReveal, 1));
      assert.throws(
        () => machine.receive(2, of2(MessageKind.dkgReveal, 3)),
        throwsAbort('wrong_receiver', undefined),
      );
    });

    it('a share that is no canonical scalar', () => {
      const order = encodeAny(group, group.order);
      for (const share of [new Uint8Array(32).fill(0xff), order])
        assertAborts(against({ reveal: (_, reveal) => ({ ...reveal, share }) }), 'malformed_scalar', 2);
    });

    it('a share equal modulo the order, encoded above it', () => {
      const result = against({
        reveal: (_, reveal) => {
          const value = aboveOrder(group, group.decodeScalar(reveal.share));
          return { ...reveal, share: encodeAny(group, value) };
        },
      });
      assertAborts(result, 'malformed_scalar', 2);
    });

    it('a proof whose response is not canonical', () => {
      const result = against({
        opening: (own) => ({
          ...own,
          proof: concatBytes(own.proof.subarray(0, pointLength), new Uint8Array(scalarLength).fill(0xff)),
        }),
      });
      assertAborts(result, 'malformed_scalar', 2);
    });

    const torsion = ed25519.Point.fromHex(ED25519_TORSION_SUBGROUP[1]!);
    const onEd25519: [string, (honest: Uint8Array) => Uint8Array][] = [
      ['the committed point + T8', (bytes) => ed25519.Point.fromBytes(bytes).add(torsion).toBytes()],
      ['y = p + 1, the identity in disguise', () => hexToBytes(`ee${'ff'.repeat(30)}7f`)],
      ['negative zero', () => hexToBytes(`01${'00'.repeat(30)}80`)],
    ];
    const points: [string, (honest: Uint8Array) => Uint8Array][] = [
      ...badPoints.map(([name, bytes]): [string, () => Uint8Array] => [name, () => bytes]),
      ...(keyType === 'ed25519' ? onEd25519 : []),
    ];
    for (const [name, change] of points)
      for (const position of [0, 1])
        it(`commitment ${position} is ${name}`, () => {
          const result = against({
            opening: (own) => {
              const commitments = own.commitments.slice();
              const at = position * pointLength;
              commitments.set(change(commitments.slice(at, at + pointLength)), at);
              return { ...own, commitments };
            },
          });
          assertAborts(result, 'malformed_point', 2);
        });

    it('a reveal truncated or extended', () => {
      for (const body of [
        (_: PartyIndex, bytes: Uint8Array) => bytes.subarray(0, -1),
        (_: PartyIndex, bytes: Uint8Array) => concatBytes(bytes, new Uint8Array(1)),
        () => new Uint8Array(1),
        () => new Uint8Array(0),
      ])
        assertAborts(against({ body }), 'malformed_message', 2);
    });

    it('a reveal with another number of digests', () => {
      const body = (_: PartyIndex, bytes: Uint8Array): Uint8Array => {
        const changed = bytes.slice();
        new DataView(changed.buffer).setUint16(2 + 2 * pointLength + proofLength + 64, 4);
        return changed;
      };
      assertAborts(against({ body }), 'malformed_message', 2);
    });

    it('any single bit changed in a reveal ends in a named abort', () => {
      const length = 2 + 2 * pointLength + proofLength + 64 + 2 + 3 * 32 + 2 + scalarLength;
      for (let at = 0; at < length; at += 11) {
        const { outputs, aborts } = against({ body: (_, bytes) => flip(bytes, at) });
        assert.equal(outputs.size, 0);
        for (const self of [1, 3]) assert.notEqual(aborts.get(self)!.code, 'internal', `byte ${at}`);
      }
    });

    it('a message from the wrong peer', () => {
      const alter: NetworkOptions['alter'] = (envelope) =>
        envelope.bytes[0] === MessageKind.dkgReveal && envelope.to === 1
          ? [{ ...envelope, from: 5 - envelope.from }]
          : [envelope];
      const { aborts } = runNetwork(honest(3, 2), { alter });
      assert.equal(aborts.get(1)?.code, 'opening_mismatch');
    });

    it('degenerate keys: contributions that cancel out', () => {
      for (const [position, code] of [
        [0, 'identity_public_key'],
        [1, 'degenerate_key'],
      ] as const) {
        const machines = [1, 2].map((self) => {
          const fixed = seededRandom(`cancel/${self}`);
          let calls = 0;
          const random = (length: number): Uint8Array => {
            if (calls++ !== position) return fixed(length);
            const scalar = new Uint8Array(64);
            const encoded = group.encodeScalar(self === 1 ? 5n : group.order - 5n);
            scalar.set(encoded, isLittleEndian ? 0 : 32);
            return scalar;
          };
          return new KeyGeneration({ ...options(self, 2, 2), random });
        });
        const { outputs, aborts } = runNetwork(new Map(machines.map((machine, at) => [at + 1, machine])));
        assert.equal(outputs.size, 0);
        assert.ok(aborts.size > 0);
        for (const abort of aborts.values()) assert.deepEqual([abort.code, abort.culprit], [code, undefined]);
      }
    });

    it('a withheld message leaves the others waiting, without a key', () => {
      const machines = honest(3, 2);
      const { outputs, aborts } = runNetwork(machines, {
        alter: (envelope) =>
          envelope.from === 2 && envelope.to === 3 && envelope.bytes[0] === MessageKind.dkgReveal
            ? []
            : [envelope],
      });
      assert.deepEqual(
        [...outputs.keys()].toSorted((a, b) => a - b),
        [1, 2],
      );
      assert.equal(aborts.size, 0);
      assert.deepEqual(machines.get(3)!.awaited(), [2]);
    });
  });
