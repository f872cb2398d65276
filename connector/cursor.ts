// How far the connector has come, on disk: the last event whose request the node has stored, and the last of the node's
// results that the coordinator has answered. Losing one is harmless, because everything is handed over at least once.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { type Hex } from '../protocol/hex.ts';
import { networkIdSchema, recordIdSchema } from '../protocol/records/fields.ts';
import { writeAtomically } from '../storage/atomic-file.ts';
import { ConnectorError, storageError } from './connector-error.ts';

const schema = z.strictObject({
  version: z.literal(1),
  networkId: networkIdSchema,
  keyringId: recordIdSchema,
  sequence: z.int().min(0),
});

export interface CursorName {
  readonly dir: string;
  /** `events`: of the keyring's stream at the coordinator; `results`: of the node's own results. */
  readonly of: 'events' | 'results';
  readonly networkId: string;
  readonly keyringId: Hex;
}

export class Cursor {
  readonly path: string;
  readonly #name: CursorName;
  #durable: number | undefined;
  #wanted: number | undefined;
  #writing: Promise<void> | undefined;

  private constructor(path: string, name: CursorName, sequence: number | undefined) {
    this.path = path;
    this.#name = name;
    this.#durable = sequence;
  }

  /** Reads a cursor from its file, if there is one. Throws ConnectorError `corrupt_cursor` or `storage`. */
  static async open(name: CursorName): Promise<Cursor> {
    const path = join(name.dir, `${name.of}-${name.keyringId.slice(2)}.json`);
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return new Cursor(path, name, undefined);
      throw new ConnectorError(
        'storage',
        `cannot read ${path} (${code}): check the rights of the folder`,
        error,
      );
    }
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      // Refused below, like JSON that is something else.
    }
    const parsed = schema.safeParse(value);
    if (
      !parsed.success ||
      parsed.data.networkId !== name.networkId ||
      parsed.data.keyringId !== name.keyringId
    ) {
      throw new ConnectorError(
        'corrupt_cursor',
        `${path} is not the cursor of this keyring and network: delete it; what it counted is then handed over once ` +
          'more, which is safe',
      );
    }
    return new Cursor(path, name, parsed.data.sequence);
  }

  /** The sequence on disk; undefined when there is none yet. */
  get sequence(): number | undefined {
    return this.#durable;
  }

  /** Returns once this sequence, or one set later, is on disk. Throws ConnectorError `storage`. */
  async set(sequence: number): Promise<void> {
    this.#wanted = sequence;
    while (this.#wanted !== undefined || this.#writing !== undefined) {
      this.#writing ??= this.#write().finally(() => (this.#writing = undefined));
      await this.#writing;
    }
  }

  /** Writes what is wanted at this moment; calls that come meanwhile share the next write. */
  async #write(): Promise<void> {
    const sequence = this.#wanted;
    this.#wanted = undefined;
    if (sequence === undefined || sequence === this.#durable) return;
    const { of, networkId, keyringId } = this.#name;
    const text = `${JSON.stringify({ version: 1, networkId, keyringId, sequence })}\n`;
    await writeAtomically(this.path, text, { name: `connector.cursor.${of}` }).catch((error: unknown) => {
      throw storageError(this.path, error);
    });
    this.#durable = sequence;
  }
}
