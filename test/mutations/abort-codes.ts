// Checks that no code by which something hostile is refused is a dead letter: production code raises it, a test asserts
// it, and the codes of the protocols stand in the review that says where.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type CodeUnion } from './code-unions.ts';
import { readUnion, withoutComments } from './unions.ts';

function sourcesUnder(root: string, folder: string): readonly string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => join(folder, path));
}

/** Reads `path` without comments, and without the union's own declaration. */
function textOf(root: string, path: string, union: CodeUnion): string {
  const source = readFileSync(join(root, path), 'utf8');
  return path === union.file ? readUnion(source, union).rest : withoutComments(source);
}

/** First cells of the table rows under a heading, up to the next one. */
function rowsOf(markdown: string, heading: string): ReadonlySet<string> {
  const start = markdown.indexOf(`${heading} `);
  if (start < 0) return new Set();
  const [section = ''] = markdown.slice(start + heading.length).split(/^## /m);
  return new Set([...section.matchAll(/^\| *`?(\w+)`? *\|/gm)].map(([, cell]) => cell as string));
}

/** Members of a union, as the source declares them. */
export function membersOf(root: string, union: CodeUnion): readonly string[] {
  return readUnion(readFileSync(join(root, union.file), 'utf8'), union).members;
}

/** What is missing for the codes of one union; one line each. */
export function missingOf(root: string, union: CodeUnion): readonly string[] {
  const members = membersOf(root, union);
  const production = union.production.flatMap((folder) => sourcesUnder(root, folder));
  const raised = new Set<string>();
  for (const path of production) {
    const text = textOf(root, path, union);
    for (const pattern of union.raised)
      for (const [, code] of text.matchAll(pattern)) raised.add(code as string);
  }
  const tests = sourcesUnder(root, 'test').filter(
    (path) => path.endsWith('.test.ts') && union.asserted.test(basename(path)),
  );
  const testText = tests.map((path) => textOf(root, path, union)).join('\n');
  const { reviews } = union;
  const reviewed =
    reviews &&
    new Set(
      reviews.flatMap(({ file, heading }) => [...rowsOf(readFileSync(join(root, file), 'utf8'), heading)]),
    );
  const places = reviews?.map(({ file, heading }) => `under "${heading}" of ${file}`).join(' or ');
  return members.flatMap((code) => [
    ...(raised.has(code)
      ? []
      : [`${union.name} ${code}: nothing in ${union.production.join(', ')} raises it`]),
    ...(new RegExp(`(['"\`/])${code}\\1|: ${code}['"\`/]`).test(testText)
      ? []
      : [`${union.name} ${code}: no test asserts it (of files that match ${union.asserted.source})`]),
    ...(reviewed === undefined || reviewed.has(code) ? [] : [`${union.name} ${code}: no row ${places}`]),
  ]);
}
