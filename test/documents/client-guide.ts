// Fills docs/client.md from the program that it shows: each block named after a region of test/documents/client-example.ts.
import { readFile } from 'node:fs/promises';
import { format } from 'prettier';

const style = { printWidth: 110, singleQuote: true, trailingComma: 'all' } as const;

/** The lines of a region, as far to the left as they go. */
function region(program: string, name: string): string {
  const body = new RegExp(`// #region ${name}\\n([^]*?)\\n *// #endregion`).exec(program)?.[1];
  if (body === undefined) throw new TypeError(`there is no region ${name}`);
  const lines = body.split('\n');
  const indent = Math.min(...lines.filter((line) => line.trim() !== '').map((line) => line.search(/\S/)));
  return lines.map((line) => line.slice(indent)).join('\n');
}

/** What the program imports, as one who has installed the package writes it. */
function imports(program: string): string {
  const found = /^import \{[^}]*\} from '\.\.\/\.\.\/client\/mod\.ts';$/m.exec(program);
  if (found === null) throw new TypeError('the program imports nothing');
  return found[0].replace('../../client/mod.ts', 'countersign/client');
}

/** docs/client.md, with every block as the program has it, and how many there are. */
export async function clientGuide(): Promise<{
  readonly file: URL;
  readonly text: string;
  readonly blocks: number;
}> {
  const file = new URL('../../docs/client.md', import.meta.url);
  const document = await readFile(file, 'utf8');
  const program = await readFile(new URL('client-example.ts', import.meta.url), 'utf8');
  let blocks = 0;
  const filled = document.replaceAll(/^```ts (\w+)\n[^]*?^```$/gm, (_, name: string) => {
    blocks += 1;
    const text = name === 'imports' ? imports(program) : region(program, name);
    return `\`\`\`ts ${name}\n${text}\n\`\`\``;
  });
  return { file, text: await format(filled, { ...style, parser: 'markdown' }), blocks };
}
