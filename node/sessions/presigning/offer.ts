// Which presignatures a leader names in its PROPOSE: up to four sets that could sign at once, each with one for every item.
import type { Hex } from '../../../protocol/hex.ts';
import { setName } from '../attempt.ts';
import { type ListedSet, maxListedSets, maxPooledItems } from '../wire.ts';
import type { PooledPresignature } from './pool.ts';

export interface OfferOptions {
  /** What this party owns. */
  readonly own: readonly PooledPresignature[];
  /** The root key of each item. */
  readonly roots: readonly Hex[];
  /** All parties, those preferred first. */
  readonly order: readonly string[];
  /** Whether a party is here and may be presigned with. */
  readonly isReady: (party: string) => boolean;
  /** Names of sets that failed with nobody to name. */
  readonly failedSets: ReadonlySet<string>;
}

/** The sets whose presignatures suffice for every item, those of preferred parties first; none for more than four items. */
export function offeredSets({ own, roots, order, isReady, failedSets }: OfferOptions): ListedSet[] {
  if (roots.length > maxPooledItems) return [];
  const bySet = new Map<string, PooledPresignature[]>();
  for (const pooled of own) {
    const name = setName(pooled.members);
    if (failedSets.has(name) || !pooled.members.every(isReady)) continue;
    bySet.set(name, [...(bySet.get(name) ?? []), pooled]);
  }
  const cost = ({ members }: PooledPresignature): number =>
    members.reduce((sum, party) => sum + order.indexOf(party), 0);
  return [...bySet.values()]
    .toSorted(([a], [b]) => cost(a!) - cost(b!))
    .flatMap((pooled) => {
      const chosen = oneEach(pooled, roots);
      const first = pooled[0]!.presignature;
      return chosen ? [{ members: [...first.set], presignatures: chosen }] : [];
    })
    .slice(0, maxListedSets);
}

/** The id of a different presignature of its root key for every item; undefined when there are too few. */
function oneEach(pooled: readonly PooledPresignature[], roots: readonly Hex[]): Uint8Array[] | undefined {
  const left = [...pooled];
  const chosen: Uint8Array[] = [];
  for (const root of roots) {
    const place = left.findIndex(({ keyId }) => keyId === root);
    const [taken] = place < 0 ? [] : left.splice(place, 1);
    if (taken === undefined) return undefined;
    chosen.push(taken.presignature.id.slice());
  }
  return chosen;
}
