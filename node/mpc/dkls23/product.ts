// The product of secrets of two parties (random vector OLE): DKLs23, ePrint 2023/765, protocol 5.2, for l = 2 and rho = 1.
// Alice has (a_1, a_2), Bob gets a random b, and c_k + d_k = a_k b (mod q).
//
//   Bob     640 random choices beta, b = sum g_j beta_j over the first 416; the extension's message. Rows 416..511 are
//           random like the others and discarded after the check.
//   Alice   checks the extension before anything else. Pads alpha0_j of q_j and alpha1_j of q_j + Delta; a random a_3;
//             at_j  = alpha0_j - alpha1_j + (a_1, a_2, a_3)
//             theta = H(at),  eta = a_3 + theta_1 a_1 + theta_2 a_2
//             mu_j  = alpha0_j,3 + theta_1 alpha0_j,1 + theta_2 alpha0_j,2
//           sends at, eta, H(mu); c_k = -sum g_j alpha0_j,k
//   Bob     e_j = gamma_j + beta_j at_j, where gamma_j is the pad of his row, hence e_j = alpha0_j + beta_j (a_1, a_2, a_3);
//           mu_j = e_j,3 + theta_1 e_j,1 + theta_2 e_j,2 - beta_j eta must give the same hash; d_k = sum g_j e_j,k
//
// a_3 is fresh for every product: it makes eta uniform, so that the check says nothing of (a_1, a_2). Whoever uses different
// inputs for different j passes only by guessing the beta_j concerned, and a wrong guess is a ban.
//
// Not constant time: integers are the language's. What the paper leaves to a session id is `context`, a hash of the setup's
// id, both roles and the product id, in every hash of the product.
import { equalBytes } from '@noble/curves/utils.js';
import { concatBytes } from '@noble/hashes/utils.js';
import { Abort } from '../abort.ts';
import { secp256k1Group as group } from '../group.ts';
import { taggedHash, uint16 } from '../hash.ts';
import type { PartyIndex, RandomBytes } from '../machine.ts';
import { freshBytes, randomScalar } from '../random.ts';
import { bitAt } from './bits.ts';
import { EXTENSION_LENGTH, extendAsReceiver, extendAsSender } from './extension.ts';
import { gadget } from './gadget.ts';
import { padsOf } from './pads.ts';
import type { OpenedPairSetup } from './pair-secrets.ts';
import { COLUMN_LENGTH, GADGET_LENGTH, PAD_SCALARS, PRODUCT_ID_LENGTH, ROW_LENGTH } from './parameters.ts';
import { encodeScalars, integersOf, order, SCALAR_LENGTH } from './scalars.ts';
import { xofScalars } from './xof.ts';

const DIGEST_LENGTH = 32;
const MASKED_LENGTH = GADGET_LENGTH * PAD_SCALARS * SCALAR_LENGTH;

/** Bytes of Bob's message. */
export const productRequestLength = EXTENSION_LENGTH;

/** Bytes of Alice's message: at (416 * 3 scalars) || eta || H(mu). */
export const productResponseLength = MASKED_LENGTH + SCALAR_LENGTH + DIGEST_LENGTH;

/** A multiple of the order above any difference of two 48-byte integers. */
const positive = order << 129n;

/** 32 bytes that stand for one product in all its hashes. Throws Abort('invalid_session'). */
function contextOf(setup: OpenedPairSetup, alice: PartyIndex, bob: PartyIndex, pid: Uint8Array): Uint8Array {
  if (pid.length !== PRODUCT_ID_LENGTH)
    throw new Abort('invalid_session', `a product id has ${PRODUCT_ID_LENGTH} bytes, not ${pid.length}`);
  return taggedHash('countersign/v1/dkls23/product', setup.id, uint16(alice), uint16(bob), pid);
}

/** theta_1, theta_2. */
function challengesOf(context: Uint8Array, masked: Uint8Array): readonly [bigint, bigint] {
  const [first, second] = xofScalars('countersign/v1/dkls23/theta', 2, context, masked);
  return [first!, second!];
}

