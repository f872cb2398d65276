// Our own known answers for ECDSA signing, frozen: the hashes in dkls23-hashes.json were computed by a separate program in
// another language from the description in node/mpc/dkls23; dkls23-run.json is a whole run of 2 of 3 parties from fixed
// seeds, its messages as hashes and its signatures in full. A change to either must be meant, and takes new tags.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import type { KeyShare } from '../../node/mpc/dkg/key-share.ts';
import { KeyGeneration } from '../../node/mpc/dkg/generate.ts';
import { type EcdsaKeyType, loadEcdsaKey } from '../../node/mpc/dkls23/key.ts';
import { rerandomise } from '../../node/mpc/dkls23/online.ts';
import { PairSetupRun } from '../../node/mpc/dkls23/pair-setup.ts';
import type { PairSetup } from '../../node/mpc/dkls23/pair-secrets.ts';
import { nonceCommitment, productId } from '../../node/mpc/dkls23/presign-messages.ts';
import { Presigning } from '../../node/mpc/dkls23/presigning.ts';
import { EcdsaSigning, presignatureId } from '../../node/mpc/dkls23/signing.ts';
import { secp256k1Group as group } from '../../node/mpc/group.ts';
import { taggedHash } from '../../node/mpc/hash.ts';
import type { Machine, PartyIndex } from '../../node/mpc/machine.ts';
import { verifySignature } from '../../protocol/keys/key-type.ts';
import { seedOf } from '../support/fixture.ts';
import { type Envelope, runNetwork, seededRandom } from '../support/mpc-network.ts';

type Hex = string;
interface Hashes {
  readonly productId: { sid: Hex; item: number; alice: number; bob: number; digest: Hex }[];
  readonly nonceCommitment: { sid: Hex; item: number; party: number; nonce: Hex; salt: Hex; digest: Hex }[];
  readonly presignatureId: { sid: Hex; item: number; digest: Hex }[];
  readonly delta: {
    sid: Hex;
    item: number;
    id: Hex;
    nonce: Hex;
    publicKey: Hex;
    offset: Hex;
    digest: Hex;
    scalar: Hex;
  }[];
}
type Messages = readonly { readonly from: number; readonly to: number; readonly hash: Hex }[];
type FrozenRun = Readonly<Record<string, Messages | Readonly<Record<string, string>>>>;

const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, import.meta.url), 'utf8'));
const hashes = read('./dkls23-hashes.json') as Hashes;

describe('frozen hashes of ECDSA signing', () => {
  it('product ids', () => {
    for (const { sid, item, alice, bob, digest } of hashes.productId)
      assert.equal(bytesToHex(productId(hexToBytes(sid), item, alice, bob)), digest);
  });

  it('commitments to nonces', () => {
    for (const { sid, item, party, nonce, salt, digest } of hashes.nonceCommitment) {
      const parts = [hexToBytes(nonce), hexToBytes(salt)] as const;
      assert.equal(bytesToHex(nonceCommitment(hexToBytes(sid), item, party, ...parts)), digest);
    }
  });

  it('ids of presignatures that are made inside a signing', () => {
    for (const { sid, item, digest } of hashes.presignatureId)
      assert.equal(bytesToHex(presignatureId(hexToBytes(sid), item)), digest);
  });

  it('delta', () => {
    for (const { sid, item, id, nonce, publicKey, offset, digest, scalar } of hashes.delta) {
      const target = {
        item,
        keyType: 'ecdsa_secp256k1',
        publicKey: hexToBytes(publicKey),
        offset: group.decodeScalar(hexToBytes(offset)),
        digest: hexToBytes(digest),
        h: 1n,
      } as const;
      const { delta } = rerandomise(hexToBytes(sid), target, {
        id: hexToBytes(id),
        nonce: hexToBytes(nonce),
        set: [1, 2],
        publicKey: hexToBytes(publicKey),
        secrets: new Uint8Array(96),
      });
      assert.equal(bytesToHex(group.encodeScalar(delta)), scalar);
    }
  });
});

const parties = [1, 2, 3];
const set = [1, 3];

function members<Output>(
  indices: readonly PartyIndex[],
  make: (self: PartyIndex) => Machine<Output>,
): { outputs: ReadonlyMap<PartyIndex, Output>; messages: Messages } {
  const machines = indices.map((self) => [self, make(self)] as const);
  const { outputs, aborts, delivered } = runNetwork(new Map(machines));
  for (const abort of aborts.values()) throw abort;
  return { outputs, messages: digests(delivered) };
}

