// One input of a PSBT, and all that its transaction pays, as a wallet shows it, with the rule of shown.ts: the wording stays.
import { equalBytes } from '@noble/curves/utils.js';
import { fromHex, toHex } from '../hex.ts';
import type { BitcoinPsbtPayload } from './bitcoin-psbt.ts';
import { addressOfScript, type Coin, isData, parsePsbt } from './bitcoin-transaction.ts';
import { amountShown, bytesShown } from './shown-bytes.ts';

const coinDecimals = 8;
const bitcoin = (amount: bigint): string => amountShown(amount, coinDecimals, 'BTC', 'satoshi');

function placeOf({ script }: Coin): string {
  return addressOfScript(script) ?? `${isData(script) ? 'data' : 'script'} ${bytesShown(toHex(script))}`;
}

/** Throws PayloadError as `parsePsbt`, TypeError when there is no such input. */
export function shownBitcoin({ psbt, input }: BitcoinPsbtPayload): readonly string[] {
  const { inputs, outputs, fee, lockTime } = parsePsbt(fromHex(psbt));
  const spent = inputs[input];
  if (spent === undefined) throw new TypeError(`there is no input ${input}`);
  const coin = `${bitcoin(spent.amount)} of ${spent.txid.slice(2)}:${spent.index}`;
  // Whose other outputs are, the bytes do not say: which key signs is no part of them.
  const back = (output: Coin): string =>
    equalBytes(output.script, spent.script) ? `, where input ${input} comes from` : '';
  return [
    `input ${input} of ${inputs.length}, ${coin}, fee ${bitcoin(fee)}${lockTime === 0 ? '' : `, lock time ${lockTime}`}`,
    ...outputs.map((output) => `pay ${bitcoin(output.amount)} to ${placeOf(output)}${back(output)}`),
  ];
}
