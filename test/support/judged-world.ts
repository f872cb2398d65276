// A world with a request that its approvers approved, and ways to judge it with parts exchanged: for the tests of
// authorize. The verdict is asserted with its reason and with whether it is final.
import assert from 'node:assert/strict';
import {
  authorize,
  type Evidence,
  evidenceSchema,
  type RefusalReason,
  type Trust,
  type Verdict,
} from '../../protocol/authorize.ts';
import { createRecord, type Envelope } from '../../protocol/records/envelope.ts';
import { timestamp } from '../../protocol/records/fields.ts';
import { request as requestRecord } from '../../protocol/records/request.ts';
import { openWorkspace } from '../../protocol/records/workspace.ts';
import { workspaceGenesis } from '../../protocol/records/workspace-genesis.ts';
import {
  approve,
  createWorld,
  evidence,
  hour,
  idOf,
  messagePayload,
  networkId,
  signerOf,
  signRequest,
  start,
  type World,
} from './fixture.ts';
import { makeKey } from './world-key.ts';

export const world = createWorld();
export const foreign = createWorld({ name: 'foreign' });
export const key = makeKey(world);
export const mallory = signerOf('mallory');
export const payload = messagePayload('pay bob');

export const request = signRequest(world, [{ keyId: key.id, payload }]);
export const requestId = idOf(request);
export const approval = approve(world, requestId, 'bob');
export const whole: Evidence = evidence(world, request, { decisions: [approval], keys: [key.entry] });

export const trust: Trust = { networkId, now: start + 1000, keyringId: world.keyring.id };
export const judge = (parts: Partial<Evidence> = {}, more: Partial<Trust> = {}): Verdict =>
  authorize(evidenceSchema.parse({ ...whole, ...parts }), { ...trust, ...more });
/** Judges another request of the world, with these decisions and the world's key. */
export const judgeRequest = (
  envelope: Envelope,
  parts: Partial<Evidence> = {},
  more: Partial<Trust> = {},
): Verdict =>
  judge({ request: envelope, decisions: [approve(world, idOf(envelope), 'bob')], ...parts }, more);

/** For messages of failed assertions. */
const shown = (verdict: Verdict): string =>
  JSON.stringify(verdict, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)).slice(
    0,
    300,
  );

export function authorised(verdict: Verdict, ignored = 0): void {
  assert.equal(verdict.verdict, 'authorised', shown(verdict));
  assert.ok(verdict.verdict === 'authorised' && verdict.ignored.length === ignored, shown(verdict));
}

export function waiting(verdict: Verdict, from: readonly string[], ignored = 0): void {
  assert.ok(verdict.verdict === 'waiting', shown(verdict));
  assert.deepEqual(
    verdict.missing.flatMap((missing) => missing.from),
    from,
  );
  assert.equal(verdict.ignored.length, ignored, verdict.ignored.join('; '));
}

export function refused(verdict: Verdict, reason: RefusalReason, final: boolean, detail = /./): void {
  assert.ok(verdict.verdict === 'refused', `expected ${reason}, got ${verdict.verdict}`);
  assert.equal(verdict.reason, reason, verdict.detail);
  assert.equal(verdict.final, final, verdict.detail);
  assert.match(verdict.detail, detail);
}

/** The genesis of the world with other content, signed by its first owner, as a log and a world to build records with. */
export function otherWorkspace(change: Record<string, unknown>): World {
  const { name, owners, keyrings, adminPolicy, signPolicy } = world.workspace;
  const genesis = createRecord(
    workspaceGenesis,
    {
      networkId,
      name,
      owners: [...owners],
      keyrings: [...keyrings],
      adminPolicy,
      ...(signPolicy && { signPolicy }),
      created: timestamp(start),
      nonce: `0x${'77'.repeat(16)}`,
      ...change,
    },
    world.owners['alice']!,
  );
  return { ...world, genesis, workspace: openWorkspace([genesis], networkId) };
}

/** A request to sign with the world's key, with other content, by alice unless said otherwise. */
export function requestWith(change: Record<string, unknown>, signer = world.owners['alice']!): Envelope {
  const content = {
    networkId,
    workspaceId: world.workspace.id,
    initiator: 'alice',
    logHead: world.workspace.head,
    created: timestamp(start),
    expires: timestamp(start + hour),
    nonce: `0x${'55'.repeat(16)}`,
    kind: 'sign',
    items: [{ keyId: key.id, payload }],
    ...change,
  };
  return createRecord(requestRecord, content as never, signer);
}
