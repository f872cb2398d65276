// What a workspace's log comes to, and what a change makes of it. Pure: whether a change was decided is judged before.
import type { Hex } from '../hex.ts';
import { type Policy, unmeetable } from '../policy/schema.ts';
import { keyOf } from './credential.ts';
import { distinct } from './fields.ts';
import type { Change } from './workspace-change.ts';
import type { Principal } from './workspace-genesis.ts';

export interface WorkspaceState {
  readonly id: Hex;
  readonly name: string;
  readonly owners: readonly Principal[];
  readonly keyrings: readonly Hex[];
  readonly adminPolicy: Policy;
  /** Absent in a child workspace under its parent's. */
  readonly signPolicy?: Policy;
  /** Sign policies of single keys. */
  readonly keyPolicies: ReadonlyMap<Hex, Policy>;
  readonly disabledKeys: ReadonlySet<Hex>;
  readonly parent?: Hex;
  readonly children: ReadonlySet<Hex>;
  /** Nothing is signed, and no key is made. */
  readonly frozen: boolean;
}

/** A change that cannot be made to this state of the workspace. */
export class ChangeError extends Error {
  override readonly name = 'ChangeError';
}

const most = {
  owners: 100,
  credentials: 10,
  keyrings: 20,
  keyPolicies: 200,
  disabledKeys: 1000,
  children: 100,
} as const;

function ensure(condition: boolean, message: string): void {
  if (!condition) throw new ChangeError(message);
}

function ownerNamed({ owners }: WorkspaceState, name: string): Principal {
  const owner = owners.find((one) => one.name === name);
  if (owner === undefined) throw new ChangeError(`there is no owner ${name}`);
  return owner;
}

function withOwner(state: WorkspaceState, changed: Principal): WorkspaceState {
  const owners = state.owners.map((owner) => (owner.name === changed.name ? changed : owner));
  return { ...state, owners };
}

function added<Value>(values: ReadonlySet<Value>, value: Value, message: string): ReadonlySet<Value> {
  ensure(!values.has(value), message);
  return new Set([...values, value]);
}

function without<Value>(values: ReadonlySet<Value>, value: Value, message: string): ReadonlySet<Value> {
  ensure(values.has(value), message);
  return new Set([...values].filter((one) => one !== value));
}

function changed(state: WorkspaceState, change: Change): WorkspaceState {
  switch (change.kind) {
    case 'owner.add': {
      const { owner } = change;
      ensure(
        !state.owners.some(({ name }) => name === owner.name),
        `there is an owner ${owner.name} already`,
      );
      return { ...state, owners: [...state.owners, owner] };
    }
    case 'owner.remove': {
      const { name } = ownerNamed(state, change.owner);
      ensure(state.owners.length > 1, `${name} is the last owner: add another one first`);
      return { ...state, owners: state.owners.filter((owner) => owner.name !== name) };
    }
    case 'credential.add': {
      const owner = ownerNamed(state, change.owner);
      return withOwner(state, { ...owner, credentials: [...owner.credentials, change.credential] });
    }
    case 'credential.remove': {
      const owner = ownerNamed(state, change.owner);
      const left = owner.credentials.filter((one) => one !== change.credential);
      ensure(left.length < owner.credentials.length, `${owner.name} has no credential ${change.credential}`);
      ensure(
        left.length > 0,
        `it is the last credential of ${owner.name}: add another one first, or remove the owner`,
      );
      return withOwner(state, { ...owner, credentials: left });
    }
    case 'keyring.add': {
      ensure(!state.keyrings.includes(change.keyringId), `keyring ${change.keyringId} is used already`);
      return { ...state, keyrings: [...state.keyrings, change.keyringId] };
    }
    case 'keyring.remove': {
      const keyrings = state.keyrings.filter((one) => one !== change.keyringId);
      ensure(keyrings.length < state.keyrings.length, `keyring ${change.keyringId} is not used`);
      ensure(keyrings.length > 0, 'it is the last keyring: add another one first');
      return { ...state, keyrings };
    }
    case 'policy.admin':
      return { ...state, adminPolicy: change.policy };
    case 'policy.sign': {
      const { signPolicy: _, ...rest } = state;
      ensure(
        change.policy !== undefined || state.parent !== undefined,
        'only a child workspace can be without a sign policy',
      );
      return change.policy === undefined ? rest : { ...rest, signPolicy: change.policy };
    }
    case 'policy.key': {
      const keyPolicies = new Map(state.keyPolicies);
      if (change.policy !== undefined) keyPolicies.set(change.keyId, change.policy);
      else ensure(keyPolicies.delete(change.keyId), `key ${change.keyId} has no policy of its own`);
      return { ...state, keyPolicies };
    }
    case 'key.disable': {
      const message = `key ${change.keyId} is disabled already`;
      return { ...state, disabledKeys: added(state.disabledKeys, change.keyId, message) };
    }
    case 'key.enable': {
      const message = `key ${change.keyId} is not disabled`;
      return { ...state, disabledKeys: without(state.disabledKeys, change.keyId, message) };
    }
    case 'child.add': {
      const { workspaceId } = change;
      ensure(state.parent === undefined, 'a child workspace has no children of its own');
      ensure(workspaceId !== state.id, 'a workspace is no child of itself');
      return { ...state, children: added(state.children, workspaceId, `${workspaceId} is a child already`) };
    }
    case 'child.remove': {
      const message = `${change.workspaceId} is no child`;
      return { ...state, children: without(state.children, change.workspaceId, message) };
    }
    case 'freeze':
      ensure(!state.frozen, 'the workspace is frozen already');
      return { ...state, frozen: true };
    case 'unfreeze':
      ensure(state.frozen, 'the workspace is not frozen');
      return { ...state, frozen: false };
    case 'resolve':
      return state;
  }
}

/** The workspace after a change. Throws ChangeError when it would be none that anybody could work with. */
export function applyChange(state: WorkspaceState, change: Change): WorkspaceState {
  const next = changed(state, change);
  ensure(next.owners.length <= most.owners, `a workspace has at most ${most.owners} owners`);
  for (const { name, credentials } of next.owners)
    ensure(credentials.length <= most.credentials, `${name} has at most ${most.credentials} credentials`);
  const keys = next.owners.flatMap(({ credentials }) => credentials.map(keyOf));
  ensure(distinct(keys), 'a credential may occur once in a workspace');
  ensure(next.keyrings.length <= most.keyrings, `a workspace has at most ${most.keyrings} keyrings`);
  ensure(
    next.keyPolicies.size <= most.keyPolicies,
    `at most ${most.keyPolicies} keys have policies of their own`,
  );
  ensure(next.disabledKeys.size <= most.disabledKeys, `at most ${most.disabledKeys} keys can be disabled`);
  ensure(next.children.size <= most.children, `a workspace has at most ${most.children} children`);
  const names = next.owners.map(({ name }) => name);
  const policies: (readonly [string, Policy | undefined])[] = [
    ['the admin policy', next.adminPolicy],
    ['the sign policy', next.signPolicy],
    ...[...next.keyPolicies].map(([keyId, policy]) => [`the policy of key ${keyId}`, policy] as const),
  ];
  for (const [what, policy] of policies) {
    const [complaint] = policy === undefined ? [] : unmeetable(policy, names);
    ensure(complaint === undefined, `${what} could not be met: ${complaint}; change the policy first`);
  }
  return next;
}
