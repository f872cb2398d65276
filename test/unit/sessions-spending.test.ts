// Limits, delays and hours as each node holds to them by itself: what was taken is counted before anything leaves, and what
// waits for time alone is taken up by itself.
import assert from 'node:assert/strict';
import type { Evidence } from '../../protocol/authorize.ts';
import { fromHex, type Hex } from '../../protocol/hex.ts';
import type { Rule } from '../../protocol/policy/schema.ts';
import type { Workspace } from '../../protocol/records/workspace.ts';
import { changed, transferLedBy, transfers } from '../support/changed-network.ts';
import { approve, hour, networkId } from '../support/fixture.ts';
import { decodeFrame, encodeFrame } from '../../node/sessions/wire.ts';
import type { SimulatedNode } from '../support/session-world.ts';
import { Attacker, framesSent, KeyedNetwork } from '../support/session-attacker.ts';

const minute = 60_000;
const limit = { amount: '100000', per: '24h', scope: 'key' as const };

async function scene(rule: Partial<Rule>): Promise<{ net: KeyedNetwork; workspace: Workspace }> {
  const net = await KeyedNetwork.create(3, 2);
  const change = { kind: 'policy.sign' as const, policy: transfers(rule) };
  return { net, workspace: changed(net, net.world.workspace, change) };
}

/** Lets so much virtual time go by, whether or not anything happens in it. */
async function pass(net: KeyedNetwork, ms: number): Promise<void> {
  net.clock.after(ms, () => undefined);
  await net.pass(ms);
}

/** Whether a party has signatures: a request ends in other ways too. */
function isSigned({ store }: SimulatedNode, id: Hex): boolean {
  const result = store.finished.get(id);
  return result !== undefined && store.kindOf(result) === 'signatures';
}

function signaturesOf(net: KeyedNetwork, id: Hex): Uint8Array[] {
  const result = net.resultAt(0, id);
  assert(result?.kind === 'signatures', 'it is signed');
  return result.signatures.map((signature) => fromHex(signature as Hex));
}

/** What other parties with the same key sign, of which nobody here hears. */
async function signedBeside(full: Evidence, id: Hex): Promise<Uint8Array[]> {
  const net = await KeyedNetwork.create(3, 2);
  await net.bootAll();
  await net.submit(full, [0, 1, 2]);
  await net.until(() => isSigned(net.node(0), id), 60_000, 'the signature');
  await net.stop();
  return signaturesOf(net, id);
}

/** The first party tells another one again of the signatures that it made. */
async function tellSigned(net: KeyedNetwork, to: number): Promise<void> {
  const { party } = net.node(0);
  const wire = { networkId, keyringId: net.world.keyring.id };
  const told = framesSent(net, party.credential, 'done').at(-1);
  assert(told);
  await net.deliver(party.credential, to, encodeFrame('done', told.frame.content, wire, party));
}

const detailOf = (net: KeyedNetwork, index: number, id: string): string =>
  net
    .node(index)
    .sessions.status()
    .find(({ requestId }) => requestId === id)?.detail ?? '';

