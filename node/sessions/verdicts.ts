// Verdicts of this node on evidence it holds, remembered as long as they must be the same: the signatures in evidence that
// has not changed are not verified again for every message about it.
import {
  type Authorisation,
  type Evidence,
  reconsider,
  type Trust,
  type Verdict,
  verdictHoldsUntil,
} from '../../protocol/authorize.ts';

interface Judged {
  readonly verdict: Verdict;
  /** The clock at which it was given. */
  readonly at: number;
  readonly until: number;
}

export class Verdicts {
  /** By the evidence itself, which is never changed in place; forgotten with it. */
  readonly #judged = new WeakMap<Evidence, Judged>();

  /** As `reconsider`. The trust of one instance differs in its time only. */
  judge(authorisation: Authorisation, evidence: Evidence, trust: Trust): Verdict {
    const known = this.#judged.get(evidence);
    if (known !== undefined && trust.now >= known.at && trust.now < known.until) return known.verdict;
    const verdict = reconsider(authorisation, evidence, trust);
    this.#judged.set(evidence, {
      verdict,
      at: trust.now,
      until: verdictHoldsUntil(evidence, verdict, trust),
    });
    return verdict;
  }
}
