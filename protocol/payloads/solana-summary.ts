// A Solana transaction in lines for people, made of its facts.
import { formatUnits } from 'viem/utils';
import { fromHex } from '../hex.ts';
import type { DigestFacts, SolanaInstruction, SolanaLifetime, SolanaTransactionFacts } from './facts.ts';
import { printableQuoted } from './printable-text.ts';
import { instructionName } from './solana-token.ts';

/** Bytes of an instruction's data that a summary shows; the facts have them all. */
const summaryDataBytes = 64;
const solDecimals = 9;

/** `1500000000` as `1.5 SOL (1500000000 lamports)`. */
function formatLamports(lamports: string): string {
  return `${formatUnits(BigInt(lamports), solDecimals)} SOL (${lamports} lamports)`;
}

type Label = (address: string) => string;

function describeUnknown({ program, accounts, data }: SolanaInstruction, label: Label): string {
  const length = (data.length - 2) / 2;
  const shown = data.slice(0, 2 + 2 * summaryDataBytes);
  const name = instructionName(program, fromHex(data));
  const names = accounts.map(label).join(', ') || 'none';
  const bytes = length > summaryDataBytes ? `${shown}... (${length} bytes)` : shown;
  return `NOT UNDERSTOOD: ${name === undefined ? '' : `${name}, `}program ${program}, accounts ${names}, data ${bytes}`;
}

function describeInstruction(
  entry: SolanaInstruction,
  label: Label,
  ownerOf: (account: string, mint: string) => string | undefined,
): string {
  if (entry.name === undefined) return describeUnknown(entry, label);
  switch (entry.name) {
    case 'system.transfer':
      return `transfer ${formatLamports(entry.lamports)} from ${label(entry.from)} to ${label(entry.to)}`;
    case 'system.advanceNonce':
      return `advance the nonce of account ${label(entry.nonceAccount)}, by authority of ${label(entry.authority)}`;
    case 'token.transferChecked': {
      const owner = ownerOf(entry.to, entry.mint);
      const whose = owner === undefined ? 'whose wallet the bytes do not say' : `of wallet ${label(owner)}`;
      return (
        `transfer ${formatUnits(BigInt(entry.amount), entry.decimals)} tokens (${entry.amount} base units) of mint ${entry.mint} ` +
        `from token account ${label(entry.from)} to token account ${label(entry.to)}, ${whose}, ` +
        `by authority of ${label(entry.authority)}`
      );
    }
    case 'associatedToken.create':
    case 'associatedToken.createIdempotent':
      return (
        `make token account ${entry.account} of wallet ${label(entry.wallet)} for mint ${entry.mint}` +
        `${entry.name === 'associatedToken.createIdempotent' ? ', unless it is there' : ''}, ` +
        `paid for by ${label(entry.payer)}`
      );
    case 'memo':
      return `memo ${printableQuoted(entry.text)}`;
    case 'computeBudget.requestHeapFrame':
    case 'computeBudget.setComputeUnitLimit':
    case 'computeBudget.setComputeUnitPrice':
    case 'computeBudget.setLoadedAccountsDataSizeLimit':
      return `${entry.name} ${entry.value}`;
  }
}

function lifetimeLines(lifetime: SolanaLifetime, label: Label): string[] {
  if (lifetime.kind === 'blockhash')
    return [`Recent blockhash: ${lifetime.blockhash}, good for about a minute after its block`];
  return [
    `Durable nonce: ${lifetime.nonce} of account ${label(lifetime.nonceAccount)}, good until that is advanced`,
    `Nonce authority: ${label(lifetime.authority)}`,
  ];
}

function signerLines(signers: readonly string[], own: string): string[] {
  return signers
    .filter((address) => address !== own)
    .map((address) => `Also needs the signature of ${address}`);
}

const labelOf =
  (own: string): Label =>
  (address) =>
    address === own ? `${address} (this key)` : address;

/** The lines of a transaction; `own` is the address of the key that is to sign. */
export function summarize(facts: SolanaTransactionFacts, own: string): string[] {
  const label = labelOf(own);
  const tokens = facts.transfers.filter((transfer) => 'tokenProgram' in transfer);
  const ownerOf = (account: string, mint: string) =>
    tokens.find(({ to, asset }) => to === account && asset === mint)?.toOwner;
  return [
    `Solana transaction, ${facts.version === 'legacy' ? 'legacy' : `version ${facts.version}`}`,
    ...facts.instructions.map(
      (entry, index) => `${index + 1}. ${describeInstruction(entry, label, ownerOf)}`,
    ),
    ...(facts.understood
      ? []
      : ['Instructions that are not understood can move anything these signers control.']),
    `Fee payer: ${label(facts.feePayer)}, at most ${formatLamports(facts.maximumFee)}`,
    ...(facts.accountRent === '0'
      ? []
      : [`Of these, rent of new token accounts: at most ${formatLamports(facts.accountRent)}`]),
    ...signerLines(facts.requiredSigners, own),
    ...lifetimeLines(facts.lifetime, label),
  ];
}

/** The lines of a transaction that takes accounts from lookup tables. */
export function summarizeDigest(facts: DigestFacts, own: string): string[] {
  const label = labelOf(own);
  return [
    'Solana transaction, version 0, WITH ADDRESS LOOKUP TABLES: its recipients are not in the signed bytes',
    ...facts.programs.map((program) => `Runs program ${program}`),
    ...facts.lookupTables.map((table) => `Takes accounts from the lookup table ${table}`),
    `Fee payer: ${label(facts.feePayer)}`,
    ...signerLines(facts.requiredSigners, own),
    ...lifetimeLines(facts.lifetime, label),
  ];
}
