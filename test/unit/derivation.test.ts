// Derivation: paths, both curves against independent arithmetic, and what leads to no key.
import assert from 'node:assert/strict';
import { ed25519 } from '@noble/curves/ed25519.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { bytesToNumberBE, bytesToNumberLE } from '@noble/curves/utils.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { HDKey } from '@scure/bip32';
import fc from 'fast-check';
import { evaluateCommitments } from '../../node/mpc/dkg/polynomial.ts';
import { derivedShare } from '../../node/mpc/derived-share.ts';
import { groupOf } from '../../node/mpc/group.ts';
import { toHex } from '../../protocol/hex.ts';
import {
  DerivationError,
  type DerivationErrorCode,
  derivationPathSchema,
  derive,
  derivedResult,
  indicesOf,
  maxPathDepth,
  offsetPoint,
} from '../../protocol/keys/derivation.ts';
import { type KeyType, keyTypes, keyTypeSchema } from '../../protocol/keys/key-type.ts';
import type { KeyResult } from '../../protocol/records/party-result.ts';
import { seedOf } from '../support/fixture.ts';

const types = keyTypeSchema.options;
const chainCode = seedOf('chain code');
const order = (type: KeyType): bigint => groupOf(type).order;

function fails(code: DerivationErrorCode, call: () => unknown, words = /./): void {
  assert.throws(call, (error: unknown) => {
    assert.ok(error instanceof DerivationError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, words);
    return true;
  });
}

const indexOf = fc.oneof(fc.integer({ min: 0, max: 2 ** 31 - 1 }), fc.constantFrom(0, 2 ** 31 - 1));
const paths = fc.array(indexOf, { minLength: 1, maxLength: maxPathDepth });

describe('derivation paths', () => {
  it('are read back as they were written', () => {
    fc.assert(
      fc.property(paths, (indices) => {
        const path = `m/${indices.join('/')}`;
        assert.deepEqual(indicesOf(path), indices);
        assert.equal(derivationPathSchema.parse(path), path);
      }),
    );
  });

  const bad: [string, RegExp][] = [
    ['', /begins with m/],
    ['m', /at least one index/],
    ['m/', /whole number/],
    ['/0', /begins with m/],
    ['0/7', /begins with m/],
    ['M/0', /begins with m/],
    ['m/0/', /whole number/],
    ['m//0', /whole number/],
    ['m/00', /leading zeros/],
    ['m/07', /leading zeros/],
    ['m/+1', /whole number/],
    ['m/-1', /whole number/],
    ['m/1.0', /whole number/],
    ['m/1e3', /whole number/],
    ['m/0x1', /whole number/],
    ['m/ 1', /whole number/],
    ['m/1 ', /whole number/],
    ['m/1\n', /whole number/],
    ['m/١', /whole number/],
    ["m/0'", /hardened/],
    ['m/44h/0', /hardened/],
    ['m/44H', /hardened/],
    ['m/2147483648', /not below 2147483648/],
    ['m/4294967296', /not below 2147483648/],
    ['m/99999999999', /whole number/],
    [`m${'/0'.repeat(maxPathDepth + 1)}`, /at most 10/],
  ];
  for (const [path, words] of bad) {
    it(`refuses ${JSON.stringify(path)}`, () => {
      fails('malformed_path', () => indicesOf(path), words);
      for (const type of types)
        fails('malformed_path', () => derive(type, new Uint8Array(33), chainCode, path), words);
      assert.equal(derivationPathSchema.safeParse(path).success, false);
    });
  }
});

