// Audit files on disk: read line by line, so that a history of years needs no more memory than its longest line.
import { createReadStream } from 'node:fs';
import { AuditError, maxAuditLine } from '../protocol/audit.ts';
import { type Audited, type AuditedRequest, AuditReader } from '../protocol/audit-check.ts';
import type { Hex } from '../protocol/hex.ts';
import { CliError } from './errors.ts';

/** The lines of a file, without line feeds. Throws AuditError `malformed`, and the system's errors. */
export async function* linesOf(path: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let number = 0;
  const decoded = (bytes: Buffer): string => {
    number += 1;
    try {
      return decoder.decode(bytes);
    } catch {
      throw new AuditError('malformed', number, 'not text in UTF-8');
    }
  };
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    rest = Buffer.concat([rest, chunk as Buffer]);
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      yield decoded(rest.subarray(0, end));
      rest = rest.subarray(end + 1);
    }
    if (rest.length > maxAuditLine)
      throw new AuditError('malformed', number + 1, `longer than ${maxAuditLine} bytes`);
  }
  if (rest.length > 0) yield decoded(rest);
}

const remedies: Readonly<Record<AuditError['code'], string>> = {
  malformed: 'take it from its source again',
  broken_chain:
    'somebody changed it: take it from its source again, and compare its head with the one you kept',
  unproven: 'do not rely on it',
};

/**
 * The requests in a file, each as its line is checked; what it returns in the end is about the whole. Nothing of it may be
 * relied on before that. Throws CliError `failed` naming the first wrong line, and the system's errors.
 */
export async function* readAudit(path: string, workspaceId: Hex): AsyncGenerator<AuditedRequest, Audited> {
  const reader = new AuditReader({ workspaceId });
  try {
    for await (const line of linesOf(path)) {
      const request = reader.take(line);
      if (request !== undefined) yield request;
    }
    return reader.finish();
  } catch (error) {
    if (!(error instanceof AuditError)) throw error;
    throw new CliError('failed', `${path}: ${error.message}`, remedies[error.code], { cause: error });
  }
}

/** Checks a file. Throws as `readAudit`. */
export async function checkAuditFile(path: string, workspaceId: Hex): Promise<Audited> {
  const reading = readAudit(path, workspaceId);
  for (;;) {
    const next = await reading.next();
    if (next.done === true) return next.value;
  }
}
