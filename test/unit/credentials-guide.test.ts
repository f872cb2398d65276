// docs/credentials.md: what it shows is a program, and the program works, with a wallet and a passkey.
import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { p256 } from '@noble/curves/nist.js';
import { privateKeyToAccount } from 'viem/accounts';
import { credentialsGuide } from '../documents/client-guide.ts';
import { example, type Passkeys, type Wallet } from '../documents/credentials-example.ts';
import { runNetwork } from '../support/acting-parties.ts';
import { PasskeySigner } from '../support/passkey-signer.ts';
import { WalletSigner } from '../support/wallet-signer.ts';

const account = privateKeyToAccount(new WalletSigner('guide').privateKey);
const wallet: Wallet = {
  request: async ({ method, params }) => {
    if (method === 'eth_requestAccounts') return [account.address];
    assert.equal(method, 'eth_signTypedData_v4');
    assert.equal(params[0], account.address);
    return account.signTypedData(JSON.parse(params[1] as string) as never);
  },
};

const passkey = new PasskeySigner('guide', 'example.org', 'sign.example.org');
const whole = p256.getPublicKey(passkey.secretKey, false);
const jwk = { kty: 'EC', crv: 'P-256' };
const [x, y] = [whole.subarray(1, 33), whole.subarray(33)].map((part) =>
  Buffer.from(part).toString('base64url'),
);
const info = createPublicKey({ key: { ...jwk, x: x!, y: y! }, format: 'jwk' }).export({
  format: 'der',
  type: 'spki',
});
/** As browsers give bytes: in a buffer of their own. */
const buffer = (bytes: Uint8Array): ArrayBuffer => Uint8Array.from(bytes).buffer;
const passkeys: Passkeys = {
  create: () => Promise.resolve({ getPublicKey: () => buffer(info) }),
  get: (challenge) => {
    const { authenticatorData, clientDataJSON, signature } = passkey.assertion(challenge);
    return Promise.resolve({
      authenticatorData: buffer(authenticatorData),
      clientDataJSON: buffer(clientDataJSON),
      signature: buffer(signature),
    });
  },
};

describe('docs/credentials.md', () => {
  it('shows the program as it is', async () => {
    const { file, text, blocks } = await credentialsGuide();
    assert.equal(blocks, 4);
    const current = (await readFile(file, 'utf8')) === text;
    assert.ok(current, `${file.pathname} is not up to date: run npm run docs:rpc`);
  });

  it('shows a program that works, with a coordinator over HTTP', async () => {
    const network = await runNetwork();
    try {
      const { url, networkId, keyringId } = network;
      const seen: string[] = [];
      const { workspace, shown, state, publicKey } = await example(
        url,
        networkId,
        keyringId,
        wallet,
        passkeys,
        { show: (lines) => void seen.push(...(lines ?? [])) },
      );
      assert.deepEqual(
        workspace.owners.map(({ credentials }) => credentials[0]),
        [`eip712:${account.address.toLowerCase()}`, passkey.credential],
      );
      assert.equal(shown.message['action'], 'Make a workspace');
      assert.deepEqual([seen[0], seen[3]], ['Ask for a new key of type ed25519', 'label: treasury']);
      assert.equal(state, 'partial');
      assert.equal(publicKey.length, 32);
    } finally {
      await network.stop();
    }
  });

  it('shows what a wallet shows', async () => {
    const document = await readFile(new URL('../../docs/credentials.md', import.meta.url), 'utf8');
    for (const name of ['Make a workspace', 'Ask for', 'Approve the action', 'Reject the action'])
      assert.ok(document.includes(name), name);
  });
});