describe('derivation', () => {
  it('on secp256k1 is what a second library derives', () => {
    const numRuns = 20;
    const code = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(
        fc.bigInt({ min: 1n, max: order('ecdsa_secp256k1') - 1n }),
        code,
        paths,
        (x, cc, indices) => {
          const publicKey = secp256k1.Point.BASE.multiply(x).toBytes();
          const path = `m/${indices.join('/')}`;
          const theirs = new HDKey({ publicKey, chainCode: cc }).derive(path);
          for (const type of ['taproot_secp256k1', 'ecdsa_secp256k1', 'bitcoin_secp256k1'] as const) {
            const ours = derive(type, publicKey, cc, path);
            assert.equal(bytesToHex(ours.point), bytesToHex(theirs.publicKey!));
            assert.equal(bytesToHex(ours.chainCode), bytesToHex(theirs.chainCode!));
          }
        },
      ),
      { numRuns },
    );
  });

  for (const type of types) {
    describe(type, () => {
      const group = groupOf(type);
      // f(x) = secret + slope x, as key generation leaves it to five parties.
      const [secret, slope] = [group.mod(bytesToNumberBE(seedOf('secret'))), group.mod(987654321n)];
      const commitments = [secret, slope].map((each) => group.encodePoint(group.multiplyBase(each)));
      const result: KeyResult = {
        kind: 'key',
        keyType: type,
        publicKey: toHex(keyTypes[type].publicKeyOfPoint(commitments[0]!)),
        chainCode: toHex(chainCode),
        commitments: commitments.map(toHex),
        transcript: toHex(seedOf('transcript')),
      };
      const parent = { id: toHex(seedOf('parent')), result };

      it("adds the offset to the key, to every share and to the vector's constant term alone", () => {
        const { offset, result: child } = derivedResult(parent, 'm/0/7');
        const eps = type === 'ed25519' ? bytesToNumberLE(offset) : bytesToNumberBE(offset);
        const sum = group.encodePoint(group.multiplyBase(group.mod(secret + eps)));
        assert.equal(child.commitments[0], toHex(sum));
        assert.deepEqual(child.commitments.slice(1), result.commitments.slice(1));
        assert.equal(child.publicKey, toHex(keyTypes[type].publicKeyOfPoint(sum)));
        const points = child.commitments.map((point) =>
          group.decodePoint(Buffer.from(point.slice(2), 'hex')),
        );
        for (const party of [1, 2, 3, 4, 5]) {
          const share = group.encodeScalar(group.mod(secret + slope * BigInt(party)));
          const derived = group.decodeScalar(derivedShare(type, share, offset));
          assert.ok(group.multiplyBase(derived).equals(evaluateCommitments(group, points, party)));
        }
      });

      it('gives another key, chain code and transcript for each path, chain code, point and parent', () => {
        const other = derivedResult({ ...parent, id: toHex(seedOf('other')) }, 'm/0/7').result;
        const code = { ...parent, result: { ...result, chainCode: toHex(seedOf('other')) } };
        const all = [
          derivedResult(parent, 'm/0/7').result,
          derivedResult(parent, 'm/0/8').result,
          derivedResult(parent, 'm/1/7').result,
          derivedResult(parent, 'm/7').result,
          derivedResult(parent, 'm/0/7/0').result,
          derivedResult(code, 'm/0/7').result,
        ];
        assert.equal(new Set(all.map((each) => each.publicKey)).size, all.length);
        assert.equal(new Set(all.map((each) => each.chainCode)).size, all.length);
        // The transcript says whose child it is.
        assert.notEqual(other.transcript, all[0]!.transcript);
        assert.deepEqual({ ...other, transcript: '' }, { ...all[0], transcript: '' });
        assert.deepEqual(derivedResult(parent, 'm/0/7').result, all[0]);
      });

      it('refuses an offset that is none, and a child that is no key', () => {
        const point = group.encodePoint(group.multiplyBase(5n));
        for (const offset of [0n, order(type), order(type) + 1n, -1n])
          fails('degenerate_child', () => offsetPoint(type, point, offset), /no key of its own/);
        fails('degenerate_child', () => offsetPoint(type, point, order(type) - 5n), /identity/);
        const six = offsetPoint(type, point, 1n);
        assert.equal(bytesToHex(six), bytesToHex(group.encodePoint(group.multiplyBase(6n))));
      });
    });
  }

  it('of a share says nothing of it when it is none', () => {
    const share = new Uint8Array(32).fill(0xff);
    for (const [one, other] of [
      [share, new Uint8Array(32)],
      [new Uint8Array(32), share],
    ] as const)
      assert.throws(
        () => derivedShare('ecdsa_secp256k1', one, other),
        (error: Error & { code?: string }) =>
          error.code === 'malformed_scalar' && !/f{8}/.test(error.message),
      );
  });

  it('on ed25519 stays in the prime-order subgroup', () => {
    const publicKey = ed25519.Point.BASE.multiply(3n).toBytes();
    keyTypes.ed25519.checkPublicKey(derive('ed25519', publicKey, chainCode, 'm/1/2/3').point);
  });
});
