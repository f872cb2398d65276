// A party that does what a test tells it, among honest ones on virtual time. It has its own key and its channels and
// nothing else: what it can do, any party can.
import assert from 'node:assert/strict';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import { ed25519 } from '@noble/curves/ed25519.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { authorize, type Evidence, verifyKey, type VerifiedKey } from '../../protocol/authorize.ts';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import { type KeyType, verifySignature } from '../../protocol/keys/key-type.ts';
import { type DecodedPayload, decodePayload, type Payload } from '../../protocol/payloads/payload.ts';
import type { Policy } from '../../protocol/policy/schema.ts';
import { type Envelope, readContent, type Signer } from '../../protocol/records/envelope.ts';
import { type PartyResult, partyResult } from '../../protocol/records/party-result.ts';
import { acceptCommitment, attemptIdOf, leaderOrder } from '../../node/sessions/attempt.ts';
import { isEcdsa } from '../../node/mpc/dkls23/key.ts';
import { signDigests } from '../../node/sessions/purpose.ts';
import type { Sessions } from '../../node/sessions/sessions.ts';
import {
  type Accept,
  type Body,
  decodeFrame,
  encodeFrame,
  type Frame,
  type FrameOf,
  type MessageType,
  type NonceCommitmentMessage,
  type Propose,
  type WireContext,
} from '../../node/sessions/wire.ts';
import {
  approve,
  createWorld,
  evidence,
  idOf,
  keyRequest,
  messagePayload,
  networkId,
  seedOf,
  signRequest,
  twoOfThree,
  twoOfThreeAnyChain,
  type World,
} from './fixture.ts';
import {
  type MemorySessionStore,
  type SessionWorldOptions,
  SessionWorld,
  type SimulatedNode,
} from './session-world.ts';

type KeyEntry = Evidence['keys'][number];

interface Keyed {
  readonly world: World;
  readonly entry: KeyEntry;
  readonly key: VerifiedKey;
  readonly stores: readonly MemorySessionStore[];
}

/** Who approves what keys of a type can sign. */
const policies: Readonly<Record<KeyType, Policy>> = {
  ed25519: twoOfThree,
  taproot_secp256k1: twoOfThreeAnyChain,
  ecdsa_secp256k1: twoOfThreeAnyChain,
  bitcoin_secp256k1: twoOfThreeAnyChain,
};

const keyed = new Map<string, Promise<Keyed>>();

async function generate(parties: number, threshold: number, keyType: KeyType): Promise<Keyed> {
  const net = new SessionWorld(createWorld({ parties, threshold, signPolicy: policies[keyType] }));
  await net.bootAll();
  const request = keyRequest(net.world, {
    created: net.clock.now(),
    keyType,
    // The same key whatever ran before.
    nonce: toHex(seedOf('the key of a keyed network').subarray(0, 16)),
  });
  const id = idOf(request);
  for (const node of net.nodes) await node.sessions.submit(evidence(net.world, request));
  await net.until(() => net.nodes.every((node) => node.store.active.has(id)), 60_000, 'the key');
  await net.stop();
  const entry = { request, certificate: [...(net.nodes[0]?.store.active.get(id)?.certificate ?? [])] };
  const key = verifyKey(entry, net.world.keyring, networkId);
  return { world: net.world, entry, key, stores: net.nodes.map((node) => node.store) };
}

/** A text in the form that a key of this type signs. */
export function textFor(keyType: KeyType, text: string): Payload {
  switch (keyType) {
    case 'ed25519':
    case 'taproot_secp256k1':
      return messagePayload(text);
    case 'ecdsa_secp256k1':
      return { kind: 'evm.message', data: toHex(new TextEncoder().encode(text)) };
    case 'bitcoin_secp256k1':
      throw new Error('a key of this type signs PSBTs only');
  }
}

/** A network whose parties have a key already, none of them booted: one key generation for each size. */
export class KeyedNetwork extends SessionWorld {
  /** The key that is to sign, and of a derived one its parent. */
  entry: KeyEntry;
  key: VerifiedKey;
  parent: KeyEntry | undefined;
  /** What requests ask for, one an item. */
  payloads: readonly Payload[];

