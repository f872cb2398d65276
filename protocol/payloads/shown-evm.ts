// A transaction of Ethereum's kind as a wallet shows it, with the rule of shown.ts: the wording stays, and calls that are not
// among these three are shown as bytes for ever.
import { getAddress } from 'viem/utils';
import type { Hex } from '../hex.ts';
import { readCall } from './evm-call.ts';
import { parseEvmTransaction } from './evm-transaction.ts';
import { amountShown, bytesShown } from './shown-bytes.ts';

/** Of the own coin of every chain. */
const coinDecimals = 18;
/** No balance is as large as half of the largest number. */
const unlimitedFrom = 2n ** 255n;

const wei = (amount: bigint): string => amountShown(amount, coinDecimals, '', 'wei');

function callShown(data: Hex): string {
  const call = readCall(data);
  switch (call?.name) {
    case 'erc20.transfer':
      return `transfer ${call.amount} base units to ${call.to}`;
    case 'erc20.transferFrom':
      return `transfer ${call.amount} base units from ${call.from} to ${call.to}`;
    case 'erc20.approve': {
      const without = BigInt(call.amount) >= unlimitedFrom ? ' (WITHOUT LIMIT)' : '';
      return `let ${call.spender} take ${call.amount} base units${without}`;
    }
    case undefined:
      return `data ${bytesShown(data)}`;
  }
}

/** Throws PayloadError as `parseEvmTransaction`. */
export function shownEvm(bytes: Uint8Array): readonly string[] {
  const { chainId, nonce, gasLimit, maxFeePerGas, to, value, data, accessList } = parseEvmTransaction(bytes);
  const target = to === undefined ? undefined : getAddress(to);
  return [
    `on eip155:${chainId}, nonce ${nonce}, fee at most ${wei(gasLimit * maxFeePerGas)}`,
    ...(target !== undefined && (value > 0n || data === '0x') ? [`pay ${wei(value)} to ${target}`] : []),
    ...(target === undefined ? [`create a contract with ${wei(value)}, code ${bytesShown(data)}`] : []),
    ...(target !== undefined && data !== '0x' ? [`call ${target}: ${callShown(data)}`] : []),
    ...(accessList.length > 0 ? [`access list of ${accessList.length} accounts`] : []),
  ];
}
