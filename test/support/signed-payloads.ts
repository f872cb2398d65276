// Payloads for keys of each type, each different from all others, and a second opinion on the signatures of ECDSA keys by
// libraries that share nothing with what made them.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { RawTx, Transaction as BitcoinTransaction } from '@scure/btc-signer';
import { addr, eip191Signer, Transaction as EvmTransaction } from 'micro-eth-signer';
import { serializeTransaction } from 'viem/utils';
import { bitcoinRules } from '../../cli/testnet/bitcoin-rules.ts';
import {
  verifyKeyView,
  verifySignatures,
  type ProvenKey,
  type ProvenSignature,
} from '../../client/verify.ts';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import { publicKeyHash } from '../../protocol/keys/bitcoin-address.ts';
import { outputKeyOf } from '../../protocol/keys/taproot.ts';
import { taprootScript } from '../../protocol/payloads/bitcoin-transaction.ts';
import type { Payload } from '../../protocol/payloads/payload.ts';
import type { LocalNetwork } from './local-network.ts';

/** Satoshi. */
const coin = 100_000n;
const chainId = 11155111;
const receiver = '0x00000000000000000000000000000000000000aa';

/** A made key, proven by its certificate. */
export async function provenKey(net: LocalNetwork, keyId: Hex): Promise<ProvenKey> {
  const view = await net.owners.alice.client.call('key_get', { keyId });
  const { networkId, keyringId } = net.network;
  return verifyKeyView(view, { networkId, keyringId });
}

/** The script that pays to a key. */
export function scriptOf({ key }: ProvenKey): Uint8Array {
  const publicKey = fromHex(key.publicKey);
  if (key.keyType === 'taproot_secp256k1') return taprootScript(outputKeyOf(publicKey));
  return Uint8Array.of(0, 20, ...publicKeyHash(publicKey));
}

/** A PSBT that spends so many made-up coins of the key, each with the whole transaction that made it. */
export function spendOf(key: ProvenKey, inputs: number): Hex {
  const script = scriptOf(key);
  const spending = new BitcoinTransaction();
  for (let index = 0; index < inputs; index++) {
    const made = new BitcoinTransaction();
    const witnessUtxo = { script, amount: 2n * coin };
    made.addInput({ txid: new Uint8Array(randomBytes(32)), index: 0, witnessUtxo });
    made.addOutput({ script, amount: coin });
    spending.addInput({
      txid: fromHex(`0x${made.id}`),
      index: 0,
      nonWitnessUtxo: RawTx.decode(made.unsignedTx),
    });
  }
  spending.addOutput({ script, amount: BigInt(inputs) * coin - 1000n });
  return toHex(spending.toPSBT());
}

/** Something that a key of this type signs; `text` tells it from others. */
export function payloadFor(key: ProvenKey, text: string): Payload {
  const data = toHex(new TextEncoder().encode(text));
  switch (key.key.keyType) {
    case 'ecdsa_secp256k1':
      return { kind: 'evm.message', data };
    case 'bitcoin_secp256k1':
      return { kind: 'bitcoin.psbt', psbt: spendOf(key, 1), input: 0 };
    case 'ed25519':
    case 'taproot_secp256k1':
      return { kind: 'message', data };
  }
}

/** A transfer on a test chain. */
export function evmTransfer(nonce: number): Payload {
  const transaction = serializeTransaction({
    type: 'eip1559',
    chainId,
    nonce,
    to: receiver,
    value: 1_000_000_000_000_000n,
    gas: 21_000n,
    maxFeePerGas: 2_000_000_000n,
    maxPriorityFeePerGas: 1_000_000_000n,
  });
  return { kind: 'evm.transaction', transaction };
}

/** The signatures of a fulfilled request, proven by this software's own client. */
export async function provenSignatures(
  net: LocalNetwork,
  requestId: Hex,
  key: ProvenKey,
): Promise<readonly ProvenSignature[]> {
  const { networkId } = net.network;
  return verifySignatures(await net.view(requestId), [key.key], { networkId, requestId });
}

/** r of an ECDSA signature, in hex. */
export function nonceOf({ key }: ProvenKey, signature: Hex): Hex {
  const bytes = fromHex(signature);
  // DER: the length of the integer stands before it.
  return toHex(key.keyType === 'bitcoin_secp256k1' ? bytes.slice(4, 4 + bytes[3]!) : bytes.slice(0, 32));
}

/** Asks other libraries whether these are signatures by the key: an Ethereum library, and a Bitcoin script interpreter. */
export function assertBySecondLibrary(key: ProvenKey, signed: readonly ProvenSignature[]): void {
  const address = addr.fromPublicKey(fromHex(key.key.publicKey));
  for (const { payload, assembled } of signed) {
    switch (payload.kind) {
      case 'evm.message': {
        const { facts } = payload;
        assert.ok(facts.kind === 'evm.message' && assembled.evmSignature);
        assert.ok(eip191Signer.verify(assembled.evmSignature.bytes, fromHex(facts.data), address));
        break;
      }
      case 'evm.transaction': {
        assert.ok(assembled.transaction);
        const read = EvmTransaction.fromHex(assembled.transaction);
        assert.equal(read.sender, address);
        assert.equal(`0x${read.hash}`.replace('0x0x', '0x'), assembled.transactionHash);
        break;
      }
      case 'bitcoin.psbt': {
        assert.ok(assembled.transaction, `signatures are missing of ${assembled.missing?.join(', ')}`);
        const { inputsLength } = BitcoinTransaction.fromRaw(fromHex(assembled.transaction));
        const spent = Array.from({ length: inputsLength }, () => ({ script: scriptOf(key), amount: coin }));
        assert.equal(bitcoinRules().refusalOf(fromHex(assembled.transaction), spent), undefined);
        break;
      }
      case 'evm.typedData':
      case 'digest':
      case 'message':
      case 'solana.transaction':
        assert.fail(`no second library for ${payload.kind}`);
    }
  }
}
