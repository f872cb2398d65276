// Policies for people: what is wrong with one, what those in force say in words, and what they would say of a request. Pure
// functions of protocol/ over what is stored; nothing here decides anything.
import { openKeyring } from '../protocol/records/keyring-roster.ts';
import { policyOfKey } from '../protocol/authorize.ts';
import type { Hex } from '../protocol/hex.ts';
import { type KeyEntry, KeyProofs } from '../protocol/key-proofs.ts';
import { describeRule, policyWarnings } from '../protocol/policy/explain.ts';
import { adminPolicySchema, type Policy, policySchema, unmeetable } from '../protocol/policy/schema.ts';
import { request as requestRecord, type Request } from '../protocol/records/request.ts';
import { timestamp } from '../protocol/records/fields.ts';
import type { Workspace } from '../protocol/records/workspace.ts';
import type { Params, PolicyWords, Result } from '../protocol/rpc.ts';
import { simulateRequest } from '../protocol/simulate.ts';
import type { Access } from './access.ts';
import type { Repository } from './repository.ts';
import type { Requests } from './requests.ts';
import type { Caller } from './rpc/handlers.ts';
import { StateError } from './state/error.ts';
import { contentOf, keyEntry } from './state/request.ts';
import { keyIdsOf } from './state/transitions.ts';
import { waitsFor } from './state/views.ts';

/** Complaints told of one policy: whoever wrote it corrects these first. */
const maxComplaints = 100;

export class Policies {
  readonly #repository: Repository;
  readonly #access: Access;
  readonly #requests: Requests;
  readonly #networkId: string;
  readonly #now: () => number;

  constructor(
    repository: Repository,
    access: Access,
    requests: Requests,
    { networkId, now }: { readonly networkId: string; readonly now: () => number },
  ) {
    this.#repository = repository;
    this.#access = access;
    this.#requests = requests;
    this.#networkId = networkId;
    this.#now = now;
  }

  async explain(
    { workspaceId, keyId }: Params<'policy_explain'>,
    caller: Caller,
  ): Promise<Result<'policy_explain'>> {
    await this.#access.mayReadWorkspace(workspaceId, caller);
    const workspace = await this.#repository.workspaces.open(workspaceId);
    const parent = await this.#repository.workspaces.parentOf(workspace);
    const ofKey = keyId === undefined ? undefined : await this.#keyPolicy(keyId, workspace);
    const policies = [
      ofKey && inWords('key', ofKey, workspace),
      workspace.signPolicy && inWords('workspace', workspace.signPolicy, workspace),
      parent?.signPolicy && inWords('parent', parent.signPolicy, parent),
      inWords('admin', workspace.adminPolicy, workspace),
    ];
    return { policies: policies.filter((policy) => policy !== undefined) };
  }

  async #keyPolicy(keyId: Hex, workspace: Workspace): Promise<Policy | undefined> {
    const request = await this.#requests.current(keyId);
    if (request.kind !== 'key' || request.workspaceId !== workspace.id)
      throw new StateError(
        'not_found',
        `workspace ${workspace.id} has no key ${keyId}`,
        'name a key of the workspace',
      );
    if (request.state !== 'fulfilled') return workspace.keyPolicies.get(keyId);
    const { networkId, roster, keys } = await this.#around(workspace.id, request.keyringId, [keyId]);
    const keyring = openKeyring(roster, networkId);
    const proven = new KeyProofs(keys, keyring, networkId).all();
    return policyOfKey(proven.get(keyId)!.key, workspace, proven);
  }

  /** What is known around keys of a keyring, with the workspace as it is now. */
  async #around(workspaceId: Hex, keyringId: Hex, keyIds: readonly Hex[]) {
    const { log, parentLog } = await this.#repository.workspaces.logs(workspaceId);
    const { roster } = await this.#repository.keyring(keyringId);
    const keys: KeyEntry[] = (await this.#repository.withParents(keyIds)).map(keyEntry);
    return {
      networkId: this.#networkId,
      log: [...log],
      ...(parentLog && { parentLog: [...parentLog] }),
      roster,
      keys,
    };
  }

  async simulate(params: Params<'policy_simulate'>, caller: Caller): Promise<Result<'policy_simulate'>> {
    const { workspaceId, approvals = [] } = params;
    await this.#access.mayReadWorkspace(workspaceId, caller);
    const content = await this.#contentOf(params);
    if (content.workspaceId !== workspaceId)
      throw new StateError(
        'invalid_params',
        `the request is of workspace ${content.workspaceId}`,
        'name the workspace of the request',
      );
    const keyIds = keyIdsOf(content);
    const keyringId =
      content.kind === 'key'
        ? content.keyringId
        : (await this.#repository.request(keyIds[0] as Hex)).keyringId;
    const { networkId, ...around } = await this.#around(workspaceId, keyringId, keyIds);
    const now = this.#now();
    const ledger = await this.#repository.wholeLedger(workspaceId, now);
    const simulated = simulateRequest(content, around, approvals, { networkId, now, ledger });
    const { verdict, reason, detail, items, missing, holds, expires } = simulated;
    const waits = waitsFor(missing, holds);
    return {
      verdict,
      ...(reason !== undefined && { reason }),
      ...(detail !== undefined && { detail }),
      items: items.map((item) => ({
        ...item,
        rules: [...item.rules],
        denied: [...item.denied],
        mismatches: item.mismatches.map(({ rule, condition, value, wanted }) => ({
          rule,
          condition,
          value,
          wanted,
        })),
      })),
      missing: waits.missing ?? [],
      holds: waits.holds ?? [],
      ...(expires !== undefined && { expires: timestamp(expires) }),
    };
  }

  async #contentOf({ request, requestId }: Params<'policy_simulate'>): Promise<Request> {
    if ((request === undefined) === (requestId === undefined))
      throw new StateError('invalid_params', 'give either `request` or `requestId`', 'leave one of them out');
    if (requestId !== undefined) return contentOf(await this.#repository.request(requestId), this.#networkId);
    const parsed = requestRecord.schema.safeParse(request);
    if (parsed.success) return parsed.data;
    const [issue] = parsed.error.issues;
    const where = issue?.path.join('.') ?? '';
    throw new StateError(
      'invalid_params',
      `\`request\` is no content of a request: ${where}: ${issue?.message ?? ''}`,
      'correct it',
    );
  }
}

/** What is wrong with a policy; of a good one, what it says. */
export function validatePolicy({
  policy,
  admin = false,
  owners,
}: Params<'policy_validate'>): Result<'policy_validate'> {
  const parsed = (admin ? adminPolicySchema : policySchema).safeParse(policy);
  if (!parsed.success) {
    const complaints = parsed.error.issues.slice(0, maxComplaints).map(({ path, message }) => ({
      path: path.map((part) => (typeof part === 'symbol' ? String(part) : part)),
      message,
    }));
    return { complaints, lines: [], warnings: [] };
  }
  const { data } = parsed;
  const unmet = owners === undefined ? [] : unmeetable(data, owners);
  return {
    complaints: unmet.slice(0, maxComplaints).map((message) => ({ path: [], message })),
    lines: data.rules.map((rule) => describeRule(data, rule)),
    warnings: policyWarnings(data, owners ?? []),
  };
}

function inWords(level: PolicyWords['level'], policy: Policy, { id, owners }: Workspace): PolicyWords {
  const names = owners.map(({ name }) => name);
  return {
    level,
    workspaceId: id,
    lines: policy.rules.map((rule) => describeRule(policy, rule)),
    warnings: policyWarnings(policy, names),
  };
}
