// Presigning of one chunk of items among exactly t parties, before any message is known: two rounds that a machine puts
// among its own (ePrint 2023/765, protocol 3.6, steps 1 to 8; its "pairwise multiplication" is protocol 5.2, product.ts).
//
// For every ordered pair of members one product: Alice i puts in (k_i, sk_i), Bob j a random chi_ji, and they get
//
//   c_ij^u + d_ji^u = k_i chi_ji          c_ij^v + d_ji^v = sk_i chi_ji          (i holds c, j holds d and chi)
//
// with sk_i = lambda_i x_i + zero_i, which sum to the key x. Each i tells j psi_ij = phi_i - chi_ij, made with the chi of
// the product in which i is Bob and j is Alice. Then, with psi_i = phi_i + sum_j psi_ji = phi - sum_j chi_ji,
//
//   u_i = k_i psi_i + sum_j (c_ij^u + d_ij^u)        v_i = sk_i psi_i + sum_j (c_ij^v + d_ij^v)
//
//   sum_i u_i = k phi - sum_ij k_i chi_ji + sum_ij (c_ij^u + d_ji^u) = k phi,     sum_i v_i = x phi likewise,
//
// for the sum of all d_ij is that of all d_ji. What a member cannot do unnoticed is to put other values into its products
// than into R_i and pk_i: as Alice it also sends Gamma_u = c^u G and Gamma_v = c^v G, and Bob, who alone knows chi, checks
//
//   chi_ij R_j = d_ij^u G + Gamma_u_ji               chi_ij pk_j = d_ij^v G + Gamma_v_ji
//
// Either failing says something of chi and is a cheat: it bans. A false psi, in contrast, only makes the signature
// invalid, which the signers find out by themselves; it is not checked, as in the paper.
//
// Departures from the paper: R_i is committed to by a salted hash that is broadcast with an echo (its F_Com); presigning
// is a phase of its own, so that phi, u and v are kept, and the message comes later (its section 3.3); several items run
// in one pair of rounds, each with all values of its own; each message names the pair setup that it needs, see setups.ts;
// shares of zero come from seeds that each pair agreed on with its setup (its F_Zero).
//
// Order of checks on one message. commit: length, setup id, then all rows of all items, before any answer. multiply:
// length, setup id, then all products, then encodings, then all equations that ban, then the rest. So a failed check that
// depends on a secret is always reached, and always bans, whatever else the cheat spoilt to cover it.
import { invert } from '@noble/curves/abstract/modular.js';
import { equalBytes } from '@noble/curves/utils.js';
import { concatBytes } from '@noble/hashes/utils.js';
import { Abort } from '../abort.ts';
import type { Element } from '../group.ts';
import { secp256k1Group as group } from '../group.ts';
import type { Outgoing, PartyIndex, RandomBytes, Slices, Step } from '../machine.ts';
import { freshBytes, randomScalar } from '../random.ts';
import { encodeMessage, presignKinds, type Round } from '../rounds.ts';
import type { EcdsaKey } from './key.ts';
import type { DecodedItem, MultiplyItem } from './presign-messages.ts';
import {
  checkLength,
  commitLength,
  decodeCommit,
  decodeMultiply,
  decodeMultiplyItem,
  encodeCommit,
  encodeMultiply,
  multiplyLength,
  nonceCommitment,
  productId,
  saltLength,
} from './presign-messages.ts';
import { encodePresignatureSecrets, type Presignature } from './presignature.ts';
import {
  type AnsweredProduct,
  answerOpenedRequest,
  openProductRequest,
  type OpenedRequest,
  ProductReceiver,
} from './product.ts';
import { SecretMultiple } from './secret-multiple.ts';
import { setupIdLength, type Setups } from './setups.ts';

/** One presignature to be made. */
export interface PresignItem {
  /** Its number in the whole session, over all chunks. */
  readonly item: number;
  /** 32 bytes: what the presignature will be called. */
  readonly id: Uint8Array;
  readonly key: EcdsaKey;
}

export interface PresignOptions {
  /** 0..31; its rounds have message kinds of their own. */
  readonly chunk: number;
  readonly sid: Uint8Array;
  readonly self: PartyIndex;
  /** Ascending, self included. */
  readonly set: readonly PartyIndex[];
  /** 1..4 items. */
  readonly items: readonly PresignItem[];
  /** Of the machine that this is a part of, which erases them. */
  readonly setups: Setups;
  readonly random: RandomBytes;
}

type Pause = Generator<undefined, void, undefined>;

/** What is known of one item. All that is secret is here. */
interface ItemState {
  readonly item: number;
  readonly k: bigint;
  readonly phi: bigint;
  readonly sk: bigint;
  readonly nonce: Uint8Array;
  readonly salt: Uint8Array;
  readonly publicShare: Uint8Array;
  /** Everybody's, this party's included. */
  readonly commitments: Map<PartyIndex, Uint8Array>;
  /** As Bob: towards each other member. */
  readonly receivers: Map<PartyIndex, ProductReceiver>;
  /** As Alice: what each other member is answered, and this party's shares of the products. */
  readonly answers: Map<PartyIndex, AnsweredProduct>;
  /** Running sums: of psi_ji, of c + d, of R_j and of pk_j. */
  psi: bigint;
  u: bigint;
  v: bigint;
  nonceSum: Element;
  publicSum: Element;
}

