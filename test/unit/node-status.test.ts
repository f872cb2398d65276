// What `node status` says of open requests and of peers: in sessions on virtual time, and in the words for a person.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { statusLines } from '../../cli/node-status-view.ts';
import { nodePeer } from '../../node/peers.ts';
import type { RequestStatus } from '../../node/sessions/sessions.ts';
import { decodeFrame } from '../../node/sessions/wire.ts';
import { NodeStore } from '../../node/store/node-store.ts';
import { partyOf } from '../support/network.ts';
import { KeyedNetwork } from '../support/session-attacker.ts';
import { openOptions } from './node-store.case.ts';

const times = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

function only(net: KeyedNetwork, index: number): RequestStatus {
  const [request, ...more] = net.node(index).sessions.status();
  assert.ok(request);
  assert.equal(more.length, 0);
  assert.match(request.since, times);
  assert.match(request.expires, times);
  return request;
}

const credentialOf = (net: KeyedNetwork, index: number): string => net.node(index).party.credential;

describe('what an open request waits for', () => {
  it('approvals', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.bootAll();
    const { full } = net.messageLedBy(0);
    await net.submit({ ...full, decisions: [] }, [0]);
    const { waiting, authorised, detail, kind } = only(net, 0);
    assert.deepEqual([waiting, authorised, kind], [{ for: 'approvals' }, false, 'sign']);
    assert.match(detail, /awaits/);
    await net.stop();
  });

  it('parties that are not connected', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.boot(0);
    const { full } = net.messageLedBy(0);
    await net.submit(full, [0]);
    const { waiting } = only(net, 0);
    assert(waiting.for === 'peers');
    assert.deepEqual([waiting.have, waiting.need], [1, 2]);
    assert.deepEqual(
      new Set(waiting.awaited.map(({ party, owes }) => `${party} ${owes}`)),
      new Set([1, 2].map((index) => `${credentialOf(net, index)} connection`)),
    );
    await net.stop();
  });

  it('ACCEPTs, a START, rounds, and then how the attempt ended', async () => {
    const net = await KeyedNetwork.create(3, 3);
    await net.bootAll();
    const { full } = net.messageLedBy(0, 1);
    let held = ['accept'];
    net.intercept = (sent) => {
      const silent = sent.from === credentialOf(net, 2) && held.includes(decodeFrame(sent.bytes).type);
      return silent ? undefined : sent.bytes;
    };
    await net.submit(full, [0, 1, 2]);
    await net.pass(50);
    const awaited = (index: number): unknown => {
      const { waiting } = only(net, index);
      assert(waiting.for === 'attempts', JSON.stringify(waiting));
      const [attempt] = waiting.attempts;
      assert.match(attempt?.since ?? '', times);
      assert.equal(attempt?.leader, credentialOf(net, 0));
      return [attempt?.phase, attempt?.awaited];
    };
    const third = credentialOf(net, 2);
    assert.deepEqual(awaited(0), ['gathering', [{ party: third, owes: 'accept' }]]);
    assert.deepEqual(awaited(1), ['accepted', [{ party: credentialOf(net, 0), owes: 'start' }]]);
    await net.until(() => only(net, 0).lastAbort !== undefined, 60_000, 'the end of the attempt');
    const { lastAbort, tries } = only(net, 0);
    assert.equal(lastAbort?.code, 'proposal_timeout');
    assert.deepEqual(lastAbort?.awaited, [third]);
    assert.match(lastAbort?.at ?? '', times);
    assert(tries > 0);
    // With everybody else's round message it could report the signature.
    held = ['round', 'done'];
    const inRounds = (): boolean => {
      const { waiting } = only(net, 0);
      return waiting.for === 'attempts' && waiting.attempts.some(({ phase }) => phase === 'rounds');
    };
    await net.until(inRounds, 120_000, 'the rounds');
    await net.pass(50);
    const { waiting } = only(net, 0);
    assert(waiting.for === 'attempts');
    const rounds = waiting.attempts.find(({ phase }) => phase === 'rounds');
    assert.deepEqual(rounds?.awaited, [{ party: third, owes: 'round' }]);
    await net.stop();
  });

  it("a leader's turn, and this node to be resumed", async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.bootAll();
    const { full } = net.messageLedBy(1, 0);
    await net.submit(full, [0]);
    const { waiting } = only(net, 0);
    assert(waiting.for === 'leader', JSON.stringify(waiting));
    assert.equal(waiting.leader, credentialOf(net, 1));
    assert.match(waiting.until ?? '', times);
    net.node(0).sessions.pause();
    assert.deepEqual(only(net, 0).waiting, { for: 'resume' });
    await net.stop();
  });
});

