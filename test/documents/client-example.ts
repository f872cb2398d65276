// The program of docs/client.md, piece by piece: what the document shows is cut from here, and this is run by a test.
import {
  authorize,
  buildDecision,
  buildGenesis,
  buildKeyRequest,
  buildSignRequest,
  createClient,
  decodePayload,
  decodeReceipt,
  ed25519Signer,
  encodeReceipt,
  fromHex,
  messagePayload,
  openKeyring,
  openWorkspace,
  parsePayload,
  type Policy,
  RpcClientError,
  verifyKeyView,
  verifyReceipt,
  verifySignatures,
} from '../../client/mod.ts';
import type { Hex, KeyType } from '../../client/mod.ts';

/** Runs it against a coordinator with a keyring; answers with what it ended with. */
export async function example(url: string, networkId: string, keyringId: Hex, print: (line: string) => void) {
  // #region identity
  const alice = ed25519Signer(crypto.getRandomValues(new Uint8Array(32)));
  const bob = ed25519Signer(crypto.getRandomValues(new Uint8Array(32)));
  print(alice.credential); // ed25519:0x…
  // #endregion

  // #region client
  const client = createClient({ url, networkId, signer: alice });
  const network = await client.call('network_get', {});
  // #endregion

  // #region workspace
  const { roster } = await client.call('keyring_get', { keyringId });
  const keyring = openKeyring(roster, networkId); // throws unless its admin and all parties signed it
  print(`${keyring.roster.threshold} of ${keyring.roster.parties.length} parties`);

  const signPolicy: Policy = {
    version: 1,
    rules: [
      { id: 'keys', effect: 'allow', when: { kind: ['key.request'] }, require: { k: 1, of: 'owners' } },
      { id: 'sign', effect: 'allow', when: { kind: ['message'] }, require: { k: 2, of: 'owners' } },
    ],
  };
  const owners = [
    { name: 'alice', credentials: [alice.credential] },
    { name: 'bob', credentials: [bob.credential] },
  ];
  const genesis = buildGenesis(
    { networkId, name: 'Example', owners, keyrings: [keyringId], signPolicy },
    alice,
  );
  const { log } = await client.call('workspace_create', { genesis: genesis.envelope });
  const workspace = openWorkspace(log, networkId); // throws unless the log proves it
  // #endregion

  // #region key
  const keyRequest = buildKeyRequest(
    { networkId, workspace, keyringId, keyType: 'ed25519', label: 'treasury' },
    alice,
  );
  await client.call('key_request', { request: keyRequest.envelope });
  await client.call('sign_wait', { requestId: keyRequest.id, timeoutMs: 30_000 });
  const keyView = await client.call('key_get', { keyId: keyRequest.id });
  const { key, addresses } = verifyKeyView(keyView, { networkId, workspaceId: workspace.id, keyringId });
  for (const { chain, address } of addresses) print(`${chain}: ${address}`);
  // #endregion

  // #region sign
  const payload = messagePayload(new TextEncoder().encode('pay bob'));
  const request = buildSignRequest({ networkId, workspace, items: [{ keyId: key.id, payload }] }, alice);
  const asked = await client.call('sign_request', { request: request.envelope });
  print(asked.state); // partial: bob has not approved
  // #endregion

  // #region approve
  const asBob = createClient({ url, networkId, signer: bob });
  const { view, evidence } = await asBob.call('action_get', { requestId: request.id });
  const verdict = authorize(evidence, { networkId, now: Date.now(), keyringId });
  if (verdict.verdict !== 'waiting') throw new Error(`nothing to decide: ${verdict.verdict}`);
  for (const item of verdict.authorisation.items) print(item.payload.summary.join('\n'));

  const approval = buildDecision(
    { networkId, workspace, subject: request.id, decisions: view.decisions, decision: 'approve' },
    bob,
  );
  await asBob.call('action_decide', { decision: approval.envelope });
  // #endregion

  // #region events
  const stream = { kind: 'workspace', id: workspace.id } as const;
  const enough = AbortSignal.timeout(60_000);
  let handled = 0; // the `cursor` of `sign_list`, to leave out what is over
  for await (const { sequence, event } of client.events(stream, handled, { signal: enough })) {
    handled = sequence; // where to go on after the connection has ended
    print(`${sequence} ${event.type}`);
    const final = event.type === 'request.state' && ['fulfilled', 'rejected'].includes(event.state);
    if (final && event.requestId === request.id) break;
  }
  // #endregion

  // #region verify
  const signed = await client.call('sign_get', { requestId: request.id });
  const [first] = verifySignatures(signed, [key], { networkId, requestId: request.id });
  print(first!.signature); // of exactly the bytes in first.payload.message
  // #endregion

  // #region receipt
  const { receipt } = await client.call('receipt_get', { requestId: request.id });
  const file = encodeReceipt(receipt);
  // later, elsewhere, without any network:
  const proof = verifyReceipt(decodeReceipt(file), { workspaceId: workspace.id });
  print(`approved by ${proof.approvedBy.join(', ')}; signed by ${proof.parties.join(', ')}`);
  // #endregion

  // #region errors
  try {
    await client.call('receipt_get', { requestId: workspace.id });
  } catch (error) {
    if (!(error instanceof RpcClientError)) throw error;
    print(`${error.code}: ${error.detail}; ${error.remedy}`);
  }
  // #endregion

  return { network, key, first, proof };
}

/** What the document shows of payloads, of any kind. */
export function decode(received: unknown, keyType: KeyType, publicKey: Hex): readonly string[] {
  // #region decode
  const payload = parsePayload(received);
  const decoded = decodePayload(payload, { keyType, publicKey: fromHex(publicKey) });
  return decoded.summary; // for people; `decoded.facts` for programs, `decoded.message` is what is signed
  // #endregion
}
