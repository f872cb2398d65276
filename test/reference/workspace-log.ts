// A naive model of a workspace's log, written from the design and importing nothing of what it checks: who the owners are
// and what is in force after entries, each with the voices that it got. Only what the generator of the test can say.

export interface NaivePolicy {
  /** So many of these: of all owners, or of some by name. */
  readonly k: number;
  readonly of: 'owners' | readonly string[];
}

export type NaiveChange =
  | { readonly kind: 'owner.add'; readonly name: string; readonly credentials: readonly string[] }
  | { readonly kind: 'owner.remove'; readonly name: string }
  | {
      readonly kind: 'credential.add' | 'credential.remove';
      readonly name: string;
      readonly credential: string;
    }
  | { readonly kind: 'keyring.add' | 'keyring.remove'; readonly keyring: string }
  | { readonly kind: 'policy.admin' | 'policy.sign'; readonly policy: NaivePolicy }
  | { readonly kind: 'policy.key'; readonly key: string; readonly policy?: NaivePolicy }
  | { readonly kind: 'key.disable' | 'key.enable'; readonly key: string }
  | { readonly kind: 'child.add' | 'child.remove'; readonly child: string }
  | { readonly kind: 'freeze' | 'unfreeze' };

export interface NaiveVoice {
  readonly name: string;
  readonly credential: string;
  readonly says: 'approve' | 'reject' | 'withdraw';
  readonly seq: number;
  /** Made for this change, at the head before it. */
  readonly here: boolean;
}

export interface NaiveEntry {
  readonly by: string;
  /** The credentials that signed the change. */
  readonly signed: readonly string[];
  readonly follows: boolean;
  readonly change: NaiveChange;
  readonly voices: readonly NaiveVoice[];
}

export interface NaiveWorkspace {
  owners: { name: string; credentials: string[] }[];
  keyrings: string[];
  admin: NaivePolicy;
  sign: NaivePolicy;
  keys: Record<string, NaivePolicy>;
  disabled: string[];
  children: string[];
  frozen: boolean;
  entries: number;
}

const has = (list: readonly string[], one: string): boolean => list.indexOf(one) >= 0;

/** Whether the owners there are could ever do what a policy wants. */
function possible(policy: NaivePolicy, names: readonly string[]): boolean {
  if (policy.of === 'owners') return policy.k <= names.length;
  return policy.of.every((name) => has(names, name));
}

/** What the workspace is after a change, or nothing when it cannot be. */
function changed(before: NaiveWorkspace, change: NaiveChange): NaiveWorkspace | undefined {
  const after = structuredClone(before);
  after.entries += 1;
  const taken = before.owners.flatMap((owner) => owner.credentials);
  switch (change.kind) {
    case 'owner.add':
      if (before.owners.some((owner) => owner.name === change.name)) return undefined;
      if (change.credentials.some((one) => has(taken, one))) return undefined;
      after.owners.push({ name: change.name, credentials: [...change.credentials] });
      break;
    case 'owner.remove':
      after.owners = before.owners.filter((owner) => owner.name !== change.name);
      if (after.owners.length === before.owners.length || after.owners.length === 0) return undefined;
      break;
    case 'credential.add':
    case 'credential.remove': {
      const owner = after.owners.find(({ name }) => name === change.name);
      if (owner === undefined) return undefined;
      if (change.kind === 'credential.add') {
        if (has(taken, change.credential)) return undefined;
        owner.credentials.push(change.credential);
        break;
      }
      if (!has(owner.credentials, change.credential) || owner.credentials.length === 1) return undefined;
      owner.credentials = owner.credentials.filter((one) => one !== change.credential);
      break;
    }
    case 'keyring.add':
      if (has(before.keyrings, change.keyring)) return undefined;
      after.keyrings.push(change.keyring);
      break;
    case 'keyring.remove':
      if (!has(before.keyrings, change.keyring) || before.keyrings.length === 1) return undefined;
      after.keyrings = before.keyrings.filter((one) => one !== change.keyring);
      break;
    case 'policy.admin':
      after.admin = change.policy;
      break;
    case 'policy.sign':
      after.sign = change.policy;
      break;
    case 'policy.key':
      if (change.policy !== undefined) after.keys[change.key] = change.policy;
      else if (after.keys[change.key] === undefined) return undefined;
      else delete after.keys[change.key];
      break;
    case 'key.disable':
      if (has(before.disabled, change.key)) return undefined;
      after.disabled.push(change.key);
      break;
    case 'key.enable':
      if (!has(before.disabled, change.key)) return undefined;
      after.disabled = before.disabled.filter((one) => one !== change.key);
      break;
    case 'child.add':
      if (has(before.children, change.child)) return undefined;
      after.children.push(change.child);
      break;
    case 'child.remove':
      if (!has(before.children, change.child)) return undefined;
      after.children = before.children.filter((one) => one !== change.child);
      break;
    case 'freeze':
      if (before.frozen) return undefined;
      after.frozen = true;
      break;
    case 'unfreeze':
      if (!before.frozen) return undefined;
      after.frozen = false;
      break;
  }
  const names = after.owners.map((owner) => owner.name);
  const policies = [after.admin, after.sign, ...Object.values(after.keys)];
  return policies.every((policy) => possible(policy, names)) ? after : undefined;
}

/** Whether those who proposed and decided suffice. */
function decided(before: NaiveWorkspace, { by, voices }: NaiveEntry): boolean {
  const says = new Map<string, NaiveVoice>();
  for (const voice of voices) {
    const owner = before.owners.find(({ name }) => name === voice.name);
    if (!voice.here || owner === undefined || !has(owner.credentials, voice.credential)) continue;
    const last = says.get(voice.name);
    const stronger = (one: NaiveVoice): number => ['approve', 'withdraw', 'reject'].indexOf(one.says);
    if (
      last === undefined ||
      voice.seq > last.seq ||
      (voice.seq === last.seq && stronger(voice) > stronger(last))
    )
      says.set(voice.name, voice);
  }
  if (says.get(by)?.says === 'reject') return false;
  const approving = before.owners
    .map(({ name }) => name)
    .filter((name) => (says.get(name)?.says ?? (name === by ? 'approve' : 'silent')) === 'approve');
  const { k, of } = before.admin;
  const counted = of === 'owners' ? approving : approving.filter((name) => has(of, name));
  return counted.length >= k;
}

/** The workspace after these entries, or nothing when somebody who replays them must refuse one. */
export function naiveReplay(
  first: NaiveWorkspace,
  entries: readonly NaiveEntry[],
): NaiveWorkspace | undefined {
  let state: NaiveWorkspace | undefined = first;
  for (const entry of entries) {
    const owner: { credentials: string[] } | undefined = state.owners.find(({ name }) => name === entry.by);
    if (!entry.follows || owner === undefined) return undefined;
    const { change, signed } = entry;
    const brought: readonly string[] =
      change.kind === 'owner.add'
        ? change.credentials
        : change.kind === 'credential.add'
          ? [change.credential]
          : [];
    if (!brought.every((one) => has(signed, one))) return undefined;
    const others = signed.filter((one) => !has(brought, one));
    if (others.length === 0 || !others.every((one) => has(owner.credentials, one))) return undefined;
    if (!decided(state, entry)) return undefined;
    state = changed(state, change);
    if (state === undefined) return undefined;
  }
  return state;
}
