// Every place in the code that logs an event: its name, and the fields that stand there. Read from the sources' text, with
// just enough of a scanner for strings, templates and brackets.
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

export interface LogCall {
  /** Relative to the repository. */
  readonly file: string;
  readonly line: number;
  readonly event: string;
  readonly fields: readonly string[];
  /** Further fields may come from a spread or a variable. */
  readonly open: boolean;
  /** `level: '...'` among the fields. */
  readonly level: string | undefined;
}

/** A call whose event is no literal. */
export interface Indirect {
  readonly file: string;
  readonly line: number;
  readonly expression: string;
}

/** Where log lines come from: folder or file, and the process that writes them. */
export const sources: readonly (readonly [path: string, process: string])[] = [
  ['coordinator', 'coordinator'],
  ['connector', 'connector'],
  ['node', 'node'],
  ['metrics', 'all'],
  ['cli/daemon.ts', 'all'],
];

/** `log(`, the peer log's `write(party, ` and the clock watch's `#turn(clock, differs, `: what comes before the event. */
const calls = [/(?<![\w])#?log\(/g, /\bpeerLog\.write\(\s*\w+,/g, /this\.#turn\(\s*\w+,\s*[^,]+,/g];

function filesUnder(path: string): string[] {
  const full = join(root, path);
  if (path.endsWith('.ts')) return [full];
  return readdirSync(full, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(full, name));
}

const pairs: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

/** The end of a string or template that begins at `start`. */
function endOfText(code: string, start: number): number {
  const quote = code[start];
  for (let index = start + 1; index < code.length; index += 1) {
    if (code[index] === '\\') index += 1;
    else if (code[index] === quote) return index;
    else if (quote === '`' && code.startsWith('${', index)) index = endOfBracket(code, index + 1);
  }
  throw new Error(`an unfinished text: ${code.slice(start, start + 40)}`);
}

function endOfBracket(code: string, start: number): number {
  const close = pairs[code[start] ?? ''];
  for (let index = start + 1; index < code.length; index += 1) {
    const character = code[index] ?? '';
    if (character === close) return index;
    if (pairs[character]) index = endOfBracket(code, index);
    else if (`'"\``.includes(character)) index = endOfText(code, index);
  }
  throw new Error(`an unclosed ${code[start]}: ${code.slice(start, start + 40)}`);
}

/** What stands between commas, from just after an opening bracket to its closing one. */
function partsFrom(code: string, start: number): string[] {
  const parts: string[] = [];
  let begin = start;
  for (let index = start; index < code.length; index += 1) {
    const character = code[index] ?? '';
    if (')]}'.includes(character) || character === ',') {
      parts.push(code.slice(begin, index).trim());
      begin = index + 1;
      if (character !== ',') return parts.filter((part) => part !== '');
    } else if (pairs[character]) index = endOfBracket(code, index);
    else if (`'"\``.includes(character)) index = endOfText(code, index);
  }
  throw new Error('an unclosed call');
}

/** Comments blanked out, so that their apostrophes are no strings; lines stay where they are. */
function withoutComments(code: string): string {
  return code.replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|[\s;,{(])\/\/[^\n]*/g, (comment) =>
    comment.replaceAll(/[^\n]/g, ' '),
  );
}

/** Names of an object literal's fields; `open` when there is more in it, or it is none. */
function fieldsOf(text: string | undefined): Pick<LogCall, 'fields' | 'open' | 'level'> {
  if (text === undefined || !text.startsWith('{'))
    return { fields: [], open: text !== undefined, level: undefined };
  const parts = partsFrom(text, 1);
  const level = /^level: '(\w+)'$/.exec(parts.find((part) => part.startsWith('level:')) ?? '')?.[1];
  const fields = parts
    .filter((part) => !part.startsWith('...'))
    .map((part) => /^\w+/.exec(part)?.[0] ?? part);
  return { fields, open: parts.some((part) => part.startsWith('...')), level };
}

const eventName = /'([a-z]+(?:[._][a-z]+)+)'/g;

/** The calls of one source text; exported so that a test can show what the scanner sees. */
export function callsIn(text: string, file: string): { calls: LogCall[]; indirect: Indirect[] } {
  const code = withoutComments(text);
  const found: LogCall[] = [];
  const indirect: Indirect[] = [];
  for (const pattern of calls) {
    for (const match of code.matchAll(pattern)) {
      if (code.slice(0, match.index).endsWith('Math.')) continue;
      const [first = '', second] = partsFrom(code, match.index + match[0].length);
      const line = code.slice(0, match.index).split('\n').length;
      const events = [...first.matchAll(eventName)].map(([, event = '']) => event);
      const isLiteral =
        events.length > 0 && first.replaceAll(eventName, '').replaceAll(/[\w?:\s]/g, '') === '';
      if (!isLiteral) indirect.push({ file, line, expression: first });
      else for (const event of events) found.push({ file, line, event, ...fieldsOf(second) });
    }
  }
  return { calls: found, indirect };
}

/** Every call in the code, with the process that it is of. */
export function logCalls(): { calls: (LogCall & { readonly process: string })[]; indirect: Indirect[] } {
  const found: (LogCall & { process: string })[] = [];
  const indirect: Indirect[] = [];
  for (const [path, process] of sources) {
    for (const file of filesUnder(path)) {
      const inFile = callsIn(readFileSync(file, 'utf8'), relative(root, file));
      found.push(...inFile.calls.map((call) => ({ ...call, process })));
      indirect.push(...inFile.indirect);
    }
  }
  return { calls: found, indirect };
}
