// Parties that cheat in the rounds themselves: they sign with their own key whatever a test makes of their messages.
import assert from 'node:assert/strict';
import type { Hex } from '../../protocol/hex.ts';
import type { Evidence } from '../../protocol/authorize.ts';
import { partyIndex } from '../../protocol/records/keyring-roster.ts';
import type { KeyGenerationOptions } from '../../node/mpc/dkg/generate.ts';
import type { Machine, Step } from '../../node/mpc/machine.ts';
import { decodeBundle, type FaultCode, frameBytes } from '../../node/sessions/blame/bundle.ts';
import { type BlameVerdict, verifyBlame } from '../../node/sessions/blame/verify.ts';
import { attemptIdOf, openStart, type Started } from '../../node/sessions/attempt.ts';
import type { BlameFile } from '../../node/sessions/context.ts';
import { decodeFrame, encodeFrame, type FrameOf } from '../../node/sessions/wire.ts';
import type { Scene } from './attack-scene.ts';
import { type Dishonesty, DishonestDealer } from './dishonest-dealer.ts';
import { evidence, idOf, keyRequest, networkId } from './fixture.ts';
import { seededRandom } from './mpc-network.ts';
import { Attacker, type KeyedNetwork } from './session-attacker.ts';

/** A round message of `index` as it leaves: its protocol bytes changed, and signed anew with its own key. */
export function cheatInRounds(
  net: KeyedNetwork,
  index: number,
  alter: (message: Uint8Array, to: string | undefined) => Uint8Array,
): void {
  const { party } = net.node(index);
  const wire = { networkId, keyringId: net.world.keyring.id };
  net.intercept = ({ from, to, bytes }) => {
    const frame = decodeFrame(bytes);
    if (from !== party.credential || frame.type !== 'round') return bytes;
    const message = alter(frame.content.message, to);
    return encodeFrame('round', { ...frame.content, message }, wire, party);
  };
}

/** A frame's content with another message, signed by `index`. */
export function roundBy(
  net: KeyedNetwork,
  index: number,
  frame: FrameOf<'round'>,
  message: Uint8Array,
): Uint8Array {
  const wire = { networkId, keyringId: net.world.keyring.id };
  return encodeFrame('round', { ...frame.content, message }, wire, net.node(index).party);
}

/** Runs a machine of its own in every key generation that others lead. */
export class CheatingDealer {
  readonly attacker: Attacker;
  /** Every session it took part in. */
  readonly sessions: Started[] = [];
  readonly #machine: (options: KeyGenerationOptions) => Machine<unknown>;

  constructor(
    net: KeyedNetwork,
    index: number,
    machine: (options: KeyGenerationOptions) => Machine<unknown>,
  ) {
    this.#machine = machine;
    this.attacker = new Attacker(net, index);
    let running: { machine: Machine<unknown>; started: Started } | undefined;
    const accepted = new Set<string>();
    this.attacker.onFrame = (from, frame) => {
      if (frame.type === 'propose' && !accepted.has(String(frame.body))) {
        accepted.add(String(frame.body));
        const attemptId = attemptIdOf(frame.content, networkId);
        this.attacker.send(from, this.attacker.accept(attemptId, frame.content));
      } else if (frame.type === 'start') {
        const started = openStart(frame, net.world.keyring, this.attacker.wire);
        if (this.sessions.some(({ attemptId }) => attemptId === started.attemptId)) return;
        this.sessions.push(started);
        const { roster, epoch } = net.world.keyring;
        const machineOf = this.#machine({
          keyType: 'ed25519',
          sid: started.sid,
          epoch,
          self: index + 1,
          parties: roster.parties.map((_, at) => at + 1),
          threshold: roster.threshold,
          random: seededRandom(`cheat/${started.attemptId}`),
        });
        running = { machine: machineOf, started };
        this.#send(started, running.machine.start());
      } else if (frame.type === 'round' && running?.started.attemptId === frame.content.attemptId) {
        const sender = partyIndex(net.world.keyring.roster, from);
        this.#send(running.started, running.machine.receive(sender, frame.content.message));
      }
    };
  }

  static of(net: KeyedNetwork, index: number, dishonesty: Dishonesty): CheatingDealer {
    return new CheatingDealer(net, index, (options) => new DishonestDealer(options, dishonesty));
  }

  #send({ attemptId, sid }: Started, { messages }: Step<unknown>): void {
    for (const { to, bytes } of messages) {
      const frame = this.attacker.encode('round', { attemptId, sid, message: bytes });
      if (to === 'all') this.attacker.toAll(frame);
      else this.attacker.send(to - 1, frame);
    }
  }
}

/** A new key request that ends after 15 seconds, handed to these parties. */
export async function requestKey(
  net: KeyedNetwork,
  indices: readonly number[],
): Promise<{ id: Hex; full: Evidence }> {
  const created = net.clock.now();
  const request = keyRequest(net.world, { created, expires: created + 15_000, label: 'another' });
  const full = evidence(net.world, request);
  await net.submit(full, indices);
  return { id: idOf(request), full };
}

/** What a kept bundle proves, in the world's own keyring. Throws BlameError when it proves nothing. */
export function verdictOf(net: KeyedNetwork, { bytes }: BlameFile): BlameVerdict {
  return verifyBlame(bytes, { keyringId: net.world.keyring.id });
}

/** These parties have kept one proof each, of this fault of that party, in the same attempt and request. */
export function assertProven(
  net: KeyedNetwork,
  indices: readonly number[],
  code: FaultCode,
  culprit: number,
): BlameFile {
  const files = indices.flatMap((index) => net.node(index).blamed.slice(0, 1));
  assert.ok(
    files.length > 0,
    `nobody has proof of ${code}: ${JSON.stringify(net.nodes.map((_, at) => net.logged(at, 'session.aborted')))}`,
  );
  assert.equal(files.length, indices.length, 'each of them has the proof');
  for (const file of files) {
    const verdict = verdictOf(net, file);
    assert.equal(verdict.code, code);
    assert.equal(verdict.accused, net.node(culprit).party.credential);
  }
  return files[0]!;
}

/** Signed frames in a bundle. */
export function framesIn({ bytes }: BlameFile): ReturnType<typeof decodeFrame>[] {
  return decodeBundle(bytes).bundle.frames.map((text) => decodeFrame(frameBytes(text)));
}

/** The attacker of a scene accepts with nonce commitments that are no points; asserts that all else goes on, and that it is proven. */
export async function assertBadNoncesProven(
  { net, attacker, honest, id }: Scene,
  point: Uint8Array,
): Promise<void> {
  attacker.onFrame = (from, frame) => {
    if (frame.type !== 'propose') return;
    const nonces = frame.content.digests.map(() => ({ hiding: point, binding: point }));
    const attemptId = attemptIdOf(frame.content, networkId);
    attacker.send(from, attacker.accept(attemptId, frame.content, { nonces }));
  };
  await net.signedBy(id, honest);
  const witnesses = honest.filter((index) => net.node(index).blamed.length > 0);
  assertProven(net, witnesses, 'malformed_point', attacker.index);
}
