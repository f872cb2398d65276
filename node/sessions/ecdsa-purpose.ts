// What attempts of threshold ECDSA are for: a pair setup, presignatures, or signatures with presignatures from a pool, or
// with ones that are made within the attempt where there are none. Everything whose messages depend on pair setups runs
// behind the ban gate.
import type { Authorisation } from '../../protocol/authorize.ts';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import { formatEpoch } from '../../protocol/records/fields.ts';
import { partyIndex } from '../../protocol/records/keyring-roster.ts';
import { Abort } from '../mpc/abort.ts';
import type { EcdsaKey } from '../mpc/dkls23/key.ts';
import type { PairSetup } from '../mpc/dkls23/pair-secrets.ts';
import type { Presignature } from '../mpc/dkls23/presignature.ts';
import { taggedHash, uint32, utf8 } from '../mpc/hash.ts';
import type { PartyIndex } from '../mpc/machine.ts';
import type { HostedMachine } from '../work/work.ts';
import { partiesAt, setName, type Started } from './attempt.ts';
import type { SessionContext } from './context.ts';
import { GuardedMachine } from './pairs/guarded-machine.ts';
import type { PairGate } from './pairs/gate.ts';
import { offeredSets } from './presigning/offer.ts';
import { burn, type PooledPresignature, type PresignaturePool } from './presigning/pool.ts';
import { type Prepared, type Purpose, type Run, signDigests } from './purpose.ts';
import type { EcdsaSigner } from './signing-keys.ts';

/** What threshold ECDSA works with beside keys. */
export interface EcdsaParts {
  readonly gate: PairGate;
  readonly pool: PresignaturePool;
  /** A root key is signed with; `members`: by a set that this party leads. */
  readonly used: (keyId: Hex, members?: readonly string[]) => void;
  /** A pair setup with the party is under way, beside one that is in use: one of the two may have the new one first. */
  readonly isRenewing: (party: string) => boolean;
}

/** Id, as of a request, under which the pair setup of two parties is agreed on. */
export function pairSetupId(context: SessionContext, members: readonly string[]): Hex {
  const { id, epoch } = context.keyring;
  const texts = [context.networkId, id, formatEpoch(epoch), setName(members)].map(utf8);
  return toHex(taggedHash('countersign/v1/pair-setup-request', ...texts));
}

/** Id, as of a request, under which a set makes presignatures for a key. */
export function presigningId(context: SessionContext, keyId: Hex, members: readonly string[]): Hex {
  const { id, epoch } = context.keyring;
  const texts = [context.networkId, id, formatEpoch(epoch), keyId, setName(members)].map(utf8);
  return toHex(taggedHash('countersign/v1/presigning-request', ...texts));
}

function indexOf(context: SessionContext, party: string): PartyIndex {
  return partyIndex(context.keyring.roster, party);
}

/** Puts a machine that works with these setups behind the gate. */
function behind(
  gate: PairGate,
  setups: ReadonlyMap<string, Hex>,
  context: SessionContext,
): (machine: HostedMachine) => HostedMachine {
  return (machine) =>
    new GuardedMachine({
      gate,
      machine,
      setups,
      partyOf: (index) => context.keyring.roster.parties[index - 1]?.key ?? '',
    });
}

/** Copies of the setups with every other member, for one machine. Throws GateError. */
function setupsWith(
  gate: PairGate,
  started: Started,
  context: SessionContext,
): { readonly setups: ReadonlyMap<PartyIndex, PairSetup>; readonly ids: ReadonlyMap<string, Hex> } {
  const others = [...started.accepts.keys()].filter((party) => party !== context.signer.credential);
  const setups = new Map<PartyIndex, PairSetup>();
  try {
    for (const party of others) {
      const peer = indexOf(context, party);
      setups.set(peer, { peer, ...gate.setupOf(party) });
    }
  } catch (error) {
    for (const { secrets } of setups.values()) secrets.fill(0);
    throw error;
  }
  const ids = others.map((party) => [party, toHex(setups.get(indexOf(context, party))!.id)] as const);
  return { setups, ids: new Map(ids) };
}

/** The setup between this party and another. */
export function pairSetupPurpose(other: string, context: SessionContext): Purpose {
  const { keyring, signer } = context;
  const self = indexOf(context, signer.credential);
  const peer = indexOf(context, other);
  const pair = [self, peer].toSorted((a, b) => a - b);
  const digest = taggedHash(
    'countersign/v1/pair-setup-digest',
    fromHex(pairSetupId(context, partiesAt(pair, keyring))),
  );
  return {
    kind: 'pair-setup',
    digests: [digest],
    named: () => ({ members: pair }),
    prepare: () => ({
      nonces: [],
      run: ({ sid }) => ({
        order: { kind: 'pair-setup', sid, self, peer, keyringId: keyring.id, epoch: keyring.epoch },
        output: (setup) => ({ kind: 'pair-setup', setup: setup as PairSetup }),
      }),
      discard: () => undefined,
    }),
  };
}

export interface PresignOptions {
  readonly keyId: Hex;
  readonly key: EcdsaKey;
  /** The set, ascending. */
  readonly members: readonly PartyIndex[];
  /** How many presignatures. */
  readonly count: number;
}