describe('a peer in the status', () => {
  const base = { key: 'ed25519:0x01', up: true, queuedBytes: 0 };

  it('has times in RFC 3339, and its boot counter beside the highest it ever showed', () => {
    const peer = nodePeer({ ...base, since: 0, bootId: '0x02', bootCounter: 3 }, 'acme', { counter: 4 });
    assert.equal(peer.since, '1970-01-01T00:00:00.000Z');
    assert.deepEqual([peer.bootCounter, peer.highestBoot, peer.wentBack], [3, 4, true]);
    const shows = (bootCounter: number, bootId: string): boolean | undefined =>
      nodePeer({ ...base, since: 0, bootCounter, bootId }, 'acme', { counter: 4, bootId: '0x04' }).wentBack;
    assert.equal(shows(4, '0x04'), undefined);
    assert.equal(shows(5, '0x05'), undefined);
    // Restored from a backup that was made one start ago: the number is there a second time.
    assert.equal(shows(4, '0x05'), true);
    const before = nodePeer({ ...base, since: 0, bootCounter: 4, bootId: '0x05' }, 'acme', { counter: 4 });
    assert.equal(before.wentBack, undefined, 'nothing is known of that start');
    const down = nodePeer(
      { ...base, up: false, downSince: 1000, lastDial: { at: 2000, failures: 3, reason: 'refused' } },
      'acme',
      undefined,
    );
    assert.equal(down.since, '1970-01-01T00:00:01.000Z');
    assert.deepEqual(down.lastDial, { at: '1970-01-01T00:00:02.000Z', failures: 3, error: 'refused' });
  });
});

describe('boot counters of peers', () => {
  it('are remembered, the highest of each, over restarts', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'countersign-boots-'));
    try {
      const [one, other] = [partyOf(1).key, partyOf(2).key];
      let store = await NodeStore.open(openOptions(dir));
      const id = (byte: string): string => `0x${byte.repeat(16)}`;
      for (const [party, counter, bootId] of [
        [one, 5, id('05')],
        [one, 3, id('03')],
        [one, 5, id('55')],
        [other, 1, undefined],
      ] as const)
        await store.rememberBoot(party, { counter, bootId });
      await store.close();
      store = await NodeStore.open(openOptions(dir));
      assert.deepEqual(
        await store.highestBoots(),
        new Map([
          [one, { counter: 5, bootId: id('05') }],
          [other, { counter: 1, bootId: undefined }],
        ]),
      );
      await store.close();
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});

describe('the status in words', () => {
  const request = {
    requestId: `0x${'ab'.repeat(32)}`,
    kind: 'sign',
    since: 'S',
    expires: 'E',
    authorised: true,
    tries: 2,
    detail: '',
    waiting: {
      for: 'attempts',
      attempts: [
        {
          attemptId: '1',
          leader: 'K2',
          since: 'T',
          phase: 'rounds',
          awaited: [{ party: 'K3', owes: 'round' }],
        },
      ],
    },
    lastAbort: { at: 'A', attemptId: '0', code: 'bad_share', message: 'm', awaited: ['K2'], culprit: 'K3' },
  };
  const status = {
    state: 'paused',
    paused: { since: 'P', reason: 'a new disk' },
    name: 'one',
    party: 'K1',
    threshold: 2,
    addresses: [],
    clocks: ["peer two's clock differs"],
    peers: [
      { name: 'two', key: 'K2', up: true, since: 'U', bootCounter: 1, highestBoot: 5, wentBack: true },
      {
        name: 'three',
        key: 'K3',
        up: false,
        since: 'D',
        lastDial: { at: 'L', failures: 4, error: 'refused' },
      },
    ],
    requests: [request],
  };

  it('begin with what is wrong, and name parties', () => {
    const lines = statusLines(status);
    assert.match(lines[0] ?? '', /^PAUSED +since P: a new disk$/);
    assert.match(lines[1] ?? '', /^CLOCKS +peer two's clock differs$/);
    const text = lines.join('\n');
    assert.match(text, /two up since U, boot 1: WENT BACK from 5/);
    assert.match(text, /three down since D, dialled 4 times, last at L: refused/);
    assert.match(text, /attempt of two since T, rounds: waits for three \(no round message\)/);
    assert.match(text, /last attempt ended at A: bad_share, it awaited two, culprit three; 2 in a row/);
    assert.match(text, /threshold +2\n/);
  });

  it('say of each kind of waiting what it is', () => {
    const waits = (waiting: unknown): string =>
      statusLines({ ...status, requests: [{ ...request, waiting }] }).join('\n');
    assert.match(
      waits({ for: 'parent', keyId: `0x${'ab'.repeat(32)}` }),
      /waits for key 0xabababababab, from which it is derived, to be active here/,
    );
    assert.match(waits({ for: 'resume' }), /waits for this node to be resumed/);
    assert.match(
      waits({ for: 'leader', leader: 'K1', until: 'X' }),
      /waits for one \(this node\) to propose, until X/,
    );
    const awaited = [{ party: 'K3', owes: 'connection' }];
    assert.match(waits({ for: 'peers', have: 1, need: 2, awaited }), /1 of 2 here: three \(not connected\)/);
    assert.match(waits({ for: 'approvals' }), /waits for approvals/);
  });

  it('show what another version says as it comes', () => {
    const text = statusLines({ up: true, list: [{ a: 1 }, 'b'], none: [] }).join('\n');
    assert.match(text, /up +true/);
    assert.match(text, /list +a 1\n +b/);
    assert.match(text, /none +none/);
    assert.deepEqual(statusLines('words'), ['words']);
    assert.deepEqual(statusLines({}), ['']);
  });
});
