// The testnet's demonstration on Bitcoin: two Taproot coins of a key that nobody holds, spent by the key path in one
// transaction. No chain runs here: the coins are taken as given, and Bitcoin's rules for scripts and signatures are applied
// to the transaction by an implementation that shares nothing with this one.
import { randomBytes } from 'node:crypto';
import { Transaction } from '@scure/btc-signer';
import { base64 } from '@scure/base';
import { schnorr } from '@noble/curves/secp256k1.js';
import type { ProvenKey } from '../../client/verify.ts';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import { addressesOf, outputKeyOf } from '../../protocol/keys/taproot.ts';
import { formatBitcoin, inputsOfKey } from '../../protocol/payloads/bitcoin-psbt.ts';
import { taprootScript } from '../../protocol/payloads/bitcoin-transaction.ts';
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
  const rules = bitcoinRules();
  return ({ spend }) => ({
    label: 'vault',
    keyType: 'taproot_secp256k1',
    trialFile: spend,
    sign: (stage, key, running) => signSpend(stage, rules, key, running, spend),
  });
}

/** A PSBT that spends the key's coins to a new key, and returns the rest. */
function spendOf(
  own: Uint8Array,
  to: Uint8Array,
  amount: bigint,
): { psbt: Hex; spent: readonly SpentCoin[] } {
  const spent = coins.map((coin) => ({ script: own, amount: coin }));
  const transaction = new Transaction();
  for (const [index, witnessUtxo] of spent.entries())
    transaction.addInput({ txid: new Uint8Array(randomBytes(32)), index, witnessUtxo });
  const total = coins.reduce((sum, coin) => sum + coin, 0n);
  transaction.addOutput({ script: to, amount });
  transaction.addOutput({ script: own, amount: total - amount - fee });
  return { psbt: toHex(transaction.toPSBT()), spent };
}

async function signSpend(
  stage: Stage,
  rules: BitcoinRules,
  key: ProvenKey,
  running: number,
  trialFile: string,
): Promise<Hex> {
  const { narration } = stage;
  const publicKey = fromHex(key.key.publicKey);
  const own = taprootScript(outputKeyOf(publicKey));
  const [address = ''] = key.addresses.map((entry) => entry.address);
  const receiver = schnorr.keygen().publicKey;
  const [to = ''] = addressesOf(receiver).map((entry) => entry.address);
  const script = taprootScript(outputKeyOf(receiver));
  await writeOut(trialFile, `${base64.encode(fromHex(spendOf(own, script, trial).psbt))}\n`, {
    replace: true,
  });
  const { psbt, spent } = spendOf(own, script, paid);
  narration.say(
    '',
    `Signature: ${formatBitcoin(paid)} from ${coins.length} coins of the key's address to ${to}`,
  );
  const payloads = inputsOfKey(psbt, { keyType: key.key.keyType, publicKey }).map(
    (input) => ({ kind: 'bitcoin.psbt', psbt, input }) as const,
  );
  const { requestId, signed } = await signStepByStep(stage, key, payloads, running);
  const transaction = signed[0]?.assembled.transaction;
  if (transaction === undefined)
    throw new CliError('failed', 'the transaction is not whole', 'report it with the logs');
  narration.say('');
  for (const [index, { signature }] of signed.entries())
    narration.say(`${index === 0 ? 'Signatures' : '          '} ${signature.slice(2)}`);
  narration.say(`           verified here, under the output key of ${address}`);
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
