// Logs of workspaces that are nothing to a node: anybody can make some, and nobody can fill its disk with them, nor push out
// what another one brought.
import assert from 'node:assert/strict';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import type { Evidence } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { Workspace } from '../../protocol/records/workspace.ts';
import { operator } from '../../node/sessions/held-decisions.ts';
import { leastCharge, maxStrangeBytes } from '../../node/sessions/strange-logs.ts';
import { changed } from '../support/changed-network.ts';
import {
  createWorld,
  evidence,
  hour,
  idOf,
  keyRequest,
  messagePayload,
  signRequest,
  type World,
} from '../support/fixture.ts';
import { workspaceBeside } from '../support/other-workspace.ts';
import { Attacker, framesSent, KeyedNetwork } from '../support/session-attacker.ts';

const addKeyring = { kind: 'keyring.add' as const, keyringId: `0x${'2'.repeat(64)}` as const };

/** A workspace that names the network's keyring, which nobody has asked for anything in. */
function beside(net: KeyedNetwork, name: string): World {
  const { alice, bob } = net.world.owners;
  return workspaceBeside(net.world, { alice: alice!, bob: bob! }, undefined, name);
}

const grown = (net: KeyedNetwork, name: string): Workspace =>
  changed(net, beside(net, name).workspace, addKeyring);

/** A request for a key in this state of a workspace. */
function askedIn(net: KeyedNetwork, world: World): { id: Hex; full: Evidence } {
  const request = keyRequest(world, { created: net.clock.now() });
  return { id: idOf(request), full: evidence(world, request) };
}

async function attacked(): Promise<{ net: KeyedNetwork; attacker: Attacker }> {
  const net = await KeyedNetwork.create(3, 2);
  const attacker = new Attacker(net, 2);
  await net.boot(0);
  return { net, attacker };
}

describe('sessions: logs of strange workspaces that a party sends', () => {
  it('are neither asked for nor kept', async () => {
    const { net, attacker } = await attacked();
    const { credential } = attacker.signer;
    const { id: workspaceId, head, log } = grown(net, 'theirs');
    const heads = [{ workspaceId, head: { ...head }, resolved: 0 }];
    await net.deliver(credential, 0, attacker.encode('heads', { heads }));
    assert.deepEqual(framesSent(net, net.node(0).party.credential, 'want_log'), []);
    const bytes = utf8ToBytes(JSON.stringify(log));
    await net.deliver(credential, 0, attacker.encode('log', { workspaceId, log: bytes }));
    assert.equal(net.logged(0, 'session.message_rejected').at(-1)?.['code'], 'unwanted');
    // Under the name of one that does matter.
    const named = { workspaceId: net.world.workspace.id, log: bytes };
    await net.deliver(credential, 0, attacker.encode('log', named));
    assert.equal(net.logged(0, 'session.message_rejected').at(-1)?.['code'], 'malformed_message');
    assert.deepEqual([...net.node(0).store.logs.keys()], [net.world.workspace.id]);
    await net.stop();
  });

  it('come with evidence only where its request is stored', async () => {
    const { net, attacker } = await attacked();
    const { store } = net.node(0);
    const theirs = beside(net, 'theirs');
    const { id, full } = askedIn(net, theirs);
    const send = (): Promise<void> => attacker.bring(0, id, full);
    store.beforeWrite = (name) => {
      if (name === 'putJob') throw new Error('the disk is full');
    };
    await send();
    assert(!store.logs.has(theirs.workspace.id));
    store.beforeWrite = () => undefined;
    await send();
    assert(store.logs.has(theirs.workspace.id));
    assert.equal(store.strange.get(theirs.workspace.id)?.source, attacker.signer.credential);
    await net.stop();
  });
});

