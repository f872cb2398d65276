// What happens while a node's own work is under way: time passes, evidence comes, attempts end, the node stops. Late
// results are dropped, no share leaves without being authorised then, and nobody is blamed for this party's own queue.
import assert from 'node:assert/strict';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import { defaultTiming } from '../../node/sessions/context.ts';
import type { Evidence } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import { WorkError } from '../../node/work/error.ts';
import { encodeFrame, type WireContext } from '../../node/sessions/wire.ts';
import { approve, evidence, idOf, keyRequest, networkId, reject } from '../support/fixture.ts';
import { Attacker, framesSent, KeyedNetwork, signedElsewhere } from '../support/session-attacker.ts';
import { SlowWork } from '../support/slow-work.ts';

const { roundDeadline } = defaultTiming;

interface Slow {
  readonly net: KeyedNetwork;
  /** Of each party. */
  readonly works: SlowWork[];
  readonly work: SlowWork;
}

/** A network whose nodes' work takes the time that a test says; none is booted. */
async function slow(parties = 2, threshold = 2): Promise<Slow> {
  const works: SlowWork[] = [];
  const net = await KeyedNetwork.create(parties, threshold, {
    work: (inline, { clock }, index) => (works[index] = new SlowWork(inline, clock)),
  });
  return {
    net,
    works,
    get work() {
      return works[0] as SlowWork;
    },
  };
}

const credential = (net: KeyedNetwork, index: number): string => net.node(index).party.credential;
const codes = (net: KeyedNetwork, index = 0): unknown[] =>
  net.logged(index, 'session.aborted').map(({ code }) => code);
const rounds = (net: KeyedNetwork, index = 0): unknown[] => framesSent(net, credential(net, index), 'round');
const wireOf = (net: KeyedNetwork): WireContext => ({ networkId, keyringId: net.world.keyring.id });
const evidenceBytes = (full: Evidence): Uint8Array => utf8ToBytes(JSON.stringify(full));
/** Until party 0 has begun an attempt whose first step is under way. */
const starting = ({ net, work }: Slow): Promise<void> =>
  net.until(
    () => net.logged(0, 'session.started').length > 0 && work.underway > 0,
    60_000,
    'a step that is under way',
  );

/** A request that waits for one more approval at party 0, the only one that is there. */
async function waiting(): Promise<Slow & { readonly id: Hex; readonly full: Evidence }> {
  const scene = await slow();
  await scene.net.boot(0);
  const { id, full } = scene.net.messageLedBy(0);
  const without = { ...full, decisions: [] };
  await scene.net.node(0).sessions.submit(without);
  return { ...scene, work: scene.work, id, full: without };
}

