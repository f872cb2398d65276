// Approvals written as sums, as other systems have them: `a + b + c > 1`, `(a + b >= 2) && d`. They are turned into trees of
// quorums once, by whoever imports them; nothing evaluates text.
import { nameSchema } from '../records/fields.ts';
import { maxTreeDepth, type Tree } from './schema.ts';

/** Text that is no sum of approvals. `at`: the position of the first character that is wrong, from 0. */
export class ImportError extends Error {
  override readonly name = 'ImportError';
  readonly at: number;
  constructor(at: number, message: string) {
    super(`at character ${at + 1}: ${message}`);
    this.at = at;
  }
}

interface Token {
  readonly text: string;
  readonly at: number;
}

const maxLength = 2000;

function tokensOf(text: string): Token[] {
  if (text.length > maxLength) throw new ImportError(maxLength, `longer than ${maxLength} characters`);
  const tokens: Token[] = [];
  const pattern = /\s*(&&|\|\||>=|[()+>]|[A-Za-z0-9._-]+|\S)/gy;
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text))
    tokens.push({ text: match[1]!, at: match.index + match[0].length - match[1]!.length });
  return tokens;
}

/** A tree of quorums for an expression of sums, comparisons with `>` and `>=`, `&&`, `||` and parentheses. Throws ImportError. */
export function importApprovals(text: string): Tree {
  const tokens = tokensOf(text);
  let next = 0;
  const peek = (): Token => tokens[next] ?? { text: '', at: text.length };
  const fail = (message: string): never => {
    throw new ImportError(peek().at, message);
  };
  const take = (expected: string): void => {
    if (peek().text !== expected) fail(`expected ${expected}, found ${peek().text || 'the end'}`);
    next += 1;
  };

  function either(depth: number): Tree {
    return branches('||', 'any', depth, both);
  }
  function both(depth: number): Tree {
    return branches('&&', 'all', depth, comparison);
  }
  function branches(
    operator: string,
    kind: 'all' | 'any',
    depth: number,
    branch: (depth: number) => Tree,
  ): Tree {
    const trees = [branch(depth)];
    while (peek().text === operator) {
      next += 1;
      trees.push(branch(depth));
    }
    if (trees.length === 1) return trees[0]!;
    return kind === 'all' ? { all: trees } : { any: trees };
  }
  function comparison(depth: number): Tree {
    if (depth > 2 * maxTreeDepth) fail('too deep');
    if (peek().text === '(') {
      const start = next;
      next += 1;
      const inner = either(depth + 1);
      take(')');
      // `(a + b) > 1`: the parentheses were around the sum alone.
      if (peek().text !== '>' && peek().text !== '>=') return inner;
      next = start + 1;
      const names = sum();
      take(')');
      return compared(names);
    }
    return compared(sum());
  }
  function sum(): string[] {
    const names = [name()];
    while (peek().text === '+') {
      next += 1;
      names.push(name());
    }
    return names;
  }
  function name(): string {
    const { text: word } = peek();
    if (!nameSchema.safeParse(word).success || /^[0-9]+$/.test(word))
      fail(`expected the name of an owner, found ${word || 'the end'}`);
    next += 1;
    return word;
  }
  function compared(names: string[]): Tree {
    const repeated = names.find((one, index) => names.indexOf(one) !== index);
    if (repeated !== undefined) fail(`${repeated} stands twice in one sum`);
    const operator = peek().text;
    if (operator !== '>' && operator !== '>=') {
      // A sum by itself is true when anybody in it has approved.
      return { k: 1, of: names };
    }
    next += 1;
    const { text: word } = peek();
    if (!/^[0-9]{1,3}$/.test(word)) fail(`expected a number, found ${word || 'the end'}`);
    const k = Number(word) + (operator === '>' ? 1 : 0);
    if (k < 1) fail('true without any approval: no policy is');
    if (k > names.length) fail(`${k} approvals of ${names.length} owners`);
    next += 1;
    return { k, of: names };
  }

  const tree = either(1);
  if (next < tokens.length) fail(`unexpected ${peek().text}`);
  return tree;
}
