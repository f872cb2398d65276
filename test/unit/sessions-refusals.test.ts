// What a node's sessions do not take part in: frames of another form, proposals about something else than its own
// request, and whatever its evidence does not authorise at the moment when something would leave.
import assert from 'node:assert/strict';
import { encode } from 'cborg';
import { SessionError } from '../../node/sessions/error.ts';
import { decodeFrame, encodeFrame } from '../../node/sessions/wire.ts';
import { scene } from '../support/attack-scene.ts';
import { approve, networkId, seedOf, signerOf } from '../support/fixture.ts';
import { Attacker, framesSent, KeyedNetwork } from '../support/session-attacker.ts';

const isMalformed = (error: unknown): boolean => {
  assert.ok(error instanceof SessionError, String(error));
  assert.equal(error.code, 'malformed_message', error.message);
  return true;
};

describe('sessions: frames', () => {
  const wire = { networkId, keyringId: 'keyring' };
  const requestId = `0x${'01'.repeat(32)}` as const;
  const attemptId = '02'.repeat(32);
  const round = { attemptId, sid: seedOf('sid'), message: seedOf('message') };
  const frames = {
    round: encodeFrame('round', round, wire, signerOf('party')),
    wait: encodeFrame('wait', { attemptId, requestId }, wire, signerOf('party')),
  };
  const body = (name: keyof typeof frames): Uint8Array => decodeFrame(frames[name]).body;

  it('are read back as they were written (control)', () => {
    assert.deepEqual(decodeFrame(frames.round).content, round);
    assert.equal(decodeFrame(frames.wait).type, 'wait');
  });

  const spoilt: [string, Uint8Array][] = [
    ['a signature missing', encode({ t: 'round', b: body('round') })],
    ['a signature that does not belong there', encode({ t: 'wait', b: body('wait'), s: new Uint8Array(64) })],
    ['a short signature', encode({ t: 'round', b: body('round'), s: new Uint8Array(63) })],
    ['an unknown type', encode({ t: 'sign', b: body('wait') })],
    ['the body of another type', encode({ t: 'wait', b: body('round') })],
    ['an unknown field', encode({ t: 'wait', b: body('wait'), x: 1 })],
    ['an unknown field inside', encode({ t: 'wait', b: encode({ attemptId, requestId, x: 1 }) })],
    // {"t": "wait", "b": ..., "t": "wait"}
    ['a key twice', Buffer.concat([Buffer.from([0xa3]), wait('t'), field('b', body('wait')), wait('t')])],
    ['bytes after its end', Buffer.concat([frames.wait, Buffer.from([0])])],
    ['its last byte missing', frames.wait.subarray(0, -1)],
  ];
  function wait(key: string): Uint8Array {
    return Buffer.concat([encode(key), encode('wait')]);
  }
  function field(key: string, value: Uint8Array): Uint8Array {
    return Buffer.concat([encode(key), encode(value)]);
  }
  for (const [what, bytes] of spoilt) {
    it(`with ${what}: malformed_message`, () => assert.throws(() => decodeFrame(bytes), isMalformed));
  }
});

describe('sessions: a PROPOSE about something else', () => {
  for (const [what, change] of [
    ['one item more than this party has', { digests: [seedOf('more')] }],
    ['a key instead of signatures', { purpose: 'generate' }],
  ] as const) {
    it(`${what} is declined, and nobody accepts it`, async () => {
      const { attacker, full, net, honest } = await scene(3, 2);
      const { digests } = attacker.attempt(full).propose;
      const more = 'digests' in change ? { digests: [...digests, ...change.digests] } : change;
      const attempt = attacker.attempt(full, 1, more);
      for (const index of honest) {
        await net.deliver(attacker.signer.credential, index, attempt.frame);
        const own = net.node(index).party.credential;
        assert.deepEqual(
          framesSent(net, own, 'decline').map(({ frame }) => frame.content.reason),
          ['digests'],
        );
        assert.deepEqual(framesSent(net, own, 'accept'), []);
      }
      await net.stop();
    });
  }
});

/** Lets virtual time pass until `moment`, whether or not anything waits for it. */
async function until(net: KeyedNetwork, moment: number): Promise<void> {
  const ms = moment - net.clock.now() + 1;
  net.clock.after(ms, () => undefined);
  await net.pass(ms);
}

describe('sessions: what is not authorised at the moment', () => {
  it('is not accepted: who proposes it is told to send evidence', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const attacker = new Attacker(net, 2);
    await net.boot(0);
    const { full } = net.messageLedBy(2);
    await net.node(0).sessions.submit({ ...full, decisions: [] });
    await net.deliver(attacker.signer.credential, 0, attacker.attempt(full).frame);
    const own = net.node(0).party.credential;
    assert.deepEqual(framesSent(net, own, 'accept'), []);
    assert.equal(framesSent(net, own, 'wait').length, 1);
    await net.stop();
  });

  it('is not proposed, when approvals ran out while parties were missing', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.boot(0);
    const { id, full } = net.messageLedBy(0);
    const expires = net.clock.now() + 5000;
    const short = { ...full, decisions: [approve(net.world, id, 'bob', { expires })] };
    assert.equal((await net.node(0).sessions.submit(short)).state, 'authorised');
    await until(net, expires);
    await net.boot(1);
    await net.pass(60_000);
    assert.deepEqual(framesSent(net, net.node(0).party.credential, 'propose'), []);
    assert.equal(net.node(0).sessions.status()[0]?.authorised, false);
    await net.stop();
  });

  it('is not started by its leader, when approvals ran out before the last ACCEPT came', async () => {
    const net = await KeyedNetwork.create(3, 2);
    for (const index of [0, 1]) await net.boot(index);
    const { id, full } = net.messageLedBy(0);
    const expires = net.clock.now() + 2000;
    const short = { ...full, decisions: [approve(net.world, id, 'bob', { expires })] };
    const held: Uint8Array[] = [];
    net.intercept = (sent) => {
      if (decodeFrame(sent.bytes).type !== 'accept') return sent.bytes;
      held.push(sent.bytes);
      return undefined;
    };
    await net.submit(short, [0, 1]);
    await net.until(() => held.length > 0);
    await until(net, expires);
    const [accept] = held;
    assert(accept);
    await net.deliver(net.node(1).party.credential, 0, accept);
    await net.pass(100);
    const own = net.node(0).party.credential;
    assert(framesSent(net, own, 'propose').length > 0);
    assert.deepEqual(framesSent(net, own, 'start'), []);
    assert.deepEqual(framesSent(net, own, 'round'), []);
    assert(net.logged(0, 'session.aborted').some(({ code }) => code === 'not_authorised'));
    await net.stop();
  });
});

describe('sessions: a party outside the set', () => {
  it('that restarts does not end the attempt of the others', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.bootAll();
    const { id, full } = net.messageLedBy(0, 1, 2);
    let restarted: Promise<unknown> | undefined;
    net.intercept = (sent) => {
      if (decodeFrame(sent.bytes).type === 'round' && restarted === undefined) {
        net.kill(2);
        restarted = net.boot(2);
      }
      return sent.bytes;
    };
    await net.submit(full, [0, 1, 2]);
    await net.signedBy(id, [0, 1]);
    await restarted;
    const [first, second] = net.world.parties;
    assert.deepEqual(
      net.logged(0, 'session.started').map(({ set }) => set),
      [[first?.credential, second?.credential]],
    );
    for (const index of [0, 1]) assert.deepEqual(net.logged(index, 'session.aborted'), []);
    await net.stop();
  });
});
