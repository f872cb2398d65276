// What requests took from the limits of their workspaces: one entry for each request that may have been signed. It tells
// approvers early what nodes will say later; each node goes by its own.
import type { Hex } from '../protocol/hex.ts';
import type { Ledger, LedgerEntry } from '../protocol/policy/judge.ts';
import type { Debit } from '../protocol/policy/plan.ts';
import { longestWindow } from '../protocol/policy/schema.ts';
import { idOf, keys, sortable } from './index-keys.ts';
import type { JsonValue, Store } from './store/store.ts';

const pageSize = 1000;
/** Entries that nobody counts any more of which one commit gets rid. */
const mostForgotten = 20;

type StoredDebit = Omit<Debit, 'amount'> & { readonly amount: string };

/** Debits as they are stored. */
export function storedDebits(debits: readonly Debit[]): JsonValue {
  return debits.map((debit) => ({ ...debit, amount: String(debit.amount) }));
}

/** What was taken in the `windowMs` milliseconds before `now`. */
export async function readLedger(
  store: Pick<Store, 'scan'>,
  workspaceId: Hex,
  windowMs: number,
  now: number,
): Promise<Ledger> {
  const prefix = `debit/${workspaceId}/`;
  const entries: LedgerEntry[] = [];
  let after: string | undefined = prefix + sortable(Math.max(0, now - windowMs));
  while (after !== undefined) {
    const page = await store.scan(prefix, after, pageSize);
    for (const { key, value } of page) {
      const at = Number(key.slice(prefix.length, key.lastIndexOf('/')));
      for (const debit of value as unknown as readonly StoredDebit[])
        entries.push({ ...debit, amount: BigInt(debit.amount), requestId: idOf(key), at });
    }
    after = page.length < pageSize ? undefined : page.at(-1)!.key;
  }
  return { entries };
}

/** Keys of the oldest debits that no limit can count any more at `now`. */
export async function pastDebits(
  store: Pick<Store, 'scan'>,
  workspaceId: Hex,
  now: number,
): Promise<readonly string[]> {
  const page = await store.scan(`debit/${workspaceId}/`, undefined, mostForgotten);
  const oldest = keys.debit(workspaceId, Math.max(0, now - longestWindow), '' as Hex);
  return page.map(({ key }) => key).filter((key) => key < oldest);
}
