// A workspace whose sign policy its owners have changed, and the records of that change, with what each altered field of them
// must lead to in the evidence of a request that was made after it.
import type { Evidence } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { Policy } from '../../protocol/policy/schema.ts';
import type { Envelope } from '../../protocol/records/envelope.ts';
import { openWorkspace } from '../../protocol/records/workspace.ts';
import type { KeyView } from '../../protocol/rpc.ts';
import type { Altered } from './altered-evidence.ts';
import { proposed } from './changes.ts';
import { approve, hour, idOf, networkId, signerOf, type World } from './fixture.ts';
import { aliceAndBob, type LiedToNetwork } from './lied-to-network.ts';
import { workspaceBeside } from './other-workspace.ts';

/** Carol owns the workspace too, and has no say in it. */
const adminPolicy: Policy = {
  version: 1,
  rules: [
    {
      id: 'admin',
      effect: 'allow',
      when: { kind: ['workspace.change'] },
      require: { k: 2, of: ['alice', 'bob'] },
    },
  ],
};
const stricter: Policy = {
  version: 1,
  rules: [
    { id: 'texts', effect: 'allow', when: { kind: ['message'] }, require: { k: 2, of: ['alice', 'bob'] } },
  ],
};
const otherId: Hex = `0x${'5a'.repeat(32)}`;
const coordinatorsKey = signerOf('the coordinator').credential;

export interface ChangedWorkspace {
  /** After the change. */
  readonly world: World;
  readonly key: KeyView;
  readonly change: Envelope;
  readonly approval: Envelope;
}

/** Has alice and bob change the sign policy of a workspace beside the network's own, after a key was made in it. */
export async function changeWorkspace(network: LiedToNetwork): Promise<ChangedWorkspace> {
  const { owners } = network.world;
  const before = workspaceBeside(network.world, owners, aliceAndBob, 'changed', adminPolicy);
  const alice = network.owner('alice', undefined, before);
  await alice.call('workspace_create', { genesis: before.genesis });
  const key = await network.key('savings', before);
  const change = proposed(before, { kind: 'policy.sign', policy: stricter }, { created: Date.now() });
  await alice.call('workspace_propose', { change });
  const approval = approve(before, idOf(change), 'bob', { expires: Date.now() + hour });
  await alice.call('action_decide', { decision: approval });
  const workspace = openWorkspace([before.genesis, change, approval], networkId);
  return { world: { ...before, workspace }, key, change, approval };
}

/** The change and the decision on it, in `held`: the evidence of a request that follows them. */
export function changeRecords(
  { change, approval, world }: ChangedWorkspace,
  held: Evidence,
): readonly (readonly [Altered, Evidence])[] {
  const requestId = idOf(held.request);
  const put =
    (at: number): Altered['put'] =>
    (rest, envelope) => ({ ...rest, log: held.log.with(at, envelope) });
  const altered: Altered = {
    record: 'workspace.change',
    envelope: change,
    requestId,
    put: put(1),
    swaps: changeSwaps(world),
    // Without a policy the change would be another one, as without a condition.
    optional: ['policy', 'when'],
    signedAnew: ({ initiator }, { path, how }, { name }) => {
      if (path === 'workspaceId') return /the change is of workspace/;
      if (path === 'seq' || path === 'prev') return /does not follow the head/;
      // Whom it would bring in has to sign it as well.
      if (path === 'change' && how === 'swapped') return /not signed by its initiator|has not signed/;
      // An owner may propose in her own name: nobody has decided on that.
      if (how === 'swapped' && initiator === 'carol' && name === 'carol') return undecided;
      return /not signed by its initiator/;
    },
  };
  const decided: Altered = {
    record: 'decision on a change',
    envelope: approval,
    requestId,
    put: put(2),
    swaps: decisionSwaps,
    signedAnew: () => undecided,
    always: undecided,
  };
  return [
    [altered, held],
    [decided, held],
  ];
}

const undecided = /was not decided by the owners it takes/;

const changeSwaps =
  ({ genesis }: World) =>
  (path: string, value: unknown): unknown[] => {
    if (path === 'networkId') return ['other-network'];
    if (path === 'workspaceId' || path === 'prev') return [otherId];
    if (path === 'seq') return [2];
    if (path === 'initiator') return ['bob', 'carol'];
    if (path === 'change')
      return [
        { kind: 'freeze' },
        { kind: 'key.disable', keyId: idOf(genesis) },
        { kind: 'owner.add', owner: { name: 'mallory', credentials: [coordinatorsKey] } },
      ];
    if (path === 'change.policy.rules.0.id') return ['other'];
    if (path === 'change.policy.rules.0.when.kind.0') return ['digest'];
    if (path === 'change.policy.rules.0.require.k') return [1];
    if (path === 'change.policy.rules.0.require.of') return ['owners', ['alice', 'bob', 'carol']];
    if (path === 'change.policy.rules.0.require.of.0') return ['carol'];
    if (path === 'created') return [new Date(Date.parse(String(value)) - 60_000).toISOString()];
    if (path === 'expires') return [new Date(Date.parse(String(value)) + hour).toISOString()];
    return path === 'nonce' ? [`0x${'77'.repeat(16)}`] : [];
  };

function decisionSwaps(path: string, value: unknown): unknown[] {
  if (path === 'networkId') return ['other-network'];
  if (path === 'subject' || path === 'logHead.id') return [otherId];
  if (path === 'principal') return ['alice', 'carol'];
  if (path === 'decision') return ['reject'];
  if (path === 'seq') return [5];
  if (path === 'logHead.seq') return [1];
  return path === 'expires' ? [new Date(Date.parse(String(value)) + hour / 4).toISOString()] : [];
}
