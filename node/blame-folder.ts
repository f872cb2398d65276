// The folder in which a node keeps its proofs of other parties' faults: one bundle a file, for its operator to read, verify
// and pass on. Evidence only: the node never reads a bundle back, and whoever deletes one takes nothing from it.
//
// Bounded for each accused party, so that nobody can push out the proofs against another by many faults of its own: the
// first ones stay, for what a party did first is what an operator must know, and later ones are no news.
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder, removeLeftovers, writeAtomically } from '../storage/atomic-file.ts';
import type { BlameFile, BlameSink } from './sessions/context.ts';

/** About each accused party; with the 50 parties of the largest keyring, 800 files at most. */
const maxFiles = 16;
const maxBytes = 16 * 1024 * 1024;

const fileName = /^([0-9a-f]{16})-[0-9a-f]{32}\.json$/;

export interface BlameFolderOptions {
  readonly folder: string;
  readonly log: (event: string, fields: Record<string, unknown>) => void;
}

interface Kept {
  files: number;
  bytes: number;
}

export class BlameFolder implements BlameSink {
  readonly #options: BlameFolderOptions;
  /** By the accused's short name. */
  readonly #kept = new Map<string, Kept>();

  constructor(options: BlameFolderOptions) {
    this.#options = options;
  }

  /** Counts what is there. A folder that cannot be read is logged, and taken for an empty one. */
  async load(): Promise<void> {
    const { folder, log } = this.#options;
    try {
      const files = await readdir(folder);
      // What a killed node left half written: bundles are written by the node alone.
      await removeLeftovers(
        folder,
        files.flatMap((file) => /^\.(.+\.json)\./.exec(file)?.[1] ?? []),
      );
      for (const name of files) {
        const accused = fileName.exec(name)?.[1];
        if (accused === undefined) continue;
        const { size } = await stat(join(folder, name));
        this.#count(accused, 1, size);
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      log('blame.failed', { folder, message: (error as Error).message });
    }
  }

  /** Bundles in the folder. */
  get size(): number {
    return [...this.#kept.values()].reduce((sum, { files }) => sum + files, 0);
  }

  wants(accused: string): boolean {
    const { files, bytes } = this.#of(shortName(accused));
    return files < maxFiles && bytes < maxBytes;
  }

  async keep({ id, accused, code, requestId, attemptId, bytes }: BlameFile): Promise<void> {
    const { folder, log } = this.#options;
    const name = shortName(accused);
    const path = join(folder, `${name}-${id.slice(0, 32)}.json`);
    const about = { id, code, culprit: accused, requestId, attemptId };
    if (!this.wants(accused)) {
      log('blame.dropped', { ...about, reason: `${maxFiles} bundles about this party are kept already` });
      return;
    }
    // Counted before the write: of several at once none may pass the bound.
    this.#count(name, 1, bytes.length);
    try {
      await makeFolder(folder);
      await writeAtomically(path, bytes, { name: 'node.blame' });
      log('blame.recorded', { ...about, path });
    } catch (error) {
      this.#count(name, -1, -bytes.length);
      log('blame.failed', { ...about, path, message: (error as Error).message });
    }
  }

  #of(name: string): Kept {
    return this.#kept.get(name) ?? { files: 0, bytes: 0 };
  }

  #count(name: string, files: number, bytes: number): void {
    const before = this.#of(name);
    this.#kept.set(name, { files: before.files + files, bytes: before.bytes + bytes });
  }
}

/** The first 8 bytes of a party's public key, in hex. */
function shortName(credential: string): string {
  return credential.replace(/^[^:]*:0x/, '').slice(0, 16);
}
