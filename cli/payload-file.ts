// Reading a payload's file, no further than any payload can be long.
import { open } from 'node:fs/promises';
import type { Payload } from '../protocol/payloads/payload.ts';
import { parsePayloadFile } from '../protocol/payloads/read.ts';
import { CliError } from './errors.ts';

/** More than any payload: what is longer is refused by what parses it, without being read whole. */
const maxBytes = 64 * 1024;

/** The bytes of a file, at most 64 KiB of them. */
async function readBytes(path: string): Promise<Uint8Array> {
  const handle = await open(path, 'r');
  try {
    const bytes = new Uint8Array(maxBytes);
    let length = 0;
    for (;;) {
      const { bytesRead } = await handle.read(bytes, length, maxBytes - length);
      if (bytesRead === 0) return bytes.slice(0, length);
      length += bytesRead;
    }
  } finally {
    await handle.close();
  }
}

/** The payload in a file, see parsePayloadFile. Throws CliError `usage` naming the file; the system's errors. */
export async function readPayload(path: string, kind: Payload['kind'] | undefined): Promise<Payload> {
  const bytes = await readBytes(path);
  try {
    return parsePayloadFile(bytes, kind);
  } catch (cause) {
    throw new CliError('usage', `${path}: ${(cause as Error).message}`, 'correct the file', { cause });
  }
}
