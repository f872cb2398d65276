// ECDSA signing as a whole: what leaves the machines is a signature, each by its own nonce, or nothing.
import assert from 'node:assert/strict';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { concatBytes } from '@noble/hashes/utils.js';
import type { Abort, AbortCode } from '../../node/mpc/abort.ts';
import type { EcdsaKeyType } from '../../node/mpc/dkls23/key.ts';
import type { Presignature } from '../../node/mpc/dkls23/presignature.ts';
import { type EcdsaItem, EcdsaSigning, type EcdsaSigningOptions } from '../../node/mpc/dkls23/signing.ts';
import type { PartyIndex } from '../../node/mpc/machine.ts';
import { MessageKind, presignKinds } from '../../node/mpc/rounds.ts';
import { throwsAbort } from '../support/assert-abort.ts';
import { Chance, seedFromEnvironment } from '../support/chance.ts';
import {
  accepted,
  copied,
  dealtSetup,
  dealtSetups,
  digestOf,
  ecdsaShares,
  keyOf,
  presignaturesOf,
  presigningOptions,
  runPresigning,
  runSigning,
  type Shares,
  signingOptions,
  type Wanted,
} from '../support/dkls23-parties.ts';
import { seedOf } from '../support/fixture.ts';
import type { NetworkResult } from '../support/mpc-network.ts';

const { Fn, BASE } = secp256k1.Point;
const shares = ecdsaShares(3, 2);
const bitcoin = ecdsaShares(3, 2, 'bitcoin_secp256k1');

function presign(of: Shares, set: readonly PartyIndex[], seed = 'presigning'): Map<PartyIndex, Presignature> {
  return copied(presignaturesOf(runPresigning(presigningOptions(set, of, { seed }))));
}

/** Every member's output, which is the same. Throws what anybody aborted with. */
function signatures(result: NetworkResult<readonly Uint8Array[]>, members: number): readonly Uint8Array[] {
  for (const abort of result.aborts.values()) throw abort;
  const all = [...result.outputs.values()];
  assert.equal(all.length, members);
  for (const each of all) assert.deepEqual(each, all[0]);
  return all[0]!;
}

const keyTypeOf = (of: Shares): EcdsaKeyType => of.get(1)!.keyType as EcdsaKeyType;
const publicKeyOf = (of: Shares): Uint8Array => of.get(1)!.publicKey;
const scalar = (value: bigint): Uint8Array => Fn.toBytes(value);
const child = (of: Shares, offset: bigint): Uint8Array =>
  secp256k1.Point.fromBytes(publicKeyOf(of)).add(BASE.multiply(offset)).toBytes(true);
const rOf = (signature: Uint8Array): string => Buffer.from(signature.subarray(0, 32)).toString('hex');

function assertAbort(abort: Abort | undefined, code: AbortCode, culprit?: PartyIndex): void {
  assert.equal(abort?.code, code, abort?.message);
  assert.equal(abort?.culprit, culprit);
  assert.equal(abort?.ban, undefined);
}

