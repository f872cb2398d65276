// One party of the keyring wants the others to get nowhere, or to blame each other. With t honest connected parties every
// request must still be fulfilled, and nobody honest may be called guilty.
import assert from 'node:assert/strict';
import { encode } from 'cborg';
import type { Evidence } from '../../protocol/authorize.ts';
import { decodeFrame, type FrameOf } from '../../node/sessions/wire.ts';
import { Attacker, framesSent, KeyedNetwork } from '../support/session-attacker.ts';

/** Two honest parties of three, threshold two, and the attacker, whom leaders prefer to each other. */
async function against(order: readonly number[] = [2, 0, 1]) {
  const net = await KeyedNetwork.create(3, 2);
  const attacker = new Attacker(net, 2);
  await net.boot(0);
  await net.boot(1);
  return { net, attacker, ...net.messageLedBy(...order) };
}

/** Accepts every attempt, and ends it for all as soon as it has begun. */
function abortingEverything(attacker: Attacker, full: Evidence): Attacker['onFrame'] {
  const attemptIdOf = (propose: FrameOf<'propose'>): string =>
    attacker.attempt(full, 1, propose.content).attemptId;
  return (from, frame) => {
    if (frame.type === 'propose') attacker.send(from, attacker.accept(attemptIdOf(frame), frame.content));
    if (frame.type !== 'start') return;
    const inner = decodeFrame(frame.content.propose) as FrameOf<'propose'>;
    attacker.toAll(attacker.abort(attemptIdOf(inner), inner.content.requestId));
  };
}

describe('sessions: a clock that is set back', () => {
  it('while attempts fail holds up no request for as long as that', async () => {
    let ahead = 600_000;
    const net = await KeyedNetwork.create(2, 2, { skew: () => ahead });
    await net.bootAll();
    const { id, full } = net.messageLedBy(0);
    net.intercept = ({ bytes }) => (decodeFrame(bytes).type === 'accept' ? undefined : bytes);
    await net.submit(full, [0, 1]);
    await net.pass(20_000);
    for (const index of [0, 1]) assert.ok(net.logged(index, 'session.proposed').length > 0, String(index));
    ahead = 0;
    net.intercept = ({ bytes }) => bytes;
    await net.pass(90_000);
    for (const index of [0, 1]) assert.equal(net.node(index).store.finished.has(id), true, String(index));
    await net.stop();
  });
});

