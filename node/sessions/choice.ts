// Which parties a leader takes: itself and, of those it may take, the ones it prefers, no two of whom will not work with
// each other. What parties say of each other is hostile, so the search is bounded: a party that is set against many must
// not hide the sets that there are without it.

/** Steps of one search: more than there may be sets that were tried before (job.ts), so that another one is found. */
const maxSteps = 4000;

export interface ChoiceOptions {
  readonly self: string;
  /** Other parties, preferred ones first. */
  readonly candidates: readonly string[];
  /** Of the set, with this party. */
  readonly size: number;
  /** Whether two parties will not work with each other; symmetric. */
  readonly areApart: (one: string, other: string) => boolean;
  /** A set to be taken only when there is no other. */
  readonly wasTried: (set: readonly string[]) => boolean;
}

/** Undefined when there is no set, or, with parties set against each other in many ways, none was found. */
export function chooseSet(options: ChoiceOptions): readonly string[] | undefined {
  const { candidates, areApart } = options;
  const found = search(options);
  if (found.set !== undefined || found.isComplete) return found.set ?? found.tried;
  // Those first that are apart from fewest: honest parties work with each other.
  const count = (party: string): number => candidates.filter((other) => areApart(party, other)).length;
  const counts = new Map(candidates.map((party) => [party, count(party)]));
  const peaceful = candidates.toSorted((a, b) => counts.get(a)! - counts.get(b)!);
  const again = search({ ...options, candidates: peaceful });
  return again.set ?? found.tried ?? again.tried;
}

interface Found {
  /** One that was not tried. */
  readonly set?: readonly string[] | undefined;
  readonly tried?: readonly string[] | undefined;
  /** Everything was looked at. */
  readonly isComplete: boolean;
}

function search({ self, candidates, size, areApart, wasTried }: ChoiceOptions): Found {
  let steps = 0;
  let tried: readonly string[] | undefined;
  const extend = (set: readonly string[], from: readonly string[]): readonly string[] | undefined => {
    if (set.length === size) {
      if (!wasTried(set)) return set;
      tried ??= set;
      return undefined;
    }
    for (const [at, party] of from.entries()) {
      if (from.length - at < size - set.length || ++steps > maxSteps) return undefined;
      const rest = from.slice(at + 1).filter((other) => !areApart(party, other));
      const found = extend([...set, party], rest);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  const set = extend(
    [self],
    candidates.filter((party) => !areApart(self, party)),
  );
  return { set, tried, isComplete: steps <= maxSteps };
}
