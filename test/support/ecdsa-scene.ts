// Networks of ECDSA parties on virtual time, for attacks: with presignatures in their pools, and with a party that runs the
// real machines and alters what they say.
import type { Hex } from '../../protocol/hex.ts';
import type { Evidence } from '../../protocol/authorize.ts';

import type { Outgoing, PartyIndex } from '../../node/mpc/machine.ts';
import type { HostedStep, MachineOrder } from '../../node/work/machines.ts';
import type { HostedMachine, Work } from '../../node/work/work.ts';
import { decodeFrame, type Frame } from '../../node/sessions/wire.ts';
import { toHex } from '../../protocol/hex.ts';
import { KeyedNetwork } from './session-attacker.ts';
import type { Sent, SessionWorldOptions } from './session-world.ts';

/** Parties with dealt setups that keep so many presignatures. */
export async function ecdsaNetwork(
  parties: number,
  threshold: number,
  presignatures = 0,
  options: SessionWorldOptions = {},
): Promise<KeyedNetwork> {
  const ecdsa = { presignatures, dealt: true };
  return KeyedNetwork.create(parties, threshold, { ecdsa, ...options }, 'ecdsa_secp256k1');
}

/** Presignatures of an owner, as a party holds them. */
export function pooled(net: KeyedNetwork, at: number, owner: number): number {
  const { credential } = net.node(owner).party;
  return net
    .node(at)
    .sessions.presignatures()
    .filter((each) => each.owner === credential)
    .reduce((sum, { size }) => sum + size, 0);
}

/** Has these parties sign a request led by the first, which is in use from then on. */
export async function signOnce(net: KeyedNetwork, all: readonly number[], leader = 0): Promise<Hex> {
  const { id, full } = net.messageLedBy(leader);
  await net.submit(full, all);
  await net.signedBy(id, all);
  return id;
}

/** A request, its first attempt led by these. */
export type Requested = { readonly id: Hex; readonly full: Evidence };

/** Another's work, with one party's machines put in the place of some. */
export function cheating(
  inline: Work,
  make: (order: MachineOrder, machine: () => HostedMachine) => HostedMachine | undefined,
): Work {
  return {
    ...inline,
    machine: (order, source) =>
      make(order, () => inline.machine(order, source)) ?? inline.machine(order, source),
  };
}

/** A machine whose messages are altered on their way out. */
export function altering(machine: HostedMachine, alter: (message: Outgoing) => Outgoing): HostedMachine {
  const altered = async (step: Promise<HostedStep>): Promise<HostedStep> => {
    const result = await step;
    return { ...result, messages: result.messages.map(alter) };
  };
  return {
    start: () => altered(machine.start()),
    receive: (from: PartyIndex, bytes: Uint8Array) => altered(machine.receive(from, bytes)),
    destroy: () => machine.destroy(),
  };
}

/** A message with one byte of it changed. */
export function flipped({ to, bytes }: Outgoing, at: number): Outgoing {
  const copy = bytes.slice();
  copy[at < 0 ? copy.length + at : at]! ^= 1;
  return { to, bytes: copy };
}

/** First byte of what the machines of ECDSA say: of the first chunk. */
export const kinds = { commit: 0x60, multiply: 0x80, share: 0x51 } as const;

/** Frames that left a party for another from a place in the tap on. */
export function framesTo(net: KeyedNetwork, from: number, to: number, since = 0): Frame[] {
  const [sender, receiver] = [net.node(from).party.credential, net.node(to).party.credential];
  return net.sent
    .slice(since)
    .filter((sent) => sent.from === sender && sent.to === receiver)
    .map(({ bytes }) => decodeFrame(bytes));
}

/** Kind of the machine's message in a round frame. */
export function kindOf(sent: Sent): number | undefined {
  const frame = decodeFrame(sent.bytes);
  return frame.type === 'round' ? frame.content.message[0] : undefined;
}

/** What every online share that left was about: the session, its sender, and the share itself. */
export function onlineShares(net: KeyedNetwork): { from: string; sid: string; share: string }[] {
  return net.sent.flatMap((sent) => {
    const frame = decodeFrame(sent.bytes);
    if (frame.type !== 'round' || frame.content.message[0] !== kinds.share) return [];
    return [
      { from: sent.from, sid: toHex(frame.content.sid), share: toHex(frame.content.message.subarray(33)) },
    ];
  });
}
