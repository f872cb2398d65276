// Batches, results of a party that has one already, and key requests (protocol, section 4).
import assert from 'node:assert/strict';
import { isFinal } from '../../coordinator/state/request.ts';
import { requestView } from '../../coordinator/state/views.ts';
import { toHex } from '../../protocol/hex.ts';
import type { PartyResult } from '../../protocol/records/party-result.ts';
import { Coordinated, first, payload, pending, ring } from '../support/coordinated.ts';
import { hour, keyRequest, messagePayload, resultBy, start } from '../support/fixture.ts';
import { WholeTaprootKey } from '../support/whole-taproot-key.ts';
import { keyResultOf, otherSignatureBy, refusedBy, signatureBy } from '../support/world-key.ts';

describe('a batch', () => {
  const payloads = ['one', 'two', 'three'].map(messagePayload);
  const good = payloads.map((each) => signatureBy(ring.key, each));

  it('with a bad item is no result, wherever it stands', () => {
    const signing = pending(ring, { payloads });
    for (const at of payloads.keys()) {
      const spoilt = good.with(at, signatureBy(ring.key, messagePayload('other')));
      signing.unchangedBy(
        'bad_signature',
        () => signing.result(signing.signature(0, spoilt)),
        new RegExp(`item ${at}`),
      );
    }
    for (const signatures of [good.slice(1), good.slice(0, 2), [...good, good[0]!]]) {
      signing.unchangedBy(
        'invalid_params',
        () => signing.result(signing.signature(0, signatures)),
        /for 3 items/,
      );
    }
    signing.unchangedBy('bad_signature', () => signing.result(signing.signature(0, good.toReversed())));
    signing.result(signing.signature(0, good));
    signing.result(signing.signature(1, good));
    assert.equal(signing.request.state, 'fulfilled');
    assert.deepEqual(signing.request.signatures, good);
  });

  it('that was rejected stays rejected', () => {
    const signing = pending(ring, { payloads });
    signing.refuse(0);
    signing.refuse(1);
    assert.equal(signing.request.state, 'rejected');
    for (const party of [0, 1, 2]) {
      const result = signing.signature(party, good);
      if (party === 2)
        signing.unchangedBy('wrong_state', () => signing.result(result), /was rejected: parties/);
      else assert.doesNotThrow(() => assert.equal(signing.result(result).conflict, true));
    }
    assert.equal(signing.request.state, 'rejected');
    assert.equal(signing.request.results.length, 2);
  });
});

describe('second results', () => {
  it('a resent one is a no-op, in every state', () => {
    const signing = pending();
    const result = signing.signature(0);
    signing.result(result);
    for (const _ of [1, 2]) {
      const before = signing.request;
      assert.deepEqual(signing.result(structuredClone(result)).events, []);
      assert.equal(signing.request, before);
    }
    signing.sign(1);
    const outcome = signing.result(result);
    assert.deepEqual([outcome.counted, outcome.conflict, outcome.events], [true, false, []]);
    assert.deepEqual(signing.happened, ['pending', 'result', 'result', 'fulfilled']);
    const over = pending();
    over.sign(0);
    over.expire(start + hour);
    const { counted, request } = over.result(over.signature(0));
    assert.equal(counted, false);
    assert.equal(request.state, 'rejected');
  });

  it('a signature replaces the same party’s refusal while pending, never the reverse', () => {
    const signing = pending();
    signing.refuse(0);
    signing.sign(0);
    assert.deepEqual(signing.votes, { have: 1, need: 2, refused: 0 });
    const { counted, conflict } = signing.refuse(0);
    assert.deepEqual([counted, conflict], [false, true]);
    assert.deepEqual(signing.votes, { have: 1, need: 2, refused: 0 });
    // So a party that refused before cannot be turned into the one refusal too many.
    signing.refuse(1);
    signing.refuse(0);
    assert.equal(signing.request.state, 'pending');
    signing.sign(2);
    assert.equal(signing.request.state, 'fulfilled');
  });

  it('that differ are kept out, and the first of a party is recorded', () => {
    const signing = pending();
    const mine = signing.signature(0);
    const second = signing.signature(0, [otherSignatureBy(signing.key, payload)]);
    const third = signing.signature(0, [otherSignatureBy(signing.key, payload, 9n)]);
    signing.result(mine);
    assert.equal(signing.result(second).conflict, true);
    assert.deepEqual(signing.request.results, [mine]);
    assert.deepEqual(signing.request.conflicts, [second]);
    const before = signing.request;
    assert.equal(signing.result(third).conflict, true);
    assert.equal(signing.request, before);
    assert.deepEqual(signing.happened, ['pending', 'result']);
    assert.deepEqual(signing.request.signatures, [signatureBy(signing.key, payload)]);
  });

  it('of another party with another valid signature count, and the first verified one is published', () => {
    const signing = pending();
    const other = otherSignatureBy(signing.key, payload);
    signing.result(signing.signature(2, [other]));
    signing.sign(0);
    assert.equal(signing.request.state, 'fulfilled');
    assert.deepEqual(signing.request.signatures, [other]);
    signing.sign(1);
    assert.deepEqual(signing.votes, { have: 3, need: 2, refused: 0 });
    assert.deepEqual(signing.request.signatures, [other]);
  });

  it('after it was fulfilled are counted, and change nothing else', () => {
    const signing = pending();
    signing.sign(0);
    signing.sign(1);
    const outcome = signing.refuse(2);
    assert.equal(outcome.counted, true);
    assert.deepEqual(signing.votes, { have: 2, need: 2, refused: 1 });
    assert.equal(signing.request.state, 'fulfilled');
    // A signature makes up for a refusal while the request is pending, and no longer.
    assert.equal(signing.sign(2).conflict, true);
    assert.deepEqual(signing.happened, ['pending', 'result', 'result', 'fulfilled', 'result']);
  });

  it('after it was rejected are refused', () => {
    const signing = pending();
    signing.sign(0);
    signing.expire(start + hour);
    signing.unchangedBy('wrong_state', () => signing.sign(1), /was rejected: mpc_timeout/);
    signing.unchangedBy('wrong_state', () => signing.refuse(2));
    const view = requestView(signing.request, signing.context, signing.now);
    assert.deepEqual([view.mayHaveBeenSigned, view.signatures], [true, undefined]);
  });
});

