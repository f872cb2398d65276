// What was taken from the limits of workspaces, as this node knows it: by requests that it started, or whose signatures it
// saw. Durable before anything leaves; here, in memory, as far back as the longest window.
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import type { Authorisation } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { Ledger, LedgerEntry } from '../../protocol/policy/judge.ts';
import { sameAsset } from '../../protocol/policy/match.ts';
import type { PlannedLimit } from '../../protocol/policy/plan.ts';
import { longestWindow } from '../../protocol/policy/schema.ts';
import type { Debits } from '../store/ledger.ts';
import type { SessionStore } from './context.ts';

/** Requests whose debits nobody counts any more are deleted so many at a time. */
const pruneCount = 100;

function limitsOf({ plan }: Authorisation): readonly PlannedLimit[] {
  return plan.items.flatMap(({ rules }) => rules.flatMap(({ limit }) => (limit ? [limit] : [])));
}

/** What a request has signed by which key: one hash an item. */
function messagesOf({ items }: Authorisation): readonly string[] {
  return items.map(({ key, payload }) =>
    bytesToHex(sha256(concatBytes(utf8ToBytes(key.id), payload.message))),
  );
}

export class Spent {
  readonly #store: SessionStore;
  /** By workspace, then by request. */
  readonly #debits = new Map<Hex, Map<string, Debits>>();
  readonly #versions = new Map<Hex, number>();
  #forgotten: number | undefined;

  constructor(store: SessionStore) {
    this.#store = store;
  }

  /** Takes up what the journal holds; before anything is judged. */
  async open(now: number): Promise<void> {
    this.#forgotten = await this.#store.debitsForgotten();
    for (const debits of await this.#store.debits(now)) this.note(debits);
  }

  /** When debits may have been forgotten last, in milliseconds since 1970. */
  get forgotten(): number | undefined {
    return this.#forgotten;
  }

  /** Another one whenever `view` may be, other than by time. */
  version(authorisation: Authorisation): string {
    if (limitsOf(authorisation).length === 0) return '';
    return `${this.#versions.get(authorisation.workspace.id) ?? 0}/${this.#forgotten ?? 0}`;
  }

  /** What the limits that this may be held to can see. */
  view(authorisation: Authorisation): Ledger {
    const { workspace } = authorisation;
    const limits = limitsOf(authorisation);
    if (limits.length === 0) return { entries: [] };
    const longest = Math.max(...limits.map(({ perMs }) => perMs));
    const entries = [...(this.#debits.get(workspace.id)?.values() ?? [])].flatMap(
      ({ requestId, at, debits }) =>
        debits
          .filter((debit) => limits.some((limit) => sameAsset(debit, limit)))
          .map((debit): LedgerEntry => ({ ...debit, requestId: requestId as Hex, at })),
    );
    return {
      entries,
      ...(this.#forgotten !== undefined && { usedUpUntil: this.#forgotten + longest }),
    };
  }

  /** What a request takes when it starts at `at`; undefined when it takes nothing, or is known to be signed and counts so. */
  debitsOf(authorisation: Authorisation, at: number): Debits | undefined {
    const { requestId, workspace, plan } = authorisation;
    if (plan.debits.length === 0 || this.#debits.get(workspace.id)?.get(requestId)?.signed) return undefined;
    return {
      requestId,
      workspaceId: workspace.id,
      at,
      debits: plan.debits,
      messages: messagesOf(authorisation),
    };
  }

  /**
   * What a request takes that is seen signed at `now`: from then on, or from its end, after which nobody signs it. Undefined
   * when that counts already, whoever tells of it again, or counts no more.
   */
  signedBy(authorisation: Authorisation, now: number): Debits | undefined {
    const at = Math.min(now, authorisation.expires);
    const debits = at > now - longestWindow ? this.debitsOf(authorisation, at) : undefined;
    return debits && { ...debits, signed: true };
  }

  /**
   * As `signedBy`, of what others report. Undefined also when all that was signed counts already by other requests: a signature
   * of the same message may be the one that was made for those.
   */
  reportedBy(authorisation: Authorisation, now: number): Debits | undefined {
    const { requestId, workspace } = authorisation;
    const counted = new Set(
      [...(this.#debits.get(workspace.id)?.values() ?? [])].flatMap((debits) =>
        debits.requestId === requestId ? [] : (debits.messages ?? []),
      ),
    );
    const isNew = messagesOf(authorisation).some((message) => !counted.has(message));
    return isNew ? this.signedBy(authorisation, now) : undefined;
  }

  /** Counts debits from their time on, those of an earlier start of the same request no more. */
  note(debits: Debits): void {
    const workspaceId = debits.workspaceId as Hex;
    const own = this.#debits.get(workspaceId) ?? new Map<string, Debits>();
    own.set(debits.requestId, debits);
    this.#debits.set(workspaceId, own);
    this.#versions.set(workspaceId, (this.#versions.get(workspaceId) ?? 0) + 1);
  }

  /** Deletes what no limit counts any more, now and then. */
  async prune(workspaceId: Hex, now: number): Promise<void> {
    const own = this.#debits.get(workspaceId);
    if (own === undefined) return;
    const old = [...own.values()].filter(({ at }) => at <= now - longestWindow);
    if (old.length < pruneCount) return;
    await this.#store.forgetDebits(
      old.map(({ requestId }) => requestId),
      now,
    );
    // Unless they were counted anew meanwhile.
    for (const debits of old) if (own.get(debits.requestId) === debits) own.delete(debits.requestId);
  }
}
