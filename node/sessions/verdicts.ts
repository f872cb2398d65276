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
  /** Of what was taken from limits, as it was then. */
  readonly version: string;
  /** The clock at which it was given. */
  readonly at: number;
  readonly until: number;
}

export class Verdicts {
  /** By the evidence itself, which is never changed in place; forgotten with it. */
  readonly #judged = new WeakMap<Evidence, Judged>();

  /**
   * As `reconsider`, at `now`. The trust for one request differs in its time only, and in what was taken from limits: then
   * `version` is another one.
   */
  judge(
    authorisation: Authorisation,
    evidence: Evidence,
    now: number,
    version: string,
    makeTrust: () => Trust,
  ): Verdict {
    const known = this.#judged.get(evidence);
    if (known?.version === version && now >= known.at && now < known.until) return known.verdict;
    const trust = makeTrust();
    const verdict = reconsider(authorisation, evidence, trust);
    this.#judged.set(evidence, {
      verdict,
      version,
      at: trust.now,
      until: verdictHoldsUntil(authorisation, evidence, verdict, trust),
    });
    return verdict;
  }
}
