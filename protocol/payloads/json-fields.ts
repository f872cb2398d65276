// Whether an object in JSON text has a field twice: JSON.parse takes the last one without a word, other readers the first.

/** Of text that JSON.parse takes. */
export function hasFieldTwice(text: string): boolean {
  /** Fields of the objects that are open, innermost last; undefined for an array. */
  const open: (Set<string> | undefined)[] = [];
  let isName = false;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],]/g)) {
    const names = open.at(-1);
    if (token === '{') open.push(new Set());
    else if (token === '[') open.push(undefined);
    else if (token === '}' || token === ']') open.pop();
    else if (token !== ',' && isName && names !== undefined) {
      const name = JSON.parse(token) as string;
      if (names.has(name)) return true;
      names.add(name);
    }
    // A string is a name where an object begins, or goes on after a comma.
    isName = token === '{' || (token === ',' && open.at(-1) !== undefined);
  }
  return false;
}
