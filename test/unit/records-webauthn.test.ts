// Passkeys as credentials: real assertions are accepted, and each thing that is wrong with one is named.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { base64urlnopad } from '@scure/base';
import { withPasskeySignature } from '../../client/owner-signatures.ts';
import { type Hex, toHex } from '../../protocol/hex.ts';
import { verify as verifyP256 } from '../../protocol/keys/p256.ts';
import { passkeyOf } from '../../protocol/records/credential.ts';
import { type Envelope, envelopeSchema, verifyRecord } from '../../protocol/records/envelope.ts';
import { type Assertion, encodeAssertion, passkeySignatureProblem } from '../../protocol/records/webauthn.ts';
import { networkId } from '../support/fixture.ts';
import { type AssertionChanges, PasskeySigner } from '../support/passkey-signer.ts';
import { refuses, sampleOf, verify, withContent } from '../support/record-samples.ts';

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));
const passkey = new PasskeySigner('one');
const sample = sampleOf('decision, approve');
const other = sampleOf('decision, reject');
const draft: Envelope = { ...sample.envelope, signatures: [] };
const idOf = (of: typeof sample): Uint8Array => bytesOf(verify(of, of.envelope).id.slice(2));

/** The record with this assertion, whatever it is. */
function signedBy(assertion: Assertion | Uint8Array, credential = passkey.credential): Envelope {
  const encoded = assertion instanceof Uint8Array ? assertion : encodeAssertion(assertion);
  return { ...draft, signatures: [{ credential, signature: toHex(encoded) }] };
}

function made(changes: AssertionChanges = {}, by = passkey): Envelope {
  return signedBy(by.assertion(idOf(sample), changes));
}

