// The program of docs/credentials.md, piece by piece: what the document shows is cut from here, and this is run by a test.
import {
  buildDecision,
  buildGenesis,
  buildKeyRequest,
  challengeOf,
  decisionRecord,
  createClient,
  ed25519Signer,
  envelopeId,
  fromHex,
  openWorkspace,
  passkeyCredential,
  readContent,
  typedDataOf,
  verifyKeyView,
  walletCredential,
  withPasskeySignature,
  withWalletSignature,
} from '../../client/mod.ts';
import type { Hex } from '../../client/mod.ts';

/** A wallet as pages find it (EIP-1193). */
export interface Wallet {
  request(call: { method: string; params: readonly unknown[] }): Promise<unknown>;
}

/** What `navigator.credentials` gives for the passkey of this page. */
export interface Passkeys {
  create(): Promise<{ getPublicKey(): ArrayBuffer }>;
  get(challenge: Uint8Array): Promise<{
    readonly authenticatorData: ArrayBuffer;
    readonly clientDataJSON: ArrayBuffer;
    readonly signature: ArrayBuffer;
  }>;
}

/** What the page shows of what is decided. */
export interface Page {
  show(lines: readonly string[] | undefined): void;
}

/** Runs it against a coordinator with a keyring; answers with what it ended with. */
export async function example(
  url: string,
  networkId: string,
  keyringId: Hex,
  wallet: Wallet,
  passkeys: Passkeys,
  page: Page,
) {
  // #region credentials
  const [address] = (await wallet.request({ method: 'eth_requestAccounts', params: [] })) as [string];
  const ada = walletCredential(address); // eip712:0x…

  const made = await passkeys.create();
  const publicKey = new Uint8Array(made.getPublicKey());
  const bob = passkeyCredential({ rpId: 'example.org', origin: 'https://sign.example.org', publicKey });
  // webauthn:example.org:sign.example.org:0x…

  const reader = ed25519Signer(crypto.getRandomValues(new Uint8Array(32)));
  // #endregion

  // #region wallet
  const owners = [
    { name: 'ada', credentials: [ada, reader.credential] },
    { name: 'bob', credentials: [bob] },
  ];
  const signPolicy = {
    version: 1 as const,
    rules: [
      {
        id: 'both',
        effect: 'allow' as const,
        when: { kind: ['key.request' as const] },
        require: { k: 2, of: 'owners' as const },
      },
    ],
  };
  const genesis = buildGenesis(
    { networkId, name: 'Example', owners, keyrings: [keyringId], signPolicy },
    { credential: ada }, // no signer: a draft without signature
  );

  const shown = typedDataOf(genesis.envelope, networkId);
  const signature = await wallet.request({
    method: 'eth_signTypedData_v4',
    params: [address, JSON.stringify(shown)],
  });
  const signed = withWalletSignature(genesis.envelope, networkId, address, signature as string);
  // #endregion

  // #region reading
  const client = createClient({ url, networkId, signer: reader });
  const { log } = await client.call('workspace_create', { genesis: signed });
  const workspace = openWorkspace(log, networkId);
  // #endregion

  const draft = buildKeyRequest(
    { networkId, workspace, keyringId, keyType: 'ed25519', label: 'treasury' },
    { credential: ada },
  );
  const asked = withWalletSignature(
    draft.envelope,
    networkId,
    address,
    (await wallet.request({
      method: 'eth_signTypedData_v4',
      params: [address, JSON.stringify(typedDataOf(draft.envelope, networkId))],
    })) as string,
  );
  const { state } = await client.call('key_request', { request: asked });

  // #region passkey
  const { evidence } = await client.call('action_get', { requestId: draft.id });
  if (envelopeId(evidence.request, networkId) !== draft.id) throw new Error('another request');
  const approval = buildDecision(
    {
      networkId,
      workspace,
      subject: evidence.request, // itself, not its id: what it is about is read from its bytes
      decisions: evidence.decisions,
      decision: 'approve',
    },
    { credential: bob }, // or a wallet's: then typedDataOf and withWalletSignature, as above
  );
  const { about } = readContent(decisionRecord, approval.envelope, networkId).content;
  page.show(about); // the lines that a wallet shows; a passkey's page has to

  const assertion = await passkeys.get(challengeOf(approval.envelope, networkId));
  const decision = withPasskeySignature(approval.envelope, networkId, bob, {
    authenticatorData: new Uint8Array(assertion.authenticatorData),
    clientDataJSON: new Uint8Array(assertion.clientDataJSON),
    signature: new Uint8Array(assertion.signature),
  });
  await client.call('action_decide', { decision });
  // #endregion

  await client.call('sign_wait', { requestId: draft.id, timeoutMs: 30_000 });
  const keyView = await client.call('key_get', { keyId: draft.id });
  const { key } = verifyKeyView(keyView, { networkId, workspaceId: workspace.id, keyringId });
  return { workspace, shown, state, publicKey: fromHex(key.publicKey) };
}
