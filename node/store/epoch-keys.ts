// Each epoch of a keyring has a random key in a file of its own, under which the epoch's shares are sealed: destroying
// the file destroys them, which deleting from LevelDB would not. Epoch keys are sealed under the storage key, which is
// sealed under the operator's passphrase, so that scrypt runs once per start.
import { open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import * as z from 'zod';
import { IdentityError } from '../../client/identity/error.ts';
import { readPrivateFile, writePrivateFile } from '../../client/identity/sealed-file.ts';
import { fromHex, hexBytes, toHex } from '../../protocol/hex.ts';
import { encodeCanonical } from '../../protocol/records/canonical.ts';
import { epochSchema, formatEpoch, recordIdSchema } from '../../protocol/records/fields.ts';
import { removeLeftovers, syncFolder } from '../../storage/atomic-file.ts';
import { crashPoint } from '../../storage/crash-point.ts';
import type { RandomBytes } from '../mpc/machine.ts';
import { NodeStoreError } from './error.ts';

const format = 'countersign-epoch-key/1';
const keyLength = 32;
const nonceLength = 24;

/** Ciphertext of XChaCha20-Poly1305 with its nonce. */
export const sealedBytesSchema = z.strictObject({
  nonce: hexBytes(nonceLength),
  ciphertext: z.string().regex(/^0x([0-9a-f]{2}){16,}$/),
});
export type SealedBytes = z.infer<typeof sealedBytesSchema>;

export const epochOfKeyringSchema = z.strictObject({ keyringId: recordIdSchema, epoch: epochSchema });
/** An epoch of one keyring. */
export type EpochOfKeyring = z.infer<typeof epochOfKeyringSchema>;

const fileSchema = z.strictObject({
  format: z.literal(format),
  ...epochOfKeyringSchema.shape,
  sealed: sealedBytesSchema,
});

/** `<keyringId>-<roster>.<run>`. */
export function epochName({ keyringId, epoch }: EpochOfKeyring): string {
  return `${keyringId}-${formatEpoch(epoch)}`;
}

function sealBytes(
  key: Uint8Array,
  plaintext: Uint8Array,
  context: object,
  random: RandomBytes,
): SealedBytes {
  const nonce = random(nonceLength);
  const ciphertext = xchacha20poly1305(key, nonce, encodeCanonical(context)).encrypt(plaintext);
  return { nonce: toHex(nonce), ciphertext: toHex(ciphertext) };
}

function openBytes(key: Uint8Array, { nonce, ciphertext }: SealedBytes, context: object): Uint8Array {
  return xchacha20poly1305(key, fromHex(nonce), encodeCanonical(context)).decrypt(fromHex(ciphertext));
}

/** What a share is bound to: it opens for this key, keyring and epoch only. */
export interface ShareContext extends EpochOfKeyring {
  readonly keyId: string;
}

function shareContext({ keyId, keyringId, epoch }: ShareContext): object {
  return { purpose: 'countersign/v1/share', keyId, keyringId, epoch };
}

export class EpochKeys {
  readonly #folder: string;
  readonly #storageKey: Uint8Array;
  readonly #random: RandomBytes;
  readonly #keys = new Map<string, Uint8Array>();
  #turn: Promise<unknown> = Promise.resolve();

  /** Takes over `storageKey`, 32 bytes: `close` zeroes it. */
  constructor(folder: string, storageKey: Uint8Array, random: RandomBytes) {
    this.#folder = folder;
    this.#storageKey = storageKey;
    this.#random = random;
  }

  /** Holds the epoch's key from now on. Throws `corrupt` when its file is gone or damaged. */
  async load(of: EpochOfKeyring): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#keys.has(epochName(of))) return;
      const key = await this.#read(of);
      if (key === undefined) throw this.#damaged(of, 'it is missing');
      this.#keys.set(epochName(of), key);
    });
  }

  /** Holds the epoch's key from now on; makes it, durably, when there is none. */
  async ensure(of: EpochOfKeyring): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#keys.has(epochName(of))) return;
      this.#keys.set(epochName(of), (await this.#read(of)) ?? (await this.#create(of)));
    });
  }

  /** Synchronous, so that no erasure comes between taking the key and using it. Throws `epoch_erased`. */
  sealShare(context: ShareContext, plaintext: Uint8Array): SealedBytes {
    return sealBytes(this.#held(context), plaintext, shareContext(context), this.#random);
  }

  /** Throws `corrupt` when the share was sealed for another context or was changed, `epoch_erased` without the key. */
  openShare(context: ShareContext, sealed: SealedBytes): Uint8Array {
    const key = this.#held(context);
    try {
      return openBytes(key, sealed, shareContext(context));
    } catch {
      const message = `the share of key ${context.keyId} in epoch ${epochName(context)} does not open`;
      throw new NodeStoreError('corrupt', `${message}: restore the node from a backup`);
    }
  }

  /** Destroys the epoch's key: overwritten, then removed. Best effort on disks that keep old blocks. */
  async erase(of: EpochOfKeyring): Promise<void> {
    await this.#inTurn(async () => {
      this.#keys.get(epochName(of))?.fill(0);
      this.#keys.delete(epochName(of));
      const path = this.#path(of);
      const point = 'node.epoch-key.erased';
      try {
        crashPoint(`${point}:before`);
        const file = await open(path, 'r+');
        try {
          const { size } = await file.stat();
          await file.write(this.#random(size), 0, size, 0);
          await file.sync();
        } finally {
          await file.close();
        }
        crashPoint(`${point}:overwritten`);
        await rm(path);
        await syncFolder(this.#folder);
        crashPoint(`${point}:after`);
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        if (code === 'ENOENT') return;
        const advice = 'remove it by hand';
        throw new NodeStoreError(
          'unavailable',
          `cannot erase ${path} (${code ?? message}): ${advice}`,
          error,
        );
      }
    });
  }

  /** Removes what killed processes left beside the key files: it may hold a key that is then erased. */
  async removeLeftovers(): Promise<void> {
    const files = await readdir(this.#folder);
    const named = new Set(files.flatMap((file) => /^\.(.+\.key)\.[0-9a-f]+\.tmp$/.exec(file)?.[1] ?? []));
    await removeLeftovers(this.#folder, [...named]);
  }

  /** Names of the epochs that have a key file. */
  async names(): Promise<readonly string[]> {
    return await epochNames(this.#folder);
  }

  /** Zeroes every key held. */
  async close(): Promise<void> {
    await this.#inTurn(async () => {
      for (const key of [...this.#keys.values(), this.#storageKey]) key.fill(0);
      this.#keys.clear();
    });
  }

  #held(of: EpochOfKeyring): Uint8Array {
    const key = this.#keys.get(epochName(of));
    if (key === undefined) throw erasedError(of);
    return key;
  }

  #path(of: EpochOfKeyring): string {
    return join(this.#folder, `${epochName(of)}.key`);
  }

  #context({ keyringId, epoch }: EpochOfKeyring): object {
    return { purpose: format, keyringId, epoch };
  }

  async #read(of: EpochOfKeyring): Promise<Uint8Array | undefined> {
    let bytes: Uint8Array;
    try {
      bytes = await readPrivateFile(this.#path(of));
    } catch (error) {
      if (error instanceof IdentityError && error.code === 'missing') return undefined;
      throw new NodeStoreError('unavailable', (error as Error).message, error);
    }
    try {
      const file = fileSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
      if (epochName(file) !== epochName(of)) throw new TypeError('the key of another epoch');
      return openBytes(this.#storageKey, file.sealed, this.#context(of));
    } catch {
      throw this.#damaged(of, 'it does not open');
    }
  }

  async #create(of: EpochOfKeyring): Promise<Uint8Array> {
    const key = this.#random(keyLength);
    const sealed = sealBytes(this.#storageKey, key, this.#context(of), this.#random);
    const { keyringId, epoch } = of;
    const file: z.infer<typeof fileSchema> = { format, keyringId, epoch, sealed };
    try {
      const text = utf8ToBytes(`${JSON.stringify(file)}\n`);
      await writePrivateFile(this.#path(of), text, { name: 'node.epoch-key' });
    } catch (error) {
      throw new NodeStoreError('unavailable', (error as Error).message, error);
    }
    return key;
  }

  #damaged(of: EpochOfKeyring, what: string): NodeStoreError {
    return new NodeStoreError('corrupt', `${this.#path(of)}: ${what}: restore the node from a backup`);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

/** Names of the epochs that have a key file in a folder. */
export async function epochNames(folder: string): Promise<readonly string[]> {
  const files = await readdir(folder);
  return files.filter((file) => file.endsWith('.key')).map((file) => file.slice(0, -'.key'.length));
}

export function erasedError(of: EpochOfKeyring): NodeStoreError {
  return new NodeStoreError(
    'epoch_erased',
    `the shares of epoch ${epochName(of)} were erased: use a later epoch`,
  );
}
