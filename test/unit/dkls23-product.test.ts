// Products of two parties' secrets: what they give, and everything that either side can alter.
import assert from 'node:assert/strict';
import { concatBytes } from '@noble/hashes/utils.js';
import { secp256k1Group as group } from '../../node/mpc/group.ts';
import { taggedHash, uint16 } from '../../node/mpc/hash.ts';
import { gadget } from '../../node/mpc/dkls23/gadget.ts';
import {
  closePairSetup,
  openPairSetup,
  PAIR_SECRETS_LENGTH,
  zeroShare,
} from '../../node/mpc/dkls23/pair-secrets.ts';
import { padsOf } from '../../node/mpc/dkls23/pads.ts';
import { GADGET_LENGTH, ROW_LENGTH } from '../../node/mpc/dkls23/parameters.ts';
import type { AnsweredProduct } from '../../node/mpc/dkls23/product.ts';
import {
  answerOpenedRequest,
  answerProduct,
  openProductRequest,
  ProductReceiver,
  productRequestLength,
  productResponseLength,
} from '../../node/mpc/dkls23/product.ts';
import { encodeScalars, integersOf, wideIntegers } from '../../node/mpc/dkls23/scalars.ts';
import { xofScalars } from '../../node/mpc/dkls23/xof.ts';
import { randomScalar } from '../../node/mpc/random.ts';
import { throwsAbort } from '../support/assert-abort.ts';
import { dealtSetup } from '../support/dkls23-parties.ts';
import { seedOf } from '../support/fixture.ts';
import { seededRandom } from '../support/mpc-network.ts';
import { throwsBan } from '../support/throws-ban.ts';

const q = group.order;
const alice = openPairSetup(dealtSetup(1, 2), 1);
const bob = openPairSetup(dealtSetup(2, 1), 2);
const pid = seedOf('product');
const inputs = [3n, 5n] as const;
const etaAt = GADGET_LENGTH * 96;

const begin = (name = 'bob', under = pid): ProductReceiver =>
  ProductReceiver.begin({ setup: bob, pid: under, random: seededRandom(name) });
const answer = (
  request: Uint8Array,
  values: readonly [bigint, bigint] = inputs,
  under = pid,
): AnsweredProduct =>
  answerProduct({ setup: alice, pid: under, request, inputs: values, random: seededRandom('alice') });
const honest = answer(begin().request).response;
/** beta_j of `begin()`. */
const beta = seededRandom('bob')(80);
const chosen = (j: number): number => (beta[j >>> 3]! >>> (j & 7)) & 1;
const rowsWith = (bit: number): number[] =>
  Array.from({ length: GADGET_LENGTH }, (_, j) => j).filter((j) => chosen(j) === bit);

function altered(change: (response: Uint8Array) => void): Uint8Array {
  const copy = honest.slice();
  change(copy);
  return copy;
}
/** Adds to the scalar at a place of the response, which stays canonical. */
function add(response: Uint8Array, at: number, value: bigint): void {
  const [scalar] = integersOf(response.subarray(at, at + 32));
  response.set(encodeScalars([group.mod(scalar! + value)]), at);
}
const context = taggedHash('countersign/v1/dkls23/product', alice.id, uint16(1), uint16(2), pid);
const thetaOf = (response: Uint8Array): bigint[] =>
  xofScalars('countersign/v1/dkls23/theta', 2, context, response.subarray(0, etaAt));