  private constructor({ world, entry, key, stores }: Keyed, options: SessionWorldOptions) {
    super(world, options);
    this.entry = entry;
    this.key = key;
    // Keys for Bitcoin sign PSBTs only: a test that wants some gives them.
    this.payloads = key.keyType === 'bitcoin_secp256k1' ? [] : [textFor(key.keyType, 'hello')];
    for (const [index, { store }] of this.nodes.entries()) {
      const { pending, active, logs } = stores[index] as MemorySessionStore;
      // The request for the key has brought it.
      for (const [id, workspace] of logs) store.logs.set(id, workspace);
      for (const [id, share] of pending) store.pending.set(id, share);
      for (const [id, share] of active) store.active.set(id, share);
    }
  }

  static async create(
    parties: number,
    threshold: number,
    options: SessionWorldOptions = {},
    keyType: KeyType = 'ed25519',
  ): Promise<KeyedNetwork> {
    const name = `${threshold} of ${parties}, ${keyType}`;
    const made = keyed.get(name) ?? generate(parties, threshold, keyType);
    keyed.set(name, made);
    return new KeyedNetwork(await made, options);
  }

  /** A request for a key that is derived from the network's, and its evidence. */
  derivedKey(path = 'm/0/7'): { id: Hex; request: Envelope; full: Evidence } {
    const { keyType, id: parent } = this.key;
    const created = this.clock.now();
    const request = keyRequest(this.world, { created, keyType, origin: { parent, path }, label: path });
    return { id: idOf(request), request, full: evidence(this.world, request, { keys: [this.entry] }) };
  }

  /** Derives a key at all parties, which are booted: from now on requests are for that one. */
  async derive(path = 'm/0/7'): Promise<Hex> {
    const { id, request, full } = this.derivedKey(path);
    await this.submit(full, [...this.nodes.keys()]);
    const certified = ({ store }: SimulatedNode) => store.derived.get(id)?.certificate;
    await this.until(() => this.nodes.every((node) => certified(node) !== undefined), 60_000, 'the child');
    this.parent = this.entry;
    this.entry = { request, certificate: [...certified(this.node(0))!] };
    this.key = verifyKey(this.entry, this.world.keyring, networkId, [this.parent]);
    return id;
  }

  /** What proves the key that is to sign. */
  get keys(): KeyEntry[] {
    return this.parent === undefined ? [this.entry] : [this.entry, this.parent];
  }

  /** What the items of a request come to. */
  get decoded(): readonly DecodedPayload[] {
    const { keyType, publicKey } = this.key;
    return this.payloads.map((payload) => decodePayload(payload, { keyType, publicKey: fromHex(publicKey) }));
  }

  /** A request for the network's payloads with the approvals it needs, whose first leaders are these parties. */
  messageLedBy(...leaders: readonly number[]): { id: Hex; full: Evidence } {
    const parties = this.world.parties.map((party) => party.credential);
    for (;;) {
      const created = this.clock.now();
      const items = this.payloads.map((payload) => ({ keyId: this.key.id, payload }));
      const request = signRequest(this.world, items, { created });
      const id = idOf(request);
      const order = leaderOrder(parties, id);
      if (!leaders.every((leader, turn) => order[turn] === parties[leader])) continue;
      const decisions = [approve(this.world, id, 'bob', { expires: created + 3_600_000 })];
      return { id, full: evidence(this.world, request, { keys: this.keys, decisions }) };
    }
  }

  node(index: number): SimulatedNode {
    return this.nodes[index] as SimulatedNode;
  }

  /** What a party has to say about a request, if it has. */
  resultAt(index: number, id: Hex): PartyResult['result'] | undefined {
    const envelope = this.node(index).store.finished.get(id);
    return envelope && readContent(partyResult, envelope, networkId).content.result;
  }