describe('sessions: limits', () => {
  it('let one start of two requests that fit, but not both, however they come', async () => {
    const { net, workspace } = await scene({ limit });
    for (const index of [0, 1]) await net.boot(index);
    const requests = [55_000n, 55_000n].map((lamports) => transferLedBy(net, workspace, lamports, 0));
    await Promise.all(
      [0, 1].flatMap((index) => requests.map(({ full }) => net.node(index).sessions.submit(full))),
    );
    const results = (): number => requests.filter(({ id }) => isSigned(net.node(0), id)).length;
    await net.until(() => results() === 1, 30_000, 'one is signed');
    await pass(net, 10 * minute);
    assert.equal(results(), 1);
    for (const index of [0, 1]) {
      const { debited, jobs } = net.node(index).store;
      assert.equal(debited.size, 1, `node ${index} has counted one`);
      const started = requests.filter(({ id }) => jobs.get(id)?.state !== 'stored');
      assert.equal(started.length, 1);
    }
    const [waiting] = requests.filter(({ id }) => !isSigned(net.node(0), id));
    assert.match(detailOf(net, 0, waiting!.id), /limit|used/);
    assert.equal(net.node(0).sessions.status()[0]?.waiting.for, 'time');
    await net.stop();
  });

  it('count what was started before a process was killed, though nothing of it had left', async () => {
    const { net, workspace } = await scene({ limit });
    for (const index of [0, 1]) await net.boot(index);
    const first = transferLedBy(net, workspace, 55_000n, 0);
    net.node(0).store.afterCall = (name) => {
      if (name !== 'markStarted') return;
      net.node(0).store.afterCall = () => undefined;
      net.kill(0);
    };
    await net.submit(first.full, [0, 1]);
    await net.until(() => !net.node(0).alive, 30_000, 'the node is killed');
    assert.deepEqual(framesSent(net, net.node(0).party.credential, 'propose'), []);
    net.kill(1);
    // Of the first request nothing is there any more but its debit.
    net.node(0).store.jobs.delete(first.id);
    await net.boot(0);
    const second = transferLedBy(net, workspace, 55_000n, 0);
    const { state, detail } = await net.node(0).sessions.submit(second.full);
    assert.equal(state, 'waiting');
    assert.match(detail, /60000 of 100000 SOL are used/);
    await net.stop();
  });

  it('count signatures that this node has only heard of', async () => {
    const { net, workspace } = await scene({ limit });
    await net.bootAll();
    const first = transferLedBy(net, workspace, 55_000n, 0);
    await net.submit(first.full, [0, 1, 2]);
    await net.until(() => net.nodes.every((node) => isSigned(node, first.id)), 60_000, 'all know it');
    for (const index of [0, 1, 2]) assert.equal(net.node(index).store.debited.size, 1, `node ${index}`);
    await net.stop();
  });

  it('count what others signed while the workspace was frozen here, over restarts', async () => {
    const { net, workspace } = await scene({ limit });
    await net.bootAll();
    const first = transferLedBy(net, workspace, 55_000n, 0);
    // It has its own, and what it is shown is not needed.
    net.intercept = ({ bytes }) => (decodeFrame(bytes).type === 'evidence' ? undefined : bytes);
    await net.node(2).sessions.freeze({ workspaceId: workspace.id, since: '2030-01-01T00:00:00.000Z' });
    await net.submit(first.full, [0, 1, 2]);
    await net.until(() => [0, 1].every((index) => isSigned(net.node(index), first.id)), 60_000, 'they sign');
    await net.pass(1000);
    assert(!isSigned(net.node(2), first.id));
    assert.equal(net.node(2).store.debited.get(first.id)?.signed, true);
    assert.deepEqual(net.logged(2, 'session.incident'), []);
    const { at } = net.node(2).store.debited.get(first.id)!;
    net.kill(2);
    await net.boot(2);
    await net.node(2).sessions.unfreeze(workspace.id);
    const second = transferLedBy(net, workspace, 55_000n, 0);
    assert.match((await net.node(2).sessions.submit(second.full)).detail, /60000 of 100000 SOL are used/);
    // It counts from then on, however often it is told again.
    await pass(net, 10 * minute);
    await tellSigned(net, 2);
    assert.equal(net.node(2).store.debited.get(first.id)?.at, at);
    await net.stop();
  });

  it('count what others signed while this node was away, though its approvals have run out', async () => {
    const { net, workspace } = await scene({ limit, require: { k: 2, of: 'owners' } });
    for (const index of [0, 1]) await net.boot(index);
    const { id, full } = transferLedBy(net, workspace, 55_000n, 0);
    const world = { ...net.world, workspace };
    const approval = approve(world, id, 'bob', { expires: net.clock.now() + 10 * minute });
    await net.submit({ ...full, decisions: [approval] }, [0, 1]);
    await net.until(() => isSigned(net.node(0), id), 60_000, 'the signature');
    await pass(net, 20 * minute);
    await net.boot(2);
    const { store } = net.node(2);
    store.beforeWrite = (name) => {
      if (name === 'noteDebits') throw new Error('the disk is full');
    };
    await tellSigned(net, 2);
    await net.pass(1000);
    assert(!store.debited.has(id));
    store.beforeWrite = () => undefined;
    await tellSigned(net, 2);
    await net.pass(1000);
    assert.equal(store.debited.get(id)?.signed, true);
    assert.deepEqual(net.logged(2, 'session.incident'), []);
    assert(!isSigned(net.node(2), id), 'it vouches for nothing that it could not judge in time');
    await net.stop();
  });

  it('count what others signed of a request that has ended here, until its own end', async () => {
    const { net, workspace } = await scene({ limit });
    await net.bootAll();
    const { id, full } = transferLedBy(net, workspace, 55_000n, 0);
    await net.node(2).sessions.freeze({ workspaceId: workspace.id, since: '2030-01-01T00:00:00.000Z' });
    net.intercept = ({ from, bytes }) =>
      decodeFrame(bytes).type === 'done' || from === net.node(2).party.credential ? undefined : bytes;
    await net.submit(full, [0, 1, 2]);
    await net.until(() => isSigned(net.node(0), id), 60_000, 'the signature');
    const ends = net.clock.now() + 2 * hour;
    await pass(net, 2 * hour);
    assert.equal(net.resultAt(2, id)?.kind, 'refusal');
    net.intercept = ({ bytes }) => bytes;
    await tellSigned(net, 2);
    await net.pass(1000);
    const debited = net.node(2).store.debited.get(id);
    assert.equal(debited?.signed, true);
    assert(debited.at < ends - hour / 2, 'nobody signs it after its end');
    assert.deepEqual(net.logged(2, 'session.incident'), []);
    await net.stop();
  });

  it('count what others signed in a state of the workspace that this node knew to be over, without an alarm', async () => {
    const { net, workspace } = await scene({ limit });
    await net.bootAll();
    const { id, full } = transferLedBy(net, workspace, 55_000n, 0);
    const { credential } = net.node(2).party;
    net.intercept = ({ from, bytes }) => (from === credential && !lets ? undefined : bytes);
    let lets = false;
    await net.submit(full, [2]);
    const change = { kind: 'keyring.add' as const, keyringId: `0x${'2'.repeat(64)}` as const };
    await net.node(2).sessions.importLog(changed(net, workspace, change).log);
    await net.submit(full, [0, 1]);
    await net.until(() => isSigned(net.node(0), id), 60_000, 'the signature');
    lets = true;
    await net.pass(1000);
    await tellSigned(net, 2);
    await net.pass(1000);
    assert(framesSent(net, net.node(0).party.credential, 'evidence').length > 0, 'it was shown why');
    assert.equal(net.node(2).store.debited.get(id)?.signed, true);
    assert.deepEqual(net.logged(2, 'session.incident'), []);
    await net.stop();
  });

  it('count nothing for signatures that are shown again with other requests', async () => {
    const { net, workspace } = await scene({ limit, require: { k: 2, of: 'owners' } });
    const attacker = new Attacker(net, 2);
    const { credential } = attacker.signer;
    for (const index of [0, 1]) await net.boot(index);
    const world = { ...net.world, workspace };
    const approved = (): { id: Hex; full: Evidence } => {
      const { id, full } = transferLedBy(net, workspace, 30_000n, 0);
      return { id, full: { ...full, decisions: [approve(world, id, 'bob')] } };
    };
    const first = approved();
    await net.submit(first.full, [0, 1]);
    await net.until(() => isSigned(net.node(0), first.id), 60_000, 'the signature');
    const { store } = net.node(0);
    const signatures = signaturesOf(net, first.id);
    const shown = async (
      { id, full }: { id: Hex; full: Evidence },
      made: Uint8Array[] = signatures,
    ): Promise<void> => {
      await net.deliver(credential, 0, attacker.encode('done', { requestId: id, signatures: made }));
      await net.until(() => attacker.received.some(({ frame }) => frame.type === 'want'));
      await attacker.bring(0, id, full);
      await net.pass(1000);
    };
    // Nobody but its initiator has approved it.
    await shown({ ...transferLedBy(net, workspace, 30_000n, 0) });
    assert.deepEqual([...store.debited.keys()], [first.id]);
    assert.equal(net.logged(0, 'session.incident').at(-1)?.['code'], 'unauthorised_result');
    const other = transferLedBy(net, workspace, 20_000n, 0);
    const decisions = [approve(world, other.id, 'bob')];
    const beside = await signedBeside({ ...other.full, decisions }, other.id);
    await shown(other, beside);
    assert.deepEqual([...store.debited.keys()], [first.id], 'nor when it was really signed');
    // Its owners approved it, and nothing was signed for it: frozen here, so that this node does not sign it itself.
    await net.node(0).sessions.freeze({ workspaceId: workspace.id, since: '2030-01-01T00:00:00.000Z' });
    await shown(approved());
    assert.deepEqual([...store.debited.keys()], [first.id]);
    await net.stop();
  });

  it('count nothing for requests in a state that is over, of which nothing was known here', async () => {
    const { net, workspace } = await scene({ limit, require: { k: 2, of: 'owners' } });
    const attacker = new Attacker(net, 2);
    const { credential } = attacker.signer;
    const { id, full } = transferLedBy(net, workspace, 30_000n, 0);
    const decisions = [approve({ ...net.world, workspace }, id, 'bob')];
    const signatures = await signedBeside({ ...full, decisions }, id);
    await net.boot(0);
    const remove = { kind: 'owner.remove' as const, owner: 'carol' };
    await net.node(0).sessions.importLog(changed(net, workspace, remove).log);
    await net.deliver(credential, 0, attacker.encode('done', { requestId: id, signatures }));
    await net.until(() => attacker.received.some(({ frame }) => frame.type === 'want'));
    await attacker.bring(0, id, { ...full, decisions });
    await net.pass(1000);
    assert.deepEqual([...net.node(0).store.debited.keys()], []);
    await net.stop();
  });

  it('have room again when the window has moved on, and are then taken up by themselves', async () => {
    const { net, workspace } = await scene({ limit: { ...limit, per: '30m' } });
    for (const index of [0, 1]) await net.boot(index);
    const first = transferLedBy(net, workspace, 55_000n, 0);
    await net.submit(first.full, [0, 1]);
    await net.until(() => isSigned(net.node(0), first.id), 30_000, 'the first');
    const second = transferLedBy(net, workspace, 55_000n, 0);
    await net.submit(second.full, [0, 1]);
    await pass(net, 29 * minute);
    assert(!isSigned(net.node(0), second.id));
    await net.until(() => isSigned(net.node(0), second.id), 3 * minute, 'the second');
    await net.stop();
  });

  it('count as used up on an old copy of a folder, for as long as they look back', async () => {
    const { net, workspace } = await scene({ limit: { ...limit, per: '30m' } });
    net.node(0).store.forgotten = net.clock.now();
    for (const index of [0, 1]) await net.boot(index);
    const { id, full } = transferLedBy(net, workspace, 1n, 1);
    await net.submit(full, [0, 1]);
    await pass(net, 29 * minute);
    assert.match(detailOf(net, 0, id), /taken for used up/);
    assert.equal(framesSent(net, net.node(0).party.credential, 'accept').length, 0);
    await net.until(() => isSigned(net.node(0), id), 3 * minute, 'the signature');
    await net.stop();
  });

  it('hold back no rule without one', async () => {
    const { net, workspace } = await scene({});
    net.node(0).store.forgotten = net.clock.now();
    for (const index of [0, 1]) await net.boot(index);
    const { id, full } = transferLedBy(net, workspace, 55_000n, 0);
    await net.submit(full, [0, 1]);
    await net.until(() => isSigned(net.node(0), id), 30_000, 'the signature');
    await net.stop();
  });
});

