import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { verify } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ed25519 } from '@noble/curves/ed25519.js';
import { concatBytes } from '@noble/hashes/utils.js';
import type { AbortCode } from '../../node/mpc/abort.ts';
import { FrostSigning } from '../../node/mpc/frost/sign.ts';
import type { PartyIndex } from '../../node/mpc/machine.ts';
import { encodeMessage, MessageKind } from '../../node/mpc/rounds.ts';
import type { NetworkResult } from '../support/mpc-network.ts';
import { runNetwork } from '../support/mpc-network.ts';

import { throwsAbort } from '../support/assert-abort.ts';
import { nativeKey, one, prepare, run, shares23, shares35, SID, text } from '../support/signing-attempts.ts';
import { aboveOrder, encodeAny, itemOf, schemes } from '../support/signing-schemes.ts';

describe('FROST: honest parties', () => {
  it('every pair of 2 of 3 signs; node:crypto and a strict verifier accept', () => {
    const { publicKey } = shares23.get(1)!;
    for (const set of [
      [1, 2],
      [1, 3],
      [2, 3],
      [3, 1],
    ]) {
      const { outputs, aborts } = run(prepare(set, [one]), { seed: set.join() });
      assert.equal(aborts.size, 0);
      assert.equal(outputs.size, 2);
      const signatures = [...outputs.values()].map(([signature]) => signature!);
      assert.deepEqual(signatures[0], signatures[1]);
      assert.equal(signatures[0]!.length, 64);
      assert.ok(verify(null, one.message, nativeKey(publicKey), signatures[0]!));
      assert.ok(ed25519.verify(signatures[0]!, one.message, publicKey, { zip215: false }));
      assert.ok(!verify(null, text('pay 2'), nativeKey(publicKey), signatures[0]!));
    }
  });

  it('3 of 5 sign, shuffled', () => {
    const item = { shares: shares35, message: new Uint8Array(1000).fill(1) };
    for (const set of [
      [1, 2, 3],
      [5, 2, 4],
    ]) {
      const { outputs } = run(prepare(set, [item]), { seed: set.join() });
      assert.equal(outputs.size, 3);
      for (const [signature] of outputs.values())
        assert.ok(verify(null, item.message, nativeKey(shares35.get(1)!.publicKey), signature!));
    }
  });

  it('openssl accepts the signature', () => {
    const [signature] = run(prepare([1, 3], [one])).outputs.get(1)!;
    const folder = mkdtempSync(join(tmpdir(), 'frost-'));
    try {
      const path = (name: string): string => join(folder, name);
      writeFileSync(
        path('key.pem'),
        nativeKey(shares23.get(1)!.publicKey).export({ format: 'pem', type: 'spki' }),
      );
      writeFileSync(path('message'), one.message);
      writeFileSync(path('signature'), signature!);
      const args = [
        'pkeyutl',
        '-verify',
        '-rawin',
        '-pubin',
        '-inkey',
        path('key.pem'),
        '-in',
        path('message'),
      ];
      const check = (): string =>
        execFileSync('openssl', [...args, '-sigfile', path('signature')], { stdio: 'pipe' }).toString();
      assert.match(check(), /Verified Successfully/);
      writeFileSync(path('message'), text('pay 9'));
      assert.throws(check);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('signs the empty message', () => {
    const item = { shares: shares23, message: new Uint8Array() };
    const { outputs } = run(prepare([1, 2], [item]));
    assert.ok(verify(null, item.message, nativeKey(shares23.get(1)!.publicKey), outputs.get(2)![0]!));
  });

  it('holds nobody up: the machine says whom it waits for', () => {
    const options = prepare([1, 3, 5], [{ shares: shares35, message: text('x') }]);
    const machines = new Map([...options].map(([self, each]) => [self, new FrostSigning(each)]));
    const sent = new Map([...machines].map(([self, machine]) => [self, machine.start().messages[0]!.bytes]));
    const first = machines.get(1)!;
    assert.deepEqual(first.awaited(), [3, 5]);
    first.receive(5, sent.get(5)!);
    assert.deepEqual(first.awaited(), [3]);
    assert.equal(first.receive(3, sent.get(3)!).output?.length, 1);
    assert.throws(() => first.receive(3, sent.get(3)!), throwsAbort('finished'));
  });
});

for (const scheme of schemes)
  describe(`FROST: messages, ${scheme.name}`, () => {
    const { group, shares23, otherShares23, shares35 } = scheme;
    const item = itemOf(scheme, shares35, 'three');
    const assertAccepted = (signature: Uint8Array | undefined): void =>
      assert.ok(scheme.accepts(shares35, item.message, signature!));

    const set = [1, 2, 3];
    const spoilt = (
      change: (bytes: Uint8Array) => Uint8Array,
      from = 2,
    ): NetworkResult<readonly Uint8Array[]> =>
      run(prepare(set, [item]), {
        alter: (envelope) => [
          envelope.from === from ? { ...envelope, bytes: change(envelope.bytes) } : envelope,
        ],
      });
    const assertNamed = (
      result: NetworkResult<readonly Uint8Array[]>,
      code: AbortCode,
      culprit?: PartyIndex,
    ): void => {
      for (const self of [1, 3]) {
        assert.ok(!result.outputs.has(self));
        assert.equal(result.aborts.get(self)?.code, code, result.aborts.get(self)?.message);
        assert.equal(result.aborts.get(self)?.culprit, culprit);
      }
    };
    const withShare = (bytes: Uint8Array, share: Uint8Array): Uint8Array =>
      concatBytes(bytes.subarray(0, 33), share);
    const plusOne = (bytes: Uint8Array): Uint8Array => {
      const share = group.decodeScalar(bytes.subarray(33));
      return withShare(bytes, group.encodeScalar(group.mod(share + 1n)));
    };

    it('a malformed share of 0xff names the culprit, and the next attempt without it succeeds', () => {
      assertNamed(
        spoilt((bytes) => withShare(bytes, new Uint8Array(32).fill(0xff))),
        'malformed_share',
        2,
      );
      const { outputs } = run(prepare([1, 3, 4], [item], 'next'));
      assertAccepted(outputs.get(1)![0]!);
    });

    it('a share encoded above the order', () => {
      const result = spoilt((bytes) => {
        const value = aboveOrder(group, group.decodeScalar(bytes.subarray(33)));
        return withShare(bytes, encodeAny(group, value));
      });
      assertNamed(result, 'malformed_share', 2);
    });

    it('a wrong share, a zero share', () => {
      assertNamed(spoilt(plusOne), 'invalid_share', 2);
      assertNamed(
        spoilt((bytes) => withShare(bytes, new Uint8Array(32))),
        'invalid_share',
        2,
      );
    });

    it('two wrong shares whose errors cancel out change nothing', () => {
      // The sum is right, so the signature is: shares are not worth more than what they add up to.
      const result = run(prepare(set, [item]), {
        alter: (envelope) => {
          const share = group.decodeScalar(envelope.bytes.subarray(33));
          const delta = envelope.from === 2 ? 1n : envelope.from === 3 ? -1n : 0n;
          if (envelope.to !== 1) return [envelope];
          return [
            { ...envelope, bytes: withShare(envelope.bytes, group.encodeScalar(group.mod(share + delta))) },
          ];
        },
      });
      assertAccepted(result.outputs.get(1)![0]!);
    });

    it('two wrong shares: one of them is named, never the honest party', () => {
      const result = run(prepare(set, [item]), {
        alter: (envelope) => [
          envelope.from === 1 ? envelope : { ...envelope, bytes: plusOne(envelope.bytes) },
        ],
      });
      assert.equal(result.aborts.get(1)?.code, 'invalid_share');
      assert.equal(result.aborts.get(1)?.culprit, 2);
      assert.match(result.aborts.get(1)!.message, /2, 3/);
    });

    it('the bad item among many is found', () => {
      const items = [1, 2, 3].map((at) => itemOf(scheme, shares35, `item ${at}`));
      const result = run(prepare(set, items), {
        alter: (envelope) => {
          const bytes = envelope.bytes.slice();
          if (envelope.from === 2) bytes.set(bytes.slice(33, 65), 65);
          return [{ ...envelope, bytes }];
        },
      });
      assertNamed(result, 'invalid_share', 2);
      assert.match(result.aborts.get(1)!.message, /item 1/);
    });

    it('truncated, extended, empty', () => {
      for (const change of [
        (bytes: Uint8Array) => bytes.subarray(0, -1),
        (bytes: Uint8Array) => concatBytes(bytes, new Uint8Array(32)),
        (bytes: Uint8Array) => bytes.subarray(0, 33),
        () => new Uint8Array(),
      ])
        assertNamed(spoilt(change), 'malformed_message', 2);
    });

    it('of another kind', () => {
      const result = spoilt((bytes) => encodeMessage(MessageKind.dkgCommit, SID, bytes.subarray(33)));
      assertNamed(result, 'unknown_message', 2);
    });

    it('twice: the same, or another', () => {
      const repeat = (change: (bytes: Uint8Array) => Uint8Array): NetworkResult<readonly Uint8Array[]> =>
        run(new Map([...prepare(set, [item])].filter(([self]) => self !== 3)), {
          alter: (envelope) => [envelope, { ...envelope, bytes: change(envelope.bytes) }],
        });
      assert.equal(repeat((bytes) => bytes).aborts.get(1)?.code, 'duplicate_message');
      assert.equal(repeat((bytes) => bytes).aborts.get(1)?.culprit, undefined);
      assert.equal(repeat(plusOne).aborts.get(1)?.code, 'equivocation');
      assert.equal(repeat(plusOne).aborts.get(1)?.culprit, 2);
    });

    it('from a party outside the set', () => {
      const machine = new FrostSigning(prepare(set, [item]).get(1)!);
      const { bytes } = machine.start().messages[0]!;
      assert.throws(() => machine.receive(4, bytes), throwsAbort('not_a_member'));
      assert.throws(() => machine.receive(2, bytes), throwsAbort('finished'));
    });

    it('session replay: dropped as it is, and useless readdressed', () => {
      const recorded = run(prepare(set, [item], 'earlier')).delivered.filter(({ to }) => to === 1);
      const sid = new Uint8Array(32).fill(4);
      const machine = new FrostSigning({ ...prepare(set, [item], 'later').get(1)!, sid });
      machine.start();
      for (const { from, bytes } of recorded) {
        assert.doesNotThrow(() => assert.deepEqual(machine.receive(from, bytes), { messages: [] }));
      }
      assert.deepEqual(machine.awaited(), [2, 3]);
      const readdressed = (bytes: Uint8Array): Uint8Array =>
        encodeMessage(MessageKind.frostShare, sid, bytes.subarray(33));
      const [first, second] = recorded;
      machine.receive(first!.from, readdressed(first!.bytes));
      assert.throws(
        () => machine.receive(second!.from, readdressed(second!.bytes)),
        throwsAbort('invalid_share', 2),
      );
    });

    // The session id fixes message and commitments, so a member that signs others under the same id is at fault.
    it('split view: a member that signs another message is named, and no signature comes out', () => {
      const options = prepare(set, [item]);
      const mine = options.get(2)!;
      options.set(2, { ...mine, items: [{ ...mine.items[0]!, message: scheme.message('other') }] });
      assertNamed(run(options), 'invalid_share', 2);
    });

    it('split view of commitments: shares over another list do not verify', () => {
      const options = prepare(set, [item]);
      const mine = options.get(2)!;
      const elsewhere = prepare(set, [item], 'elsewhere').get(1)!.commitments;
      options.set(2, { ...mine, commitments: new Map(mine.commitments).set(3, elsewhere.get(3)!) });
      assertNamed(run(options), 'invalid_share', 2);
    });

    it("a share that this party's own key no longer matches is not blamed on anybody else", () => {
      const options = prepare(set, [item]);
      const { key } = options.get(1)!.items[0]!;
      key.secret.signingShare.set(group.encodeScalar(5n));
      const { aborts } = run(options);
      assert.deepEqual([aborts.get(1)?.code, aborts.get(1)?.culprit], ['own_share_invalid', undefined]);
      assert.deepEqual([aborts.get(2)?.code, aborts.get(2)?.culprit], ['invalid_share', 1]);
    });

    it('a signature that does not verify never leaves, even when every share does', () => {
      const options = prepare(set, [item]);
      const mine = options.get(1)!;
      const { key, message } = mine.items[0]!;
      const distrustful = { ...key, suite: { ...key.suite, verify: () => false } };
      options.set(1, { ...mine, items: [{ key: distrustful, message }] });
      const { outputs, aborts } = run(options);
      assert.ok(!outputs.has(1));
      assert.deepEqual([aborts.get(1)?.code, aborts.get(1)?.culprit], ['invalid_signature', undefined]);
    });

    it('a share on which the library throws is a bad share', () => {
      const options = prepare(set, [item]);
      const mine = options.get(1)!;
      const { key, message } = mine.items[0]!;
      const frost = {
        ...key.suite.frost,
        aggregate: (): never => assert.fail('aggregation failed'),
        verifyShare: (
          ...[pub, list, signed, identifier, share]: Parameters<typeof key.suite.frost.verifyShare>
        ) => {
          if (identifier === key.identifierOf(2)) throw new Error('malformed');
          return key.suite.frost.verifyShare(pub, list, signed, identifier, share);
        },
      };
      options.set(1, { ...mine, items: [{ key: { ...key, suite: { ...key.suite, frost } }, message }] });
      const { aborts } = run(options);
      assert.deepEqual([aborts.get(1)?.code, aborts.get(1)?.culprit], ['invalid_share', 2]);
    });

    it('does not sign what the caller changes afterwards', () => {
      const agreed = itemOf(scheme, shares23, 'agreed');
      const options = prepare([1, 2], [agreed]);
      const machines = new Map([...options].map(([self, each]) => [self, new FrostSigning(each)]));
      agreed.message.fill(0);
      const { outputs } = runNetwork(machines);
      assert.ok(scheme.accepts(shares23, scheme.message('agreed'), outputs.get(1)![0]!));
    });

    it('signs 50 items under two keys in one round, each with a nonce of its own', () => {
      const items = Array.from({ length: 50 }, (_, at) =>
        itemOf(scheme, at % 2 === 0 ? shares23 : otherShares23, `item ${at % 5}`),
      );
      const options = prepare([2, 3], items);
      const { outputs, delivered } = run(options);
      assert.equal(delivered.length, 2, 'one message each');
      const signatures = outputs.get(2)!;
      assert.equal(signatures.length, 50);
      for (const [at, signature] of signatures.entries())
        assert.ok(scheme.accepts(items[at]!.shares, items[at]!.message, signature));
      assert.equal(new Set(signatures.map((each) => each.subarray(0, 32).join())).size, 50, 'no R repeats');
      const points = [...options.values()][0]!.commitments
        .get(2)!
        .flatMap(({ hiding, binding }) => [hiding, binding]);
      assert.equal(new Set(points.map((each) => each.join())).size, 100);
    });
  });
