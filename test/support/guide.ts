// A guide that a test follows as its readers do: blocks of commands for people in roles, values that they fill in, and
// files that they hand to each other, in the order in which they are written.

export type Step =
  /** Commands of everybody in a role. */
  | { readonly kind: 'run'; readonly role: string; readonly script: string }
  /** Names of values that everybody in a role sets. */
  | { readonly kind: 'set'; readonly role: string; readonly names: readonly string[] }
  /** `file` of everybody in role `from` goes to everybody in role `to`, under the name `as`. */
  | {
      readonly kind: 'send';
      readonly from: string;
      readonly file: string;
      readonly to: string;
      readonly as: string;
    };

const fence = /^```(sh|settings) (\w+)\n([\s\S]*?)^```$/gm;
const send = /^Send `([^`]+)` of (?:every|the) (\w+) to (?:every|the) (\w+), as `([^`]+)`\.$/gm;

/** The steps of a part of a Markdown document. Throws when something that looks like one cannot be read. */
export function stepsOf(text: string): Step[] {
  const found: (readonly [number, Step])[] = [];
  for (const { index, 1: language, 2: role = '', 3: body = '' } of text.matchAll(fence)) {
    if (language === 'sh') found.push([index, { kind: 'run', role, script: body }]);
    else {
      const names = body
        .trim()
        .split('\n')
        .map((line) => {
          const name = /^([A-Z]+)=\S/.exec(line)?.[1];
          if (name === undefined) throw new Error(`not a setting: ${line}`);
          return name;
        });
      found.push([index, { kind: 'set', role, names }]);
    }
  }
  for (const { index, 1: file = '', 2: from = '', 3: to = '', 4: as = '' } of text.matchAll(send)) {
    found.push([index, { kind: 'send', from, file, to, as }]);
  }
  const unread = text
    .replaceAll(fence, '')
    .replaceAll(send, '')
    .split('\n')
    .find((line) => line.startsWith('```') || line.startsWith('Send '));
  if (unread !== undefined) throw new Error(`neither a block nor a file to hand on: ${unread}`);
  return found.toSorted(([one], [other]) => one - other).map(([, step]) => step);
}

/** The part of a document under a heading of the second level. */
export function section(text: string, heading: string): string {
  const start = text.indexOf(`\n## ${heading}\n`);
  if (start < 0) throw new Error(`no section ${heading}`);
  const end = text.indexOf('\n## ', start + 1);
  return text.slice(start, end < 0 ? undefined : end);
}
