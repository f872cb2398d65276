// Known answers for what two parties compute together under DKLs23, frozen: the gadget, every hash, one seeded product and
// every message of one seeded pair setup. A change to any of them must be meant, and takes new tags. dkls23-product.json was
// computed by a separate program in another language; digests of messages in dkls23-pair-setup.json are this
// implementation's own.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, concatBytes, hexToBytes } from '@noble/hashes/utils.js';
import { hashToPoint } from '../../node/mpc/dkls23/base-transfer.ts';
import { bitAt } from '../../node/mpc/dkls23/bits.ts';
import { gadget } from '../../node/mpc/dkls23/gadget.ts';
import { closePairSetup, openPairSetup, zeroShare } from '../../node/mpc/dkls23/pair-secrets.ts';
import { padsOf } from '../../node/mpc/dkls23/pads.ts';
import { answerProduct, openProductRequest, ProductReceiver } from '../../node/mpc/dkls23/product.ts';
import { encodeScalars, integersOf } from '../../node/mpc/dkls23/scalars.ts';
import { xof, xofScalars } from '../../node/mpc/dkls23/xof.ts';
import type { Tag } from '../../node/mpc/hash.ts';
import { uint16 } from '../../node/mpc/hash.ts';
import { seededRandom } from '../support/mpc-network.ts';
import { pairRun } from '../support/pair-setup-runs.ts';

interface ProductVectors {
  xof: { tag: Tag; parts: string[]; output: string };
  gadget: { first: string; last: string; sha256: string };
  context: string;
  column: { position: number; choice: number; bytes: string };
  challenges: string;
  x: string;
  pad: { position: number; row: string; integers: string[] };
  theta: string[];
  eta: string;
  mu: string;
  request: string;
  response: string;
  b: string;
  alice: string[];
  bob: string[];
  zeroShare: { item: number; lower: string; higher: string };
}
interface PairVectors {
  basePoint: string;
  messages: Record<string, string[]>;
  id: string;
  secrets: Record<string, string>;
}

const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, import.meta.url), 'utf8'));
const vectors = read('./dkls23-product.json') as ProductVectors;
const digest = (bytes: Uint8Array): string => bytesToHex(sha256(bytes));
const hex = (...scalars: bigint[]): string[] => scalars.map((scalar) => bytesToHex(encodeScalars([scalar])));

const pairs = seededRandom('frozen/pairs')(128 * 64);
const delta = seededRandom('frozen/delta')(16);
const parts = { id: seededRandom('frozen/id')(32), zeroSeed: seededRandom('frozen/zero')(32) };
const chosen = concatBytes(
  ...Array.from({ length: 128 }, (_, at) => {
    const from = 64 * at + 32 * bitAt(delta, at);
    return pairs.subarray(from, from + 32);
  }),
);
const unused = { delta: new Uint8Array(16), chosenKeys: chosen, keyPairs: pairs };
const alice = openPairSetup(closePairSetup({ ...unused, ...parts, self: 1, peer: 2, delta }), 1);
const bob = openPairSetup(closePairSetup({ ...unused, ...parts, self: 2, peer: 1 }), 2);
const pid = Uint8Array.from({ length: 32 }, (_, at) => at);
const context = hexToBytes(vectors.context);

describe('DKLs23: frozen hashes', () => {
  it('extendable output', () => {
    const { tag, output } = vectors.xof;
    assert.equal(bytesToHex(xof(tag, 40, ...vectors.xof.parts.map(hexToBytes))), output);
  });

  it('gadget', () => {
    assert.equal(gadget.length, 416);
    assert.deepEqual(hex(gadget[0]!, gadget[415]!), [vectors.gadget.first, vectors.gadget.last]);
    assert.equal(digest(encodeScalars(gadget)), vectors.gadget.sha256);
  });

  it('column', () => {
    const { position, choice, bytes } = vectors.column;
    const key = pairs.subarray(64 * position + 32 * choice, 64 * position + 32 * choice + 32);
    assert.equal(bytesToHex(xof('countersign/v1/dkls23/column', 80, context, uint16(position), key)), bytes);
  });

  it('pad', () => {
    const { position, row, integers } = vectors.pad;
    const rows = new Uint8Array((position + 1) * 16);
    rows.set(hexToBytes(row), position * 16);
    const actual = padsOf(context, rows).slice(-3);
    assert.deepEqual(
      actual.map((each) => each.toString(16).padStart(96, '0')),
      integers,
    );
  });

  it('share of zero', () => {
    const { item, lower, higher } = vectors.zeroShare;
    assert.deepEqual(hex(zeroShare(alice, pid, item), zeroShare(bob, pid, item)), [lower, higher]);
  });
});

describe('DKLs23: frozen product', () => {
  it('is byte for byte what a second implementation computes', () => {
    const receiver = ProductReceiver.begin({ setup: bob, pid, random: seededRandom('frozen/bob') });
    const { request } = receiver;
    assert.equal(bytesToHex(openProductRequest({ setup: alice, pid, request }).context), vectors.context);
    const challenges = xof('countersign/v1/dkls23/consistency', 64, context, request.subarray(0, 10_240));
    assert.equal(bytesToHex(challenges), vectors.challenges);
    assert.equal(bytesToHex(request.subarray(10_240, 10_256)), vectors.x);
    assert.equal(digest(request), vectors.request);
    const [first] = integersOf(seededRandom('frozen/inputs')(32));
    const inputs = [first!, 5n] as const;
    const { response, shares } = answerProduct({
      setup: alice,
      pid,
      request,
      inputs,
      random: seededRandom('frozen/alice'),
    });
    const theta = xofScalars('countersign/v1/dkls23/theta', 2, context, response.subarray(0, 39_936));
    assert.deepEqual(hex(...theta), vectors.theta);
    assert.equal(bytesToHex(response.subarray(39_936, 39_968)), vectors.eta);
    assert.equal(bytesToHex(response.subarray(39_968)), vectors.mu);
    assert.equal(digest(response), vectors.response);
    assert.deepEqual(hex(...shares), vectors.alice);
    assert.deepEqual(hex(receiver.b), [vectors.b]);
    assert.deepEqual(hex(...receiver.finish(response)), vectors.bob);
  });
});

describe('DKLs23: frozen pair setup', () => {
  it('every message, and what both keep', () => {
    const frozen = read('./dkls23-pair-setup.json') as PairVectors;
    const { setups, messages } = pairRun();
    const basePoint = hashToPoint(pid, 1, 127, Uint8Array.of(4, 5, 6)).toHex(true);
    const actual: PairVectors = {
      basePoint,
      messages: Object.fromEntries([...messages].map(([index, all]) => [String(index), all.map(digest)])),
      id: bytesToHex(setups.get(1)!.id),
      secrets: Object.fromEntries(
        [...setups].map(([index, { secrets }]) => [String(index), digest(secrets)]),
      ),
    };
    assert.deepEqual(actual, frozen);
  });
});
