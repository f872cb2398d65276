// Reads the members of a union of string literals out of a TypeScript source, where it is declared.

/** `source` without line and block comments; quotes, templates and everything else stay where they are. */
export function withoutComments(source: string): string {
  const token = /'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
  return source.replace(token, (found) =>
    found.startsWith('//') || found.startsWith('/*') ? found.replace(/[^\n]/g, ' ') : found,
  );
}

/** Where a union stands: what its declaration begins with, and what ends it. */
export interface Declaration {
  readonly file: string;
  /** For example `export type AbortCode =` or `readonly code:`. Occurs once in the file. */
  readonly begins: string;
  readonly ends: string;
}

/** A union's members, in order, and the source without its declaration. Throws when it is not where it should be. */
export function readUnion(
  source: string,
  { file, begins, ends }: Declaration,
): { readonly members: readonly string[]; readonly rest: string } {
  const text = withoutComments(source);
  const start = text.indexOf(begins);
  const end = text.indexOf(ends, start + begins.length);
  if (start < 0 || end < 0) throw new Error(`${file}: no "${begins}" ... "${ends}"`);
  if (text.indexOf(begins, start + 1) >= 0) throw new Error(`${file}: "${begins}" occurs more than once`);
  const members = [...text.slice(start, end).matchAll(/'([^']+)'/g)].map(([, member]) => member as string);
  if (members.length === 0) throw new Error(`${file}: "${begins}" has no members`);
  if (new Set(members).size !== members.length) throw new Error(`${file}: "${begins}" repeats a member`);
  return { members, rest: text.slice(0, start) + text.slice(end) };
}
