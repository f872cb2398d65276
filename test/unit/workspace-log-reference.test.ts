// Logs that owners of a small world might write, right and wrong, replayed by the code and by a naive model of it.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Policy } from '../../protocol/policy/schema.ts';
import { type Envelope, RecordError } from '../../protocol/records/envelope.ts';
import type { Change } from '../../protocol/records/workspace-change.ts';
import { extendWorkspace, openWorkspace, type Workspace } from '../../protocol/records/workspace.ts';
import { idOf, networkId } from '../support/fixture.ts';
import { anyId, begin, decide, principal, propose, signerNamed } from '../support/log-world.ts';
import {
  type NaiveChange,
  type NaiveEntry,
  type NaivePolicy,
  naiveReplay,
  type NaiveWorkspace,
} from '../reference/workspace-log.ts';

const names = ['alice', 'bob', 'carol', 'dave'];
/** A key is named by whose it was at first, and which. */
const credentialOf = (name: string): string => {
  const [owner, which] = name.split('/') as [string, string];
  return signerNamed(owner, which).credential;
};

function policyOf({ k, of }: NaivePolicy, kind: 'workspace.change' | 'message'): Policy {
  const require = { k, of: of === 'owners' ? of : [...of] };
  return { version: 1, rules: [{ id: 'one', effect: 'allow', when: { kind: [kind] }, require }] };
}

const idNamed = (name: string): `0x${string}` => anyId(Number(name));

function changeOf(change: NaiveChange): Change {
  switch (change.kind) {
    case 'owner.add':
      return {
        kind: change.kind,
        owner: { name: change.name, credentials: change.credentials.map(credentialOf) },
      };
    case 'owner.remove':
      return { kind: change.kind, owner: change.name };
    case 'credential.add':
    case 'credential.remove':
      return { kind: change.kind, owner: change.name, credential: credentialOf(change.credential) };
    case 'keyring.add':
    case 'keyring.remove':
      return { kind: change.kind, keyringId: idNamed(change.keyring) };
    case 'policy.admin':
      return { kind: change.kind, policy: policyOf(change.policy, 'workspace.change') };
    case 'policy.sign':
      return { kind: change.kind, policy: policyOf(change.policy, 'message') };
    case 'policy.key':
      return {
        kind: change.kind,
        keyId: idNamed(change.key),
        ...(change.policy && { policy: policyOf(change.policy, 'message') }),
      };
    case 'key.disable':
    case 'key.enable':
      return { kind: change.kind, keyId: idNamed(change.key) };
    case 'child.add':
    case 'child.remove':
      return { kind: change.kind, workspaceId: idNamed(change.child) };
    case 'freeze':
    case 'unfreeze':
      return { kind: change.kind };
  }
}

const start: NaiveWorkspace = {
  owners: ['alice', 'bob', 'carol'].map((name) => ({ name, credentials: [`${name}/first`] })),
  keyrings: ['1'],
  admin: { k: 2, of: 'owners' },
  sign: { k: 1, of: 'owners' },
  keys: {},
  disabled: [],
  children: [],
  frozen: false,
  entries: 0,
};
const first = begin({
  adminPolicy: policyOf(start.admin, 'workspace.change'),
  signPolicy: policyOf(start.sign, 'message'),
});

const owner = fc.constantFrom(...names);
const credential = fc.tuple(owner, fc.constantFrom('first', 'second')).map((parts) => parts.join('/'));
const id = fc.constantFrom('1', '2');
const policy: fc.Arbitrary<NaivePolicy> = fc.oneof(
  fc.record({ k: fc.integer({ min: 1, max: 4 }), of: fc.constant('owners' as const) }),
  fc
    .uniqueArray(owner, { minLength: 1, maxLength: 3 })
    .chain((of) => fc.record({ k: fc.integer({ min: 1, max: of.length }), of: fc.constant(of) })),
);
const change: fc.Arbitrary<NaiveChange> = fc.oneof(
  owner.map((name) => ({ kind: 'owner.add' as const, name, credentials: [`${name}/second`] })),
  fc.record({
    kind: fc.constant('owner.add' as const),
    name: owner,
    credentials: fc.uniqueArray(credential, { minLength: 1, maxLength: 2 }),
  }),
  fc.record({ kind: fc.constant('owner.remove' as const), name: owner }),
  fc.record({
    kind: fc.constantFrom('credential.add' as const, 'credential.remove' as const),
    name: owner,
    credential,
  }),
  fc.record({ kind: fc.constantFrom('keyring.add' as const, 'keyring.remove' as const), keyring: id }),
  fc.record({ kind: fc.constantFrom('policy.admin' as const, 'policy.sign' as const), policy }),
  fc.record({ kind: fc.constant('policy.key' as const), key: id, policy }),
  fc.record({ kind: fc.constant('policy.key' as const), key: id }),
  fc.record({ kind: fc.constantFrom('key.disable' as const, 'key.enable' as const), key: id }),
  fc.record({ kind: fc.constantFrom('child.add' as const, 'child.remove' as const), child: id }),
  fc.record({ kind: fc.constantFrom('freeze' as const, 'unfreeze' as const) }),
);
/** Most of the time as it ought to be; what a number says else. */
const slip = fc.integer({ min: 0, max: 29 });
const voice = fc.record({
  name: owner,
  credential: fc.option(credential, { freq: 6 }),
  says: fc.constantFrom(
    'approve' as const,
    'approve' as const,
    'approve' as const,
    'approve' as const,
    'reject' as const,
    'withdraw' as const,
  ),
  seq: fc.integer({ min: 1, max: 2 }),
  slip,
});
const step = fc.record({
  by: owner,
  change,
  slip,
  voices: fc.array(voice, { maxLength: 3 }),
  everybody: fc.integer({ min: 0, max: 9 }),
});
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

