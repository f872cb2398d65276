// What goes into FROST signing: keys, nonces, and what an attempt is started with.
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { concatBytes } from '@noble/hashes/utils.js';
import type { AbortCode } from '../../node/mpc/abort.ts';
import { ciphersuiteOf } from '../../node/mpc/frost/ciphersuite.ts';
import type { StoredKey } from '../../node/mpc/frost/key-package.ts';
import { loadKeyPackage } from '../../node/mpc/frost/key-package.ts';
import type { NonceCommitment } from '../../node/mpc/frost/nonces.ts';
import { NonceStore } from '../../node/mpc/frost/nonces.ts';
import type { FrostSigningOptions } from '../../node/mpc/frost/sign.ts';
import { FrostSigning } from '../../node/mpc/frost/sign.ts';
import type { PartyIndex } from '../../node/mpc/machine.ts';
import { seededRandom } from '../support/mpc-network.ts';

import { throwsAbort } from '../support/assert-abort.ts';
import { load, prepare } from '../support/signing-attempts.ts';
import { itemOf, schemes } from '../support/signing-schemes.ts';

for (const scheme of schemes)
  describe(`FROST: loading a key, ${scheme.name}`, () => {
    const { group, shares23, otherShares23 } = scheme;
    const stored: StoredKey = shares23.get(2)!;
    const tweak = scheme.tweakOf(shares23);
    const badCommitments = scheme.badPoints.map(([name, point]): [string, Partial<StoredKey>, AbortCode] => [
      `a commitment that is ${name}`,
      { commitments: [stored.commitments[0]!, point] },
      'malformed_point',
    ]);
    const twice = (bytes: Uint8Array): Uint8Array =>
      group.encodePoint(group.decodePoint(bytes).multiplyUnsafe(2n));
    const cases: [string, Partial<StoredKey>, AbortCode][] = [
      ["another party's share", { signingShare: shares23.get(1)!.signingShare }, 'signing_share_mismatch'],
      ["another key's share", { signingShare: otherShares23.get(2)!.signingShare }, 'signing_share_mismatch'],
      ['its own share under another index', { index: 3 }, 'signing_share_mismatch'],
      ['a zero share', { signingShare: new Uint8Array(32) }, 'signing_share_mismatch'],
      ['a share above the order', { signingShare: new Uint8Array(32).fill(0xff) }, 'malformed_scalar'],
      ['a short share', { signingShare: new Uint8Array(31) }, 'malformed_scalar'],
      ["another key's public key", { publicKey: otherShares23.get(2)!.publicKey }, 'public_key_mismatch'],
      [
        'an altered commitment',
        { commitments: [stored.commitments[0]!, twice(stored.commitments[1]!)] },
        'signing_share_mismatch',
      ],
      ...badCommitments,
      [
        'a short commitment',
        { commitments: [stored.commitments[0]!, stored.commitments[1]!.slice(0, -1)] },
        'malformed_point',
      ],
      [
        'no point as key',
        {
          publicKey: scheme.badPoints[1]![1],
          commitments: [scheme.badPoints[1]![1], stored.commitments[1]!],
        },
        'malformed_point',
      ],
      [
        'a commitment too many',
        { commitments: [...stored.commitments, stored.commitments[1]!] },
        'commitment_count',
      ],
      ['a commitment too few', { commitments: stored.commitments.slice(0, 1) }, 'commitment_count'],
      ['threshold 1', { threshold: 1 }, 'invalid_threshold'],
      ['a repeated party', { parties: [1, 2, 2] }, 'duplicate_index'],
      ['an index outside the parties', { index: 4 }, 'not_a_member'],
      ['index 0', { index: 0 }, 'not_a_member'],
    ];
    for (const [name, change, code] of cases)
      it(`refuses ${name}: ${code}`, () => {
        assert.throws(() => loadKeyPackage({ ...stored, ...change }, tweak), throwsAbort(code));
      });

    it('evaluates the verifying shares from the commitments', () => {
      const key = loadKeyPackage(stored, tweak);
      for (const index of shares23.keys()) {
        const { secret } = load(shares23, index, tweak);
        const expected = group.encodePoint(group.multiplyBase(group.decodeScalar(secret.signingShare)));
        assert.deepEqual(key.public.verifyingShares[key.identifierOf(index)], expected);
      }
      assert.throws(() => key.identifierOf(77), throwsAbort('stranger_in_set'));
    });

    it('refuses verifying shares that vanish', () => {
      // f(x) = 2 - x has f(2) = 0: the share of party 2 would be zero.
      const commitments = [2n, group.order - 1n].map((a) => group.encodePoint(group.multiplyBase(a)));
      const key = {
        ...stored,
        index: 1,
        publicKey: commitments[0]!,
        commitments,
        signingShare: group.encodeScalar(1n),
      };
      assert.throws(() => loadKeyPackage(key), throwsAbort('degenerate_key'));
    });

    it('keeps its own copy of the share and erases it', () => {
      const mine = { ...stored, signingShare: stored.signingShare.slice() };
      const key = loadKeyPackage(mine, tweak);
      mine.signingShare.fill(0);
      assert.deepEqual(key.secret.signingShare, loadKeyPackage(stored, tweak).secret.signingShare);
      assert.notDeepEqual(key.secret.signingShare, new Uint8Array(32));
      key.destroy();
      assert.deepEqual(key.secret.signingShare, new Uint8Array(32));
    });
  });

