// Distributed key generation: all n parties deal, nobody ever holds the key. Pedersen's protocol (Gennaro, Jarecki,
// Krawczyk, Rabin 2007) with a commit round first, as in FROST (ePrint 2020/852, figure 1) and DKLs23 (ePrint 2023/765).
//
//   1 commit   broadcast H(context, i, C_i, proof_i, chainCode_i, salt_i)
//   2 reveal   to each j: the opening, an echo of everybody's round-1 digests, j, and f_i(j)
//
// Committing first means no dealer chooses its constant term after seeing another's, so nobody biases the key; the echo
// means that everybody who finishes saw the same digests, hence the same openings, key and transcript hash. Polynomials
// are fresh for every machine. The third round, confirming a durably stored share, belongs to whoever stores it.
import { equalBytes } from '@noble/curves/utils.js';
import { concatBytes } from '@noble/hashes/utils.js';
import { Abort } from '../abort.ts';
import type { Element, Group, KeyType } from '../group.ts';
import { groupOf } from '../group.ts';
import type { PartyIndex, RandomBytes, Step } from '../machine.ts';
import { checkParties } from '../parameters.ts';
import { freshBytes, randomScalar } from '../random.ts';
import type { Round } from '../rounds.ts';
import { encodeMessage, MessageKind, RoundMachine } from '../rounds.ts';
import { checkDealing } from './dealing.ts';
import type { KeyShare } from './key-share.ts';
import type { Shape } from './messages.ts';
import {
  checkCommit,
  checkReceiver,
  checkReveal,
  decodeReveal,
  DIGEST_LENGTH,
  encodeReveal,
} from './messages.ts';
import { evaluateCommitments, evaluatePolynomial } from './polynomial.ts';
import { prove } from './proof.ts';
import type { Epoch, Opening } from './transcript.ts';
import { combineChainCodes, commitDigest, contextHash, transcriptHash } from './transcript.ts';

export interface KeyGenerationOptions {
  readonly keyType: KeyType;
  /** 32 bytes, never used before. */
  readonly sid: Uint8Array;
  readonly epoch: Epoch;
  readonly self: PartyIndex;
  /** All n parties, ascending. */
  readonly parties: readonly PartyIndex[];
  readonly threshold: number;
  readonly random: RandomBytes;
}

export class KeyGeneration extends RoundMachine<KeyShare> {
  readonly #options: KeyGenerationOptions;
  readonly #group: Group;
  readonly #shape: Shape;
  readonly #context: Uint8Array;
  readonly #digests = new Map<PartyIndex, Uint8Array>();
  readonly #openings = new Map<PartyIndex, Opening>();
  /** Running sum of the dealers' vectors. */
  readonly #commitments: Element[];
  #coefficients: bigint[] = [];
  #signingShare = 0n;

  /**
   * Throws Abort: invalid_session, invalid_epoch, invalid_index, duplicate_index, unsorted_indices, invalid_threshold,
   * not_a_member.
   */
  constructor(options: KeyGenerationOptions) {
    const { keyType, sid, self, threshold } = options;
    checkParties(options.parties, threshold, self);
    super(sid, self, options.parties);
    const parties = [...options.parties];
    this.#options = { ...options, parties };
    this.#group = groupOf(keyType);
    this.#shape = { group: this.#group, threshold, parties: parties.length };
    this.#context = contextHash({ ...this.#options, purpose: 'generate' });
    this.#commitments = Array.from({ length: threshold }, () => this.#group.identity);
  }

