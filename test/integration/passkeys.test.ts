// Passkeys as a real browser makes them: Chromium, its authenticator of software, a page, and what a verifier says.
import assert from 'node:assert/strict';
import { access, constants } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { challengeOf, passkeyCredential, withPasskeySignature } from '../../client/owner-signatures.ts';
import { buildDecision, buildGenesis } from '../../client/records.ts';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import type { Envelope } from '../../protocol/records/envelope.ts';
import type { Credential } from '../../protocol/records/fields.ts';
import { openWorkspace } from '../../protocol/records/workspace.ts';
import { chromium } from '../browser/chromium.ts';
import { AuthenticatorBrowser } from '../browser/virtual-authenticator.ts';
import { networkId } from '../support/fixture.ts';
import { refuses } from '../support/record-samples.ts';

const rpId = 'localhost';

/** For the page: bytes as 0x-hex. */
const hex = `(bytes) => '0x' + Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('')`;

type Parts = Readonly<Record<'id' | 'authenticatorData' | 'clientDataJSON' | 'signature', Hex>>;

describe('passkeys of a real browser', function () {
  this.timeout(120_000);
  let server: Server;
  let browser: AuthenticatorBrowser;
  let origin: string;
  let passkeyId: Hex;
  let credential: Credential;
  let draft: Envelope;

  before(async function () {
    try {
      await access(chromium, constants.X_OK);
    } catch {
      process.stdout.write(`    skipped: there is no ${chromium}\n`);
      this.skip();
    }
    server = createServer((_, response) => response.end('<!doctype html><title>page</title>'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    origin = `http://localhost:${(server.address() as AddressInfo).port}`;
    browser = await AuthenticatorBrowser.open(origin);
  });
  after(async () => {
    await browser?.close();
    await new Promise((resolve) => (server === undefined ? resolve(undefined) : server.close(resolve)));
  });

  /** Asks the page for an assertion over a challenge. */
  async function asserted(challenge: Uint8Array, verification = 'required'): Promise<Parts> {
    const options = `{
      challenge: new Uint8Array([${challenge.join()}]),
      rpId: '${rpId}',
      allowCredentials: [{ type: 'public-key', id: new Uint8Array([${fromHex(passkeyId).join()}]) }],
      userVerification: '${verification}',
    }`;
    return (await browser.evaluate(`(async () => {
      const hex = ${hex};
      const { rawId, response } = await navigator.credentials.get({ publicKey: ${options} });
      return { id: hex(rawId), authenticatorData: hex(response.authenticatorData),
        clientDataJSON: hex(response.clientDataJSON), signature: hex(response.signature) };
    })()`)) as Parts;
  }

  const bytesOf = (parts: Parts) => ({
    authenticatorData: fromHex(parts.authenticatorData),
    clientDataJSON: fromHex(parts.clientDataJSON),
    signature: fromHex(parts.signature),
  });

  it('are made with ES256, and their public key makes a credential', async () => {
    const made = (await browser.evaluate(`(async () => {
      const hex = ${hex};
      const { rawId, response } = await navigator.credentials.create({ publicKey: {
        rp: { id: '${rpId}', name: 'Countersign' },
        user: { id: new Uint8Array([1]), name: 'ada', displayName: 'Ada' },
        challenge: new Uint8Array(32),
        pubKeyCredParams: [{ type: 'public-key', alg: -7 }],
        authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
      } });
      return { id: hex(rawId), algorithm: response.getPublicKeyAlgorithm(), publicKey: hex(response.getPublicKey()) };
    })()`)) as { readonly id: Hex; readonly algorithm: number; readonly publicKey: Hex };
    assert.equal(made.algorithm, -7);
    passkeyId = made.id;
    credential = passkeyCredential({ rpId, origin, publicKey: fromHex(made.publicKey) });
    assert.match(credential, /^webauthn:localhost:localhost:[0-9]+:0x0[23]/);
  });

  it('make a workspace', async () => {
    const owners = [{ name: 'ada', credentials: [credential] }];
    const options = { networkId, name: 'Page', owners, keyrings: [toHex(new Uint8Array(32))] };
    draft = buildGenesis(options, { credential }).envelope;
    const assertion = bytesOf(await asserted(challengeOf(draft, networkId)));
    const genesis = withPasskeySignature(draft, networkId, credential, assertion);
    const workspace = openWorkspace([genesis], networkId);
    assert.deepEqual(workspace.owners, owners);
    const decided = buildDecision(
      { networkId, workspace, subject: workspace.id, decisions: [], decision: 'approve' },
      { credential },
    ).envelope;
    refuses(
      'bad_signature',
      () => withPasskeySignature(decided, networkId, credential, assertion),
      /challenge/,
    );
    const again = bytesOf(await asserted(challengeOf(decided, networkId)));
    assert.equal(withPasskeySignature(decided, networkId, credential, again).signatures.length, 1);
  });

  it('are refused when nobody was verified', async () => {
    await browser.verifyUser(false);
    const parts = await asserted(challengeOf(draft, networkId), 'discouraged');
    refuses(
      'bad_signature',
      () => withPasskeySignature(draft, networkId, credential, bytesOf(parts)),
      /did not verify who was present/,
    );
    await browser.verifyUser(true);
  });

  it('are refused at another port of the same machine', async () => {
    const parts = await asserted(challengeOf(draft, networkId));
    const elsewhere = credential.replace(/localhost:[0-9]+:/, 'localhost:1:');
    refuses(
      'bad_signature',
      () => withPasskeySignature(draft, networkId, elsewhere, bytesOf(parts)),
      /was not made at http:\/\/localhost:1/,
    );
  });

  it('sign differently every time, and each time rightly', async () => {
    const challenge = challengeOf(draft, networkId);
    const signatures = new Set<string>();
    for (let round = 0; round < 10; round += 1) {
      const parts = await asserted(challenge);
      signatures.add(parts.signature);
      assert.ok(withPasskeySignature(draft, networkId, credential, bytesOf(parts)));
    }
    assert.equal(signatures.size, 10);
  });
});
