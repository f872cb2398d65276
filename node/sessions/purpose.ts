// What an attempt is for: a key, or signatures by keys. Each purpose says what it is about (digests), what an ACCEPT of
// it commits to, and which machine runs once an attempt has started.
import type { Authorisation } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import { partyIndex } from '../../protocol/records/keyring-roster.ts';
import type { KeyShare } from '../mpc/dkg/key-share.ts';
import type { PairSetup } from '../mpc/dkls23/pair-secrets.ts';
import type { Presignature } from '../mpc/dkls23/presignature.ts';
import type { KeyPackage } from '../mpc/frost/key-package.ts';
import type { NonceCommitment, NonceStore } from '../mpc/frost/nonces.ts';
import { taggedHash, utf8 } from '../mpc/hash.ts';
import type { MachineOrder, MachineOutput } from '../work/machines.ts';
import type { HostedMachine } from '../work/work.ts';
import type { KeyType } from '../mpc/group.ts';
import type { Started } from './attempt.ts';
import type { SessionContext } from './context.ts';
import type { Accept, Propose, PurposeKind } from './wire.ts';

export type RunOutput =
  | { readonly kind: 'share'; readonly share: KeyShare }
  | { readonly kind: 'signatures'; readonly signatures: readonly Uint8Array[] }
  | { readonly kind: 'pair-setup'; readonly setup: PairSetup }
  | {
      readonly kind: 'presignatures';
      readonly presignatures: readonly Presignature[];
      /** Ids, in hex, of the pair setups they were made with, by party. */
      readonly setups: ReadonlyMap<string, Hex>;
    };

/** A machine to run, and what its output is. */
export interface Run {
  readonly order: MachineOrder;
  readonly output: (value: MachineOutput) => RunOutput;
  /** Puts the machine behind the ban gate: where its messages depend on pair setups. */
  readonly guarded?: (machine: HostedMachine) => HostedMachine;
}

/** What one ACCEPT commits to. Exactly one of `run` and `discard` is called, once. */
export interface Prepared extends Pick<Accept, 'cannot' | 'excludes'> {
  readonly nonces: readonly NonceCommitment[];
  /**
   * Takes the nonces, at once, and says which machine is to run with them. Throws Abort `nonces_unavailable`, GateError.
   */
  run(started: Started): Run;
  /** Burns what was committed to. */
  discard(): void;
}

/** What a PROPOSE says beside its digests. */
export type Named = Pick<Propose, 'sets' | 'members' | 'keyId'>;

export interface Purpose {
  readonly kind: PurposeKind;
  /** 32 bytes an item: what each party computes for itself from the signed request. */
  readonly digests: readonly Uint8Array[];
  /** Of a leader: what its PROPOSE names, given the parties in its order of preference and the sets that have failed. */
  named?(order: readonly string[], failedSets: ReadonlySet<string>): Named;
  /** `proposed`: of this party's own PROPOSE, or another's. */
  prepare(proposed: { readonly leader: string } & Named): Prepared;
}

/** 32 bytes: what an attempt at a key is about. */
export function keyDigest(requestId: string, keyType: KeyType): Uint8Array {
  return taggedHash('countersign/v1/key-digest', utf8(requestId), utf8(keyType));
}

/** 32 bytes: what one item of an attempt to sign is about. `tweak`: where it is not the key itself that signs. */
export function payloadDigest(keyId: string, message: Uint8Array, tweak?: Uint8Array): Uint8Array {
  const parts = tweak === undefined ? [message] : [message, tweak];
  return taggedHash('countersign/v1/payload-digest', utf8(keyId), ...parts);
}

/** A key request. */
export function generatePurpose(authorisation: Authorisation, context: SessionContext): Purpose {
  const { request, requestId } = authorisation;
  if (request.kind !== 'key') throw new TypeError('not a key request');
  const { roster, epoch } = context.keyring;
  return {
    kind: 'generate',
    digests: [keyDigest(requestId, request.keyType)],
    prepare: () => ({
      nonces: [],
      run: ({ sid }) => ({
        order: {
          kind: 'generate',
          keyType: request.keyType,
          sid,
          epoch,
          self: partyIndex(roster, context.signer.credential),
          parties: roster.parties.map((_, index) => index + 1),
          threshold: roster.threshold,
        },
        output: (share) => ({ kind: 'share', share: share as KeyShare }),
      }),
      discard: () => undefined,
    }),
  };
}

/** What each item of a sign request makes its key sign. */
export function signDigests(authorisation: Authorisation): readonly Uint8Array[] {
  return authorisation.items.map(({ key, payload }) => payloadDigest(key.id, payload.message, payload.tweak));
}

/** A sign request by FROST, with this party's share of each item's key. */
export function signPurpose(
  authorisation: Authorisation,
  keys: readonly KeyPackage[],
  nonceStore: NonceStore,
  context: SessionContext,
): Purpose {
  const { roster } = context.keyring;
  return {
    kind: 'sign',
    digests: signDigests(authorisation),
    prepare() {
      const { id, commitments } = nonceStore.commit(keys);
      return {
        nonces: commitments,
        run({ sid, accepts }) {
          const order: MachineOrder = {
            kind: 'sign',
            sid,
            self: partyIndex(roster, context.signer.credential),
            set: [...accepts.keys()].map((party) => partyIndex(roster, party)),
            items: authorisation.items.map(({ payload }, item) => ({
              key: keys[item] as KeyPackage,
              message: payload.message,
            })),
            commitments: new Map(
              [...accepts].map(([party, accept]) => [partyIndex(roster, party), accept.nonces]),
            ),
            nonces: nonceStore.take(id),
          };
          return {
            order,
            output: (signatures) => ({ kind: 'signatures', signatures: signatures as readonly Uint8Array[] }),
          };
        },
        discard: () => nonceStore.drop(id),
      };
    },
  };
}
