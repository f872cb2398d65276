// Records of known kinds over the database: every value is checked against its kind's schema when it is read.
import * as z from 'zod';
import { NodeStoreError } from './error.ts';
import { LevelDatabase, type Transaction } from '../../storage/level-database.ts';

const schema = 'countersign-node/1';

/** A kind of record: its name begins the record's key, and what it holds. */
export interface Kind<Value> {
  readonly name: string;
  readonly schema: z.ZodType<Value>;
}

/** What a change sees and does. Everything it writes becomes durable in one batch. */
export interface Change {
  get<Value>(kind: Kind<Value>, id: string): Value | undefined;
  /** Throws `invalid` for a value that would not read back. */
  put<Value>(kind: Kind<Value>, id: string, value: Value): void;
  del(kind: Kind<unknown>, id: string): void;
}

/** Ids of records that are counted: 16 digits, so that key order is their order. */
export function countedId(count: number): string {
  return String(count).padStart(16, '0');
}

function recordKey(kind: Kind<unknown>, id: string): string {
  return `${kind.name}!${id}`;
}

function decode<Value>(kind: Kind<Value>, key: string, text: string): Value {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const parsed = kind.schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues[0]?.path.join('.') || 'the whole';
  throw new NodeStoreError(
    'corrupt',
    `the record ${key} is damaged (${where}): restore the node from a backup`,
  );
}

function changeOf(transaction: Transaction): Change {
  return {
    get: (kind, id) => {
      const key = recordKey(kind, id);
      const text = transaction.get(key);
      return text === undefined ? undefined : decode(kind, key, text);
    },
    put: (kind, id, value) => {
      const parsed = kind.schema.safeParse(value);
      if (!parsed.success)
        throw new NodeStoreError('invalid', `${kind.name} record: ${z.prettifyError(parsed.error)}`);
      transaction.put(recordKey(kind, id), JSON.stringify(parsed.data));
    },
    del: (kind, id) => transaction.del(recordKey(kind, id)),
  };
}

export class Journal {
  readonly #database: LevelDatabase;

  private constructor(database: LevelDatabase) {
    this.#database = database;
  }

  /** Throws NodeStoreError `locked`, `corrupt`, `unknown_schema` or `unavailable`. */
  static async open(folder: string): Promise<Journal> {
    const makeError = (code: NodeStoreError['code'], message: string, cause?: unknown): NodeStoreError =>
      new NodeStoreError(code, message, cause);
    return new Journal(await LevelDatabase.open({ name: 'node', folder, schema, makeError }));
  }

  async get<Value>(kind: Kind<Value>, id: string): Promise<Value | undefined> {
    const key = recordKey(kind, id);
    const text = await this.#database.get(key);
    return text === undefined ? undefined : decode(kind, key, text);
  }

  /** Records of a kind in the order of their ids, after the id `after`. */
  async list<Value>(
    kind: Kind<Value>,
    { after = '', limit }: { readonly after?: string; readonly limit?: number } = {},
  ): Promise<readonly Value[]> {
    const prefix = recordKey(kind, '');
    // DEL sorts after every character of an id.
    const range = { gt: prefix + after, lt: `${prefix}\x7f`, ...(limit === undefined ? {} : { limit }) };
    return (await this.#database.range(range)).map(([key, text]) => decode(kind, key, text));
  }

  /**
   * Runs a synchronous change after all earlier ones; durable, whole, when it resolves. Nothing is written if it throws.
   * `what` names its crash points: `node.<what>:before` and `:after`.
   */
  change<T>(what: string, work: (change: Change) => T): Promise<T> {
    return this.#database.transact(what, (transaction) => work(changeOf(transaction)));
  }

  close(): Promise<void> {
    return this.#database.close();
  }
}
