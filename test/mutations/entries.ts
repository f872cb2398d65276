// What test/mutations.json holds: one defence taken out of the code, and the test that must notice.
import { readFileSync, writeFileSync } from 'node:fs';
import * as z from 'zod';

export const mutationSchema = z.strictObject({
  /** Stable key first: `attack: <row>`, `abort: <code>`, `record: ...`; what exactly is taken out may follow a comma. */
  defence: z.string().min(3),
  /** Path from the root of the tree. */
  file: z.string().min(1),
  /** Occurs exactly once in the file. */
  text: z.string().min(1),
  replacement: z.string(),
  /** Path of the test file that must fail. */
  test: z.string().regex(/^test\/.+\.ts$/, 'expected a path like test/unit/name.test.ts'),
  /** Regular expression over full titles, as `mocha --grep` takes it. */
  grep: z.string().min(1).optional(),
});
export type Mutation = z.infer<typeof mutationSchema>;

/** A name for people: what is defended, and where. */
export function nameOf(mutation: Mutation): string {
  return `${mutation.defence} (${mutation.file})`;
}

/** Reads a list of mutations. Throws when it is missing or has another form, naming the entry. */
export function readMutations(path: string): readonly Mutation[] {
  const parsed: unknown = JSON.parse(readFileSync(path, 'utf8'));
  const result = z.array(mutationSchema).safeParse(parsed);
  if (!result.success) throw new Error(`${path}: ${z.prettifyError(result.error)}`);
  return result.data;
}

/** By defence, then by place: so that two people's additions seldom meet in one line. */
export function inOrder(mutations: readonly Mutation[]): readonly Mutation[] {
  const key = ({ defence, file, text, replacement }: Mutation) =>
    [defence, file, text, replacement].join('\n');
  const keyed = mutations.map((mutation) => ({ mutation, key: key(mutation) }));
  return keyed
    .toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ mutation }) => mutation);
}

/** Adds the entries of other files to a list, in order, each once. */
export function addMutations(path: string, others: readonly string[]): number {
  const before = readMutations(path);
  const known = new Set<string>();
  const all = [...before, ...others.flatMap(readMutations)].filter((mutation) => {
    const { file, text, replacement, test, grep } = mutation;
    const same = JSON.stringify([file, text, replacement, test, grep]);
    return !known.has(same) && known.add(same);
  });
  writeFileSync(path, `${JSON.stringify(inOrder(all), null, 2)}\n`);
  return all.length - before.length;
}
