// Connectors this node admits at its door: the `connector.grant` records in its folder, which its own party key signed.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connectorGrant } from '../protocol/records/connector-grant.ts';
import { envelopeSchema, verifyRecord } from '../protocol/records/envelope.ts';
import { timeOf } from '../protocol/records/fields.ts';

export interface GrantOptions {
  readonly folder: string;
  readonly networkId: string;
  readonly keyringId: string;
  /** This party's credential. */
  readonly party: string;
  readonly now: () => number;
  readonly log: (event: string, fields: Record<string, unknown>) => void;
}

export class Grants {
  readonly #options: GrantOptions;
  #granted: readonly { connector: string; expires: number }[] = [];

  constructor(options: GrantOptions) {
    this.#options = options;
  }

  /** Reads the folder again. A file that is no valid grant of this party is named in the log and left out. */
  async load(): Promise<number> {
    const { folder, networkId, keyringId, party, log } = this.#options;
    const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    const granted: { connector: string; expires: number }[] = [];
    for (const name of names.filter((file) => file.endsWith('.json'))) {
      try {
        const envelope = envelopeSchema.parse(JSON.parse(await readFile(join(folder, name), 'utf8')));
        const { content } = verifyRecord(connectorGrant, envelope, networkId);
        if (content.party !== party || content.keyringId !== keyringId)
          throw new Error('it is of another party or keyring');
        granted.push({ connector: content.connector, expires: timeOf(content.expires) });
      } catch (error) {
        log('grant.ignored', { file: name, message: (error as Error).message });
      }
    }
    this.#granted = granted;
    return granted.length;
  }

  /** Credentials with a grant that has not run out. */
  current(): readonly string[] {
    const now = this.#options.now();
    return this.#granted.filter(({ expires }) => expires > now).map(({ connector }) => connector);
  }
}
