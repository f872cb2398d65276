// The secrets of pair setups: one sealed file each, in a folder of its own that backups leave out. What a backup would bring
// back is a setup that may have been destroyed since, for a reason; a new one costs seconds. Erasing one overwrites its file.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import * as z from 'zod';
import { IdentityError } from '../../client/identity/error.ts';
import { readPrivateFile, writePrivateFile } from '../../client/identity/sealed-file.ts';
import type { Hex } from '../../protocol/hex.ts';
import { removeLeftovers } from '../../storage/atomic-file.ts';
import type { RandomBytes } from '../mpc/machine.ts';
import type { EpochOfKeyring } from './epoch-keys.ts';
import { eraseFile } from './erase-file.ts';
import { NodeStoreError } from './error.ts';
import { openBytes, sealBytes, sealedBytesSchema } from './sealed-bytes.ts';

const format = 'countersign-pair-setup/1';
const extension = '.setup';
const fileSchema = z.strictObject({ format: z.literal(format), sealed: sealedBytesSchema });

/** What the secrets of a setup are bound to. */
export interface PairSetupContext extends EpochOfKeyring {
  /** Credentials of the two parties, this one's first. */
  readonly self: string;
  readonly peer: string;
  /** 32 bytes: also the file's name. */
  readonly setup: Hex;
}

function sealContext({ self, peer, keyringId, epoch, setup }: PairSetupContext): object {
  return { purpose: format, self, peer, keyringId, epoch, setup };
}

export class PairFiles {
  readonly #folder: string;
  readonly #storageKey: Uint8Array;
  readonly #random: RandomBytes;

  /** Takes over `storageKey`, 32 bytes: `close` zeroes it. */
  constructor(folder: string, storageKey: Uint8Array, random: RandomBytes) {
    this.#folder = folder;
    this.#storageKey = storageKey;
    this.#random = random;
  }

  /** Durable when it resolves. Throws `unavailable`. */
  async write(context: PairSetupContext, secrets: Uint8Array): Promise<void> {
    const sealed = sealBytes(this.#storageKey, secrets, sealContext(context), this.#random);
    const file: z.infer<typeof fileSchema> = { format, sealed };
    try {
      const text = utf8ToBytes(`${JSON.stringify(file)}\n`);
      await writePrivateFile(this.#path(context.setup), text, { name: 'node.pair-setup', replace: true });
    } catch (error) {
      throw new NodeStoreError('unavailable', (error as Error).message, error);
    }
  }

  /**
   * Undefined when the file is gone, or is not the one that was written: a setup is made anew more easily than it is
   * repaired. Throws `unavailable` when it cannot be read.
   */
  async read(context: PairSetupContext): Promise<Uint8Array | undefined> {
    let bytes: Uint8Array;
    try {
      bytes = await readPrivateFile(this.#path(context.setup));
    } catch (error) {
      if (error instanceof IdentityError && error.code === 'missing') return undefined;
      throw new NodeStoreError('unavailable', (error as Error).message, error);
    }
    try {
      const { sealed } = fileSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
      return openBytes(this.#storageKey, sealed, sealContext(context));
    } catch {
      return undefined;
    }
  }

  /** Throws `unavailable`. */
  async erase(setup: Hex): Promise<void> {
    const point = 'node.pair-setup.erased';
    await eraseFile(this.#path(setup), this.#random, point);
  }

  /** Erases what no record knows: what killed processes left. */
  async eraseOthers(known: ReadonlySet<string>): Promise<void> {
    const files = await readdir(this.#folder);
    const named = files.flatMap((file) => /^\.(.+\.setup)\.[0-9a-f]+\.tmp$/.exec(file)?.[1] ?? []);
    await removeLeftovers(this.#folder, [...new Set(named)]);
    for (const file of files.filter((name) => /^[0-9a-f]{64}\.setup$/.test(name))) {
      const setup: Hex = `0x${file.slice(0, -extension.length)}`;
      if (!known.has(setup)) await this.erase(setup);
    }
  }

  close(): void {
    this.#storageKey.fill(0);
  }

  #path(setup: Hex): string {
    return join(this.#folder, `${setup.slice(2)}${extension}`);
  }
}
