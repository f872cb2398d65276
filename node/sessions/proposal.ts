// The leader's side of an attempt: it proposes, gathers ACCEPTs, chooses the set and sends the START. It has no more
// power than that: everything it sends is checked by every member.
import { freshBytes } from '../mpc/random.ts';
import { acceptCommitment, attemptIdOf, checkAccept, type AttemptId, setName, setSize } from './attempt.ts';
import type { SessionContext } from './context.ts';
import type { Prepared, Purpose } from './purpose.ts';
import { decodeFrame, encodeFrame, type FrameOf, type Propose, type WireContext } from './wire.ts';
import type { Failure } from './live-attempt.ts';
import type { LogHead } from '../../protocol/records/fields.ts';
import type { Hex } from '../../protocol/hex.ts';

export interface ProposalOptions {
  readonly requestId: Hex;
  readonly logHead: LogHead;
  readonly purpose: Purpose;
  /** All parties, preferred ones first. */
  readonly order: readonly string[];
  /** Parties that were awaited in vain before, or whose set failed. */
  readonly failed: ReadonlySet<string>;
  /** Names of sets that failed with nobody to name: not tried again while there is another. */
  readonly failedSets: ReadonlySet<string>;
  /** Of this process; rises with every proposal. */
  readonly counter: number;
}

export interface ProposalEvents {
  /** The START, for everybody. */
  onStart(frame: FrameOf<'start'>): void;
  onFailure(failure: Failure): void;
}

export class Proposal {
  readonly attemptId: AttemptId;
  readonly propose: Propose;
  /** PROPOSE as it goes to everybody. */
  readonly frame: Uint8Array;
  readonly prepared: Prepared;
  readonly ownAccept: Uint8Array;
  readonly #options: ProposalOptions;
  readonly #salt: Uint8Array;
  readonly #context: SessionContext;
  readonly #events: ProposalEvents;
  readonly #accepts = new Map<string, Uint8Array>();
  readonly #declined = new Set<string>();
  #cancelDeadline: () => void = () => undefined;
  #cancelGrace: (() => void) | undefined;
  #ended = false;

