// Who may do what: owners read their workspaces, connectors what their party's keyring serves, and only whom the
// configuration names may register anything. Everything else is open, because it is signed.
import type { Hex } from '../protocol/hex.ts';
import { openKeyring } from '../protocol/records/keyring-roster.ts';
import { ownerOf } from '../protocol/records/workspace.ts';
import type { Repository } from './repository.ts';
import type { Caller } from './rpc/handlers.ts';
import { StateError } from './state/error.ts';
import type { StoredRequest } from './state/request.ts';

/** Who may register keyrings and workspaces: anybody, or these credentials as admin or owner. */
export type CreateRule = 'open' | { readonly allowlist: readonly string[] };

export class Access {
  readonly #repository: Repository;
  readonly #networkId: string;
  readonly #create: CreateRule;

  constructor(repository: Repository, networkId: string, create: CreateRule) {
    this.#repository = repository;
    this.#networkId = networkId;
    this.#create = create;
  }

  /** Throws StateError `forbidden` unless one of these credentials, which signed, may register something. */
  mayCreate(credentials: readonly string[]): void {
    const create = this.#create;
    if (create === 'open' || credentials.some((credential) => create.allowlist.includes(credential))) return;
    const remedy = 'its operator can add one of your credentials to `create.allowlist`';
    throw new StateError('forbidden', 'this coordinator registers only for credentials on its list', remedy);
  }

  /**
   * The owner that the caller is: of the workspace, or of the parent under whose sign policy it is. Throws StateError for
   * anybody else.
   */
  async mayReadWorkspace(id: Hex, caller: Caller): Promise<string> {
    const { workspaces } = this.#repository;
    const workspace = await workspaces.open(id);
    const credential = known(caller);
    const parent = workspace.signPolicy === undefined ? await workspaces.parentOf(workspace) : undefined;
    const above = parent?.children.has(id) === true ? parent : undefined;
    const owner = ownerOf(workspace, credential) ?? (above && ownerOf(above, credential));
    if (owner !== undefined) return owner.name;
    const remedy = 'sign with an owner credential';
    throw new StateError('forbidden', `${credential} is no owner of workspace ${id}`, remedy);
  }

  /** Throws StateError unless the caller is an owner of the request's workspace or a connector of its keyring. */
  async mayReadRequest(request: StoredRequest, caller: Caller): Promise<void> {
    if (caller.grant?.keyringId === request.keyringId) await this.connectorOf(request.keyringId, caller);
    else await this.mayReadWorkspace(request.workspaceId, caller);
  }

  /** The party whose grant the caller has for this keyring. Throws StateError. */
  async connectorOf(keyringId: Hex, caller: Caller): Promise<string> {
    const { roster } = openKeyring((await this.#repository.keyring(keyringId)).roster, this.#networkId);
    const { grant } = caller;
    if (grant?.keyringId !== keyringId || !roster.parties.some((party) => party.key === grant.party)) {
      const remedy = 'present the connector.grant of the party';
      throw new StateError('forbidden', `no grant by a party of keyring ${keyringId}`, remedy);
    }
    return grant.party;
  }
}

/** The credential that signed the call. Throws StateError `forbidden` when none did. */
export function known(caller: Caller): string {
  if (caller.credential !== undefined) return caller.credential;
  throw new StateError('forbidden', 'nobody signed this call', 'sign the HTTP request');
}
