// `rpc.discover`: the OpenRPC document of this coordinator, made when it is first asked for.
import { readFile } from 'node:fs/promises';
import { examplesSchema, openRpcDocument } from '../../protocol/openrpc/document.ts';
import type { Result } from '../../protocol/rpc.ts';

/** Beside the code that it is about, in the sources and in what is built from them. */
const examplesFile = new URL('../../protocol/openrpc/examples.json', import.meta.url);

const made = new Map<string, Promise<Result<'rpc.discover'>>>();

async function make(version: string): Promise<Result<'rpc.discover'>> {
  const examples = examplesSchema.parse(JSON.parse(await readFile(examplesFile, 'utf8')));
  return openRpcDocument(version, examples) as unknown as Result<'rpc.discover'>;
}

/** The document for this version of the software; the same object each time. */
export function discover(version: string): Promise<Result<'rpc.discover'>> {
  let document = made.get(version);
  if (document === undefined) {
    document = make(version);
    made.set(version, document);
    // What could not be read may be there the next time.
    document.catch(() => made.delete(version));
  }
  return document;
}
