// Pair setup: what two parties agree on once per epoch, for every ECDSA key of the keyring. Base transfers in both
// directions, and a seed for sharings of zero (DKLs23, ePrint 2023/765, its setup of the functionalities for products and
// zero shares).
//
//   1 nonce     32 bytes for the base transfers' ids; a commitment to this party's half of the seed
//   2 choices   as receiver of base transfers: 128 pairs of points; the opening of the half
//   3 keys      as sender: 128 pairs of points
//   4 confirm   the setup's id, a hash of everything that was sent
//
// The later extension sender (Alice) is the receiver here, and its choice bits are Delta. Nothing in these rounds is checked
// against a secret, so no abort of theirs tells anything of Delta. Unequal ids prove nothing against anybody.
import { equalBytes } from '@noble/curves/utils.js';
import { concatBytes } from '@noble/hashes/utils.js';
import { Abort } from '../abort.ts';
import type { Epoch } from '../dkg/transcript.ts';
import { taggedHash, uint16, uint32, utf8 } from '../hash.ts';
import type { PartyIndex, RandomBytes, Slices, Step } from '../machine.ts';
import { checkParties } from '../parameters.ts';
import { freshBytes } from '../random.ts';
import type { Round } from '../rounds.ts';
import { encodeMessage, MessageKind, RoundMachine } from '../rounds.ts';
import { answerBaseTransfers, BASE_MESSAGE_LENGTH, BaseReceiver, type BaseSent } from './base-transfer.ts';
import { closePairSetup, type PairSetup } from './pair-secrets.ts';
import { ROW_LENGTH } from './parameters.ts';

const PART_LENGTH = 32;

/** Body lengths of the four rounds, in bytes. */
const bodyLengths = {
  nonce: 2 * PART_LENGTH,
  choices: BASE_MESSAGE_LENGTH + 2 * PART_LENGTH,
  keys: BASE_MESSAGE_LENGTH,
  confirm: PART_LENGTH,
} as const;

export interface PairSetupOptions {
  /** 32 bytes, never used before. */
  readonly sid: Uint8Array;
  readonly self: PartyIndex;
  readonly peer: PartyIndex;
  /** The keyring's id, hex. */
  readonly keyringId: string;
  readonly epoch: Epoch;
  readonly random: RandomBytes;
}

/** This party's half of the zero-sharing seed and its salt, 32 bytes each. */
interface SeedHalf {
  readonly half: Uint8Array;
  readonly salt: Uint8Array;
}

/** Throws Abort('invalid_epoch'). */
function encodeEpoch({ roster, run }: Epoch): Uint8Array {
  if (![roster, run].every((part) => Number.isInteger(part) && part >= 0 && part <= 0xffffffff))
    throw new Abort('invalid_epoch', `epoch (${roster}, ${run}) is not a pair of unsigned 32-bit integers`);
  return concatBytes(uint32(roster), uint32(run));
}

/** Output: the setup, the same id on both sides. Its secrets belong to the caller. */
export class PairSetupRun extends RoundMachine<PairSetup> {
  readonly #self: PartyIndex;
  readonly #peer: PartyIndex;
  readonly #random: RandomBytes;
  /** Whom and what this is for: keyring, epoch, and both parties in order. */
  readonly #context: Uint8Array;
  readonly #keyring: readonly [Uint8Array, Uint8Array];
  /** Bodies of rounds 1 to 3, by sender. */
  readonly #bodies = new Map<PartyIndex, Uint8Array[]>();
  #seedHalf: SeedHalf | undefined;
  #delta: Uint8Array | undefined;
  #receiver: BaseReceiver | undefined;
  #sent: BaseSent | undefined;
  #zeroSeed: Uint8Array | undefined;
  #id: Uint8Array | undefined;