describe('sessions: delays', () => {
  it("count from each node's own first sight, over restarts", async () => {
    const { net, workspace } = await scene({ delay: '10m' });
    await net.boot(0);
    const { id, full } = transferLedBy(net, workspace, 55_000n, 0);
    assert.equal((await net.node(0).sessions.submit(full)).state, 'waiting');
    await pass(net, 6 * minute);
    net.kill(0);
    for (const index of [0, 1]) await net.boot(index);
    await net.submit(full, [1]);
    await pass(net, 5 * minute);
    // It is over at the first; the second has not waited yet.
    assert.equal(net.node(0).sessions.status()[0]?.authorised, true);
    assert.equal(net.node(1).sessions.status()[0]?.authorised, false);
    assert.equal(net.node(1).sessions.status()[0]?.waiting.for, 'time');
    assert.equal(framesSent(net, net.node(1).party.credential, 'accept').length, 0);
    await net.until(() => isSigned(net.node(0), id), 7 * minute, 'the signature');
    assert(net.clock.now() >= (net.node(1).store.jobs.get(id)?.seen ?? Infinity) + 10 * minute);
    await net.stop();
  });

  it('are no reason to raise an alarm where others have signed already', async () => {
    const { net, workspace } = await scene({ delay: '10m' });
    for (const index of [0, 1]) await net.boot(index);
    const { id, full } = transferLedBy(net, workspace, 55_000n, 0);
    await net.submit(full, [0, 1]);
    await pass(net, 9 * minute);
    await net.boot(2);
    await net.submit(full, [2]);
    await net.until(() => isSigned(net.node(0), id), 3 * minute, 'the signature');
    await pass(net, 1 * minute);
    assert.deepEqual(net.logged(2, 'session.incident'), []);
    await net.until(() => isSigned(net.node(2), id), 10 * minute, 'it is known there too');
    await net.stop();
  });
});

describe('sessions: hours', () => {
  it('begin by themselves', async () => {
    // The network's clock starts on a Tuesday at midnight.
    const hours = { tz: 'UTC', days: 'mon-fri', from: '00:30', to: '01:00' };
    const { net, workspace } = await scene({ when: { asset: ['SOL'], hours } });
    for (const index of [0, 1]) await net.boot(index);
    const { id, full } = transferLedBy(net, workspace, 55_000n, 0);
    await net.submit(full, [0, 1]);
    await pass(net, 20 * minute);
    assert.equal(framesSent(net, net.node(0).party.credential, 'propose').length, 0);
    await net.until(() => isSigned(net.node(0), id), hour, 'the signature');
    await net.stop();
  });
});
