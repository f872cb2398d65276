// What requests have taken from the limits of their workspaces, as far as this node knows: written in one batch with the
// mark that the request was started, or with its result.
import * as z from 'zod';
import type { Debit } from '../../protocol/policy/plan.ts';
import { longestWindow } from '../../protocol/policy/schema.ts';
import { recordIdSchema } from '../../protocol/records/fields.ts';
import type { Change, Journal, Kind } from './journal.ts';

/** The debits of one request; `at` in milliseconds since 1970. */
export interface Debits {
  readonly requestId: string;
  readonly workspaceId: string;
  readonly at: number;
  readonly debits: readonly Debit[];
  /** That it was signed is known: what is heard of it again changes nothing. */
  readonly signed?: true | undefined;
  /** A hash of what each item signs, and by which key; missing where an earlier version wrote it. */
  readonly messages?: readonly string[] | undefined;
}

const amountSchema = z.string().regex(/^(0|[1-9][0-9]{0,77})$/);

interface StoredDebits extends Omit<Debits, 'debits'> {
  readonly debits: readonly (Omit<Debit, 'amount'> & { readonly amount: string })[];
}

const debitKind: Kind<StoredDebits> = {
  name: 'debit',
  schema: z.strictObject({
    requestId: recordIdSchema,
    workspaceId: recordIdSchema,
    at: z.int().min(0),
    debits: z
      .array(
        z.strictObject({
          keyId: recordIdSchema,
          chain: z.string(),
          address: z.string(),
          amount: amountSchema,
          transaction: z.string().exactOptional(),
        }),
      )
      .readonly(),
    signed: z.literal(true).optional(),
    messages: z.array(z.string().length(64)).readonly().optional(),
  }),
};
/** When debits may have been forgotten last. */
const forgottenKind: Kind<{ readonly at: number }> = {
  name: 'forgotten',
  schema: z.strictObject({ at: z.int().min(0) }),
};
const only = 'this';

/** As part of a change. A request that was debited before is debited from now on instead: it is never counted twice. */
export function putDebits(change: Change, { requestId, debits, ...when }: Debits): void {
  if (debits.length === 0) return;
  const stored = debits.map((debit) => ({ ...debit, amount: String(debit.amount) }));
  change.put(debitKind, requestId, { requestId, ...when, debits: stored });
}

/** As part of a change: debits made before `at`, in milliseconds since 1970, may be missing, as the folder is an old copy. */
export function putForgotten(change: Change, at: number): void {
  if (at > (change.get(forgottenKind, only)?.at ?? 0)) change.put(forgottenKind, only, { at });
}

export class LedgerRecords {
  readonly #journal: Journal;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** All that a limit may still count at `now`; what none counts any more is deleted. */
  async load(now: number): Promise<readonly Debits[]> {
    const all = await this.#journal.list(debitKind);
    const old = all.filter(({ at }) => at <= now - longestWindow);
    if (old.length > 0)
      await this.forget(
        old.map(({ requestId }) => requestId),
        now,
      );
    return all
      .filter(({ at }) => at > now - longestWindow)
      .map(({ debits, ...when }) => ({
        ...when,
        debits: debits.map((debit) => ({ ...debit, amount: BigInt(debit.amount) })),
      }));
  }

  /** Of a request that this node has not signed itself, and may not have at all. */
  async note(debits: Debits): Promise<void> {
    await this.#journal.change('debits.noted', (change) => putDebits(change, debits));
  }

  /** Deletes debits of these requests that no limit counts any more at `now`. */
  async forget(requestIds: readonly string[], now: number): Promise<void> {
    await this.#journal.change('debits.pruned', (change) => {
      for (const requestId of requestIds) {
        const held = change.get(debitKind, requestId);
        if (held !== undefined && held.at <= now - longestWindow) change.del(debitKind, requestId);
      }
    });
  }

  async forgotten(): Promise<number | undefined> {
    return (await this.#journal.get(forgottenKind, only))?.at;
  }
}