export class Presign<Output> {
  readonly #options: PresignOptions;
  readonly #others: readonly PartyIndex[];
  readonly #kinds: ReturnType<typeof presignKinds>;
  readonly #states: ItemState[] = [];

  constructor(options: PresignOptions) {
    this.#options = options;
    this.#others = options.set.filter((index) => index !== options.self);
    this.#kinds = presignKinds(options.chunk);
  }

  /** The two rounds. `done` runs when every check has passed. */
  rounds(
    done: (presignatures: readonly Presignature[]) => Step<Output> | Slices<Output>,
  ): readonly Round<Output>[] {
    const { setups, set, items } = this.#options;
    const check = (from: PartyIndex, body: Uint8Array, length: number): void => {
      checkLength(from, body, length);
      setups.checkId(from, body.subarray(0, setupIdLength));
    };
    return [
      {
        kind: this.#kinds.commit,
        check: (from, body) => check(from, body, commitLength(items.length)),
        receive: (from, body) => this.#receiveCommit(from, body),
        complete: () => this.#multiply(),
      },
      {
        kind: this.#kinds.multiply,
        check: (from, body) => check(from, body, multiplyLength(items.length, set.length)),
        receive: (from, body) => this.#receiveMultiply(from, body),
        complete: () => done(this.#finish()),
      },
    ];
  }

  /** Draws everything, and commits. */
  *begin(): Generator<undefined, readonly Outgoing[], undefined> {
    for (const item of this.#options.items) {
      this.#states.push(this.#draw(item));
      yield* this.#requestProducts(this.#states.at(-1)!);
    }
    return this.#others.map((to) => {
      const items = this.#states.map(({ commitments, receivers }) => ({
        commitment: commitments.get(this.#options.self)!,
        request: receivers.get(to)!.request,
      }));
      const body = encodeCommit(this.#options.setups.idWith(to), items);
      return { to, bytes: encodeMessage(this.#kinds.commit, this.#options.sid, body) };
    });
  }

