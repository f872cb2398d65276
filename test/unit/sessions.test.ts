// Sessions of a whole network on virtual time, with real records and real cryptography.
import assert from 'node:assert/strict';
import type { Evidence } from '../../protocol/authorize.ts';
import { fromHex, type Hex } from '../../protocol/hex.ts';
import { verifyKey, type VerifiedKey } from '../../protocol/authorize.ts';
import { decodePayload } from '../../protocol/payloads/payload.ts';
import { verify } from '../../protocol/keys/ed25519.ts';
import { type Envelope, readContent } from '../../protocol/records/envelope.ts';
import { partyResult } from '../../protocol/records/party-result.ts';
import { decodeFrame, type MessageType } from '../../node/sessions/wire.ts';
import {
  approve,
  createWorld,
  evidence,
  idOf,
  keyRequest,
  messagePayload,
  networkId,
  signRequest,
} from '../support/fixture.ts';
import { SessionWorld } from '../support/session-world.ts';

/** Runs a key request through all nodes; returns what later requests need as evidence for the key. */
async function generateKey(
  net: SessionWorld,
): Promise<{ entry: Evidence['keys'][number]; key: VerifiedKey }> {
  const request = keyRequest(net.world, { created: net.clock.now() });
  const id = idOf(request);
  for (const node of net.nodes) await node.sessions.submit(evidence(net.world, request));
  await net.until(() => net.nodes.every((node) => node.store.active.has(id)), 60_000, 'the key');
  const certificate = [...(net.nodes[0]?.store.active.get(id)?.certificate ?? [])];
  const entry = { request, certificate };
  return { entry, key: verifyKey(entry, net.world.keyring, networkId) };
}

function approvedMessage(net: SessionWorld, keyId: Hex, entry: Evidence['keys'][number], text = 'hello') {
  const request = signRequest(net.world, [{ keyId, payload: messagePayload(text) }], {
    created: net.clock.now(),
  });
  const full = evidence(net.world, request, {
    keys: [entry],
    decisions: [approve(net.world, idOf(request), 'bob')],
  });
  return { request, id: idOf(request), full };
}

function signatureOf(result: Envelope | undefined): Uint8Array {
  assert(result, 'no result');
  const { content } = readContent(partyResult, result, networkId);
  assert(content.result.kind === 'signatures', JSON.stringify(content.result));
  return fromHex(content.result.signatures[0] as Hex);
}

function typesSent(net: SessionWorld, from?: string): MessageType[] {
  return net.sent
    .filter((sent) => from === undefined || sent.from === from)
    .map((sent) => decodeFrame(sent.bytes).type);
}

