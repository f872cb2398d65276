// Approvals written as sums become trees of quorums that mean the same, or are refused with the place.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { importApprovals, ImportError } from '../../protocol/policy/import.ts';
import type { Tree } from '../../protocol/policy/schema.ts';

describe('imported approvals', () => {
  const imports: readonly (readonly [string, Tree])[] = [
    ['a + b + c > 1', { k: 2, of: ['a', 'b', 'c'] }],
    ['a+b>=2', { k: 2, of: ['a', 'b'] }],
    ['(a + b + c) > 0', { k: 1, of: ['a', 'b', 'c'] }],
    ['a', { k: 1, of: ['a'] }],
    [
      'a + b > 0 && c',
      {
        all: [
          { k: 1, of: ['a', 'b'] },
          { k: 1, of: ['c'] },
        ],
      },
    ],
    [
      'a || b && c',
      {
        any: [
          { k: 1, of: ['a'] },
          {
            all: [
              { k: 1, of: ['b'] },
              { k: 1, of: ['c'] },
            ],
          },
        ],
      },
    ],
    [
      '(a || b) && c',
      {
        all: [
          {
            any: [
              { k: 1, of: ['a'] },
              { k: 1, of: ['b'] },
            ],
          },
          { k: 1, of: ['c'] },
        ],
      },
    ],
    ['((a + b >= 2))', { k: 2, of: ['a', 'b'] }],
    ['ops-1 + ops_2 + ops.3 > 1', { k: 2, of: ['ops-1', 'ops_2', 'ops.3'] }],
  ];
  for (const [text, tree] of imports) {
    it(text, () => assert.deepEqual(importApprovals(text), tree));
  }

  const refusals: readonly (readonly [string, number, RegExp])[] = [
    ['', 0, /name of an owner/],
    ['a + > 1', 4, /name of an owner/],
    ['a + b > 2', 8, /3 approvals of 2 owners/],
    ['a + b >= 0', 9, /without any approval/],
    ['a + a > 1', 6, /stands twice/],
    ['a + b > x', 8, /a number/],
    ['a + b < 1', 6, /unexpected </],
    ['(a + b > 1', 10, /expected \)/],
    ['a && ', 5, /name of an owner/],
    ['a & b', 2, /unexpected &/],
    ['process.exit()', 12, /unexpected \(/],
    ['3 > 1', 0, /name of an owner/],
    ['a > 1 > 1', 4, /2 approvals of 1 owners/],
  ];
  for (const [text, at, words] of refusals) {
    it(`${JSON.stringify(text)} are none`, () => {
      assert.throws(
        () => importApprovals(text),
        (error) => error instanceof ImportError && error.at === at && words.test(error.message),
      );
    });
  }

  it('are true for exactly those who make the expression true', () => {
    const met = (tree: Tree, approved: ReadonlySet<string>): boolean => {
      if ('all' in tree) return tree.all.every((branch) => met(branch, approved));
      if ('any' in tree) return tree.any.some((branch) => met(branch, approved));
      return typeof tree.of !== 'string' && tree.of.filter((name) => approved.has(name)).length >= tree.k;
    };
    const names = ['a', 'b', 'c', 'd'];
    const sum = fc
      .subarray(names, { minLength: 1 })
      .chain((of) => fc.integer({ min: 0, max: of.length - 1 }).map((over) => ({ of, over })));
    const leaf = sum.map(({ of, over }) => ({
      text: `${of.join(' + ')} > ${over}`,
      value: (approved: ReadonlySet<string>) => of.filter((name) => approved.has(name)).length > over,
    }));
    const joined = fc.tuple(leaf, leaf, leaf, fc.boolean()).map(([one, two, three, and]) => ({
      text: `(${one.text} || ${two.text}) ${and ? '&&' : '||'} ${three.text}`,
      value: (approved: ReadonlySet<string>) =>
        and
          ? (one.value(approved) || two.value(approved)) && three.value(approved)
          : one.value(approved) || two.value(approved) || three.value(approved),
    }));
    fc.assert(
      fc.property(fc.oneof(leaf, joined), fc.subarray(names), ({ text, value }, some) => {
        const approved = new Set(some);
        assert.equal(met(importApprovals(text), approved), value(approved), text);
      }),
      { numRuns: 300 },
    );
  });

  it('never throw anything else, whatever is written', () => {
    const word = fc.constantFrom(
      'a',
      'b',
      '+',
      '>',
      '>=',
      '&&',
      '||',
      '(',
      ')',
      '1',
      '2',
      ' ',
      '\n',
      'ä',
      '0x',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(word, { maxLength: 60 }).map((words) => words.join('')),
        ),
        (text) => {
          try {
            importApprovals(text);
          } catch (error) {
            assert.ok(error instanceof ImportError, String(error));
          }
        },
      ),
      { numRuns: 2000 },
    );
    assert.throws(() => importApprovals('('.repeat(1900)), ImportError);
    assert.throws(() => importApprovals('a'.repeat(2001)), ImportError);
  });
});