describe('DKLs23: product', () => {
  it('c_k + d_k = a_k b', () => {
    const random = seededRandom('values');
    const values = Array.from(
      { length: 40 },
      () => [randomScalar(group, random), randomScalar(group, random)] as const,
    );
    const all = [...values, [0n, 0n], [q - 1n, 1n], [1n, q - 1n]] as const;
    const factors = new Set<bigint>();
    for (const [at, pair] of all.entries()) {
      const under = seedOf(`product ${at}`);
      const receiver = begin(`bob ${at}`, under);
      assert.equal(receiver.request.length, productRequestLength);
      const { response, shares } = answer(receiver.request, pair, under);
      assert.equal(response.length, productResponseLength);
      const other = receiver.finish(response);
      for (const k of [0, 1] as const) {
        assert.equal(group.mod(shares[k] + other[k]), group.mod(pair[k] * receiver.b));
        assert.ok(shares[k] >= 0n && shares[k] < q && other[k] >= 0n && other[k] < q);
      }
      factors.add(receiver.b);
    }
    assert.equal(factors.size, all.length);
  });

  it("Bob's factor is the gadget's sum over the first 416 choices", () => {
    assert.equal(
      begin().b,
      group.mod(gadget.reduce((sum, factor, j) => sum + factor * BigInt(chosen(j)), 0n)),
    );
  });

  it('refuses a request with any bit of the check altered before it draws randomness or answers', () => {
    const { request } = begin();
    request[request.length - 1]! ^= 1;
    const random = (): Uint8Array => assert.fail('randomness was drawn');
    assert.throws(
      () => answerProduct({ setup: alice, pid, request, inputs, random }),
      throwsBan('transfer_check', 2),
    );
  });

  it('refuses a request of another product, of another setup, and its own', () => {
    const { request } = begin();
    assert.throws(() => answer(request, inputs, seedOf('other')), throwsBan('transfer_check', 2));
    const setup = openPairSetup(dealtSetup(1, 2, 'other'), 1);
    assert.throws(() => openProductRequest({ setup, pid, request }), throwsBan('transfer_check', 2));
    assert.throws(() => openProductRequest({ setup: bob, pid, request }), throwsBan('transfer_check', 1));
  });

  it('keys of a setup with another id give another product', () => {
    const parts = openPairSetup(dealtSetup(1, 2), 1);
    const setup = openPairSetup(closePairSetup({ ...parts, id: seedOf('other id') }), 1);
    assert.throws(
      () => openProductRequest({ setup, pid, request: begin().request }),
      throwsBan('transfer_check', 2),
    );
  });

  for (const bit of [0, 1])
    it(`refuses at altered alone in a row where Bob chose ${bit}: theta is another`, () => {
      for (const [position, j] of rowsWith(bit).entries()) {
        if (position % 7 !== 0) continue;
        const k = (position / 7) % 3;
        const response = altered((bytes) => add(bytes, j * 96 + k * 32, 1n));
        assert.notDeepEqual(thetaOf(response), thetaOf(honest));
        assert.throws(() => begin().finish(response), throwsBan('product_check', 1));
      }
    });

  it('refuses at altered so that the check holds under the former theta', () => {
    const [theta1, theta2] = thetaOf(honest);
    for (const [k, theta] of [theta1!, theta2!].entries())
      for (const j of [rowsWith(0)[0]!, rowsWith(1)[0]!]) {
        const response = altered((bytes) => {
          add(bytes, j * 96 + k * 32, 7n);
          add(bytes, j * 96 + 64, -7n * theta);
        });
        assert.throws(() => begin().finish(response), throwsBan('product_check', 1));
      }
  });

  it('refuses another eta, and any byte of the hash of mu altered', () => {
    assert.throws(
      () => begin().finish(altered((bytes) => add(bytes, etaAt, 1n))),
      throwsBan('product_check', 1),
    );
    for (let at = etaAt + 32; at < productResponseLength; at++)
      assert.throws(
        () => begin().finish(altered((bytes) => void (bytes[at]! ^= 1))),
        throwsBan('product_check', 1),
      );
  });

  it('refuses the answer to another product and to another request', () => {
    const other = seedOf('other');
    const { response } = answer(begin('bob', other).request, inputs, other);
    assert.throws(() => begin().finish(response), throwsBan('product_check', 1));
    assert.throws(() => begin('another').finish(honest), throwsBan('product_check', 1));
  });

  it('another input in one row passes exactly where Bob chose 0: a try is a bit, so a failure is a ban', () => {
    for (const bit of [0, 1])
      for (const j of rowsWith(bit).slice(0, 3)) {
        const receiver = begin();
        const response = cheat(receiver.request, j);
        if (bit === 0) receiver.finish(response);
        else assert.throws(() => receiver.finish(response), throwsBan('product_check', 1));
      }
  });

  it('a fresh random value hides the inputs in eta', () => {
    const { request } = begin();
    const eta = (name: string): Uint8Array =>
      answerProduct({ setup: alice, pid, request, inputs, random: seededRandom(name) }).response.slice(
        etaAt,
        etaAt + 32,
      );
    assert.notDeepEqual(eta('a'), eta('b'));
    const [theta1, theta2] = thetaOf(honest);
    const [shown] = integersOf(honest.subarray(etaAt, etaAt + 32));
    assert.notEqual(shown, group.mod(theta1! * inputs[0] + theta2! * inputs[1]));
  });

  it('refuses other lengths, naming the sender, without a ban', () => {
    const { request } = begin();
    for (const spoilt of [request.subarray(1), concatBytes(request, Uint8Array.of(0)), new Uint8Array()])
      assert.throws(() => answer(spoilt), throwsAbort('malformed_message', 2));
    for (const spoilt of [honest.subarray(1), concatBytes(honest, Uint8Array.of(0)), new Uint8Array()])
      assert.throws(() => begin().finish(spoilt), throwsAbort('malformed_message', 1));
  });

  it('refuses scalars that are not below the order', () => {
    for (const at of [0, 32 * 500, etaAt - 32, etaAt])
      for (const value of [q, 2n ** 256n - 1n])
        assert.throws(
          () => begin().finish(altered((bytes) => bytes.set(encodeScalars([value]), at))),
          throwsAbort('malformed_scalar', 1),
        );
  });

  it('refuses product ids of another length', () => {
    const short = new Uint8Array(31);
    assert.throws(() => begin('bob', short), throwsAbort('invalid_session'));
    assert.throws(() => answer(begin().request, inputs, short), throwsAbort('invalid_session'));
  });

  it('finishes once, also after a failure, and not after it was erased', () => {
    const receiver = begin();
    receiver.finish(honest);
    assert.throws(() => receiver.finish(honest), throwsAbort('finished'));
    const failed = begin();
    assert.throws(
      () => failed.finish(altered((bytes) => void (bytes[etaAt + 40]! ^= 1))),
      throwsBan('product_check', 1),
    );
    assert.throws(() => failed.finish(honest), throwsAbort('finished'));
    const erased = begin();
    erased.erase();
    assert.equal(erased.b, 0n);
    assert.throws(() => erased.finish(honest), throwsAbort('finished'));
  });

  it('erases rows once they have been answered', () => {
    const opened = openProductRequest({ setup: alice, pid, request: begin().request });
    assert.ok(opened.rows.some((byte) => byte !== 0));
    answerOpenedRequest(opened, inputs, seededRandom('alice'));
    assert.ok(opened.rows.every((byte) => byte === 0));
  });

  it('reads and writes integers big endian', () => {
    const bytes = seededRandom('integers')(96);
    const hex = Buffer.from(bytes).toString('hex');
    const numbers = (length: number): bigint[] =>
      hex.match(new RegExp(`.{${2 * length}}`, 'g'))!.map((each) => BigInt(`0x${each}`));
    assert.deepEqual(wideIntegers(bytes), numbers(48));
    assert.deepEqual(integersOf(bytes), numbers(32));
    assert.deepEqual(encodeScalars(integersOf(bytes)), bytes);
  });
});

