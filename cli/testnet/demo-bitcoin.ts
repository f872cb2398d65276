// The testnet's demonstration on Bitcoin with an ECDSA key: two coins of its address (P2WPKH), spent in one transaction.
import { spendDemo } from './demo-taproot.ts';
import type { PreparedDemo } from './demonstration.ts';

/** Throws CliError `failed` when Bitcoin's rules are not installed. */
export async function bitcoinDemo(): Promise<PreparedDemo> {
  return spendDemo('savings', 'bitcoin_secp256k1');
}