  #draw({ item, key }: PresignItem): ItemState {
    const { sid, self, set, setups, random } = this.#options;
    const k = randomScalar(group, random);
    const phi = randomScalar(group, random);
    const salt = freshBytes(random, saltLength).slice();
    const sk = group.mod(
      lagrange(set, self) * group.decodeScalar(key.signingShare) + setups.zeroShare(sid, item),
    );
    const nonceSum = group.multiplyBase(k);
    const publicSum = group.multiplyBase(sk);
    const nonce = group.encodePoint(nonceSum);
    return {
      item,
      k,
      phi,
      sk,
      nonce,
      salt,
      publicShare: group.encodePoint(publicSum),
      commitments: new Map([[self, nonceCommitment(sid, item, self, nonce, salt)]]),
      receivers: new Map(),
      answers: new Map(),
      psi: phi,
      u: 0n,
      v: 0n,
      nonceSum,
      publicSum,
    };
  }

  *#requestProducts({ item, receivers }: ItemState): Pause {
    const { sid, self, setups, random } = this.#options;
    for (const peer of this.#others) {
      const pid = productId(sid, item, peer, self);
      receivers.set(peer, ProductReceiver.begin({ setup: setups.with(peer), pid, random }));
      yield;
    }
  }

  /** As Alice: all rows of the message are checked before any answer to it is computed. */
  *#receiveCommit(from: PartyIndex, body: Uint8Array): Pause {
    const { sid, self, setups, random } = this.#options;
    const received = decodeCommit(body, this.#states.length);
    const opened: OpenedRequest[] = [];
    try {
      for (const [at, { request }] of received.entries()) {
        const pid = productId(sid, this.#states[at]!.item, self, from);
        opened.push(openProductRequest({ setup: setups.with(from), pid, request }));
        yield;
      }
      for (const [at, { commitment }] of received.entries()) {
        const state = this.#states[at]!;
        state.commitments.set(from, commitment);
        state.answers.set(from, answerOpenedRequest(opened[at]!, [state.k, state.sk], random));
        yield;
      }
    } finally {
      for (const each of opened) each.erase();
    }
  }

  *#multiply(): Slices<Output> {
    const { sid, setups } = this.#options;
    const echo = this.#states.flatMap((state) => this.#echoOf(state));
    const messages: Outgoing[] = [];
    for (const to of this.#others) {
      const items: MultiplyItem[] = [];
      for (const state of this.#states) {
        items.push(this.#multiplyItem(state, to));
        yield;
      }
      const body = encodeMultiply(setups.idWith(to), items, echo);
      messages.push({ to, bytes: encodeMessage(this.#kinds.multiply, sid, body) });
    }
    return { messages };
  }

  #multiplyItem(state: ItemState, to: PartyIndex): MultiplyItem {
    const { response, shares } = state.answers.get(to)!;
    const [cu, cv] = shares;
    state.u += cu;
    state.v += cv;
    return {
      nonce: state.nonce,
      salt: state.salt,
      response,
      gammaU: group.encodePoint(group.multiplyBase(cu)),
      gammaV: group.encodePoint(group.multiplyBase(cv)),
      psi: group.encodeScalar(group.mod(state.phi - state.receivers.get(to)!.b)),
      publicShare: state.publicShare,
    };
  }

  /** As Bob: the checks of the third round. */
  *#receiveMultiply(from: PartyIndex, body: Uint8Array): Pause {
    const { items, echo } = decodeMultiply(body, this.#states.length);
    const products: (readonly [bigint, bigint])[] = [];
    for (const [at, { response }] of items.entries()) {
      products.push(this.#states[at]!.receivers.get(from)!.finish(response));
      yield;
    }
    const decoded = items.map((fields, at) => decodeMultiplyItem(from, this.#states[at]!.item, fields));
    for (const [at, points] of decoded.entries()) {
      yield* this.#checkInputs(from, this.#states[at]!, products[at]!, points);
    }
    for (const [at, fields] of items.entries()) this.#checkOpening(from, this.#states[at]!, fields);
    this.#checkEcho(from, echo);
    for (const [at, state] of this.#states.entries()) {
      const [du, dv] = products[at]!;
      const { psi, nonce, publicShare } = decoded[at]!;
      state.u += du;
      state.v += dv;
      state.psi += psi;
      state.nonceSum = state.nonceSum.add(nonce);
      state.publicSum = state.publicSum.add(publicShare);
    }
  }

  *#checkInputs(
    from: PartyIndex,
    { item, receivers }: ItemState,
    [du, dv]: readonly [bigint, bigint],
    { nonce, gammaU, gammaV, publicShare }: DecodedItem,
  ): Pause {
    const chi = new SecretMultiple(receivers.get(from)!.b);
    const equations = [
      ['R', nonce, du, gammaU],
      ['pk', publicShare, dv, gammaV],
    ] as const;
    for (const [what, point, share, gamma] of equations) {
      if (!chi.relates(point, group.multiplyBase(share).add(gamma)))
        throw new Abort(
          'inconsistent_inputs',
          `party ${from} multiplied something else than its ${what} for item ${item}`,
          { culprit: from, ban: true },
        );
      yield;
    }
  }

  #checkOpening(from: PartyIndex, { item, commitments }: ItemState, { nonce, salt }: MultiplyItem): void {
    const { sid } = this.#options;
    if (!equalBytes(nonceCommitment(sid, item, from, nonce, salt), commitments.get(from)!))
      throw new Abort(
        'opening_mismatch',
        `party ${from} opened another R than it committed to for item ${item}`,
        {
          culprit: from,
        },
      );
  }

  #checkEcho(from: PartyIndex, echo: Uint8Array): void {
    const own = this.#states.flatMap((state) => this.#echoOf(state));
    if (!equalBytes(echo, concatBytes(...own)))
      throw new Abort(
        'echo_mismatch',
        `party ${from} reports other commitments than those received here: somebody lies`,
      );
  }

  #echoOf({ commitments }: ItemState): Uint8Array[] {
    return this.#options.set.map((index) => commitments.get(index)!);
  }

  /** All is checked before any presignature is made: of what fails, nothing is left. */
  #finish(): readonly Presignature[] {
    for (const [at, state] of this.#states.entries()) this.#checkSums(state, this.#options.items[at]!);
    const made = this.#states.map((state, at) => this.#finishItem(state, this.#options.items[at]!));
    this.erase();
    return made;
  }

  #checkSums({ nonceSum, publicSum }: ItemState, { item, key }: PresignItem): void {
    if (!publicSum.equals(group.decodePoint(key.publicKey)))
      throw new Abort(
        'public_key_mismatch',
        `the members' public shares for item ${item} do not sum to the key`,
      );
    if (nonceSum.is0()) throw new Abort('identity_nonce', `the nonce for item ${item} is the identity`);
  }

  #finishItem({ nonceSum, k, sk, phi, psi, u, v }: ItemState, { id, key }: PresignItem): Presignature {
    const shares = { phi, u: group.mod(k * psi + u), v: group.mod(sk * psi + v) };
    return {
      id: id.slice(),
      set: [...this.#options.set],
      publicKey: key.publicKey.slice(),
      nonce: group.encodePoint(nonceSum),
      secrets: encodePresignatureSecrets(shares),
    };
  }

  /** BigInts cannot be overwritten; dropping the references is the best this language allows. */
  erase(): void {
    for (const { receivers } of this.#states) for (const receiver of receivers.values()) receiver.erase();
    this.#states.length = 0;
  }
}

/** The coefficient of f(self) in f(0), for a polynomial known at every index of the set (RFC 9591 section 4.2). */
function lagrange(set: readonly PartyIndex[], self: PartyIndex): bigint {
  let numerator = 1n;
  let denominator = 1n;
  for (const index of set) {
    if (index === self) continue;
    numerator = group.mod(numerator * BigInt(index));
    denominator = group.mod(denominator * BigInt(index - self));
  }
  return group.mod(numerator * invert(denominator, group.order));
}
