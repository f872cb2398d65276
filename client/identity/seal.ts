// Secrets under a passphrase: scrypt (RFC 7914) makes the key, XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) seals. Kind,
// parameters and public part are authenticated with it. Node only: noble's scrypt would take seconds where native code
// takes a third of one.
import { scrypt, timingSafeEqual } from 'node:crypto';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { concatBytes, randomBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import * as z from 'zod';
import { fromHex, hexBytes, toHex } from '../../protocol/hex.ts';
import { encodeCanonical } from '../../protocol/records/canonical.ts';
import { IdentityError } from './error.ts';

/** `length` fresh bytes from a cryptographic source. */
export type RandomBytes = (length: number) => Uint8Array;

const format = 'countersign-sealed/1';
const blockSize = 8;
const parallelism = 1;
const defaultCost = 2 ** 17;
/** Costs a file may ask for; 128 * cost * blockSize bytes of memory, so 128 MiB at most. */
const minCost = 2 ** 10;
const maxCost = 2 ** 17;
const maxMemory = 256 * 2 ** 20;
const maxPlaintext = 64 * 1024;

const kdfSchema = z.strictObject({
  name: z.literal('scrypt'),
  N: z.int().min(1),
  r: z.int().min(1),
  p: z.int().min(1),
  salt: hexBytes(32),
  /** Tells a wrong passphrase from a damaged file, and binds the file to one passphrase. */
  check: hexBytes(16),
});

const sealedSchema = z.strictObject({
  format: z.literal(format),
  kind: z.string().regex(/^[a-z][a-z0-9-]{0,39}$/),
  kdf: kdfSchema,
  nonce: hexBytes(24),
  ciphertext: z
    .string()
    .max(2 + 2 * (maxPlaintext + 16))
    .regex(/^0x([0-9a-f]{2}){16,}$/),
  public: z.record(z.string().regex(/^[a-zA-Z]{1,40}$/), z.string().max(1000)).optional(),
});

/** A sealed secret as it stands in its JSON file. */
export type Sealed = z.infer<typeof sealedSchema>;

/** Text that everybody may read, authenticated together with the secret. */
export type PublicPart = Readonly<Record<string, string>>;

export interface SealOptions {
  /** What the secret is for, `[a-z][a-z0-9-]*`: it opens only as this kind. */
  readonly kind: string;
  readonly passphrase: string;
  readonly public?: PublicPart;
  readonly random?: RandomBytes;
  /** A power of two from 2^10: cheap, for tests and test networks. Whoever gets the file then guesses cheaply too. */
  readonly testOnlyScryptCost?: number;
}

// Composed form, because terminals and systems spell the same accented letter differently.
async function derive(
  passphrase: string,
  { N, r, p, salt }: { N: number; r: number; p: number; salt: string },
): Promise<{ key: Uint8Array; check: Uint8Array }> {
  const derived = await new Promise<Uint8Array>((resolve, reject) => {
    const options = { N, r, p, maxmem: maxMemory };
    scrypt(passphrase.normalize('NFC'), fromHex(salt), 64, options, (error, bytes) =>
      error === null ? resolve(bytes) : reject(error),
    );
  });
  const check = sha256(
    concatBytes(utf8ToBytes('countersign/v1/sealed-check\0'), derived.subarray(32)),
  ).subarray(0, 16);
  derived.fill(0, 32);
  return { key: derived.subarray(0, 32), check };
}

function associatedData({
  kind,
  kdf,
  public: publicPart,
}: Pick<Sealed, 'kind' | 'kdf' | 'public'>): Uint8Array {
  return encodeCanonical({ format, kind, kdf, public: publicPart });
}

/** Throws IdentityError `bad_passphrase` for the empty passphrase. */
export function checkPassphrase(passphrase: string): void {
  if (passphrase === '')
    throw new IdentityError('bad_passphrase', 'the passphrase is empty: choose a longer one');
}

/**
 * Seals at most 64 KiB under a passphrase. Throws IdentityError `bad_passphrase`, or RangeError when an argument is out
 * of bounds.
 */
export async function seal(plaintext: Uint8Array, options: SealOptions): Promise<Sealed> {
  const { kind, passphrase, random = randomBytes, testOnlyScryptCost: N = defaultCost } = options;
  checkPassphrase(passphrase);
  if (plaintext.length > maxPlaintext)
    throw new RangeError(`${plaintext.length} bytes: the limit is ${maxPlaintext}`);
  const salt = toHex(random(32));
  const parameters = { name: 'scrypt', N, r: blockSize, p: parallelism, salt } as const;
  checkCost(parameters, (message) => new RangeError(message));
  const { key, check } = await derive(passphrase, parameters);
  const kdf = { ...parameters, check: toHex(check) };
  const nonce = random(24);
  const head = { kind, kdf, ...(options.public && { public: { ...options.public } }) };
  const ciphertext = xchacha20poly1305(key, nonce, associatedData(head)).encrypt(plaintext);
  key.fill(0);
  const sealed = { format, ...head, nonce: toHex(nonce), ciphertext: toHex(ciphertext) };
  const parsed = sealedSchema.safeParse(sealed);
  if (!parsed.success) throw new RangeError(z.prettifyError(parsed.error));
  return parsed.data;
}

function checkCost(
  { N, r, p }: { N: number; r: number; p: number },
  makeError: (message: string) => Error,
): void {
  const powerOfTwo = Number.isInteger(Math.log2(N));
  if (!powerOfTwo || N < minCost || N > maxCost || r !== blockSize || p !== parallelism) {
    const allowed = `N a power of two from ${minCost} to ${maxCost}, r=${blockSize}, p=${parallelism}`;
    throw makeError(`scrypt parameters N=${N}, r=${r}, p=${p}: expected ${allowed}`);
  }
}

/**
 * Reads the text of a sealed file without opening it; `source` names it in messages. The public part is not yet
 * authenticated. Throws IdentityError `malformed` or `kdf_out_of_bounds`.
 */
export function parseSealed(text: string, source: string): Sealed {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new IdentityError('malformed', `${source} is not JSON: take the file from a backup`);
  }
  const parsed = sealedSchema.safeParse(value);
  if (!parsed.success) {
    const where = parsed.error.issues[0]?.path.join('.') || 'the whole';
    throw new IdentityError(
      'malformed',
      `${source} is not a ${format} file (${where}): take it from a backup`,
    );
  }
  checkCost(parsed.data.kdf, (message) => new IdentityError('kdf_out_of_bounds', `${source}: ${message}`));
  return parsed.data;
}

