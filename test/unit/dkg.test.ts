import assert from 'node:assert/strict';
import { ed25519 } from '@noble/curves/ed25519.js';
import { concatBytes } from '@noble/hashes/utils.js';
import type { AbortCode } from '../../node/mpc/abort.ts';
import type { KeyGenerationOptions } from '../../node/mpc/dkg/generate.ts';
import { KeyGeneration } from '../../node/mpc/dkg/generate.ts';
import type { KeyShare } from '../../node/mpc/dkg/key-share.ts';
import { ed25519Group as group } from '../../node/mpc/group.ts';
import { taggedHash, utf8 } from '../../node/mpc/hash.ts';
import type { Machine, PartyIndex } from '../../node/mpc/machine.ts';
import { encodeMessage, MessageKind, sessionIdOf } from '../../node/mpc/rounds.ts';
import { runNetwork, seededRandom } from '../support/mpc-network.ts';

import { throwsAbort } from '../support/assert-abort.ts';
import { flip, honest, options, SID } from '../support/key-generation-runs.ts';

function subsets(values: readonly number[], size: number): number[][] {
  if (size === 0) return [[]];
  return values.flatMap((value, at) =>
    subsets(values.slice(at + 1), size - 1).map((rest) => [value, ...rest]),
  );
}

/** Lagrange interpolation at zero, naive. */
function interpolate(shares: readonly KeyShare[]): bigint {
  let sum = 0n;
  for (const a of shares) {
    let lambda = 1n;
    for (const b of shares) {
      if (a === b) continue;
      const inverse = ed25519.Point.Fn.inv(group.mod(BigInt(b.index - a.index)));
      lambda = group.mod(lambda * BigInt(b.index) * inverse);
    }
    sum = group.mod(sum + lambda * group.decodeScalar(a.signingShare));
  }
  return sum;
}

describe('key generation: honest parties', () => {
  for (const [threshold, n] of [
    [2, 2],
    [2, 3],
    [3, 5],
  ] as const) {
    it(`gives ${threshold} of ${n} one key, whatever the order of delivery`, () => {
      for (const seed of ['a', 'b', 'c']) {
        const { outputs, aborts } = runNetwork(honest(n, threshold, seed), { seed });
        assert.equal(aborts.size, 0);
        assert.equal(outputs.size, n);
        const first = outputs.get(1)!;
        assert.deepEqual(first.publicKey, first.commitments[0]);
        assert.equal(first.commitments.length, threshold);
        assert.equal(first.chainCode.length, 32);
        for (const [index, share] of outputs) {
          const { signingShare, index: own, ...shared } = share;
          assert.equal(own, index);
          assert.deepEqual(shared, { ...shared, ...publicPart(first) });
          const point = group.multiplyBase(group.decodeScalar(signingShare));
          assert.deepEqual(group.encodePoint(point), first.verifyingShares.get(index));
        }
      }
    });

    it(`lets any ${threshold} shares of ${n} reconstruct the key, and no ${threshold - 1}`, () => {
      const shares = [...runNetwork(honest(n, threshold)).outputs.values()];
      const pick = (indices: number[]): KeyShare[] => indices.map((at) => shares[at]!);
      const positions = shares.map((_, at) => at);
      const publicKeyOf = (set: number[]): Uint8Array =>
        group.encodePoint(group.multiplyBase(interpolate(pick(set))));
      for (const set of subsets(positions, threshold))
        assert.deepEqual(publicKeyOf(set), shares[0]!.publicKey);
      for (const set of subsets(positions, threshold - 1))
        assert.notDeepEqual(publicKeyOf(set), shares[0]!.publicKey);
    });
  }

  it('gives another key, chain code and transcript hash for other randomness or another session', () => {
    const one = runNetwork(honest(2, 2, 'x')).outputs.get(1)!;
    const two = runNetwork(honest(2, 2, 'y')).outputs.get(1)!;
    const sid = new Uint8Array(32).fill(8);
    const machines = [1, 2].map((self) => new KeyGeneration({ ...options(self, 2, 2, 'x'), sid }));
    const three = runNetwork(new Map(machines.map((machine, at) => [at + 1, machine]))).outputs.get(1)!;
    assert.notDeepEqual(one.publicKey, two.publicKey);
    assert.notDeepEqual(one.chainCode, two.chainCode);
    assert.deepEqual(one.publicKey, three.publicKey);
    assert.notDeepEqual(one.transcriptHash, three.transcriptHash);
  });

  it('serves indices that are not consecutive', () => {
    const parties = [2, 700, 65535];
    const machines = parties.map((self) => new KeyGeneration({ ...options(self, 3, 2), self, parties }));
    const { outputs } = runNetwork(new Map(machines.map((machine, at) => [parties[at]!, machine])));
    const shares = [...outputs.values()];
    assert.equal(shares.length, 3);
    for (const pair of subsets([0, 1, 2], 2))
      assert.deepEqual(
        group.encodePoint(group.multiplyBase(interpolate(pair.map((at) => shares[at]!)))),
        shares[0]!.publicKey,
      );
  });

  it('holds early messages of the next round, and says whom it waits for', () => {
    const machines = honest(3, 2);
    const [one, two, three] = [1, 2, 3].map((index) => machines.get(index)!);
    const commits = [one, two, three].map((machine) => machine!.start().messages[0]!.bytes);
    const fromTwo = [1, 3].flatMap((from) => two!.receive(from, commits[from - 1]!).messages);
    const fromThree = [1, 2].flatMap((from) => three!.receive(from, commits[from - 1]!).messages);
    const toOne = (messages: typeof fromTwo): Uint8Array => messages.find(({ to }) => to === 1)!.bytes;

    assert.deepEqual(one!.awaited(), [2, 3]);
    assert.deepEqual(one!.receive(2, commits[1]!).messages, []);
    assert.deepEqual(one!.receive(2, toOne(fromTwo)).messages, []);
    assert.deepEqual(one!.awaited(), [3]);
    assert.deepEqual(one!.receive(3, toOne(fromThree)).messages, []);
    const step = one!.receive(3, commits[2]!);
    assert.deepEqual(
      step.messages.map(({ to }) => to),
      [2, 3],
    );
    assert.equal(step.output?.index, 1);
    assert.deepEqual(one!.awaited(), []);
    assert.throws(() => one!.receive(3, commits[2]!), throwsAbort('finished'));
  });

  it('makes a fresh polynomial for every machine', () => {
    const random = seededRandom('shared source');
    const digests = [0, 1].map(
      () => new KeyGeneration({ ...options(1, 2, 2), random }).start().messages[0]!.bytes,
    );
    assert.notDeepEqual(digests[0], digests[1]);
  });
});