/** Presignatures for a pool. */
export function presignPurpose(
  { keyId, key, members, count }: PresignOptions,
  gate: PairGate,
  context: SessionContext,
): Purpose {
  const id = presigningId(context, keyId, partiesAt(members, context.keyring));
  const digests = Array.from({ length: count }, (_, item) =>
    taggedHash('countersign/v1/presigning-digest', fromHex(id), uint32(item)),
  );
  return {
    kind: 'presign',
    digests,
    named: () => ({ members: [...members], keyId }),
    prepare: () => ({
      nonces: [],
      run(started) {
        const { setups, ids } = setupsWith(gate, started, context);
        return {
          order: {
            kind: 'presign',
            sid: started.sid,
            self: indexOf(context, context.signer.credential),
            set: members,
            key,
            ids: digests.map((_, item) =>
              taggedHash('countersign/v1/presignature-id', started.sid, uint32(item)),
            ),
            setups,
          },
          output: (value) => ({
            kind: 'presignatures',
            presignatures: value as readonly Presignature[],
            setups: ids,
          }),
          guarded: behind(gate, ids, context),
        };
      },
      discard: () => undefined,
    }),
  };
}

/** A sign request by ECDSA, with this party's share of each item's key. */
export function ecdsaSignPurpose(
  authorisation: Authorisation,
  signers: readonly EcdsaSigner[],
  { gate, pool, used, isRenewing }: EcdsaParts,
  context: SessionContext,
): Purpose {
  const self = context.signer.credential;
  const roots = signers.map(({ rootId }) => rootId);
  const isReady = (party: string): boolean =>
    party === self || (gate.state(party) === 'ready' && !isRenewing(party));
  return {
    kind: 'sign',
    digests: signDigests(authorisation),
    named(order, failedSets) {
      const up = context.transport.up();
      const isHere = (party: string): boolean => party === self || (up.has(party) && isReady(party));
      return { sets: offeredSets({ own: pool.ofOwner(self), roots, order, isReady: isHere, failedSets }) };
    },
    prepare({ leader, sets = [] }): Prepared {
      // Everything that is named is taken now, and burnt with the attempt whether it was used or not.
      const taken = sets.map(({ members, presignatures }) =>
        partiesAt(members, context.keyring).includes(self)
          ? presignatures.map((id) => pool.take(id, leader))
          : undefined,
      );
      const usable = taken.map((each, place) => each && usableFor(roots, sets[place]!.members, each, gate));
      const discard = (): void => {
        for (const pooled of taken.flat()) if (pooled) burn(pooled);
      };
      return {
        nonces: [],
        cannot: taken.flatMap((each, place) => (each && !usable[place] ? [place] : [])),
        excludes: context.keyring.roster.parties.map(({ key }) => key).filter((party) => !isReady(party)),
        run(started) {
          for (const root of new Set(roots))
            used(root, leader === self ? [...started.accepts.keys()] : undefined);
          const presigned = started.listed === undefined ? undefined : usable[started.listed];
          for (const pooled of taken.flat()) if (pooled && !presigned?.includes(pooled)) burn(pooled);
          if (started.listed !== undefined && presigned === undefined)
            throw new Abort('presignature_unavailable', 'the listed set is one that this party cannot join');
          return ecdsaRun(authorisation, signers, presigned, started, gate, context);
        },
        discard,
      };
    },
  };
}

/** The presignatures when there is one for every item, of its key and of this set, made with setups that are in use. */
function usableFor(
  roots: readonly Hex[],
  members: readonly PartyIndex[],
  taken: readonly (PooledPresignature | undefined)[],
  gate: PairGate,
): readonly PooledPresignature[] | undefined {
  const fits = roots.every((root, item) => {
    const pooled = taken[item];
    return (
      pooled?.keyId === root &&
      gate.holds(pooled.setups) &&
      pooled.presignature.set.length === members.length &&
      pooled.presignature.set.every((index, place) => index === members[place])
    );
  });
  return fits ? (taken as readonly PooledPresignature[]) : undefined;
}

function ecdsaRun(
  { items }: Authorisation,
  signers: readonly EcdsaSigner[],
  presigned: readonly PooledPresignature[] | undefined,
  started: Started,
  gate: PairGate,
  context: SessionContext,
): Run {
  const { setups, ids } = presigned
    ? {
        setups: new Map<PartyIndex, PairSetup>(),
        ids: new Map(presigned.flatMap((each) => [...each.setups])),
      }
    : setupsWith(gate, started, context);
  return {
    order: {
      kind: 'ecdsa',
      sid: started.sid,
      self: indexOf(context, context.signer.credential),
      set: [...started.accepts.keys()].map((party) => indexOf(context, party)),
      items: signers.map(({ key, offset }, item) => ({
        key,
        digest: items[item]!.payload.message,
        ...(offset && { offset }),
        ...(presigned && { presignature: presigned[item]!.presignature }),
      })),
      setups,
    },
    output: (signatures) => ({ kind: 'signatures', signatures: signatures as readonly Uint8Array[] }),
    guarded: behind(gate, ids, context),
  };
}
