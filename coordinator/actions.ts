// What owners decide on, requests and changes alike.
import { decision as decisionRecord } from '../protocol/records/decision.ts';
import { type Envelope, readContent } from '../protocol/records/envelope.ts';
import { type Credential, credentialType } from '../protocol/records/fields.ts';
import type { Hex } from '../protocol/hex.ts';
import type { ActionView, Params, Result } from '../protocol/rpc.ts';
import { type Access, known } from './access.ts';
import type { Changes } from './changes.ts';
import { pageOf } from './page.ts';
import type { Repository } from './repository.ts';
import type { Requests } from './requests.ts';
import type { Caller } from './rpc/handlers.ts';
import { StateError } from './state/error.ts';

const defaultLimit = 50;

export class Actions {
  readonly #repository: Repository;
  readonly #access: Access;
  readonly #requests: Requests;
  readonly #changes: Changes;
  readonly #networkId: string;

  constructor(
    repository: Repository,
    access: Access,
    requests: Requests,
    changes: Changes,
    networkId: string,
  ) {
    this.#repository = repository;
    this.#access = access;
    this.#requests = requests;
    this.#changes = changes;
    this.#networkId = networkId;
  }

  async decide(envelope: Envelope): Promise<ActionView> {
    const { subject } = readContent(decisionRecord, envelope, this.#networkId).content;
    if ((await this.#repository.find(subject)) !== undefined) return this.#requests.decide(subject, envelope);
    if ((await this.#changes.find(subject)) !== undefined) return this.#changes.decide(subject, envelope);
    throw new StateError(
      'not_found',
      `there is no request nor change ${subject} here`,
      'check the id and the coordinator',
    );
  }

  /** What is not final and either waits, or is a request whose approvals ran out; `mine`: for a decision of the caller. */
  async list(params: Params<'action_list'>, caller: Caller): Promise<Result<'action_list'>> {
    const { workspaceId, mine = false, after, limit } = params;
    const name = await this.#access.mayReadWorkspace(workspaceId, caller);
    const page = await this.#repository.actionsOf(workspaceId, after, limit ?? defaultLimit);
    const views = await pageOf(page, (id) => this.view(id));
    const open = views.items.filter(
      (view) => view.state === 'partial' || (view.state === 'pending' && (view.missing ?? []).length > 0),
    );
    if (!mine) return { ...views, items: open };
    return { ...views, items: open.filter((view) => awaits(view, name, known(caller))) };
  }

  async view(id: Hex): Promise<ActionView> {
    if ((await this.#repository.find(id)) !== undefined)
      return this.#requests.view(await this.#requests.current(id));
    return this.#changes.view(await this.#changes.current(id));
  }

  /** Ends what time or a change of the workspace ends, and lets go on what waited for its time. */
  async settle(id: Hex): Promise<void> {
    if ((await this.#repository.find(id)) !== undefined) await this.#requests.current(id);
    else await this.#changes.current(id);
  }
}

/** Whether a decision of this owner, signed with this credential, brings an action further. */
function awaits({ missing = [] }: ActionView, name: string, credential: Credential): boolean {
  const kind = credentialType(credential);
  return missing.some(
    ({ from, credential: kinds }) => from.includes(name) && (kinds?.includes(kind) ?? true),
  );
}
