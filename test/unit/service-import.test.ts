// Logs that owners bring to a coordinator by hand: entries that it lost, and what they said of a fork.
import assert from 'node:assert/strict';
import type { Hex } from '../../protocol/hex.ts';
import { verifyReceipt } from '../../protocol/receipt.ts';
import type { Envelope } from '../../protocol/records/envelope.ts';
import type { Change } from '../../protocol/records/workspace-change.ts';
import { appendChange, openWorkspace } from '../../protocol/records/workspace.ts';
import { changed, proposed, worldNow } from '../support/changes.ts';
import { payload } from '../support/coordinated.ts';
import { approve, idOf, networkId, reject, signerOf, signRequest, type World } from '../support/fixture.ts';
import { ServiceWorld, stores, submitted, withService } from '../support/service-world.ts';

const dave = signerOf('dave');
const asDave = { credential: dave.credential };
const addDave: Change = { kind: 'owner.add', owner: { name: 'dave', credentials: [dave.credential] } };
const someKey = (index: number) => `0x${String(index).padStart(64, '0')}` as const;
const disable = (index: number) => ({ kind: 'key.disable', keyId: someKey(index) }) as const;

/** The world after a change that alice proposed and bob approved, of which no coordinator has heard. */
function apart(world: World, change: Change, cosigners: (typeof dave)[] = []): World {
  const envelope = proposed(world, change, { cosigners });
  const log = appendChange(world.workspace.log, envelope, [approve(world, idOf(envelope), 'bob')]);
  return { ...world, workspace: openWorkspace(log, networkId) };
}

const after = (world: World, before: World): Envelope[] =>
  world.workspace.log.slice(before.workspace.log.length);

/** Asks for a signature in this state of the workspace. */
async function asks(at: ServiceWorld, keyId: Hex, world: World): Promise<Hex> {
  const request = signRequest(world, [{ keyId, payload }], { created: at.now });
  await at.call('sign_request', { request });
  return idOf(request);
}

/** The entries of a branch, with what alice and bob say before them: that it stands. */
function standing(branch: World, common: World): Envelope[] {
  const stands = branch.workspace.chain[common.workspace.chain.length]!;
  const envelope = proposed(common, { kind: 'resolve', stands });
  return [envelope, approve(common, idOf(envelope), 'bob'), ...after(branch, common)];
}