for (const scheme of schemes)
  describe(`FROST: nonces, ${scheme.name}`, () => {
    const one = itemOf(scheme, scheme.shares23, 'pay 1');
    const key = load(scheme.shares23, 1, one.tweak);

    it('are taken once', () => {
      const store = new NonceStore(seededRandom('once'));
      const { id } = store.commit([key]);
      assert.equal(store.size, 1);
      store.take(id);
      assert.equal(store.size, 0);
      assert.throws(() => store.take(id), throwsAbort('nonces_unavailable'));
      assert.throws(() => store.take('unknown'), throwsAbort('nonces_unavailable'));
    });

    it('are gone when dropped or cleared', () => {
      const store = new NonceStore(seededRandom('drop'));
      const ids = [1, 2, 3].map(() => store.commit([key, key]).id);
      assert.equal(new Set(ids).size, 3);
      store.drop(ids[0]!);
      store.drop(ids[0]!);
      assert.throws(() => store.take(ids[0]!), throwsAbort('nonces_unavailable'));
      store.clear();
      assert.equal(store.size, 0);
      assert.throws(() => store.take(ids[1]!), throwsAbort('nonces_unavailable'));
    });

    it('of another process have other ids', () => {
      const [a, b] = ['boot 1', 'boot 2'].map((seed) => new NonceStore(seededRandom(seed)).commit([key]).id);
      assert.notEqual(a, b);
    });

    it('show nothing and cannot be copied', () => {
      const store = new NonceStore(seededRandom('copy'));
      const { id, commitments } = store.commit([key]);
      const nonces = store.take(id);
      assert.deepEqual(Object.keys(nonces), ['commitments']);
      assert.deepEqual(Reflect.ownKeys(store), []);
      assert.deepEqual(JSON.parse(JSON.stringify(nonces)), JSON.parse(JSON.stringify({ commitments })));
      assert.deepEqual(Object.keys(structuredClone(nonces)), ['commitments']);
      assert.doesNotMatch(inspect(nonces, { showHidden: true, depth: 9 }), /pairs/);
    });

    it('sign one message: the second is refused, in the same machine or another', () => {
      const options = prepare([1, 2], [one]);
      const first = options.get(1)!;
      new FrostSigning(first).start();
      const other = { ...first, items: [{ ...first.items[0]!, message: scheme.message('pay 2') }] };
      assert.throws(() => new FrostSigning(other).start(), throwsAbort('nonces_unavailable'));
    });

    it('are burnt by a failed use', () => {
      const options = prepare([1, 2], [one]).get(1)!;
      const bad = new Map(options.commitments).set(2, [
        { hiding: scheme.badPoints[0]![1], binding: scheme.badPoints[1]![1] },
      ]);
      assert.throws(
        () => new FrostSigning({ ...options, commitments: bad }).start(),
        throwsAbort('malformed_point', 2),
      );
      assert.throws(() => new FrostSigning(options).start(), throwsAbort('nonces_unavailable'));
    });

    it('are burnt by options that are refused, and by destroy', () => {
      const refused = prepare([1, 2], [one]).get(1)!;
      assert.throws(() => new FrostSigning({ ...refused, set: [1, 2, 3] }), throwsAbort('set_size'));
      assert.throws(() => new FrostSigning(refused).start(), throwsAbort('nonces_unavailable'));
      const destroyed = prepare([1, 2], [one]).get(1)!;
      new FrostSigning(destroyed).destroy();
      assert.throws(() => new FrostSigning(destroyed).start(), throwsAbort('nonces_unavailable'));
    });

    it('need a source that returns what is asked for', () => {
      assert.throws(() => new NonceStore(() => new Uint8Array(3)), throwsAbort('internal'));
      let calls = 0;
      const store = new NonceStore((length) => new Uint8Array(calls++ === 0 ? length : 5));
      assert.throws(() => store.commit([key]), throwsAbort('internal'));
    });
  });