  constructor(options: ProposalOptions, context: SessionContext, events: ProposalEvents) {
    const { keyring, signer, networkId } = context;
    const wire: WireContext = { networkId, keyringId: keyring.id };
    this.#context = context;
    this.#options = options;
    this.#events = events;
    this.#salt = freshBytes(context.random, 32);
    this.prepared = options.purpose.prepare();
    const unsealed = {
      purpose: options.purpose.kind,
      requestId: options.requestId,
      keyringId: keyring.id,
      epoch: keyring.epoch,
      leader: signer.credential,
      boot: context.boot,
      counter: options.counter,
      digests: [...options.purpose.digests],
      logHead: options.logHead,
      order: [...options.order],
    };
    this.attemptId = attemptIdOf({ ...unsealed, commitment: new Uint8Array(32) }, networkId);
    this.ownAccept = acceptFrame(this.attemptId, this.prepared, options.logHead, context);
    this.propose = { ...unsealed, commitment: acceptCommitment(this.ownAccept, this.#salt) };
    this.frame = encodeFrame('propose', this.propose, wire, signer);
    this.#accepts.set(signer.credential, this.ownAccept);
  }

  /** Starts the clock for the others' answers. */
  open(): void {
    const { clock, timing } = this.#context;
    this.#cancelDeadline = clock.after(timing.acceptDeadline, () => {
      if (this.#possible()) this.#start();
      else this.#fail('proposal_timeout');
    });
  }

  get #wanted(): number {
    return setSize(this.propose.purpose, this.#context.keyring);
  }

  /** Parties that have neither accepted nor declined. */
  get awaited(): readonly string[] {
    return this.propose.order.filter((party) => !this.#accepts.has(party) && !this.#declined.has(party));
  }

  #possible(): boolean {
    return this.#accepts.size >= this.#wanted;
  }

  /** The leader with the others it prefers among `parties`; there are enough of them. */
  #choose(parties: (party: string) => boolean): readonly string[] {
    const self = this.#context.signer.credential;
    const others = this.propose.order.filter((party) => party !== self && parties(party));
    let first: readonly string[] | undefined;
    for (const chosen of choices(others, this.#wanted - 1)) {
      const set = [self, ...chosen];
      if (!this.#options.failedSets.has(setName(set))) return set;
      first ??= set;
    }
    return first ?? [self];
  }

  /** Nothing is known against the set: then a better one is waited for only shortly. */
  #isTrusted(set: readonly string[]): boolean {
    const { failed, failedSets } = this.#options;
    return !set.some((party) => failed.has(party)) && !failedSets.has(setName(set));
  }

  /** An ACCEPT whose sender is authenticated. Throws SessionError when it is not one for this attempt. */
  accept(frame: FrameOf<'accept'>): void {
    const { party } = frame.content;
    if (this.#ended || this.#accepts.has(party) || this.#declined.has(party)) return;
    const { networkId, keyring } = this.#context;
    checkAccept(frame, this.propose, this.attemptId, keyring, { networkId, keyringId: keyring.id });
    this.#accepts.set(party, frame.bytes);
    this.#decide();
  }

  /** A party that will not take part, or no longer: the attempt fails at once when too few are left. */
  decline(party: string): void {
    if (this.#ended) return;
    this.#accepts.delete(party);
    this.#declined.add(party);
    const left = this.#context.keyring.roster.parties.length - this.#declined.size;
    if (left < this.#wanted) this.#fail('declined');
    else this.#decide();
  }

  /** Starts with the best set there can be, or, after a grace, with one that nothing is known against. */
  #decide(): void {
    if (!this.#possible()) return;
    const best = this.#choose((party) => !this.#declined.has(party));
    if (best.every((party) => this.#accepts.has(party))) return this.#start();
    if (!this.#isTrusted(this.#choose((party) => this.#accepts.has(party)))) return;
    this.#cancelGrace ??= this.#context.clock.after(this.#context.timing.acceptGrace, () => this.#start());
  }

  #start(): void {
    if (this.#ended) return;
    this.cancel();
    const { networkId, keyring, signer } = this.#context;
    const accepts = this.#choose((party) => this.#accepts.has(party)).map(
      (party) => this.#accepts.get(party) as Uint8Array,
    );
    const bytes = encodeFrame(
      'start',
      { propose: this.frame, accepts, salt: this.#salt },
      { networkId, keyringId: keyring.id },
      signer,
    );
    this.#events.onStart(decodeFrame(bytes) as FrameOf<'start'>);
  }

  #fail(code: string): void {
    if (this.#ended) return;
    this.cancel();
    const parties = this.#context.keyring.roster.parties.map((party) => party.key);
    const awaited = parties.filter((party) => !this.#accepts.has(party));
    const have = this.#accepts.size;
    const message = `${have} of ${this.#wanted} parties accepted; missing: ${awaited.join(', ')}`;
    this.#events.onFailure({ code, message, awaited });
  }

  /** Stops waiting. */
  cancel(): void {
    this.#ended = true;
    this.#cancelDeadline();
    this.#cancelGrace?.();
  }
}

/** Every choice of `size` of them, those of earlier ones first. */
function* choices(from: readonly string[], size: number): Generator<readonly string[]> {
  if (size === 0) yield [];
  for (let at = 0; size > 0 && at + size <= from.length; at++) {
    for (const rest of choices(from.slice(at + 1), size - 1)) yield [from[at] as string, ...rest];
  }
}

/** This party's signed ACCEPT of an attempt: 32 fresh bytes and what it committed to. */
export function acceptFrame(
  attemptId: AttemptId,
  prepared: Prepared,
  logHead: LogHead,
  context: SessionContext,
): Uint8Array {
  return encodeFrame(
    'accept',
    {
      attemptId,
      party: context.signer.credential,
      entropy: freshBytes(context.random, 32),
      nonces: prepared.nonces.map(({ hiding, binding }) => ({ hiding, binding })),
      logHead,
    },
    { networkId: context.networkId, keyringId: context.keyring.id },
    context.signer,
  );
}
