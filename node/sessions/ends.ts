// How requests ended that are still open here: while this party was away, the others may have signed, and what they told it
// then is void after its restart. A receipt proves what was signed; that somebody says so proves nothing, and changes nothing.
import { utf8ToBytes } from '@noble/hashes/utils.js';
import type { Hex } from '../../protocol/hex.ts';
import { type Receipt, ReceiptError, verifyOutcome, wasAuthorised } from '../../protocol/receipt.ts';
import { envelopeId } from '../../protocol/records/envelope.ts';
import { type Admission, costOfEvidence, costOfListing } from './admission.ts';
import { EvidenceError, type Intake } from './intake.ts';
import type { Outcomes } from './outcomes.ts';
import type { SessionState } from './state.ts';

/** What became of a request of which a receipt came. */
export interface EndResult {
  readonly requestId: Hex;
  readonly state: 'done' | 'open' | 'unknown';
  readonly detail?: string;
}

export class Ends {
  readonly #state: SessionState;
  readonly #admission: Admission;
  readonly #intake: Intake;
  readonly #outcomes: Outcomes;

  constructor(state: SessionState, admission: Admission, intake: Intake, outcomes: Outcomes) {
    this.#state = state;
    this.#admission = admission;
    this.#intake = intake;
    this.#outcomes = outcomes;
  }

  isOpen(requestId: Hex): boolean {
    return this.#state.jobs.has(requestId);
  }

  /** Which of these are open. */
  async among(requestIds: readonly Hex[], source: string): Promise<Hex[]> {
    await this.#admission.turn(source, costOfListing(requestIds.length));
    return requestIds.filter((id) => this.isOpen(id));
  }

  /** Open requests, ascending, from after an id; `more` when there are further ones. */
  async page(
    after: Hex | undefined,
    limit: number,
    source: string,
  ): Promise<{ readonly requestIds: Hex[]; readonly more: boolean }> {
    await this.#admission.turn(source, costOfListing(this.#state.jobs.size));
    const ids = [...this.#state.jobs.keys()].filter((id) => after === undefined || id > after).toSorted();
    return { requestIds: ids.slice(0, limit), more: ids.length > limit };
  }

  /**
   * Takes the proof that the parties have signed a request which is open here. What it holds of decisions is judged as any
   * evidence is; then this party ends the request with those signatures, and counts what they take from limits, provided that
   * its owners had authorised it. Throws EvidenceError `bad_receipt` for what proves nothing, and as `submit` does when it
   * cannot be looked at now.
   */
  async takeReceipt(receipt: Receipt, source: string): Promise<EndResult> {
    const { networkId, store } = this.#state.context;
    const { length } = utf8ToBytes(JSON.stringify(receipt));
    await this.#admission.turn(source, costOfEvidence(length));
    const requestId = this.#idOf(receipt);
    if (!this.isOpen(requestId)) {
      return { requestId, state: (await store.resultOf(requestId)) ? 'done' : 'unknown' };
    }
    try {
      await this.#intake.take(requestId, receipt.evidence, source);
    } catch (error) {
      // What the evidence comes to today says nothing of the day on which they signed.
      if (!(error instanceof EvidenceError) || error.code === 'busy') throw error;
    }
    return this.#state.serial(requestId, async () => {
      if (this.#state.stopped) throw new EvidenceError('busy', 'the node stops', true);
      const job = this.#state.jobs.get(requestId);
      if (job === undefined) return { requestId, state: 'done' };
      const { authorisation, evidence } = job;
      // A key ends here with its certificate, in which this party's own confirmation is.
      if (authorisation.request.kind === 'key') return { requestId, state: 'open', detail: 'a key request' };
      const signatures = this.#signaturesIn(receipt, authorisation);
      if (!wasAuthorised(authorisation, evidence, networkId)) {
        this.#outcomes.reportIncident(requestId, source);
        return { requestId, state: 'open', detail: `signed, and not authorised here: ${job.detail}` };
      }
      this.#state.context.log('session.learned', { requestId, peer: source });
      await this.#outcomes.finish(requestId, { kind: 'signatures', signatures: [...signatures] });
      return { requestId, state: 'done' };
    });
  }

  #idOf({ evidence }: Receipt): Hex {
    try {
      return envelopeId(evidence.request, this.#state.context.networkId);
    } catch (error) {
      throw new EvidenceError('bad_evidence', `bad_evidence: ${(error as Error).message}`, false);
    }
  }

  #signaturesIn(receipt: Receipt, authorisation: Parameters<typeof verifyOutcome>[1]): readonly Hex[] {
    try {
      return verifyOutcome(receipt, authorisation, this.#state.context.networkId).signatures;
    } catch (error) {
      if (!(error instanceof ReceiptError)) throw error;
      throw new EvidenceError('bad_receipt', `the receipt proves nothing: ${error.message}`, false);
    }
  }
}