function hashOfMu(context: Uint8Array, mu: readonly bigint[]): Uint8Array {
  const bytes = encodeScalars(mu);
  const digest = taggedHash('countersign/v1/dkls23/mu', context, bytes);
  bytes.fill(0);
  return digest;
}

/** Throws Abort('malformed_message') naming the sender. */
function checkLength(what: string, bytes: Uint8Array, length: number, from: PartyIndex): void {
  if (bytes.length === length) return;
  throw new Abort('malformed_message', `${what} of party ${from} has ${bytes.length} bytes, not ${length}`, {
    culprit: from,
  });
}

export interface AnswerProductOptions {
  readonly setup: OpenedPairSetup;
  /** 32 bytes, never used before. */
  readonly pid: Uint8Array;
  /** Bob's message. */
  readonly request: Uint8Array;
  /** a_1 and a_2, below the order. */
  readonly inputs: readonly [bigint, bigint];
  readonly random: RandomBytes;
}

/** Alice's answer, and her shares. */
export interface AnsweredProduct {
  /** `productResponseLength` bytes for Bob. */
  readonly response: Uint8Array;
  /** SECRET. c_1 and c_2. */
  readonly shares: readonly [bigint, bigint];
}

/**
 * Bob's rows after the check, before anything is computed from them: whoever answers several requests of one message opens
 * all of them first. Throws Abort: malformed_message and transfer_check (ban), both naming the peer; invalid_session.
 */
export function openProductRequest(
  options: Pick<AnswerProductOptions, 'setup' | 'pid' | 'request'>,
): OpenedRequest {
  const { setup, pid, request } = options;
  checkLength('the request for a product', request, productRequestLength, setup.peer);
  const context = contextOf(setup, setup.self, setup.peer, pid);
  const rows = extendAsSender(setup, context, request, setup.peer);
  return { context, delta: setup.delta, rows, erase: () => void rows.fill(0) };
}

/** A request that has passed the check. */
export interface OpenedRequest {
  readonly context: Uint8Array;
  readonly delta: Uint8Array;
  /** SECRET. q_j. */
  readonly rows: Uint8Array;
  erase(): void;
}

/** Alice's side from checked rows, which are erased. */
export function answerOpenedRequest(
  opened: OpenedRequest,
  inputs: readonly [bigint, bigint],
  random: RandomBytes,
): AnsweredProduct {
  const { context, rows, delta } = opened;
  const a3 = randomScalar(group, random);
  const added = [positive + inputs[0], positive + inputs[1], positive + a3] as const;
  const used = rows.subarray(0, GADGET_LENGTH * ROW_LENGTH);
  const zero = padsOf(context, used);
  for (let byte = 0; byte < used.length; byte++) used[byte]! ^= delta[byte % ROW_LENGTH]!;
  const one = padsOf(context, used);
  opened.erase();
  const masked = zero.map((pad, position) => (pad - one[position]! + added[position % PAD_SCALARS]!) % order);
  const at = encodeScalars(masked);
  const [theta1, theta2] = challengesOf(context, at);
  const eta = (a3 + theta1 * inputs[0] + theta2 * inputs[1]) % order;
  const mu: bigint[] = [];
  let first = 0n;
  let second = 0n;
  for (const [j, factor] of gadget.entries()) {
    const [alpha1, alpha2, alpha3] = [
      zero[PAD_SCALARS * j]!,
      zero[PAD_SCALARS * j + 1]!,
      zero[PAD_SCALARS * j + 2]!,
    ];
    mu.push((alpha3 + theta1 * alpha1 + theta2 * alpha2) % order);
    first += factor * alpha1;
    second += factor * alpha2;
  }
  return {
    response: concatBytes(at, encodeScalars([eta]), hashOfMu(context, mu)),
    shares: [group.mod(-first), group.mod(-second)],
  };
}

/**
 * Alice's side of one product. Throws Abort: malformed_message and transfer_check (ban), both naming the peer;
 * invalid_session.
 */
export function answerProduct(options: AnswerProductOptions): AnsweredProduct {
  return answerOpenedRequest(openProductRequest(options), options.inputs, options.random);
}

export interface ProductReceiverOptions {
  readonly setup: OpenedPairSetup;
  /** 32 bytes, never used before. */
  readonly pid: Uint8Array;
  readonly random: RandomBytes;
}

