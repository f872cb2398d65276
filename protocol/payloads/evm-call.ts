// What the data of a call says: three functions of tokens (ERC-20). Only data that is spelled as a compiler spells it, with
// nothing behind it, is taken for one of them. The same bytes mean the same thing to a collection of ERC-721, with a token's
// number for the amount; to any other contract they may mean anything.
import { decodeFunctionData, encodeFunctionData, getAddress } from 'viem/utils';
import { fromHex, type Hex } from '../hex.ts';
import type { EvmApproval, EvmCall } from './facts.ts';

const address = { type: 'address' } as const;
const uint256 = { type: 'uint256' } as const;
const common = { type: 'function', stateMutability: 'nonpayable', outputs: [{ type: 'bool' }] } as const;
const functions = [
  { ...common, name: 'transfer', inputs: [address, uint256] },
  { ...common, name: 'transferFrom', inputs: [address, address, uint256] },
  { ...common, name: 'approve', inputs: [address, uint256] },
] as const;

const selectorBytes = 4;
const wordBytes = 32;
const mostWords = 3;

/** No balance is as large as half of the largest number. */
const unlimitedFrom = 2n ** 255n;

/** The first four bytes of a call's data, by which contracts choose a function; undefined when there are fewer. */
export function selectorOf(data: Hex): Hex | undefined {
  return fromHex(data).length < selectorBytes ? undefined : (data.slice(0, 2 + 2 * selectorBytes) as Hex);
}

/** The call in the data; undefined when it is none of those known here, or is spelled in another way. */
export function readCall(data: Hex): EvmCall | undefined {
  if (fromHex(data).length > selectorBytes + mostWords * wordBytes) return undefined;
  try {
    const call = decodeFunctionData({ abi: functions, data });
    if (encodeFunctionData({ abi: functions, ...call }) !== data) return undefined;
    switch (call.functionName) {
      case 'transfer':
        return { name: 'erc20.transfer', to: getAddress(call.args[0]), amount: String(call.args[1]) };
      case 'transferFrom': {
        const [from, to, amount] = call.args;
        return {
          name: 'erc20.transferFrom',
          from: getAddress(from),
          to: getAddress(to),
          amount: String(amount),
        };
      }
      case 'approve':
        return { name: 'erc20.approve', spender: getAddress(call.args[0]), amount: String(call.args[1]) };
    }
  } catch {
    return undefined; // Another function, or other bytes than its parameters have.
  }
}

/** Leave to move so much of a token. `asset` and `spender` as EIP-55 spells them. */
export function approvalOf(asset: Hex, spender: Hex, amount: string): EvmApproval {
  return { asset, spender, amount, unlimited: BigInt(amount) >= unlimitedFrom };
}
