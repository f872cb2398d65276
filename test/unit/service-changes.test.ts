// Changes of workspaces in the coordinator's service: how they are decided, enter the log once, and what they end.
import assert from 'node:assert/strict';
import { Conflict, type Store, StoreError } from '../../coordinator/store/store.ts';
import { maxOpenChanges } from '../../coordinator/change-repository.ts';
import { verifyReceipt } from '../../protocol/receipt.ts';
import { openWorkspace } from '../../protocol/records/workspace.ts';
import type { Change } from '../../protocol/records/workspace-change.ts';
import type { ChangeView } from '../../protocol/rpc.ts';
import { changed, proposed, withdraw, worldNow } from '../support/changes.ts';
import { payload } from '../support/coordinated.ts';
import {
  approve,
  createWorld,
  hour,
  idOf,
  networkId,
  reject,
  signerOf,
  signRequest,
} from '../support/fixture.ts';
import { signatureBy, signedBy } from '../support/world-key.ts';
import { asked, ServiceWorld, stores, submitted, withService } from '../support/service-world.ts';

const dave = signerOf('dave');
const addDave: Change = { kind: 'owner.add', owner: { name: 'dave', credentials: [dave.credential] } };
const someKey = (index: number) => `0x${String(index).padStart(64, '0')}` as const;
const disable = (index: number) => ({ kind: 'key.disable', keyId: someKey(index) }) as const;
const decided = (view: unknown): string => (view as ChangeView).state;