describe('sessions: a party that wants nothing to happen', () => {
  it('accepts every attempt and never sends a round', async () => {
    const { net, attacker, id, full } = await against();
    attacker.onFrame = (from, frame) => {
      if (frame.type !== 'propose') return;
      const { attemptId } = attacker.attempt(full, 1, frame.content);
      attacker.send(from, attacker.accept(attemptId, frame.content));
    };
    await net.submit(full, [0, 1]);
    await net.signedBy(id, [0, 1]);
    const codes = net.logged(0, 'session.aborted').map((fields) => fields['code']);
    assert(codes.includes('round_timeout'), String(codes));
    await net.stop();
  });

  it('accepts first, while the honest ones are a fifth of a second away from each other', async () => {
    const { net, attacker, id, full } = await against();
    attacker.onFrame = (from, frame) => {
      if (frame.type !== 'propose') return;
      const { attemptId } = attacker.attempt(full, 1, frame.content);
      attacker.send(from, attacker.accept(attemptId, frame.content));
    };
    net.intercept = (sent) => {
      const to = net.nodes.findIndex((node) => node.party.credential === sent.to);
      if (to < 0 || to === attacker.index) return sent.bytes;
      net.clock.after(200, () => void net.node(to).sessions.receive(sent.from, sent.bytes));
      return undefined;
    };
    await net.submit(full, [0, 1]);
    await net.signedBy(id, [0, 1]);
    await net.stop();
  });

  it('accepts every attempt and aborts it', async () => {
    const net = await KeyedNetwork.create(7, 4);
    const attacker = new Attacker(net, 6);
    const honest = [0, 1, 2, 3, 4, 5];
    for (const index of honest) await net.boot(index);
    const { id, full } = net.messageLedBy(6);
    attacker.onFrame = abortingEverything(attacker, full);
    await net.submit(full, honest);
    await net.signedBy(id, honest);
    const starts = honest.flatMap((index) => framesSent(net, net.node(index).party.credential, 'start'));
    const attempts = new Set(starts.map(({ frame }) => frame.body.join()));
    assert(attempts.size <= 3, `${attempts.size} attempts until it was left out`);
    await net.stop();
  });

  it('aborts every attempt, as does another one: each set is tried once', async () => {
    const net = await KeyedNetwork.create(5, 3);
    const attackers = [3, 4].map((index) => new Attacker(net, index));
    for (const index of [0, 1, 2]) await net.boot(index);
    // Whoever of the honest leads, one honest and one dishonest party come first, then the same again.
    const { id, full } = net.messageLedBy(0, 3, 1, 4, 2);
    for (const attacker of attackers) attacker.onFrame = abortingEverything(attacker, full);
    await net.submit(full, [0, 1, 2]);
    await net.signedBy(id, [0, 1, 2]);
    await net.stop();
  });

  it('keeps a round alive with messages that carry another session inside', async () => {
    const { net, attacker, id, full } = await against();
    attacker.onFrame = (from, frame) => {
      if (frame.type === 'propose') {
        const { attemptId } = attacker.attempt(full, 1, frame.content);
        attacker.send(from, attacker.accept(attemptId, frame.content));
      }
      if (frame.type !== 'round') return;
      const { attemptId, sid } = frame.content;
      const message = new Uint8Array(65);
      for (let after = 5000; after < 200_000; after += 5000)
        attacker.toAll(attacker.encode('round', { attemptId, sid, message }), after);
    };
    await net.submit(full, [0, 1]);
    await net.signedBy(id, [0, 1]);
    await net.stop();
  });

  it('proposes, restarts in name, and proposes something else', async () => {
    const { net, attacker, id, full } = await against();
    await net.submit(full, [0, 1]);
    attacker.toAll(attacker.attempt(full).frame);
    await net.pass(100);
    const other = attacker.attempt(full, 1, { boot: '0b'.repeat(16), digests: [new Uint8Array(32)] });
    attacker.toAll(other.frame);
    await net.signedBy(id, [0, 1]);
    await net.stop();
  });

  it('leads in turns with another one, and neither ever starts', async () => {
    const net = await KeyedNetwork.create(5, 3);
    const attackers = [3, 4].map((index) => new Attacker(net, index));
    for (const index of [0, 1, 2]) await net.boot(index);
    const { id, full } = net.messageLedBy(3, 4);
    await net.submit(full, [0, 1, 2]);
    for (const [which, attacker] of attackers.entries()) {
      let counter = 0;
      for (let after = 1 + which * 4000; after < 300_000; after += 8001)
        attacker.toAll(attacker.attempt(full, ++counter).frame, after);
    }
    await net.signedBy(id, [0, 1, 2]);
    const codes = net.logged(0, 'session.aborted').map((fields) => fields['code']);
    assert(codes.includes('proposal_timeout'), String(codes));
    await net.stop();
  });

  it('aborts its own attempt and proposes the next in the same breath', async () => {
    const { net, attacker, id, full } = await against();
    await net.submit(full, [0, 1]);
    let last: string | undefined;
    for (let counter = 1; counter < 300; counter++) {
      const { attemptId, frame } = attacker.attempt(full, counter);
      if (last) for (const to of [0, 1]) attacker.send(to, attacker.abort(last, id), counter * 800);
      attacker.toAll(frame, counter * 800);
      last = attemptId;
    }
    await net.signedBy(id, [0, 1]);
    await net.stop();
  });

  it('restarts in the middle of every attempt', async () => {
    const { net, attacker, id, full } = await against();
    let boots = 0;
    attacker.onFrame = (from, frame) => {
      if (frame.type === 'propose') {
        const { attemptId } = attacker.attempt(full, 1, frame.content);
        attacker.send(from, attacker.accept(attemptId, frame.content));
      }
      if (frame.type !== 'start') return;
      const boot = String(++boots).padStart(32, '0');
      for (const index of [0, 1])
        net.clock.after(5, () => net.node(index).sessions.peer(attacker.signer.credential, true, boot));
    };
    await net.submit(full, [0, 1]);
    await net.signedBy(id, [0, 1], 10_000);
    const codes = net.logged(0, 'session.aborted').map((fields) => fields['code']);
    assert(codes.includes('peer_restarted'), String(codes));
    await net.stop();
  });

  it('keeps its share back from one member: that one learns the result from the other', async () => {
    const net = await KeyedNetwork.create(3, 2);
    for (const index of [0, 1]) await net.boot(index);
    const { id, full } = net.messageLedBy(0, 1, 2);
    const [leader, member] = [0, 1].map((index) => net.node(index).party.credential);
    net.intercept = (sent) => {
      const isKept = sent.from === member && sent.to === leader && decodeFrame(sent.bytes).type === 'round';
      return isKept || sent.to === undefined ? undefined : sent.bytes;
    };
    await net.submit(full, [0, 1]);
    await net.signedBy(id, [0, 1], 5000);
    await net.stop();
  });

  it('proposes before the approvals are there, and has given up when they come', async () => {
    const { net, attacker, id, full } = await against();
    await net.submit({ ...full, decisions: [] }, [0, 1]);
    const { attemptId, frame } = attacker.attempt(full);
    attacker.toAll(frame);
    await net.pass(100);
    assert(attacker.received.some((each) => each.frame.type === 'wait'));
    net.clock.after(5000, () => undefined);
    await net.pass(5000);
    await net.submit(full, [0, 1]);
    await net.signedBy(id, [0, 1], 5000);
    assert.equal(attacker.accepts(attemptId).size, 0);
    await net.stop();
  });

  it('comes up again and again while it is its turn', async () => {
    const { net, attacker, id, full } = await against();
    await net.submit(full, [0, 1]);
    for (let after = 500; after < 200_000; after += 500)
      net.clock.after(after, () => {
        for (const to of [0, 1])
          net.node(to).sessions.peer(attacker.signer.credential, true, '0a'.repeat(16));
      });
    await net.signedBy(id, [0, 1]);
    await net.stop();
  });

  it('reports signatures of a request before anybody has it', async () => {
    const { net, attacker, id, full } = await against();
    for (const to of [0, 1])
      attacker.send(to, attacker.encode('done', { requestId: id, signatures: [new Uint8Array(64)] }));
    await net.pass(10);
    for (const index of [0, 1]) {
      await assert.doesNotReject(async () => {
        const { state } = await net.node(index).sessions.submit(full);
        assert.equal(state, 'authorised');
      });
    }
    assert.equal(net.logged(0, 'session.message_rejected').at(-1)?.['code'], 'bad_signature');
    await net.signedBy(id, [0, 1]);
    await net.stop();
  });

  it('fills the room for early rounds', async () => {
    const { net, attacker, id, full } = await against([0, 1, 2]);
    let held: (() => void) | undefined;
    net.intercept = (sent) => {
      const frame = decodeFrame(sent.bytes);
      // The START reaches party 1 after the leader's round.
      if (frame.type === 'start' && sent.to === net.node(1).party.credential)
        held ??= () => void net.node(1).sessions.receive(sent.from, sent.bytes);
      if (frame.type === 'accept') {
        const round = (length: number): Uint8Array => {
          const { attemptId } = frame.content;
          const message = new Uint8Array(length);
          return attacker.encode('round', { attemptId, sid: new Uint8Array(32), message });
        };
        // Four of them and hardly anything else fit into one mebibyte.
        const message = 1024 * 256 - 50 - round(0).length;
        for (let count = 0; count < 4; count++) attacker.send(1, round(message), 0);
      }
      return frame.type === 'start' && sent.to !== attacker.signer.credential ? undefined : sent.bytes;
    };
    await net.submit(full, [0, 1]);
    await net.until(() => framesSent(net, net.node(0).party.credential, 'round').length > 0);
    await net.pass(10);
    assert(held);
    held();
    await net.settle();
    assert.equal(net.logged(1, 'session.signed').length, 1, 'its own share and the one that came early');
    await net.signedBy(id, [0, 1]);
    await net.stop();
  });

  it('shows a member the same START in another encoding: the leader is not called guilty', async () => {
    const net = await KeyedNetwork.create(3, 2);
    for (const index of [0, 1, 2]) await net.boot(index);
    const { full } = net.messageLedBy(0, 1, 2);
    const inAnotherEncoding = (frame: FrameOf<'start'>): Uint8Array => {
      // The outer map's keys in another order: the signed body, and so the signature, are the same.
      const pairs = [
        ['s', frame.signature],
        ['b', frame.body],
        ['t', 'start'],
      ].flatMap((pair) => pair.map((part) => encode(part)));
      const bytes = Uint8Array.from([0xa3, ...pairs.flatMap((part) => [...part])]);
      assert.notDeepEqual(bytes, frame.bytes);
      assert.deepEqual(decodeFrame(bytes).body, frame.body);
      return bytes;
    };
    const [leader, member] = [0, 1].map((index) => net.node(index).party.credential);
    assert(leader && member);
    const held: { to: number; from: string; bytes: Uint8Array }[] = [];
    let other: Uint8Array | undefined;
    net.intercept = (sent) => {
      const frame = decodeFrame(sent.bytes);
      if (frame.type === 'round') {
        held.push({ to: sent.to === leader ? 0 : 1, from: sent.from, bytes: sent.bytes });
        return undefined;
      }
      if (frame.type !== 'start') return sent.bytes;
      other ??= inAnotherEncoding(frame);
      // One of the two gets it in this encoding first.
      return sent.to === member ? other : sent.bytes;
    };
    await net.submit(full, [0, 1, 2]);
    await net.until(() => held.length === 2);
    await net.pass(10);
    assert(other);
    await net.deliver(member, 0, other);
    await net.deliver(leader, 1, other);
    for (const { to, from, bytes } of held) await net.deliver(from, to, bytes);
    for (const index of [0, 1]) {
      assert.deepEqual(net.logged(index, 'session.aborted'), []);
      assert.equal(net.logged(index, 'session.signed').length, 1, 'both are in one session');
    }
    await net.stop();
  });
});
