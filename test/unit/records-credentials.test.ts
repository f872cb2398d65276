// Credentials in their one spelling; who may have which; and what is checked where one is introduced.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { passkeyCredential, walletCredential } from '../../client/owner-signatures.ts';
import { buildDecision, buildGenesis, buildKeyRequest, buildSignRequest } from '../../client/records.ts';
import { authorize } from '../../protocol/authorize.ts';
import { keyOf, passkeyOf } from '../../protocol/records/credential.ts';
import { envelopeSchema, publicKeyOfCredential, verifyRecord } from '../../protocol/records/envelope.ts';
import { credentialSchema, credentialType, ed25519CredentialSchema } from '../../protocol/records/fields.ts';
import { openWorkspace } from '../../protocol/records/workspace.ts';
import { createWorld, evidence, networkId, signerOf, start } from '../support/fixture.ts';
import { PasskeySigner } from '../support/passkey-signer.ts';
import { refuses, sampleOf, signedAnew, verify } from '../support/record-samples.ts';
import { WalletSigner } from '../support/wallet-signer.ts';

const key = signerOf('credentials').credential;
const wallet = new WalletSigner('credentials');
const passkey = new PasskeySigner('credentials');
/** As builders take who signs outside. */
const ada = { credential: wallet.credential };
const bob = { credential: passkey.credential };
const point = passkey.credential.split(':').at(-1)!;
const at = (rpId: string, host: string, of = point): string => `webauthn:${rpId}:${host}:${of}`;

