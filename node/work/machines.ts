// Protocol machines by order: what a machine is made from, as plain data, so that the same order makes it here or on a
// worker thread. Secrets change threads by transfer of their buffer, which leaves nothing behind, never by clone.
import { KeyGeneration, type KeyGenerationOptions } from '../mpc/dkg/generate.ts';
import type { KeyShare } from '../mpc/dkg/key-share.ts';
import {
  type EcdsaKey,
  openPortableEcdsaKey,
  type PortableEcdsaKey,
  portableEcdsaKey,
} from '../mpc/dkls23/key.ts';
import type { PairSetup } from '../mpc/dkls23/pair-secrets.ts';
import { type PairSetupOptions, PairSetupRun } from '../mpc/dkls23/pair-setup.ts';
import type { Presignature } from '../mpc/dkls23/presignature.ts';
import { Presigning, type PresigningOptions } from '../mpc/dkls23/presigning.ts';
import {
  type EcdsaItem,
  EcdsaSigning,
  type EcdsaSigningOptions,
  eraseEcdsaOptions,
} from '../mpc/dkls23/signing.ts';
import { type KeyPackage, openPortableKey, type PortableKey, portableKey } from '../mpc/frost/key-package.ts';
import { type MovedNonces, OneTimeNonces } from '../mpc/frost/nonces.ts';
import { FrostSigning, type FrostSigningOptions } from '../mpc/frost/sign.ts';
import type { Outgoing, PartyIndex, RandomBytes, SlicedMachine } from '../mpc/machine.ts';

/** What a machine gives at its end, by the kind of its order. */
export interface MachineOutputs {
  readonly generate: KeyShare;
  /** FROST signatures. */
  readonly sign: readonly Uint8Array[];
  readonly 'pair-setup': PairSetup;
  readonly presign: readonly Presignature[];
  /** ECDSA signatures. */
  readonly ecdsa: readonly Uint8Array[];
}
export type MachineKind = keyof MachineOutputs;
export type MachineOutput = MachineOutputs[MachineKind];

/** A machine to be made. Nonces, presignatures and pair setups belong to the order, then to the machine. */
export type MachineOrder =
  | ({ readonly kind: 'generate' } & Omit<KeyGenerationOptions, 'random'>)
  | ({ readonly kind: 'sign' } & FrostSigningOptions)
  | ({ readonly kind: 'pair-setup' } & Omit<PairSetupOptions, 'random'>)
  | ({ readonly kind: 'presign' } & Omit<PresigningOptions, 'random'>)
  | ({ readonly kind: 'ecdsa' } & Omit<EcdsaSigningOptions, 'random'>);

/** What a machine wants done after a step, and whom it waits for then. */
export interface HostedStep {
  readonly messages: readonly Outgoing[];
  readonly output?: MachineOutput;
  /** Members whose message of the current round has not been received. */
  readonly awaited: readonly PartyIndex[];
}

/** Throws Abort when the order does not fit; what belongs to it is burnt then. */
export function createMachine(order: MachineOrder, random: RandomBytes): SlicedMachine<MachineOutput> {
  switch (order.kind) {
    case 'generate':
      return new KeyGeneration({ ...order, random });
    case 'sign':
      return new FrostSigning(order);
    case 'pair-setup':
      return new PairSetupRun({ ...order, random });
    case 'presign':
      return new Presigning({ ...order, random });
    case 'ecdsa':
      return new EcdsaSigning({ ...order, random });
  }
}

/** Burns what belongs to an order that no machine will be made from. */
export function discardOrder(order: MachineOrder): void {
  if (order.kind === 'sign') order.nonces.destroy();
  else if (order.kind === 'presign') eraseEcdsaOptions({ items: [], setups: order.setups });
  else if (order.kind === 'ecdsa') eraseEcdsaOptions(order);
}

/** An order as it goes to a worker. */
export type PortableOrder =
  | Extract<MachineOrder, { kind: 'generate' | 'pair-setup' }>
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
    }
  | (Omit<PresigningOptions, 'random' | 'key'> & {
      readonly kind: 'presign';
      readonly key: PortableEcdsaKey;
    })
  | (Omit<EcdsaSigningOptions, 'random' | 'items'> & {
      readonly kind: 'ecdsa';
      /** Each key once; items name theirs by position. */
      readonly keys: readonly PortableEcdsaKey[];
      readonly items: readonly (Omit<EcdsaItem, 'key'> & { readonly key: number })[];
    });

interface Packed {
  readonly packed: PortableOrder;
  readonly transfer: ArrayBuffer[];
}

/**
 * Moves nonces, presignatures and pair setups out of an order and copies its keys; all that is secret is in `transfer`.
 * Throws Abort('nonces_unavailable').
 */
export function packOrder(order: MachineOrder): Packed {
  switch (order.kind) {
    case 'generate':
    case 'pair-setup':
      return { packed: order, transfer: [] };
    case 'sign':
      return packSigning(order);
    case 'presign':
      return packPresigning(order);
    case 'ecdsa':
      return packEcdsa(order);
  }
}

