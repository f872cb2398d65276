// Scenes for attacks on the agreement about attempts, and what must hold at their end.
import assert from 'node:assert/strict';
import { Transaction } from '@scure/btc-signer';
import type { Evidence } from '../../protocol/authorize.ts';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import type { KeyType } from '../../protocol/keys/key-type.ts';
import { outputKeyOf } from '../../protocol/keys/taproot.ts';
import { taprootScript } from '../../protocol/payloads/bitcoin-transaction.ts';
import type { Payload } from '../../protocol/payloads/payload.ts';
import type { SessionErrorCode } from '../../node/sessions/error.ts';
import { messagePayload, seedOf, signerOf } from './fixture.ts';
import { Attacker, framesSent, KeyedNetwork } from './session-attacker.ts';

export const stranger = signerOf('stranger');

export interface Scene {
  readonly net: KeyedNetwork;
  readonly attacker: Attacker;
  readonly honest: readonly number[];
  readonly id: Hex;
  readonly full: Evidence;
}

/** Key types whose sessions are attacked. */
export const keyTypes = [
  'ed25519',
  'taproot_secp256k1',
  'ecdsa_secp256k1',
] as const satisfies readonly KeyType[];

/**
 * A network with a key of this type, whose requests are for all that such a key signs: of a Taproot key messages by the key
 * itself, and between them a spend by its output key. Where an ECDSA key signs, pairs are set up.
 */
export async function keyedNetwork(
  parties: number,
  threshold: number,
  keyType: KeyType,
): Promise<KeyedNetwork> {
  const options = keyType === 'ecdsa_secp256k1' ? { ecdsa: { presignatures: 0, dealt: true } } : {};
  const net = await KeyedNetwork.create(parties, threshold, options, keyType);
  if (keyType === 'taproot_secp256k1') {
    const spend = spendBy(fromHex(net.key.publicKey));
    net.payloads = [messagePayload('hello'), spend, messagePayload('again')];
  }
  return net;
}

/** A PSBT that spends a coin of this key. */
export function spendBy(publicKey: Uint8Array): Payload {
  const script = taprootScript(outputKeyOf(publicKey));
  const transaction = new Transaction();
  transaction.addInput({ txid: seedOf('coin'), index: 0, witnessUtxo: { script, amount: 9000n } });
  transaction.addOutput({ script, amount: 8000n });
  return { kind: 'bitcoin.psbt', psbt: toHex(transaction.toPSBT()), input: 0 };
}

/** The attacker is the last party and the first leader; the others have the request. */
export async function scene(
  parties: number,
  threshold: number,
  make = async (): Promise<KeyedNetwork> => await keyedNetwork(parties, threshold, 'ed25519'),
): Promise<Scene> {
  const net = await make();
  const attacker = new Attacker(net, parties - 1);
  const honest = Array.from({ length: parties - 1 }, (_, index) => index);
  for (const index of honest) await net.boot(index);
  const { id, full } = net.messageLedBy(attacker.index);
  for (const index of honest) await net.node(index).sessions.submit(full);
  return { net, attacker, honest, id, full };
}

/** Codes under which party 0 has logged that a message, or an attempt, came to nothing. */
export function codesAt(net: KeyedNetwork, index = 0): { code: unknown; culprit: unknown }[] {
  const lines = [...net.logged(index, 'session.message_rejected'), ...net.logged(index, 'session.aborted')];
  return lines.map(({ code, culprit }) => ({ code, culprit }));
}

export function assertRefused({ net }: Scene, code: SessionErrorCode, culprit?: string): void {
  const found = codesAt(net).find((each) => each.code === code);
  assert(found, `${code} among ${JSON.stringify(codesAt(net))}`);
  assert.equal(found.culprit, culprit);
}

/** No share has left an honest party. */
export function assertNoRounds({ net, honest }: Scene): void {
  for (const index of honest)
    assert.deepEqual(framesSent(net, net.node(index).party.credential, 'round'), []);
}

export async function assertFulfilled({ net, honest, id }: Scene): Promise<void> {
  for (const index of honest) assert(!net.node(index).store.finished.has(id), 'nothing is stored yet');
  await net.signedBy(id, honest);
  for (const index of honest) {
    assert.equal(
      framesSent(net, net.node(index).party.credential, 'abort').some(({ frame }) => {
        const { culprit } = frame.content;
        return culprit !== undefined && honest.some((each) => net.node(each).party.credential === culprit);
      }),
      false,
      'nobody honest is blamed',
    );
  }
  await net.stop();
}
