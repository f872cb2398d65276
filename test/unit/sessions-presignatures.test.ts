// Presignatures in memory, and what a leader names of them: each is somebody's, is taken by removing it, and is burnt with
// the attempt that took it.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Authorisation } from '../../protocol/authorize.ts';
import { type Hex, toHex } from '../../protocol/hex.ts';
import type { SessionContext } from '../../node/sessions/context.ts';
import { ecdsaSignPurpose } from '../../node/sessions/ecdsa-purpose.ts';
import type { PairGate, PairState } from '../../node/sessions/pairs/gate.ts';
import { offeredSets } from '../../node/sessions/presigning/offer.ts';
import {
  burn,
  maxPooled,
  type PooledPresignature,
  PresignaturePool,
} from '../../node/sessions/presigning/pool.ts';
import type { EcdsaSigner } from '../../node/sessions/signing-keys.ts';
import { createWorld, networkId, seedOf } from '../support/fixture.ts';

const world = createWorld({ parties: 4, threshold: 2 });
const [a, b, c, d] = world.parties.map(({ credential }) => credential) as [string, string, string, string];
const all = [a, b, c, d];
const key: Hex = `0x${'11'.repeat(32)}`;
const otherKey: Hex = `0x${'22'.repeat(32)}`;

let made = 0;
function presignature(owner: string, others: readonly string[], keyId = key): PooledPresignature {
  const members = all.filter((party) => party === owner || others.includes(party));
  return {
    presignature: {
      id: seedOf('presignature', made++),
      set: members.map((party) => all.indexOf(party) + 1),
      publicKey: new Uint8Array(33),
      nonce: new Uint8Array(33),
      secrets: new Uint8Array(96).fill(7),
    },
    owner,
    keyId,
    members,
    setups: new Map(),
    madeAt: 0,
  };
}
const isBurnt = ({ presignature: { secrets } }: PooledPresignature): boolean =>
  secrets.every((byte) => byte === 0);
/** Its secrets in a buffer of their own: what is refused is erased. */
const copyOf = (pooled: PooledPresignature): PooledPresignature => ({
  ...pooled,
  presignature: { ...pooled.presignature, secrets: pooled.presignature.secrets.slice() },
});
const idOf = ({ presignature: { id } }: PooledPresignature): Uint8Array => id;

