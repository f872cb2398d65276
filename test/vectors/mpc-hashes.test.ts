// Our own known answers for every hash of key generation and for its and FROST's messages, frozen: a change to any
// preimage or layout must be meant, and takes a new tag. The hashes in mpc-hashes.json were computed by a separate
// program in another language from the description in node/mpc; the messages are this implementation's own.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import { KeyGeneration } from '../../node/mpc/dkg/generate.ts';
import type { Opening, Purpose } from '../../node/mpc/dkg/transcript.ts';
import {
  combineChainCodes,
  commitDigest,
  contextHash,
  proofChallenge,
  transcriptHash,
} from '../../node/mpc/dkg/transcript.ts';
import { loadKeyPackage } from '../../node/mpc/frost/key-package.ts';
import type { NonceCommitment } from '../../node/mpc/frost/nonces.ts';
import { NonceStore } from '../../node/mpc/frost/nonces.ts';
import { FrostSigning } from '../../node/mpc/frost/sign.ts';
import type { KeyType } from '../../node/mpc/group.ts';
import { ed25519Group as group } from '../../node/mpc/group.ts';
import type { Tag } from '../../node/mpc/hash.ts';
import { hashToScalar, taggedHash } from '../../node/mpc/hash.ts';
import { runNetwork, seededRandom } from '../support/mpc-network.ts';

interface Vectors {
  taggedHash: { tag: Tag; parts: string[]; preimage: string; digest: string }[];
  hashToScalar: { tag: Tag; parts: string[]; scalar: string }[];
  context: {
    purpose: Purpose;
    keyType: KeyType;
    sid: string;
    epoch: { roster: number; run: number };
    threshold: number;
    parties: number[];
    digest: string;
  };
  openings: (Record<keyof Opening, string> & { dealer: number; digest: string })[];
  proofChallenge: { dealer: number; commitments: string; nonceCommitment: string; scalar: string };
  chainCode: string;
  transcript: string;
  message: { bytes: string; digest: string };
}
interface FrozenRun {
  keyGeneration: { from: number; to: number; bytes: string }[];
  key: {
    publicKey: string;
    chainCode: string;
    transcriptHash: string;
    signingShares: Record<string, string>;
  };
  signing: { from: number; to: number; bytes: string }[];
  signature: string;
}

const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, import.meta.url), 'utf8'));
const vectors = read('./mpc-hashes.json') as Vectors;
const context = contextHash({ ...vectors.context, sid: hexToBytes(vectors.context.sid) });
const openings: Opening[] = vectors.openings.map(({ commitments, proof, chainCode, salt }) => ({
  commitments: hexToBytes(commitments),
  proof: hexToBytes(proof),
  chainCode: hexToBytes(chainCode),
  salt: hexToBytes(salt),
}));

describe('frozen hashes', () => {
  it('tagged hash', () => {
    for (const { tag, parts, preimage, digest } of vectors.taggedHash) {
      assert.equal(bytesToHex(taggedHash(tag, ...parts.map(hexToBytes))), digest);
      assert.equal(createHash('sha256').update(hexToBytes(preimage)).digest('hex'), digest);
    }
  });

  it('hash to scalar', () => {
    for (const { tag, parts, scalar } of vectors.hashToScalar)
      assert.equal(
        bytesToHex(group.encodeScalar(hashToScalar(group, tag, ...parts.map(hexToBytes)))),
        scalar,
      );
  });

  it('context of a key generation', () => {
    assert.equal(bytesToHex(context), vectors.context.digest);
  });

  it('commit digests', () => {
    for (const [at, { dealer, digest }] of vectors.openings.entries())
      assert.equal(bytesToHex(commitDigest(context, dealer, openings[at]!)), digest);
  });

  it('proof challenge', () => {
    const { dealer, commitments, nonceCommitment, scalar } = vectors.proofChallenge;
    const parts = [hexToBytes(commitments), hexToBytes(nonceCommitment)] as const;
    assert.equal(bytesToHex(group.encodeScalar(proofChallenge(group, context, dealer, ...parts))), scalar);
  });

  it('chain code', () => {
    assert.equal(
      bytesToHex(combineChainCodes(openings.map(({ chainCode }) => chainCode))),
      vectors.chainCode,
    );
  });

  it('transcript', () => {
    const digests = vectors.openings.map(({ digest }) => hexToBytes(digest));
    assert.equal(bytesToHex(transcriptHash(context, digests, openings)), vectors.transcript);
  });

  it('digest of a received message', () => {
    const { bytes, digest } = vectors.message;
    assert.equal(bytesToHex(taggedHash('countersign/v1/message', hexToBytes(bytes))), digest);
  });
});

