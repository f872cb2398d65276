// Taking a defence out of a source text.

/** How often `part` stands in `whole`, overlapping occurrences too: each would be another place to mutate. */
export function occurrences(whole: string, part: string): number {
  let count = 0;
  for (let at = whole.indexOf(part); at >= 0; at = whole.indexOf(part, at + 1)) count++;
  return count;
}

/** `source` with `text`, which occurs exactly once, replaced. Throws when it does not, or when nothing would change. */
export function mutate(source: string, text: string, replacement: string): string {
  const count = occurrences(source, text);
  if (count !== 1) throw new Error(`the text occurs ${count} times instead of once`);
  if (text === replacement) throw new Error('the replacement is the text itself');
  // A function, because a replacement string may hold "$&".
  return source.replace(text, () => replacement);
}