describe('sessions', () => {
  for (const [parties, threshold] of [
    [2, 2],
    [3, 2],
    [5, 3],
  ] as const) {
    it(`${threshold} of ${parties}: a key, then a signature, known to every party`, async () => {
      const net = new SessionWorld(createWorld({ parties, threshold }));
      await net.bootAll();
      const { entry, key } = await generateKey(net);
      const { id, full } = approvedMessage(net, key.id, entry);
      for (const node of net.nodes) await node.sessions.submit(full);
      await net.until(() => net.nodes.every((node) => node.store.finished.has(id)), 60_000, 'every result');
      const publicKey = fromHex(key.publicKey);
      const { message } = decodePayload(messagePayload('hello'), { keyType: 'ed25519', publicKey });
      for (const node of net.nodes)
        assert(verify(publicKey, message, signatureOf(node.store.finished.get(id))));
      await net.stop();
    });
  }

  it('a party that was offline during signing learns the result', async () => {
    const net = new SessionWorld(createWorld());
    await net.bootAll();
    const { entry, key } = await generateKey(net);
    net.kill(2);
    const { id, full } = approvedMessage(net, key.id, entry);
    for (const node of net.nodes.slice(0, 2)) await node.sessions.submit(full);
    await net.until(() => net.nodes.slice(0, 2).every((node) => node.store.finished.has(id)));
    const late = await net.boot(2);
    await late.sessions.submit(full);
    await net.until(() => late.store.finished.has(id));
    assert.deepEqual(
      signatureOf(late.store.finished.get(id)),
      signatureOf(net.nodes[0]?.store.finished.get(id)),
    );
    await net.stop();
  });

  it('with t-1 parties nothing is signed; when one returns the request is fulfilled', async () => {
    const net = new SessionWorld(createWorld());
    await net.bootAll();
    const { entry, key } = await generateKey(net);
    net.kill(1);
    net.kill(2);
    const { id, full } = approvedMessage(net, key.id, entry);
    await net.nodes[0]?.sessions.submit(full);
    const before = net.sent.length;
    await net.pass(20 * 60_000);
    assert.equal(net.sent.length, before, 'a party alone has nobody to propose to');
    const awaited = net.nodes[0]?.logged.filter((line) => line.event === 'session.awaits_parties').at(-1);
    assert.deepEqual(
      awaited?.fields['awaited'],
      net.world.parties.slice(1).map((party) => party.credential),
    );
    const back = await net.boot(1);
    await net.until(() => [net.nodes[0], back].every((node) => node?.store.finished.has(id)));
    await net.stop();
  });

  it('below the policy nobody accepts, proposes or starts', async () => {
    const net = new SessionWorld(createWorld());
    await net.bootAll();
    const { entry, key } = await generateKey(net);
    const request = signRequest(net.world, [{ keyId: key.id, payload: messagePayload('no') }], {
      created: net.clock.now(),
    });
    const before = net.sent.length;
    for (const node of net.nodes) {
      const intake = await node.sessions.submit(evidence(net.world, request, { keys: [entry] }));
      assert.equal(intake.state, 'waiting');
      assert.match(intake.detail, /1 of 2 approvals and awaits bob, carol/);
    }
    await net.pass(60_000);
    assert.deepEqual(net.sent.slice(before), []);
    for (const node of net.nodes) assert.equal(node.store.jobs.get(idOf(request))?.state, 'stored');
    await net.stop();
  });

  it('a party without the evidence gets it from the leader, and judges it itself', async () => {
    const net = new SessionWorld(createWorld({ parties: 2, threshold: 2 }));
    await net.bootAll();
    const { entry, key } = await generateKey(net);
    const { id, full } = approvedMessage(net, key.id, entry);
    await net.nodes[0]?.sessions.submit(full);
    await net.until(() => net.nodes.every((node) => node.store.finished.has(id)));
    assert(typesSent(net).includes('evidence'));
    await net.stop();
  });

  it('gossip alone carries PROPOSE, START and DONE when the streams do not', async () => {
    const net = new SessionWorld(createWorld(), { streamCopies: false });
    await net.bootAll();
    const { entry, key } = await generateKey(net);
    const { id, full } = approvedMessage(net, key.id, entry);
    for (const node of net.nodes) await node.sessions.submit(full);
    await net.until(() => net.nodes.every((node) => node.store.finished.has(id)));
    const direct = net.sent
      .filter((sent) => sent.to !== undefined)
      .map((sent) => decodeFrame(sent.bytes).type);
    assert(!direct.includes('propose') && !direct.includes('start') && !direct.includes('done'));
    await net.stop();
  });

  it('the streams alone carry everything when gossip is lost', async () => {
    const net = new SessionWorld(createWorld(), {
      intercept: (sent) => (sent.to === undefined ? undefined : sent.bytes),
    });
    await net.bootAll();
    const { entry, key } = await generateKey(net);
    const { id, full } = approvedMessage(net, key.id, entry);
    for (const node of net.nodes) await node.sessions.submit(full);
    await net.until(() => net.nodes.every((node) => node.store.finished.has(id)));
    await net.stop();
  });

  it('a leader that falls silent after PROPOSE is followed by the next', async () => {
    const net = new SessionWorld(createWorld());
    await net.bootAll();
    const { entry, key } = await generateKey(net);
    const { id, full } = approvedMessage(net, key.id, entry);
    let silent: string | undefined;
    net.intercept = (sent) => {
      if (silent === undefined && decodeFrame(sent.bytes).type === 'propose') silent = sent.from;
      return sent.from === silent && decodeFrame(sent.bytes).type === 'start' ? undefined : sent.bytes;
    };
    for (const node of net.nodes) await node.sessions.submit(full);
    await net.until(() => net.nodes.every((node) => node.store.finished.has(id)));
    await net.stop();
  });

  it('two STARTs for one attempt end it and name the leader', async () => {
    const net = new SessionWorld(createWorld({ parties: 2, threshold: 2 }));
    await net.bootAll();
    const { entry, key } = await generateKey(net);
    const starts: { from: string; bytes: Uint8Array }[] = [];
    net.intercept = (sent) => {
      const { type } = decodeFrame(sent.bytes);
      if (type === 'start' && sent.to) starts.push(sent);
      // No round arrives: the attempt stays open.
      return type === 'round' ? undefined : sent.bytes;
    };
    const { full } = approvedMessage(net, key.id, entry);
    for (const node of net.nodes) await node.sessions.submit(full);
    await net.until(() => starts.length > 0);
    await net.pass(50);
    const leader = net.world.parties.find((party) => party.credential === starts[0]?.from);
    const member = net.nodes.find((node) => node.party !== leader);
    assert(leader && member && starts[0]);
    const frame = decodeFrame(starts[0].bytes);
    assert(frame.type === 'start');
    const { encodeFrame } = await import('../../node/sessions/wire.ts');
    const other = encodeFrame(
      'start',
      { ...frame.content, accepts: frame.content.accepts.toReversed() },
      { networkId, keyringId: net.world.keyring.id },
      leader,
    );
    await member.sessions.receive(leader.credential, other);
    await net.settle();
    const aborted = member.logged.find((line) => line.event === 'session.aborted');
    assert.equal(aborted?.fields['code'], 'leader_equivocated');
    assert.equal(aborted?.fields['culprit'], leader.credential);
    await net.stop();
  });

  it('a confirmation withheld from one party comes from any other that has it', async () => {
    const net = new SessionWorld(createWorld());
    await net.bootAll();
    const request = keyRequest(net.world, { created: net.clock.now() });
    const id = idOf(request);
    const [first, , third] = net.world.parties;
    net.intercept = (sent) => {
      const withheld =
        sent.from === first?.credential && (sent.to === undefined || sent.to === third?.credential);
      return withheld && decodeFrame(sent.bytes).type === 'confirm' ? undefined : sent.bytes;
    };
    for (const node of net.nodes) await node.sessions.submit(evidence(net.world, request));
    await net.until(() => net.nodes[1]?.store.active.has(id) ?? false);
    assert(!net.nodes[2]?.store.active.has(id), 'one confirmation is missing');
    await net.until(() => net.nodes[2]?.store.active.has(id) ?? false, 10_000, 'the third asks the second');
    await net.pass(1000);
    const quiet = net.sent.length;
    await net.pass(5 * 60_000);
    const asked = net.sent.slice(quiet).filter((sent) => decodeFrame(sent.bytes).type === 'confirm');
    assert.deepEqual(asked, [], 'nobody asks for a key that is active');
    await net.stop();
  });

  it('a run lost by a crash before the share was stored is refused, and never completes a second key', async () => {
    const net = new SessionWorld(createWorld());
    await net.bootAll();
    const request = keyRequest(net.world, { created: net.clock.now() });
    const id = idOf(request);
    const victim = net.nodes[2];
    assert(victim);
    victim.store.beforeWrite = (name) => {
      if (name !== 'putPendingShare') return;
      net.kill(2);
      throw new Error('crashed');
    };
    for (const node of net.nodes) await node.sessions.submit(evidence(net.world, request));
    await net.until(() => net.nodes.slice(0, 2).every((node) => node.store.pending.has(id)));
    victim.store.beforeWrite = () => undefined;
    await net.boot(2);
    await net.until(() => victim.store.finished.has(id));
    const { content } = readContent(partyResult, victim.store.finished.get(id) as Envelope, networkId);
    assert(content.result.kind === 'refusal');
    assert.equal(content.result.code, 'run_lost');
    await net.pass(60_000);
    assert(net.nodes.every((node) => !node.store.active.has(id)));
    await net.stop();
  });

  it('a restarted party with a pending share repeats its one confirmation', async () => {
    const net = new SessionWorld(createWorld());
    await net.bootAll();
    const request = keyRequest(net.world, { created: net.clock.now() });
    const id = idOf(request);
    const victim = net.nodes[0];
    assert(victim);
    // It stores the share, and dies before it tells anybody.
    net.intercept = (sent) => {
      const silent = sent.from === victim.party.credential && decodeFrame(sent.bytes).type === 'confirm';
      return silent ? undefined : sent.bytes;
    };
    for (const node of net.nodes) await node.sessions.submit(evidence(net.world, request));
    await net.until(() => net.nodes.every((node) => node.store.pending.has(id)));
    const confirmation = victim.store.pending.get(id)?.confirmation;
    net.kill(0);
    net.intercept = (sent) => sent.bytes;
    await net.boot(0);
    await net.until(() => net.nodes.every((node) => node.store.active.has(id)));
    assert.deepEqual(victim.store.finished.get(id), confirmation);
    await net.stop();
  });

  it('kill -9 of a signer mid-round: the next attempt succeeds with the rest', async () => {
    const net = new SessionWorld(createWorld());
    await net.bootAll();
    const { entry, key } = await generateKey(net);
    const { id, full } = approvedMessage(net, key.id, entry);
    let killed: number | undefined;
    net.intercept = (sent) => {
      if (killed === undefined && decodeFrame(sent.bytes).type === 'round') {
        killed = net.nodes.findIndex((node) => node.party.credential === sent.from);
        net.kill(killed);
      }
      return killed !== undefined && sent.from === net.nodes[killed]?.party.credential
        ? undefined
        : sent.bytes;
    };
    for (const node of net.nodes) await node.sessions.submit(full);
    await net.until(() => net.nodes.every((node, index) => index === killed || node.store.finished.has(id)));
    assert.notEqual(killed, undefined);
    await net.stop();
  });

  it('several items in one request, each with its own signature', async () => {
    const net = new SessionWorld(createWorld());
    await net.bootAll();
    const { entry, key } = await generateKey(net);
    const items = ['one', 'two', 'three'].map((text) => ({ keyId: key.id, payload: messagePayload(text) }));
    const request = signRequest(net.world, items, { created: net.clock.now() });
    const full = evidence(net.world, request, {
      keys: [entry],
      decisions: [approve(net.world, idOf(request), 'carol')],
    });
    for (const node of net.nodes) await node.sessions.submit(full);
    await net.until(() => net.nodes.every((node) => node.store.finished.has(idOf(request))));
    const { content } = readContent(
      partyResult,
      net.nodes[1]?.store.finished.get(idOf(request)) as Envelope,
      networkId,
    );
    assert(content.result.kind === 'signatures');
    assert.equal(new Set(content.result.signatures).size, 3);
    await net.stop();
  });

  it('garbage from a peer changes nothing and is logged', async () => {
    const net = new SessionWorld(createWorld());
    await net.bootAll();
    const [node] = net.nodes;
    const from = net.world.parties[1]?.credential ?? '';
    for (const bytes of [new Uint8Array(0), Uint8Array.of(0xff, 0xff), new Uint8Array(1000).fill(0xa0)]) {
      await node?.sessions.receive(from, bytes);
    }
    assert.equal(node?.logged.filter((line) => line.fields['code'] === 'malformed_message').length, 3);
    await net.stop();
  });
});