  protected override readonly rounds: readonly Round<KeyShare>[] = [
    {
      kind: MessageKind.dkgCommit,
      check: checkCommit,
      receive: (from, body) => void this.#digests.set(from, body.slice()),
      complete: () => this.#reveal(),
    },
    {
      kind: MessageKind.dkgReveal,
      check: (from, body) => {
        checkReveal(this.#shape, from, body);
        checkReceiver(this.#shape, from, body, this.#options.self);
      },
      receive: (from, body) => this.#verifyDealer(from, body),
      complete: () => this.#combine(),
    },
  ];

  protected override begin(): Step<KeyShare> {
    const group = this.#group;
    const { self, threshold, random } = this.#options;
    this.#coefficients = Array.from({ length: threshold }, () => randomScalar(group, random));
    const points = this.#coefficients.map((coefficient) => group.multiplyBase(coefficient));
    const commitments = concatBytes(...points.map((point) => group.encodePoint(point)));
    const statement = { context: this.#context, dealer: self, commitments };
    const opening = {
      commitments,
      proof: prove(group, statement, this.#coefficients[0]!, random),
      chainCode: freshBytes(random, DIGEST_LENGTH),
      salt: freshBytes(random, DIGEST_LENGTH),
    };
    this.#openings.set(self, opening);
    this.#addVector(points);
    const digest = commitDigest(this.#context, self, opening);
    this.#digests.set(self, digest);
    return { messages: [{ to: 'all', bytes: encodeMessage(MessageKind.dkgCommit, this.sid, digest) }] };
  }

  #reveal(): Step<KeyShare> {
    const group = this.#group;
    const { self } = this.#options;
    const opening = this.#openings.get(self)!;
    const echo = this.#inOrder(this.#digests);
    this.#signingShare = evaluatePolynomial(group, this.#coefficients, self);
    const messages = this.others.map((to) => {
      const share = group.encodeScalar(evaluatePolynomial(group, this.#coefficients, to));
      const body = encodeReveal(this.#shape, { opening, echo, receiver: to, share });
      return { to, bytes: encodeMessage(MessageKind.dkgReveal, this.sid, body) };
    });
    this.#coefficients = [];
    return { messages };
  }

  /** Faults that the dealer's own signed messages prove come first; a differing echo proves nobody guilty by itself. */
  #verifyDealer(dealer: PartyIndex, body: Uint8Array): void {
    const reveal = decodeReveal(this.#shape, body);
    const { opening, echo } = reveal;
    const digest = this.#digests.get(dealer)!;
    const { points, share } = checkDealing(this.#shape, this.#context, dealer, digest, reveal);
    this.#checkEcho(dealer, echo);
    this.#openings.set(dealer, opening);
    this.#addVector(points);
    this.#signingShare = this.#group.mod(this.#signingShare + share);
  }

  #checkEcho(from: PartyIndex, echo: readonly Uint8Array[]): void {
    const position = this.#inOrder(this.#digests).findIndex((digest, at) => !equalBytes(digest, echo[at]!));
    if (position < 0) return;
    const about = this.#options.parties[position];
    throw new Abort(
      'echo_mismatch',
      `party ${from} reports another commitment of party ${about} than the one received here: one of the two lies`,
    );
  }

  #combine(): Step<KeyShare> {
    const group = this.#group;
    const { keyType, self, parties, threshold } = this.#options;
    const [publicPoint, ...higher] = this.#commitments;
    if (publicPoint!.is0())
      throw new Abort('identity_public_key', 'the generated public key is the identity');
    const verifyingPoints = parties.map((index) => evaluateCommitments(group, this.#commitments, index));
    // Each has probability 2^-252 unless something is broken; a vanishing top coefficient would lower the threshold.
    if ([...higher, ...verifyingPoints].some((point) => point.is0()))
      throw new Abort(
        'degenerate_key',
        'a commitment or verifying share of the generated key is the identity',
      );
    if (!group.multiplyBase(this.#signingShare).equals(verifyingPoints[parties.indexOf(self)]!))
      throw new Abort('internal', 'the generated signing share does not match its verifying share');
    const commitments = this.#commitments.map((point) => group.encodePoint(point));
    const openings = this.#inOrder(this.#openings);
    const output: KeyShare = {
      keyType,
      index: self,
      threshold,
      parties,
      publicKey: commitments[0]!.slice(),
      chainCode: combineChainCodes(openings.map((opening) => opening.chainCode)),
      commitments,
      signingShare: group.encodeScalar(this.#signingShare),
      verifyingShares: new Map(parties.map((index, at) => [index, group.encodePoint(verifyingPoints[at]!)])),
      transcriptHash: transcriptHash(this.#context, this.#inOrder(this.#digests), openings),
    };
    return { messages: [], output };
  }

  protected override erase(): void {
    // BigInts cannot be overwritten; dropping the references is the best this language allows.
    this.#coefficients = [];
    this.#signingShare = 0n;
  }

  #addVector(points: readonly Element[]): void {
    for (const [position, point] of points.entries())
      this.#commitments[position] = this.#commitments[position]!.add(point);
  }

  #inOrder<T>(values: ReadonlyMap<PartyIndex, T>): T[] {
    return this.#options.parties.map((index) => values.get(index)!);
  }
}
