// Every way in which one field of a record can be other than it was: each leaf, element and key changed, removed, added,
// exchanged for another valid value, or of another type. What becomes of each is the business of whoever reads it.

export type How = 'changed' | 'removed' | 'added' | 'swapped' | 'reordered' | 'wrong type';

export interface Alteration {
  /** Like `owners.0.credentials.0`. */
  readonly path: string;
  readonly how: How;
  readonly content: unknown;
}

type Path = readonly (string | number)[];

/** Other valid values for what stands at a path. */
export type Swaps = (path: string, value: unknown) => readonly unknown[];

/** A copy of `root` with what `work` makes of the thing at `path`. */
function at(root: unknown, path: Path, work: (value: unknown) => unknown): unknown {
  const [first, ...rest] = path;
  if (first === undefined) return work(root);
  if (Array.isArray(root)) {
    return root.map((each: unknown, index) => (index === first ? at(each, rest, work) : each));
  }
  const object = root as Record<string, unknown>;
  return { ...object, [first]: at(object[first], rest, work) };
}

/** The same kind of thing, with one character or unit another. */
export function changed(value: unknown): unknown {
  if (typeof value === 'number') return value + 1;
  if (typeof value === 'boolean') return !value;
  const text = value as string;
  if (/^\d{4}-\d\d-\d\dT.*Z$/.test(text)) return new Date(Date.parse(text) + 1).toISOString();
  const last = text.at(-1);
  if (last === undefined) return 'x';
  // Hex stays hex, a name stays a name.
  const next = { f: '0', 9: 'a', z: 'a' }[last] ?? String.fromCharCode(last.charCodeAt(0) + 1);
  return text.slice(0, -1) + next;
}

function otherType(value: unknown): unknown {
  if (Array.isArray(value)) return { 0: 'x' };
  if (typeof value === 'object') return ['x'];
  return typeof value === 'string' ? 7 : JSON.stringify(value);
}

function alter(root: unknown, path: Path, value: unknown, swaps: Swaps): Alteration[] {
  const name = path.join('.');
  const made: Alteration[] = [];
  const add = (how: How, content: unknown): void => void made.push({ path: name, how, content });
  const put = (how: How, next: unknown): void =>
    add(
      how,
      at(root, path, () => next),
    );
  if (typeof value !== 'object') put('changed', changed(value));
  for (const other of swaps(name, value)) put('swapped', other);
  if (path.length > 0) {
    put('wrong type', otherType(value));
    const last = path.at(-1)!;
    const without = (parent: unknown): unknown =>
      Array.isArray(parent)
        ? parent.filter((_, index) => index !== last)
        : Object.fromEntries(Object.entries(parent as object).filter(([key]) => key !== last));
    add('removed', at(root, path.slice(0, -1), without));
  }
  if (Array.isArray(value)) {
    put('added', [...(value as unknown[]), value.at(-1) ?? 'x']);
    if (value.length > 1) put('reordered', value.toReversed());
  } else if (typeof value === 'object') put('added', { ...value, extra: 'x' });
  return made;
}

/** All alterations of a record's content, each of one field; none leaves it as it was. */
export function alterationsOf(content: unknown, swaps: Swaps = () => []): readonly Alteration[] {
  const same = JSON.stringify(content);
  const walk = (value: unknown, path: Path): Alteration[] => [
    ...alter(content, path, value, swaps),
    ...(typeof value === 'object' && value !== null
      ? Object.entries(value).flatMap(([key, each]) =>
          walk(each, [...path, Array.isArray(value) ? Number(key) : key]),
        )
      : []),
  ];
  return walk(content, []).filter((alteration) => JSON.stringify(alteration.content) !== same);
}

/** How many fields, keys and elements a content has. */
export function fieldsOf(content: unknown): number {
  if (typeof content !== 'object' || content === null) return 1;
  return Object.values(content).reduce<number>((sum, each) => sum + fieldsOf(each), 1);
}