/** Bob's side of one product. */
export class ProductReceiver {
  /** `productRequestLength` bytes for Alice. */
  readonly request: Uint8Array;
  readonly #alice: PartyIndex;
  readonly #context: Uint8Array;
  readonly #choices: Uint8Array;
  readonly #rows: Uint8Array;
  #b: bigint;
  #finished = false;

  /** Throws Abort: invalid_session. */
  static begin(options: ProductReceiverOptions): ProductReceiver {
    return new ProductReceiver(options);
  }

  private constructor({ setup, pid, random }: ProductReceiverOptions) {
    this.#alice = setup.peer;
    this.#context = contextOf(setup, setup.peer, setup.self, pid);
    this.#choices = freshBytes(random, COLUMN_LENGTH);
    const { message, rows } = extendAsReceiver(setup.keyPairs, this.#context, this.#choices);
    this.request = message;
    this.#rows = rows;
    let b = 0n;
    for (let j = 0; j < GADGET_LENGTH; j++) b += [0n, gadget[j]!][bitAt(this.#choices, j)]!;
    this.#b = b % order;
  }

  /** SECRET. Bob's factor; 0 after `erase`. */
  get b(): bigint {
    return this.#b;
  }

  /**
   * d_1 and d_2, once. Throws Abort: malformed_message, malformed_scalar and product_check (ban), naming the peer; finished.
   */
  finish(response: Uint8Array): readonly [bigint, bigint] {
    if (this.#finished) throw new Abort('finished', 'this product has ended');
    this.#finished = true;
    checkLength('the answer to a product', response, productResponseLength, this.#alice);
    const at = response.subarray(0, MASKED_LENGTH);
    const [eta] = integersOf(response.subarray(MASKED_LENGTH, MASKED_LENGTH + SCALAR_LENGTH));
    if (eta! >= order || integersOf(at).some((scalar) => scalar >= order))
      throw new Abort(
        'malformed_scalar',
        `the answer of party ${this.#alice} holds a scalar above the order`,
        {
          culprit: this.#alice,
        },
      );
    const [theta1, theta2] = challengesOf(this.#context, at);
    const gamma = padsOf(this.#context, this.#rows.subarray(0, GADGET_LENGTH * ROW_LENGTH));
    const negated = [0n, order - eta!] as const;
    const masked = this.#chosen(at);
    const mu: bigint[] = [];
    let first = 0n;
    let second = 0n;
    for (const [j, factor] of gadget.entries()) {
      const e1 = gamma[PAD_SCALARS * j]! + masked[PAD_SCALARS * j]!;
      const e2 = gamma[PAD_SCALARS * j + 1]! + masked[PAD_SCALARS * j + 1]!;
      const e3 = gamma[PAD_SCALARS * j + 2]! + masked[PAD_SCALARS * j + 2]!;
      mu.push((e3 + theta1 * e1 + theta2 * e2 + negated[bitAt(this.#choices, j)]!) % order);
      first += factor * e1;
      second += factor * e2;
    }
    if (!equalBytes(hashOfMu(this.#context, mu), response.subarray(MASKED_LENGTH + SCALAR_LENGTH)))
      throw new Abort('product_check', `party ${this.#alice} failed the check of a product`, {
        culprit: this.#alice,
        ban: true,
      });
    return [first % order, second % order];
  }

  /** beta_j at_j for every j: masked as bytes, so that no branch depends on beta. */
  #chosen(at: Uint8Array): bigint[] {
    const bytes = at.slice();
    const length = PAD_SCALARS * SCALAR_LENGTH;
    for (let j = 0; j < GADGET_LENGTH; j++) {
      const mask = -bitAt(this.#choices, j);
      for (let byte = j * length; byte < (j + 1) * length; byte++) bytes[byte]! &= mask;
    }
    const scalars = integersOf(bytes);
    bytes.fill(0);
    return scalars;
  }

  /** Overwrites what is secret, best effort. */
  erase(): void {
    this.#finished = true;
    this.#choices.fill(0);
    this.#rows.fill(0);
    this.#b = 0n;
  }
}
