// Text from a payload for a terminal: everything a terminal would act on, hide or reorder (control, format and ignorable
// characters, line separators) written as `\u{...}`, and backslashes doubled so that no text can imitate that.

function escaped(text: string): string {
  return text.replace(/[\\\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu, (character) =>
    character === '\\' ? '\\\\' : `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}

/** The lines of a text. */
export function printableLines(text: string): string[] {
  return text.split('\n').map(escaped);
}

/** A text in quotes on one line, line feeds and quotes escaped too. */
export function printableQuoted(text: string): string {
  return `"${escaped(text).replaceAll('"', '\\"')}"`;
}
