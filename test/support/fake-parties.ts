// Parties without nodes: with the party keys in hand, one process makes the keys and signatures that real parties would
// make together, and submits each party's result as its connector does.
import { ed25519 } from '@noble/curves/ed25519.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { createClient } from '../../client/rpc-client.ts';
import { type Hex, toHex } from '../../protocol/hex.ts';
import { KeyProofs } from '../../protocol/key-proofs.ts';
import { publicKeyOf, sign } from '../../protocol/keys/ed25519.ts';
import { decodePayload, type PayloadKey } from '../../protocol/payloads/payload.ts';
import { connectorGrant } from '../../protocol/records/connector-grant.ts';
import { openKeyring } from '../../protocol/records/keyring-roster.ts';
import { createRecord, ed25519Signer, verifyRecord } from '../../protocol/records/envelope.ts';
import { timestamp } from '../../protocol/records/fields.ts';
import { type PartyResult, partyResult } from '../../protocol/records/party-result.ts';
import { type Request, request as requestRecord } from '../../protocol/records/request.ts';
import { WholeEcdsaKey } from './whole-ecdsa-key.ts';
import { WholeTaprootKey } from './whole-taproot-key.ts';

/** The seed of an ed25519 key, or a key in one hand. */
type AnyKey = Uint8Array | WholeTaprootKey | WholeEcdsaKey;

export interface FakeParties {
  /** Answers the pending request for a derived key, as real parties derive it. */
  derive(requestId: Hex): Promise<void>;
  /** Answers the pending request: with that key, or with signatures by it: the seed of an ed25519 key, or a whole key. Only the named number of parties. */
  answer(requestId: Hex, key: AnyKey, parties?: number): Promise<void>;
}

/** What the parties make of the key together. Threshold 2: the key itself, and any point of prime order. */
function handOf(key: AnyKey, request: Request) {
  const other = secp256k1.Point.BASE.toBytes();
  if (key instanceof WholeTaprootKey)
    return {
      sharedKey: key.key,
      commitments: [key.point, other],
      signatureOf: (message: Uint8Array) => key.sign(message),
    };
  if (key instanceof WholeEcdsaKey) {
    const forBitcoin =
      request.kind === 'key'
        ? request.keyType === 'bitcoin_secp256k1'
        : request.items[0]!.payload.kind === 'bitcoin.psbt';
    return {
      sharedKey: forBitcoin ? key.bitcoin : key.evm,
      commitments: [key.publicKey, other],
      signatureOf: (message: Uint8Array) => (forBitcoin ? key.signDer(message) : key.sign(message)),
    };
  }
  const sharedKey: PayloadKey = { keyType: 'ed25519', publicKey: publicKeyOf(key) };
  return {
    sharedKey,
    commitments: [sharedKey.publicKey, ed25519.Point.BASE.toBytes()],
    signatureOf: (message: Uint8Array) => sign(key, message),
  };
}

export function fakeParties(
  url: string,
  networkId: string,
  keyringId: Hex,
  seeds: readonly Uint8Array[],
): FakeParties {
  const clients = seeds.map((seed, index) => {
    const party = ed25519Signer(seed).credential;
    const signer = ed25519Signer(new Uint8Array(32).fill(101 + index));
    const expires = timestamp(Date.now() + 3600_000);
    const grant = createRecord(
      connectorGrant,
      { networkId, keyringId, party, connector: signer.credential, expires },
      ed25519Signer(seed),
    );
    return createClient({ url, networkId, signer, grant });
  });

  async function answer(requestId: Hex, key: AnyKey, count = seeds.length): Promise<void> {
    const { items } = await clients[0]!.call('connector_pending', { keyringId, requestIds: [requestId] });
    const { content } = verifyRecord(requestRecord, items[0]!.evidence.request, networkId);
    const { sharedKey, commitments, signatureOf } = handOf(key, content);
    const result: PartyResult['result'] =
      content.kind === 'key'
        ? {
            kind: 'key',
            keyType: content.keyType,
            publicKey: toHex(sharedKey.publicKey),
            chainCode: `0x${'00'.repeat(32)}`,
            commitments: commitments.map((point) => toHex(point)),
            transcript: requestId,
          }
        : {
            kind: 'signatures',
            signatures: content.items.map(({ payload }) =>
              toHex(signatureOf(decodePayload(payload, sharedKey).message)),
            ),
          };
    await submit(requestId, result, count);
  }

  async function derive(requestId: Hex): Promise<void> {
    const { items } = await clients[0]!.call('connector_pending', { keyringId, requestIds: [requestId] });
    const { request, keys, roster } = items[0]!.evidence;
    const { content } = verifyRecord(requestRecord, request, networkId);
    const derived = new KeyProofs(keys, openKeyring(roster, networkId), networkId).derivedBy(content);
    await submit(requestId, derived!.result, seeds.length);
  }

  async function submit(requestId: Hex, result: PartyResult['result'], count: number): Promise<void> {
    for (const [index, seed] of seeds.slice(0, count).entries()) {
      const signer = ed25519Signer(seed);
      const record: PartyResult = {
        networkId,
        subject: requestId,
        keyringId,
        epoch: { roster: 1, run: 0 },
        party: signer.credential,
        result,
      };
      await clients[index]!.call('connector_submitResult', {
        result: createRecord(partyResult, record, signer),
      });
    }
  }

  return { answer, derive };
}
