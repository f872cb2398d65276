// Logs that were replayed before are known again: only by all their bytes and signatures, and only what was right.
import assert from 'node:assert/strict';
import type { Envelope } from '../../protocol/records/envelope.ts';
import { KnownLogs } from '../../protocol/records/known-logs.ts';
import { openWorkspace } from '../../protocol/records/workspace.ts';
import { networkId } from '../support/fixture.ts';
import { after, anyId, begin, namesIn } from '../support/log-world.ts';

const workspace = after(begin(), { kind: 'keyring.add', keyringId: anyId(2) });
const { log } = workspace;

/** The log with one envelope changed. */
const altered = (index: number, change: (envelope: Envelope) => Envelope): Envelope[] =>
  log.map((envelope, at) => (at === index ? change(envelope) : envelope));
const otherDigit = (text: string, at: number): string =>
  text.slice(0, at) + (text[at] === '1' ? '2' : '1') + text.slice(at + 1);

describe('a log that is known', () => {
  it('is not one with an altered signature', () => {
    assert.equal(openWorkspace(log, networkId).head.id, workspace.head.id);
    for (const index of log.keys()) {
      const forged = altered(index, (envelope) => ({
        ...envelope,
        signatures: envelope.signatures.map((one) => ({
          ...one,
          signature: otherDigit(one.signature, 20) as `0x${string}`,
        })),
      }));
      const words = index === 2 ? /not decided/ : /does not verify/;
      for (const _ of ['once', 'and again']) assert.throws(() => openWorkspace(forged, networkId), words);
      const unsigned = altered(index, (envelope) => ({ ...envelope, signatures: [] }));
      assert.throws(
        () => openWorkspace(unsigned, networkId),
        index === 2 ? /not decided/ : /nobody signed|has not signed/,
      );
      const another = altered(index, (envelope) => ({
        ...envelope,
        signatures: envelope.signatures.map((one) => ({
          ...one,
          credential: otherDigit(one.credential, 20),
        })),
      }));
      assert.throws(() => openWorkspace(another, networkId));
    }
  });

  it('is not one with other bytes, of another network, shorter, or in another order', () => {
    openWorkspace(log, networkId);
    for (const index of log.keys()) {
      const other = altered(index, (envelope) => ({ ...envelope, bytes: otherDigit(envelope.bytes, 60) }));
      assert.throws(() => openWorkspace(other, networkId));
      const renamed = altered(index, (envelope) => ({ ...envelope, type: 'request' }));
      assert.throws(() => openWorkspace(renamed, networkId));
    }
    assert.throws(() => openWorkspace(log, 'other-network'), /made for network/);
    assert.throws(() => openWorkspace(log.slice(0, 2), networkId), /not decided/);
    assert.equal(openWorkspace(log.slice(0, 1), networkId).head.seq, 0);
    assert.throws(() => openWorkspace(log.toReversed(), networkId));
  });

  it('comes to the same again, as a log of whoever asks', () => {
    const mine = [...log];
    const opened = openWorkspace(mine, networkId);
    assert.deepEqual(opened, workspace);
    mine.pop();
    assert.equal(openWorkspace(log, networkId).log.length, 3);
    assert.deepEqual(namesIn(openWorkspace(log, networkId)), ['alice', 'bob', 'carol']);
  });
});

describe('what is known of logs', () => {
  const envelope = (bytes: string): Envelope => ({ type: 'a', bytes, signatures: [] });

  it('is asked for once, unless it failed', () => {
    const known = new KnownLogs<{ asked: number }>();
    let asked = 0;
    const ask = (bytes: string): number =>
      known.of([envelope(bytes)], networkId, () => ({ asked: ++asked })).asked;
    assert.deepEqual(['a', 'b', 'a', 'b'].map(ask), [1, 2, 1, 2]);
    const fails = (): never => {
      throw new Error('wrong');
    };
    assert.throws(() => known.of([envelope('c')], networkId, fails), /wrong/);
    assert.equal(ask('c'), 3);
  });

  it('is told apart where parts of records end', () => {
    const known = new KnownLogs<{ log: readonly Envelope[] }>();
    const logs: Envelope[][] = [
      [{ type: 'ab', bytes: 'c', signatures: [] }],
      [{ type: 'a', bytes: 'bc', signatures: [] }],
      [envelope('b'), envelope('c')],
      [envelope('b'), { type: 'c', bytes: 'a', signatures: [] }],
      [envelope('b')],
    ];
    for (const one of logs) assert.equal(known.of(one, networkId, () => ({ log: one })).log, one);
    assert.equal(known.size, logs.length);
  });

  it('has an end: the logs unused for longest are forgotten', () => {
    const known = new KnownLogs<{ asked: number }>({ logs: 4, characters: 1000 });
    let asked = 0;
    const ask = (bytes: string): number =>
      known.of([envelope(bytes)], networkId, () => ({ asked: ++asked })).asked;
    ['n0', 'n1', 'n2', 'n3'].forEach(ask);
    assert.equal(ask('n0'), 1);
    assert.equal(ask('new'), 5);
    assert.equal(known.size, 4);
    assert.equal(ask('n0'), 1, 'it was used since');
    assert.equal(ask('n1'), 6, 'it was forgotten');
    assert.equal(ask('x'.repeat(990)), 7);
    assert.equal(known.size, 3, 'others made room for it');
    assert.equal(ask('y'.repeat(990)), 8);
    assert.equal(known.size, 1, 'two of this size are too many');
    assert.equal(ask('z'.repeat(1001)), 9);
    assert.equal(ask('z'.repeat(1001)), 10, 'one of this size is');
  });
});
