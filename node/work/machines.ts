// Protocol machines by order: what a machine is made from, as plain data, so that the same order makes it here or on a
// worker thread. Secrets change threads by transfer of their buffer, which leaves nothing behind, never by clone.
import { KeyGeneration, type KeyGenerationOptions } from '../mpc/dkg/generate.ts';
import type { KeyShare } from '../mpc/dkg/key-share.ts';
import { type KeyPackage, openPortableKey, type PortableKey, portableKey } from '../mpc/frost/key-package.ts';
import { type MovedNonces, OneTimeNonces } from '../mpc/frost/nonces.ts';
import { FrostSigning, type FrostSigningOptions } from '../mpc/frost/sign.ts';
import type { Outgoing, PartyIndex, RandomBytes, SlicedMachine } from '../mpc/machine.ts';

/** What a machine gives at its end. */
export type MachineOutput = KeyShare | readonly Uint8Array[];

/** A machine to be made. The nonces of a signing belong to the order, then to the machine. */
export type MachineOrder =
  | ({ readonly kind: 'generate' } & Omit<KeyGenerationOptions, 'random'>)
  | ({ readonly kind: 'sign' } & FrostSigningOptions);

/** What a machine wants done after a step, and whom it waits for then. */
export interface HostedStep {
  readonly messages: readonly Outgoing[];
  readonly output?: MachineOutput;
  /** Members whose message of the current round has not been received. */
  readonly awaited: readonly PartyIndex[];
}

/** Throws Abort when the order does not fit; its nonces are burnt then. */
export function createMachine(order: MachineOrder, random: RandomBytes): SlicedMachine<MachineOutput> {
  return order.kind === 'generate' ? new KeyGeneration({ ...order, random }) : new FrostSigning(order);
}

/** An order as it goes to a worker. */
export type PortableOrder =
  | Extract<MachineOrder, { kind: 'generate' }>
  | {
      readonly kind: 'sign';
      readonly sid: Uint8Array;
      readonly self: PartyIndex;
      readonly set: readonly PartyIndex[];
      /** Each key once; items name theirs by position. */
      readonly keys: readonly PortableKey[];
      readonly items: readonly { readonly key: number; readonly message: Uint8Array }[];
      readonly commitments: FrostSigningOptions['commitments'];
      readonly nonces: MovedNonces;
    };

/**
 * Moves the nonces out of an order and copies its keys; all that is secret is in `transfer`. Throws
 * Abort('nonces_unavailable').
 */
export function packOrder(order: MachineOrder): {
  readonly packed: PortableOrder;
  readonly transfer: ArrayBuffer[];
} {
  if (order.kind === 'generate') return { packed: order, transfer: [] };
  const { kind, sid, self, set, commitments } = order;
  const nonces = order.nonces.release();
  const distinct = [...new Set(order.items.map(({ key }) => key))];
  const keys = distinct.map(portableKey);
  const items = order.items.map(({ key, message }) => ({
    key: distinct.indexOf(key),
    // A copy of its own: of a view the clone would take the whole buffer behind it.
    message: Uint8Array.from(message),
  }));
  const copied = [...commitments].map(([index, pairs]) => {
    const own = pairs.map(({ hiding, binding }) => ({ hiding: hiding.slice(), binding: binding.slice() }));
    return [index, own] as const;
  });
  const shares = keys.map(({ secret }) => secret.signingShare.buffer);
  return {
    packed: { kind, sid, self, set, keys, items, commitments: new Map(copied), nonces },
    transfer: [nonces.secrets.buffer, ...shares],
  };
}

/** An order that was moved here, and the keys to erase when its machine has ended. */
export function openOrder(packed: PortableOrder): {
  readonly order: MachineOrder;
  readonly keys: readonly KeyPackage[];
} {
  if (packed.kind === 'generate') return { order: packed, keys: [] };
  const { kind, sid, self, set, commitments } = packed;
  const keys = packed.keys.map(openPortableKey);
  const items = packed.items.map(({ key, message }) => ({ key: keys[key] as KeyPackage, message }));
  const nonces = OneTimeNonces.receive(packed.nonces);
  return { order: { kind, sid, self, set, items, commitments, nonces }, keys };
}

/** Overwrites what is secret in a step that nobody wants any more. */
export function eraseStep({ messages, output }: HostedStep): void {
  for (const { bytes } of messages) bytes.fill(0);
  if (output !== undefined && 'signingShare' in output) output.signingShare.fill(0);
}

/** The buffers of a step that hold nothing else: they can be moved to another thread. */
export function buffersOf({ messages, output }: HostedStep): ArrayBuffer[] {
  const secret = output !== undefined && 'signingShare' in output ? [output.signingShare] : [];
  const buffers = [...messages.map(({ bytes }) => bytes), ...secret].flatMap(({ buffer, byteLength }) =>
    buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : [],
  );
  return [...new Set(buffers)];
}
