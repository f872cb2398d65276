// JSON files that people hand to each other: signed records, introductions of parties.
import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type * as z from 'zod';
import { type Envelope, envelopeSchema } from '../protocol/records/envelope.ts';
import { writeAtomically } from '../storage/atomic-file.ts';
import { readBounded } from './bounded-file.ts';
import { CliError } from './errors.ts';

const maxFileBytes = 1024 * 1024;

/**
 * The value of a JSON file that fits a schema; `kind` says in messages what it should be. Throws CliError `usage`, and
 * the system's error when it cannot be read.
 */
export async function readJson<Value>(
  path: string,
  schema: z.ZodType<Value>,
  kind: string,
  limit = maxFileBytes,
): Promise<Value> {
  const bytes = Buffer.from(await readBounded(path, limit, kind));
  const wrong = (why: string): never => {
    throw new CliError(
      'usage',
      `${path} is not ${kind} (${why})`,
      'name another file, or take it from its source again',
    );
  };
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    wrong('not JSON');
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const where = issue.path.map(String).join('.');
  return wrong(where === '' ? issue.message : `${where}: ${issue.message}`);
}

/** A signed record of that type. Its form is checked, nothing else. */
export async function readRecord(path: string, type: string): Promise<Envelope> {
  const envelope = await readJson(path, envelopeSchema, 'a signed record');
  if (envelope.type !== type) {
    throw new CliError('usage', `${path} is a ${envelope.type} record`, `name the file of a ${type} record`);
  }
  return envelope;
}

/**
 * Writes a file to be handed on, whole or not at all. An existing file is only replaced when told to; one that holds the
 * very same is left, so that a command can be run again. Throws CliError `failed` when it exists, and the system's errors.
 */
export async function writeOut(
  path: string,
  contents: string | AsyncIterable<string>,
  { replace = false } = {},
): Promise<void> {
  try {
    await writeAtomically(path, contents, { name: 'handed-out', mode: 0o644, replace });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && !replace) {
      if (typeof contents === 'string' && (await holds(path, contents))) return;
      throw taken(path);
    }
    if (code === 'ENOENT') throw noFolder(path);
    // The system names the temporary file beside it, which nobody knows.
    throw Object.assign(error as NodeJS.ErrnoException, { path });
  }
}

async function holds(path: string, contents: string): Promise<boolean> {
  if ((await stat(path)).size !== Buffer.byteLength(contents)) return false;
  return (await readFile(path, 'utf8')) === contents;
}

function taken(path: string): CliError {
  return new CliError('failed', `${path} already exists`, 'name another with --out, or remove it first');
}

function noFolder(path: string): CliError {
  return new CliError('usage', `there is no folder ${dirname(path)}`, 'make it first, or name another file');
}

/**
 * Finds out before a long command that its result could not be written. Throws CliError `failed` when something stands
 * there, `usage` when its folder does not exist, and the system's errors.
 */
export async function requireFree(path: string): Promise<void> {
  const there = async (of: string): Promise<boolean> =>
    await stat(of).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return false;
        throw error;
      },
    );
  if (await there(path)) throw taken(path);
  if (!(await there(dirname(path)))) throw noFolder(path);
}

/** JSON as these files are written. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
