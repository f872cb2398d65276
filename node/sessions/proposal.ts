// The leader's side of an attempt: it proposes, gathers ACCEPTs, chooses the set and sends the START. It has no more
// power than that: everything it sends is checked by every member.
import { freshBytes } from '../mpc/random.ts';
import {
  acceptCommitment,
  attemptIdOf,
  checkAccept,
  type AttemptId,
  partiesAt,
  setName,
  setSize,
} from './attempt.ts';
import { chooseSet } from './choice.ts';
import type { SessionContext } from './context.ts';
import type { Prepared, Purpose } from './purpose.ts';
import {
  type Accept,
  decodeFrame,
  encodeFrame,
  type FrameOf,
  type Propose,
  type WireContext,
} from './wire.ts';
import type { Failure } from './failure.ts';
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

interface Accepted {
  readonly bytes: Uint8Array;
  readonly accept: Accept;
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
  readonly #accepts = new Map<string, Accepted>();
  readonly #declined = new Set<string>();
  /** By party: who will not presign with it, or with whom it will not, as ACCEPTs say. */
  readonly #apart = new Map<string, Set<string>>();
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
    const { purpose } = options;
    const named = purpose.named?.(options.order, options.failedSets) ?? {};
    this.prepared = purpose.prepare({ leader: signer.credential, ...named });
    const unsealed = {
      purpose: purpose.kind,
      requestId: options.requestId,
      keyringId: keyring.id,
      epoch: keyring.epoch,
      leader: signer.credential,
      boot: context.boot,
      counter: options.counter,
      digests: [...purpose.digests],
      logHead: options.logHead,
      order: [...options.order],
      ...named,
    };
    this.attemptId = attemptIdOf({ ...unsealed, commitment: new Uint8Array(32) }, networkId);
    this.ownAccept = acceptFrame(this.attemptId, this.prepared, options.logHead, context);
    this.propose = { ...unsealed, commitment: acceptCommitment(this.ownAccept, this.#salt) };
    this.frame = encodeFrame('propose', this.propose, wire, signer);
    const { content: accept } = decodeFrame(this.ownAccept) as FrameOf<'accept'>;
    this.#note(this.ownAccept, accept);
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

  #note(bytes: Uint8Array, accept: Accept): void {
    const { party, excludes = [] } = accept;
    this.#accepts.set(party, { bytes, accept });
    for (const other of excludes) {
      this.#apart.set(party, (this.#apart.get(party) ?? new Set()).add(other));
      this.#apart.set(other, (this.#apart.get(other) ?? new Set()).add(party));
    }
  }

  #accepted(party: string): boolean {
    return this.#accepts.has(party);
  }

  #possible(): boolean {
    return this.#accepts.size >= this.#wanted && this.#choose((party) => this.#accepted(party)) !== undefined;
  }

  /** Whether every member of a listed set may still join it. */
  #isOpen(set: readonly string[], listed: number): boolean {
    return set.every(
      (party) => !this.#declined.has(party) && !this.#accepts.get(party)?.accept.cannot?.includes(listed),
    );
  }

  /** The leader with the others it prefers among `parties`: a listed set if there is one, else any. */
  #choose(parties: (party: string) => boolean): readonly string[] | undefined {
    const self = this.#context.signer.credential;
    for (const [place, { members }] of (this.propose.sets ?? []).entries()) {
      const set = partiesAt(members, this.#context.keyring);
      if (set.every((party) => party === self || parties(party)) && this.#isOpen(set, place)) return set;
    }
    const { members } = this.propose;
    const eligible = members ? partiesAt(members, this.#context.keyring) : this.propose.order;
    return chooseSet({
      self,
      candidates: eligible.filter((party) => party !== self && parties(party) && !this.#declined.has(party)),
      size: this.#wanted,
      areApart: (one, other) => this.#apart.get(one)?.has(other) ?? false,
      wasTried: (set) => this.#options.failedSets.has(setName(set)),
    });
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
    this.#note(frame.bytes, frame.content);
    this.#decide();
  }

  /** A party that will not take part, or no longer: the attempt fails at once when too few are left. */
  decline(party: string): void {
    if (this.#ended) return;
    this.#accepts.delete(party);
    this.#declined.add(party);
    if (this.#choose((other) => !this.#declined.has(other)) === undefined) this.#fail('declined');
    else this.#decide();
  }

  /** Starts with the best set there can be, or, after a grace, with one that nothing is known against. */
  #decide(): void {
    const best = this.#choose((party) => !this.#declined.has(party));
    if (best === undefined) return this.#fail('excluded_pair');
    if (best.every((party) => this.#accepted(party))) return this.#start();
    const now = this.#choose((party) => this.#accepted(party));
    if (now === undefined || !this.#isTrusted(now)) return;
    this.#cancelGrace ??= this.#context.clock.after(this.#context.timing.acceptGrace, () => this.#start());
  }

  #start(): void {
    const set = this.#choose((party) => this.#accepted(party));
    if (this.#ended || set === undefined) return;
    this.cancel();
    const { networkId, keyring, signer } = this.#context;
    const accepts = set.map((party) => (this.#accepts.get(party) as Accepted).bytes);
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
      ...(prepared.cannot && { cannot: [...prepared.cannot] }),
      ...(prepared.excludes && { excludes: [...prepared.excludes] }),
    },
    { networkId: context.networkId, keyringId: context.keyring.id },
    context.signer,
  );
}
