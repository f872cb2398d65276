// Ids as people give them: whole, or as a prefix that is unique among those the coordinator lists.
import type { Hex } from '../protocol/hex.ts';
import { recordIdSchema } from '../protocol/records/fields.ts';
import { CliError } from './errors.ts';

const mostPages = 200;
/** Items that a coordinator gives at once. */
const limit = 200;
/** Fewer digits match too easily by accident. */
const minDigits = 4;

/** All items of a list that comes in pages. Throws CliError `failed` when a coordinator's pages do not end. */
export async function allPages<Item>(
  fetchPage: (page: {
    readonly limit: number;
    readonly after?: string;
  }) => Promise<{ readonly items: readonly Item[]; readonly next?: string | undefined }>,
  maxPages = mostPages,
): Promise<Item[]> {
  const items: Item[] = [];
  let after: string | undefined;
  for (let page = 0; page < maxPages; page += 1) {
    const { items: more, next } = await fetchPage({ limit, ...(after !== undefined && { after }) });
    items.push(...more);
    if (next === undefined || next === after) return items;
    after = next;
  }
  throw new CliError('failed', `the coordinator's list has more than ${maxPages} pages`, 'give the whole id');
}

/** The id when the text is a whole one. */
export function wholeId(text: string): Hex | undefined {
  const parsed = recordIdSchema.safeParse(text);
  return parsed.success ? parsed.data : undefined;
}

/** A whole id from an argument. Throws CliError `usage`. */
export function requireId(text: string, what: string): Hex {
  const id = wholeId(text);
  if (id !== undefined) return id;
  throw new CliError(
    'usage',
    `${JSON.stringify(text)} is not the id of a ${what}`,
    'give all of it: 0x and 64 hex digits',
  );
}

/** Ids that begin with the text; none when it cannot be a prefix. */
export function withPrefix(text: string, ids: readonly Hex[]): Hex[] {
  const digits = text.replace(/^0x/, '');
  if (!/^[0-9a-f]*$/.test(digits) || digits.length < minDigits) return [];
  return [...new Set(ids)].filter((id) => id.startsWith(`0x${digits}`));
}

/** The one of `ids` that begins with the text. Throws CliError `usage` when none or several do. */
export function uniqueId(text: string, ids: readonly Hex[], what: string): Hex {
  const [found, ...others] = withPrefix(text, ids);
  if (found === undefined) {
    const label = what === 'key' ? 'its label as key list shows it, ' : '';
    const remedy = `give ${label}the id, or ${minDigits} or more of its first hex digits`;
    throw new CliError('usage', `there is no ${what} ${JSON.stringify(text)}`, remedy);
  }
  if (others.length === 0) return found;
  throw new CliError(
    'usage',
    `${others.length + 1} ${what}s begin with ${text}`,
    'give more digits of the id',
  );
}