for (const [name, open] of Object.entries(stores)) {
  const withOwners = (work: (at: ServiceWorld) => Promise<void>) => (): Promise<void> =>
    withService(open, work);

  describe(`changes of workspaces over ${name}`, () => {
    it(
      'enter the log with the decisions that count, once those suffice',
      withOwners(async (at) => {
        const { world } = at;
        const workspaceId = world.workspace.id;
        const change = proposed(world, addDave, { cosigners: [dave] });
        const changeId = idOf(change);
        const view = await at.call('workspace_propose', { change });
        assert.equal(view.state, 'partial');
        assert.deepEqual(view.missing, [
          { rule: 'majority', need: 2, have: ['alice'], from: ['bob', 'carol'] },
        ]);
        assert.deepEqual(await at.call('workspace_propose', { change }), view);
        await at.refuses('forbidden', 'workspace_get', { workspaceId }, { credential: dave.credential });

        const early = approve(world, changeId, 'carol', { expires: at.now + 1000 });
        assert.equal(decided(await at.call('action_decide', { decision: early })), 'fulfilled');
        assert.equal((await at.call('workspace_propose', { change })).state, 'fulfilled');

        const { log, head } = await at.call(
          'workspace_get',
          { workspaceId },
          { credential: dave.credential },
        );
        assert.deepEqual(log, [world.genesis, change, early]);
        assert.deepEqual(head, { seq: 1, id: changeId });
        const lists = await at.call('workspace_list', {}, { credential: dave.credential });
        assert.equal(lists.items.length, 1);
        const later = await at.call('workspace_log', { workspaceId, after: 0 }, at.owner());
        assert.deepEqual([later.log, later.head], [[change, early], head]);
        assert.deepEqual((await at.call('workspace_log', { workspaceId, after: 1 }, at.owner())).log, []);
        await at.refuses('invalid_params', 'workspace_log', { workspaceId, after: 2 }, at.owner(), /ends at/);
        const got = await at.call('change_get', { changeId }, at.owner());
        assert.deepEqual(got.log, [world.genesis]);
        assert.equal(got.view.state, 'fulfilled');

        const told = (await at.events('workspaces')).map(({ type, state }) => state ?? type);
        assert.deepEqual(told, ['partial', 'change.decision', 'fulfilled', 'workspace.head']);
        const [forNodes] = await at.events('keyrings');
        assert.deepEqual([forNodes?.['type'], forNodes?.['head']], ['workspace.head', head]);
        for (const event of ['change.received', 'change.decision', 'change.state', 'workspace.head'])
          assert.ok(
            at.logged.some((line) => line.event === event),
            event,
          );
      }),
    );

    it(
      'leave out approvals that ran out, and count what is decided anew',
      withOwners(async (at) => {
        const adminPolicy = {
          version: 1 as const,
          rules: [
            {
              id: 'all',
              effect: 'allow' as const,
              when: { kind: ['workspace.change' as const] },
              require: { k: 3, of: 'owners' },
              reject: { k: 2, of: 'owners' },
            },
          ],
        };
        const now = await changed(at, { kind: 'policy.admin', policy: adminPolicy });
        const change = proposed(now, disable(1));
        const subject = idOf(change);
        await at.call('workspace_propose', { change });
        const decide = async (decision: ReturnType<typeof approve>): Promise<string> =>
          decided(await at.call('action_decide', { decision }));
        assert.equal(await decide(approve(now, subject, 'bob', { expires: at.now + 1000 })), 'partial');
        at.now += 2000;
        assert.equal(await decide(approve(now, subject, 'carol', { expires: at.now + hour })), 'partial');
        const { view } = await at.call('change_get', { changeId: subject }, at.owner());
        assert.deepEqual(view.missing?.[0]?.from, ['bob']);
        assert.equal(await decide(withdraw(now, subject, 'carol', { seq: 2 })), 'partial');
        assert.equal(
          await decide(approve(now, subject, 'bob', { seq: 2, expires: at.now + hour })),
          'partial',
        );
        await at.refuses('wrong_state', 'action_decide', {
          decision: approve(now, subject, 'bob', { seq: 1 }),
        });
        const last = approve(now, subject, 'carol', { seq: 3, expires: at.now + hour });
        assert.equal(await decide(last), 'fulfilled');
        const after = await worldNow(at, now);
        assert.ok(after.workspace.disabledKeys.has(someKey(1)));
        // Change and decision of before, and the last of bob and of carol.
        assert.equal(after.workspace.log.length, 3 + 3);
      }),
    );

    it(
      'have no approval in the log that ran out before they were decided',
      withOwners(async (at) => {
        const { world } = at;
        const change = proposed(world, disable(1));
        const subject = idOf(change);
        await at.call('workspace_propose', { change });
        const carol = approve(world, subject, 'carol');
        const alice = approve(world, subject, 'alice', { seq: 2 });
        const decide = (decision: typeof carol) => at.call('action_decide', { decision });
        await decide(withdraw(world, subject, 'alice'));
        await decide(approve(world, subject, 'bob', { expires: at.now + 1000 }));
        at.now += 2000;
        await decide(carol);
        assert.equal(decided(await decide(alice)), 'fulfilled');
        assert.deepEqual((await worldNow(at)).workspace.log.slice(2), [carol, alice]);
      }),
    );

    it(
      'end every open request, and leave what is fulfilled as it was',
      withOwners(async (at) => {
        const { world } = at;
        const key = await at.key();
        const done = await submitted(at, key);
        for (const who of ['bob'])
          await at.call('action_decide', { decision: approve(world, idOf(done), who) });
        for (const party of [0, 1]) await at.sign(party, key, idOf(done));
        const partial = idOf(await submitted(at, key));
        const pending = idOf(await submitted(at, key));
        await at.call('action_decide', { decision: approve(world, pending, 'bob') });
        const other = proposed(world, disable(2), { initiator: 'carol' });
        await at.call('workspace_propose', { change: other });

        const after = await changed(at, addDave, world, { cosigners: [dave] });
        // Another process goes on after this one died: nobody has looked at anything.
        const next = new ServiceWorld(world, at.store);
        next.now = at.now;
        await next.service.sweep();
        const stored = async (id: string) => (await at.store.get(id))?.value as Record<string, unknown>;
        for (const id of [partial, pending]) {
          const { state, reason } = await stored(`request/${id}`);
          assert.deepEqual(
            [state, (reason as { code: string } | undefined)?.code],
            ['rejected', 'policy_changed'],
          );
        }
        assert.deepEqual((await stored(`change/${idOf(other)}`))['reason'], {
          code: 'superseded',
          detail: `another change became entry 1; the log is at entry 1 ${after.workspace.head.id}`,
        });
        for (const index of ['action/', 'open/', 'ends/', 'stale/', 'proposed/', 'due/'])
          assert.deepEqual(await at.store.scan(index, undefined, 10), [], index);
        assert.deepEqual(
          (await next.call('action_list', { workspaceId: world.workspace.id }, at.owner())).items,
          [],
        );
        const view = async (requestId: typeof pending) => next.call('sign_get', { requestId }, at.owner());
        assert.equal((await view(partial)).mayHaveBeenSigned, false);
        assert.equal((await view(pending)).mayHaveBeenSigned, true);
        const late = signedBy(world, at.party(0), pending, [signatureBy(key, payload)]);
        await at.refuses('wrong_state', 'connector_submitResult', { result: late }, at.connector(0));

        assert.equal((await view(idOf(done))).state, 'fulfilled');
        const { receipt } = await next.call('receipt_get', { requestId: idOf(done) }, at.owner());
        assert.equal(verifyReceipt(receipt, { workspaceId: world.workspace.id }).requestId, idOf(done));
        assert.equal(receipt.evidence.log.length, 1);

        await at.refuses('stale_log_head', 'sign_request', { request: asked(at, key) });
        const request = signRequest(after, [{ keyId: key.id, payload }], { created: at.now });
        assert.equal((await at.call('sign_request', { request })).state, 'partial');
        await next.service.stop();
      }),
    );

    it(
      'are seen by whoever asks, before the sweep',
      withOwners(async (at) => {
        const key = await at.key();
        const requestId = idOf(await submitted(at, key));
        const waiting = at.call('sign_wait', { requestId, timeoutMs: 20_000 }, at.owner());
        await changed(at, addDave, at.world, { cosigners: [dave] });
        const view = await waiting;
        assert.deepEqual([view.state, view.reason?.code], ['rejected', 'policy_changed']);
        const { items } = await at.call(
          'connector_pending',
          { keyringId: at.world.keyring.id, requestIds: [requestId] },
          at.connector(0),
        );
        assert.equal(items[0]?.state, 'rejected');
      }),
    );

    it(
      'follow one another: of two that are decided at once one stands',
      withOwners(async (at) => {
        const { world } = at;
        const changes = [1, 2, 3].map((index) => proposed(world, disable(index), { initiator: 'alice' }));
        for (const change of changes) await at.call('workspace_propose', { change });
        const answers = await Promise.allSettled(
          changes.map((change) =>
            at.call('action_decide', { decision: approve(world, idOf(change), 'bob') }),
          ),
        );
        assert.equal(answers.filter(({ status }) => status === 'fulfilled').length, 1);
        const views = await at.call('change_list', { workspaceId: world.workspace.id }, at.owner());
        assert.deepEqual(views.items.map((view) => view.reason?.code ?? view.state).toSorted(), [
          'fulfilled',
          'superseded',
          'superseded',
        ]);
        const { workspace } = await worldNow(at);
        assert.deepEqual([workspace.head.seq, workspace.disabledKeys.size], [1, 1]);
        const fulfilled = await at.call(
          'change_list',
          { workspaceId: world.workspace.id, state: 'fulfilled' },
          at.owner(),
        );
        assert.equal(fulfilled.items.length, 1);
      }),
    );

    it(
      'end by their owners or their time, and take nothing then',
      withOwners(async (at) => {
        const { world } = at;
        const propose = async (options = {}) => {
          const change = proposed(world, disable(1), options);
          await at.call('workspace_propose', { change });
          return idOf(change);
        };
        const reasonOf = async (changeId: ReturnType<typeof idOf>) =>
          (await at.call('change_get', { changeId }, at.owner())).view.reason?.code;
        const cancelled = await propose();
        await at.call('action_decide', { decision: reject(world, cancelled, 'alice') });
        assert.equal(await reasonOf(cancelled), 'cancelled');
        const refused = await propose();
        for (const owner of ['bob', 'carol'])
          await at.call('action_decide', { decision: reject(world, refused, owner) });
        assert.equal(await reasonOf(refused), 'approvers');
        const late = await propose({ expires: at.now + 60_000 });
        at.now += 60_000;
        await at.service.sweep();
        assert.equal(await reasonOf(late), 'approval_timeout');
        for (const id of [cancelled, refused, late])
          await at.refuses('wrong_state', 'action_decide', {
            decision: approve(world, id, 'bob', { seq: 5 }),
          });
        assert.equal((await worldNow(at)).workspace.head.seq, 0);
      }),
    );

    it(
      'that cannot be are refused when they are proposed',
      withOwners(async (at) => {
        const { world } = at;
        const refuses = (
          code: Parameters<typeof at.refuses>[0],
          change: ReturnType<typeof proposed>,
          words: RegExp,
        ) => at.refuses(code, 'workspace_propose', { change }, {}, words);
        const one = disable(1);
        await refuses('stale_log_head', proposed(world, one, { seq: 2 }), /does not follow/);
        await refuses('stale_log_head', proposed(world, one, { prev: someKey(1) }), /does not follow/);
        await refuses('bad_signature', proposed(world, one, { signer: dave }), /initiator/);
        await refuses('bad_signature', proposed(world, addDave), /sign/);
        await refuses(
          'wrong_state',
          proposed(world, { kind: 'owner.remove', owner: 'dave' }),
          /no owner dave/,
        );
        await refuses('wrong_state', proposed(world, { kind: 'resolve', stands: someKey(1) }), /not fork/);
        await refuses('expired', proposed(world, one, { created: at.now + 10 * 60_000 }), /to come/);
        const over = proposed(world, one, { created: at.now - hour, expires: at.now });
        await refuses('expired', over, /ended/);
        await at.refuses('not_found', 'action_decide', { decision: approve(world, someKey(3), 'bob') });
        await at.refuses('not_found', 'change_get', { changeId: someKey(3) }, at.owner());
        for (let index = 0; index < maxOpenChanges; index++)
          await at.call('workspace_propose', { change: proposed(world, one) });
        await refuses('wrong_state', proposed(world, one), /not decided/);
        // One owner's changes are in nobody else's way.
        await at.call('workspace_propose', { change: proposed(world, one, { initiator: 'bob' }) });
      }),
    );

    it(
      'that the admin policy allows to nobody are refused',
      withOwners(async (at) => {
        const rules = [
          {
            id: 'people',
            effect: 'allow' as const,
            when: { change: ['owner.add' as const] },
            require: { k: 1, of: 'owners' },
          },
        ];
        const now = await changed(at, { kind: 'policy.admin', policy: { version: 1, rules } });
        await at.refuses(
          'policy_denied',
          'workspace_propose',
          { change: proposed(now, disable(1)) },
          {},
          /allows no key.disable/,
        );
        // Its initiator alone suffices for what is allowed.
        const change = proposed(now, addDave, { cosigners: [dave] });
        assert.equal((await at.call('workspace_propose', { change })).state, 'fulfilled');
        assert.deepEqual(
          (await at.events('workspaces')).slice(-2).map(({ type }) => type),
          ['change.state', 'workspace.head'],
        );
      }),
    );

    it(
      'take the right to read from those who were owners',
      withOwners(async (at) => {
        const workspaceId = at.world.workspace.id;
        const change = proposed(at.world, { kind: 'owner.remove', owner: 'carol' });
        await at.call('workspace_propose', { change });
        await at.call('action_decide', { decision: approve(at.world, idOf(change), 'bob') });
        await at.refuses('forbidden', 'workspace_get', { workspaceId }, at.owner('carol'), /no owner/);
        await at.refuses('forbidden', 'change_list', { workspaceId }, at.owner('carol'));
        await at.refuses('forbidden', 'action_list', { workspaceId }, at.owner('carol'));
        assert.deepEqual((await at.call('workspace_list', {}, at.owner('carol'))).items, []);
        await assert.rejects(at.service.mayRead({ kind: 'workspace', id: workspaceId }, at.owner('carol')), {
          name: 'forbidden',
        });
        assert.equal((await at.call('workspace_list', {}, at.owner('bob'))).items.length, 1);
      }),
    );

    it(
      'freeze a workspace and disable keys, and say who can undo it',
      withOwners(async (at) => {
        const key = await at.key();
        let now = await changed(at, { kind: 'key.disable', keyId: key.id });
        const request = () =>
          ({ request: signRequest(now, [{ keyId: key.id, payload }], { created: at.now }) }) as const;
        await at.refuses('wrong_state', 'sign_request', request(), {}, /disabled/);
        now = await changed(at, { kind: 'key.enable', keyId: key.id }, now);
        assert.equal((await at.call('sign_request', request())).state, 'partial');
        // Any one owner can freeze it.
        const freeze = proposed(now, { kind: 'freeze' }, { initiator: 'carol' });
        assert.equal((await at.call('workspace_propose', { change: freeze })).state, 'fulfilled');
        now = await worldNow(at, now);
        await at.refuses('wrong_state', 'sign_request', request(), {}, /frozen/);
        now = await changed(at, { kind: 'unfreeze' }, now);
        assert.equal((await at.call('sign_request', request())).state, 'partial');
      }),
    );

    it(
      'are told to nodes of every keyring that is concerned',
      withOwners(async (at) => {
        const { world } = at;
        const keyringId = world.keyring.id;
        const other = createWorld({ name: 'other ring' });
        await at.call('keyring_create', { roster: other.keyring.envelope });
        const otherConnector = at.connector(0, other);
        const logs = async (id = keyringId, caller = at.connector(0)) =>
          (await at.call('connector_logs', { keyringId: id }, caller)).items;
        assert.deepEqual(
          (await logs()).map(({ log }) => log.length),
          [1],
        );
        assert.deepEqual(await logs(other.keyring.id, otherConnector), []);
        await at.refuses('forbidden', 'connector_logs', { keyringId }, otherConnector);

        const both = await changed(at, { kind: 'keyring.add', keyringId: other.keyring.id });
        assert.equal((await logs(other.keyring.id, otherConnector))[0]?.log.length, 3);
        const left = await changed(at, { kind: 'keyring.remove', keyringId: other.keyring.id }, both);
        const last = await at.events('keyrings', other.keyring.id);
        assert.deepEqual(last.at(-1)?.['head'], left.workspace.head);
        const end = left.workspace.log.length;
        assert.equal((await logs(other.keyring.id, otherConnector))[0]?.log.length, end);
        // What comes after it is no longer the other keyring's business.
        await changed(at, disable(1), left);
        const [item] = await logs(other.keyring.id, otherConnector);
        assert.deepEqual([item?.log.length, item?.head], [end, left.workspace.head]);
        assert.equal((await at.events('keyrings', other.keyring.id)).length, last.length);
        assert.equal(openWorkspace((await logs())[0]!.log, networkId).head.seq, 3);
        const named = await at.call(
          'connector_logs',
          { keyringId, workspaceIds: [world.workspace.id, someKey(9)] },
          at.connector(0),
        );
        assert.equal(named.items.length, 1);
      }),
    );

    it(
      'are among the actions, those that await the caller by themselves',
      withOwners(async (at) => {
        const { world } = at;
        const workspaceId = world.workspace.id;
        const key = await at.key();
        const requestId = idOf(await submitted(at, key));
        const change = proposed(world, disable(1), { initiator: 'bob' });
        await at.call('workspace_propose', { change });
        await at.call('action_decide', { decision: approve(world, requestId, 'carol') });
        const mine = async (owner: string, mineOnly = true) =>
          (await at.call('action_list', { workspaceId, mine: mineOnly }, at.owner(owner))).items.map(
            ({ kind }) => kind,
          );
        const second = idOf(await submitted(at, key));
        assert.deepEqual((await mine('alice', false)).toSorted(), ['change', 'sign']);
        assert.deepEqual((await mine('alice')).toSorted(), ['change']);
        assert.deepEqual((await mine('bob')).toSorted(), ['sign']);
        assert.deepEqual((await mine('carol')).toSorted(), ['change', 'sign']);
        await at.call('action_decide', { decision: reject(world, second, 'carol') });
        assert.deepEqual(await mine('carol'), ['change']);
      }),
    );
  });
}

