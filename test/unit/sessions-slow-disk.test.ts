// A newer state of a workspace while the disk is slow, or full: it holds at once, and nobody is told of it before it is durable.
import assert from 'node:assert/strict';
import { changed, requestIn } from '../support/changed-network.ts';
import { evidence, idOf, keyRequest } from '../support/fixture.ts';
import { anyOwner, workspaceBeside } from '../support/other-workspace.ts';
import { framesSent, KeyedNetwork } from '../support/session-attacker.ts';
import type { MemorySessionStore } from '../support/session-world.ts';

const addKeyring = (byte: number) => ({
  kind: 'keyring.add' as const,
  keyringId: `0x${String(byte).repeat(64)}` as const,
});

/** Heads of logs beyond the first entry that a party has told of. */
const told = (net: KeyedNetwork, index: number): number[] =>
  framesSent(net, net.node(index).party.credential, 'heads').flatMap(({ frame }) =>
    frame.content.heads.map(({ head }) => head.seq),
  );

const left = (net: KeyedNetwork, index: number): number =>
  (['propose', 'accept', 'start'] as const).flatMap((type) =>
    framesSent(net, net.node(index).party.credential, type),
  ).length;

/** Lets this store write the head of a log only when what is returned is called. */
function slowDisk(store: MemorySessionStore): () => void {
  const write = store.rememberHead.bind(store);
  const { promise, resolve } = Promise.withResolvers<void>();
  store.rememberHead = async (...parameters) => {
    await promise;
    await write(...parameters);
  };
  return resolve;
}

/** Makes this store write no head of a log until what is returned is called. */
function fullDisk(store: MemorySessionStore): () => void {
  store.beforeWrite = (name) => {
    if (name === 'rememberHead') throw new Error('the disk is full');
  };
  return () => (store.beforeWrite = () => undefined);
}

describe('sessions: a newer log on a slow disk', () => {
  it('voids what was asked for before it at once, and is told when it is durable', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.boot(0);
    const { full } = net.messageLedBy(0);
    const { sessions, store } = net.node(0);
    assert.equal((await sessions.submit(full)).state, 'authorised');
    const newer = changed(net, net.world.workspace, addKeyring(2));
    const goOn = slowDisk(store);
    let isTaken = false;
    const taken = sessions.submitLog(newer.log).then(() => (isTaken = true));
    await net.boot(1);
    await net.pass(60_000);
    assert.match(sessions.status()[0]?.detail ?? '', /^stale_log_head/);
    assert.equal(left(net, 0), 0);
    assert.deepEqual([isTaken, told(net, 0)], [false, []]);
    goOn();
    await taken;
    await net.pass(1000);
    assert.deepEqual(store.logs.get(newer.id)?.head, newer.head);
    assert(told(net, 0).every((seq) => seq === 1) && told(net, 0).length > 0);
    assert.deepEqual(net.node(1).store.logs.get(newer.id)?.head, newer.head);
    await net.stop();
  });

  it('lets nothing be signed in the newer state before that is durable', async () => {
    const net = await KeyedNetwork.create(3, 2);
    for (const index of [0, 1]) await net.boot(index);
    const newer = changed(net, net.world.workspace, addKeyring(2));
    const { id, full } = requestIn(net, newer);
    const goOn = slowDisk(net.node(0).store);
    const submitted = net.node(0).sessions.submit(full);
    await net.pass(60_000);
    assert.equal(left(net, 0), 0);
    goOn();
    await submitted;
    await net.node(1).sessions.submit(full);
    await net.signedBy(id, [0, 1]);
    await net.stop();
  });
});

describe('sessions: a newer log on a full disk', () => {
  it('holds all the same, and is durable before the next one who brings it is answered', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.boot(0);
    const { sessions, store } = net.node(0);
    const { workspace } = net.world;
    assert.equal((await sessions.submit(net.messageLedBy(0).full)).state, 'authorised');
    const newer = changed(net, workspace, addKeyring(2));
    const empty = fullDisk(store);
    await assert.rejects(sessions.submitLog(newer.log), /the disk is full/);
    await assert.rejects(sessions.submitLog(newer.log), /the disk is full/, 'it is not taken for known');
    await assert.rejects(sessions.submit(requestIn(net, newer).full), /the disk is full/);
    await net.boot(1);
    await net.pass(60_000);
    assert.match(sessions.status()[0]?.detail ?? '', /^stale_log_head/);
    assert.equal(left(net, 0), 0);
    assert.deepEqual(told(net, 0), []);
    empty();
    // Whatever of the workspace comes next.
    assert.equal((await sessions.submitLog(workspace.log))[0]?.outcome, 'older');
    assert.deepEqual(store.logs.get(newer.id)?.head, newer.head);
    await net.pass(1000);
    assert.deepEqual(net.node(1).store.logs.get(newer.id)?.head, newer.head);
    const { id, full } = requestIn(net, newer);
    await net.submit(full, [0, 1]);
    await net.signedBy(id, [0, 1]);
    await net.stop();
  });

  it('is written over what the disk has, also when two came before it was', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.boot(0);
    const { sessions, store } = net.node(0);
    const one = changed(net, net.world.workspace, addKeyring(2));
    const two = changed(net, one, addKeyring(3));
    const empty = fullDisk(store);
    for (const { log } of [one, two]) await assert.rejects(sessions.submitLog(log), /the disk is full/);
    empty();
    assert.equal((await sessions.submitLog(two.log))[0]?.outcome, 'same');
    assert.deepEqual(store.logs.get(two.id)?.head, two.head);
    await net.stop();
  });

  it('keeps what is asked for first in a workspace from being signed until its log is durable', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.bootAll();
    const { alice, bob } = net.world.owners;
    const other = workspaceBeside(net.world, { alice: alice!, bob: bob! }, anyOwner, 'other');
    const request = keyRequest(other, { created: net.clock.now() });
    const full = evidence(other, request);
    const { sessions, store } = net.node(0);
    const empty = fullDisk(store);
    await assert.rejects(sessions.submit(full), /the disk is full/);
    await net.submit(full, [1, 2]);
    await net.pass(20_000);
    assert.equal(framesSent(net, net.node(0).party.credential, 'accept').length, 0);
    assert.match(sessions.status()[0]?.detail ?? '', /log_unsaved|could not be stored/);
    empty();
    assert.equal((await sessions.submit(full)).state, 'authorised');
    await net.until(() => store.active.has(idOf(request)), 60_000, 'the key');
    await net.stop();
  });
});
