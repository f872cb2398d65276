// What a node remembers of each pair of itself and another party: the ban, the mark of a check under way, the incidents, and
// which pair setups there are. All of it is one record of the two party keys, so that it outlives epochs and keyrings; the
// setups' secrets are in files (pair-files.ts), which are written before the record that names them, and erased after it no
// longer does.
import * as z from 'zod';
import { fromHex, type Hex, hexBytes, toHex } from '../../protocol/hex.ts';
import { type Epoch, ed25519CredentialSchema, sameEpoch } from '../../protocol/records/fields.ts';
import { type EpochOfKeyring, epochOfKeyringSchema } from './epoch-keys.ts';
import { NodeStoreError } from './error.ts';
import type { Change, Journal, Kind } from './journal.ts';
import type { PairFiles } from './pair-files.ts';

/** Times of incidents that are kept: more than the ban gate counts. */
const keptIncidents = 32;
const setupIdLength = 32;

const setupSchema = z.strictObject({ ...epochOfKeyringSchema.shape, setup: hexBytes(setupIdLength) });
type NamedSetup = z.infer<typeof setupSchema>;

const banSchema = z.strictObject({
  at: z.int(),
  code: z.string().min(1).max(64),
  detail: z.string().max(500),
});
export type StoredBan = Readonly<z.infer<typeof banSchema>>;

const recordSchema = z.strictObject({
  self: ed25519CredentialSchema,
  peer: ed25519CredentialSchema,
  ban: banSchema.optional(),
  checking: z.literal(true).optional(),
  incidents: z.array(z.int()).max(keptIncidents),
  setups: z.array(setupSchema),
});
type PairRecord = z.infer<typeof recordSchema>;

const pairKind: Kind<PairRecord> = { name: 'pair', schema: recordSchema };

/** Whose pairs, and the setups of which keyring and epoch. */
export interface PairScope extends EpochOfKeyring {
  /** This party's credential. */
  readonly self: string;
}

export interface StoredSetup {
  /** 32 bytes. */
  readonly id: Uint8Array;
  /** SECRET. */
  readonly secrets: Uint8Array;
}

/** Times in milliseconds since 1970. */
export interface PairEntry {
  readonly party: string;
  readonly setup?: StoredSetup;
  /** The record names a setup, of whatever epoch, whose file is gone: the folder was restored from a backup. */
  readonly setupLost: boolean;
  readonly ban?: StoredBan | undefined;
  readonly checking: boolean;
  readonly incidents: readonly number[];
}

/** The setups that records name, and the way to forget those of an epoch. */
export class PairRecords {
  readonly #journal: Journal;
  readonly #files: PairFiles;

  constructor(journal: Journal, files: PairFiles) {
    this.#journal = journal;
    this.#files = files;
  }

  /** Erases files that no record names. */
  async eraseStrays(): Promise<void> {
    const records = await this.#journal.list(pairKind);
    await this.#files.eraseOthers(new Set(records.flatMap(({ setups }) => setups.map(({ setup }) => setup))));
  }

  /** Forgets and erases the setups of an epoch, of every pair. */
  async dropEpoch({ keyringId, epoch }: { keyringId: string; epoch: Epoch }): Promise<void> {
    const isOf = (setup: NamedSetup): boolean =>
      setup.keyringId === keyringId && sameEpoch(setup.epoch, epoch);
    for (const { self, peer } of await this.#journal.list(pairKind)) {
      const dropped = await this.#journal.change('pair.epoch', (change) => {
        const record = read(change, self, peer);
        const setups = record.setups.filter(isOf);
        if (setups.length > 0)
          write(change, { ...record, setups: record.setups.filter((setup) => !isOf(setup)) });
        return setups;
      });
      for (const { setup } of dropped) await this.#files.erase(setup);
    }
  }
}

function recordId(self: string, peer: string): string {
  return `${self}/${peer}`;
}

function read(change: Change, self: string, peer: string): PairRecord {
  return change.get(pairKind, recordId(self, peer)) ?? { self, peer, incidents: [], setups: [] };
}

function write(change: Change, record: PairRecord): void {
  change.put(pairKind, recordId(record.self, record.peer), record);
}

/**
 * The pairs of one party, with the setups of one keyring and epoch. Each method's effect on the record is one synchronous
 * batch, there when its promise resolves. Throws what the journal throws, and `unavailable` for a file.
 */
export class Pairs {
  readonly #journal: Journal;
  readonly #files: PairFiles;
  readonly #scope: PairScope;
  /** Setups that no record names any more, and whose files are still to be erased. */
  readonly #unerased = new Set<Hex>();

  constructor(journal: Journal, files: PairFiles, scope: PairScope) {
    this.#journal = journal;
    this.#files = files;
    this.#scope = scope;
  }

