// The two messages of presigning, byte by byte. Both go to one counterparty and begin with the id of the pair's setup.
//
//   commit    setup id 32 || per item: commitment 32 || product request
//   multiply  setup id 32 || per item: R 33 || salt 32 || product response || Gamma_u 33 || Gamma_v 33 || psi 32 || pk 33
//             || echo: per item the commitment, 32 bytes, of every member of the set, ascending
import { concatBytes } from '@noble/hashes/utils.js';
import { Abort } from '../abort.ts';
import type { Element } from '../group.ts';
import { secp256k1Group as group } from '../group.ts';
import type { Tag } from '../hash.ts';
import { taggedHash, uint16, uint32 } from '../hash.ts';
import type { PartyIndex } from '../machine.ts';
import { decodeFrom } from '../rounds.ts';
import { productRequestLength, productResponseLength } from './product.ts';
import { setupIdLength } from './setups.ts';

/** Items of one pair of rounds. With more a message of `multiply` would exceed 256 KiB, what a channel takes. */
export const chunkSize = 4;
export const digestLength = 32;
export const saltLength = 32;

const { pointLength, scalarLength } = group;
const commitItemLength = digestLength + productRequestLength;
const multiplyItemLength =
  pointLength + saltLength + productResponseLength + 2 * pointLength + scalarLength + pointLength;

/** What a commit message says about one item. */
export interface CommitItem {
  readonly commitment: Uint8Array;
  readonly request: Uint8Array;
}

/** What a multiply message says about one item, still in bytes: products are checked before anything is decoded. */
export interface MultiplyItem {
  readonly nonce: Uint8Array;
  readonly salt: Uint8Array;
  readonly response: Uint8Array;
  readonly gammaU: Uint8Array;
  readonly gammaV: Uint8Array;
  readonly psi: Uint8Array;
  readonly publicShare: Uint8Array;
}

/** The points and the scalar of a multiply item. */
export interface DecodedItem {
  readonly nonce: Element;
  readonly gammaU: Element;
  readonly gammaV: Element;
  readonly psi: bigint;
  readonly publicShare: Element;
}

const productTag: Tag = 'countersign/v1/dkls23/product-id';
const commitmentTag: Tag = 'countersign/v1/dkls23/nonce-commitment';

/** pid: 32 bytes, another for each session, item and ordered pair. */
export function productId(sid: Uint8Array, item: number, alice: PartyIndex, bob: PartyIndex): Uint8Array {
  return taggedHash(productTag, sid, uint32(item), uint16(alice), uint16(bob));
}

/** A party's commitment to its R: 32 bytes. */
export function nonceCommitment(
  sid: Uint8Array,
  item: number,
  party: PartyIndex,
  nonce: Uint8Array,
  salt: Uint8Array,
): Uint8Array {
  return taggedHash(commitmentTag, sid, uint32(item), uint16(party), nonce, salt);
}

/** Bytes of a commit message's body for so many items. */
export function commitLength(items: number): number {
  return setupIdLength + items * commitItemLength;
}

/** Bytes of a multiply message's body for so many items of a set of this size. */
export function multiplyLength(items: number, setSize: number): number {
  return setupIdLength + items * (multiplyItemLength + setSize * digestLength);
}

/** Throws Abort('malformed_message') that names the sender. */
export function checkLength(from: PartyIndex, body: Uint8Array, expected: number): void {
  if (body.length !== expected)
    throw new Abort(
      'malformed_message',
      `body of ${body.length} bytes from party ${from}, expected ${expected}`,
      { culprit: from },
    );
}

export function encodeCommit(setupId: Uint8Array, items: readonly CommitItem[]): Uint8Array {
  return concatBytes(setupId, ...items.flatMap(({ commitment, request }) => [commitment, request]));
}

/** Copies. The length was checked. */
export function decodeCommit(body: Uint8Array, items: number): CommitItem[] {
  const reader = new Reader(body);
  return Array.from({ length: items }, () => ({
    commitment: reader.take(digestLength),
    request: reader.take(productRequestLength),
  }));
}

export function encodeMultiply(
  setupId: Uint8Array,
  items: readonly MultiplyItem[],
  echo: readonly Uint8Array[],
): Uint8Array {
  const fields = items.flatMap(({ nonce, salt, response, gammaU, gammaV, psi, publicShare }) => [
    nonce,
    salt,
    response,
    gammaU,
    gammaV,
    psi,
    publicShare,
  ]);
  return concatBytes(setupId, ...fields, ...echo);
}

/** Copies. The length was checked. */
export function decodeMultiply(
  body: Uint8Array,
  items: number,
): { readonly items: readonly MultiplyItem[]; readonly echo: Uint8Array } {
  const reader = new Reader(body);
  const decoded = Array.from({ length: items }, () => ({
    nonce: reader.take(pointLength),
    salt: reader.take(saltLength),
    response: reader.take(productResponseLength),
    gammaU: reader.take(pointLength),
    gammaV: reader.take(pointLength),
    psi: reader.take(scalarLength),
    publicShare: reader.take(pointLength),
  }));
  return { items: decoded, echo: reader.rest() };
}

/** Throws Abort naming the sender: malformed_point (no point, or the identity), malformed_scalar. */
export function decodeMultiplyItem(from: PartyIndex, item: number, fields: MultiplyItem): DecodedItem {
  const point = (what: string, bytes: Uint8Array): Element =>
    decodeFrom(from, `${what} for item ${item}`, () => group.decodePoint(bytes));
  return {
    nonce: point('R', fields.nonce),
    gammaU: point('Gamma_u', fields.gammaU),
    gammaV: point('Gamma_v', fields.gammaV),
    psi: decodeFrom(from, `psi for item ${item}`, () => group.decodeScalar(fields.psi)),
    publicShare: point('pk', fields.publicShare),
  };
}

class Reader {
  readonly #bytes: Uint8Array;
  #offset = setupIdLength;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  take(length: number): Uint8Array {
    return this.#bytes.slice(this.#offset, (this.#offset += length));
  }

  rest(): Uint8Array {
    return this.#bytes.slice(this.#offset);
  }
}