for (const [name, open] of Object.entries(stores)) {
  const withOwners = (work: (at: ServiceWorld) => Promise<void>) => (): Promise<void> =>
    withService(open, work);
  const bring = (at: ServiceWorld, log: readonly Envelope[], by: object = at.owner()) =>
    at.call('workspace_import', { workspaceId: at.world.workspace.id, after: 0, log: [...log] }, by);
  const refuses =
    (at: ServiceWorld, code: 'wrong_state' | 'invalid_params' | 'forbidden' | 'bad_signature') =>
    async (log: readonly Envelope[], words: RegExp, by: object = at.owner(), seq = 0): Promise<void> => {
      const params = { workspaceId: at.world.workspace.id, after: seq, log: [...log] };
      await at.refuses(code, 'workspace_import', params, by, words);
    };

  describe(`logs brought by hand over ${name}`, () => {
    it(
      'are taken when they go on from the one here, and end what was asked for before',
      withOwners(async (at) => {
        const { world } = at;
        const partial = idOf(await submitted(at, await at.key()));
        const first = apart(world, addDave, [dave]);
        const later = apart(first, disable(1));
        const { outcome, view } = await bring(at, after(later, world));
        assert.equal(outcome, 'newer');
        assert.deepEqual([view.head, view.log], [later.workspace.head, later.workspace.log]);
        assert.equal((await bring(at, after(later, world))).outcome, 'same');
        assert.equal((await bring(at, after(first, world))).outcome, 'older');
        assert.ok(at.logged.some(({ event }) => event === 'workspace.head'));
        await at.service.sweep();
        const { state, reason } = await at.call('sign_get', { requestId: partial }, at.owner());
        assert.deepEqual([state, reason?.code], ['rejected', 'policy_changed']);
        // Whom they bring in is an owner here, and the log goes on.
        assert.equal((await at.call('workspace_list', {}, asDave)).items.length, 1);
        await changed(at, disable(2), later);
      }),
    );

    it(
      'are refused when they fork, until a majority has said which entry stands',
      withOwners(async (at) => {
        const { world } = at;
        const key = await at.key();
        const here = await changed(at, disable(1));
        const there = apart(apart(world, addDave, [dave]), disable(3));
        await refuses(at, 'wrong_state')(after(there, world), /forks from the one here after entry 0/);
        assert.deepEqual((await worldNow(at)).workspace.head, here.workspace.head);

        // What is made and proposed in the branch that is left.
        const done = await asks(at, key.id, here);
        await at.call('action_decide', { decision: approve(here, done, 'bob') });
        for (const party of [0, 1]) await at.sign(party, key, done);
        const open = await asks(at, key.id, here);
        const change = proposed(here, disable(4));
        await at.call('workspace_propose', { change });

        const { outcome, view } = await bring(at, standing(there, world));
        assert.equal(outcome, 'newer');
        assert.deepEqual(view.head, there.workspace.head);
        assert.equal(openWorkspace(view.log, networkId).resolved.size, 1);
        const kept = await at.store.scan(`left/${world.workspace.id}/`, undefined, 10);
        assert.deepEqual(
          kept.map(({ value }) => value),
          [{ log: here.workspace.log }],
        );
        await at.service.sweep();
        const ended = await at.call('sign_get', { requestId: open }, at.owner());
        assert.equal(ended.reason?.code, 'policy_changed');
        const left = await at.call('change_get', { changeId: idOf(change) }, at.owner());
        assert.deepEqual([left.view.state, left.view.reason?.code], ['rejected', 'superseded']);
        assert.deepEqual(left.log, here.workspace.log);
        // What was signed stays proven by the log in which it was asked for.
        const { receipt } = await at.call('receipt_get', { requestId: done }, at.owner());
        assert.equal(verifyReceipt(receipt, { workspaceId: world.workspace.id }).requestId, done);
        assert.deepEqual(receipt.evidence.log, here.workspace.log);
        // The branch that was left does not come back, nor is the question open any more.
        assert.equal((await bring(at, after(here, world))).outcome, 'older');
        await changed(at, disable(5), there);
        // Another process reads the same.
        const next = new ServiceWorld(world, at.store);
        assert.deepEqual(
          (await next.call('change_get', { changeId: idOf(change) }, at.owner())).log,
          left.log,
        );
        await next.service.stop();
      }),
    );

    it(
      'say that what is here stands, and end nothing',
      withOwners(async (at) => {
        const { world } = at;
        const key = await at.key();
        const here = await changed(at, disable(1));
        const partial = await asks(at, key.id, here);
        const { outcome, view } = await bring(at, standing(here, world));
        assert.equal(outcome, 'newer');
        assert.deepEqual(view.head, here.workspace.head);
        assert.equal(openWorkspace(view.log, networkId).resolved.size, 1);
        await at.service.sweep();
        assert.equal((await at.call('sign_get', { requestId: partial }, at.owner())).state, 'partial');
        await at.call('action_decide', { decision: approve(here, partial, 'bob') });
        assert.equal((await at.call('sign_get', { requestId: partial }, at.owner())).state, 'pending');
      }),
    );

    it(
      'come from owners of either log, and prove themselves',
      withOwners(async (at) => {
        const { world } = at;
        const later = apart(world, addDave, [dave]);
        const log = after(later, world);
        await refuses(at, 'forbidden')(log, /is no owner/, { credential: signerOf('mallory').credential });
        const junk = { type: 'decision', bytes: 'AA', signatures: [] } as unknown as Envelope;
        const padded = [...log, ...Array.from({ length: 30 }, () => junk)];
        await refuses(at, 'invalid_params')(padded, /has 31 decisions, of which \d+ could count/);
        await refuses(at, 'invalid_params')([log[0]!], /was not decided/);
        await refuses(at, 'invalid_params')(log, /the log ends at entry 0/, at.owner(), 1);
        const [change, decision] = log as [Envelope, Envelope];
        const forged = {
          ...decision,
          signatures: [{ ...decision.signatures[0]!, signature: '0x00' as const }],
        };
        await assert.rejects(bring(at, [change, forged as Envelope]));
        assert.deepEqual((await worldNow(at)).workspace.head, world.workspace.head);
        assert.equal((await bring(at, log, asDave)).outcome, 'newer');
      }),
    );

    it(
      'hold nothing that is decided here, or was',
      withOwners(async (at) => {
        const { world } = at;
        const change = proposed(world, addDave, { cosigners: [dave], created: at.now });
        const id = idOf(change);
        const log = [change, approve(world, id, 'bob', { expires: at.now + 1000 })];
        await at.call('workspace_propose', { change });
        await refuses(at, 'wrong_state')(log, /is known here, and is partial/);
        // Bob approved, and took it back: the approval still exists.
        await at.call('action_decide', { decision: reject(world, id, 'bob', { seq: 2 }) });
        await at.call('action_decide', { decision: reject(world, id, 'carol') });
        await refuses(at, 'wrong_state')(log, /is known here, and is rejected/);
        assert.deepEqual((await worldNow(at)).workspace.head, world.workspace.head);
        // What a majority has said stands, stands.
        const said = standing(
          { ...world, workspace: openWorkspace([...world.workspace.log, ...log], networkId) },
          world,
        );
        assert.equal((await bring(at, said)).outcome, 'newer');
      }),
    );

    it(
      'tell nothing to whoever was an owner once',
      withOwners(async (at) => {
        const { world } = at;
        const old = apart(world, disable(7));
        const here = await changed(at, { kind: 'owner.remove', owner: 'carol' });
        const carol = at.owner('carol');
        await refuses(at, 'forbidden')(after(here, world), /is no owner/, carol);
        await refuses(at, 'wrong_state')(after(old, world), /forks/, carol);
        const { outcome } = await bring(at, after(here, world));
        assert.equal(outcome, 'same');
      }),
    );

    it(
      'are taken once by two who bring them, and beside what is decided',
      withOwners(async (at) => {
        const { world } = at;
        const { id } = await at.key();
        const later = apart(world, addDave, [dave]);
        const outcomes = await Promise.all([1, 2, 3].map(() => bring(at, after(later, world))));
        assert.deepEqual(outcomes.map(({ outcome }) => outcome).toSorted(), ['newer', 'same', 'same']);
        await assert.rejects(asks(at, id, world), { name: 'stale_log_head' });
        await asks(at, id, later);
      }),
    );
  });
}