  /** Until these parties have a result; asserts that it is the signatures. */
  async signedBy(id: Hex, indices: readonly number[], ms = 120_000): Promise<void> {
    const store = (index: number): MemorySessionStore => this.node(index).store;
    await this.until(() => indices.every((index) => store(index).finished.has(id)), ms, 'the signature');
    for (const index of indices) {
      const result = this.resultAt(index, id);
      assert(result?.kind === 'signatures', JSON.stringify(result));
      assert.equal(result.signatures.length, this.payloads.length);
      for (const [item, { publicKey, message }] of this.decoded.entries())
        assert(verifySignature(this.key.keyType, publicKey, message, fromHex(result.signatures[item]!)));
    }
  }

  /** What a party has logged under an event's name. */
  logged(index: number, event: string): Record<string, unknown>[] {
    return this.node(index).logged.flatMap((line) => (line.event === event ? [line.fields] : []));
  }

  /** Hands the request to these parties. */
  async submit(full: Evidence, indices: readonly number[]): Promise<void> {
    for (const index of indices) await this.node(index).sessions.submit(full);
  }

  /** A message as if it came from `from` now. */
  async deliver(from: string, to: number, bytes: Uint8Array): Promise<void> {
    await this.node(to).sessions.receive(from, bytes);
    await this.settle();
  }
}

export interface Attempt {
  readonly attemptId: string;
  readonly propose: Propose;
  readonly frame: Uint8Array;
  readonly accept: Uint8Array;
  readonly salt: Uint8Array;
}

const basePoints: Readonly<Record<KeyType, Uint8Array>> = {
  ed25519: ed25519.Point.BASE.toBytes(),
  taproot_secp256k1: secp256k1.Point.BASE.toBytes(),
  ecdsa_secp256k1: secp256k1.Point.BASE.toBytes(),
  bitcoin_secp256k1: secp256k1.Point.BASE.toBytes(),
};

export class Attacker {
  readonly index: number;
  readonly signer: Signer;
  readonly received: { from: string; frame: Frame }[] = [];
  /** What it does with a message. */
  onFrame: (from: string, frame: Frame) => void = () => undefined;
  readonly #net: KeyedNetwork;
  #drawn = 0;

  /** Takes the place of a party; before the honest ones boot, so that they see it from the start. */
  constructor(net: KeyedNetwork, index: number) {
    this.#net = net;
    this.index = index;
    const node = net.node(index);
    this.signer = node.party;
    node.boot = '0a'.repeat(16);
    node.alive = true;
    const scripted: Pick<Sessions, 'receive' | 'peer' | 'stop'> = {
      receive: async (from, bytes) => {
        const frame = decodeFrame(bytes);
        this.received.push({ from, frame });
        this.onFrame(from, frame);
      },
      peer: () => undefined,
      stop: async () => undefined,
    };
    node.sessions = scripted as Sessions;
  }

  get wire(): WireContext {
    return { networkId, keyringId: this.#net.world.keyring.id };
  }

  #fresh(): Uint8Array {
    return seedOf('attacker', this.index, ++this.#drawn);
  }

  encode<Type extends MessageType>(type: Type, content: Body<Type>, wire = this.wire): Uint8Array {
    return encodeFrame(type, content, wire, this.signer);
  }

  /** Brings a party a request, and waits for what that makes of it. */
  bring(to: number, requestId: Hex, full: Evidence): Promise<void> {
    const bytes = utf8ToBytes(JSON.stringify(full));
    return this.#net.deliver(
      this.signer.credential,
      to,
      this.encode('evidence', { requestId, evidence: bytes }),
    );
  }

