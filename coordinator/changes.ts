// Changes of workspaces: proposed, decided on and entered into the log.
import type { Hex } from '../protocol/hex.ts';
import { type Envelope, readContent } from '../protocol/records/envelope.ts';
import { workspaceChange } from '../protocol/records/workspace-change.ts';
import type { ChangeView, Params, Result } from '../protocol/rpc.ts';
import type { Access } from './access.ts';
import type { ChangeRepository } from './change-repository.ts';
import { pageOf } from './page.ts';
import type { RequestsOptions } from './requests.ts';
import type { Caller } from './rpc/handlers.ts';
import {
  changeView,
  checkSameChange,
  decideChange,
  proposeChange,
  type StoredChange,
} from './state/changes.ts';

const defaultLimit = 50;

export class Changes {
  readonly #options: Omit<RequestsOptions, 'store'>;
  readonly #repository: ChangeRepository;
  readonly #access: Access;

  constructor(repository: ChangeRepository, access: Access, options: Omit<RequestsOptions, 'store'>) {
    this.#repository = repository;
    this.#access = access;
    this.#options = options;
  }

  async propose(envelope: Envelope): Promise<ChangeView> {
    const { networkId, now, log } = this.#options;
    const { id, content } = readContent(workspaceChange, envelope, networkId);
    const known = await this.#repository.find(id);
    if (known !== undefined) return this.#proposedAgain(known, envelope);
    const { workspaceId, initiator } = content;
    const { change, added } = await this.#repository.add(id, workspaceId, now, (context, at) =>
      proposeChange(context, envelope, at),
    );
    if (!added) return this.#proposedAgain(change, envelope);
    log('change.received', { changeId: id, workspaceId, change: content.change.kind, initiator });
    return this.view(change);
  }

  /** The same bytes again get the same answer, provided that this envelope too is signed by those who must. */
  async #proposedAgain(change: StoredChange, envelope: Envelope): Promise<ChangeView> {
    checkSameChange(envelope, await this.#repository.contextOf(change));
    return this.view(await this.current(change.changeId));
  }

  async decide(id: Hex, envelope: Envelope): Promise<ChangeView> {
    const change = await this.#repository.change(id, this.#options.now, (held, context, at) =>
      decideChange(held, context, envelope, at),
    );
    return this.view(change);
  }

  async get(id: Hex, caller: Caller): Promise<Result<'change_get'>> {
    const change = await this.current(id);
    await this.#access.mayReadWorkspace(change.workspaceId, caller);
    const context = await this.#repository.contextOf(change);
    return { view: changeView(change, context, this.#options.now()), log: [...context.log] };
  }

  async list(params: Params<'change_list'>, caller: Caller): Promise<Result<'change_list'>> {
    const { workspaceId, state, after, limit } = params;
    await this.#access.mayReadWorkspace(workspaceId, caller);
    const page = await this.#repository.ofWorkspace(workspaceId, after, limit ?? defaultLimit);
    const views = await pageOf(page, async (id) => this.view(await this.current(id)));
    return state === undefined
      ? views
      : { ...views, items: views.items.filter((view) => view.state === state) };
  }

  find(id: Hex): Promise<StoredChange | undefined> {
    return this.#repository.find(id);
  }

  /** A change as it stands now: first ended when its time is over or its place in the log taken. */
  async current(id: Hex): Promise<StoredChange> {
    const { now } = this.#options;
    const held = await this.#repository.get(id);
    if (!(await this.#repository.hasLapsed(held, now()))) return held;
    return this.#repository.change(id, now, (change) => ({ change, events: [] }));
  }

  async view(change: StoredChange): Promise<ChangeView> {
    return changeView(change, await this.#repository.contextOf(change), this.#options.now());
  }
}
