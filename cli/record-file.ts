// JSON files that people hand to each other: signed records, introductions of parties.
import { randomBytes } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import type * as z from 'zod';
import { type Envelope, envelopeSchema } from '../protocol/records/envelope.ts';
import { CliError } from './errors.ts';

const maxFileBytes = 1024 * 1024;

/**
 * The value of a JSON file that fits a schema; `kind` says in messages what it should be. Throws CliError `usage`, and
 * the system's error when it cannot be read.
 */
export async function readJson<Value>(path: string, schema: z.ZodType<Value>, kind: string): Promise<Value> {
  const bytes = await readFile(path);
  const wrong = (why: string): never => {
    throw new CliError(
      'usage',
      `${path} is not ${kind} (${why})`,
      'name another file, or take it from its source again',
    );
  };
  if (bytes.length > maxFileBytes) wrong(`${bytes.length} bytes`);
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
 * Writes a file to be handed on, whole or not at all. An existing file is only replaced when told to. Throws CliError
 * `failed` when it exists, and the system's errors.
 */
export async function writeOut(path: string, contents: string, { replace = false } = {}): Promise<void> {
  if (!replace) {
    // Taken at once, so that of two writers one learns that the other was first.
    const handle = await open(path, 'wx').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
      throw new CliError('failed', `${path} already exists`, 'name another with --out, or remove it first');
    });
    await handle.close();
  }
  const temporary = `${path}.${randomBytes(6).toString('hex')}.part`;
  try {
    const handle = await open(temporary, 'wx', 0o644);
    try {
      await handle.writeFile(contents);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** JSON as these files are written. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