describe('sessions: the pool of presignatures', () => {
  it('gives each away once, and to nobody but its owner', () => {
    const pool = new PresignaturePool();
    const one = presignature(a, [b]);
    assert.ok(pool.put(one));
    assert.equal(pool.take(idOf(one), b), undefined);
    assert.equal(pool.take(idOf(one), a), one);
    assert.equal(pool.take(idOf(one), a), undefined);
    assert.ok(!isBurnt(one));
  });

  it('takes none in under an id that is there, and holds as many of an owner as it may: the newest', () => {
    const pool = new PresignaturePool();
    const first = presignature(a, [b]);
    pool.put(first);
    const again = {
      ...presignature(a, [b]),
      presignature: { ...first.presignature, secrets: new Uint8Array(96).fill(9) },
    };
    assert.ok(!pool.put(again));
    assert.ok(isBurnt(again) && !isBurnt(first));
    for (let have = 1; have < maxPooled; have++) assert.ok(pool.put(presignature(a, [b])));
    assert.ok(!isBurnt(first));
    const last = presignature(a, [b]);
    assert.ok(pool.put(last));
    assert.ok(isBurnt(first) && !isBurnt(last));
    assert.equal(pool.ofOwner(a).length, maxPooled);
    assert.ok(pool.put(presignature(b, [a])));
    assert.equal(pool.ofOwner(a).length, maxPooled, "another owner's room is its own");
  });

  it('burns all that were made with a party, and no others', () => {
    const pool = new PresignaturePool();
    const [withB, withC, ofC] = [presignature(a, [b]), presignature(a, [c]), presignature(c, [b, a])];
    for (const each of [withB, withC, ofC]) pool.put(each);
    assert.equal(pool.purge(b), 2);
    assert.deepEqual([withB, withC, ofC].map(isBurnt), [true, false, true]);
    assert.deepEqual(pool.ofOwner(a), [withC]);
    pool.clear();
    assert.ok(isBurnt(withC));
  });

  it('never gives one twice, whatever is put, taken and purged', () => {
    const acts = fc.array(
      fc.record({ act: fc.constantFrom('put', 'take', 'purge'), which: fc.nat(9), who: fc.nat(3) }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(acts, (list) => {
        const pool = new PresignaturePool();
        const each = Array.from({ length: 10 }, (_, at) => presignature(all[at % 4]!, [all[(at + 1) % 4]!]));
        const taken = new Set<number>();
        for (const { act, which, who } of list) {
          const one = each[which]!;
          if (act === 'purge') pool.purge(all[who]!);
          else if (act === 'put' && !taken.has(which)) pool.put(copyOf(one));
          else if (act === 'take') {
            const given = pool.take(idOf(one), all[who]!);
            if (given === undefined) continue;
            assert.equal(all[who], one.owner);
            assert.ok(!taken.has(which) && !isBurnt(given));
            taken.add(which);
          }
        }
      }),
    );
  });
});

describe('sessions: the sets that a leader names', () => {
  const base = { roots: [key], order: all, isReady: () => true, failedSets: new Set<string>() };
  const own = [
    presignature(a, [d]),
    presignature(a, [b]),
    presignature(a, [b]),
    presignature(a, [c], otherKey),
  ];

  it('are those with a presignature of its own key for every item, preferred parties first', () => {
    const sets = offeredSets({ ...base, own });
    assert.deepEqual(sets, [
      { members: [1, 2], presignatures: [idOf(own[1]!)] },
      { members: [1, 4], presignatures: [idOf(own[0]!)] },
    ]);
    const two = offeredSets({ ...base, own, roots: [key, key] });
    assert.deepEqual(two, [{ members: [1, 2], presignatures: [idOf(own[1]!), idOf(own[2]!)] }]);
  });

  it('hold no party that is not here, and none that failed before', () => {
    assert.deepEqual(
      offeredSets({ ...base, own, isReady: (party) => party !== b }).map(({ members }) => members),
      [[1, 4]],
    );
    assert.deepEqual(
      offeredSets({ ...base, own, failedSets: new Set([[a, d].toSorted().join(' ')]) }).map(
        ({ members }) => members,
      ),
      [[1, 2]],
    );
  });

  it('are none for more items than a pool serves', () => {
    const many = Array.from({ length: 8 }, () => presignature(a, [b]));
    assert.equal(offeredSets({ ...base, own: many, roots: Array.from({ length: 4 }, () => key) }).length, 1);
    assert.deepEqual(offeredSets({ ...base, own: many, roots: Array.from({ length: 5 }, () => key) }), []);
  });

  it('are four at most', () => {
    const sets = [[b], [c], [d], [b, c], [b, d]].map((others) => presignature(a, others));
    assert.equal(offeredSets({ ...base, own: sets }).length, 4);
  });

  it('hold no id twice, each of its item and its set', () => {
    const pick = fc.array(fc.tuple(fc.constantFrom([b], [c], [d], [b, c], [b, d], [c, d]), fc.boolean()), {
      maxLength: 24,
    });
    fc.assert(
      fc.property(pick, fc.array(fc.boolean(), { minLength: 1, maxLength: 6 }), (picked, items) => {
        const pool = picked.map(([others, other]) => presignature(a, others, other ? otherKey : key));
        const roots = items.map((other) => (other ? otherKey : key));
        const sets = offeredSets({ ...base, own: pool, roots });
        const ids = sets.flatMap(({ presignatures }) => presignatures.map(toHex));
        assert.equal(new Set(ids).size, ids.length);
        assert.ok(sets.length <= 4);
        for (const { members, presignatures } of sets) {
          assert.equal(presignatures.length, roots.length);
          for (const [item, id] of presignatures.entries()) {
            const found = pool.find((each) => toHex(idOf(each)) === toHex(id))!;
            assert.equal(found.keyId, roots[item]);
            assert.deepEqual(found.presignature.set, members);
          }
        }
      }),
    );
  });
});

describe('sessions: what an ACCEPT by ECDSA takes', () => {
  const states = new Map<string, PairState>();
  const renewing = new Set<string>();
  let current = true;
  const gate = {
    state: (party: string) => states.get(party) ?? 'ready',
    holds: () => current,
  } as unknown as PairGate;
  const context = {
    networkId,
    keyring: world.keyring,
    signer: world.parties[1],
    transport: { up: () => new Set(all) },
  } as unknown as SessionContext;
  const authorisation = (items: number): Authorisation =>
    ({
      items: Array.from({ length: items }, () => ({
        key: { id: key },
        payload: { message: seedOf('message') },
      })),
    }) as unknown as Authorisation;
  function purpose(pool: PresignaturePool, items = 1) {
    const signers = Array.from({ length: items }, () => ({ rootId: key }) as EcdsaSigner);
    return ecdsaSignPurpose(
      authorisation(items),
      signers,
      { gate, pool, used: () => undefined, isRenewing: (party) => renewing.has(party) },
      context,
    );
  }
  const listed = (...ids: Uint8Array[]) => ({ members: [1, 2], presignatures: ids });

  afterEach(() => {
    states.clear();
    renewing.clear();
    current = true;
  });

  it('cannot join with one whose setups are not in use any more', () => {
    const pool = new PresignaturePool();
    const good = presignature(a, [b]);
    pool.put(good);
    current = false;
    const prepared = purpose(pool).prepare({ leader: a, sets: [listed(idOf(good))] });
    assert.deepEqual(prepared.cannot, [0]);
    prepared.discard();
    assert.ok(isBurnt(good));
  });

  it('cannot join with one that is unknown, of another owner, key or set, or named before', () => {
    const pool = new PresignaturePool();
    const good = presignature(a, [b]);
    const ofOther = presignature(b, [a]);
    const ofOtherKey = presignature(a, [b], otherKey);
    const ofOtherSet = presignature(a, [b, c]);
    for (const each of [good, ofOther, ofOtherKey, ofOtherSet]) pool.put(each);
    const wrong = [seedOf('unknown'), idOf(ofOther), idOf(ofOtherKey), idOf(ofOtherSet)];
    const first = purpose(pool).prepare({ leader: a, sets: wrong.map((id) => listed(id)) });
    assert.deepEqual(first.cannot, [0, 1, 2, 3]);
    const second = purpose(pool).prepare({ leader: a, sets: [listed(idOf(good)), listed(idOf(good))] });
    assert.deepEqual(second.cannot, [1]);
    assert.deepEqual(pool.ofOwner(b), [ofOther], "another's was not touched");
  });

  it('cannot join with one for two items', () => {
    const pool = new PresignaturePool();
    const good = presignature(a, [b]);
    pool.put(good);
    const prepared = purpose(pool, 2).prepare({ leader: a, sets: [listed(idOf(good), idOf(good))] });
    assert.deepEqual(prepared.cannot, [0]);
    prepared.discard();
    assert.ok(isBurnt(good));
  });

  it('is gone for every later PROPOSE, and burnt when the attempt ends', () => {
    const pool = new PresignaturePool();
    const both = [presignature(a, [b]), presignature(a, [b])];
    for (const each of both) pool.put(each);
    const sets = both.map((each) => listed(idOf(each)));
    const first = purpose(pool).prepare({ leader: a, sets });
    assert.deepEqual(first.cannot, []);
    assert.deepEqual(purpose(pool).prepare({ leader: a, sets }).cannot, [0, 1]);
    first.discard();
    assert.deepEqual(both.map(isBurnt), [true, true]);
  });

  it('names those that it bans or has no setup with', () => {
    states.set(c, 'banned');
    states.set(d, 'missing');
    assert.deepEqual(purpose(new PresignaturePool()).prepare({ leader: a, sets: [] }).excludes, [c, d]);
  });

  it('names those with whom it makes a setup again: one of the two may have the new one already', () => {
    renewing.add(c);
    assert.deepEqual(purpose(new PresignaturePool()).prepare({ leader: a, sets: [] }).excludes, [c]);
  });

  it('leaves what a set without it names', () => {
    const pool = new PresignaturePool();
    const good = presignature(a, [b]);
    pool.put(good);
    const sets = [{ members: [1, 3], presignatures: [idOf(good)] }];
    assert.deepEqual(purpose(pool).prepare({ leader: a, sets }).cannot, []);
    assert.deepEqual(pool.ofOwner(a), [good]);
    burn(good);
  });
});