for (const scheme of schemes)
  describe(`FROST: what an attempt is started with, ${scheme.name}`, () => {
    const { group, shares23, shares35 } = scheme;
    const one = itemOf(scheme, shares23, 'pay 1');
    const { message } = one;
    const base = group.encodePoint(group.multiplyBase(1n));
    const stranger = { hiding: base, binding: base };
    const spoil =
      (change: (options: FrostSigningOptions) => Partial<FrostSigningOptions>) => (): FrostSigning => {
        const options = prepare([1, 2], [one]).get(1)!;
        return new FrostSigning({ ...options, ...change(options) });
      };
    const withCommitments = (
      options: FrostSigningOptions,
      ...entries: [PartyIndex, readonly NonceCommitment[]][]
    ) => ({
      commitments: new Map([...options.commitments, ...entries]),
    });
    const cases: [
      string,
      AbortCode,
      PartyIndex | undefined,
      (options: FrostSigningOptions) => Partial<FrostSigningOptions>,
    ][] = [
      ['a set above the threshold', 'set_size', undefined, () => ({ set: [1, 2, 3] })],
      ['a set below the threshold', 'set_size', undefined, () => ({ set: [1] })],
      ['a repeated member', 'duplicate_member', undefined, () => ({ set: [1, 1] })],
      ['a set without oneself', 'self_not_in_set', undefined, () => ({ set: [2, 3] })],
      ['a member outside the roster', 'stranger_in_set', undefined, () => ({ set: [1, 77] })],
      ['index 0 in the set', 'stranger_in_set', undefined, () => ({ set: [1, 0] })],
      ['no item', 'item_count', undefined, () => ({ items: [] })],
      ['more items than nonces', 'item_count', undefined, ({ items }) => ({ items: [...items, ...items] })],
      [
        "another party's key",
        'key_mismatch',
        undefined,
        () => ({ items: [{ key: load(shares23, 2), message }] }),
      ],
      [
        'a key with another threshold',
        'set_size',
        undefined,
        () => ({ items: [{ key: load(shares35, 1), message }] }),
      ],
      [
        "a stranger's commitment, identifier 77",
        'stranger_commitment',
        undefined,
        (o) => withCommitments(o, [77, [stranger]]),
      ],
      [
        'a commitment of a party outside the set',
        'stranger_commitment',
        undefined,
        (o) => withCommitments(o, [3, [stranger]]),
      ],
      [
        'a missing commitment',
        'missing_commitment',
        undefined,
        (o) => ({ commitments: new Map([[1, o.commitments.get(1)!]]) }),
      ],
      [
        'too many commitments of a member',
        'commitment_count',
        2,
        (o) => withCommitments(o, [2, [stranger, stranger]]),
      ],
      ['no commitments of a member', 'commitment_count', 2, (o) => withCommitments(o, [2, []])],
      [
        'an exchanged commitment of oneself',
        'own_commitment_mismatch',
        undefined,
        (o) => withCommitments(o, [1, [stranger]]),
      ],
      [
        'an exchanged half of the own commitment',
        'own_commitment_mismatch',
        undefined,
        (o) => withCommitments(o, [1, [{ ...o.commitments.get(1)![0]!, binding: stranger.binding }]]),
      ],
      [
        'a short commitment',
        'malformed_point',
        2,
        (o) => withCommitments(o, [2, [{ ...stranger, hiding: base.slice(1) }]]),
      ],
      [
        'a long commitment',
        'malformed_point',
        2,
        (o) => withCommitments(o, [2, [{ ...stranger, binding: concatBytes(base, Uint8Array.of(0)) }]]),
      ],
      ['a short session id', 'invalid_session', undefined, () => ({ sid: new Uint8Array(16) })],
    ];
    for (const [name, code, culprit, change] of cases)
      it(`refuses ${name}: ${code}`, () => {
        assert.throws(spoil(change), throwsAbort(code, culprit));
      });

    it('refuses an attempt about nothing: item_count', () => {
      const store = new NonceStore(seededRandom('nothing'));
      const nonces = store.take(store.commit([]).id);
      const options = { ...prepare([1, 2], [one]).get(1)!, items: [], nonces };
      assert.throws(() => new FrostSigning(options), throwsAbort('item_count'));
    });

    for (const [name, point] of scheme.badPoints)
      for (const field of ['hiding', 'binding'] as const)
        it(`names the member whose ${field} commitment is ${name}`, () => {
          const machine = spoil((o) => withCommitments(o, [2, [{ ...stranger, [field]: point }]]))();
          assert.throws(() => machine.start(), throwsAbort('malformed_point', 2));
        });

    it('the library alone would sign over a stranger, which is why membership is checked here', () => {
      const { frost } = ciphersuiteOf(scheme.keyType);
      const key = load(shares23, 1, one.tweak);
      const own = frost.commit(key.secret);
      const list = [own.commitments, { identifier: frost.Identifier.fromNumber(77), ...stranger }].map(
        (each) => ({
          identifier: each.identifier,
          hiding: Uint8Array.from(each.hiding),
          binding: Uint8Array.from(each.binding),
        }),
      );
      assert.equal(frost.signShare(key.secret, key.public, own.nonces, list, message).length, 32);
    });
  });
