// YAML files that people write: configurations, policies, the profile. Mistakes are reported with line and column.
import { LineCounter, parseDocument } from 'yaml';
import type * as z from 'zod';
import { readBounded } from './bounded-file.ts';
import { CliError } from './errors.ts';

const maxFileBytes = 1024 * 1024;

export interface YamlFile {
  readonly value: unknown;
  /** `file:line:column` of the value at a path, or of the nearest one around it. */
  where(path: readonly PropertyKey[]): string;
}

/** Reads the YAML of a file. Throws CliError `usage` when it is none, and the system's error when it cannot be read. */
export async function readYaml(path: string): Promise<YamlFile> {
  const text = new TextDecoder().decode(await readBounded(path, maxFileBytes, 'a file of settings'));
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    logLevel: 'error',
  });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  const problem = document.errors[0];
  if (problem !== undefined) {
    throw new CliError('usage', `${at(problem.pos[0])}: ${problem.message}`, 'correct the YAML');
  }
  const where = (keys: readonly PropertyKey[]): string => {
    for (let length = keys.length; length > 0; length -= 1) {
      const node: unknown = document.getIn(keys.slice(0, length), true);
      const range = (node as { range?: readonly number[] } | undefined)?.range;
      if (range?.[0] !== undefined) return at(range[0]);
    }
    return path;
  };
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 20 });
  } catch (cause) {
    throw new CliError('usage', `${path}: ${(cause as Error).message}`, 'write it without so many aliases', {
      cause,
    });
  }
  return { value, where };
}

/** The mistake of a union's branches that got furthest into the value. */
function innermost(
  issue: z.core.$ZodIssue,
  path: readonly PropertyKey[],
): { issue: z.core.$ZodIssue; path: readonly PropertyKey[] } {
  if (issue.code !== 'invalid_union') return { issue, path };
  const inner = issue.errors
    .flat()
    .find((candidate) => candidate.path.length > 0 || candidate.code === 'unrecognized_keys');
  return inner === undefined ? { issue, path } : innermost(inner, [...path, ...inner.path]);
}

/** A schema's first complaint as one line, an unknown key before anything else. `allowed`: the keys at the top. */
export function complaint(
  file: YamlFile,
  error: z.ZodError,
  allowed: readonly string[] = [],
): { readonly what: string; readonly remedy: string } {
  const first = error.issues.find(({ code }) => code === 'unrecognized_keys') ?? error.issues[0]!;
  const { issue, path } = innermost(first, first.path);
  const name = path.map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    const keys = issue.keys.map((key) => JSON.stringify(key)).join(', ');
    const place = file.where([...path, issue.keys[0]!]);
    const remedy = name === '' && allowed.length > 0 ? `allowed are: ${allowed.join(', ')}` : 'remove it';
    return { what: `${place}: unknown key ${keys}${name === '' ? '' : ` in ${name}`}`, remedy };
  }
  return {
    what: `${file.where(path)}: ${name === '' ? '' : `${name}: `}${issue.message}`,
    remedy: 'correct it',
  };
}