describe('key requests', () => {
  const { world, n } = ring;
  const result = keyResultOf(2, 'fresh');
  const asked = (): Coordinated => new Coordinated(world, keyRequest(world), []);
  const report = (asking: Coordinated, index: number, reported: PartyResult['result'] = result) =>
    asking.result(resultBy(world, world.parties[index]!, asking.id, reported));

  it('are fulfilled by the equal results of all n parties, not of t', () => {
    const asking = asked();
    for (const index of first(n - 1)) report(asking, index);
    assert.equal(asking.request.state, 'pending');
    assert.deepEqual(asking.votes, { have: n - 1, need: n, refused: 0 });
    report(asking, n - 1);
    assert.equal(asking.request.state, 'fulfilled');
    assert.deepEqual(asking.happened, ['pending', ...first(n).map(() => 'result'), 'fulfilled']);
    assert.equal(report(asking, 0).counted, true);
  });

  it('are rejected by one refusal', () => {
    for (const before of first(n)) {
      const asking = asked();
      for (const index of first(before)) report(asking, index);
      asking.result(refusedBy(world, world.parties[before]!, asking.id, 'no\nroom'));
      assert.equal(asking.request.state, 'rejected');
      assert.equal(asking.request.reason?.code, 'parties');
      assert.match(asking.request.reason?.detail ?? '', /refused: not_authorised/);
      assert.equal(requestView(asking.request, asking.context, start).mayHaveBeenSigned, false);
    }
  });

  const unequal: [string, object][] = [
    ['public key', keyResultOf(2, 'another')],
    ['chain code', { chainCode: `0x${'01'.repeat(32)}` }],
    ['transcript', { transcript: `0x${'01'.repeat(32)}` }],
    ['second commitment', { commitments: [result.publicKey, result.publicKey] }],
  ];
  for (const [what, change] of unequal) {
    it(`are rejected by another ${what}, whoever comes first`, () => {
      for (const odd of first(n)) {
        const asking = asked();
        for (const index of first(n)) {
          if (isFinal(asking.request)) break;
          report(asking, index, index === odd ? { ...result, ...change } : result);
        }
        assert.equal(asking.request.state, 'rejected');
        assert.match(asking.request.reason?.detail ?? '', /reports another key/);
      }
    });
  }

  it('take no key that is none, no second key of a party, and no signatures', () => {
    const asking = asked();
    const refusedFor = (
      reported: PartyResult['result'],
      code: 'bad_signature' | 'invalid_params',
      index = 0,
    ) => asking.unchangedBy(code, () => report(asking, index, reported));
    refusedFor({ ...result, commitments: [...result.commitments, result.publicKey] }, 'bad_signature');
    refusedFor({ ...result, commitments: result.commitments.toReversed() }, 'bad_signature');
    const zero = `0x${'00'.repeat(32)}` as const;
    refusedFor({ ...result, publicKey: zero, commitments: [zero, result.commitments[1]!] }, 'bad_signature');
    refusedFor({ kind: 'signatures', signatures: [`0x${'00'.repeat(64)}`] }, 'invalid_params');
    report(asking, 0);
    assert.equal(report(asking, 0, keyResultOf(2, 'another')).conflict, true);
    assert.equal(asking.result(refusedBy(world, world.parties[0]!, asking.id)).conflict, true);
    assert.equal(asking.request.state, 'pending');
  });

  it('take no key of another type than was asked for', () => {
    const [key, other] = [new WholeTaprootKey(7), new WholeTaprootKey(11)];
    const taproot: PartyResult['result'] = {
      ...result,
      keyType: 'taproot_secp256k1',
      publicKey: toHex(key.publicKey),
      commitments: [toHex(key.point), toHex(other.point)],
    };
    const asking = asked();
    asking.unchangedBy(
      'invalid_params',
      () => report(asking, 0, taproot),
      /taproot_secp256k1 key, a ed25519 key is asked for/,
    );
    report(asking, 0);
  });

  it('end as mpc_timeout', () => {
    assert.equal(asked().expire(start + hour).request.reason?.code, 'mpc_timeout');
  });
});
