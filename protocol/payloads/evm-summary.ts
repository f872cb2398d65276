// What a transaction of Ethereum's kind does, in lines for people. Everything printed is a number, hex, or a word of this
// file: no text from outside.
import { formatGwei, formatUnits } from 'viem/utils';
import { fromHex, type Hex } from '../hex.ts';
import type { EvmApproval, EvmCall, EvmTransactionFacts } from './facts.ts';

/** Chains whose names and coins are certain (https://chainid.network); of others the number is told, and wei. */
const chains: Readonly<Record<number, readonly [name: string, coin: string]>> = {
  1: ['Ethereum', 'ETH'],
  10: ['OP Mainnet', 'ETH'],
  56: ['BNB Smart Chain', 'BNB'],
  100: ['Gnosis', 'xDAI'],
  137: ['Polygon', 'POL'],
  8453: ['Base', 'ETH'],
  42161: ['Arbitrum One', 'ETH'],
  43114: ['Avalanche C-Chain', 'AVAX'],
  17000: ['Holesky, a test network', 'test ETH'],
  560048: ['Hoodi, a test network', 'test ETH'],
  11155111: ['Sepolia, a test network', 'test ETH'],
};
const coinDecimals = 18;
/** Bytes of data that a summary shows; the facts have them all. */
const summaryDataBytes = 64;
const zeroAddress = '0x0000000000000000000000000000000000000000';

/** `eip155:1` as `chain 1 (Ethereum)`. */
export function chainName(chain: `eip155:${number}`): string {
  const id = chain.slice('eip155:'.length);
  const name = chains[Number(id)]?.[0];
  return `chain ${id}${name === undefined ? '' : ` (${name})`}`;
}

function formatCoins(wei: string, chain: `eip155:${number}`): string {
  const coin = chains[Number(chain.slice('eip155:'.length))]?.[1];
  if (coin === undefined) return `${wei} wei of its coin`;
  return `${formatUnits(BigInt(wei), coinDecimals)} ${coin} (${wei} wei)`;
}

/** The lines that leave to move tokens asks for, whoever gives it in which form. */
export function approvalLines({ asset, spender, amount, unlimited }: EvmApproval): string[] {
  if (BigInt(amount) === 0n) return [`Withdraws the leave of ${spender} to move tokens of ${asset}`];
  return [
    unlimited
      ? `UNLIMITED APPROVAL: lets ${spender} move ALL tokens of contract ${asset} that this key has or will have`
      : `APPROVAL: lets ${spender} move ${amount} base units (decimals not known) of token ${asset} from this key`,
  ];
}

function callLines(call: EvmCall, token: Hex, from: Hex): string[] {
  const units = (amount: string): string => `${amount} base units (decimals not known) of token ${token}`;
  switch (call.name) {
    case 'erc20.transfer':
      return [`ERC-20 transfer: sends ${units(call.amount)} to ${call.to}`];
    case 'erc20.transferFrom':
      return [
        `ERC-20 transfer: sends ${units(call.amount)} from ${call.from}${call.from === from ? ' (this key)' : ''} to ${call.to}`,
      ];
    case 'erc20.approve':
      return [];
  }
}

function dataOf(data: Hex): string {
  const { length } = fromHex(data);
  if (length <= summaryDataBytes) return `${data} (${length} bytes)`;
  return `${data.slice(0, 2 + 2 * summaryDataBytes)}... (${length} bytes)`;
}

function effectLines(facts: EvmTransactionFacts): string[] {
  const { to, creates, value, data, selector, call, approvals, chain, from, understood } = facts;
  const isPaid = BigInt(value) > 0n;
  const coins = formatCoins(value, chain);
  if (to === undefined)
    return [
      `CREATES A CONTRACT at ${creates}${isPaid ? `, with ${coins}` : ''}`,
      `NOT UNDERSTOOD: its code is ${dataOf(data)}`,
    ];
  const target = `${to}${to === from ? ' (this key)' : ''}`;
  return [
    ...(isPaid || data === '0x' ? [`Sends ${isPaid ? coins : 'nothing'} to ${target}`] : []),
    ...(to === zeroAddress ? ['THE RECIPIENT IS NOBODY: what is sent to the zero address is lost'] : []),
    ...(call === undefined ? [] : callLines(call, to, from)),
    ...approvals.flatMap(approvalLines),
    ...(call === undefined ? [] : [`That holds if ${to} is a token contract: the bytes do not tell`]),
    ...(understood
      ? []
      : [
          `NOT UNDERSTOOD: calls contract ${target}, ${selector === undefined ? 'no function' : `function ${selector}`}, data ${dataOf(data)}`,
          'A call that is not understood can move anything that the contract may move for this key.',
        ]),
  ];
}

function feeLines({ chain, gasLimit, maxFeePerGas, maxPriorityFeePerGas, maximumFee }: EvmTransactionFacts) {
  const tip =
    maxPriorityFeePerGas === undefined ? '' : `, of it ${formatGwei(BigInt(maxPriorityFeePerGas))} as a tip`;
  return [
    `Fee: at most ${formatCoins(maximumFee, chain)}: ${gasLimit} gas at up to ${formatGwei(BigInt(maxFeePerGas))} gwei${tip}`,
  ];
}

const typeNames = { legacy: 'legacy', eip2930: 'EIP-2930', eip1559: 'EIP-1559' } as const;

export function summarizeTransaction(facts: EvmTransactionFacts): string[] {
  const { chain, type, from, nonce, accessList } = facts;
  return [
    `EVM transaction (${typeNames[type]}) on ${chainName(chain)}`,
    `From ${from} (this key), nonce ${nonce}`,
    ...effectLines(facts),
    ...feeLines(facts),
    ...(accessList.length === 0
      ? []
      : [`Names ${accessList.length} accounts whose storage it will use (access list)`]),
  ];
}