describe('key generation: parameters', () => {
  const cases: [string, Partial<KeyGenerationOptions>, AbortCode][] = [
    ['index 0', { parties: [0, 1, 2] }, 'invalid_index'],
    ['a negative index', { parties: [-1, 1, 2] }, 'invalid_index'],
    ['the group order as index', { parties: [1, 2, Number(group.order)] }, 'invalid_index'],
    ['one more than the order', { parties: [1, 2, Number(group.order + 1n)] }, 'invalid_index'],
    ['index 65536', { parties: [1, 2, 65536] }, 'invalid_index'],
    ['a fractional index', { parties: [1, 1.5, 2] }, 'invalid_index'],
    ['NaN', { parties: [1, 2, Number.NaN] }, 'invalid_index'],
    ['a repeated index', { parties: [1, 2, 2] }, 'duplicate_index'],
    ['unsorted indices', { parties: [1, 3, 2] }, 'unsorted_indices'],
    ['threshold 1', { threshold: 1 }, 'invalid_threshold'],
    ['threshold above n', { threshold: 4 }, 'invalid_threshold'],
    ['a fractional threshold', { threshold: 2.5 }, 'invalid_threshold'],
    ['a stranger as self', { self: 9 }, 'not_a_member'],
    ['a short session id', { sid: new Uint8Array(31) }, 'invalid_session'],
    ['a negative run', { epoch: { roster: 0, run: -1 } }, 'invalid_epoch'],
    ['a roster number beyond 32 bits', { epoch: { roster: 2 ** 32, run: 0 } }, 'invalid_epoch'],
  ];
  for (const [name, change, code] of cases)
    it(`refuses ${name}`, () => {
      assert.throws(() => new KeyGeneration({ ...options(1, 3, 2), ...change }), throwsAbort(code));
    });

  it('refuses a source of randomness that returns too little', () => {
    const machine = new KeyGeneration({ ...options(1, 3, 2), random: () => new Uint8Array(8) });
    assert.throws(() => machine.start(), throwsAbort('internal'));
  });

  it('turns whatever else fails into an abort, and is over', () => {
    const cause = new RangeError('the source is gone');
    const machine = new KeyGeneration({
      ...options(1, 3, 2),
      random: () => {
        throw cause;
      },
    });
    assert.throws(
      () => machine.start(),
      (error: unknown) => throwsAbort('internal')(error) && (error as Error).cause === cause,
    );
    assert.throws(() => machine.start(), throwsAbort('finished'));
  });
});

