// RFC 9591 appendix E.1 through this project's own path: key package, nonce store and signing machine; and the suite
// built here against the library's ready-made one.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ed25519, ed25519_FROST, ED25519_TORSION_SUBGROUP } from '@noble/curves/ed25519.js';
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import { evaluatePolynomial } from '../../node/mpc/dkg/polynomial.ts';
import { ciphersuiteOf } from '../../node/mpc/frost/ciphersuite.ts';
import type { KeyPackage } from '../../node/mpc/frost/key-package.ts';
import { loadKeyPackage } from '../../node/mpc/frost/key-package.ts';
import type { NonceCommitment } from '../../node/mpc/frost/nonces.ts';
import { NonceStore } from '../../node/mpc/frost/nonces.ts';
import { FrostSigning } from '../../node/mpc/frost/sign.ts';
import { ed25519Group as group } from '../../node/mpc/group.ts';
import type { RandomBytes } from '../../node/mpc/machine.ts';

type Signer = '1' | '3';
interface RoundOne {
  hidingNonceRandomness: string;
  bindingNonceRandomness: string;
  hidingNonce: string;
  bindingNonce: string;
  hidingNonceCommitment: string;
  bindingNonceCommitment: string;
  bindingFactorInput: string;
  bindingFactor: string;
}
const vector = JSON.parse(readFileSync(new URL('./rfc9591-ed25519.json', import.meta.url), 'utf8')) as {
  groupSecretKey: string;
  groupPublicKey: string;
  message: string;
  coefficients: [string];
  shares: Record<'1' | '2' | '3', string>;
  roundOne: Record<Signer, RoundOne>;
  signatureShares: Record<Signer, string>;
  signature: string;
};

const message = hexToBytes(vector.message);
const coefficients = [vector.groupSecretKey, ...vector.coefficients].map((hex) =>
  group.decodeScalar(hexToBytes(hex)),
);
const commitments = coefficients.map((scalar) => group.encodePoint(group.multiplyBase(scalar)));

function keyOf(signer: Signer): KeyPackage {
  return loadKeyPackage({
    keyType: 'ed25519',
    publicKey: hexToBytes(vector.groupPublicKey),
    commitments,
    signingShare: hexToBytes(vector.shares[signer]),
    index: Number(signer),
    threshold: 2,
    parties: [1, 2, 3],
  });
}

/** The store's boot id, then the vector's randomness for one pair. */
function randomnessOf(signer: Signer): RandomBytes {
  const { hidingNonceRandomness, bindingNonceRandomness } = vector.roundOne[signer];
  const values = [new Uint8Array(16), hexToBytes(hidingNonceRandomness), hexToBytes(bindingNonceRandomness)];
  return () => values.shift()!;
}

