// A keyed network whose workspace has changed since its genesis, and what its owners decide in it.
import { base58 } from '@scure/base';
import { buildChange, buildDecision } from '../../client/records.ts';
import type { Evidence } from '../../protocol/authorize.ts';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import { transferMessage } from '../../protocol/payloads/solana-transfer.ts';
import type { Policy, Rule } from '../../protocol/policy/schema.ts';
import type { Envelope } from '../../protocol/records/envelope.ts';
import type { Change } from '../../protocol/records/workspace-change.ts';
import { appendChange, openWorkspace, type Workspace } from '../../protocol/records/workspace.ts';
import { leaderOrder } from '../../node/sessions/attempt.ts';
import { approve, evidence, hour, idOf, networkId, seedOf, signRequest } from './fixture.ts';
import type { KeyedNetwork } from './session-attacker.ts';

/** A workspace after a change that alice proposed and bob, or whoever is said, approved. */
export function changed(
  net: KeyedNetwork,
  from: Workspace,
  change: Change,
  approvers: readonly string[] = ['bob'],
): Workspace {
  return openWorkspace([...from.log, ...entry(net, from, change, approvers)], networkId);
}

/** A change and the decisions on it. */
export function entry(
  net: KeyedNetwork,
  from: Workspace,
  change: Change,
  approvers: readonly string[] = ['bob'],
): readonly Envelope[] {
  const { owners } = net.world;
  const now = net.clock.now();
  const made = buildChange({ networkId, now, workspace: from, change }, owners['alice']!);
  const decisions = approvers.map(
    (name) =>
      buildDecision(
        { networkId, now, workspace: from, subject: made.id, decisions: [], decision: 'approve' },
        owners[name]!,
      ).envelope,
  );
  return appendChange([], made.envelope, decisions);
}

/** A sign policy of one rule for transfers of SOL, in lamports, by any one owner. */
export function transfers(rule: Partial<Rule>): Policy {
  return {
    version: 1,
    rules: [
      {
        id: 'transfers',
        effect: 'allow',
        when: { asset: ['SOL'] },
        require: { k: 1, of: 'owners' },
        ...rule,
      } as Rule,
      { id: 'words', effect: 'allow', when: { kind: ['message'] }, require: { k: 2, of: 'owners' } },
    ],
  };
}

/** A request made in this state of the workspace, with the approval it needs. */
export function requestIn(net: KeyedNetwork, workspace: Workspace): { id: Hex; full: Evidence } {
  const world = { ...net.world, workspace };
  const items = net.payloads.map((payload) => ({ keyId: net.key.id, payload }));
  const request = signRequest(world, items, { created: net.clock.now() });
  const id = idOf(request);
  const decisions = [approve(world, id, 'bob', { expires: net.clock.now() + hour })];
  return { id, full: evidence(world, request, { log: [...workspace.log], keys: net.keys, decisions }) };
}

/** A request by alice in this state of the workspace, with no decision yet, whose first leader is this party. */
export function transferLedBy(
  net: KeyedNetwork,
  workspace: Workspace,
  lamports: bigint,
  leader: number,
): { id: Hex; full: Evidence } {
  const world = { ...net.world, workspace };
  const parties = net.world.parties.map((party) => party.credential);
  const message = transferMessage({
    from: base58.encode(fromHex(net.key.publicKey)),
    to: base58.encode(seedOf('recipient')),
    lamports,
    recentBlockhash: base58.encode(seedOf('blockhash')),
  });
  const payload = { kind: 'solana.transaction' as const, message: toHex(message) };
  for (;;) {
    const request = signRequest(world, [{ keyId: net.key.id, payload }], { created: net.clock.now() });
    const id = idOf(request);
    if (leaderOrder(parties, id)[0] !== parties[leader]) continue;
    return { id, full: evidence(world, request, { log: [...workspace.log], keys: net.keys }) };
  }
}
