// What sessions are bound to: the ids and digests that every share depends on, the fresh bytes of every ACCEPT, what is
// durable before it leaves, and that whatever an attempt committed to is used or burnt, once.
import assert from 'node:assert/strict';
import { authorize } from '../../protocol/authorize.ts';
import { acceptCommitment, checkPropose, sessionId } from '../../node/sessions/attempt.ts';
import { defaultTiming, type SessionContext } from '../../node/sessions/context.ts';
import { EarlyBudget } from '../../node/sessions/early-budget.ts';
import { LiveAttempt } from '../../node/sessions/live-attempt.ts';
import { acceptFrame } from '../../node/sessions/proposal.ts';
import type { Prepared } from '../../node/sessions/purpose.ts';
import { keyDigest, signDigests } from '../../node/sessions/purpose.ts';
import { decodeFrame, encodeFrame, type FrameOf } from '../../node/sessions/wire.ts';
import { scene } from '../support/attack-scene.ts';
import { createWorld, evidence, idOf, keyRequest, networkId, seedOf } from '../support/fixture.ts';
import { framesSent, KeyedNetwork } from '../support/session-attacker.ts';
import { SessionWorld, VirtualClock } from '../support/session-world.ts';

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('sessions: what is bound to what', () => {
  it('a session id to everything an attempt is about, and to the START', () => {
    const keyring = { id: 'keyring', epoch: { roster: 1, run: 0 } };
    const later = { roster: 1, run: 1 };
    const start = new Uint8Array([1, 2, 3]);
    const ids = [
      sessionId('sign', networkId, keyring, 'request', start),
      sessionId('generate', networkId, keyring, 'request', start),
      sessionId('sign', 'other-network', keyring, 'request', start),
      sessionId('sign', networkId, { ...keyring, id: 'other' }, 'request', start),
      sessionId('sign', networkId, { ...keyring, epoch: later }, 'request', start),
      sessionId('sign', networkId, keyring, 'other', start),
      sessionId('sign', networkId, keyring, 'request', new Uint8Array([1, 2, 4])),
    ].map(hexOf);
    assert.equal(new Set(ids).size, ids.length);
  });

  it("a leader's commitment to its whole ACCEPT, under a salt", () => {
    const [frame, salt] = [seedOf('frame'), seedOf('salt')];
    const commitments = [
      acceptCommitment(frame, salt),
      acceptCommitment(seedOf('other frame'), salt),
      acceptCommitment(frame, seedOf('other salt')),
    ].map(hexOf);
    assert.equal(new Set(commitments).size, commitments.length);
  });

  it("an item's digest to its key and to the bytes that it signs", async () => {
    const net = await KeyedNetwork.create(3, 2);
    const { full } = net.messageLedBy(0);
    const verdict = authorize(full, { networkId, now: net.clock.now() });
    assert(verdict.verdict === 'authorised');
    const { authorisation } = verdict;
    const [item] = authorisation.items;
    assert(item);
    const digestOf = (changed: typeof item): string =>
      signDigests({ ...authorisation, items: [changed] })
        .map(hexOf)
        .join();
    const digests = [
      digestOf(item),
      digestOf({ ...item, payload: { ...item.payload, message: seedOf('another message') } }),
      digestOf({ ...item, key: { ...item.key, id: `0x${'07'.repeat(32)}` } }),
      digestOf({ ...item, payload: { ...item.payload, tweak: seedOf('tweak') } }),
      digestOf({ ...item, payload: { ...item.payload, tweak: seedOf('another tweak') } }),
    ];
    assert.equal(new Set(digests).size, digests.length);
  });

  it("a key's digest to its request and to its type", () => {
    const digests = [
      keyDigest('request', 'ed25519'),
      keyDigest('request', 'taproot_secp256k1'),
      keyDigest('other', 'ed25519'),
    ].map(hexOf);
    assert.equal(new Set(digests).size, digests.length);
  });

  it('every ACCEPT holds 32 bytes that no other has, also where it commits to no nonces', () => {
    const world = createWorld();
    const [signer] = world.parties;
    assert(signer);
    let draws = 0;
    const context = {
      networkId,
      keyring: world.keyring,
      signer,
      random: (length: number) => seedOf('draw', draws++).subarray(0, length),
    } as SessionContext;
    const bare = { nonces: [] } as unknown as Prepared;
    const entropies = [1, 2].map(() => {
      const frame = decodeFrame(acceptFrame('00'.repeat(32), bare, world.workspace.head, context));
      assert(frame.type === 'accept');
      assert.equal(frame.content.entropy.length, 32);
      return hexOf(frame.content.entropy);
    });
    assert.equal(new Set(entropies).size, 2);
  });

  it('a PROPOSE of a key to one digest: item_count', async () => {
    const { attacker, full, net } = await scene(3, 2);
    const digests = [seedOf('one'), seedOf('two')];
    const { propose } = attacker.attempt(full, 1, { purpose: 'generate', digests });
    const bytes = encodeFrame('propose', propose, attacker.wire, attacker.signer);
    assert.throws(
      () => checkPropose(decodeFrame(bytes) as FrameOf<'propose'>, net.world.keyring, attacker.wire),
      (error: { code?: string }) => error.code === 'item_count',
    );
    await net.stop();
  });
});