  /** Throws Abort: invalid_session, invalid_epoch, invalid_index, duplicate_index. */
  constructor(options: PairSetupOptions) {
    const { sid, self, peer, keyringId, epoch, random } = options;
    const pair = [self, peer].toSorted((a, b) => a - b);
    checkParties(pair, 2, self);
    super(sid, self, pair);
    this.#self = self;
    this.#peer = peer;
    this.#random = random;
    this.#keyring = [utf8(keyringId), encodeEpoch(epoch)];
    this.#context = taggedHash(
      'countersign/v1/dkls23/pair',
      sid,
      ...this.#keyring,
      concatBytes(...pair.map(uint16)),
    );
  }

  protected override readonly rounds: readonly Round<PairSetup>[] = [
    {
      kind: MessageKind.pairNonce,
      check: (from, body) => checkBody(from, body, bodyLengths.nonce),
      receive: (from, body) => this.#keep(from, body),
      complete: () => this.#choose(),
    },
    {
      kind: MessageKind.pairChoices,
      check: (from, body) => checkBody(from, body, bodyLengths.choices),
      receive: (from, body) => this.#receiveChoices(from, body),
      complete: () => this.#send(MessageKind.pairKeys, this.#sent!.message),
    },
    {
      kind: MessageKind.pairKeys,
      check: (from, body) => checkBody(from, body, bodyLengths.keys),
      receive: (from, body) => this.#receiveKeys(from, body),
      complete: () => this.#confirm(),
    },
    {
      kind: MessageKind.pairConfirm,
      check: (from, body) => checkBody(from, body, bodyLengths.confirm),
      receive: (from, body) => this.#compare(from, body),
      complete: () => this.#finish(),
    },
  ];

  protected override begin(): Step<PairSetup> {
    const fresh = (): Uint8Array => freshBytes(this.#random, PART_LENGTH);
    const nonce = fresh();
    this.#seedHalf = { half: fresh(), salt: fresh() };
    const body = concatBytes(nonce, this.#seedDigest(this.#self, this.#seedHalf));
    this.#keep(this.#self, body);
    return this.#send(MessageKind.pairNonce, body);
  }

  /** Round 2: Delta, and this party's choices with it. */
  *#choose(): Slices<PairSetup> {
    this.#delta = freshBytes(this.#random, ROW_LENGTH);
    const receiver = new BaseReceiver(this.#transfersId(this.#peer, this.#self), this.#delta);
    this.#receiver = receiver;
    yield* receiver.begin(this.#random);
    const { half, salt } = this.#seedHalf!;
    const body = concatBytes(receiver.message, half, salt);
    this.#keep(this.#self, body);
    return this.#send(MessageKind.pairChoices, body);
  }

  *#receiveChoices(from: PartyIndex, body: Uint8Array): Generator<undefined, void, undefined> {
    const opened = {
      half: body.subarray(BASE_MESSAGE_LENGTH, BASE_MESSAGE_LENGTH + PART_LENGTH),
      salt: body.subarray(BASE_MESSAGE_LENGTH + PART_LENGTH),
    };
    const committed = this.#bodies.get(from)![0]!.subarray(PART_LENGTH);
    if (!equalBytes(this.#seedDigest(from, opened), committed))
      throw new Abort('opening_mismatch', `party ${from} opens another half of a seed than it committed to`, {
        culprit: from,
      });
    this.#keep(from, body);
    const [lower, higher] = this.#self < from ? [this.#seedHalf!, opened] : [opened, this.#seedHalf!];
    this.#zeroSeed = taggedHash('countersign/v1/dkls23/zero-seed', this.#context, lower.half, higher.half);
    const osid = this.#transfersId(this.#self, from);
    const choices = body.subarray(0, BASE_MESSAGE_LENGTH);
    this.#sent = yield* answerBaseTransfers(osid, choices, from, this.#random);
    this.#keep(this.#self, this.#sent.message);
  }

  *#receiveKeys(from: PartyIndex, body: Uint8Array): Generator<undefined, void, undefined> {
    this.#keep(from, body);
    yield* this.#receiver!.finish(body, from);
  }

  #confirm(): Step<PairSetup> {
    const bodies = [this.#self, this.#peer]
      .toSorted((a, b) => a - b)
      .flatMap((index) => this.#bodies.get(index)!);
    this.#id = taggedHash('countersign/v1/dkls23/pair-id', this.#context, ...bodies);
    return this.#send(MessageKind.pairConfirm, this.#id);
  }

  #compare(from: PartyIndex, body: Uint8Array): void {
    if (equalBytes(body, this.#id!)) return;
    throw new Abort('setup_mismatch', `party ${from} has seen another pair setup than this party`);
  }

  #finish(): Step<PairSetup> {
    const output = closePairSetup({
      self: this.#self,
      peer: this.#peer,
      id: this.#id!,
      delta: this.#delta!,
      chosenKeys: this.#receiver!.keys,
      keyPairs: this.#sent!.keyPairs,
      zeroSeed: this.#zeroSeed!,
    });
    return { messages: [], output };
  }

  /** The id of all base transfers in one direction. */
  #transfersId(sender: PartyIndex, receiver: PartyIndex): Uint8Array {
    const nonces = [this.#self, this.#peer]
      .toSorted((a, b) => a - b)
      .map((index) => this.#bodies.get(index)![0]!.subarray(0, PART_LENGTH));
    const direction = [uint16(sender), uint16(receiver)] as const;
    return taggedHash('countersign/v1/dkls23/base', this.sid, ...this.#keyring, ...direction, ...nonces);
  }

  #seedDigest(party: PartyIndex, { half, salt }: SeedHalf): Uint8Array {
    return taggedHash('countersign/v1/dkls23/zero-commit', this.#context, uint16(party), half, salt);
  }

  #keep(from: PartyIndex, body: Uint8Array): void {
    const bodies = this.#bodies.get(from) ?? [];
    bodies.push(body.slice());
    this.#bodies.set(from, bodies);
  }

  #send(kind: MessageKind, body: Uint8Array): Step<PairSetup> {
    return { messages: [{ to: this.#peer, bytes: encodeMessage(kind, this.sid, body) }] };
  }

  protected override erase(): void {
    this.#receiver?.erase();
    for (const secret of [this.#delta, this.#sent?.keyPairs, this.#zeroSeed]) secret?.fill(0);
    for (const secret of [this.#seedHalf?.half, this.#seedHalf?.salt]) secret?.fill(0);
    for (const body of [...this.#bodies.values()].flat()) body.fill(0);
  }
}

/** Throws Abort('malformed_message') naming the sender. */
function checkBody(from: PartyIndex, body: Uint8Array, length: number): void {
  if (body.length === length) return;
  throw new Abort(
    'malformed_message',
    `a message of pair setup from party ${from} has a body of ${body.length} bytes, not ${length}`,
    { culprit: from },
  );
}