/** The step in the model's words: signed as it ought to be, but for what its slip says. */
function entryOf(
  state: NaiveWorkspace,
  { by: wished, change: wanted, slip: how, voices, everybody }: Step,
): NaiveEntry {
  const keysOf = (name: string): string[] =>
    state.owners.find((one) => one.name === name)?.credentials ?? [`${name}/first`];
  const by = how < 6 || state.owners.some(({ name }) => name === wished) ? wished : state.owners[0]!.name;
  const brought =
    wanted.kind === 'owner.add'
      ? wanted.credentials
      : wanted.kind === 'credential.add'
        ? [wanted.credential]
        : [];
  // Without the initiator, without who is brought in, with somebody else.
  const signed = [
    ...new Set([
      ...(how === 1 ? [] : [keysOf(by)[0]!]),
      ...(how === 2 ? [] : brought),
      ...(how === 3 ? ['dave/third'] : []),
    ]),
  ];
  const all =
    everybody < 7
      ? state.owners.map(({ name }) => ({
          name,
          credential: null,
          says: 'approve' as const,
          seq: 1,
          slip: 9,
        }))
      : [];
  return {
    by,
    signed,
    follows: how !== 4,
    change: wanted,
    voices: [...all, ...voices].map(({ name, credential: given, says, seq, slip: where }) => ({
      name,
      credential: given ?? keysOf(name)[0]!,
      says,
      seq,
      here: where !== 0,
    })),
  };
}

/** The entry as records, after this head. */
function envelopesOf(workspace: Workspace, entry: NaiveEntry): readonly Envelope[] {
  const signers = entry.signed.map((name) => signerNamed(...(name.split('/') as [string, string])));
  const content = entry.follows ? {} : { prev: anyId(77) };
  const envelope = propose(workspace, changeOf(entry.change), { by: entry.by, signers, content });
  const voices = entry.voices.map(({ name, credential: key, says, seq, here }) => {
    const signer = signerNamed(...(key.split('/') as [string, string]));
    const logHead = here ? workspace.head : { seq: workspace.head.seq + 1, id: idOf(envelope) };
    return decide(workspace, envelope, name, { decision: says, signer, seq, logHead });
  });
  return [envelope, ...voices];
}

/** What the model says of a workspace, in the words of the code. */
function told(state: NaiveWorkspace): object {
  return {
    owners: state.owners.map(({ name, credentials }) => ({
      name,
      credentials: credentials.map(credentialOf),
    })),
    keyrings: state.keyrings.map(idNamed),
    adminPolicy: policyOf(state.admin, 'workspace.change'),
    signPolicy: policyOf(state.sign, 'message'),
    keyPolicies: Object.entries(state.keys).map(([key, own]) => [idNamed(key), policyOf(own, 'message')]),
    disabledKeys: state.disabled.map(idNamed),
    children: state.children.map(idNamed),
    frozen: state.frozen,
    seq: state.entries,
  };
}

function shown(workspace: Workspace): object {
  const { owners, keyrings, adminPolicy, signPolicy, keyPolicies, disabledKeys, children, frozen, head } =
    workspace;
  return {
    owners,
    keyrings,
    adminPolicy,
    signPolicy,
    keyPolicies: [...keyPolicies].toSorted(([one], [other]) => (one < other ? -1 : 1)),
    disabledKeys: [...disabledKeys],
    children: [...children],
    frozen,
    seq: head.seq,
  };
}

function extended(workspace: Workspace, later: readonly Envelope[]): Workspace | undefined {
  try {
    return extendWorkspace(workspace, later, networkId);
  } catch (error) {
    assert.ok(error instanceof RecordError, String(error));
    return undefined;
  }
}

describe('the log of a workspace and a naive model of it', () => {
  it('come to the same, or refuse the same, whatever owners write', () => {
    const seen = { accepted: 0, refused: 0, longest: 0 };
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 10 }), (steps) => {
        let [state, workspace]: [NaiveWorkspace, Workspace] = [start, first];
        for (const one of steps) {
          const entry = entryOf(state, one);
          const next = naiveReplay(state, [entry]);
          const found = extended(workspace, envelopesOf(workspace, entry));
          assert.equal(found !== undefined, next !== undefined, JSON.stringify(entry));
          if (next === undefined || found === undefined) {
            seen.refused += 1;
            continue;
          }
          seen.accepted += 1;
          assert.deepEqual(shown(found), told(next));
          assert.equal(found.chain.at(-1), found.head.id);
          [state, workspace] = [next, found];
        }
        assert.deepEqual(openWorkspace(workspace.log, networkId), workspace);
        seen.longest = Math.max(seen.longest, state.entries);
      }),
      { numRuns: 100, seed: 20261129 },
    );
    // Both ways are walked: else it would prove little.
    assert.ok(seen.accepted > 100 && seen.refused > 100 && seen.longest >= 5, JSON.stringify(seen));
    assert.deepEqual(principal('alice'), first.owners[0]);
  }).timeout(120_000);
});
