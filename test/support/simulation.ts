// A whole network of nodes in one process on virtual time, from one seed: delays, loss, duplicates, another order,
// partitions, crashes at every read and durable write, and a party that cheats. What must hold is checked after every step.
import assert from 'node:assert/strict';
import { bytesToHex } from '@noble/hashes/utils.js';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import { verify } from '../../protocol/keys/ed25519.ts';
import { verifyCertificate } from '../../protocol/keys/certificate.ts';
import { decodePayload } from '../../protocol/payloads/payload.ts';
import { readContent } from '../../protocol/records/envelope.ts';
import { partyResult } from '../../protocol/records/party-result.ts';
import { request as requestRecord } from '../../protocol/records/request.ts';
import { attemptIdOf } from '../../node/sessions/attempt.ts';
import { decodeFrame, type Frame } from '../../node/sessions/wire.ts';
import { Chance } from './chance.ts';
import { cheated } from './cheat.ts';
import {
  approve,
  evidence,
  idOf,
  keyRequest,
  messagePayload,
  networkId,
  seedOf,
  signRequest,
} from './fixture.ts';
import type { Sent, SimulatedNode } from './session-world.ts';
import { KeyedNetwork } from './session-attacker.ts';
import { SimulatedSpending } from './simulated-spending.ts';
import { assertEnded, type Wanted } from './simulation-end.ts';

export interface SimulationOptions {
  readonly seed: number;
  readonly parties: number;
  readonly threshold: number;
  /** Whether one party cheats, as long as the network is in trouble and after. */
  readonly cheat: boolean;
}

export interface SimulationReport {
  readonly crashes: number;
  readonly cuts: number;
  readonly messages: number;
  readonly steps: number;
  readonly signed: number;
  readonly ended: number;
  /** Lamports that left under the limit, and that may leave. */
  readonly left: number;
  readonly most: number;
}

/** Virtual milliseconds of trouble, and after it until everything must have ended. */
const trouble = 90_000;
const afterwards = 20 * 60_000;

/** How far behind the cheat's clock is, in milliseconds: less than makes new requests look too early. */
const cheatIsLate = 4 * 60_000;

const writes = new Set([
  'putJob',
  'markStarted',
  'finishJob',
  'putPendingShare',
  'activateKey',
  'rememberHead',
  'setHeldDecisions',
]);

class Simulation {
  readonly #options: SimulationOptions;
  readonly #chance: Chance;
  readonly #net: KeyedNetwork;
  readonly #spending: SimulatedSpending;
  readonly cheat: number | undefined;
  readonly #wanted: Wanted[] = [];
  #isTrouble = true;
  #crashes = 0;
  #cuts = 0;
  #steps = 0;
  /** Of what was sent: thrown where no node can catch it. */
  #failure: Error | undefined;
  /** The request of each attempt that was proposed. */
  readonly #attempts = new Map<string, Hex>();
  /** Nonce commitments seen in an ACCEPT, with the attempt they were made for. */
  readonly #nonces = new Map<string, string>();
  /** Shares seen: `party/attempt` with the bytes of its message. */
  readonly #shares = new Map<string, string>();
  /** What each party has said for good. */
  readonly #final = new Map<string, string>();

  private constructor(options: SimulationOptions, chance: Chance, net: KeyedNetwork) {
    this.#options = options;
    this.#chance = chance;
    this.#net = net;
    this.cheat = options.cheat ? chance.below(options.parties) : undefined;
    this.#spending = new SimulatedSpending(net, { ...options, liars: options.cheat ? 1 : 0 });
  }

