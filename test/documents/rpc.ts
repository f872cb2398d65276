// The generated parts of the RPC's documentation, as they must stand in the repository.
import { readFile } from 'node:fs/promises';
import { format } from 'prettier';
import { type Examples, openRpcDocument } from '../../protocol/openrpc/document.ts';
import { runExamples } from './rpc-examples.ts';
import { rpcMarkdown } from './rpc-markdown.ts';

const root = new URL('../../', import.meta.url);
const style = { printWidth: 110, singleQuote: true, trailingComma: 'all' } as const;

export interface Generated {
  readonly file: URL;
  readonly text: string;
}

/** Runs the examples and makes every generated file of them, in memory. */
export async function generateRpc(): Promise<{
  readonly examples: Examples;
  readonly files: readonly Generated[];
}> {
  const examples = await runExamples();
  const introduction = await readFile(new URL('rpc-introduction.md', import.meta.url), 'utf8');
  // The version is in no text.
  const markdown = rpcMarkdown(openRpcDocument('0.0.0', examples), examples, introduction);
  const files = [
    {
      file: new URL('protocol/openrpc/examples.json', root),
      text: await format(JSON.stringify(examples), { ...style, parser: 'json' }),
    },
    { file: new URL('docs/rpc.md', root), text: await format(markdown, { ...style, parser: 'markdown' }) },
  ];
  return { examples, files };
}