/**
 * The sealed bytes. Throws IdentityError `wrong_kind`, `wrong_passphrase`, `damaged` or `bad_passphrase`, and
 * `kdf_out_of_bounds` before any work is done.
 */
export async function unseal(
  sealed: Sealed,
  {
    kind,
    passphrase,
    source,
  }: { readonly kind: string; readonly passphrase: string; readonly source: string },
): Promise<Uint8Array> {
  checkPassphrase(passphrase);
  if (sealed.kind !== kind)
    throw new IdentityError('wrong_kind', `${source} holds "${sealed.kind}", expected "${kind}"`);
  checkCost(sealed.kdf, (message) => new IdentityError('kdf_out_of_bounds', `${source}: ${message}`));
  const { key, check } = await derive(passphrase, sealed.kdf);
  try {
    if (!timingSafeEqual(check, fromHex(sealed.kdf.check))) {
      throw new IdentityError('wrong_passphrase', `wrong passphrase for ${source}`);
    }
    return xchacha20poly1305(key, fromHex(sealed.nonce), associatedData(sealed)).decrypt(
      fromHex(sealed.ciphertext),
    );
  } catch (error) {
    if (error instanceof IdentityError) throw error;
    throw new IdentityError('damaged', `${source} was changed since it was sealed: take it from a backup`);
  } finally {
    key.fill(0);
  }
}
