// ECDSA signing (ePrint 2023/765): one attempt, any number of items, with presignatures or without.
//
// With a presignature for every item: one round, in which each member broadcasts its share of every signature. Without:
// presigning first, in chunks (two rounds each), then the same. Every member combines by itself and verifies each
// signature before it gives it out. A signature that fails names nobody: for three and more members nothing tells whose
// share was false.
import { concatBytes } from '@noble/hashes/utils.js';
import { Abort } from '../abort.ts';
import { checkSet } from '../frost/attempt.ts';
import { taggedHash, uint32 } from '../hash.ts';
import type { PartyIndex, RandomBytes, Slices } from '../machine.ts';
import { checkSessionId } from '../parameters.ts';
import { encodeMessage, MessageKind, type Round, RoundMachine } from '../rounds.ts';
import type { EcdsaKey } from './key.ts';
import {
  combine,
  decodeOnlineShare,
  type Nonce,
  onlineShare,
  type OnlineShare,
  onlineShareLength,
  rerandomise,
  type Target,
  targetOf,
} from './online.ts';
import type { PairSetup } from './pair-secrets.ts';
import { Presign } from './presign.ts';
import { checkLength, chunkSize } from './presign-messages.ts';
import { type Presignature, spendPresignature, takePresignature } from './presignature.ts';
import { Setups } from './setups.ts';

/** Items of one attempt. */
export const maxItems = 50;

export interface EcdsaItem {
  /** The root key. It belongs to the caller, and must live as long as the machine. */
  readonly key: EcdsaKey;
  /** Of a derived key, which is key + offset * G: a scalar, 32 bytes. Absent for the root itself. */
  readonly offset?: Uint8Array;
  /** 32 bytes, computed by this node from the payload. */
  readonly digest: Uint8Array;
  /** Of the root key and this set. The machine owns it, and it is worthless from the constructor on. */
  readonly presignature?: Presignature;
}

export interface EcdsaSigningOptions {
  /** 32 bytes, never used before. */
  readonly sid: Uint8Array;
  readonly self: PartyIndex;
  /** Exactly `threshold` parties, self among them; the order does not matter. */
  readonly set: readonly PartyIndex[];
  /** 1..50; all with a presignature, or none. */
  readonly items: readonly EcdsaItem[];
  /**
   * One with each other member; none when there are presignatures. The machine owns them, and overwrites their secrets
   * at its end.
   */
  readonly setups: ReadonlyMap<PartyIndex, PairSetup>;
  readonly random: RandomBytes;
}

/** Overwrites what is secret in options that no machine will be made of. */
export function eraseEcdsaOptions(options: Pick<EcdsaSigningOptions, 'items' | 'setups'>): void {
  for (const { presignature } of options.items) presignature?.secrets.fill(0);
  for (const { secrets } of options.setups.values()) secrets.fill(0);
}

type Signatures = readonly Uint8Array[];

/**
 * Output: one signature per item, in order, each verified under its key: r || s || recovery id, 65 bytes, of keys for
 * Ethereum; DER of keys for Bitcoin. s is low.
 */
export class EcdsaSigning extends RoundMachine<Signatures> {
  protected override readonly rounds: readonly Round<Signatures>[];
  readonly #self: PartyIndex;
  readonly #targets: readonly Target[];
  readonly #chunks: readonly Presign<Signatures>[];
  readonly #setups: Setups | undefined;
  readonly #presignatures: Presignature[];
  #nonces: readonly Nonce[] = [];
  /** Per member, one per item. */
  readonly #shares = new Map<PartyIndex, readonly OnlineShare[]>();

  /**
   * Throws Abort: invalid_session, item_count, set_size, duplicate_member, self_not_in_set, stranger_in_set,
   * key_mismatch, malformed_digest, malformed_scalar, degenerate_key, degenerate_signature, presignature_unavailable,
   * missing_setup.
   */
  constructor(options: EcdsaSigningOptions) {
    const prepared = prepare(options);
    super(options.sid, options.self, options.set);
    this.#self = options.self;
    this.#targets = prepared.targets;
    this.#presignatures = prepared.presignatures;
    this.#setups = prepared.setups;
    this.#chunks = chunksOf({ ...options, ...prepared });
    this.rounds = [
      ...this.#chunks.flatMap((chunk, at) => chunk.rounds((made) => this.#next(at + 1, made))),
      {
        kind: MessageKind.ecdsaShare,
        check: (from, body) => void this.#decode(from, body),
        receive: (from, body) => void this.#shares.set(from, this.#decode(from, body)),
        complete: () => this.#combine(),
      },
    ];
  }

  protected override begin(): Slices<Signatures> {
    return this.#next(0, []);
  }

