// What a person is shown of a record by the wallet that signs it: fields, each a text or a list of texts. Made from the
// record's content alone, so that a verifier makes the same; every type that owners sign says its own (`readable`).
import type { CanonicalValue } from './canonical.ts';

/**
 * Fields in the order in which they are shown. Names are letters and digits, beginning with a lower-case letter, and none is
 * `network` or `record`: those two end what is shown of every record.
 */
export type Readable = Readonly<Record<string, string | readonly string[]>>;

/**
 * Every value on a line of its own, with the path to it: `rules[0].id: spend`. Nothing is left out, and no words about it
 * can change from one version to the next.
 */
export function linesOf(value: CanonicalValue, path: string): string[] {
  if (Array.isArray(value)) {
    const items = value as readonly CanonicalValue[];
    return items.length === 0
      ? [`${path}: none`]
      : items.flatMap((item, index) => linesOf(item, `${path}[${index}]`));
  }
  if (typeof value !== 'object') return [`${path}: ${value as string | number | boolean}`];
  const fields = Object.entries(value as Readonly<Record<string, CanonicalValue | undefined>>);
  if (fields.length === 0) return [`${path}: nothing`];
  return fields
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .flatMap(([name, field]) =>
      field === undefined ? [] : linesOf(field, path === '' ? name : `${path}.${name}`),
    );
}

/**
 * A policy as it is shown: all of it, its rules and groups before its lists and assets. In those is who is paid, but they are
 * what may be long, and what does not fit is shown as a hash alone.
 */
export function readablePolicy(policy: object): readonly string[] {
  const { rules, groups, ...rest } = policy as Readonly<Record<string, CanonicalValue | undefined>>;
  return [{ rules }, { groups }, rest].flatMap((part) => linesOf(part, ''));
}

/** What is shown of a record whose type does not say how: its type, and all that is in it. */
export function readableContent(type: string, content: object): Readable {
  return { action: `Sign a ${type} record`, content: linesOf(content as CanonicalValue, '') };
}
