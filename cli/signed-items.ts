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

/** Base64 of what the chain, or a verifier of messages, takes. */
export function signedForm({ assembled }: ProvenSignature): string {
  const bytes = assembled.transaction ?? assembled.envelope;
  return bytes === undefined ? '' : base64.encode(fromHex(bytes));
}

export function signedItemJson(item: ProvenSignature): Record<string, unknown> {
  const { key, signature, assembled } = item;
  return {
    keyId: key.id,
    label: key.label,
    signature,
    encoding: assembled.encoding,
    ...(assembled.transaction !== undefined && {
      transaction: signedForm(item),
      missing: [...(assembled.missing ?? [])],
    }),
    ...(assembled.envelope !== undefined && { envelope: signedForm(item) }),
  };
}

export function signedItemLines(item: ProvenSignature): string[] {
  const { key, signature, assembled } = item;
  const missing = assembled.missing ?? [];
  return fields([
    ['key', `${key.label} (${key.id})`],
    ['signature', signature],
    ['', `${base58.encode(fromHex(signature))} (base58)`],
    [assembled.transaction === undefined ? 'signed message' : 'signed transaction', signedForm(item)],
    ['still missing', missing.length === 0 ? undefined : `signatures of ${missing.join(', ')}`],
  ]);
}