  async load(): Promise<readonly PairEntry[]> {
    const records = await this.#journal.list(pairKind);
    return await Promise.all(
      records.filter(({ self }) => self === this.#scope.self).map((record) => this.#entry(record)),
    );
  }

  /** The older setup of the same keyring and epoch is erased. */
  async adopt(party: string, { id, secrets }: StoredSetup): Promise<void> {
    const setup = setupId(id);
    const { keyringId, epoch } = this.#scope;
    await this.#files.write(this.#context(party, setup), secrets);
    const replaced = await this.#journal.change('pair.setup', (change) => {
      const record = read(change, this.#scope.self, party);
      if (record.ban)
        throw new NodeStoreError('wrong_state', `the pair with ${party} is banned: lift it first`);
      const others = record.setups.filter((other) => !this.#isOwn(other));
      write(change, { ...record, setups: [...others, { keyringId, epoch, setup }] });
      return record.setups.filter((other) => this.#isOwn(other) && other.setup !== setup);
    });
    await this.#erase(replaced);
  }

  /** A check begins. */
  async mark(party: string): Promise<void> {
    await this.#journal.change('pair.checking', (change) =>
      write(change, { ...read(change, this.#scope.self, party), checking: true }),
    );
  }

  /** No check is under way. */
  async clear(party: string): Promise<void> {
    await this.#journal.change('pair.checked', (change) => {
      const { checking: _, ...record } = read(change, this.#scope.self, party);
      write(change, record);
    });
  }

  /** Erases the setup with this id, and notes the incidents. */
  async drop(party: string, id: Uint8Array, incidents: readonly number[]): Promise<void> {
    const dropped = setupId(id);
    await this.#journal.change('pair.destroyed', (change) => {
      const record = read(change, this.#scope.self, party);
      const setups = record.setups.filter(({ setup }) => setup !== dropped);
      write(change, { ...record, setups, incidents: [...incidents] });
    });
    await this.#files.erase(dropped);
  }

  /** Erases all setups of the pair, of every keyring and epoch. A ban that stands stays as it is. */
  async ban(party: string, ban: StoredBan, incidents: readonly number[]): Promise<void> {
    const setups = await this.#journal.change('pair.banned', (change) => {
      const { checking: _, ...record } = read(change, this.#scope.self, party);
      const stands = record.ban ?? { ...ban, detail: ban.detail.slice(0, 500) };
      write(change, { ...record, ban: stands, incidents: [...incidents], setups: [] });
      return record.setups;
    });
    await this.#erase(setups);
  }

  /** Forgets ban and incidents, and erases all setups of the pair. */
  async lift(party: string): Promise<void> {
    const setups = await this.#journal.change('pair.lifted', (change) => {
      const { ban: _, ...record } = read(change, this.#scope.self, party);
      write(change, { ...record, incidents: [], setups: [] });
      return record.setups;
    });
    await this.#erase(setups);
  }

  async #entry({ peer, ban, checking, incidents, setups }: PairRecord): Promise<PairEntry> {
    const held = await Promise.all(
      setups.map(async (named) => {
        const secrets = await this.#files.read({ ...named, self: this.#scope.self, peer });
        if (secrets !== undefined && !this.#isOwn(named)) secrets.fill(0);
        return { named, secrets };
      }),
    );
    const own = held.find(({ named }) => this.#isOwn(named));
    return {
      party: peer,
      ...(own?.secrets && { setup: { id: fromHex(own.named.setup), secrets: own.secrets } }),
      setupLost: held.some(({ secrets }) => secrets === undefined),
      ban,
      checking: checking === true,
      incidents,
    };
  }

  #isOwn(setup: NamedSetup): boolean {
    return setup.keyringId === this.#scope.keyringId && sameEpoch(setup.epoch, this.#scope.epoch);
  }

  #context(peer: string, setup: Hex) {
    const { self, keyringId, epoch } = this.#scope;
    return { self, peer, keyringId, epoch, setup };
  }

  async #erase(setups: readonly NamedSetup[]): Promise<void> {
    for (const { setup } of setups) this.#unerased.add(setup);
    for (const setup of this.#unerased) {
      await this.#files.erase(setup);
      this.#unerased.delete(setup);
    }
  }
}

function setupId(id: Uint8Array): Hex {
  if (id.length === setupIdLength) return toHex(id);
  throw new NodeStoreError('invalid', `the id of a pair setup has ${setupIdLength} bytes, not ${id.length}`);
}

/** Throws `invalid`. */
export function pairScope(self: string, keyringId: string, epoch: Epoch): PairScope {
  const parsed = epochOfKeyringSchema.safeParse({ keyringId, epoch });
  if (!parsed.success || !ed25519CredentialSchema.safeParse(self).success)
    throw new NodeStoreError('invalid', 'pairs are of a party key, a keyring id and an epoch');
  return { self, ...parsed.data };
}
