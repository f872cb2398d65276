// The token account that belongs to a wallet by convention: the associated token account, an address that is derived from
// wallet, token program and mint, and for which no private key can exist.
// https://solana.com/docs/core/pda and the Associated Token Account program (get_associated_token_address_with_program_id).
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { base58 } from '@scure/base';
import { PayloadError } from './error.ts';
import { associatedTokenProgram, tokenProgram } from './solana-program.ts';

const maxBump = 255;
const derivedAddressMarker = new TextEncoder().encode('ProgramDerivedAddress');

/**
 * The 32 bytes of a base58 address or blockhash; `what` begins the message of the error.
 *
 * @throws {PayloadError} `invalid_argument`
 */
export function bytesOfAddress(text: string, what: string): Uint8Array {
  let bytes: Uint8Array | undefined;
  try {
    bytes = base58.decode(text);
  } catch {
    // Reported below, with what was expected.
  }
  if (bytes?.length !== 32)
    throw new PayloadError('invalid_argument', `${what} "${text}" is not base58 of 32 bytes`);
  return bytes;
}

/**
 * Whether 32 bytes are a point of the curve, as Solana's runtime decides it (curve25519-dalek's `decompress`, which also
 * takes y of 2^255-19 and above: the rule of ZIP 215). An address that is none has no private key.
 */
export function isOnCurve(bytes: Uint8Array): boolean {
  try {
    ed25519.Point.fromBytes(bytes, true);
    return true;
  } catch {
    return false;
  }
}

/** Accounts that were derived, least recently used first: one transaction is decoded many times. */
const derivedAccounts = new Map<string, string>();
const maxDerivedAccounts = 4096;

function derive(seeds: readonly Uint8Array[]): string | undefined {
  const owner = base58.decode(associatedTokenProgram);
  for (let bump = maxBump; bump >= 0; bump -= 1) {
    const hash = sha256.create();
    for (const part of [...seeds, Uint8Array.of(bump), owner, derivedAddressMarker]) hash.update(part);
    const address = hash.digest();
    if (!isOnCurve(address)) return base58.encode(address);
  }
  return undefined;
}

/**
 * Base58 address of the associated token account of a wallet for the tokens of a mint. `program` is the token program that
 * the mint belongs to. That this account is still the wallet's, only the chain knows: who owns a token account can give it
 * away. The first time it costs one or a few decompressions of a point, about 0.1 ms each.
 *
 * @throws {PayloadError} `invalid_argument` when an address is not base58 of 32 bytes
 */
export function associatedTokenAccount(wallet: string, mint: string, program: string = tokenProgram): string {
  const name = `${wallet} ${program} ${mint}`;
  const known = derivedAccounts.get(name);
  const account =
    known ??
    derive([
      bytesOfAddress(wallet, 'the wallet'),
      bytesOfAddress(program, 'the token program'),
      bytesOfAddress(mint, 'the mint'),
    ]);
  // Each bump fails with probability one half: nobody has met this, and the program would refuse as well.
  if (account === undefined)
    throw new PayloadError('invalid_argument', `the wallet ${wallet} has no account for mint ${mint}`);
  derivedAccounts.delete(name);
  derivedAccounts.set(name, account);
  if (derivedAccounts.size > maxDerivedAccounts) derivedAccounts.delete(derivedAccounts.keys().next().value!);
  return account;
}