  static async create(options: SimulationOptions): Promise<Simulation> {
    const chance = new Chance(options.seed);
    const links: { simulation?: Simulation } = {};
    const net = await KeyedNetwork.create(options.parties, options.threshold, {
      seed: `simulation ${options.seed}`,
      delays: (sent) => links.simulation?.delays(sent) ?? [1],
      intercept: (sent) => (links.simulation ? links.simulation.intercept(sent) : sent.bytes),
      // The cheat believes what has run out: it proposes what the others must refuse.
      skew: (index) => (index === links.simulation?.cheat ? -cheatIsLate : 0),
    });
    const simulation: Simulation = new Simulation(options, chance, net);
    links.simulation = simulation;
    return simulation;
  }

  delays(sent: Sent): readonly number[] {
    const chance = this.#chance;
    const delay = (): number => 1 + chance.below(chance.happens(0.1) ? 3000 : 80);
    if (sent.to !== undefined) return [this.#isTrouble ? delay() : 1];
    if (!this.#isTrouble) return [4];
    if (chance.happens(0.2)) return [];
    return chance.happens(0.2) ? [delay(), delay()] : [delay()];
  }

  /** What the cheating party sends instead: everything in its power, which is to sign anything with its own key. */
  intercept(sent: Sent): Uint8Array | undefined {
    const cheat = this.cheat === undefined ? undefined : this.#net.nodes[this.cheat];
    if (cheat?.party.credential !== sent.from) {
      this.#checkSent(sent);
      return sent.bytes;
    }
    const { nodes, world, sent: before } = this.#net;
    const arriving =
      cheat &&
      cheated(sent.bytes, {
        chance: this.#chance,
        signer: cheat.party,
        wire: { networkId, keyringId: world.keyring.id },
        parties: nodes.map(({ party }) => party.credential),
        requests: this.#wanted.map(({ id }) => id),
        before,
      });
    if (arriving) this.#noteAttempt(arriving);
    return arriving;
  }

  #noteAttempt(bytes: Uint8Array): void {
    try {
      const frame = decodeFrame(bytes);
      if (frame.type === 'propose')
        this.#attempts.set(attemptIdOf(frame.content, networkId), frame.content.requestId);
    } catch {
      // No message at all: nobody will take part in it.
    }
  }

  /** A node that dies at some read or write of its store, and comes back. */
  #hazard(node: SimulatedNode, index: number): void {
    const die = (): void => {
      this.#crashes += 1;
      this.#net.kill(index);
      this.#net.clock.after(1 + this.#chance.below(8000), () => void this.#reboot(index));
    };
    node.store.beforeWrite = () => {
      if (!this.#isTrouble || !node.alive || !this.#chance.happens(0.03)) return;
      die();
      throw new Error('killed before a write');
    };
    node.store.afterCall = (name) => {
      if (!this.#isTrouble || !node.alive) return;
      if (this.#chance.happens(writes.has(name) ? 0.03 : 0.001)) die();
    };
  }

  /** The cheat has forgotten whenever it starts what was taken from limits. */
  async #reboot(index: number): Promise<void> {
    const { alive, store } = this.#net.node(index);
    if (alive) return;
    if (index === this.cheat) store.debited.clear();
    await this.#net.boot(index);
  }

  /** As a connector does: again and again, until the node has it. Evidence may be incomplete at first. */
  async #hand(index: number, { full, kind }: Wanted, whole: boolean): Promise<void> {
    const node = this.#net.node(index);
    if (!node.alive) return;
    const given = whole || kind !== 'sign' ? full : { ...full, decisions: [] };
    // What the node says is for its connector; a refusal is looked at in the end.
    void node.sessions.submit(given).catch(() => undefined);
  }

  #want(): void {
    const { clock, entry, key } = this.#net;
    const { world } = this.#spending;
    const log = [...world.workspace.log];
    const created = clock.now();
    const payload = messagePayload(`message ${this.#wanted.length}`);
    const nonce = toHex(seedOf('wanted', this.#options.seed, this.#wanted.length).subarray(0, 16));
    const request = signRequest(world, [{ keyId: key.id, payload }], { created, nonce });
    const draw = this.#chance.next();
    const id = idOf(request);
    const decisions = [approve(world, id, 'bob', { expires: created + 3_600_000 })];
    const keys = [entry];
    if (draw < 0.6)
      this.#wanted.push({ id, kind: 'sign', full: evidence(world, request, { log, keys, decisions }) });
    else if (draw < 0.8) {
      const past = [approve(world, id, 'bob', { expires: created - 1000 })];
      this.#wanted.push({
        id,
        kind: 'unapproved',
        full: evidence(world, request, { log, keys, decisions: past }),
      });
    } else {
      const made = keyRequest(world, { created, nonce, label: `key ${this.#wanted.length}` });
      this.#wanted.push({ id: idOf(made), kind: 'key', full: evidence(world, made, { log }) });
    }
  }