describe('key generation: messages', () => {
  let machine: Machine<KeyShare>;
  let commit: Uint8Array;

  beforeEach(() => {
    machine = new KeyGeneration(options(1, 3, 2));
    machine.start();
    commit = new KeyGeneration(options(2, 3, 2)).start().messages[0]!.bytes;
  });

  const rejects = (name: string, code: AbortCode, culprit: PartyIndex | undefined, act: () => void): void => {
    it(`${name}: ${code}`, () => {
      assert.throws(act, throwsAbort(code, culprit));
      assert.throws(() => machine.receive(2, commit), throwsAbort('finished'));
      assert.throws(() => machine.start(), throwsAbort('finished'));
      assert.deepEqual(machine.awaited(), []);
    });
  };
  rejects('a message from outside', 'not_a_member', undefined, () => machine.receive(4, commit));
  rejects('a message from oneself', 'not_a_member', undefined, () => machine.receive(1, commit));
  rejects('an empty message', 'malformed_message', 2, () => machine.receive(2, new Uint8Array()));
  rejects('a truncated message', 'malformed_message', 2, () => machine.receive(2, commit.subarray(0, 64)));
  rejects('a longer message', 'malformed_message', 2, () =>
    machine.receive(2, concatBytes(commit, new Uint8Array(1))),
  );
  rejects("another protocol's message", 'unknown_message', 2, () =>
    machine.receive(2, encodeMessage(MessageKind.frostShare, SID, commit.subarray(33))),
  );
  rejects('the same message twice', 'duplicate_message', undefined, () => {
    machine.receive(2, commit);
    machine.receive(2, commit);
  });
  rejects('two different commitments', 'equivocation', 2, () => {
    machine.receive(2, commit);
    machine.receive(2, flip(commit, 40));
  });
  rejects('two different early reveals', 'equivocation', 2, () => {
    const early = earlyReveal();
    machine.receive(2, early);
    machine.receive(2, flip(early, 60));
  });
  rejects('an early reveal that is too long', 'malformed_message', 2, () =>
    machine.receive(2, concatBytes(earlyReveal(), new Uint8Array(1))),
  );
  rejects('a second start', 'already_started', undefined, () => machine.start());

  it('needs a start first', () => {
    assert.throws(() => new KeyGeneration(options(1, 3, 2)).receive(2, commit), throwsAbort('not_started'));
  });

  it('drops a message of another session before any check, and goes on', () => {
    const foreign = encodeMessage(MessageKind.dkgCommit, new Uint8Array(32).fill(9), new Uint8Array(5));
    for (const from of [2, 44]) {
      assert.doesNotThrow(() => assert.deepEqual(machine.receive(from, foreign), { messages: [] }));
    }
    assert.deepEqual(machine.awaited(), [2, 3]);
    assert.deepEqual(sessionIdOf(foreign), new Uint8Array(32).fill(9));
    assert.equal(sessionIdOf(new Uint8Array(32)), undefined);
    machine.receive(2, commit);
    assert.deepEqual(machine.awaited(), [3]);
  });

  it('does not depend on the buffer a message came in', () => {
    const machines = honest(2, 2);
    const result = runNetwork(machines, { alter: (envelope) => [envelope] });
    const again = honest(2, 2);
    const [one, two] = [again.get(1)!, again.get(2)!];
    const [a, b] = [one.start().messages[0]!.bytes, two.start().messages[0]!.bytes];
    const reveal = two.receive(1, a).messages[0]!.bytes.slice();
    const buffer = b.slice();
    one.receive(2, buffer);
    buffer.fill(0);
    assert.deepEqual(one.receive(2, reveal).output?.transcriptHash, result.outputs.get(1)?.transcriptHash);
  });

  it('ends with destroy', () => {
    machine.destroy();
    machine.destroy();
    assert.throws(() => machine.receive(2, commit), throwsAbort('finished'));
  });

  function earlyReveal(): Uint8Array {
    const { delivered } = runNetwork(honest(3, 2));
    return delivered.find(
      ({ from, to, bytes }) => from === 2 && to === 1 && bytes[0] === MessageKind.dkgReveal,
    )!.bytes;
  }
});

describe('hashing', () => {
  it('keeps parts apart: H("a", "bc") is not H("ab", "c")', () => {
    const hash = (...parts: string[]): Uint8Array => taggedHash('countersign/v1/test', ...parts.map(utf8));
    const all = [hash('a', 'bc'), hash('ab', 'c'), hash('abc'), hash('abc', ''), hash('', 'abc')];
    assert.equal(new Set(all.map((bytes) => bytes.join())).size, all.length);
    assert.notDeepEqual(taggedHash('countersign/v1/a', utf8('b')), taggedHash('countersign/v1/ab', utf8('')));
  });
});

function publicPart(share: KeyShare): Omit<KeyShare, 'signingShare' | 'index'> {
  const { signingShare: _, index: __, ...shared } = share;
  return shared;
}
