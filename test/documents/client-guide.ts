// Fills documents from the programs that they show: docs/client.md, docs/webhooks.md and docs/credentials.md; each block is named
// after a region of one.
import { readFile } from 'node:fs/promises';
import { format } from 'prettier';

const style = { printWidth: 110, singleQuote: true, trailingComma: 'all' } as const;

/** What a program imports, as one who has installed the package writes it. */
const installed = (text: string): string => text.replace("'../../client/mod.ts'", "'countersign/client'");

/** The lines of a region, as far to the left as they go. */
function region(program: string, name: string): string {
  const body = new RegExp(`// #region ${name}\\n([^]*?)\\n *// #endregion`).exec(program)?.[1];
  if (body === undefined) throw new TypeError(`there is no region ${name}`);
  const lines = body.split('\n');
  const indent = Math.min(...lines.filter((line) => line.trim() !== '').map((line) => line.search(/\S/)));
  return installed(lines.map((line) => line.slice(indent)).join('\n'));
}

function imports(program: string): string {
  const found = /^import \{[^}]*\} from '\.\.\/\.\.\/client\/mod\.ts';$/m.exec(program);
  if (found === null) throw new TypeError('the program imports nothing');
  return installed(found[0]);
}

export interface Guide {
  readonly file: URL;
  /** The document, with every block as the program has it. */
  readonly text: string;
  /** How many blocks there are. */
  readonly blocks: number;
}

async function guide(name: string, source: string): Promise<Guide> {
  const file = new URL(`../../docs/${name}`, import.meta.url);
  const document = await readFile(file, 'utf8');
  const program = await readFile(new URL(source, import.meta.url), 'utf8');
  let blocks = 0;
  const filled = document.replaceAll(/^```ts (\w+)\n[^]*?^```$/gm, (_, block: string) => {
    blocks += 1;
    const text = block === 'imports' ? imports(program) : region(program, block);
    return `\`\`\`ts ${block}\n${text}\n\`\`\``;
  });
  return { file, text: await format(filled, { ...style, parser: 'markdown' }), blocks };
}

export const clientGuide = (): Promise<Guide> => guide('client.md', 'client-example.ts');
export const webhookGuide = (): Promise<Guide> => guide('webhooks.md', 'webhook-receiver.ts');
export const credentialsGuide = (): Promise<Guide> => guide('credentials.md', 'credentials-example.ts');
