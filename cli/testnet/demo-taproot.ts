// The testnet's demonstration on Bitcoin: two coins of a key that nobody holds, Taproot's or, in demo-bitcoin.ts, those of an
// ECDSA key, spent in one transaction. No chain runs here: the coins are taken as given, and Bitcoin's rules for scripts and signatures are applied
// to the transaction by an implementation that shares nothing with this one.
import { randomBytes } from 'node:crypto';
import { Transaction } from '@scure/btc-signer';
import { base64 } from '@scure/base';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import type { ProvenKey } from '../../client/verify.ts';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import { addressesOf, type KeyType, keyTypes } from '../../protocol/keys/key-type.ts';
import { spenderOf } from '../../protocol/payloads/bitcoin-key.ts';
import { formatBitcoin, inputsOfKey } from '../../protocol/payloads/bitcoin-psbt.ts';
import type { PayloadKey } from '../../protocol/payloads/payload.ts';
import { CliError } from '../errors.ts';
import { writeOut } from '../record-file.ts';
import { bitcoinRules, type BitcoinRules, type SpentCoin } from './bitcoin-rules.ts';
import { type PreparedDemo, signStepByStep } from './demonstration.ts';
import type { Stage } from './requests.ts';

/** Satoshi. */
const coins = [150_000n, 1_000_000n];
const paid = 700_000n;
const fee = 2_000n;
/** Of the spend that whoever tries the network by hand may have signed. */
const trial = 25_000n;

/** Throws CliError `failed` when the rules are not installed. */
export async function taprootDemo(): Promise<PreparedDemo> {
  return spendDemo('vault', 'taproot_secp256k1');
}

/** A key of this type spends two coins. Throws CliError `failed` when the rules are not installed. */
export function spendDemo(label: string, keyType: 'taproot_secp256k1' | 'bitcoin_secp256k1'): PreparedDemo {
  const rules = bitcoinRules();
  return ({ spend }) => ({
    label,
    keyType,
    trialFile: spend,
    sign: (stage, key, running) => signSpend(stage, rules, key, running, spend),
  });
}

/** A transaction that pays these coins, from nowhere: an ECDSA key wants to see it whole before it spends from it. */
function funding(own: Uint8Array): { readonly txid: string; readonly raw: Uint8Array } {
  const transaction = new Transaction({ allowUnknownInputs: true, disableScriptCheck: true });
  for (const amount of coins) transaction.addOutput({ script: own, amount });
  const anyone = Uint8Array.of(0x51);
  transaction.addInput({ txid: new Uint8Array(randomBytes(32)), index: 0, finalScriptSig: anyone });
  return { txid: transaction.id, raw: transaction.toBytes(true, false) };
}

/** A PSBT that spends the key's coins to a new key, and returns the rest. */
export function spendOf(
  own: Uint8Array,
  to: Uint8Array,
  amount: bigint,
): { psbt: Hex; spent: readonly SpentCoin[] } {
  const spent = coins.map((coin) => ({ script: own, amount: coin }));
  const { txid, raw } = funding(own);
  const transaction = new Transaction();
  for (const [index, witnessUtxo] of spent.entries())
    transaction.addInput({ txid, index, witnessUtxo, nonWitnessUtxo: raw });
  const total = coins.reduce((sum, coin) => sum + coin, 0n);
  transaction.addOutput({ script: to, amount });
  transaction.addOutput({ script: own, amount: total - amount - fee });
  return { psbt: toHex(transaction.toPSBT()), spent };
}

/** A new key of the same type, which is paid. */
function receiverOf(keyType: KeyType): PayloadKey {
  const point = secp256k1.getPublicKey(secp256k1.utils.randomSecretKey());
  return { keyType, publicKey: keyTypes[keyType].publicKeyOfPoint(point) };
}

async function signSpend(
  stage: Stage,
  rules: BitcoinRules,
  key: ProvenKey,
  running: number,
  trialFile: string,
): Promise<Hex> {
  const { narration } = stage;
  const { keyType } = key.key;
  const spender = { keyType, publicKey: fromHex(key.key.publicKey) };
  const own = spenderOf(spender).script;
  const [address = ''] = key.addresses.map((entry) => entry.address);
  const receiver = receiverOf(keyType);
  const [to = ''] = addressesOf(keyType, receiver.publicKey).map((entry) => entry.address);
  const { script } = spenderOf(receiver);
  await writeOut(trialFile, `${base64.encode(fromHex(spendOf(own, script, trial).psbt))}\n`, {
    replace: true,
  });
  const { psbt, spent } = spendOf(own, script, paid);
  narration.say(
    '',
    `Signature: ${formatBitcoin(paid)} from ${coins.length} coins of the key's address to ${to}`,
  );
  const payloads = inputsOfKey(psbt, spender).map(
    (input) => ({ kind: 'bitcoin.psbt', psbt, input }) as const,
  );
  const { requestId, signed } = await signStepByStep(stage, key, payloads, running);
  const transaction = signed[0]?.assembled.transaction;
  if (transaction === undefined)
    throw new CliError('failed', 'the transaction is not whole', 'report it with the logs');
  narration.say('');
  for (const [index, { signature }] of signed.entries())
    narration.say(`${index === 0 ? 'Signatures' : '          '} ${signature.slice(2)}`);
  narration.say(`           verified here, under the key of ${address}`);
  const signatures = signed.map(({ signature }) => signature);
  narration.tell('signature', { requestId, signatures, transaction, address, verified: true });
  const raw = fromHex(transaction);
  const refusal = rules.refusalOf(raw, spent);
  if (refusal !== undefined)
    throw new CliError(
      'failed',
      `Bitcoin's rules refuse the transaction (${refusal})`,
      'report it with the logs',
    );
  const { id, vsize } = Transaction.fromRaw(raw);
  narration.say('', "Bitcoin's rules, applied by an implementation of its own (bitcore-lib):");
  narration.say(`  accept both inputs of transaction ${id} (${vsize} vbytes, fee ${formatBitcoin(fee)})`);
  narration.say(
    '  The coins are made up, so no network would: the same transaction with real ones is what it takes.',
  );
  narration.tell('accepted', { requestId, transactionId: id, inputs: spent.length, fee: String(fee) });
  return requestId;
}
