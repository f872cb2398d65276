// The testnet's demonstration on Ethereum: a transfer from a key that nobody holds, mined by a node of its own.
import { randomBytes } from 'node:crypto';
import { getAddress, serializeTransaction } from 'viem/utils';
import type { ProvenKey } from '../../client/verify.ts';
import { type Hex, toHex } from '../../protocol/hex.ts';
import { CliError } from '../errors.ts';
import { writeOut } from '../record-file.ts';
import { type PreparedDemo, signStepByStep } from './demonstration.ts';
import { anvilProgram, type EvmChain, startEvmChain } from './evm-chain.ts';
import type { Stage } from './requests.ts';

const etherDecimals = 18;
const ether = 10n ** BigInt(etherDecimals);
const gwei = 10n ** 9n;
const funded = 10n * ether;
const paid = (3n * ether) / 2n;
/** Of the transfer that whoever tries the network by hand may have signed. */
const trial = ether / 4n;
/** What a transfer costs. */
const gas = 21_000n;

/** An amount for people. */
function eth(wei: bigint): string {
  const text = String(wei).padStart(etherDecimals + 1, '0');
  return `${text.slice(0, -etherDecimals)}.${text.slice(-etherDecimals)} ETH`;
}

/** Throws EvmChainError when there is no node. */
export async function evmDemo(): Promise<PreparedDemo> {
  const program = anvilProgram();
  return ({ rawTransfer }) => ({
    label: 'treasury',
    keyType: 'ecdsa_secp256k1',
    trialFile: rawTransfer,
    async sign(stage, key, running) {
      const chain = await startEvmChain(program);
      try {
        return await signTransfer(stage, chain, key, running, rawTransfer);
      } finally {
        await chain.stop();
      }
    },
  });
}

/** An unsigned EIP-1559 transfer. */
export function transferOf(chain: { readonly chainId: number }, nonce: number, to: Hex, value: bigint): Hex {
  const prices = { maxFeePerGas: 20n * gwei, maxPriorityFeePerGas: gwei };
  return serializeTransaction({ type: 'eip1559', chainId: chain.chainId, nonce, gas, ...prices, to, value });
}

async function signTransfer(
  stage: Stage,
  chain: EvmChain,
  key: ProvenKey,
  running: number,
  trialFile: string,
): Promise<Hex> {
  const { narration } = stage;
  const from = key.addresses[0]?.address ?? '';
  const to = getAddress(toHex(randomBytes(20)));
  await chain.fund(from, funded);
  const nonce = await chain.nonce(from);
  const balances = async () => ({ from: await chain.balance(from), to: await chain.balance(to) });
  const before = await balances();
  await writeOut(trialFile, `${transferOf(chain, nonce + 1, to, trial)}\n`, { replace: true });
  narration.say('', `Signature: ${eth(paid)} from the key's address to ${to}`);
  const payload = { kind: 'evm.transaction', transaction: transferOf(chain, nonce, to, paid) } as const;
  const { requestId, signed } = await signStepByStep(stage, key, [payload], running);
  const { signature, assembled } = signed[0]!;
  const transaction = assembled.transaction!;
  narration.say('', `Signature  ${signature}`);
  narration.say(`           verified here, under ${from}`);
  narration.tell('signature', { requestId, signature, transaction, address: from, verified: true });
  const mined = await chain.send(transaction);
  const after = await balances();
  const fee = mined.gasUsed * mined.gasPrice;
  if (
    !mined.ok ||
    mined.hash !== assembled.transactionHash ||
    after.to - before.to !== paid ||
    before.from - after.from !== paid + fee
  ) {
    const what = `balances moved from ${before.from}, ${before.to} to ${after.from}, ${after.to} wei`;
    throw new CliError('failed', `${what} for a transfer of ${paid}`, 'report it with the logs');
  }
  const asText = (some: typeof before) => ({ from: String(some.from), to: String(some.to) });
  narration.say('', `Balances at an Ethereum node (anvil), before and after it mined ${mined.hash}:`);
  narration.say(`  from  ${from}  ${eth(before.from)} -> ${eth(after.from)}  (fee ${fee} wei)`);
  narration.say(`  to    ${to}  ${eth(before.to).padStart(eth(before.from).length)} -> ${eth(after.to)}`);
  narration.tell('balances', {
    requestId,
    from,
    to,
    wei: String(paid),
    fee: String(fee),
    before: asText(before),
    after: asText(after),
    transactionHash: mined.hash,
  });
  return requestId;
}