/** By kind, sender and receiver. */
function digests(delivered: readonly Envelope[]): Messages {
  return delivered
    .toSorted((a, b) => a.bytes[0]! - b.bytes[0]! || a.from - b.from || a.to - b.to)
    .map(({ from, to, bytes }) => ({
      from,
      to,
      hash: bytesToHex(taggedHash('countersign/v1/test', bytes)),
    }));
}

const random = (what: string, self: PartyIndex): ReturnType<typeof seededRandom> =>
  seededRandom(`frozen/${what}/${self}`);
const epoch = { roster: 1, run: 0 };

type Paired = ReturnType<typeof members<PairSetup>>;
/** The same whatever the key: made once. */
let setUp: Paired | undefined;
function pairSetups(): Paired {
  return members<PairSetup>(
    set,
    (self) =>
      new PairSetupRun({
        sid: seedOf('pair'),
        self,
        peer: self === 1 ? 3 : 1,
        keyringId: 'ab'.repeat(32),
        epoch,
        random: random('pair', self),
      }),
  );
}

/** Key generation of 3, pair setup of 1 and 3, presigning, and signing with presignatures and without. */
function frozenRun(keyType: EcdsaKeyType): FrozenRun {
  const generated = members<KeyShare>(
    parties,
    (self) =>
      new KeyGeneration({
        keyType,
        sid: seedOf('generate'),
        epoch,
        self,
        parties,
        threshold: 2,
        random: random('generate', self),
      }),
  );
  const key = (self: PartyIndex): ReturnType<typeof loadEcdsaKey> =>
    loadEcdsaKey(generated.outputs.get(self)!);
  const paired = (setUp ??= pairSetups());
  const setups = (self: PartyIndex): Map<PartyIndex, PairSetup> => {
    const setup = paired.outputs.get(self)!;
    return new Map([[setup.peer, { ...setup, secrets: setup.secrets.slice() }]]);
  };
  const presigned = members(
    set,
    (self) =>
      new Presigning({
        sid: seedOf('presign'),
        self,
        set,
        key: key(self),
        ids: [seedOf('first'), seedOf('second')],
        setups: setups(self),
        random: random('presign', self),
      }),
  );
  const digest = seedOf('digest');
  const offset = seedOf('offset');
  const items = (self: PartyIndex, withPresignatures: boolean): EcdsaSigning =>
    new EcdsaSigning({
      sid: seedOf('sign', String(withPresignatures)),
      self,
      set,
      items: [undefined, offset].map((own, at) => ({
        key: key(self),
        digest,
        ...(own && { offset: own }),
        ...(withPresignatures && { presignature: presigned.outputs.get(self)![at]! }),
      })),
      setups: withPresignatures ? new Map<PartyIndex, PairSetup>() : setups(self),
      random: random('sign', self),
    });
  const secrets = (presigned.outputs.get(1) ?? []).map((each) => bytesToHex(each.secrets));
  const online = members(set, (self) => items(self, true));
  const whole = members(set, (self) => items(self, false));
  const publicKey = generated.outputs.get(1)!.publicKey;
  const child = group.decodePoint(publicKey).add(group.multiplyBase(group.decodeScalar(offset)));
  const signatures = [...online.outputs.get(1)!, ...whole.outputs.get(3)!];
  for (const [at, signature] of signatures.entries())
    assert.ok(
      verifySignature(keyType, at % 2 === 0 ? publicKey : group.encodePoint(child), digest, signature),
    );
  return {
    keyGeneration: generated.messages,
    pairSetup: paired.messages,
    presigning: presigned.messages,
    online: online.messages,
    withoutPresignatures: whole.messages,
    values: {
      publicKey: bytesToHex(publicKey),
      setup: bytesToHex(paired.outputs.get(1)!.id),
      presignatures: secrets.join(' '),
      nonces: presigned.outputs
        .get(3)!
        .map(({ nonce }) => bytesToHex(nonce))
        .join(' '),
      signatures: signatures.map((signature) => bytesToHex(signature)).join(' '),
    },
  };
}

describe('frozen runs of ECDSA signing', function () {
  this.timeout(60_000);
  const frozen = read('./dkls23-run.json') as Readonly<Record<EcdsaKeyType, FrozenRun>>;
  for (const keyType of ['ecdsa_secp256k1', 'bitcoin_secp256k1'] as const)
    it(`${keyType}: key generation, pair setup, presigning and signing from fixed seeds`, () => {
      assert.doesNotThrow(() => {
        const actual = frozenRun(keyType);
        assert.deepEqual(actual, frozen[keyType]);
      });
    });
});
