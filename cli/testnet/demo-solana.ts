// The testnet's demonstration on Solana: a transfer from a key that nobody holds, executed by a Solana runtime.
import { randomBytes } from 'node:crypto';
import { base58 } from '@scure/base';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import { publicKeyOf } from '../../protocol/keys/ed25519.ts';
import type { Payload } from '../../protocol/payloads/payload.ts';
import { transferMessage } from '../../protocol/payloads/solana-transfer.ts';
import type { ProvenKey } from '../../client/verify.ts';
import { CliError } from '../errors.ts';
import { jsonText, writeOut } from '../record-file.ts';
import { type PreparedDemo, signStepByStep } from './demonstration.ts';
import type { Stage } from './requests.ts';
import { createSolanaChain, type SolanaChain } from './solana-chain.ts';

const lamportsInSol = 1_000_000_000n;
const funded = 10n * lamportsInSol;
const paid = (3n * lamportsInSol) / 2n;
/** Of the transfer that whoever tries the network by hand may have signed. */
const trial = lamportsInSol / 4n;

/** An amount for people. */
function sol(lamports: bigint): string {
  const text = String(lamports).padStart(10, '0');
  return `${text.slice(0, -9)}.${text.slice(-9)} SOL`;
}

/** Throws SolanaChainError when there is no runtime. */
export async function solanaDemo(): Promise<PreparedDemo> {
  const chain = await createSolanaChain();
  return ({ transfer }) => ({
    label: 'payroll',
    keyType: 'ed25519',
    trialFile: transfer,
    sign: (stage, key, running) => signTransfer(stage, chain, key, running, transfer),
  });
}

async function signTransfer(
  stage: Stage,
  chain: SolanaChain,
  key: ProvenKey,
  running: number,
  trialFile: string,
): Promise<Hex> {
  const { narration } = stage;
  const from = key.addresses[0]?.address ?? '';
  const to = base58.encode(publicKeyOf(randomBytes(32)));
  chain.airdrop(from, funded);
  const before = { from: chain.balance(from), to: chain.balance(to) };
  const payloadOf = (lamports: bigint): Payload => ({
    kind: 'solana.transaction',
    message: toHex(transferMessage({ from, to, lamports, recentBlockhash: chain.latestBlockhash() })),
  });
  await writeOut(trialFile, jsonText(payloadOf(trial)), { replace: true });
  narration.say('', `Signature: ${sol(paid)} from the key's address to ${to}`);
  const { requestId, signed } = await signStepByStep(stage, key, [payloadOf(paid)], running);
  const { signature, assembled } = signed[0]!;
  const transaction = assembled.transaction!;
  narration.say('', `Signature  ${base58.encode(fromHex(signature))}`);
  narration.say(`           verified here, under ${from}`);
  narration.tell('signature', { requestId, signature, transaction, address: from, verified: true });
  const executed = chain.execute(fromHex(transaction));
  if (!executed.ok) {
    const what = `the Solana runtime refused the signed transaction (${executed.reason})`;
    throw new CliError('failed', what, 'report it with the logs');
  }
  const after = { from: chain.balance(from), to: chain.balance(to) };
  const fee = before.from - after.from - paid;
  if (after.to - before.to !== paid || fee < 0n || fee !== (executed.fee ?? fee)) {
    const what = `balances moved from ${before.from}, ${before.to} to ${after.from}, ${after.to} lamports`;
    throw new CliError('failed', `${what} for a transfer of ${paid}`, 'report it with the logs');
  }
  const asText = (balances: typeof before) => ({ from: String(balances.from), to: String(balances.to) });
  narration.say('', 'Balances in a Solana runtime (LiteSVM), before and after it executed the transaction:');
  narration.say(
    `  from  ${from.padEnd(44)}  ${sol(before.from)} -> ${sol(after.from)}  (fee ${fee} lamports)`,
  );
  narration.say(
    `  to    ${to.padEnd(44)}  ${sol(before.to).padStart(sol(before.from).length)} -> ${sol(after.to)}`,
  );
  narration.tell('balances', {
    requestId,
    from,
    to,
    lamports: String(paid),
    fee: String(fee),
    before: asText(before),
    after: asText(after),
    transactionSignature: executed.signature,
  });
  return requestId;
}
