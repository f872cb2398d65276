// Child workspaces in the coordinator's service: registered, taken by their parent, under its policy, and ended by its changes.
import assert from 'node:assert/strict';
import { toHex, type Hex } from '../../protocol/hex.ts';
import { defaultAdminPolicy } from '../../protocol/policy/schema.ts';
import { createRecord, type Envelope } from '../../protocol/records/envelope.ts';
import { timestamp } from '../../protocol/records/fields.ts';
import { openWorkspace } from '../../protocol/records/workspace.ts';
import { workspaceGenesis } from '../../protocol/records/workspace-genesis.ts';
import { changed, worldNow } from '../support/changes.ts';
import {
  approve,
  createWorld,
  keyRequest,
  networkId,
  seedOf,
  signerOf,
  start,
  idOf,
  type World,
} from '../support/fixture.ts';
import { type ServiceWorld, stores, withService } from '../support/service-world.ts';

const erin = signerOf('erin');

/** A workspace of erin's alone, which names a parent, without a sign policy of its own unless it is given. */
function childOf(world: World, parent: Hex, own = false): Envelope {
  return createRecord(
    workspaceGenesis,
    {
      networkId,
      name: 'child',
      owners: [{ name: 'erin', credentials: [erin.credential] }],
      keyrings: [world.keyring.id],
      adminPolicy: defaultAdminPolicy(1),
      ...(own && {
        signPolicy: {
          version: 1 as const,
          rules: [
            {
              id: 'own',
              effect: 'allow' as const,
              when: { kind: ['key.request' as const] },
              require: { k: 1, of: 'owners' },
            },
          ],
        },
      }),
      parent,
      created: timestamp(start),
      nonce: toHex(seedOf('child', parent, String(own)).subarray(0, 16)),
    },
    erin,
  );
}

/** A request of erin's for a key, at the heads of these. */
function keyOf(child: World, parent: World, label = 'child key'): Envelope {
  return keyRequest(child, {
    initiator: 'erin',
    signer: erin,
    label,
    nonce: toHex(seedOf('key of child', label).subarray(0, 16)),
    parentHead: parent.workspace.head,
  });
}

async function withChild(at: ServiceWorld, own = false): Promise<{ parent: World; child: World }> {
  const genesis = childOf(at.world, at.world.workspace.id, own);
  await at.call('workspace_create', { genesis });
  const child: World = {
    ...at.world,
    owners: { ...at.world.owners, erin },
    genesis,
    workspace: openWorkspace([genesis], networkId),
  };
  const parent = await changed(at, { kind: 'child.add', workspaceId: child.workspace.id });
  return { parent, child };
}

for (const [name, open] of Object.entries(stores)) {
  describe(`child workspaces over ${name}`, () => {
    it('need a parent that is here, is no child, and names them', () =>
      withService(open, async (at) => {
        const { world } = at;
        const elsewhere = createWorld({ name: 'elsewhere' });
        await at.refuses('not_found', 'workspace_create', {
          genesis: childOf(world, elsewhere.workspace.id),
        });
        const genesis = childOf(world, world.workspace.id);
        await at.call('workspace_create', { genesis });
        const child = { ...world, genesis, workspace: openWorkspace([genesis], networkId) };
        await at.refuses('wrong_state', 'key_request', { request: keyOf(child, world) }, {}, /does not name/);
        await at.refuses(
          'forbidden',
          'workspace_get',
          { workspaceId: child.workspace.id },
          at.owner('alice'),
          /no owner/,
        );
        await at.refuses(
          'wrong_state',
          'workspace_create',
          { genesis: childOf(world, child.workspace.id) },
          {},
          /itself a child/,
        );
      }));

    it('are under the policy of their parent, whose owners decide in them', () =>
      withService(open, async (at) => {
        const { parent, child } = await withChild(at);
        const workspaceId = child.workspace.id;
        const caller = { credential: erin.credential };
        const view = await at.call('workspace_get', { workspaceId }, caller);
        assert.deepEqual(view.parentLog, parent.workspace.log);

        const request = keyOf(child, parent);
        const asked = await at.call('key_request', { request });
        // `1 of owners` means the parent's.
        assert.equal(asked.state, 'partial');
        assert.deepEqual(asked.missing?.[0]?.from, ['alice', 'bob', 'carol']);
        const { items } = await at.call('action_list', { workspaceId, mine: true }, at.owner('carol'));
        assert.equal(items.length, 1);
        const { evidence } = await at.call('action_get', { requestId: idOf(request) }, at.owner('carol'));
        assert.deepEqual(evidence.parentLog, parent.workspace.log);
        const decided = await at.call('action_decide', {
          decision: approve(child, idOf(request), 'carol'),
        });
        assert.equal(decided.state, 'pending');
        const pending = await at.call(
          'connector_pending',
          { keyringId: at.world.keyring.id },
          at.connector(0),
        );
        assert.deepEqual(pending.items[0]?.evidence.parentLog, parent.workspace.log);
        const logs = await at.call('connector_logs', { keyringId: at.world.keyring.id }, at.connector(0));
        const item = logs.items.find((each) => each.workspaceId === workspaceId);
        assert.deepEqual(item?.parentLog, parent.workspace.log);
      }));

    it('with a policy of their own are their own owners’ business', () =>
      withService(open, async (at) => {
        const { parent, child } = await withChild(at, true);
        const workspaceId = child.workspace.id;
        await at.refuses('forbidden', 'action_list', { workspaceId }, at.owner('alice'));
        const asked = await at.call('key_request', { request: keyOf(child, parent) });
        assert.equal(asked.state, 'pending');
      }));

    it('have their requests ended by a change of their parent', () =>
      withService(open, async (at) => {
        const { parent, child } = await withChild(at);
        const requestId = idOf(keyOf(child, parent));
        await at.call('key_request', { request: keyOf(child, parent) });
        const stream = child.workspace.id;
        await changed(at, { kind: 'key.disable', keyId: `0x${'1'.repeat(64)}` }, parent);
        const now = await worldNow(at, parent);
        await at.service.sweep();
        const stored = (await at.store.get(`request/${requestId}`))?.value as Record<string, unknown>;
        assert.deepEqual(
          [stored['state'], (stored['reason'] as { code: string } | undefined)?.code],
          ['rejected', 'policy_changed'],
        );
        assert.deepEqual(await at.store.scan('stale/', undefined, 10), []);
        const told = await at.events('workspaces', stream);
        assert.deepEqual(
          told.map(({ type, state, workspaceId }) => state ?? [type, workspaceId]),
          [
            ['workspace.head', parent.workspace.id],
            'partial',
            ['workspace.head', parent.workspace.id],
            'rejected',
          ],
        );
        await at.refuses(
          'stale_log_head',
          'key_request',
          { request: keyOf(child, parent, 'late') },
          {},
          /parent/,
        );
        const frozen = await changed(at, { kind: 'freeze' }, now);
        await at.refuses(
          'wrong_state',
          'key_request',
          { request: keyOf(child, frozen, 'cold') },
          {},
          /frozen/,
        );
      }));
  });
}
