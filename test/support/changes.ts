// Changes of a world's workspace, as its owners propose and decide on them.
import type { Hex } from '../../protocol/hex.ts';
import { toHex } from '../../protocol/hex.ts';
import { decision } from '../../protocol/records/decision.ts';
import { createRecord, type Envelope, type Signer } from '../../protocol/records/envelope.ts';
import { timestamp } from '../../protocol/records/fields.ts';
import { type Change, workspaceChange } from '../../protocol/records/workspace-change.ts';
import { openWorkspace } from '../../protocol/records/workspace.ts';
import type { ChangeView } from '../../protocol/rpc.ts';
import type { RefDecision } from '../reference/policy.ts';
import { approve, hour, idOf, networkId, reject, seedOf, start, type World } from './fixture.ts';
import type { ServiceWorld } from './service-world.ts';

let fresh = 0;

export interface ProposedOptions {
  readonly initiator?: string;
  readonly signer?: Signer;
  /** Those whom the change brings in. */
  readonly cosigners?: readonly Signer[];
  readonly created?: number;
  readonly expires?: number;
  readonly seq?: number;
  readonly prev?: Hex;
  /** 16 bytes; new with every change unless given. */
  readonly nonce?: Hex;
}

/** A change that follows the head of the world's workspace. */
export function proposed(world: World, change: Change, options: ProposedOptions = {}): Envelope {
  const { initiator = 'alice', cosigners = [], created = start } = options;
  const { id, head } = world.workspace;
  const content = {
    networkId,
    workspaceId: id,
    seq: options.seq ?? head.seq + 1,
    prev: options.prev ?? head.id,
    initiator,
    change,
    created: timestamp(created),
    expires: timestamp(options.expires ?? created + 24 * hour),
    nonce: options.nonce ?? toHex(seedOf('change', ++fresh).subarray(0, 16)),
  };
  return createRecord(
    workspaceChange,
    content,
    options.signer ?? (world.owners[initiator] as Signer),
    ...cosigners,
  );
}

/** A decision that takes back what its principal decided. */
export function withdraw(
  world: World,
  subject: Hex,
  principal: string,
  options: { readonly seq?: number; readonly signer?: Signer } = {},
): Envelope {
  const { seq = 1, signer = world.owners[principal] as Signer } = options;
  const logHead = world.workspace.head;
  return createRecord(
    decision,
    { networkId, subject, principal, seq, logHead, decision: 'withdraw' as const },
    signer,
  );
}

/** A decision as the reference has it, signed. */
export function decisionOf(
  world: World,
  subject: Hex,
  { principal, seq, decision: word, expires }: RefDecision,
): Envelope {
  const sign = { approve, reject, withdraw }[word];
  return sign(world, subject, principal, { seq, ...(expires !== undefined && { expires }) });
}

/** The world as the coordinator's log now tells it. */
export async function worldNow(at: ServiceWorld, world: World = at.world): Promise<World> {
  const owner = { credential: Object.values(world.owners)[0]!.credential };
  const { log } = await at.call('workspace_get', { workspaceId: world.workspace.id }, owner);
  return { ...world, workspace: openWorkspace(log, networkId) };
}

/** Proposes a change as alice, and has bob approve it unless she alone decides: it is in the log then. Answers with the world after it. */
export async function changed(
  at: ServiceWorld,
  change: Change,
  world: World = at.world,
  options: ProposedOptions = {},
): Promise<World> {
  const envelope = proposed(world, change, { created: at.now, ...options });
  let view = await at.call('workspace_propose', { change: envelope });
  if (view.state === 'partial') {
    const approval = approve(world, idOf(envelope), 'bob', { expires: at.now + hour });
    view = (await at.call('action_decide', { decision: approval })) as ChangeView;
  }
  if (view.state !== 'fulfilled') throw new Error(`the change is ${view.state}`);
  return worldNow(at, world);
}
