// What a paused party does and leaves: nothing of its shares takes part in anything, and everybody else goes on.
import assert from 'node:assert/strict';
import { defaultTiming } from '../../node/sessions/context.ts';
import { decodeFrame, type MessageType } from '../../node/sessions/wire.ts';
import { createWorld, evidence, idOf, keyRequest, reject } from '../support/fixture.ts';
import { Attacker, framesSent, KeyedNetwork } from '../support/session-attacker.ts';
import { type Sent, SessionWorld } from '../support/session-world.ts';

/** With these a party takes part in an attempt. */
const ofAttempts: readonly MessageType[] = ['propose', 'accept', 'start', 'round'];

function credential(net: SessionWorld, index: number): string {
  return net.nodes[index]?.party.credential ?? '';
}

/** What a party sent of attempts, from the given place in everything that was sent. */
function tookPart(net: SessionWorld, index: number, from = 0): string[] {
  return net.sent
    .slice(from)
    .filter((sent) => sent.from === credential(net, index))
    .map((sent) => decodeFrame(sent.bytes).type)
    .filter((type) => ofAttempts.includes(type));
}

function reasons(net: SessionWorld, index: number): string[] {
  return framesSent(net, credential(net, index), 'decline').map(({ frame }) => frame.content.reason);
}

/** Boots all, the given ones paused. */
async function booted(parties: number, threshold: number, paused: readonly number[]): Promise<KeyedNetwork> {
  const net = await KeyedNetwork.create(parties, threshold);
  for (const index of paused) net.node(index).paused = true;
  await net.bootAll();
  return net;
}

describe('sessions: a paused party', () => {
  it('stores the request and declines, and the others sign at once without it', async () => {
    const net = await booted(3, 2, [2]);
    const { id, full } = net.messageLedBy(0);
    const writes: string[] = [];
    net.node(2).store.beforeWrite = (name) => writes.push(name);
    const began = net.clock.now();
    await net.submit(full, [0, 1, 2]);
    assert(net.node(2).store.jobs.has(id));
    await net.signedBy(id, [0, 1]);
    assert(net.clock.now() - began < defaultTiming.acceptDeadline, 'nobody waited for it');
    assert(reasons(net, 2).includes('paused'));
    assert(!writes.includes('markStarted'), 'it has not begun anything');
    assert.deepEqual(tookPart(net, 2), []);
    await net.stop();
  });

  it('verifies what the others signed, and has its own result of it', async () => {
    const net = await booted(3, 2, [2]);
    const { id, full } = net.messageLedBy(0);
    await net.submit(full, [0, 1, 2]);
    await net.signedBy(id, [0, 1, 2]);
    assert.deepEqual(tookPart(net, 2), []);
    await net.stop();
  });

  it('has its turn as a leader pass', async () => {
    const net = await booted(3, 2, [2]);
    const { id, full } = net.messageLedBy(2, 0);
    await net.submit(full, [0, 1, 2]);
    await net.signedBy(id, [0, 1, 2]);
    assert.deepEqual(tookPart(net, 2), []);
    await net.stop();
  });

  it('declines what it does not know, and still learns it', async () => {
    const net = await booted(3, 2, [2]);
    const { id, full } = net.messageLedBy(0);
    await net.submit(full, [0, 1]);
    await net.signedBy(id, [0, 1, 2]);
    assert.deepEqual(tookPart(net, 2), []);
    assert.deepEqual(framesSent(net, credential(net, 2), 'wait'), [], 'no leader waits for it');
    await net.stop();
  });

  it('leaves the others waiting where they cannot do without it, and ends that when it is resumed', async () => {
    const net = await booted(2, 2, [1]);
    const { id, full } = net.messageLedBy(0);
    await net.submit(full, [0, 1]);
    await net.pass(300_000);
    assert.equal(net.resultAt(0, id), undefined);
    assert.deepEqual(tookPart(net, 1), []);
    assert.equal(net.node(1).store.jobs.get(id)?.state, 'stored', 'it has begun nothing');
    net.node(1).sessions.resume();
    await net.signedBy(id, [0, 1], 60_000);
    await net.stop();
  });

  it('goes on at once when it is resumed, though nobody else asks it to', async () => {
    const net = await booted(2, 2, [0, 1]);
    const { id, full } = net.messageLedBy(0);
    await net.submit(full, [0, 1]);
    await net.pass(60_000);
    for (const index of [1, 0]) net.node(index).sessions.resume();
    await net.signedBy(id, [0, 1], defaultTiming.acceptDeadline);
    await net.stop();
  });

  it('takes up again what came while it was paused and its process was restarted', async () => {
    const net = await booted(2, 2, [1]);
    const { id, full } = net.messageLedBy(1);
    await net.submit(full, [1]);
    net.kill(1);
    await net.boot(1);
    assert.deepEqual(
      net
        .node(1)
        .sessions.status()
        .map((request) => request.requestId),
      [id],
    );
    await net.submit(full, [0]);
    await net.pass(60_000);
    assert.deepEqual(tookPart(net, 1), []);
    net.node(1).sessions.resume();
    // At once: it does not wait for its turn, nor for somebody else's.
    await net.signedBy(id, [0, 1], defaultTiming.acceptDeadline);
    await net.stop();
  });

  it('keeps revocations that come meanwhile', async () => {
    const net = await booted(2, 2, [1]);
    const { id, full } = net.messageLedBy(0);
    await net.submit(full, [0, 1]);
    const rejections = (['alice', 'bob', 'carol'] as const).map((name) =>
      reject(net.world, id, name, { seq: 2 }),
    );
    await assert.rejects(net.node(1).sessions.submit({ ...full, decisions: rejections }));
    net.node(1).sessions.resume();
    await net.pass(60_000);
    assert.equal(net.resultAt(0, id), undefined);
    assert.deepEqual(tookPart(net, 1), []);
    await net.stop();
  });

  it('says that a request has run out', async () => {
    const net = await booted(2, 2, [1]);
    const { id, full } = net.messageLedBy(0);
    await net.submit(full, [1]);
    await net.until(() => net.resultAt(1, id) !== undefined, 25 * 3_600_000, 'the refusal');
    const result = net.resultAt(1, id);
    assert(result?.kind === 'refusal' && result.code === 'expired', JSON.stringify(result));
    await net.stop();
  });

  it('confirms the key it has a share of to whoever asks', async () => {
    const net = new SessionWorld(createWorld({ parties: 3, threshold: 2 }));
    await net.bootAll();
    // Nobody gets a confirmation until the second party is paused.
    let open = false;
    net.intercept = ({ bytes }) => (!open && decodeFrame(bytes).type === 'confirm' ? undefined : bytes);
    const request = keyRequest(net.world, { created: net.clock.now() });
    const id = idOf(request);
    for (const node of net.nodes) await node.sessions.submit(evidence(net.world, request));
    await net.until(() => net.nodes.every((node) => node.store.pending.has(id)), 60_000, 'the shares');
    net.nodes[1]?.sessions.pause();
    open = true;
    await net.until(() => net.nodes.every((node) => node.store.active.has(id)), 120_000, 'the key');
    await net.stop();
  });
});