describe('sessions: while work is under way', () => {
  it('everything is signed, however long it takes within the deadlines', async () => {
    const { net, works } = await slow(3, 2);
    await net.bootAll();
    for (const [index, { slowness }] of works.entries()) {
      slowness.step = (call) => (call === 'start' ? 3000 : 1000) * (index + 1);
      slowness.judge = () => 500 * (index + 1);
    }
    const { id, full } = net.messageLedBy(0);
    for (const node of net.nodes) void node.sessions.submit(full);
    await net.signedBy(id, [0, 1, 2]);
    await net.stop();
  });

  it('a key is made, with rounds of the others coming early', async () => {
    const { net, works } = await slow(3, 2);
    await net.bootAll();
    // Party 0 is last by far: everything of the others waits for it.
    for (const [index, { slowness }] of works.entries()) slowness.step = () => (index === 0 ? 2000 : 100);
    const request = keyRequest(net.world, { created: net.clock.now(), label: 'slow' });
    const id = idOf(request);
    for (const node of net.nodes) await node.sessions.submit(evidence(net.world, request));
    await net.until(() => net.nodes.every(({ store }) => store.active.has(id)), 60_000, 'the key');
    assert.deepEqual(codes(net), []);
    await net.stop();
  });

  it('no share leaves when an approval ran out while it was computed', async () => {
    const scene = await slow();
    const { net } = scene;
    await net.bootAll();
    scene.work.slowness.step = () => 10_000;
    const { id, full } = net.messageLedBy(0);
    const decisions = [approve(net.world, id, 'bob', { expires: net.clock.now() + 5000 })];
    await net.submit({ ...full, decisions }, [0, 1]);
    await starting(scene);
    await net.pass(10_000);
    assert.deepEqual(rounds(net), []);
    assert.equal(codes(net)[0], 'not_authorised');
    assert.equal(net.resultAt(0, id), undefined);
    await net.stop();
  });

  it('no share leaves when a rejection came while it was computed', async () => {
    const scene = await slow();
    const { net } = scene;
    await net.bootAll();
    scene.work.slowness.step = () => 10_000;
    const { id, full } = net.messageLedBy(0);
    await net.submit(full, [0, 1]);
    await starting(scene);
    const decisions = [reject(net.world, id, 'alice')];
    await assert.rejects(net.node(0).sessions.submit({ ...full, decisions }), /cancelled/);
    await net.pass(10_000);
    assert.equal(scene.work.underway, 0, 'the step came back');
    assert.deepEqual(rounds(net), []);
    assert.equal(net.resultAt(0, id), undefined);
    await net.stop();
  });

  it('no key is confirmed when the request ended while its last step was computed', async () => {
    const scene = await slow();
    const { net } = scene;
    await net.bootAll();
    const request = keyRequest(net.world, {
      created: net.clock.now(),
      expires: net.clock.now() + 12_000,
      label: 'late',
    });
    const id = idOf(request);
    for (const node of net.nodes) await node.sessions.submit(evidence(net.world, request));
    await net.until(() => rounds(net).length > 0, 12_000, 'the first round');
    let step = 0;
    // The last step of party 0 ends after the request.
    scene.work.slowness.step = () => (step++ === 0 ? 0 : 13_000);
    await net.pass(20_000);
    assert.equal(net.node(0).store.pending.has(id), false);
    assert.equal(net.node(0).store.active.has(id), false);
    const result = net.resultAt(0, id);
    assert(result?.kind === 'refusal', JSON.stringify(result));
    await net.stop();
  });

  it('a result of an attempt that has ended is dropped', async () => {
    const scene = await slow();
    const { net } = scene;
    await net.bootAll();
    scene.work.slowness.step = () => 5000;
    scene.work.slowness.outlives = true;
    const { id, full } = net.messageLedBy(1);
    await net.submit(full, [0, 1]);
    await starting(scene);
    const [started] = net.logged(0, 'session.started');
    const attemptId = String(started?.['attemptId']);
    const abort = { attemptId, requestId: id, code: 'round_timeout', awaited: [] };
    await net.deliver(credential(net, 1), 0, encodeFrame('abort', abort, wireOf(net), net.node(1).party));
    assert.deepEqual(codes(net), ['aborted_by_peer']);
    const leftBefore = rounds(net).length;
    await net.pass(5000);
    assert.equal(rounds(net).length, leftBefore, 'nothing of the ended attempt leaves');
    scene.work.slowness.step = () => 0;
    await net.signedBy(id, [0, 1]);
    await net.stop();
  });

  it('a second START while the first step is under way proves the leader guilty', async () => {
    const scene = await slow(3, 2);
    const { net } = scene;
    const attacker = new Attacker(net, 2);
    await net.boot(0);
    scene.work.slowness.step = () => 5000;
    await net.boot(1);
    const { full } = net.messageLedBy(2);
    await net.submit(full, [0, 1]);
    const attempt = attacker.attempt(full);
    attacker.toAll(attempt.frame);
    await net.until(() => attacker.accepts(attempt.attemptId).size === 2, 5000, 'both ACCEPTs');
    const accepts = attacker.accepts(attempt.attemptId);
    const start = (member: number): Uint8Array =>
      attacker.start(attempt, [attempt.accept, accepts.get(credential(net, member))!.bytes]);
    attacker.send(0, start(0));
    await starting(scene);
    attacker.send(0, start(1));
    await net.pass(1000);
    const [aborted] = net.logged(0, 'session.aborted');
    assert.equal(aborted?.['code'], 'leader_equivocated');
    assert.equal(aborted?.['culprit'], attacker.signer.credential);
    await net.pass(5000);
    // The honest ones go on without it.
    const left = framesSent(net, credential(net, 0), 'round');
    assert.equal(left.filter(({ frame }) => frame.content.attemptId === attempt.attemptId).length, 0);
    await net.stop();
  });

  it('a party that is too slow itself blames nobody', async () => {
    const scene = await slow();
    const { net } = scene;
    await net.bootAll();
    scene.work.slowness.step = () => 2 * roundDeadline;
    const { full } = net.messageLedBy(0);
    await net.submit(full, [0, 1]);
    await starting(scene);
    await net.until(() => codes(net).length > 0, 2 * roundDeadline, 'the end of the attempt');
    const [aborted] = net.logged(0, 'session.aborted');
    assert.equal(aborted?.['code'], 'overloaded');
    assert.deepEqual(aborted?.['awaited'], []);
    assert.equal(aborted?.['culprit'], undefined);
    await net.stop();
  });

  it('a message that has arrived is not missing, however long this party takes to read it', async () => {
    const { net, works } = await slow();
    await net.bootAll();
    // Both, or one would learn the signatures from the other.
    for (const { slowness } of works) slowness.step = (call) => (call === 'start' ? 0 : roundDeadline + 5000);
    const { id, full } = net.messageLedBy(0);
    await net.submit(full, [0, 1]);
    await net.pass(roundDeadline + 2000);
    assert.deepEqual(codes(net), [], 'the deadline passed, and nobody was blamed');
    await net.signedBy(id, [0, 1]);
    await net.stop();
  });

  it('a message that has not arrived is missing, whatever this party computes', async () => {
    const scene = await slow(3, 2);
    const { net } = scene;
    const attacker = new Attacker(net, 2);
    await net.boot(0);
    await net.boot(1);
    const { id, full } = net.messageLedBy(0);
    attacker.onFrame = (from, frame) => {
      if (frame.type !== 'propose') return;
      const { attemptId } = attacker.attempt(full, 1, frame.content);
      attacker.send(from, attacker.accept(attemptId, frame.content));
    };
    // Party 1 cannot answer, so that party 0 starts with the silent one.
    net.intercept = (sent) =>
      sent.from === credential(net, 1) && codes(net).length === 0 ? undefined : sent.bytes;
    // ACCEPTs of points that nobody can sign with are fine: it only has to be silent.
    await net.submit(full, [0, 1]);
    await net.until(() => codes(net).length > 0, 3 * roundDeadline, 'the end of the attempt');
    const [aborted] = net.logged(0, 'session.aborted');
    assert.equal(aborted?.['code'], 'round_timeout');
    assert.deepEqual(aborted?.['awaited'], [attacker.signer.credential]);
    await net.signedBy(id, [0, 1]);
    await net.stop();
  });

  it('a lost worker costs its attempt only, and the next one succeeds', async () => {
    const scene = await slow();
    const { net } = scene;
    await net.bootAll();
    const first = net.messageLedBy(0);
    const second = net.messageLedBy(0);
    let lost = 0;
    scene.work.slowness.fails = () => (lost++ === 0 ? 'worker_lost' : undefined);
    await net.submit(first.full, [0, 1]);
    await net.submit(second.full, [0, 1]);
    await net.signedBy(first.id, [0, 1]);
    await net.signedBy(second.id, [0, 1]);
    const aborted = net.logged(0, 'session.aborted').filter(({ code }) => code === 'worker_lost');
    assert.equal(aborted.length, 1);
    assert.deepEqual(aborted[0]?.['awaited'], []);
    assert.equal(aborted[0]?.['unattributed'], undefined);
    await net.stop();
  });

  it('evidence that waits to be judged keeps nothing else of its sender or its request waiting', async () => {
    const scene = await slow();
    const { net } = scene;
    await net.bootAll();
    const { id, full } = net.messageLedBy(0);
    await net.submit(full, [0, 1]);
    scene.work.slowness.judge = (source) => (source === credential(net, 1) ? 3600_000 : 0);
    // Something new each time: a mere copy is not judged at all.
    const other = (seq: number): Evidence => ({
      ...full,
      decisions: [approve(net.world, id, 'carol', { seq })],
    });
    const frame = (seq: number): Uint8Array =>
      encodeFrame(
        'evidence',
        { requestId: id, evidence: evidenceBytes(other(seq)) },
        wireOf(net),
        net.node(1).party,
      );
    for (const seq of [1, 2, 3, 4, 5]) void net.deliver(credential(net, 1), 0, frame(seq));
    await net.settle();
    assert.equal(scene.work.underway, 5);
    await net.signedBy(id, [0, 1], roundDeadline);
    assert.deepEqual(codes(net), []);
    await net.pass(3600_000);
    await net.stop();
  });

  it('a burst of evidence waits on its stream, within what the workers take of one source', async () => {
    const scene = await slow();
    const { net } = scene;
    await net.boot(0);
    scene.work.slowness.judge = () => 100;
    const peer = new Attacker(net, 1);
    const requests = Array.from({ length: 40 }, () => net.messageLedBy(0));
    let most = 0;
    let sent = 0;
    const stream = async (): Promise<void> => {
      for (const { id, full } of requests) {
        const content = { requestId: id, evidence: evidenceBytes({ ...full, decisions: [] }) };
        await net.node(0).sessions.receive(peer.signer.credential, peer.encode('evidence', content));
        sent += 1;
        most = Math.max(most, scene.work.underway);
      }
    };
    void stream();
    await net.until(() => net.node(0).sessions.status().length === 40, 120_000, 'all requests to be here');
    assert.equal(sent, 40);
    assert(most > 1 && most <= 16, `${most} judgements of one party at a time`);
    await net.stop();
  });

  it('evidence that cannot be judged now says nothing about the signatures reported with it', async () => {
    const template = await KeyedNetwork.create(3, 2);
    const { id, full } = template.messageLedBy(0);
    const signatures = await signedElsewhere(full, id);
    let busy = true;
    const net = await KeyedNetwork.create(3, 2, {
      work: (inline) => ({
        ...inline,
        judge: async (...task) => {
          if (busy) throw new WorkError('busy', 'so the test says');
          return inline.judge(...task);
        },
      }),
    });
    const peer = new Attacker(net, 2);
    await net.boot(0);
    const { credential: from } = peer.signer;
    await net.deliver(from, 0, peer.encode('done', { requestId: id, signatures }));
    const brought = peer.encode('evidence', { requestId: id, evidence: evidenceBytes(full) });
    await net.deliver(from, 0, brought);
    assert.deepEqual(net.logged(0, 'session.incident'), []);
    busy = false;
    await net.deliver(from, 0, brought);
    await net.until(() => net.resultAt(0, id)?.kind === 'signatures');
    assert.deepEqual(net.logged(0, 'session.incident'), []);
    assert.equal(net.logged(0, 'session.learned')[0]?.['peer'], from, 'what was reported was kept');
    await net.stop();
  });

  it('copies of evidence that is held are not judged again', async () => {
    const { net, work, full, id } = await waiting();
    const judged = work.judged;
    const frame = encodeFrame(
      'evidence',
      { requestId: id, evidence: evidenceBytes(full) },
      wireOf(net),
      net.node(1).party,
    );
    for (let count = 0; count < 20; count++) await net.deliver(credential(net, 1), 0, frame);
    assert.equal((await net.node(0).sessions.submit(full)).state, 'waiting');
    assert.equal(work.judged, judged);
    // One that brings a decision is.
    const decisions = [...full.decisions, approve(net.world, id, 'bob')];
    assert.equal((await net.node(0).sessions.submit({ ...full, decisions })).state, 'authorised');
    assert.equal(work.judged, judged + 1);
    await net.stop();
  });

  it('of two states of the evidence judged at once, neither is lost', async () => {
    const { net, works } = await slow();
    await net.bootAll();
    const [work] = works as [SlowWork];
    const { id, full } = net.messageLedBy(0);
    const delays = [100, 50];
    work.slowness.judge = () => delays.shift() ?? 10;
    const node = net.node(0);
    const take = async (decisions: Evidence['decisions']): Promise<string> => {
      const taken = node.sessions.submit({ ...full, decisions }).then(({ state }) => state, String);
      return taken;
    };
    // The rejection is judged first; the other has to be judged again, with it.
    const taken = Promise.all([take([]), take([reject(net.world, id, 'alice')])]);
    await net.pass(1000);
    for (const result of await taken) assert.match(result, /cancelled/);
    const again = take(full.decisions);
    await net.pass(1000);
    assert.match(await again, /cancelled/);
    assert.deepEqual(rounds(net), []);
    await net.stop();
  });

  it('evidence is applied to the time it is then', async () => {
    const { net, works } = await slow();
    await net.bootAll();
    const [work] = works as [SlowWork];
    const { id, full } = net.messageLedBy(0);
    // Judged before the approval runs out, applied afterwards.
    work.slowness.judge = () => 20_000;
    const decisions = [approve(net.world, id, 'bob', { expires: net.clock.now() + 15_000 })];
    const taken = net.node(0).sessions.submit({ ...full, decisions });
    await net.pass(20_000);
    assert.equal((await taken).state, 'waiting');
    assert.deepEqual(net.logged(0, 'request.authorised'), []);
    assert.deepEqual(framesSent(net, credential(net, 0), 'propose'), []);
    await net.stop();
  });

  it('stop ends what is under way, and nothing leaves afterwards', async () => {
    const scene = await slow();
    const { net } = scene;
    await net.bootAll();
    scene.work.slowness.step = () => 5000;
    const { full } = net.messageLedBy(0);
    await net.submit(full, [0, 1]);
    await starting(scene);
    await net.node(0).sessions.stop();
    const left = net.sent.filter(({ from }) => from === credential(net, 0)).length;
    await net.pass(10_000);
    assert.equal(scene.work.underway, 0);
    assert.equal(net.sent.filter(({ from }) => from === credential(net, 0)).length, left);
    net.node(0).alive = false;
    await net.stop();
  });

  it('evidence that was being judged when the node stopped is not taken in', async () => {
    const { net, works } = await slow();
    await net.bootAll();
    const { id, full } = net.messageLedBy(0);
    (works[0] as SlowWork).slowness.judge = () => 5000;
    const work = works[0] as SlowWork;
    const taken = net
      .node(0)
      .sessions.submit(full)
      .then(({ state }) => state, String);
    await net.until(() => work.underway > 0, 1000, 'the judgement');
    const stopped = net.node(0).sessions.stop();
    await net.pass(6000);
    await stopped;
    assert.match(await taken, /EvidenceError/);
    assert.equal(net.node(0).store.jobs.has(id), false);
    net.node(0).alive = false;
    await net.stop();
  });

  it('a party cannot fill the memory with rounds of one attempt', async () => {
    const scene = await slow();
    const { net } = scene;
    await net.bootAll();
    const { id, full } = net.messageLedBy(0);
    await net.submit(full, [0, 1]);
    await net.until(() => rounds(net, 1).length > 0, 60_000, 'the round of the other');
    scene.work.slowness.step = () => 5000;
    const [round] = framesSent(net, credential(net, 1), 'round');
    const bytes = round?.frame.bytes as Uint8Array;
    const before = scene.work.calls;
    for (let count = 0; count < 100; count++) await net.deliver(credential(net, 1), 0, bytes);
    assert.ok(scene.work.calls - before <= 4, `${scene.work.calls - before} of 100 are kept`);
    scene.work.slowness.step = () => 0;
    await net.signedBy(id, [0, 1]);
    await net.stop();
  });
});