  /** Everything that must hold, now. */
  #check(): void {
    if (this.#failure) throw this.#failure;
    for (const [index, node] of this.#net.nodes.entries()) {
      if (index !== this.cheat) this.#checkStore(node);
    }
    this.#spending.signed();
  }

  /** What leaves an honest party, when it leaves. */
  #checkSent(sent: Sent): void {
    try {
      this.#checkFrame(sent, decodeFrame(sent.bytes));
    } catch (error) {
      this.#failure ??= error as Error;
    }
  }

  #checkFrame(sent: Sent, frame: Frame): void {
    if (frame.type === 'propose') {
      this.#noteAttempt(sent.bytes);
      this.#mayTakePart(sent, frame.content.requestId);
    }
    if (frame.type === 'accept') {
      this.#mayTakePart(sent, this.#attempts.get(frame.content.attemptId));
      for (const { hiding, binding } of frame.content.nonces) {
        const nonce = bytesToHex(hiding) + bytesToHex(binding);
        const attempt: string = `${sent.from}/${frame.content.attemptId}`;
        assert.equal(this.#nonces.get(nonce) ?? attempt, attempt, 'a nonce pair was committed to twice');
        this.#nonces.set(nonce, attempt);
      }
    }
    if (frame.type === 'start') {
      for (const accept of frame.content.accepts) {
        const own = decodeFrame(accept);
        if (own.type === 'accept' && own.content.party === sent.from) this.#checkFrame(sent, own);
      }
    }
    if (frame.type === 'round') {
      const { attemptId, sid, message } = frame.content;
      this.#mayTakePart(sent, this.#attempts.get(attemptId));
      // A dealt share is for one receiver; all else is the same for all.
      const place = `${sent.from}/${attemptId}/${bytesToHex(sid)}/${message[0]}/${sent.to}`;
      const before = this.#shares.get(place);
      const bytes = bytesToHex(message);
      assert(before === undefined || before === bytes, 'two messages of one round in one session');
      this.#shares.set(place, bytes);
    }
  }

  /** Only what is authorised, and only once that this party has begun is on its disk. */
  #mayTakePart({ from }: Sent, requestId: Hex | undefined): void {
    const wanted = this.#wanted.find(({ id }) => id === requestId);
    assert(wanted && wanted.kind !== 'unapproved', `took part in ${requestId} without approvals`);
    const node = this.#net.nodes.find(({ party }) => party.credential === from);
    assert.notEqual(node?.store.jobs.get(wanted.id)?.state, 'stored', 'took part before it was durable');
    if (node) this.#spending.leaves(node, wanted.id);
  }

  #checkStore(node: SimulatedNode): void {
    const { keyring } = this.#net.world;
    for (const { id, kind, full } of this.#wanted) {
      if (kind === 'unapproved') assert.notEqual(node.store.jobs.get(id)?.state, 'started');
      const envelope = node.store.finished.get(id);
      if (envelope === undefined) continue;
      const place = `${node.party.credential}/${id}`;
      if (this.#final.get(place) === envelope.bytes) continue;
      const before = this.#final.get(place);
      const { content } = readContent(partyResult, envelope, networkId);
      assert(before === undefined || content.result.kind === 'signatures', 'a result was replaced');
      this.#final.set(place, envelope.bytes);
      if (content.result.kind !== 'signatures') continue;
      const publicKey = fromHex(this.#net.key.publicKey);
      const { content: request } = readContent(requestRecord, full.request, networkId);
      assert(request.kind === 'sign');
      const payload = decodePayload(request.items[0]!.payload, { keyType: 'ed25519', publicKey });
      const signature = fromHex(content.result.signatures[0] as Hex);
      assert(verify(publicKey, payload.message, signature), 'a result that is not valid for its request');
    }
    for (const [id, { certificate }] of node.store.active) {
      if (id !== this.#net.key.id) verifyCertificate(certificate, keyring, id, networkId);
    }
  }

  async #pass(until: number): Promise<void> {
    const { clock } = this.#net;
    // Time passes although nothing is to be done.
    clock.after(until - clock.now(), () => undefined);
    await this.#net.settle();
    while (clock.step(until)) {
      this.#steps += 1;
      await this.#net.settle();
      this.#check();
    }
  }

  async run(): Promise<SimulationReport> {
    const { clock, nodes } = this.#net;
    await this.#net.bootAll();
    for (const [index, node] of nodes.entries()) this.#hazard(node, index);
    const end = clock.now() + trouble;
    while (clock.now() < end) {
      this.#disturb();
      await this.#pass(clock.now() + 500 + this.#chance.below(4000));
    }
    this.#isTrouble = false;
    for (const a of nodes.keys()) for (const b of nodes.keys()) this.#net.connect(a, b, true);
    for (const index of nodes.keys()) await this.#reboot(index);
    for (const wanted of this.#wanted)
      for (const index of nodes.keys()) await this.#hand(index, wanted, true);
    const finish = clock.now() + afterwards;
    while (!this.#ended() && clock.now() < finish) await this.#pass(clock.now() + 1000);
    assertEnded(this.#net, this.#wanted, this.#honest(), this.cheat !== undefined);
    await this.#net.stop();
    const signed = this.#wanted.filter(({ kind }) => kind === 'sign').length;
    return {
      crashes: this.#crashes,
      cuts: this.#cuts,
      messages: this.#net.sent.length,
      steps: this.#steps,
      signed,
      ended: this.#wanted.length,
      left: Number(this.#spending.signed()),
      most: Number(this.#spending.most),
    };
  }

  #disturb(): void {
    const chance = this.#chance;
    const { nodes } = this.#net;
    // Half of them are transfers, of which the limit lets few go.
    if (this.#wanted.length < 12) {
      this.#want();
      this.#wanted.push({ kind: 'transfer', ...this.#spending.transfer(chance) });
    }
    if (this.cheat !== undefined && chance.happens(0.4)) {
      this.#net.kill(this.cheat);
      void this.#reboot(this.cheat);
    }
    for (const wanted of this.#wanted)
      for (const index of nodes.keys())
        if (chance.happens(0.4)) void this.#hand(index, wanted, chance.happens(0.6));
    for (const a of nodes.keys())
      for (const b of nodes.keys()) {
        if (a >= b) continue;
        const connected = !chance.happens(0.2);
        if (!connected) this.#cuts += 1;
        this.#net.connect(a, b, connected);
      }
  }

  #honest(): readonly number[] {
    return [...this.#net.nodes.keys()].filter((index) => index !== this.cheat);
  }

  #ended(): boolean {
    return this.#wanted.every(
      ({ id, kind }) =>
        kind === 'unapproved' ||
        // One for which the limit has no room left waits for a day.
        kind === 'transfer' ||
        this.#honest().every((index) => this.#net.node(index).store.finished.has(id)),
    );
  }
}

/** Runs one simulation. Throws an AssertionError when something did not hold; the seed replays it exactly. */
export async function simulate(options: SimulationOptions): Promise<SimulationReport> {
  const simulation = await Simulation.create(options);
  return simulation.run();
}
