// What a decision is about, in lines that stand in the decision itself: whoever signs it with a wallet is shown them, and
// every verifier that has the request or the change makes them again from its bytes. Printable ASCII only: no text in what is
// decided on can hide, reorder or imitate a line. What was signed is made again by later versions too, so the wording of
// these lines, and of what they are made of, never changes.
import { sha256 } from '@noble/hashes/sha2.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import * as z from 'zod';
import { type Hex, toHex } from '../hex.ts';
import { asciiOnly, asciiText } from '../payloads/printable-text.ts';
import { RecordError, type ShownType } from './envelope.ts';

/** How many lines, of how many characters, and how many characters in all. */
export const mostAbout = { lines: 160, length: 240, characters: 20 * 1024 } as const;

export const aboutSchema = z
  .array(
    z
      .string()
      .min(1)
      .max(mostAbout.length)
      .regex(/^[\x20-\x7e]*$/, 'printable ASCII on one line'),
  )
  .min(1)
  .max(mostAbout.lines)
  .refine(
    (lines) => charactersOf(lines) <= mostAbout.characters,
    `more than ${mostAbout.characters} characters`,
  );

/** What begins a line that goes on with the one before. */
const goesOn = '... ';
/** Room for the last line of what is cut short. */
const closingLength = 160;

function charactersOf(lines: readonly string[]): number {
  return lines.reduce((sum, line) => sum + line.length, 0);
}

/** Texts as lines of at most `length` characters. A long one goes on in further lines, marked as such. */
function plain(texts: readonly string[], length: number): string[] {
  const rest = length - goesOn.length;
  return texts.map(asciiOnly).flatMap((text) => {
    const lines = [text.slice(0, length)];
    for (let at = length; at < text.length; at += rest) lines.push(goesOn + text.slice(at, at + rest));
    return lines;
  });
}

/**
 * Texts as plain lines, as many of the first as fit; the last line then says how many are not shown, and the hash of all of
 * them, each before a line feed but the last: whoever reads them elsewhere can tell that they are these.
 */
export function shortened(
  texts: readonly string[],
  most: { readonly lines: number; readonly length: number; readonly characters: number },
): readonly string[] {
  const all = plain(texts, most.length);
  if (all.length <= most.lines && charactersOf(all) <= most.characters) return all;
  const shown: string[] = [];
  let room = most.characters - closingLength;
  for (const line of all) {
    room -= line.length;
    if (room < 0 || shown.length === most.lines - 1) break;
    shown.push(line);
  }
  const hash = toHex(sha256(utf8ToBytes(all.join('\n'))));
  const missing = all.length - shown.length;
  return [...shown, `AND ${missing} MORE LINES, NOT SHOWN HERE. SHA-256 of all ${all.length}: ${hash}`];
}

const made = new WeakMap<object, readonly string[]>();

/**
 * What a decision on this record is about: what a wallet would be shown of the record itself, what is one line first. A function
 * of the record's content alone; made once for each.
 */
export function aboutOf<Content extends { networkId: string }>(
  kind: ShownType<Content>,
  content: Content,
): readonly string[] {
  const known = made.get(content);
  if (known !== undefined) return known;
  const { action, ...fields } = kind.readable(content);
  const shown = Object.entries(fields).toSorted(([, one], [, other]) => rank(one) - rank(other));
  const lines = shown.flatMap(([name, value]) =>
    // Lists are of words of our own, or escaped where they are made.
    typeof value === 'string' ? [`${name}: ${asciiText(value)}`] : value.map((line) => `${name}: ${line}`),
  );
  const about = shortened([action as string, ...lines], mostAbout);
  made.set(content, about);
  return about;
}

/** Lists come last: however long they are, they push nothing else out. */
function rank(value: string | readonly string[]): number {
  return typeof value === 'string' ? 0 : 1;
}

/** What is decided on: the record's id, and what it is about (`aboutOf`), which is made when a decision says it. */
export interface Subject {
  readonly id: Hex;
  readonly about: () => readonly string[];
}

/** Throws RecordError `wrong_about` unless what a decision says of its subject is what that is; with `mustSay`, it says it. */
export function checkAbout(subject: Subject, said: readonly string[] | undefined, mustSay: boolean): void {
  const fail = (message: string): never => {
    throw new RecordError('wrong_about', 'decision', message);
  };
  if (said === undefined) {
    if (mustSay)
      fail('a wallet approved, and was not shown what: make the decision from the request or the change');
    return;
  }
  const expected = subject.about();
  if (said.length === expected.length && said.every((line, index) => line === expected[index])) return;
  fail(`says something else of ${subject.id} than that does: do not trust what made it, and decide anew`);
}
