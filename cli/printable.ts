// Text from elsewhere on a terminal: names, labels and a coordinator's words may hold escape sequences that move the
// cursor, recolour, reorder or hide what a person is about to approve.

/** Everything a terminal would act on, hide or reorder: control and format characters, line separators, lone surrogates. */
const unsafe = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

function escape(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}

/** The text on one line, with unsafe characters written as `\u{...}`. */
export function printable(text: string): string {
  return text.replace(unsafe, escape);
}

/** The text on one line, with white space of any kind as single spaces. */
export function printableLine(text: string): string {
  return printable(text.replace(/\s+/gu, ' ').trim());
}

/** JSON that means the same and is as safe to print: JSON.stringify leaves some unsafe characters as they are. */
export function printableJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, undefined, indent).replace(unsafe, (character) =>
    character === '\n' && indent !== undefined
      ? character
      : [...Array(character.length).keys()]
          .map((index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`)
          .join(''),
  );
}