describe('sessions: logs of strange workspaces that the connector brings', () => {
  it('are kept when they name this keyring, and passed on to nobody', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.bootAll();
    const { sessions, store, party } = net.node(0);
    const mine = grown(net, 'mine');
    assert.equal((await sessions.submitLog(mine.log))[0]?.outcome, 'newer');
    const { workspace: elsewhere } = createWorld({ name: 'elsewhere' });
    await assert.rejects(sessions.submitLog(elsewhere.log), { code: 'not_served', retry: false });
    await net.pass(1000);
    net.kill(1);
    await net.boot(1);
    await net.pass(1000);
    const told = framesSent(net, party.credential, 'heads').flatMap(({ frame }) => frame.content.heads);
    assert.deepEqual(
      told.filter(({ workspaceId }) => workspaceId === mine.id),
      [],
    );
    assert(!store.logs.has(elsewhere.id));
    assert.equal(store.strange.get(mine.id)?.source, 'connector');
    for (const index of [1, 2]) assert(!net.node(index).store.logs.has(mine.id), String(index));
    // What is asked for in a state that it left is void, also after a restart.
    net.kill(0);
    await net.boot(0);
    await assert.rejects(net.node(0).sessions.submit(askedIn(net, beside(net, 'mine')).full), {
      code: 'stale_log_head',
    });
    await net.stop();
  });

  it('give way to newer ones beyond its share, and nothing else does', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const { store } = net.node(0);
    const share = Math.floor(maxStrangeBytes / 3);
    const [old, peers, imported] = ['old', 'of a party', 'imported'].map((name) => grown(net, name));
    const charged = { length: share - 1, proof: 0, at: 0 };
    for (const [kept, source] of [
      [old!, 'connector'],
      [peers!, net.world.parties[1]!.credential],
    ] as const) {
      store.logs.set(kept.id, kept);
      store.strange.set(kept.id, { workspaceId: kept.id, source, ...charged });
    }
    await net.boot(0);
    const { sessions } = net.node(0);
    await sessions.importLog(imported!.log);
    const { workspace: elsewhere } = createWorld({ name: 'elsewhere' });
    await assert.doesNotReject(sessions.importLog(elsewhere.log));
    assert.deepEqual(
      [old!, peers!, imported!].map(({ id }) => store.logs.has(id)),
      [true, true, true],
      'the operator takes nobody’s room',
    );
    const { id, log } = grown(net, 'new');
    await assert.doesNotReject(sessions.submitLog(log));
    assert.deepEqual(
      [old!.id, peers!.id, imported!.id, id].map((one) => store.logs.has(one)),
      [false, true, true, true],
    );
    assert(!sessions.workspaces().some(({ workspaceId }) => workspaceId === old!.id));
    assert.equal((await sessions.submitLog(old!.log))[0]?.outcome, 'newer', 'it is not taken for known');
    await net.stop();
  });
});

