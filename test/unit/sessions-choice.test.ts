// Which set a leader chooses when parties say that they will not work with each other: one is found whenever honest parties
// suffice, within bounds, whatever others say.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { chooseSet } from '../../node/sessions/choice.ts';

const named = (count: number): string[] => Array.from({ length: count }, (_, at) => `p${at}`);

/** Both ways, from what each party says. */
function apartBy(says: ReadonlyMap<string, readonly string[]>) {
  const asked = { count: 0 };
  const areApart = (one: string, other: string): boolean => {
    asked.count += 1;
    return (says.get(one)?.includes(other) ?? false) || (says.get(other)?.includes(one) ?? false);
  };
  return { asked, areApart };
}
const untried = (): boolean => false;

describe('sessions: the choice of a set', () => {
  it('is the parties preferred, when nothing is said against any', () => {
    const [self, ...candidates] = named(5);
    const { areApart } = apartBy(new Map());
    const set = chooseSet({ self: self!, candidates, size: 3, areApart, wasTried: untried });
    assert.deepEqual(set, ['p0', 'p1', 'p2']);
  });

  it('leaves out a party that the leader excludes, and one that excludes another', () => {
    const [self, ...candidates] = named(5);
    const { areApart } = apartBy(
      new Map([
        ['p0', ['p1']],
        ['p3', ['p2']],
      ]),
    );
    const set = chooseSet({ self: self!, candidates, size: 3, areApart, wasTried: untried });
    assert.deepEqual(set, ['p0', 'p2', 'p4']);
  });

  it('is one that was tried before only when there is no other', () => {
    const [self, ...candidates] = named(3);
    const { areApart } = apartBy(new Map());
    const tried = new Set(['p0 p1']);
    const options = { self: self!, candidates, size: 2, areApart };
    const wasTried = (set: readonly string[]): boolean => tried.has(set.join(' '));
    assert.deepEqual(chooseSet({ ...options, wasTried }), ['p0', 'p2']);
    tried.add('p0 p2');
    assert.deepEqual(chooseSet({ ...options, wasTried }), ['p0', 'p1']);
  });

  it('is none when too few go together', () => {
    const [self, ...candidates] = named(3);
    const { areApart } = apartBy(new Map([['p1', ['p2']]]));
    const set = chooseSet({ self: self!, candidates, size: 3, areApart, wasTried: untried });
    assert.equal(set, undefined);
  });

  it('is found among 50 though the party preferred most excludes everybody', () => {
    const [self, ...candidates] = named(50);
    const { areApart, asked } = apartBy(new Map([['p1', named(50)]]));
    const set = chooseSet({ self: self!, candidates, size: 26, areApart, wasTried: untried });
    assert.equal(set?.length, 26);
    assert.ok(!set.includes('p1'));
    assert.ok(asked.count < 10_000, `${asked.count} questions`);
  });

  it('is found among 50 though 24 preferred ones are set against two honest ones each, and in pairs', () => {
    const [self, ...candidates] = named(50);
    const hostile = candidates.slice(0, 24);
    const honest = candidates.slice(24);
    const says = new Map(
      hostile.map((party, at) => [party, [hostile[at ^ 1]!, honest[at]!, honest[at + 1]!]]),
    );
    const { areApart, asked } = apartBy(says);
    const set = chooseSet({ self: self!, candidates, size: 26, areApart, wasTried: untried });
    assert.deepEqual(new Set(set), new Set([self, ...honest]));
    assert.ok(asked.count < 1_000_000, `${asked.count} questions`);
  });

  it('never holds two that are apart, and is found wherever there is one', () => {
    const edges = fc.array(fc.tuple(fc.nat(7), fc.nat(7)), { maxLength: 16 });
    fc.assert(
      fc.property(edges, fc.integer({ min: 2, max: 6 }), fc.nat(63), (pairs, size, seed) => {
        const [self, ...candidates] = named(8);
        const says = new Map(candidates.map((party) => [party, [] as string[]]));
        says.set(self!, []);
        for (const [a, b] of pairs) if (a !== b) says.get(`p${a}`)?.push(`p${b}`);
        const { areApart } = apartBy(says);
        const wasTried = (set: readonly string[]): boolean =>
          set.reduce((sum, party) => sum + Number(party.slice(1)), seed) % 3 === 0;
        const fits = (set: readonly string[]): boolean =>
          set.every((one) => set.every((other) => one === other || !areApart(one, other)));
        const all = subsets(candidates, size - 1).map((others) => [self!, ...others]);
        const good = all.filter(fits);
        const chosen = chooseSet({ self: self!, candidates, size, areApart, wasTried });
        const expected = good.find((set) => !wasTried(set)) ?? good[0];
        assert.deepEqual(chosen, expected);
      }),
    );
  });
});

function subsets(from: readonly string[], size: number): string[][] {
  if (size === 0) return [[]];
  return from.flatMap((party, at) => subsets(from.slice(at + 1), size - 1).map((rest) => [party, ...rest]));
}