/** A whole run of two parties from fixed seeds: key generation, then one signature. */
function frozenRun(keyType: KeyType, tweak?: Uint8Array): FrozenRun {
  const sid = Uint8Array.from({ length: 32 }, (_, at) => at);
  const common = {
    keyType,
    sid,
    epoch: { roster: 1, run: 0 },
    parties: [1, 2],
    threshold: 2,
  } as const;
  const machines = [1, 2].map((self) => {
    return [self, new KeyGeneration({ ...common, self, random: seededRandom(`frozen/${self}`) })] as const;
  });
  const { outputs, delivered } = runNetwork(new Map(machines));
  const message = new TextEncoder().encode('frozen');
  const commitments = new Map<number, readonly NonceCommitment[]>();
  const members = [1, 2].map((self) => {
    const key = loadKeyPackage(outputs.get(self)!, tweak);
    const store = new NonceStore(seededRandom(`frozen nonces/${self}`));
    const made = store.commit([key]);
    commitments.set(self, made.commitments);
    return { self, items: [{ key, message }], nonces: store.take(made.id) };
  });
  const signers = members.map((member) => {
    return [member.self, new FrostSigning({ sid, set: [1, 2], commitments, ...member })] as const;
  });
  const signing = runNetwork(new Map(signers));
  const hex = (envelopes: typeof delivered): FrozenRun['signing'] =>
    envelopes
      .map(({ from, to, bytes }) => ({ from, to, bytes: bytesToHex(bytes) }))
      .toSorted((a, b) => a.bytes.slice(0, 2).localeCompare(b.bytes.slice(0, 2)) || a.from - b.from);
  const { publicKey, chainCode, transcriptHash: transcript } = outputs.get(1)!;
  return {
    keyGeneration: hex(delivered),
    key: {
      publicKey: bytesToHex(publicKey),
      chainCode: bytesToHex(chainCode),
      transcriptHash: bytesToHex(transcript),
      signingShares: Object.fromEntries(
        [...outputs].map(([index, key]) => [index, bytesToHex(key.signingShare)]),
      ),
    },
    signing: hex(signing.delivered),
    signature: bytesToHex(signing.outputs.get(1)![0]!),
  };
}

describe('frozen messages', () => {
  const runs: readonly (readonly [string, KeyType, Uint8Array?])[] = [
    ['ed25519', 'ed25519'],
    ['taproot_secp256k1', 'taproot_secp256k1'],
    ['taproot_secp256k1, tweaked', 'taproot_secp256k1', taggedHash('countersign/v1/test', Uint8Array.of(1))],
  ];
  const frozen = read('./mpc-messages.json') as Readonly<Record<string, FrozenRun>>;

  it('are of every key type', () => {
    assert.deepEqual(
      Object.keys(frozen),
      runs.map(([name]) => name),
    );
  });

  for (const [name, keyType, tweak] of runs)
    it(`${name}: key generation and signing from fixed seeds, byte for byte`, () => {
      assert.doesNotThrow(() => {
        const actual = frozenRun(keyType, tweak);
        assert.equal(actual.keyGeneration.length, 4);
        assert.deepEqual(actual, frozen[name]);
      });
    });
});