describe('RFC 9591 E.1 FROST(Ed25519, SHA-512)', () => {
  const signers: Signer[] = ['1', '3'];

  it('the dealt shares lie on the polynomial of the group secret', () => {
    assert.equal(bytesToHex(commitments[0]!), vector.groupPublicKey);
    for (const [index, share] of Object.entries(vector.shares)) {
      const value = evaluatePolynomial(group, coefficients, Number(index));
      assert.equal(bytesToHex(group.encodeScalar(value)), share);
    }
  });

  it('nonces, commitments, binding factors: intermediate values', () => {
    for (const signer of signers) {
      const expected = vector.roundOne[signer];
      const source = randomnessOf(signer);
      source(16);
      const { nonces, commitments: made } = ciphersuiteOf('ed25519').frost.commit(
        keyOf(signer).secret,
        (length = 32) => Uint8Array.from(source(length)),
      );
      assert.equal(bytesToHex(nonces.hiding), expected.hidingNonce);
      assert.equal(bytesToHex(nonces.binding), expected.bindingNonce);
      assert.equal(bytesToHex(made.hiding), expected.hidingNonceCommitment);
      assert.equal(bytesToHex(made.binding), expected.bindingNonceCommitment);
      const factor = createHash('sha512')
        .update('FROST-ED25519-SHA512-v1rho')
        .update(hexToBytes(expected.bindingFactorInput))
        .digest();
      assert.equal(bytesToHex(group.encodeScalar(group.reduceScalar(factor))), expected.bindingFactor);
    }
  });

  it('signature shares and signature, through the signing machine', () => {
    const made = new Map<number, readonly NonceCommitment[]>();
    const parts = signers.map((signer) => {
      const key = keyOf(signer);
      const store = new NonceStore(randomnessOf(signer));
      const { id, commitments: published } = store.commit([key]);
      assert.equal(bytesToHex(published[0]!.hiding), vector.roundOne[signer].hidingNonceCommitment);
      assert.equal(bytesToHex(published[0]!.binding), vector.roundOne[signer].bindingNonceCommitment);
      made.set(key.index, published);
      return { signer, key, nonces: store.take(id) };
    });
    const sid = new Uint8Array(32);
    const [one, three] = parts.map(({ signer, key, nonces }) => {
      const items = [{ key, message }];
      const machine = new FrostSigning({
        sid,
        self: key.index,
        set: [1, 3],
        items,
        commitments: made,
        nonces,
      });
      const bytes = machine.start().messages[0]!.bytes;
      assert.equal(bytesToHex(bytes.subarray(33)), vector.signatureShares[signer]);
      return { machine, bytes };
    });
    for (const output of [
      one!.machine.receive(3, three!.bytes).output,
      three!.machine.receive(1, one!.bytes).output,
    ])
      assert.deepEqual(output?.map(bytesToHex), [vector.signature]);
  });

  it('the signature is the one the library and a plain ed25519 verifier accept', () => {
    const signature = hexToBytes(vector.signature);
    const publicKey = hexToBytes(vector.groupPublicKey);
    assert.ok(ed25519_FROST.verify(signature, message, publicKey));
    assert.ok(ed25519.verify(signature, message, publicKey, { zip215: false }));
    assert.ok(ciphersuiteOf('ed25519').verify(publicKey, message, signature));
  });
});

describe('the ciphersuite built here', () => {
  const own = ciphersuiteOf('ed25519').frost;

  it("gives the ready-made suite's shares and signatures", () => {
    const keys = (['1', '3'] as const).map(keyOf);
    const source = (signer: Signer) => {
      const random = randomnessOf(signer);
      random(16);
      return (length = 32) => Uint8Array.from(random(length));
    };
    const results = [own, ed25519_FROST].map((frost) => {
      const made = keys.map((key) => frost.commit(key.secret, source(String(key.index) as Signer)));
      const list = made.map((each) => each.commitments);
      const shares = Object.fromEntries(
        keys.map((key, at) => [
          key.secret.identifier,
          frost.signShare(key.secret, key.public, made[at]!.nonces, list, message),
        ]),
      );
      return { shares, signature: frost.aggregate(keys[0]!.public, list, message, shares) };
    });
    assert.deepEqual(results[0], results[1]);
  });

  it('still refuses points of mixed or small order and the identity, as the ready-made one does', () => {
    const torsion = ed25519.Point.fromHex(ED25519_TORSION_SUBGROUP[1]!);
    const bad = [ed25519.Point.BASE.add(torsion), torsion, ed25519.Point.ZERO].map((point) =>
      point.toBytes(),
    );
    const [key, other] = (['1', '3'] as const).map(keyOf);
    for (const frost of [own, ed25519_FROST])
      for (const point of bad)
        for (const field of ['hiding', 'binding'] as const) {
          const { nonces, commitments: made } = frost.commit(key!.secret);
          const list = [made, { ...frost.commit(other!.secret).commitments, [field]: point }];
          assert.throws(() => frost.signShare(key!.secret, key!.public, nonces, list, message), /point/);
        }
  });
});
