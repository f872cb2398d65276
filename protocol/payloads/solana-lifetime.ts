// How long a Solana transaction is good: its first instruction decides whether the hash in the message is a recent block's or
// the value of a nonce account. The rule is the runtime's own (`get_durable_nonce` of agave's svm-transaction, and
// `load_message_nonce_account` of its runtime), which looks at less than the whole instruction: a transaction that the
// network would take in a week must not be told as one that is dead in a minute, whatever else is odd about it.
import type { SolanaLifetime } from './facts.ts';
import { advanceNonceTag } from './solana-instruction.ts';
import { accountsOf, type SolanaMessage } from './solana-message.ts';
import { systemProgram } from './solana-program.ts';

/** The first four bytes are the tag; the runtime does not mind more. */
function isAdvanceNonce(data: Uint8Array): boolean {
  return (
    data.length >= 4 && new DataView(data.buffer, data.byteOffset).getUint32(0, true) === advanceNonceTag
  );
}

/** The lifetime of a message that `parseSolanaMessage` returned. */
export function lifetimeOf(message: SolanaMessage): SolanaLifetime {
  const blockhash: SolanaLifetime = { kind: 'blockhash', blockhash: message.lifetimeToken };
  const [first] = message.instructions;
  if (first === undefined || message.staticAccounts[first.programAddressIndex] !== systemProgram)
    return blockhash;
  if (!isAdvanceNonce(new Uint8Array(first.data ?? []))) return blockhash;
  const all = accountsOf(message);
  // One that a lookup table holds is undefined here, and nothing to the runtime either.
  const accounts = (first.accountIndices ?? []).map((index) => all[index]);
  const [nonceAccount, , third] = accounts;
  if (!nonceAccount?.writable) return blockhash;
  // Any signer of the instruction may be the authority. Where there are several, which the instruction that is understood
  // does not have, the third account is the one that software puts there.
  const authority = third?.signer ? third : accounts.find((account) => account?.signer);
  if (authority === undefined) return blockhash;
  return {
    kind: 'durableNonce',
    nonceAccount: nonceAccount.address,
    authority: authority.address,
    nonce: message.lifetimeToken,
  };
}
