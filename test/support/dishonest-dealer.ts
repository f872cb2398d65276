// A party in key generation that follows the protocol except where a test tells it not to. Built from the protocol's
// public parts only: what it can do, any party can.
import { concatBytes } from '@noble/hashes/utils.js';
import type { KeyGenerationOptions } from '../../node/mpc/dkg/generate.ts';
import type { KeyShare } from '../../node/mpc/dkg/key-share.ts';
import type { Reveal } from '../../node/mpc/dkg/messages.ts';
import { encodeReveal } from '../../node/mpc/dkg/messages.ts';
import { evaluatePolynomial } from '../../node/mpc/dkg/polynomial.ts';
import { prove } from '../../node/mpc/dkg/proof.ts';
import type { Opening } from '../../node/mpc/dkg/transcript.ts';
import { commitDigest, contextHash } from '../../node/mpc/dkg/transcript.ts';
import { groupOf } from '../../node/mpc/group.ts';
import type { Machine, PartyIndex, Step } from '../../node/mpc/machine.ts';
import { randomScalar } from '../../node/mpc/random.ts';
import { encodeMessage, MessageKind } from '../../node/mpc/rounds.ts';

export interface Dishonesty {
  /** Length of the polynomial, if not the threshold. */
  readonly coefficients?: number;
  /** Changes the opening before it is committed to. */
  readonly opening?: (opening: Opening) => Opening;
  /** Changes the opening after it was committed to. */
  readonly reopened?: (opening: Opening) => Opening;
  /** Another digest for some receivers. */
  readonly digest?: (to: PartyIndex, digest: Uint8Array) => Uint8Array;
  readonly reveal?: (to: PartyIndex, reveal: Reveal) => Reveal;
  /** The body as sent. */
  readonly body?: (to: PartyIndex, body: Uint8Array) => Uint8Array;
}

export class DishonestDealer implements Machine<KeyShare> {
  readonly options: KeyGenerationOptions;
  readonly dishonesty: Dishonesty;
  readonly #digests = new Map<PartyIndex, Uint8Array>();
  readonly #coefficients: bigint[];
  #opening: Opening;

  constructor(options: KeyGenerationOptions, dishonesty: Dishonesty) {
    this.options = options;
    this.dishonesty = dishonesty;
    const { keyType, self, threshold, random } = options;
    const group = groupOf(keyType);
    const context = contextHash({ ...options, purpose: 'generate' });
    const length = dishonesty.coefficients ?? threshold;
    this.#coefficients = Array.from({ length }, () => randomScalar(group, random));
    const commitments = concatBytes(
      ...this.#coefficients.map((a) => group.encodePoint(group.multiplyBase(a))),
    );
    const proof = prove(group, { context, dealer: self, commitments }, this.#coefficients[0]!, random);
    const opening = { commitments, proof, chainCode: random(32), salt: random(32) };
    this.#opening = dishonesty.opening?.(opening) ?? opening;
    this.#digests.set(self, commitDigest(context, self, this.#opening));
    this.#opening = dishonesty.reopened?.(this.#opening) ?? this.#opening;
  }

  start(): Step<KeyShare> {
    const digest = this.#digests.get(this.options.self)!;
    const messages = this.#others().map((to) => ({
      to,
      bytes: this.#message(MessageKind.dkgCommit, this.dishonesty.digest?.(to, digest) ?? digest),
    }));
    return { messages };
  }

  receive(from: PartyIndex, bytes: Uint8Array): Step<KeyShare> {
    if (bytes[0] !== MessageKind.dkgCommit) return { messages: [] };
    this.#digests.set(from, bytes.slice(33));
    if (this.#digests.size < this.options.parties.length) return { messages: [] };
    const { keyType, threshold, parties } = this.options;
    const group = groupOf(keyType);
    const messages = this.#others().map((to) => {
      const share = group.encodeScalar(evaluatePolynomial(group, this.#coefficients, to));
      const honest = {
        opening: this.#opening,
        echo: parties.map((index) => this.#digests.get(index)!),
        receiver: to,
        share,
      };
      const reveal = this.dishonesty.reveal?.(to, honest) ?? honest;
      const body = encodeReveal({ group, threshold, parties: parties.length }, reveal);
      return { to, bytes: this.#message(MessageKind.dkgReveal, this.dishonesty.body?.(to, body) ?? body) };
    });
    return { messages };
  }

  awaited(): readonly PartyIndex[] {
    return [];
  }

  destroy(): void {
    this.#coefficients.fill(0n);
  }

  #others(): PartyIndex[] {
    return this.options.parties.filter((index) => index !== this.options.self);
  }

  #message(kind: MessageKind, body: Uint8Array): Uint8Array {
    return encodeMessage(kind, this.options.sid, body);
  }
}
