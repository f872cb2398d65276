// What a wallet shows its owner of a payload, from the payload's bytes alone: which key signs them is told beside it, what that
// key's address is does not stand in them. What was signed is made again by later versions too, so the wording here never
// changes, nor may a payload that is understood better one day be told otherwise: that takes another field of a record.
import { sha256 } from '@noble/hashes/sha2.js';
import { fromHex, type Hex, toHex } from '../hex.ts';
import { encodeCanonical } from '../records/canonical.ts';
import { linesOf } from '../records/readable.ts';
import { textOf } from './evm-message.ts';
import { encodedType } from './evm-typed-data.ts';
import type { Payload } from './payload.ts';
import { asciiText } from './printable-text.ts';
import { shownBitcoin } from './shown-bitcoin.ts';
import { bytesShown } from './shown-bytes.ts';
import { shownEvm } from './shown-evm.ts';
import { shownSolana } from './shown-solana.ts';
import { checkTypedData } from './typed-data.ts';

function read(payload: Payload): readonly string[] {
  switch (payload.kind) {
    case 'evm.transaction':
      return shownEvm(fromHex(payload.transaction));
    case 'solana.transaction':
      return shownSolana(fromHex(payload.message));
    case 'bitcoin.psbt':
      return shownBitcoin(payload);
    case 'message':
    case 'evm.message': {
      const bytes = fromHex(payload.data);
      const text = textOf(bytes);
      return [
        `${bytes.length} bytes, no transaction`,
        text === undefined ? `not text: ${bytesShown(payload.data)}` : `text: ${asciiText(text)}`,
      ];
    }
    case 'evm.typedData': {
      const data = checkTypedData(payload.typedData);
      const { domain, message, primaryType } = data;
      return [
        `of type ${primaryType}, no transaction, but perhaps an order to a contract`,
        ...linesOf(domain, 'domain').map(asciiText),
        ...linesOf(message, 'message').map(asciiText),
        `types: ${encodedType(data)}`,
      ];
    }
  }
}

/** Plain lines, of any length, the first about all of it. Never throws: what cannot be read is said so, and is signed by nobody. */
export function shownPayload(payload: Payload): readonly [string, ...string[]] {
  try {
    const [first, ...more] = read(payload);
    return [first!, ...more];
  } catch {
    return [`CANNOT BE READ. SHA-256 of its canonical bytes: ${toHex(sha256(encodeCanonical(payload)))}`];
  }
}

/** An item of a request that was not the first of its kind. */
interface Item {
  readonly keyId: Hex;
  readonly payload: Payload;
}

/**
 * Items of a request, each line with the item's number. Of a Bitcoin transaction that several of them sign its outputs are told
 * once, with the first.
 */
export function shownItems(items: readonly Item[]): readonly string[] {
  const firsts = new Map<Hex, number>();
  return items.flatMap(({ keyId, payload }, index) => {
    let [first, ...more] = shownPayload(payload);
    if (payload.kind === 'bitcoin.psbt') {
      const earlier = firsts.get(payload.psbt);
      if (earlier === undefined) firsts.set(payload.psbt, index);
      else [first, more] = [`${first}, the transaction of item ${earlier + 1}`, []];
    }
    return [`${payload.kind} by key ${keyId}: ${first}`, ...more].map((line) => `${index + 1}. ${line}`);
  });
}