  /** The next chunk; after the last, this party's shares. */
  *#next(chunk: number, made: readonly Presignature[]): Slices<Signatures> {
    this.#presignatures.push(...made);
    if (chunk < this.#chunks.length) return { messages: yield* this.#chunks[chunk]!.begin() };
    const shares: Uint8Array[] = [];
    const nonces: Nonce[] = [];
    for (const [item, target] of this.#targets.entries()) {
      if (item > 0) yield;
      const presignature = this.#presignatures[item]!;
      nonces.push(rerandomise(this.sid, target, presignature));
      shares.push(onlineShare(target, nonces[item]!, spendPresignature(presignature)));
    }
    this.#nonces = nonces;
    const body = concatBytes(...shares);
    this.#shares.set(this.#self, this.#decode(this.#self, body));
    return { messages: [{ to: 'all', bytes: encodeMessage(MessageKind.ecdsaShare, this.sid, body) }] };
  }

  /** Throws Abort naming the sender: malformed_message, malformed_share. */
  #decode(from: PartyIndex, body: Uint8Array): OnlineShare[] {
    checkLength(from, body, this.#targets.length * onlineShareLength);
    return this.#targets.map((_, item) =>
      decodeOnlineShare(from, item, body.subarray(item * onlineShareLength, (item + 1) * onlineShareLength)),
    );
  }

  *#combine(): Slices<Signatures> {
    const signatures: Uint8Array[] = [];
    for (const [item, target] of this.#targets.entries()) {
      if (item > 0) yield;
      const shares = [...this.#shares.values()].map((all) => all[item]!);
      signatures.push(combine(target, this.#nonces[item]!, shares));
    }
    return { messages: [], output: signatures };
  }

  protected override erase(): void {
    for (const chunk of this.#chunks) chunk.erase();
    for (const { secrets } of this.#presignatures) secrets.fill(0);
    this.#setups?.erase();
  }
}

/** Checks the options and takes what belongs to the machine; whatever it is not left with is erased. */
function prepare(options: EcdsaSigningOptions): {
  readonly sid: Uint8Array;
  readonly set: readonly PartyIndex[];
  readonly targets: readonly Target[];
  readonly presignatures: Presignature[];
  /** None when there are presignatures. */
  readonly setups: Setups | undefined;
} {
  const { self, items } = options;
  try {
    checkSessionId(options.sid);
    if (items.length > maxItems)
      throw new Abort('item_count', `${items.length} items of one attempt, at most ${maxItems}`);
    checkSet(self, options.set, items);
    const sid = options.sid.slice();
    const set = options.set.toSorted((a, b) => a - b);
    const targets = items.map((item, at) => targetOf(at, item));
    const presignatures = takeAll(items, set);
    if (presignatures.length === 0)
      return { sid, set, targets, presignatures, setups: new Setups(options.setups, self, set) };
    eraseEcdsaOptions(options);
    return { sid, set, targets, presignatures, setups: undefined };
  } catch (error) {
    eraseEcdsaOptions(options);
    throw error;
  }
}

/** Of every item, or of none. Throws Abort('presignature_unavailable'). */
function takeAll(items: readonly EcdsaItem[], set: readonly PartyIndex[]): Presignature[] {
  const taken: Presignature[] = [];
  try {
    for (const { key, presignature } of items)
      if (presignature !== undefined)
        taken.push(takePresignature(presignature, { set, publicKey: key.publicKey }));
    if (taken.length > 0 && taken.length < items.length)
      throw new Abort('presignature_unavailable', `${taken.length} presignatures for ${items.length} items`);
    return taken;
  } catch (error) {
    for (const { secrets } of taken) secrets.fill(0);
    throw error;
  }
}

/** What a presignature is called that is made inside a signing: 32 bytes. */
export function presignatureId(sid: Uint8Array, item: number): Uint8Array {
  return taggedHash('countersign/v1/dkls23/presignature-id', sid, uint32(item));
}

/** Presigning of every item, a few at a time; none without setups. */
function chunksOf(
  options: Omit<EcdsaSigningOptions, 'setups'> & { readonly setups: Setups | undefined },
): Presign<Signatures>[] {
  const { sid, self, set, setups, random } = options;
  if (setups === undefined) return [];
  const items = options.items.map(({ key }, item) => ({
    item,
    id: presignatureId(sid, item),
    key,
  }));
  return Array.from({ length: Math.ceil(items.length / chunkSize) }, (_, chunk) => {
    const own = items.slice(chunk * chunkSize, (chunk + 1) * chunkSize);
    return new Presign({ chunk, sid, self, set, items: own, setups, random });
  });
}
