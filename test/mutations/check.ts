// What can be said about test/mutations.json without running anything: every entry still fits the tree, and every
// attack and every code of a refusal has one.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { membersOf } from './abort-codes.ts';
import { codeUnions } from './code-unions.ts';
import { inOrder, type Mutation, nameOf } from './entries.ts';
import { mutate } from './mutate.ts';
import { attackRows, laterAttackRows } from './rows.ts';
import { withoutComments } from './unions.ts';

/** What does not fit the tree, one line each: file, text, test, grep, repetition. */
export function misfits(root: string, mutations: readonly Mutation[]): readonly string[] {
  const sources = new Map<string, string>();
  const read = (path: string): string | undefined => {
    const known = sources.get(path);
    if (known !== undefined) return known;
    if (!existsSync(join(root, path))) return undefined;
    const text = readFileSync(join(root, path), 'utf8');
    sources.set(path, text);
    return text;
  };
  const words = new Map<string, string>();
  const wordsOf = (test: string): string => {
    const known = words.get(test) ?? wordsOfTest(test, read);
    words.set(test, known);
    return known;
  };
  const problems = mutations.flatMap((mutation) =>
    problemsOf(mutation, read, wordsOf).map((problem) => `${nameOf(mutation)}: ${problem}`),
  );
  const seen = new Set<string>();
  for (const mutation of mutations) {
    const { file, text, replacement, test, grep } = mutation;
    const same = JSON.stringify([file, text, replacement, test, grep]);
    if (seen.has(same)) problems.push(`${nameOf(mutation)}: the same mutation and test twice`);
    seen.add(same);
  }
  return problems;
}

function problemsOf(
  { file, text, replacement, test, grep }: Mutation,
  read: (path: string) => string | undefined,
  wordsOf: (test: string) => string,
): readonly string[] {
  const problems: string[] = [];
  const source = read(file);
  if (source === undefined) problems.push('no such file');
  else
    try {
      mutate(source, text, replacement);
    } catch (error) {
      problems.push(`${(error as Error).message}: ${JSON.stringify(text.slice(0, 100))}`);
    }
  if (read(test) === undefined) problems.push(`no test file ${test}`);
  else if (grep !== undefined) problems.push(...grepProblems(grep, wordsOf(test), test));
  return problems;
}

/** What the titles of a test can be made of: what stands in its file, and in the files of test/support that it imports. */
function wordsOfTest(test: string, read: (path: string) => string | undefined): string {
  const source = read(test) ?? '';
  const imported = [...source.matchAll(/ from '(\.[^']+)'/g)].map(([, path]) =>
    join(dirname(test), path as string),
  );
  const support = imported.filter((path) => path.startsWith(join('test', 'support')));
  return [source, ...support.map((path) => read(path) ?? '')].map(withoutComments).join('\n');
}

/**
 * A grep must be a regular expression, and what it looks for must stand in the test's own words. Titles are often put together
 * from parts, so only the words of the grep are looked for here; that it matches a title shows when tests are run.
 */
function grepProblems(grep: string, testSource: string, test: string): readonly string[] {
  try {
    new RegExp(grep);
  } catch (error) {
    return [`grep: ${(error as Error).message}`];
  }
  const words = grep.replace(/\\[a-zA-Z]/g, ' ').match(/[A-Za-z]{3,}/g) ?? [];
  const lost = words.filter((word) => !testSource.includes(word));
  return lost.length > 0 ? [`grep: ${test} does not hold ${JSON.stringify(lost.join(' '))}`] : [];
}

/** Whether an entry is for `key`: its defence is the key, or goes on after it with anything but a letter. */
function isFor({ defence }: Mutation, key: string): boolean {
  return defence.startsWith(key) && !/^[\w-]/.test(defence.slice(key.length));
}

/** Attacks and codes that no entry is for, entries for what does not exist, and entries out of order. */
export function gaps(root: string, mutations: readonly Mutation[]): readonly string[] {
  const wanted = [
    ...attackRows.map((row) => `attack: ${row}`),
    ...codeUnions.flatMap((union) =>
      union.mutationKey === undefined
        ? []
        : membersOf(root, union).map((code) => `${union.mutationKey}: ${code}`),
    ),
  ];
  const isOrdered = inOrder(mutations).every((mutation, index) => mutation === mutations[index]);
  const missing = wanted.filter((key) => !mutations.some((mutation) => isFor(mutation, key)));
  const known = (mutation: Mutation): boolean => wanted.some((key) => isFor(mutation, key));
  const unknown = mutations.filter(({ defence }) => /^(attack|abort|session|refusal): /.test(defence));
  const later = (mutation: Mutation): boolean =>
    laterAttackRows.some((row) => isFor(mutation, `attack: ${row}`));
  return [
    ...(isOrdered ? [] : ['the entries are not in order: npm run test:mutations -- --add puts them so']),
    ...missing.map((key) => `no entry for "${key}"`),
    ...unknown
      .filter((mutation) => !known(mutation))
      .map((mutation) =>
        later(mutation)
          ? `${nameOf(mutation)}: move this row to \`attackRows\` in test/mutations/rows.ts`
          : `${nameOf(mutation)}: no such row or code`,
      ),
  ];
}