describe('records signed by passkeys', () => {
  const vectors = JSON.parse(readFileSync(new URL('../vectors/webauthn.json', import.meta.url), 'utf8')) as {
    readonly rpId: string;
    readonly origin: string;
    readonly assertions: readonly (Record<string, string> & { readonly problem?: string })[];
  };

  for (const vector of vectors.assertions) {
    it(`the vector of section ${vector['section']}, ${vector['name']}`, () => {
      const [x, y, challenge, authenticatorData, clientDataJSON, signature] = [
        'x',
        'y',
        'challenge',
        'authenticatorData',
        'clientDataJSON',
        'signature',
      ].map((field) => bytesOf(vector[field]!)) as [Uint8Array, ...Uint8Array[]] as Uint8Array[];
      const publicKey = Uint8Array.of(2 + (y!.at(-1)! & 1), ...x!);
      const { rpId, origin } = vectors;
      const encoded = encodeAssertion({
        authenticatorData: authenticatorData!,
        clientDataJSON: clientDataJSON!,
        signature: signature!,
      });
      assert.equal(passkeySignatureProblem({ rpId, origin, publicKey }, challenge!, encoded), vector.problem);
      // Also where it is refused, what is wrong is not the signature.
      const signed = Buffer.concat([
        authenticatorData!,
        createHash('sha256').update(clientDataJSON!).digest(),
      ]);
      assert.ok(verifyP256(publicKey, signed, signature!));
    });
  }

  it('are accepted, with either s', () => {
    for (const half of ['low', 'high'] as const) {
      const envelope = passkey.signRecord(draft, networkId, { half });
      assert.deepEqual(verify(sample, envelopeSchema.parse(envelope)).signedBy, [passkey.credential]);
    }
  });

  it('are accepted with what authenticators and browsers add', () => {
    const id = idOf(sample);
    const alike: AssertionChanges[] = [
      { flags: 0x1d }, // A passkey that is kept in several places, and is so now.
      { flags: 0x85, extensions: bytesOf('a163666f6f01') },
      { flags: 0x05, client: { crossOrigin: undefined } },
      { client: { extraData: { type: 'webauthn.create', type2: [{ origin: 'x' }, '"type":', '{'] } } },
      { client: { other: 'a "type": \\" {[' } },
      { clientDataJSON: ` ${passkey.clientData(id).replaceAll(',', ' ,\n')}\n` },
      { clientDataJSON: passkey.clientData(id).replace('"type"', '"\\u0074ype"') },
    ];
    for (const changes of alike)
      assert.doesNotThrow(() => verify(sample, made(changes)), JSON.stringify(changes));
  });

  it('are accepted at a page below the relying party, and at localhost with its port', () => {
    for (const [rpId, host] of [
      ['example.org', 'sign.example.org:8443'],
      ['localhost', 'localhost:3000'],
      ['localhost', 'localhost'],
    ]) {
      const at = new PasskeySigner('elsewhere', rpId, host);
      assert.deepEqual(verify(sample, at.signRecord(draft, networkId)).signedBy, [at.credential]);
    }
  });

  const clientDataWith = (text: (usual: string) => string): AssertionChanges => ({
    clientDataJSON: text(passkey.clientData(idOf(sample))),
  });
  const refused: readonly (readonly [string, () => AssertionChanges, RegExp])[] = [
    [
      'at another origin',
      () => ({ client: { origin: 'https://evil.example' } }),
      /not made at https:\/\/example\.org/,
    ],
    [
      'at another page of the relying party',
      () => ({ client: { origin: 'https://a.example.org' } }),
      /not made at/,
    ],
    ['at another port', () => ({ client: { origin: 'https://example.org:8443' } }), /not made at/],
    ['without TLS', () => ({ client: { origin: 'http://example.org' } }), /not made at/],
    ['at an origin with a slash', () => ({ client: { origin: 'https://example.org/' } }), /not made at/],
    ['at no origin', () => ({ client: { origin: undefined } }), /not made at/],
    ['at a list of origins', () => ({ client: { origin: ['https://example.org'] } }), /not made at/],
    ['for another relying party', () => ({ rpId: 'example.com' }), /not of the relying party example\.org/],
    ['for a page below the relying party', () => ({ rpId: 'a.example.org' }), /not of the relying party/],
    ['without user verification', () => ({ flags: 0x01 }), /did not verify who was present/],
    ['without user presence', () => ({ flags: 0x04 }), /nobody was present/],
    ['without any flag', () => ({ flags: 0xfa }), /nobody was present/],
    ['by a passkey that is kept elsewhere and never can be', () => ({ flags: 0x15 }), /kept elsewhere/],
    [
      'when the passkey was made',
      () => ({ client: { type: 'webauthn.create' } }),
      /type is not webauthn\.get/,
    ],
    ['for a payment', () => ({ client: { type: 'payment.get' } }), /type is not webauthn\.get/],
    ['of no type', () => ({ client: { type: undefined } }), /type is not webauthn\.get/],
    [
      'over another record',
      () => ({ client: { challenge: base64urlnopad.encode(idOf(other)) } }),
      /challenge is not the record's id/,
    ],
    ['over no challenge', () => ({ client: { challenge: undefined } }), /challenge is not/],
    [
      'over a challenge in another spelling',
      () => ({ client: { challenge: `${base64urlnopad.encode(idOf(sample))}=` } }),
      /challenge is not/,
    ],
    [
      'inside a page of another origin',
      () => ({ client: { crossOrigin: true } }),
      /inside a page of another/,
    ],
    ['inside who knows what', () => ({ client: { crossOrigin: null } }), /inside a page of another/],
    [
      'inside a page that is named',
      () => ({ client: { topOrigin: 'https://evil.example' } }),
      /inside a page/,
    ],
    [
      'with a field twice, the right one last',
      () => clientDataWith((usual) => usual.replace('{', '{"origin":"https://evil.example",')),
      /each field once/,
    ],
    [
      'with a field twice, the right one first',
      () => clientDataWith((usual) => usual.replace(/\}$/, ',"type":"webauthn.create"}')),
      /each field once/,
    ],
    [
      'with a field twice, in two spellings',
      () => clientDataWith((usual) => usual.replace('{', '{"\\u006frigin":"https://evil.example",')),
      /each field once/,
    ],
    [
      'with a field twice, that nobody reads',
      () => clientDataWith((usual) => usual.replace('{', '{"a":1,"a" :1,')),
      /each field once/,
    ],
    ['with a list for client data', () => clientDataWith((usual) => `[${usual}]`), /not an object of JSON/],
    ['with null for client data', () => clientDataWith(() => 'null'), /not an object of JSON/],
    [
      'with half of the client data',
      () => clientDataWith((usual) => usual.slice(0, -1)),
      /not an object of JSON/,
    ],
    ['with a mark of byte order', () => clientDataWith((usual) => `\ufeff${usual}`), /not an object of JSON/],
    [
      'with client data that is not UTF-8',
      () => ({
        clientDataJSON: Buffer.concat([Buffer.from('{"a":"'), Uint8Array.of(0xff), Buffer.from('"}')]),
      }),
      /not an object of JSON/,
    ],
    ['with too much client data', () => ({ client: { more: 'x'.repeat(2048) } }), /the limit is 2048/],
    ['with too many extensions', () => ({ flags: 0x85, extensions: new Uint8Array(988) }), /not 37 to 1024/],
  ];
  for (const [what, changes, words] of refused) {
    it(`are refused when made ${what}`, () => {
      refuses('bad_signature', () => verify(sample, made(changes())), words);
    });
  }

  it('are refused on another record, and on the same one of another network', () => {
    const { signatures } = passkey.signRecord(draft, networkId);
    refuses('bad_signature', () => verify(other, { ...other.envelope, signatures }), /challenge is not/);
    const content = { ...sample.content, networkId: 'other-network' };
    const elsewhere = withContent({ ...draft, signatures }, content);
    refuses('wrong_network', () => verify(sample, elsewhere));
    refuses('bad_signature', () => verifyRecord(sample.kind, elsewhere, 'other-network'), /challenge is not/);
  });

  it('are refused by another key, of a relying party or a page that is another', () => {
    const id = idOf(sample);
    const assertion = passkey.assertion(id);
    for (const [by, words] of [
      [new PasskeySigner('two'), /ES256 does not verify/],
      [new PasskeySigner('one', 'example.com'), /not made at/],
      [new PasskeySigner('one', 'example.org', 'a.example.org'), /not made at/],
    ] as const)
      refuses('bad_signature', () => verify(sample, signedBy(assertion, by.credential)), words);
    // The page is the right one, and the relying party is not.
    const page = new PasskeySigner('one', 'example.org', 'a.example.org');
    const wide = passkeyOf(page.credential);
    const narrow = page.assertion(id, { rpId: 'a.example.org' });
    assert.match(
      passkeySignatureProblem(wide, id, encodeAssertion(narrow)) ?? '',
      /not of the relying party example\.org/,
    );
  });

  it('are refused with any byte of what is signed, or of the signature, changed', () => {
    const assertion = passkey.assertion(idOf(sample));
    for (const part of ['authenticatorData', 'clientDataJSON', 'signature'] as const) {
      for (let at = 0; at < assertion[part].length; at += 1) {
        const changed = Uint8Array.from(assertion[part]);
        changed[at]! ^= 1 << (at % 8);
        refuses('bad_signature', () => verify(sample, signedBy({ ...assertion, [part]: changed })));
      }
    }
  });

  it('are refused unless DER in its one encoding, and no longer', () => {
    const assertion = passkey.assertion(idOf(sample));
    const { signature } = assertion;
    const spelt: readonly Uint8Array[] = [
      Uint8Array.of(...signature, 0), // A byte behind it.
      signature.slice(0, -1),
      bytesOf('01'.repeat(64)), // r || s.
      Uint8Array.of(0x30, 0x81, ...signature.slice(1)), // The long form of a length.
      Uint8Array.of(0x30, signature[1]! + 1, 2, signature[3]! + 1, 0, ...signature.slice(4)), // A zero before r.
      bytesOf('3006020100020100'), // Zero for r and s.
      new Uint8Array(),
    ];
    for (const changed of spelt)
      refuses(
        'bad_signature',
        () => verify(sample, signedBy({ ...assertion, signature: changed })),
        /ES256 does not verify/,
      );
    const long = { ...assertion, signature: new Uint8Array(73) };
    refuses('bad_signature', () => verify(sample, signedBy(long)), /has 73 bytes, the limit is 72/);
  });

  it('are refused unless they are three parts, each after its length', () => {
    const encoded = encodeAssertion(passkey.assertion(idOf(sample)));
    const short = passkey.assertion(idOf(sample));
    for (const other of [
      new Uint8Array(),
      encoded.slice(0, -1),
      encoded.slice(1),
      Uint8Array.of(...encoded, 0),
      Uint8Array.of(...encoded, 0, 0, 0, 0),
      Uint8Array.of(0xff, ...encoded.slice(1)),
      encoded.slice(0, 4 + 37),
    ])
      refuses('bad_signature', () => verify(sample, signedBy(other)), /each after its length/);
    const cut = { ...short, authenticatorData: short.authenticatorData.slice(0, 36) };
    refuses('bad_signature', () => verify(sample, signedBy(cut)), /has 36 bytes, not 37 to 1024/);
  });

  it('have a bounded length, which the envelope tells before anything else', () => {
    const fits = (bytes: number): boolean =>
      envelopeSchema.safeParse(signedBy(new Uint8Array(bytes))).success;
    assert.deepEqual([156, 157, 3156, 3157].map(fits), [false, true, true, false]);
  });

  it('take no garbage, and throw nothing else for it', () => {
    let state = 7;
    const next = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return (state >>> 8) % below;
    };
    const encoded = encodeAssertion(passkey.assertion(idOf(sample)));
    for (let round = 0; round < 500; round += 1) {
      const garbage = Uint8Array.from(encoded.slice(0, 1 + next(encoded.length)));
      for (let changes = 0; changes <= next(8); changes += 1) garbage[next(garbage.length)] = next(256);
      if (toHex(garbage) === toHex(encoded)) continue;
      refuses('bad_signature', () => verify(sample, signedBy(garbage)));
    }
  });

  it('are not added to a record unless they verify', () => {
    const assertion = passkey.assertion(idOf(sample), { flags: 0x01 });
    refuses(
      'bad_signature',
      () => withPasskeySignature(draft, networkId, passkey.credential, assertion),
      /did not verify who/,
    );
    const large = { ...assertion, clientDataJSON: new Uint8Array(4000) };
    refuses(
      'bad_signature',
      () => withPasskeySignature(draft, networkId, passkey.credential, large),
      /not of the form/,
    );
    const noPoint = `webauthn:example.org:example.org:0x02${'ff'.repeat(32)}` as Hex;
    refuses('bad_key', () => withPasskeySignature(draft, networkId, noPoint, assertion), /no point of P-256/);
    const once = passkey.signRecord(draft, networkId);
    assert.equal(passkey.signRecord(once, networkId), once);
  });
});