describe('sessions: a workspace that becomes something to a node', () => {
  it('keeps its log as long as a request is open, and for good once one was begun', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const { store } = net.node(0);
    const asked = beside(net, 'asked');
    await net.boot(0);
    const { id, full } = askedIn(net, asked);
    await net.node(0).sessions.submit(full);
    const charge = store.strange.get(asked.workspace.id);
    assert.equal(charge?.source, 'connector');
    const fill = async (length: number): Promise<void> => {
      store.strange.set(asked.workspace.id, { ...charge!, length });
      net.kill(0);
      await net.boot(0);
    };
    await fill(maxStrangeBytes);
    const [one, two] = ['one', 'two'].map((name) => grown(net, name));
    for (let time = 0; time < 2; time++)
      await assert.rejects(net.node(0).sessions.submitLog(one!.log), { code: 'not_kept', retry: false });
    assert.deepEqual([store.logs.has(asked.workspace.id), store.logs.has(one!.id)], [true, false]);
    await fill(Math.floor(maxStrangeBytes / 3) - leastCharge);
    for (const { log } of [one!, two!, one!])
      assert.equal(
        (await net.node(0).sessions.submitLog(log))[0]?.outcome,
        'newer',
        'none is taken for known',
      );
    assert.deepEqual([store.logs.has(asked.workspace.id), store.logs.has(two!.id)], [true, false]);
    for (const index of [1, 2]) {
      await net.boot(index);
      await net.node(index).sessions.submit(full);
    }
    await net.until(() => store.active.has(id), 60_000, 'the key');
    assert.equal(store.strange.has(asked.workspace.id), false);
    assert(store.logs.has(asked.workspace.id));
    await net.stop();
  });

  it('gives way again when the key that was begun was never made', async () => {
    const { net, attacker } = await attacked();
    const { store } = net.node(0);
    const theirs = beside(net, 'theirs');
    const { id, full } = askedIn(net, theirs);
    const { credential } = attacker.signer;
    await attacker.bring(0, id, full);
    await net.boot(1);
    await net.node(1).sessions.submit(full);
    await net.until(() => store.jobs.get(id)?.state === 'started', 60_000, 'its start');
    assert.equal(store.strange.get(theirs.workspace.id)?.source, credential, 'there is no share yet');
    await net.pass(2 * hour);
    assert.equal(net.resultAt(0, id)?.kind, 'refusal');
    assert.equal(store.strange.has(theirs.workspace.id), true);
    await net.stop();
  });

  it('is charged also when it had to go before it was here', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const { store } = net.node(0);
    const asked = beside(net, 'asked');
    await net.boot(0);
    await net.node(0).sessions.submit(askedIn(net, asked).full);
    store.strange.set(asked.workspace.id, {
      ...store.strange.get(asked.workspace.id)!,
      length: maxStrangeBytes,
    });
    net.kill(0);
    await net.boot(0);
    const late = grown(net, 'late');
    let meanwhile: Promise<unknown> | undefined;
    const charge = store.chargeLog.bind(store);
    store.chargeLog = async (log) => {
      await charge(log);
      if (log.workspaceId === late.id && meanwhile === undefined) {
        meanwhile = net.node(0).sessions.submit(askedIn(net, beside(net, 'another')).full);
        await meanwhile;
      }
    };
    await assert.rejects(net.node(0).sessions.submitLog(late.log), { code: 'not_kept' });
    assert.ok(meanwhile, 'another one came in between');
    assert.deepEqual([store.logs.has(late.id), store.strange.has(late.id)], [false, false]);
    await net.stop();
  });

  it('is charged no more when a crash kept it from being written', async () => {
    const { net } = await attacked();
    const { store } = net.node(0);
    const late = grown(net, 'late');
    net.kill(0);
    await store.chargeLog({ workspaceId: late.id, source: 'connector', length: 1, proof: 0, at: 1 });
    await net.boot(0);
    assert.deepEqual([...store.strange.keys()], []);
    await net.node(0).sessions.importLog(late.log);
    net.kill(0);
    await net.boot(0);
    assert.deepEqual([...store.strange.keys()], [], 'what the operator brought is kept for good');
    await net.stop();
  });

  it('is on the disk before a key of it is made, whatever failed before', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const asked = beside(net, 'asked');
    await net.bootAll();
    const { id, full } = askedIn(net, asked);
    const { store, sessions } = net.node(0);
    let failures = 0;
    store.beforeWrite = (name) => {
      if (name === 'chargeLog' && failures++ === 0) throw new Error('the disk is full');
    };
    await assert.rejects(sessions.submit(full), /the disk is full/);
    for (const index of [1, 2]) await net.node(index).sessions.submit(full);
    await net.pass(30_000);
    assert.equal(store.pending.has(id), store.logs.has(asked.workspace.id), 'no share without its log');
    await sessions.submit(full);
    await net.until(() => store.active.has(id), 120_000, 'the key');
    assert.equal(store.logs.has(asked.workspace.id), true);
    await net.stop();
  });

  it('gives way again when nothing was begun before its request ended', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const { store } = net.node(0);
    const asked = beside(net, 'asked');
    await net.boot(0);
    const { id, full } = askedIn(net, asked);
    await net.node(0).sessions.submit(full);
    await net.pass(2 * hour);
    assert.equal(net.resultAt(0, id)?.kind, 'refusal');
    const charge = store.strange.get(asked.workspace.id);
    store.strange.set(asked.workspace.id, { ...charge!, length: maxStrangeBytes });
    net.kill(0);
    await net.boot(0);
    await net.node(0).sessions.submitLog(grown(net, 'another').log);
    assert(!store.logs.has(asked.workspace.id));
    await net.stop();
  });

  it('is told by who knows a newer state of it', async () => {
    const net = await KeyedNetwork.create(3, 2);
    for (const index of [0, 1]) await net.boot(index);
    const asked = beside(net, 'asked');
    const newer = changed(net, asked.workspace, addKeyring);
    await net.node(1).sessions.importLog(newer.log);
    await net.pass(1000);
    assert(!net.node(0).store.logs.has(newer.id), 'nobody has asked for anything there');
    await net.node(0).sessions.submit(askedIn(net, asked).full);
    await net.pass(1000);
    assert.deepEqual(net.node(0).store.logs.get(newer.id)?.head, newer.head);
    assert.match(net.node(0).sessions.status()[0]?.detail ?? '', /^stale_log_head/);
    await net.stop();
  });

  it('is charged to the connector from then on when that brings it too', async () => {
    const { net, attacker } = await attacked();
    const { store, sessions } = net.node(0);
    const asked = beside(net, 'asked');
    const { id, full } = askedIn(net, asked);
    const { credential } = attacker.signer;
    await attacker.bring(0, id, full);
    assert.equal(store.strange.get(asked.workspace.id)?.source, credential);
    await sessions.submit(askedIn(net, asked).full);
    assert.equal(store.strange.get(asked.workspace.id)?.source, 'connector');
    await sessions.importLog(asked.workspace.log);
    assert(!store.strange.has(asked.workspace.id), `and to nobody by the ${operator}`);
    await net.stop();
  });
});

describe('sessions: requests that are refused for ever', () => {
  /** It names a key of this keyring that belongs to another workspace. */
  function refused(net: KeyedNetwork): { id: Hex; full: Evidence } {
    const theirs = beside(net, 'theirs');
    const items = [{ keyId: net.key.id, payload: messagePayload('hello') }];
    const request = signRequest(theirs, items, { created: net.clock.now() });
    return { id: idOf(request), full: evidence(theirs, request, { keys: net.keys }) };
  }

  it('leave nothing behind when a party brought them, and the refusal alone when the connector did', async () => {
    const { net, attacker } = await attacked();
    const { store, sessions } = net.node(0);
    const { id, full } = refused(net);
    await attacker.bring(0, id, full);
    assert.equal(net.logged(0, 'session.message_rejected').at(-1)?.['code'], 'wrong_key');
    assert.deepEqual([store.jobs.size, store.finished.size], [0, 0]);
    assert.equal((await sessions.submit(full)).state, 'done');
    assert.equal(net.resultAt(0, id)?.kind, 'refusal');
    assert.equal(store.jobs.size, 0);
    await net.stop();
  });
});
