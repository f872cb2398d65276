// Workspaces and keyrings: registered once from signed records, and shown with what the coordinator has seen of the
// parties. Presence is kept in memory alone: after a restart the next heartbeats tell it again.
import type { Hex } from '../protocol/hex.ts';
import { type Envelope, readContent } from '../protocol/records/envelope.ts';
import { timestamp } from '../protocol/records/fields.ts';
import { keyringRoster, openKeyring } from '../protocol/records/keyring-roster.ts';
import { openWorkspace } from '../protocol/records/workspace.ts';
import type { KeyringView, WorkspaceView } from '../protocol/rpc.ts';
import type { Access } from './access.ts';
import type { Repository } from './repository.ts';
import { StateError } from './state/error.ts';

export interface RegistryOptions {
  readonly networkId: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly log: (event: string, fields: Record<string, unknown>) => void;
}

/** Keyrings whose parties `presence` tells of; a coordinator serves some, or some dozens. */
const maxKnown = 200;

/** What is known of a party in a keyring since this process started. */
export interface Presence {
  readonly keyringId: Hex;
  /** Of the party, in the roster. */
  readonly name: string;
  /** When its connector was last heard of, in milliseconds since 1970; undefined: never. */
  readonly seen: number | undefined;
  readonly nodeUp: boolean;
}

export class Registry {
  readonly #repository: Repository;
  readonly #access: Access;
  readonly #options: RegistryOptions;
  readonly #presence = new Map<string, { seen: number; nodeUp: boolean }>();
  /** Names of each known keyring's parties, by key. */
  readonly #parties = new Map<Hex, ReadonlyMap<string, string>>();

  constructor(repository: Repository, access: Access, options: RegistryOptions) {
    this.#repository = repository;
    this.#access = access;
    this.#options = options;
  }

  /** Registers a workspace, or finds it there. Throws RecordError, and StateError when its signer may not create. */
  async createWorkspace(genesis: Envelope): Promise<WorkspaceView> {
    const { networkId, now, log } = this.#options;
    // Before anything is verified: whoever is not on the list costs nothing. That they did sign is verified next.
    this.#access.mayCreate(genesis.signatures.map((entry) => entry.credential));
    const { id, name, parent } = openWorkspace([genesis], networkId);
    if (parent !== undefined) await this.#requireParent(parent);
    const added = await this.#repository.workspaces.add(genesis, now());
    if (added) log('workspace.created', { workspaceId: id, name });
    return this.workspaceView(id);
  }

  /** Throws StateError unless it is here and may have children. Whether it wants this one, a change of it says. */
  async #requireParent(id: Hex): Promise<void> {
    const parent = await this.#repository.workspaces.open(id);
    if (parent.parent === undefined) return;
    const remedy = 'name a workspace as parent that has none itself';
    throw new StateError('wrong_state', `workspace ${id} is itself a child workspace`, remedy);
  }

  /** Registers a keyring, or finds it there. Throws RecordError, and StateError when its admin may not create. */
  async createKeyring(roster: Envelope): Promise<KeyringView> {
    const { networkId, now, log } = this.#options;
    const { admins } = readContent(keyringRoster, roster, networkId).content;
    const signed = roster.signatures.map((entry) => entry.credential);
    // Before anything is verified, as above.
    this.#access.mayCreate(admins.filter((admin) => signed.includes(admin)));
    const keyring = openKeyring(roster, networkId);
    const added = await this.#repository.addKeyring(keyring.id, roster, now());
    if (added) log('keyring.created', { keyringId: keyring.id, name: keyring.roster.name });
    this.#know(keyring.id, keyring.roster.parties);
    return this.keyringView(keyring.id);
  }

  async workspaceView(id: Hex): Promise<WorkspaceView> {
    const { log, parentLog } = await this.#repository.workspaces.logs(id);
    const { name, head } = openWorkspace(log, this.#options.networkId);
    return { workspaceId: id, name, head, log: [...log], ...(parentLog && { parentLog: [...parentLog] }) };
  }

  async keyringView(id: Hex): Promise<KeyringView> {
    const { roster } = await this.#repository.keyring(id);
    const keyring = openKeyring(roster, this.#options.networkId);
    const presence = keyring.roster.parties.map(({ key }) => {
      const heard = this.#presence.get(`${id}/${key}`);
      return { party: key, nodeUp: heard?.nodeUp ?? false, ...(heard && { seen: timestamp(heard.seen) }) };
    });
    return { keyringId: id, epoch: keyring.epoch, roster, presence };
  }

  /** Reads the rosters in the store, the first of them. */
  async knowKeyrings(signal: AbortSignal): Promise<void> {
    let after: string | undefined;
    do {
      const page = await this.#repository.keyrings(after, 50);
      for (const id of page.ids) {
        if (signal.aborted || this.#parties.size >= maxKnown) return;
        const { roster } = await this.#repository.keyring(id);
        this.#know(id, readContent(keyringRoster, roster, this.#options.networkId).content.parties);
      }
      after = page.next;
    } while (after !== undefined);
  }

  #know(id: Hex, parties: readonly { readonly key: string; readonly name: string }[]): void {
    if (this.#parties.size >= maxKnown) return;
    this.#parties.set(id, new Map(parties.map(({ key, name }) => [key, name])));
  }

  /** Of every party of the known keyrings. */
  presence(): readonly Presence[] {
    return [...this.#parties].flatMap(([keyringId, parties]) =>
      [...parties].map(([key, name]) => {
        const heard = this.#presence.get(`${keyringId}/${key}`);
        return { keyringId, name, seen: heard?.seen, nodeUp: heard?.nodeUp ?? false };
      }),
    );
  }

  /** A party's connector was heard of. */
  heard(keyringId: Hex, party: string, nodeUp: boolean): void {
    this.#presence.set(`${keyringId}/${party}`, { seen: this.#options.now(), nodeUp });
  }
}
