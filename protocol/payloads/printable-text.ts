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

/**
 * Characters that are not printable ASCII written as `\u{...}`. Which characters are letters, and which way they run, is another
 * thing from one version of Unicode to the next: this is not.
 */
export function asciiOnly(text: string): string {
  return text.replace(/[^\x20-\x7e]/gu, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}

/** A text of foreign origin in printable ASCII, backslashes doubled, so that no text imitates what another was written as. */
export function asciiText(text: string): string {
  return asciiOnly(text.replaceAll('\\', '\\\\'));
}