describe('credentials', () => {
  it('are of three types', () => {
    assert.deepEqual([key, wallet.credential, passkey.credential].map(credentialType), [
      'ed25519',
      'eip712',
      'webauthn',
    ]);
    for (const credential of [key, wallet.credential, passkey.credential]) credentialSchema.parse(credential);
  });

  it('of a passkey name the one origin at which it is used', () => {
    for (const [rpId, host, origin] of [
      ['example.org', 'example.org', 'https://example.org'],
      ['example.org', 'a.b.example.org', 'https://a.b.example.org'],
      ['example.org', 'example.org:8443', 'https://example.org:8443'],
      ['example.org', 'example.org:80', 'https://example.org:80'],
      ['xn--bcher-kva.example', 'xn--bcher-kva.example', 'https://xn--bcher-kva.example'],
      ['intranet', 'intranet', 'https://intranet'],
      ['localhost', 'localhost', 'http://localhost'],
      ['localhost', 'localhost:443', 'http://localhost:443'],
      ['localhost', 'localhost:65535', 'http://localhost:65535'],
      ['localhost', 'app.localhost', 'https://app.localhost'],
      ['1.example', '1.example', 'https://1.example'],
    ] as const) {
      const credential = credentialSchema.parse(at(rpId, host));
      assert.deepEqual(passkeyOf(credential), {
        rpId,
        origin,
        publicKey: Uint8Array.from(Buffer.from(point.slice(2), 'hex')),
      });
      // As a browser writes it.
      assert.equal(new URL(origin).origin, origin);
    }
  });

  const long = 'a'.repeat(63);
  const wrong: readonly string[] = [
    '',
    key.slice(8),
    key.toUpperCase(),
    key.replace('0x', ''),
    `${key}00`,
    ` ${key}`,
    `${key}\n`,
    key.replace('ed25519', 'eip712'),
    `eip712:${wallet.address}`,
    wallet.credential.toUpperCase(),
    wallet.credential.slice(0, -1),
    `${wallet.credential}0`,
    `${wallet.credential}\n`,
    `eip155:1:${wallet.address.toLowerCase()}`,
    passkey.credential.toUpperCase(),
    `${passkey.credential}\n`,
    at('example.org', 'example.org', point.slice(0, -2)),
    at('example.org', 'example.org', `${point}00`),
    at('example.org', 'example.org', `0x04${point.slice(4)}`),
    at('example.org', 'example.org', `0x00${point.slice(4)}`),
    at('Example.org', 'example.org'),
    at('example.org', 'Example.org'),
    at('example.org', 'evil.example'),
    at('example.org', 'evilexample.org'),
    at('example.org', 'example.org.evil.example'),
    at('a.example.org', 'example.org'),
    at('example.org', 'example.org.'),
    at('example.org.', 'example.org.'),
    at('example.org', '.example.org'),
    at('example.org', 'a..example.org'),
    at('example.org', '-a.example.org'),
    at('example.org', 'a-.example.org'),
    at('example.org', `${long}a.example.org`),
    at('example.org', 'example.org:443'),
    at('localhost', 'localhost:80'),
    at('example.org', 'example.org:0'),
    at('example.org', 'example.org:08443'),
    at('example.org', 'example.org:65536'),
    at('example.org', 'example.org:'),
    at('example.org', 'https://example.org'),
    at('example.org', 'example.org/'),
    at('example.org', 'user@example.org'),
    at('example.org', 'a_b.example.org'),
    at('example.org', 'b\u00fccher.example.org'),
    at('127.0.0.1', '127.0.0.1'),
    at('0.0x1', '0.0x1'),
    at('example.org:8443', 'example.org:8443'),
    at('', ''),
    at('', 'example.org'),
    at(`${long}.${long}.example`, `a.${long}.${long}.example`),
  ];
  for (const text of wrong) {
    it(`are not spelt ${JSON.stringify(text.length > 100 ? `${text.slice(0, 60)}...` : text)}`, () => {
      assert.ok(!credentialSchema.safeParse(text).success);
    });
  }

  it('have at most 300 characters', () => {
    const hosts = (length: number): string => `${`${'a'.repeat(20)}.`.repeat(5)}${'b'.repeat(length)}`;
    const name = (length: number): string => at(hosts(5), hosts(5)).padStart(length);
    assert.equal(name(0).length, 9 + 110 + 1 + 110 + 1 + 68);
    assert.ok(credentialSchema.safeParse(name(0)).success);
    assert.ok(
      credentialSchema.safeParse(at(hosts(5), hosts(5)).replace('b:a', 'b:a.a').slice(0, 301)).success ===
        false,
    );
  });

  it('of parties, connectors and keyring admins are ed25519 keys', () => {
    for (const other of [wallet.credential, passkey.credential]) {
      assert.ok(!ed25519CredentialSchema.safeParse(other).success);
      const grant = sampleOf('connector.grant');
      for (const field of ['party', 'connector'])
        refuses('malformed', () => verify(grant, signedAnew(grant, { ...grant.content, [field]: other })));
      const roster = sampleOf('keyring.roster');
      refuses('malformed', () => verify(roster, signedAnew(roster, { ...roster.content, admins: [other] })));
      const [first, ...rest] = roster.content['parties'] as object[];
      const parties = [{ ...first, key: other }, ...rest];
      refuses('malformed', () => verify(roster, signedAnew(roster, { ...roster.content, parties })));
      const result = sampleOf('party.result, key');
      refuses('malformed', () => verify(result, signedAnew(result, { ...result.content, party: other })));
      assert.throws(() => publicKeyOfCredential(other), TypeError);
    }
  });

  describe('of owners', () => {
    const genesis = sampleOf('workspace.genesis');
    const withOwners = (...credentials: readonly (readonly string[])[]) =>
      signedAnew(genesis, {
        ...genesis.content,
        owners: [
          ...(genesis.content['owners'] as object[]),
          ...credentials.map((each, index) => ({ name: `owner-${index}`, credentials: each })),
        ],
      });

    it('may be of any type, several of them one owner’s', () => {
      const envelope = withOwners([wallet.credential, passkey.credential], [key]);
      assert.deepEqual(verify(genesis, envelope).content['owners' as never], [
        ...(genesis.content['owners'] as object[]),
        { name: 'owner-0', credentials: [wallet.credential, passkey.credential] },
        { name: 'owner-1', credentials: [key] },
      ] as never);
    });

    it('are keys that occur once, also those of passkeys at two pages', () => {
      const page = at('example.org', 'a.example.org');
      assert.equal(keyOf(page), keyOf(passkey.credential));
      assert.notEqual(keyOf(new PasskeySigner('other').credential), keyOf(passkey.credential));
      for (const owners of [
        [[passkey.credential, page]],
        [[passkey.credential], [page]],
        [[wallet.credential], [wallet.credential]],
      ])
        refuses('malformed', () => verify(genesis, withOwners(...owners)), /a credential may occur once/);
    });

    it('of passkeys are points of P-256', () => {
      const noPoint = `0x02${'00'.repeat(30)}0007`;
      assert.throws(() => p256.Point.fromHex(noPoint.slice(2)));
      // At the prime or above it: x would have a second spelling.
      const x0 = p256.Point.Fp.ORDER.toString(16);
      for (const bad of [noPoint, `0x02${x0}`, `0x03${'ff'.repeat(32)}`])
        refuses(
          'bad_key',
          () => verify(genesis, withOwners([at('example.org', 'example.org', bad)])),
          /no point of P-256/,
        );
    });

    it('sign everything that owners sign, from a draft of the record', () => {
      const world = createWorld();
      const { built, workspace } = ownedByWallet(world.keyring.id);
      assert.deepEqual(workspace.id, built.id);
      const options = { networkId, workspace, now: start };
      const asked = { ...options, keyringId: world.keyring.id, keyType: 'ed25519' as const, label: 'Key' };
      const request = wallet.signRecord(buildKeyRequest(asked, ada).envelope, networkId);
      const approved = buildDecision(
        { ...options, subject: built.id, decisions: [], decision: 'approve' },
        bob,
      );
      assert.deepEqual(approved.envelope.signatures, []);
      const signed = passkey.signRecord(approved.envelope, networkId);
      const again = buildDecision(
        { ...options, subject: built.id, decisions: [signed], decision: 'reject' },
        bob,
      );
      assert.match(Buffer.from(again.envelope.bytes, 'base64url').toString(), /"seq":2/);
      const items = [{ keyId: built.id, payload: { kind: 'message' as const, data: '0x6869' as const } }];
      assert.ok(wallet.signRecord(buildSignRequest({ ...options, items }, ada).envelope, networkId));
      const stranger = { credential: new WalletSigner('stranger').credential };
      refuses('missing_signature', () => buildKeyRequest(asked, stranger), /is no owner/);
      assert.equal(request.signatures.length, 1);
    });

    it('make their workspace', () => {
      const world = createWorld();
      const stranger = { credential: new WalletSigner('stranger').credential };
      const options = { networkId, name: 'W', keyrings: [world.keyring.id], now: start };
      const owners = [{ name: 'ada', credentials: [wallet.credential] }];
      refuses('missing_signature', () => buildGenesis({ ...options, owners }, stranger), /is no owner/);
      const draft = buildGenesis({ ...options, owners }, ada).envelope;
      refuses('missing_signature', () => openWorkspace([draft], networkId), /nobody signed/);
      const outside = new PasskeySigner('outside').signRecord(draft, networkId);
      refuses('missing_signature', () => openWorkspace([outside], networkId), /not one of its owners/);
    });

    /** A workspace of ada, who has a wallet, and bob, who has a passkey. */
    function ownedByWallet(keyringId: `0x${string}`) {
      const built = buildGenesis(
        {
          networkId,
          name: 'Wallets',
          owners: [
            { name: 'ada', credentials: [wallet.credential] },
            { name: 'bob', credentials: [passkey.credential] },
          ],
          keyrings: [keyringId],
          now: start,
          signPolicy: {
            version: 1,
            rules: [
              {
                id: 'both',
                effect: 'allow',
                when: { kind: ['key.request'] },
                require: { k: 2, of: 'owners' },
              },
            ],
          },
        },
        ada,
      );
      return { built, workspace: openWorkspace([wallet.signRecord(built.envelope, networkId)], networkId) };
    }

    it('approve requests, one principal one vote, and nobody else’s credential does', () => {
      const world = createWorld();
      const { workspace } = ownedByWallet(world.keyring.id);
      const options = { networkId, workspace, now: start };
      const asked = buildKeyRequest(
        { ...options, keyringId: world.keyring.id, keyType: 'ed25519', label: 'Key' },
        ada,
      );
      const request = wallet.signRecord(asked.envelope, networkId);
      const asks = evidence(world, request, { log: [...workspace.log] });
      const trust = { networkId, now: start, keyringId: world.keyring.id };
      assert.equal(authorize(asks, trust).verdict, 'waiting');
      const draft = buildDecision(
        { ...options, subject: asked.id, decisions: [], decision: 'approve' },
        bob,
      ).envelope;
      const approval = passkey.signRecord(draft, networkId);
      assert.equal(authorize({ ...asks, decisions: [approval] }, trust).verdict, 'authorised');
      for (const forged of [
        wallet.signRecord(draft, networkId),
        new PasskeySigner('other').signRecord(draft, networkId),
        wallet.signRecord(approval, networkId),
        draft,
      ]) {
        const verdict = authorize({ ...asks, decisions: [forged] }, trust);
        assert.equal(verdict.verdict, 'waiting');
        assert.equal(verdict.verdict === 'waiting' && verdict.ignored.length, 1);
      }
    });
  });

  it('sign one record 32 times at most, those of ed25519 aside', () => {
    const { envelope } = sampleOf('decision, approve');
    const signatures = Array.from({ length: 33 }, (_, index) => ({
      credential: `eip712:0x${String(index).padStart(40, '0')}`,
      signature: `0x${'00'.repeat(65)}` as const,
    }));
    const fits = (count: number): boolean =>
      envelopeSchema.safeParse({
        ...envelope,
        signatures: [...envelope.signatures, ...signatures.slice(0, count)],
      }).success;
    assert.deepEqual([fits(32), fits(33)], [true, false]);
  });

  it('sign in the form of their own type alone', () => {
    const { kind, envelope } = sampleOf('decision, approve');
    const draft = { ...envelope, signatures: [] };
    const made = [envelope, wallet.signRecord(draft, networkId), passkey.signRecord(draft, networkId)].map(
      ({ signatures }) => signatures[0]!,
    );
    for (const one of made) {
      for (const other of made) {
        const signatures = [{ credential: one.credential, signature: other.signature }];
        const mixed = { ...envelope, signatures };
        assert.equal(envelopeSchema.safeParse(mixed).success, one === other);
        if (one !== other) refuses('bad_signature', () => verifyRecord(kind, mixed, networkId));
      }
    }
  });

  it('are made of what wallets and browsers give', () => {
    assert.equal(walletCredential(wallet.address), wallet.credential);
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const info = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }));
    const compressed = p256.Point.fromBytes(info.subarray(26)).toHex(true);
    const options = { rpId: 'example.org', publicKey: info };
    assert.equal(
      passkeyCredential({ ...options, origin: 'https://a.example.org:8443' }),
      `webauthn:example.org:a.example.org:8443:0x${compressed}`,
    );
    assert.equal(
      passkeyCredential({ ...options, rpId: 'localhost', origin: 'http://localhost:3000' }),
      `webauthn:localhost:localhost:3000:0x${compressed}`,
    );
    for (const origin of [
      'http://example.org',
      'https://example.org/',
      'https://evil.example',
      'https://example.org:443',
      'example.org',
      '',
    ])
      assert.throws(() => passkeyCredential({ ...options, origin }), TypeError);
    const localhost = { ...options, rpId: 'localhost' };
    assert.throws(() => passkeyCredential({ ...localhost, origin: 'https://localhost' }), TypeError);
    const origin = 'https://example.org';
    const moved = info.with(90, info[90]! ^ 1);
    const off = info.with(58, info[58]! ^ 2).with(90, info[90]! ^ 2);
    assert.throws(() => passkeyCredential({ ...options, origin, publicKey: off }), { code: 'not_on_curve' });
    assert.throws(() => passkeyCredential({ ...options, origin, publicKey: moved }), {
      code: 'not_on_curve',
    });
    const { publicKey: k256 } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
    for (const other of [
      info.slice(0, -1),
      info.with(22, info[22]! ^ 1),
      info.subarray(26),
      k256.export({ format: 'der', type: 'spki' }),
    ])
      assert.throws(() => passkeyCredential({ ...options, origin, publicKey: other }), {
        code: 'wrong_length',
      });
  });
});