describe('sessions: what an attempt takes', () => {
  it('nothing of the signing rounds leaves before it is durable that the request was started', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.bootAll();
    const { id, full } = net.messageLedBy(0);
    const checked = new Set<string>();
    net.intercept = (sent) => {
      const { type } = decodeFrame(sent.bytes);
      if (type === 'propose' || type === 'accept') {
        const node = net.nodes.find(({ party }) => party.credential === sent.from);
        checked.add(`${type} ${node?.store.jobs.get(id)?.state}`);
      }
      return sent.bytes;
    };
    await net.submit(full, [0, 1, 2]);
    await net.signedBy(id, [0, 1, 2]);
    assert.deepEqual([...checked].toSorted(), ['accept started', 'propose started']);
    await net.stop();
  });

  it('one attempt of a leader at a time, however long it has been running', async () => {
    const { attacker, full, net } = await scene(3, 2);
    net.intercept = (sent) => (decodeFrame(sent.bytes).type === 'propose' ? undefined : sent.bytes);
    const { credential } = attacker.signer;
    await net.deliver(credential, 0, attacker.attempt(full, 1).frame);
    net.clock.after(defaultTiming.proposalSpacing, () => undefined);
    await net.pass(defaultTiming.proposalSpacing);
    await net.deliver(credential, 0, attacker.attempt(full, 2).frame);
    const own = net.node(0).party.credential;
    assert.equal(framesSent(net, own, 'accept').length, 1);
    assert.deepEqual(
      framesSent(net, own, 'decline').map(({ frame }) => frame.content.reason),
      ['busy'],
    );
    await net.stop();
  });

  for (const ending of ['fail', 'cancel', 'deadline'] as const) {
    it(`what it committed to is burnt, once, when it ends by ${ending}`, async () => {
      const { attacker, full, net } = await scene(3, 2);
      const proposed = decodeFrame(attacker.attempt(full).frame) as FrameOf<'propose'>;
      await net.stop();
      const clock = new VirtualClock();
      const context = { clock, timing: defaultTiming } as unknown as SessionContext;
      let burnt = 0;
      const prepared: Prepared = {
        nonces: [],
        run: () => assert.fail('nothing started it'),
        discard: () => void burnt++,
      };
      const failures: string[] = [];
      const attempt = new LiveAttempt(
        '00',
        proposed,
        prepared,
        new Uint8Array(),
        context,
        new EarlyBudget(),
        {
          mayRelease: () => assert.fail('nothing started it'),
          onStarted: () => assert.fail('nothing started it'),
          onOutput: () => assert.fail('nothing started it'),
          onFailure: (_, { code }) => void failures.push(code),
        },
      );
      const failure = { code: 'aborted_by_peer', message: 'for a test', awaited: [] };
      if (ending === 'fail') attempt.fail(failure, false);
      else if (ending === 'cancel') attempt.cancel();
      else clock.step(clock.now() + 2 * defaultTiming.acceptDeadline);
      assert.equal(burnt, 1);
      attempt.fail(failure, false);
      attempt.cancel();
      assert.equal(burnt, 1);
      const told = { fail: ['aborted_by_peer'], cancel: [], deadline: ['proposal_timeout'] };
      assert.deepEqual(failures, told[ending]);
      assert.equal(clock.step(Infinity), false, 'no timer is left');
    });
  }
});

describe('sessions: confirmations after a loss of power', () => {
  it('are asked for until they are there, though every first word was lost', async () => {
    const net = new SessionWorld(createWorld());
    await net.bootAll();
    const request = keyRequest(net.world, { created: net.clock.now() });
    const id = idOf(request);
    net.intercept = (sent) => (decodeFrame(sent.bytes).type === 'confirm' ? undefined : sent.bytes);
    for (const node of net.nodes) await node.sessions.submit(evidence(net.world, request));
    await net.until(() => net.nodes.every((node) => node.store.pending.has(id)));
    for (const index of net.nodes.keys()) net.kill(index);
    await net.bootAll();
    await net.pass(1000);
    assert(net.nodes.every((node) => !node.store.active.has(id)));
    net.intercept = (sent) => sent.bytes;
    await net.until(() => net.nodes.every((node) => node.store.active.has(id)));
    await net.stop();
  });
});
