// What a page does with the client: run by tests where there is nothing but a browser's globals. Only types are imported
// here; the client comes from the bundle.
import type * as ClientPackage from '../../client/mod.ts';
import type { CoordinatorEvent, Hex } from '../../client/mod.ts';

export interface Settings {
  readonly url: string;
  readonly networkId: string;
  readonly keyringId: Hex;
  /** A PSBT that pays, and the Taproot key of its first input. */
  readonly psbt: Hex;
  readonly taprootKey: Hex;
}

/** What came of it, as JSON. */
export interface Outcome {
  readonly credential: string;
  readonly workspaceId: Hex;
  readonly keyState: string;
  readonly publicKey: Hex;
  readonly address: string;
  readonly message: Hex;
  readonly signature: Hex;
  readonly events: readonly string[];
  readonly approvedBy: readonly string[];
  readonly parties: readonly string[];
  readonly altered: string;
  readonly psbt: readonly string[];
  /** Globals of Node that were there. */
  readonly nodes: readonly string[];
}

const text = (words: string): Uint8Array => new TextEncoder().encode(words);

/** Asks for a key and a signature, follows the events, and verifies everything. */
export async function scenario(client: typeof ClientPackage, settings: Settings): Promise<Outcome> {
  const { url, networkId, keyringId, psbt, taprootKey } = settings;
  const alice = client.ed25519Signer(crypto.getRandomValues(new Uint8Array(32)));
  const coordinator = client.createClient({ url, networkId, signer: alice });
  client.openKeyring((await coordinator.call('keyring_get', { keyringId })).roster, networkId);

  const genesis = client.buildGenesis(
    {
      networkId,
      name: 'Page',
      owners: [{ name: 'alice', credentials: [alice.credential] }],
      keyrings: [keyringId],
      signPolicy: {
        version: 1,
        rules: [
          {
            id: 'any',
            effect: 'allow',
            when: { kind: ['message', 'key.request'] },
            require: { k: 1, of: 'owners' },
          },
        ],
      },
    },
    alice,
  );
  const { log } = await coordinator.call('workspace_create', { genesis: genesis.envelope });
  const workspace = client.openWorkspace(log, networkId);

  const events: string[] = [];
  const stream = { kind: 'workspace', id: workspace.id } as const;
  const isEnd = (event: CoordinatorEvent): boolean =>
    event.type === 'request.state' && (event.state === 'fulfilled' || event.state === 'rejected');
  let handled = 0;
  /** Follows the stream until the request has ended, from where it was left. */
  const followed = async (requestId: Hex): Promise<void> => {
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(new Error(`${requestId} did not end in time`)), 30_000);
    try {
      for await (const { sequence, event } of coordinator.events(stream, handled, { signal: limit.signal })) {
        handled = sequence;
        events.push(event.type === 'request.state' ? event.state : event.type);
        if (isEnd(event) && 'requestId' in event && event.requestId === requestId) return;
      }
    } finally {
      clearTimeout(timer);
    }
    throw new Error('the stream ended');
  };

  const asked = client.buildKeyRequest(
    { networkId, workspace, keyringId, keyType: 'ed25519', label: 'page' },
    alice,
  );
  await coordinator.call('key_request', { request: asked.envelope });
  await followed(asked.id);
  const view = await coordinator.call('key_get', { keyId: asked.id });
  const { key, addresses } = client.verifyKeyView(view, { networkId, workspaceId: workspace.id, keyringId });

  const payload = client.messagePayload(text('signed for a page'));
  const request = client.buildSignRequest(
    { networkId, workspace, items: [{ keyId: key.id, payload }] },
    alice,
  );
  await coordinator.call('sign_request', { request: request.envelope });
  await followed(request.id);
  const signed = await coordinator.call('sign_get', { requestId: request.id });
  const [proven] = client.verifySignatures(signed, [key], { networkId, requestId: request.id });

  const { receipt } = await coordinator.call('receipt_get', { requestId: request.id });
  const bytes = client.encodeReceipt(receipt);
  const proof = client.verifyReceipt(client.decodeReceipt(bytes), { workspaceId: workspace.id });
  let altered = 'accepted';
  try {
    client.verifyReceipt({ ...receipt, results: [receipt.results[0]!] }, { workspaceId: workspace.id });
  } catch (error) {
    altered = (error as { code?: string }).code ?? 'no code';
  }

  const spend = client.decodePayload(client.parsePayload({ kind: 'bitcoin.psbt', psbt, input: 0 }), {
    keyType: 'taproot_secp256k1',
    publicKey: client.fromHex(taprootKey),
  });
  return {
    credential: alice.credential,
    workspaceId: workspace.id,
    keyState: view.state,
    publicKey: key.publicKey,
    address: addresses[0]!.address,
    message: client.toHex(proven!.payload.message),
    signature: proven!.signature,
    events,
    approvedBy: proof.approvedBy,
    parties: proof.parties,
    altered,
    psbt: spend.summary,
    nodes: ['process', 'Buffer', 'require', 'global', 'setImmediate'].filter((name) => name in globalThis),
  };
}
