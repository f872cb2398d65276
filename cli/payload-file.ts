// Reading a payload's file, no further than any payload can be long.
import { open } from 'node:fs/promises';
import type { Payload, PayloadKey } from '../protocol/payloads/payload.ts';
import { maxPayloadFileBytes, parsePayloadsFile } from '../protocol/payloads/read.ts';
import { CliError } from './errors.ts';

/** More than any payload: what is longer is refused by what parses it, without being read whole. */
const maxBytes = maxPayloadFileBytes + 1;

/** The bytes of a file, at most so many of them. */
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

/**
 * What a key is to sign of a file, see parsePayloadsFile. Throws CliError `usage` naming the file; the system's errors.
 */
export async function readPayloads(
  path: string,
  kind: Payload['kind'] | undefined,
  key: PayloadKey,
): Promise<Payload[]> {
  const bytes = await readBytes(path);
  try {
    return parsePayloadsFile(bytes, key, kind);
  } catch (cause) {
    throw new CliError('usage', `${path}: ${(cause as Error).message}`, 'correct the file', { cause });
  }
}