function packSigning(order: Extract<MachineOrder, { kind: 'sign' }>): Packed {
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

function packPresigning(order: Extract<MachineOrder, { kind: 'presign' }>): Packed {
  const { kind, sid, self, set } = order;
  const key = portableEcdsaKey(order.key);
  const { setups, buffers } = moveSetups(order.setups);
  const ids = order.ids.map((id) => Uint8Array.from(id));
  return {
    packed: { kind, sid, self, set, key, ids, setups },
    transfer: [key.signingShare.buffer, ...buffers],
  };
}

function packEcdsa(order: Extract<MachineOrder, { kind: 'ecdsa' }>): Packed {
  const { kind, sid, self, set } = order;
  const distinct = [...new Set(order.items.map(({ key }) => key))];
  const keys = distinct.map(portableEcdsaKey);
  const { setups, buffers } = moveSetups(order.setups);
  const transfer = [...keys.map(({ signingShare }) => signingShare.buffer), ...buffers];
  const items = order.items.map(({ key, offset, digest, presignature }) => ({
    key: distinct.indexOf(key),
    digest: Uint8Array.from(digest),
    ...(offset && { offset: Uint8Array.from(offset) }),
    ...(presignature && { presignature: movePresignature(presignature, transfer) }),
  }));
  return { packed: { kind, sid, self, set, keys, items, setups }, transfer };
}

/** A copy in a buffer of its own; nothing stays where it was. */
function moved(secrets: Uint8Array): Uint8Array<ArrayBuffer> {
  const own = Uint8Array.from(secrets);
  secrets.fill(0);
  return own;
}

function movePresignature(presignature: Presignature, transfer: ArrayBuffer[]): Presignature {
  const { id, set, publicKey, nonce } = presignature;
  const secrets = moved(presignature.secrets);
  transfer.push(secrets.buffer);
  return { id: id.slice(), set, publicKey: publicKey.slice(), nonce: nonce.slice(), secrets };
}

function moveSetups(given: ReadonlyMap<PartyIndex, PairSetup>): {
  readonly setups: ReadonlyMap<PartyIndex, PairSetup>;
  readonly buffers: readonly ArrayBuffer[];
} {
  const buffers: ArrayBuffer[] = [];
  const setups = [...given].map(([index, { peer, id, secrets }]) => {
    const own = moved(secrets);
    buffers.push(own.buffer);
    return [index, { peer, id: id.slice(), secrets: own }] as const;
  });
  return { setups: new Map(setups), buffers };
}

/** A key that an order brought along. */
export type MovedKey = Pick<KeyPackage | EcdsaKey, 'destroy'>;

/** An order that was moved here, and the keys to erase when its machine has ended. */
export function openOrder(packed: PortableOrder): {
  readonly order: MachineOrder;
  readonly keys: readonly MovedKey[];
} {
  switch (packed.kind) {
    case 'generate':
    case 'pair-setup':
      return { order: packed, keys: [] };
    case 'sign': {
      const { kind, sid, self, set, commitments } = packed;
      const keys = packed.keys.map(openPortableKey);
      const items = packed.items.map(({ key, message }) => ({ key: keys[key] as KeyPackage, message }));
      const nonces = OneTimeNonces.receive(packed.nonces);
      return { order: { kind, sid, self, set, items, commitments, nonces }, keys };
    }
    case 'presign': {
      const key = openPortableEcdsaKey(packed.key);
      return { order: { ...packed, key }, keys: [key] };
    }
    case 'ecdsa': {
      const { kind, sid, self, set, setups } = packed;
      const keys = packed.keys.map(openPortableEcdsaKey);
      const items = packed.items.map(({ key, ...item }) => ({ ...item, key: keys[key] as EcdsaKey }));
      return { order: { kind, sid, self, set, items, setups }, keys };
    }
  }
}

/** What is secret in an output: a share, a pair setup, presignatures. Signatures are not. */
function secretsOf(output: MachineOutput | undefined): readonly Uint8Array[] {
  if (output === undefined) return [];
  if ('signingShare' in output) return [output.signingShare];
  if ('secrets' in output) return [output.secrets];
  return output.flatMap((each) => (each instanceof Uint8Array ? [] : [each.secrets]));
}

/** Overwrites what is secret in a step that nobody wants any more. */
export function eraseStep({ messages, output }: HostedStep): void {
  for (const { bytes } of messages) bytes.fill(0);
  for (const secret of secretsOf(output)) secret.fill(0);
}

/** The buffers of a step that hold nothing else: they can be moved to another thread. */
export function buffersOf({ messages, output }: HostedStep): ArrayBuffer[] {
  const parts = [...messages.map(({ bytes }) => bytes), ...secretsOf(output)];
  const buffers = parts.flatMap(({ buffer, byteLength }) =>
    buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : [],
  );
  return [...new Set(buffers)];
}
