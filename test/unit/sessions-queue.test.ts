// What stands in a node's queue for one request while an attempt at it ends.
import assert from 'node:assert/strict';
import { decodeFrame } from '../../node/sessions/wire.ts';
import { createWorld, evidence, idOf, keyRequest } from '../support/fixture.ts';
import { type Sent, SessionWorld } from '../support/session-world.ts';

describe('sessions: the queue of a request', () => {
  it('takes a confirmation that came before the own share was stored for one of the same run', async () => {
    const net = new SessionWorld(createWorld({ parties: 3, threshold: 2 }));
    await net.bootAll();
    const [late, ...others] = net.nodes;
    assert(late);
    const rounds = new Map<string, number>();
    const held: Sent[] = [];
    // The late party gets the last round and the confirmations of the others all at once.
    net.intercept = (sent) => {
      const { type } = decodeFrame(sent.bytes);
      if (sent.to === undefined) return type === 'confirm' ? undefined : sent.bytes;
      if (sent.to !== late.party.credential || (type !== 'round' && type !== 'confirm')) return sent.bytes;
      const count = (rounds.get(sent.from) ?? 0) + 1;
      rounds.set(sent.from, count);
      if (count === 1) return sent.bytes;
      held.push(sent);
      return undefined;
    };
    const request = keyRequest(net.world, { created: net.clock.now() });
    for (const node of net.nodes) await node.sessions.submit(evidence(net.world, request));
    const confirmations = (): number =>
      held.filter((sent) => decodeFrame(sent.bytes).type === 'confirm').length;
    await net.until(() => confirmations() === others.length, 5000, 'the confirmations of the others');
    assert.equal(late.store.pending.size, 0);
    const received = Promise.all(held.map((sent) => late.sessions.receive(sent.from, sent.bytes)));
    await received;
    const id = idOf(request);
    await net.until(() => net.nodes.every((node) => node.store.active.has(id)), 60_000, 'the key');
    const result = late.store.finished.get(id);
    assert(result);
    assert.equal(late.store.kindOf(result), 'key');
    await net.stop();
  });
});
