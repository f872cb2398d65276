// Each epoch of a keyring has a random key in a file of its own, under which the epoch's shares are sealed: destroying
// the file destroys them, which deleting from LevelDB would not. Epoch keys are sealed under the storage key, which is
// sealed under the operator's passphrase, so that scrypt runs once per start.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import * as z from 'zod';
import { IdentityError } from '../../client/identity/error.ts';
import { readPrivateFile, writePrivateFile } from '../../client/identity/sealed-file.ts';
import { epochSchema, formatEpoch, recordIdSchema } from '../../protocol/records/fields.ts';
import { removeLeftovers } from '../../storage/atomic-file.ts';
import type { RandomBytes } from '../mpc/machine.ts';
import { eraseFile } from './erase-file.ts';
import { NodeStoreError } from './error.ts';
import { openBytes, type SealedBytes, sealBytes, sealedBytesSchema } from './sealed-bytes.ts';

const format = 'countersign-epoch-key/1';
const keyLength = 32;

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
      const point = 'node.epoch-key.erased';
      await eraseFile(this.#path(of), this.#random, point);
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