/** The store, with another way to commit. */
function committing(store: Store, commit: Store['commit']): Store {
  return {
    commit,
    get: (key) => store.get(key),
    scan: (...given) => store.scan(...given),
    read: (...given) => store.read(...given),
    last: (stream) => store.last(stream),
    watch: (...given) => store.watch(...given),
    trim: (...given) => store.trim(...given),
    close: () => store.close(),
  };
}

describe('a change of a workspace whose commit fails', () => {
  it('is in the log wholly or not at all, and comes again with the same record', async () => {
    for (const after of [false, true]) {
      const { store, close } = await stores['memory']!();
      let dies = false;
      const failing = committing(store, async (commit) => {
        if (!dies || commit.what !== 'change-decision') return store.commit(commit);
        if (after) assert.ok(!((await store.commit(commit)) instanceof Conflict));
        throw new StoreError('write_failed', 'the disk is full');
      });
      const at = await new ServiceWorld(createWorld(), failing).register();
      const key = await at.key();
      const requestId = idOf(await submitted(at, key));
      const change = proposed(at.world, disable(1));
      await at.call('workspace_propose', { change });
      const decision = approve(at.world, idOf(change), 'bob');
      dies = true;
      await at.refuses('unavailable', 'action_decide', { decision });
      dies = false;
      const { workspace } = await worldNow(at);
      assert.equal(workspace.head.seq, after ? 1 : 0);
      assert.equal((await store.scan('stale/', undefined, 10)).length, after ? 1 : 0);
      assert.equal(decided(await at.call('action_decide', { decision })), 'fulfilled');
      assert.equal((await worldNow(at)).workspace.log.length, 3);
      await at.service.sweep();
      const stored = (await store.get(`request/${requestId}`))?.value as Record<string, unknown>;
      assert.equal(stored['state'], 'rejected');
      await at.service.stop();
      await close();
    }
  });

  it('keeps its mark while something of the workspace could not be ended', async () => {
    const { store, close } = await stores['memory']!();
    let broken = '';
    const failing = committing(store, async (commit) => {
      if (commit.expect?.some(({ key }) => key === broken)) throw new StoreError('write_failed', 'no');
      return store.commit(commit);
    });
    const at = await new ServiceWorld(createWorld(), failing).register();
    const key = await at.key();
    const ids = [idOf(await submitted(at, key)), idOf(await submitted(at, key))];
    await changed(at, disable(1));
    broken = `request/${ids[0]}`;
    await at.service.sweep();
    assert.equal((await store.scan('stale/', undefined, 10)).length, 1);
    assert.equal((await store.scan('action/', undefined, 10)).length, 1);
    broken = '';
    await at.service.sweep();
    assert.deepEqual(await store.scan('stale/', undefined, 10), []);
    assert.deepEqual(await store.scan('action/', undefined, 10), []);
    await at.service.stop();
    await close();
  });
});