/** Alice with an input of 4 instead of 3 in row j, and everything else computed for 3. */
function cheat(request: Uint8Array, j: number): Uint8Array {
  const opened = openProductRequest({ setup: alice, pid, request });
  const zero = padsOf(opened.context, opened.rows.subarray(0, GADGET_LENGTH * ROW_LENGTH));
  const { response } = answerOpenedRequest(opened, inputs, seededRandom('alice'));
  const a3 = randomScalar(group, seededRandom('alice'));
  add(response, j * 96, 1n);
  const [theta1, theta2] = thetaOf(response) as [bigint, bigint];
  response.set(encodeScalars([group.mod(a3 + theta1 * inputs[0] + theta2 * inputs[1])]), etaAt);
  const mu = Array.from({ length: GADGET_LENGTH }, (_, row) =>
    group.mod(zero[3 * row + 2]! + theta1 * zero[3 * row]! + theta2 * zero[3 * row + 1]!),
  );
  response.set(taggedHash('countersign/v1/dkls23/mu', opened.context, encodeScalars(mu)), etaAt + 32);
  return response;
}

describe('DKLs23: stored pair setups', () => {
  it('open only as what they are', () => {
    const setup = dealtSetup(1, 2);
    assert.equal(setup.secrets.length, PAIR_SECRETS_LENGTH);
    assert.equal(setup.secrets.buffer.byteLength, PAIR_SECRETS_LENGTH);
    const refused = throwsAbort('malformed_setup');
    const version = setup.secrets.slice();
    version[0] = 2;
    assert.throws(() => openPairSetup({ ...setup, secrets: version }, 1), refused);
    assert.throws(() => openPairSetup({ ...setup, secrets: setup.secrets.subarray(1) }, 1), refused);
    assert.throws(
      () => openPairSetup({ ...setup, secrets: concatBytes(setup.secrets, Uint8Array.of(0)) }, 1),
      refused,
    );
    assert.throws(() => openPairSetup({ ...setup, id: seedOf('other') }, 1), refused);
    assert.throws(() => openPairSetup({ ...setup, peer: 3 }, 1), refused);
    assert.throws(() => openPairSetup(setup, 3), refused);
  });

  it('are overwritten when they are erased', () => {
    const setup = dealtSetup(1, 2);
    openPairSetup(setup, 1).erase();
    assert.ok(setup.secrets.every((byte) => byte === 0));
  });

  it('give shares of zero, others for every session and item', () => {
    const sid = seedOf('session');
    const seen = new Set<bigint>();
    for (const [session, item] of [
      [sid, 0],
      [sid, 1],
      [seedOf('other session'), 0],
    ] as const) {
      const mine = zeroShare(alice, session, item);
      assert.equal(group.mod(mine + zeroShare(bob, session, item)), 0n);
      seen.add(mine);
    }
    assert.equal(seen.size, 3);
    assert.ok(!seen.has(0n));
    assert.throws(() => zeroShare(alice, new Uint8Array(31), 0), throwsAbort('invalid_session'));
  });

  it('shares of zero of three parties cancel', () => {
    const sid = seedOf('session');
    const sum = [1, 2, 3].flatMap((self) =>
      [1, 2, 3]
        .filter((peer) => peer !== self)
        .map((peer) => zeroShare(openPairSetup(dealtSetup(self, peer), self), sid, 4)),
    );
    assert.equal(group.mod(sum.reduce((total, share) => total + share, 0n)), 0n);
  });
});
