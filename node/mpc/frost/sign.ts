// FROST signing (RFC 9591 section 5.2 and 5.3): one attempt, one round, any number of items.
//
// Commitments were exchanged before, with the agreement on the attempt. Every member broadcasts one share per item,
// collects the others', aggregates by itself and verifies the signature before it gives it out. There is no coordinator
// to trust, and a signature that fails names the member whose share is bad. That is proof only because the session id
// fixes the set, the items and all commitments: a member that was shown others has another session id, and its messages
// are dropped, not blamed. The shares themselves are the RFC's and carry nothing of the session.
import { concatBytes } from '@noble/hashes/utils.js';
import { Abort } from '../abort.ts';
import type { Group } from '../group.ts';
import type { PartyIndex, Slices } from '../machine.ts';
import type { Round } from '../rounds.ts';
import { encodeMessage, MessageKind, RoundMachine } from '../rounds.ts';
import { checkSet, commitmentsPerItem } from './attempt.ts';
import type { SigningItem } from './attempt.ts';
import type { NonceCommitment, NonceCommitments, OneTimeNonces } from './nonces.ts';
import { commitmentList } from './nonces.ts';
import { checkNonceCommitment, checkShareBody, isShareValid, splitShares } from './shares.ts';

export interface FrostSigningOptions {
  /** 32 bytes, never used before. */
  readonly sid: Uint8Array;
  readonly self: PartyIndex;
  /** Exactly `threshold` parties, self among them; the order does not matter. */
  readonly set: readonly PartyIndex[];
  readonly items: readonly SigningItem[];
  /** Of every member of the set, self included: one per item. */
  readonly commitments: ReadonlyMap<PartyIndex, readonly NonceCommitment[]>;
  /** Taken from the store for this attempt. The machine owns them from here on: they are burnt, whatever happens. */
  readonly nonces: OneTimeNonces;
}

/** Output: one signature per item, in order, each verified under its key (64 bytes, RFC 8032, for ed25519). */
export class FrostSigning extends RoundMachine<readonly Uint8Array[]> {
  readonly #self: PartyIndex;
  readonly #items: readonly SigningItem[];
  readonly #commitments: readonly NonceCommitments[];
  readonly #nonces: OneTimeNonces;
  /** Encoded scalars per member, one per item. */
  readonly #shares = new Map<PartyIndex, readonly Uint8Array[]>();

  /**
   * Throws Abort: invalid_session, set_size, duplicate_member, self_not_in_set, stranger_in_set, key_mismatch,
   * item_count, stranger_commitment, missing_commitment, commitment_count, own_commitment_mismatch.
   */
  constructor(options: FrostSigningOptions) {
    const { sid, self, set, items, nonces } = options;
    try {
      checkSet(self, set, items);
      super(sid, self, set);
      this.#commitments = commitmentsPerItem(options);
    } catch (error) {
      nonces.destroy();
      throw error;
    }
    this.#self = self;
    this.#items = items.map(({ key, message }) => ({ key, message: message.slice() }));
    this.#nonces = nonces;
  }

  protected override readonly rounds: readonly Round<readonly Uint8Array[]>[] = [
    {
      kind: MessageKind.frostShare,
      check: (from, body) => checkShareBody(this.#groups, from, body),
      receive: (from, body) => void this.#shares.set(from, splitShares(this.#groups, body)),
      complete: () => this.#finish(),
    },
  ];

  protected override *begin(): Slices<readonly Uint8Array[]> {
    const shares: Uint8Array[] = [];
    for (const item of this.#items.keys()) {
      if (item > 0) yield;
      shares.push(this.#sign(item));
    }
    this.#shares.set(this.#self, shares);
    const bytes = encodeMessage(MessageKind.frostShare, this.sid, concatBytes(...shares));
    return { messages: [{ to: 'all', bytes }] };
  }

  *#finish(): Slices<readonly Uint8Array[]> {
    const signatures: Uint8Array[] = [];
    for (const item of this.#items.keys()) {
      if (item > 0) yield;
      signatures.push(this.#aggregate(item));
    }
    return { messages: [], output: signatures };
  }

  #sign(item: number): Uint8Array {
    const { key, message } = this.#items[item]!;
    try {
      return this.#nonces.sign(item, key, this.#commitments[item]!, message);
    } catch (error) {
      // The library refuses commitments that are no valid points without saying whose: find out, then.
      this.#blameCommitments(item);
      throw error;
    }
  }

  #blameCommitments(item: number): void {
    const { group } = this.#items[item]!.key.suite;
    for (const [index, commitment] of this.#commitments[item]!)
      checkNonceCommitment(group, item, index, commitment);
  }

  get #groups(): Group[] {
    return this.#items.map(({ key }) => key.suite.group);
  }

  #aggregate(item: number): Uint8Array {
    const { key, message } = this.#items[item]!;
    const list = commitmentList(key, this.#commitments[item]!);
    const shares = Object.fromEntries(
      [...this.#shares].map(([index, all]) => [key.identifierOf(index), Uint8Array.from(all[item]!)]),
    );
    let signature: Uint8Array | undefined;
    try {
      signature = key.suite.frost.aggregate(key.public, list, message, shares);
    } catch {
      // The library verifies what it aggregates; whose share is bad is found out below.
    }
    if (signature !== undefined && key.suite.verify(key.publicKey, message, signature)) return signature;
    throw this.#blame(item);
  }

  /** Verifies every share by itself. This party has signed with these commitments: all of them are valid points. */
  #blame(item: number): Abort {
    const { key, message } = this.#items[item]!;
    const commitments = this.#commitments[item]!;
    const guilty = [...this.#shares.keys()]
      .toSorted((a, b) => a - b)
      .filter((index) => !isShareValid(key, commitments, message, index, this.#shares.get(index)![item]!));
    const culprit = guilty.find((index) => index !== this.#self);
    if (culprit !== undefined)
      return new Abort(
        'invalid_share',
        `bad signature share for item ${item} from party ${guilty.join(', ')}`,
        {
          culprit,
        },
      );
    if (guilty.length > 0)
      return new Abort('own_share_invalid', `this party's share for item ${item} is bad`);
    return new Abort(
      'invalid_signature',
      `the signature for item ${item} does not verify, though every share does`,
    );
  }

  protected override erase(): void {
    // Shares of an attempt are public; only the nonces are not. The keys belong to the caller.
    this.#nonces.destroy();
  }
}