describe('ECDSA signing', function () {
  this.timeout(120_000);

  for (const of of [shares, bitcoin]) {
    describe(keyTypeOf(of), () => {
      for (const set of [
        [1, 2],
        [3, 1],
        [2, 3],
      ])
        it(`by ${set.join(' and ')}, with a presignature and without`, () => {
          const digest = digestOf('pay');
          const presignatures = presign(of, set);
          for (const wanted of [
            { shares: of, digest, presignatures },
            { shares: of, digest },
          ]) {
            const [signature] = signatures(runSigning(signingOptions(set, [wanted])), 2);
            assert.ok(accepted(keyTypeOf(of), publicKeyOf(of), 'pay', signature!));
          }
        });

      it('derived keys, by presignatures of the root and beside it', () => {
        const presigned = [0, 1].map((at) => presign(of, [1, 3], `derived ${at}`));
        const [first, second] = [Fn.fromBytes(seedOf('eps')), 1n];
        const items: Wanted[] = [
          { shares: of, digest: digestOf('root'), presignatures: presigned[0]! },
          { shares: of, digest: digestOf('child'), offset: scalar(first), presignatures: presigned[1]! },
        ];
        const [root, derived] = signatures(runSigning(signingOptions([1, 3], items)), 2);
        assert.ok(accepted(keyTypeOf(of), publicKeyOf(of), 'root', root!));
        assert.ok(accepted(keyTypeOf(of), child(of, first), 'child', derived!));
        assert.ok(!accepted(keyTypeOf(of), publicKeyOf(of), 'child', derived!));
        const fresh = { shares: of, digest: digestOf('child'), offset: scalar(second) };
        const [unprepared] = signatures(runSigning(signingOptions([1, 3], [fresh])), 2);
        assert.ok(accepted(keyTypeOf(of), child(of, second), 'child', unprepared!));
      });
    });
  }

  for (const [t, n] of [
    [3, 5],
    [5, 9],
  ] as const)
    it(`by a random set of ${t}/${n}`, () => {
      const seed = seedFromEnvironment();
      const chance = new Chance(seed);
      const of = ecdsaShares(n, t);
      const left = Array.from({ length: n }, (_, at) => at + 1);
      const set = Array.from({ length: t }, () => left.splice(chance.below(left.length), 1)[0]!);
      const wanted = { shares: of, digest: digestOf('pay'), presignatures: presign(of, set) };
      const [signature] = signatures(runSigning(signingOptions(set, [wanted])), t);
      assert.ok(accepted('ecdsa_secp256k1', publicKeyOf(of), 'pay', signature!), `RANDOM_SEED=${seed}`);
    });

  it('50 items of several keys in chunks, each with its own nonce, all of low s', () => {
    const kinds = [shares, bitcoin, ecdsaShares(3, 2, 'ecdsa_secp256k1', 'another')];
    const items = Array.from({ length: 50 }, (_, at) => {
      const of = kinds[at % 3]!;
      return {
        shares: of,
        digest: digestOf(`item ${at % 25}`),
        ...(at % 4 === 3 && { offset: scalar(BigInt(at)) }),
      };
    });
    const made = signatures(runSigning(signingOptions([1, 2], items)), 2);
    const nonces = new Set<bigint>();
    const parities = new Set<number>();
    for (const [at, signature] of made.entries()) {
      const of = kinds[at % 3]!;
      const key = at % 4 === 3 ? child(of, BigInt(at)) : publicKeyOf(of);
      assert.ok(accepted(keyTypeOf(of), key, `item ${at % 25}`, signature), `item ${at}`);
      const isDer = keyTypeOf(of) === 'bitcoin_secp256k1';
      const bytes = isDer ? signature : signature.subarray(0, 64);
      nonces.add(secp256k1.Signature.fromBytes(bytes, isDer ? 'der' : 'compact').r);
      if (!isDer) parities.add(signature[64]!);
    }
    assert.equal(nonces.size, 50);
    assert.deepEqual(parities, new Set([0, 1]));
  });

  it('the same digest twice: two nonces', () => {
    const wanted = { shares, digest: digestOf('the same') };
    const [first, second] = signatures(runSigning(signingOptions([1, 2], [wanted, wanted])), 2);
    assert.notEqual(rOf(first!), rOf(second!));
  });

  it('a presignature that a rollback brought back: another nonce in another session, or for another digest', () => {
    // Nothing may bring one back. If it happened, delta R is what would keep the key.
    const kept = presign(shares, [1, 2]);
    const sign = (words: string, seed: string, offset?: Uint8Array): string => {
      const wanted = {
        shares,
        digest: digestOf(words),
        presignatures: copied(kept),
        ...(offset && { offset }),
      };
      return rOf(signatures(runSigning(signingOptions([1, 2], [wanted], seed)), 2)[0]!);
    };
    const nonces = [
      sign('one', 'first'),
      sign('one', 'second'),
      sign('two', 'first'),
      sign('one', 'first', scalar(1n)),
    ];
    assert.equal(new Set(nonces).size, 4);
    const [plain] = kept.values();
    assert.ok(
      !nonces.includes(Buffer.from(plain!.nonce.subarray(1)).toString('hex')),
      'R itself signs nothing',
    );
  });

  describe('presignatures', () => {
    const items = (presignatures: Map<PartyIndex, Presignature>, of = shares): Wanted[] => [
      { shares: of, digest: digestOf('pay'), presignatures },
    ];
    const refused = (options: EcdsaSigningOptions): void => {
      assert.throws(() => new EcdsaSigning(options), throwsAbort('presignature_unavailable'));
      for (const { presignature } of options.items)
        assert.ok(!presignature || presignature.secrets.every((byte) => byte === 0));
    };

    it('are gone once a machine has them: a second machine finds none, whichever acts first', () => {
      const made = presign(shares, [1, 2]);
      const first = new EcdsaSigning(signingOptions([1, 2], items(made)).get(1)!);
      assert.ok(made.get(1)!.secrets.every((byte) => byte === 0));
      refused(signingOptions([1, 2], items(made), 'another session').get(1)!);
      first.start();
      refused(signingOptions([1, 2], items(made), 'another session').get(1)!);
    });

    it('one for two items: neither is signed', () => {
      const made = presign(shares, [1, 2]);
      refused(signingOptions([1, 2], [...items(made), ...items(made)]).get(1)!);
    });

    it('one for the first of two items only', () => {
      const options = signingOptions(
        [1, 2],
        [...items(presign(shares, [1, 2])), { shares, digest: digestOf('x') }],
      );
      refused(options.get(1)!);
    });

    it('of another set, of another key, of another length', () => {
      const made = presign(shares, [1, 2]);
      refused(signingOptions([1, 3], items(new Map([[1, copied(made).get(1)!]]))).get(1)!);
      const other = ecdsaShares(3, 2, 'ecdsa_secp256k1', 'another');
      refused(signingOptions([1, 2], items(copied(made), other)).get(1)!);
      const short = { ...made.get(1)!, secrets: made.get(1)!.secrets.slice(1) };
      refused(signingOptions([1, 2], items(new Map([[1, short]]))).get(1)!);
    });

    it('are overwritten when the machine is destroyed, or refuses its options', () => {
      const options = signingOptions([1, 2], items(presign(shares, [1, 2]))).get(1)!;
      const { secrets } = options.items[0]!.presignature!;
      let copy = new Uint8Array(0);
      const slice = (): Uint8Array => (copy = Uint8Array.from(secrets));
      Object.defineProperty(secrets, 'slice', { value: slice });
      const machine = new EcdsaSigning(options);
      assert.ok(copy.some((byte) => byte !== 0));
      machine.destroy();
      assert.ok(copy.every((byte) => byte === 0));
      assert.throws(() => machine.start(), throwsAbort('finished'));
      const spoilt = signingOptions([1, 2], items(presign(shares, [1, 2]))).get(1)!;
      assert.throws(() => new EcdsaSigning({ ...spoilt, set: [1] }), throwsAbort('set_size'));
      assert.ok(spoilt.items[0]!.presignature!.secrets.every((byte) => byte === 0));
    });
  });

  describe('refuses to start with', () => {
    type Spoil = (options: EcdsaSigningOptions) => Partial<EcdsaSigningOptions>;
    const item =
      (change: Partial<EcdsaItem>): Spoil =>
      (options) => ({
        items: [{ ...options.items[0]!, ...change }],
      });
    const order = new Uint8Array(32).fill(0xff);
    const cases: [string, AbortCode, Spoil][] = [
      ['a short session id', 'invalid_session', () => ({ sid: new Uint8Array(31) })],
      ['no item', 'item_count', () => ({ items: [] })],
      ['51 items', 'item_count', ({ items }) => ({ items: Array.from({ length: 51 }, () => items[0]!) })],
      [
        'a set above the threshold',
        'set_size',
        () => ({ set: [1, 2, 3], setups: dealtSetups(1, [1, 2, 3]) }),
      ],
      ['a set below the threshold', 'set_size', () => ({ set: [1] })],
      ['a member twice', 'duplicate_member', () => ({ set: [1, 2, 2] })],
      ['a set of others', 'self_not_in_set', () => ({ set: [2, 3] })],
      ['a stranger', 'stranger_in_set', () => ({ set: [1, 77], setups: dealtSetups(1, [1, 77]) })],
      ["another party's key", 'key_mismatch', item({ key: keyOf(shares, 2) })],
      ['no setup', 'missing_setup', () => ({ setups: new Map() })],
      [
        "a stranger's setup",
        'stranger_in_set',
        ({ setups }) => ({ setups: new Map([...setups, [3, dealtSetup(1, 3)]]) }),
      ],
      ['a digest of 31 bytes', 'malformed_digest', item({ digest: new Uint8Array(31) })],
      ['the digest 0', 'degenerate_signature', item({ digest: new Uint8Array(32) })],
      [
        'the order as digest',
        'degenerate_signature',
        item({ digest: Uint8Array.from(Buffer.from(Fn.ORDER.toString(16), 'hex')) }),
      ],
      ['an offset above the order', 'malformed_scalar', item({ offset: order })],
      ['an offset of 31 bytes', 'malformed_scalar', item({ offset: new Uint8Array(31) })],
    ];
    for (const [what, code, spoil] of cases)
      it(what, () => {
        const good = signingOptions([1, 2], [{ shares, digest: digestOf('pay') }]).get(1)!;
        const options = { ...good, ...spoil(good) };
        assert.throws(() => new EcdsaSigning(options), throwsAbort(code));
        for (const { secrets } of options.setups.values()) assert.ok(secrets.every((byte) => byte === 0));
      });

    it('an offset that cancels the key', () => {
      const good = signingOptions([1, 2], [{ shares, digest: digestOf('pay') }]).get(1)!;
      // The key of G, whose negative anybody knows.
      const key = { ...good.items[0]!.key, publicKey: BASE.toBytes(true) };
      const items = [{ ...good.items[0]!, key, offset: scalar(Fn.neg(1n)) }];
      assert.throws(() => new EcdsaSigning({ ...good, items }), throwsAbort('degenerate_key'));
    });
  });

  describe('shares', () => {
    const set = [1, 2];
    /** Both machines, started, and what party 2 sends. Party 1 judges. */
    function begun(count = 1): { first: EcdsaSigning; own: Uint8Array; theirs: Uint8Array } {
      const wanted = Array.from({ length: count }, (_, at) => ({
        shares,
        digest: digestOf('pay'),
        presignatures: presign(shares, set, `shares ${at}`),
      }));
      const [first, second] = [...signingOptions(set, wanted).values()].map((each) => new EcdsaSigning(each));
      const own = first!.start().messages[0]!.bytes;
      return { first: first!, own, theirs: second!.start().messages[0]!.bytes };
    }
    const body = 33;
    const withPart = (bytes: Uint8Array, at: number, part: Uint8Array): Uint8Array =>
      concatBytes(bytes.subarray(0, body + at), part, bytes.subarray(body + at + part.length));
    const part = (bytes: Uint8Array, at: number): Uint8Array => bytes.slice(body + at, body + at + 32);
    const plus = (bytes: Uint8Array, at: number, value: bigint): Uint8Array =>
      withPart(bytes, at, scalar(Fn.add(Fn.fromBytes(part(bytes, at)), value)));

    it('are one message to all, of 64 bytes an item', () => {
      const { own, first, theirs } = begun(2);
      assert.equal(own.length, body + 2 * 64);
      assert.equal(first.receive(2, theirs).output!.length, 2);
    });

    for (const [what, at] of [
      ['w', 0],
      ["u'", 32],
      ['w of the second item', 64],
      ["u' of the second item", 96],
    ] as const) {
      it(`${what} false: invalid_signature, nobody named, nothing given out`, () => {
        const { first, theirs } = begun(2);
        assert.throws(() => first.receive(2, plus(theirs, at, 1n)), throwsAbort('invalid_signature'));
        assert.throws(() => first.receive(2, theirs), throwsAbort('finished'));
      });

      it(`${what} not below the order: malformed_share, named`, () => {
        const { first, theirs } = begun(2);
        const bytes = withPart(theirs, at, new Uint8Array(32).fill(0xff));
        assert.throws(() => first.receive(2, bytes), throwsAbort('malformed_share', 2));
      });
    }

    for (const [what, at] of [
      ['w', 0],
      ["u'", 32],
    ] as const)
      it(`${what} that cancels the other's: degenerate_signature, nobody named`, () => {
        const { first, own, theirs } = begun();
        const cancelling = withPart(theirs, at, scalar(Fn.neg(Fn.fromBytes(part(own, at)))));
        assert.throws(() => first.receive(2, cancelling), throwsAbort('degenerate_signature'));
      });

    it('of another length: malformed_message, named', () => {
      for (const alter of [
        (bytes: Uint8Array) => bytes.slice(0, -1),
        (bytes: Uint8Array) => Uint8Array.of(...bytes, 0),
        (bytes: Uint8Array) => bytes.slice(0, body),
      ]) {
        const { first, theirs } = begun();
        assert.throws(() => first.receive(2, alter(theirs)), throwsAbort('malformed_message', 2));
      }
    });

    it('of another session are dropped', () => {
      const { first } = begun();
      const wanted = { shares, digest: digestOf('pay'), presignatures: presign(shares, set) };
      const other = new EcdsaSigning(signingOptions(set, [wanted], 'session B').get(2)!);
      const { bytes } = other.start().messages[0]!;
      assert.deepEqual(first.receive(2, bytes), { messages: [] });
      assert.deepEqual(first.awaited(), [2]);
    });

    it('twice, two different, from a stranger, of another kind', () => {
      const of = ecdsaShares(5, 3);
      const presignatures = presign(of, [1, 2, 3]);
      const machines = (): EcdsaSigning[] =>
        [
          ...signingOptions(
            [1, 2, 3],
            [{ shares: of, digest: digestOf('pay'), presignatures: copied(presignatures) }],
          ).values(),
        ].map((each) => new EcdsaSigning(each));
      const bytes = machines()[1]!.start().messages[0]!.bytes;
      const first = (): EcdsaSigning => {
        const [machine] = machines();
        machine!.start();
        return machine!;
      };
      const twice = first();
      twice.receive(2, bytes);
      assert.throws(() => twice.receive(2, bytes), throwsAbort('duplicate_message'));
      const different = first();
      different.receive(2, bytes);
      assert.throws(() => different.receive(2, plus(bytes, 0, 1n)), throwsAbort('equivocation', 2));
      assert.throws(() => first().receive(4, bytes), throwsAbort('not_a_member'));
      const frost = Uint8Array.of(MessageKind.frostShare, ...bytes.subarray(1));
      assert.throws(() => first().receive(2, frost), throwsAbort('unknown_message', 2));
      const presigning = Uint8Array.of(presignKinds(0).commit, ...bytes.subarray(1));
      assert.throws(() => first().receive(2, presigning), throwsAbort('unknown_message', 2));
    });

    it('from members that sign another digest: invalid_signature, nothing given out', () => {
      const presignatures = presign(shares, set);
      const [first] = signingOptions(set, [{ shares, digest: digestOf('one'), presignatures }]).values();
      const wanted = { shares, digest: digestOf('two'), presignatures };
      const second = signingOptions(set, [wanted]).get(2)!;
      const { aborts, outputs } = runSigning(
        new Map([
          [1, first!],
          [2, second],
        ]),
      );
      assert.equal(outputs.size, 0);
      for (const self of set) assertAbort(aborts.get(self), 'invalid_signature');
    });
  });

  it('pauses between items', () => {
    const options = signingOptions(
      [1, 2],
      Array.from({ length: 3 }, (_, at) => ({
        shares,
        digest: digestOf('pay'),
        presignatures: presign(shares, [1, 2], `pauses ${at}`),
      })),
    );
    const [first, second] = [...options.values()].map((each) => new EcdsaSigning(each));
    const pausesOf = (slices: Generator<undefined, unknown, undefined>): number => {
      let pauses = 0;
      while (!slices.next().done) pauses++;
      return pauses;
    };
    const { bytes } = second!.start().messages[0]!;
    assert.equal(pausesOf(first!.startInSlices()), 2);
    assert.equal(pausesOf(first!.receiveInSlices(2, bytes)), 2);
  });
});