  /** Over the channel to one party, `after` milliseconds from now. */
  send(to: number | string, bytes: Uint8Array, after = 1): void {
    const node = this.#net.nodes.find(
      (each, index) => index === to || each.party.credential === to,
    ) as SimulatedNode;
    this.#net.clock.after(after, () => {
      if (node.alive) void node.sessions.receive(this.signer.credential, bytes);
    });
  }

  toAll(bytes: Uint8Array, after = 1): void {
    for (const index of this.#net.nodes.keys()) if (index !== this.index) this.send(index, bytes, after);
  }

  /** An attempt of its own, with what an honest leader would propose but for `changes`. */
  attempt(full: Evidence, counter = 1, changes: Partial<Propose> = {}): Attempt {
    const { keyring } = this.#net.world;
    const verdict = authorize(full, { networkId, now: this.#net.clock.now(), keyringId: keyring.id });
    assert(verdict.verdict === 'authorised');
    const { requestId, workspace } = verdict.authorisation;
    const unsealed: Propose = {
      purpose: 'sign',
      requestId,
      keyringId: keyring.id,
      epoch: keyring.epoch,
      leader: this.signer.credential,
      boot: '0a'.repeat(16),
      counter,
      digests: [...signDigests(verdict.authorisation)],
      logHead: workspace.head,
      commitment: new Uint8Array(32),
      order: keyring.roster.parties.map((party) => party.key),
      ...(isEcdsa(this.#net.key.keyType) && { sets: [] }),
      ...changes,
    };
    const attemptId = attemptIdOf(unsealed, networkId);
    const accept = this.accept(attemptId, unsealed);
    const salt = this.#fresh();
    const propose = { ...unsealed, commitment: acceptCommitment(accept, salt), ...changes };
    return { attemptId, propose, frame: this.encode('propose', propose), accept, salt };
  }

  /** Commitments to a nonce pair that nobody could sign with. */
  get noncePair(): NonceCommitmentMessage {
    const point = basePoints[this.#net.key.keyType];
    return { hiding: point, binding: point };
  }

  /** Its ACCEPT of an attempt: fresh bytes, and points that nobody could sign with. */
  accept(attemptId: string, propose: Propose, changes: Partial<Accept> = {}): Uint8Array {
    const isFrost = propose.purpose === 'sign' && propose.sets === undefined;
    const nonces = isFrost ? propose.digests.map(() => this.noncePair) : [];
    const { logHead } = propose;
    const party = this.signer.credential;
    return this.encode('accept', { attemptId, party, entropy: this.#fresh(), nonces, logHead, ...changes });
  }

  /** ACCEPTs of an attempt that have reached it, by party. */
  accepts(attemptId: string): ReadonlyMap<string, FrameOf<'accept'>> {
    const frames = this.received.flatMap(({ from, frame }) =>
      frame.type === 'accept' && frame.content.attemptId === attemptId ? [[from, frame] as const] : [],
    );
    return new Map(frames);
  }

  start(attempt: Attempt, accepts: readonly Uint8Array[], changes: Partial<Body<'start'>> = {}): Uint8Array {
    return this.encode('start', {
      propose: attempt.frame,
      accepts: [...accepts],
      salt: attempt.salt,
      ...changes,
    });
  }

  abort(attemptId: string, requestId: Hex): Uint8Array {
    return this.encode('abort', { attemptId, requestId, code: 'round_timeout', awaited: [] });
  }
}

/** Everything of a type that left a node for one party or for all. */
export function framesSent<Type extends MessageType>(
  net: SessionWorld,
  from: string,
  type: Type,
): { to: string | undefined; frame: FrameOf<Type> }[] {
  return net.sent.flatMap((sent) => {
    const frame = decodeFrame(sent.bytes);
    return sent.from === from && frame.type === type ? [{ to: sent.to, frame: frame as FrameOf<Type> }] : [];
  });
}

/** Signatures of a request, one an item, made by all parties in another network of the same three. */
export async function signedElsewhere(full: Evidence, id: Hex): Promise<Uint8Array[]> {
  const net = await KeyedNetwork.create(3, 2);
  await net.bootAll();
  await net.submit(full, [0, 1, 2]);
  await net.signedBy(id, [0, 1, 2]);
  const result = net.resultAt(0, id);
  await net.stop();
  assert(result?.kind === 'signatures');
  return result.signatures.map((signature) => fromHex(signature as Hex));
}
