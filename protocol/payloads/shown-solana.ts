// A Solana transaction as a wallet shows it, with the rule of shown.ts: the wording stays, and instructions that are not among
// these are shown as bytes for ever.
import type { DigestFacts, SolanaInstruction, SolanaLifetime, SolanaTransactionFacts } from './facts.ts';
import { asciiText } from './printable-text.ts';
import { amountShown, bytesShown } from './shown-bytes.ts';
import { solanaFacts } from './solana.ts';

const solDecimals = 9;
const sol = (lamports: string): string => amountShown(lamports, solDecimals, 'SOL', 'lamports');

function instructionShown(
  entry: SolanaInstruction,
  walletOf: (account: string, mint: string) => string,
): string {
  if (entry.name === undefined)
    return `run program ${entry.program}, accounts ${entry.accounts.join(' ') || 'none'}, data ${bytesShown(entry.data)}`;
  switch (entry.name) {
    case 'system.transfer':
      return `transfer ${sol(entry.lamports)} from ${entry.from} to ${entry.to}`;
    case 'system.advanceNonce':
      return `advance the nonce of ${entry.nonceAccount} by authority of ${entry.authority}`;
    case 'token.transferChecked': {
      const { amount, decimals, mint, from, to, authority } = entry;
      const tokens = amountShown(amount, decimals, '', 'base units');
      return `transfer ${tokens} of token ${mint} to token account ${to}${walletOf(to, mint)}, from token account ${from} by authority of ${authority}`;
    }
    case 'associatedToken.create':
    case 'associatedToken.createIdempotent':
      return `make token account ${entry.account} of wallet ${entry.wallet} for token ${entry.mint}, paid for by ${entry.payer}`;
    case 'memo':
      return `memo: ${asciiText(entry.text)}`;
    case 'computeBudget.requestHeapFrame':
    case 'computeBudget.setComputeUnitLimit':
    case 'computeBudget.setComputeUnitPrice':
    case 'computeBudget.setLoadedAccountsDataSizeLimit':
      return `${entry.name} ${entry.value}`;
  }
}

const lifetimeShown = (lifetime: SolanaLifetime): string =>
  lifetime.kind === 'blockhash'
    ? `blockhash ${lifetime.blockhash}`
    : `nonce ${lifetime.nonce} of account ${lifetime.nonceAccount}`;

function transactionShown(facts: SolanaTransactionFacts): readonly string[] {
  const { feePayer, requiredSigners, lifetime, maximumFee, instructions, transfers } = facts;
  const walletOf = (account: string, mint: string): string => {
    const found = transfers.find(({ to, asset }) => to === account && asset === mint);
    return found !== undefined && 'toOwner' in found ? ` of wallet ${found.toOwner}` : '';
  };
  return [
    `fee payer ${feePayer}, fee at most ${sol(maximumFee)}, ${lifetimeShown(lifetime)}`,
    ...(requiredSigners.length > 1 ? [`signers ${requiredSigners.join(' ')}`] : []),
    ...instructions.map((entry) => instructionShown(entry, walletOf)),
  ];
}

/** What it uses stands in tables that are not among its bytes. */
function digestShown({ feePayer, programs, lookupTables, message }: DigestFacts): readonly string[] {
  return [
    `fee payer ${feePayer}, RECIPIENTS ARE NOT IN ITS BYTES`,
    `accounts from lookup tables ${lookupTables.join(' ')}`,
    `run programs ${programs.join(' ')}`,
    `message ${bytesShown(message)}`,
  ];
}

/** Throws PayloadError as `parseSolanaMessage`. */
export function shownSolana(bytes: Uint8Array): readonly string[] {
  const facts = solanaFacts(bytes);
  return facts.kind === 'digest' ? digestShown(facts) : transactionShown(facts);
}
