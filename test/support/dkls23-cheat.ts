// A member of a presigning that plays by the rules but where its `Cheat` says otherwise, one item. Its algebra is written
// anew from the paper (over the code's products and encodings), so that what it sends is consistent wherever it wants:
// flipped bits are caught by the first check; this one gets as far as the check it is aimed at. It checks nothing.
import { encodeMessage, openMessage, presignKinds } from '../../node/mpc/rounds.ts';
import { openPairSetup, type OpenedPairSetup, zeroShare } from '../../node/mpc/dkls23/pair-secrets.ts';
import {
  decodeCommit,
  decodeMultiply,
  encodeCommit,
  encodeMultiply,
  type MultiplyItem,
  nonceCommitment,
  productId,
} from '../../node/mpc/dkls23/presign-messages.ts';
import { encodePresignatureSecrets, type Presignature } from '../../node/mpc/dkls23/presignature.ts';
import type { PresigningOptions } from '../../node/mpc/dkls23/presigning.ts';
import { answerProduct, ProductReceiver } from '../../node/mpc/dkls23/product.ts';
import { secp256k1Group as group } from '../../node/mpc/group.ts';
import type { Machine, Outgoing, PartyIndex, Step } from '../../node/mpc/machine.ts';
import { randomScalar } from '../../node/mpc/random.ts';
import { lagrangeAtZero } from './dkls23-parties.ts';

export interface Cheat {
  /** What is behind R, instead of a random number. */
  readonly k?: bigint;
  /** What is added to sk everywhere. */
  readonly addedToShare?: bigint;
  /** What goes into the product with this member. */
  inputs?(k: bigint, sk: bigint, peer: PartyIndex): readonly [bigint, bigint];
  /** The salt that the commitment shown to this member is made with. */
  salt?(peer: PartyIndex): Uint8Array;
  /** What is sent to this member in the second round. */
  multiply?(item: MultiplyItem, peer: PartyIndex): MultiplyItem;
  echo?(echo: Uint8Array[], peer: PartyIndex): Uint8Array[];
}

type Made = readonly Presignature[];
const { commit: commitKind, multiply: multiplyKind } = presignKinds(0);

export class CheatingPresigner implements Machine<Made> {
  readonly #options: PresigningOptions;
  readonly #cheat: Cheat;
  readonly #set: readonly PartyIndex[];
  readonly #others: readonly PartyIndex[];
  readonly #setups = new Map<PartyIndex, OpenedPairSetup>();
  readonly #receivers = new Map<PartyIndex, ProductReceiver>();
  readonly #commits = new Map<PartyIndex, ReturnType<typeof decodeCommit>[number]>();
  readonly #multiplies = new Map<PartyIndex, MultiplyItem>();
  readonly #k: bigint;
  readonly #phi: bigint;
  #sk = 0n;
  #sums = { u: 0n, v: 0n };

  constructor(options: PresigningOptions, cheat: Cheat = {}) {
    this.#options = options;
    this.#cheat = cheat;
    this.#set = options.set.toSorted((a, b) => a - b);
    this.#others = this.#set.filter((index) => index !== options.self);
    this.#k = cheat.k ?? randomScalar(group, options.random);
    this.#phi = randomScalar(group, options.random);
    for (const peer of this.#others)
      this.#setups.set(peer, openPairSetup(options.setups.get(peer)!, options.self));
  }

  #salt(peer: PartyIndex): Uint8Array {
    return this.#cheat.salt?.(peer) ?? new Uint8Array(32).fill(7);
  }

  #nonce(): Uint8Array {
    return group.encodePoint(group.multiplyBase(this.#k));
  }

  start(): Step<Made> {
    const { sid, self, key, random } = this.#options;
    this.#sk = lagrangeAtZero(this.#set, self) * group.decodeScalar(key.signingShare);
    for (const setup of this.#setups.values()) this.#sk += zeroShare(setup, sid, 0);
    this.#sk = group.mod(this.#sk + (this.#cheat.addedToShare ?? 0n));
    const messages = this.#others.map((to): Outgoing => {
      const setup = this.#setups.get(to)!;
      const receiver = ProductReceiver.begin({ setup, pid: productId(sid, 0, to, self), random });
      this.#receivers.set(to, receiver);
      const commitment = nonceCommitment(sid, 0, self, this.#nonce(), this.#salt(to));
      const body = encodeCommit(setup.id, [{ commitment, request: receiver.request }]);
      return { to, bytes: encodeMessage(commitKind, sid, body) };
    });
    return { messages };
  }

  receive(from: PartyIndex, bytes: Uint8Array): Step<Made> {
    const { round, body } = openMessage([commitKind, multiplyKind], this.#options.sid, from, bytes)!;
    if (round === 0) this.#commits.set(from, decodeCommit(body, 1)[0]!);
    else this.#multiplies.set(from, decodeMultiply(body, 1).items[0]!);
    const all = this.#others.length;
    const messages = round === 0 && this.#commits.size === all ? this.#multiply() : [];
    if (this.#commits.size < all || this.#multiplies.size < all) return { messages };
    return { messages, output: [this.#finish()] };
  }

  #multiply(): Outgoing[] {
    const { sid, self, random } = this.#options;
    return this.#others.map((to) => {
      const setup = this.#setups.get(to)!;
      const inputs = this.#cheat.inputs?.(this.#k, this.#sk, to) ?? ([this.#k, this.#sk] as const);
      const { request } = this.#commits.get(to)!;
      const product = answerProduct({ setup, pid: productId(sid, 0, self, to), request, inputs, random });
      const [cu, cv] = product.shares;
      this.#sums.u += cu;
      this.#sums.v += cv;
      const item: MultiplyItem = {
        nonce: this.#nonce(),
        salt: this.#salt(to),
        response: product.response,
        gammaU: group.encodePoint(group.multiplyBase(cu)),
        gammaV: group.encodePoint(group.multiplyBase(cv)),
        psi: group.encodeScalar(group.mod(this.#phi - this.#receivers.get(to)!.b)),
        publicShare: group.encodePoint(group.multiplyBase(this.#sk)),
      };
      const echo = this.#set.map((index) =>
        index === self
          ? nonceCommitment(sid, 0, self, this.#nonce(), this.#salt(to))
          : this.#commits.get(index)!.commitment,
      );
      const body = encodeMultiply(
        setup.id,
        [this.#cheat.multiply?.(item, to) ?? item],
        this.#cheat.echo?.(echo, to) ?? echo,
      );
      return { to, bytes: encodeMessage(multiplyKind, sid, body) };
    });
  }

  #finish(): Presignature {
    const { key, ids } = this.#options;
    let psi = this.#phi;
    let { u, v } = this.#sums;
    let sum = group.multiplyBase(this.#k);
    for (const [from, item] of this.#multiplies) {
      const [du, dv] = this.#receivers.get(from)!.finish(item.response);
      u += du;
      v += dv;
      psi += group.decodeScalar(item.psi);
      sum = sum.add(group.decodePoint(item.nonce));
    }
    const secrets = encodePresignatureSecrets({
      phi: this.#phi,
      u: group.mod(this.#k * psi + u),
      v: group.mod(this.#sk * psi + v),
    });
    return {
      id: ids[0]!,
      set: this.#set,
      publicKey: key.publicKey,
      nonce: sum.is0() ? new Uint8Array(33) : group.encodePoint(sum),
      secrets,
    };
  }

  awaited(): readonly PartyIndex[] {
    return [];
  }

  destroy(): void {
    for (const setup of this.#setups.values()) setup.erase();
  }
}