describe('sessions: a party that is paused while attempts run', () => {
  /** Signs with three of four; the party is paused when it is about to receive, or has just sent, a frame of the kind. */
  async function pausedAt(when: (sent: Sent, type: MessageType, party: string) => boolean) {
    const net = await KeyedNetwork.create(4, 3);
    await net.bootAll();
    const { id, full } = net.messageLedBy(0, 1);
    let mark = -1;
    net.intercept = (sent) => {
      if (mark < 0 && when(sent, decodeFrame(sent.bytes).type, credential(net, 1))) {
        // What this call of the transport carries has left before the pause.
        mark = net.sent.length;
        queueMicrotask(() => {
          mark = net.sent.length;
          net.node(1).sessions.pause();
        });
      }
      return sent.bytes;
    };
    const began = net.clock.now();
    await net.submit(full, [0, 1, 2, 3]);
    await net.signedBy(id, [0, 1, 2, 3]);
    assert(mark >= 0, 'it was paused');
    return { net, id, after: () => tookPart(net, 1, mark), took: net.clock.now() - began };
  }

  it('once it has accepted: the leader goes on with the others at once', async () => {
    const { net, after, took } = await pausedAt(
      (sent, type, party) => type === 'accept' && sent.from === party,
    );
    assert.deepEqual(after(), []);
    assert(took < defaultTiming.acceptDeadline, `${took} ms`);
    const aborted = net.logged(0, 'session.aborted');
    assert.deepEqual(aborted, [], 'the attempt itself went on');
    await net.stop();
  });

  it('in the rounds: it says so, and the next attempt is without it', async () => {
    const { net, after, took } = await pausedAt((sent, type, party) => type === 'round' && sent.to === party);
    assert.deepEqual(after(), []);
    assert(took < defaultTiming.roundDeadline, `${took} ms`);
    const own = net.logged(1, 'session.aborted').map((fields) => fields['code']);
    assert.deepEqual(own, ['paused']);
    const others = [0, 2, 3].flatMap((index) => net.logged(index, 'session.aborted'));
    assert(others.length > 0);
    const [first] = net.logged(0, 'session.aborted');
    assert.equal(first?.['code'], 'peer_paused', JSON.stringify(first));
    assert.deepEqual(first?.['awaited'], [credential(net, 1)], 'it alone is left out');
    await net.stop();
  });

  it('as the leader that gathers: the others are told, and the next one leads', async () => {
    const net = await KeyedNetwork.create(4, 3);
    await net.bootAll();
    const { id, full } = net.messageLedBy(0, 1);
    net.intercept = (sent) => (decodeFrame(sent.bytes).type === 'accept' ? undefined : sent.bytes);
    await net.submit(full, [0, 1, 2, 3]);
    await net.until(() => framesSent(net, credential(net, 1), 'accept').length > 0, 10_000, 'an ACCEPT');
    net.node(0).sessions.pause();
    net.intercept = (sent) => sent.bytes;
    const mark = net.sent.length;
    await net.signedBy(id, [0, 1, 2, 3], 30_000);
    assert.deepEqual(tookPart(net, 0, mark), []);
    await net.stop();
  });

  it('while the start is being stored: neither ACCEPT nor PROPOSE leaves', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.bootAll();
    for (const index of [0, 2]) {
      const { store } = net.node(index);
      store.beforeWrite = (name) => {
        if (name === 'markStarted') net.node(index).sessions.pause();
      };
    }
    const { id, full } = net.messageLedBy(0, 1);
    await net.submit(full, [0, 1, 2]);
    await net.pass(20_000);
    assert.equal(net.resultAt(1, id), undefined);
    assert.deepEqual([...tookPart(net, 0), ...tookPart(net, 2)], []);
    assert(reasons(net, 2).every((reason) => reason === 'paused') && reasons(net, 2).length > 0);
    for (const index of [0, 2]) {
      net.node(index).store.beforeWrite = () => undefined;
      net.node(index).sessions.resume();
    }
    await net.signedBy(id, [0, 1, 2], 60_000);
    await net.stop();
  });

  it('takes back an ACCEPT once: what it sends afterwards for the same attempt counts for nothing', async () => {
    const net = await KeyedNetwork.create(4, 3);
    const fickle = new Attacker(net, 3);
    for (const index of [0, 1, 2]) await net.boot(index);
    const { id, full } = net.messageLedBy(0);
    // The honest set is complete only after all that, and after the time in which a leader waits for its preferred set.
    const late = [50, defaultTiming.acceptGrace + 500];
    net.intercept = (sent) => {
      const index = [1, 2].findIndex((party) => sent.from === credential(net, party));
      if (index === -1 || decodeFrame(sent.bytes).type !== 'accept') return sent.bytes;
      net.clock.after(late[index]!, () => void net.node(0).sessions.receive(sent.from, sent.bytes));
      return undefined;
    };
    fickle.onFrame = (from, frame) => {
      if (frame.type !== 'propose') return;
      const { attemptId } = fickle.attempt(full, 1, frame.content);
      fickle.send(from, fickle.accept(attemptId, frame.content), 1);
      fickle.send(from, fickle.encode('decline', { attemptId, requestId: id, reason: 'paused' }), 2);
      fickle.send(from, fickle.accept(attemptId, frame.content), 3);
    };
    await net.submit(full, [0, 1, 2]);
    await net.signedBy(id, [0, 1, 2]);
    const starts = framesSent(net, credential(net, 0), 'start');
    assert(starts.length > 0);
    for (const { frame } of starts) {
      const members = frame.content.accepts.map((bytes) => {
        const inner = decodeFrame(bytes);
        return inner.type === 'accept' ? inner.content.party : '';
      });
      assert(!members.includes(fickle.signer.credential));
    }
    await net.stop();
  });

  it('a party that says it is paused harms only its own standing', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const liar = new Attacker(net, 2);
    await net.boot(0);
    await net.boot(1);
    const { id, full } = net.messageLedBy(2, 0, 1);
    liar.onFrame = (from, frame) => {
      if (frame.type === 'propose') {
        const { attemptId } = liar.attempt(full, 1, frame.content);
        liar.send(from, liar.accept(attemptId, frame.content));
      }
      if (frame.type !== 'start') return;
      const inner = decodeFrame(frame.content.propose);
      if (inner.type !== 'propose') return;
      const { attemptId } = liar.attempt(full, 1, inner.content);
      liar.toAll(liar.encode('abort', { attemptId, requestId: id, code: 'paused', awaited: [] }));
    };
    await net.submit(full, [0, 1]);
    await net.signedBy(id, [0, 1]);
    const paused = [0, 1]
      .flatMap((index) => net.logged(index, 'session.aborted'))
      .filter((fields) => fields['code'] === 'peer_paused');
    assert(paused.length > 0);
    for (const fields of paused) assert.deepEqual(fields['awaited'], [liar.signer.credential]);
    await net.stop();
  });
});
