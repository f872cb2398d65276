// Signatures of a fulfilled request, verified here, in the forms people and scripts take them.
import { base58, base64 } from '@scure/base';
import { type ProvenSignature, verifySignatures } from '../client/verify.ts';
import { fromHex, type Hex } from '../protocol/hex.ts';
import type { Workspace } from '../protocol/records/workspace.ts';
import type { RequestView } from '../protocol/rpc.ts';
import type { CommandContext } from './context.ts';
import { fetchKey } from './keys.ts';
import { fields } from './output.ts';
import type { ProvenRequest } from './requests.ts';
import type { WorkspaceSession } from './session.ts';

/** The signatures of a fulfilled sign request by keys that are proven too. Throws VerificationError. */
export async function provenSignatures(
  context: CommandContext,
  session: WorkspaceSession,
  workspace: Workspace,
  view: RequestView,
  { id, content }: ProvenRequest,
): Promise<ProvenSignature[]> {
  const keyIds = content.kind === 'sign' ? new Set<Hex>(content.items.map((item) => item.keyId)) : [];
  const keys = [];
  for (const keyId of keyIds) keys.push((await fetchKey(context, session, workspace, keyId)).key);
  return verifySignatures(view, keys, { networkId: session.networkId, requestId: id });
}

/**
 * What the chain, or a verifier of messages, takes: an EVM transaction, or r || s || v of an EVM message or typed data, in
 * 0x-hex; a Bitcoin transaction in hex, as nodes take it; base64 of a PSBT, a Solana transaction or an enveloped message;
 * the signature alone, in hex, where nothing goes with it.
 */
export function signedForm({ assembled, signature }: ProvenSignature): string {
  const { encoding, transaction, psbt, envelope, evmSignature } = assembled;
  if (evmSignature !== undefined) return evmSignature.bytes;
  if (encoding === 'evm.transaction' && transaction !== undefined) return transaction;
  if (encoding === 'bitcoin.psbt' && transaction !== undefined) return transaction.slice(2);
  const bytes = transaction ?? psbt ?? envelope;
  return bytes === undefined ? signature.slice(2) : base64.encode(fromHex(bytes));
}

/** What `signedForm` gives, in a word. */
function formName({ assembled: { encoding, transaction, evmSignature } }: ProvenSignature): string {
  if (evmSignature !== undefined) return 'r, s and v';
  if (encoding === 'bitcoin.psbt' && transaction === undefined) return 'signed PSBT';
  return transaction === undefined ? 'signed message' : 'signed transaction';
}

export function signedItemJson(item: ProvenSignature): Record<string, unknown> {
  const { key, signature, assembled } = item;
  return {
    keyId: key.id,
    label: key.label,
    signature,
    encoding: assembled.encoding,
    ...(assembled.transaction !== undefined && { transaction: signedForm(item) }),
    ...(assembled.transactionHash !== undefined && { transactionHash: assembled.transactionHash }),
    ...(assembled.evmSignature !== undefined && { evmSignature: assembled.evmSignature }),
    ...(assembled.psbt !== undefined && { psbt: base64.encode(fromHex(assembled.psbt)) }),
    ...(assembled.missing !== undefined && { missing: [...assembled.missing] }),
    ...(assembled.envelope !== undefined && { envelope: signedForm(item) }),
  };
}

export function signedItemLines(item: ProvenSignature): string[] {
  const { key, signature, assembled } = item;
  const missing = assembled.missing ?? [];
  return fields([
    ['key', `${key.label} (${key.id})`],
    ['signature', signature],
    ['', key.keyType === 'ed25519' ? `${base58.encode(fromHex(signature))} (base58)` : undefined],
    [formName(item), signedForm(item)],
    ['transaction hash', assembled.transactionHash],
    ['still missing', missing.length === 0 ? undefined : `signatures of ${missing.join(', ')}`],
  ]);
}
