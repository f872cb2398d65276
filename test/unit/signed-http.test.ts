import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import fc from 'fast-check';
import {
  httpHeaders,
  type HttpRequestParts,
  SignedHttpError,
  signHttp,
  timestampTolerance,
  verifyHttp,
} from '../../protocol/signed-http.ts';
import { createWorld, grantFor, networkId, signerOf, start } from '../support/fixture.ts';

const signer = signerOf('caller');
const other = signerOf('other');
const nonce = Uint8Array.from({ length: 16 }, (_, index) => index);
const world = createWorld();
const grant = grantFor(world, world.parties[0]!, signer);
const parts: HttpRequestParts = {
  networkId,
  method: 'POST',
  path: '/v1/rpc?a=1&b=2',
  body: new TextEncoder().encode('{"jsonrpc":"2.0"}'),
};
const signed = signHttp(parts, signer, start, nonce);

type Headers = Record<string, string | string[] | undefined>;
const verify = (headers: Headers = signed, change: Partial<HttpRequestParts> = {}, now = start) =>
  verifyHttp({ ...parts, ...change }, headers, now);

function refuses(code: SignedHttpError['code'], work: () => unknown, words = /./): void {
  assert.throws(work, (error) => {
    assert.ok(error instanceof SignedHttpError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, words);
    assert.match(error.message, /: [a-z]/, 'says what to do');
    return true;
  });
}

describe('signed HTTP', () => {
  it('proves who signed, with the nonce', () => {
    assert.deepEqual(verify(), {
      credential: signer.credential,
      nonce: '0x000102030405060708090a0b0c0d0e0f',
    });
  });

  it('signs the bytes that the specification names, in ways that no record is signed', () => {
    const hash = createHash('sha256');
    const body = createHash('sha256').update(parts.body).digest();
    const fields = ['countersign/v1/http', networkId, 'POST', parts.path, '2030-01-01T00:00:00.000Z'];
    for (const field of [...fields.map((text) => Buffer.from(text)), body, Buffer.from(nonce)]) {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(field.length);
      hash.update(length).update(field);
    }
    const message = Buffer.concat([Buffer.from('countersign/v1/http\0'), hash.digest()]);
    const signature = Buffer.from(signed[httpHeaders.signature]!.slice(2), 'hex');
    const publicKey = Buffer.from(signer.credential.slice(10), 'hex');
    assert.ok(ed25519.verify(signature, message, publicKey));
  });

  const altered: [string, Partial<HttpRequestParts>][] = [
    ['another network', { networkId: 'other-network' }],
    ['another method', { method: 'GET' }],
    ['the method in lower case', { method: 'post' }],
    ['another path', { path: '/v1/rpc?a=1&b=3' }],
    ['the path without its query', { path: '/v1/rpc' }],
    ['another body', { body: new TextEncoder().encode('{"jsonrpc":"2.0"} ') }],
    ['no body', { body: new Uint8Array() }],
    ['what moved from method to path', { method: 'POST/', path: 'v1/rpc?a=1&b=2' }],
  ];
  for (const [what, change] of altered) {
    it(`refuses ${what}`, () => refuses('bad_signature', () => verify(signed, change), /does not verify/));
  }

  it('refuses headers that are another’s, altered, missing or repeated', () => {
    const { credential, timestamp, nonce: nonceName, signature } = httpHeaders;
    const others = signHttp(parts, other, start, nonce);
    refuses('bad_signature', () => verify({ ...signed, [credential]: other.credential }));
    refuses('bad_signature', () => verify({ ...signed, [signature]: others[signature] }));
    refuses('bad_signature', () => verify({ ...signed, [timestamp]: '2030-01-01T00:00:00.001Z' }));
    refuses('bad_signature', () => verify({ ...signed, [nonceName]: `0x${'00'.repeat(16)}` }));
    refuses('missing', () => verify({}), /countersign-credential, countersign-timestamp, countersign-nonce/);
    for (const name of [timestamp, nonceName, signature]) {
      refuses('malformed', () => verify({ ...signed, [name]: undefined }));
    }
    for (const name of [credential, timestamp, nonceName, signature]) {
      const value = signed[name]!;
      const letters = value.startsWith('2030') ? value.toLowerCase() : value.toUpperCase();
      for (const spoilt of ['', ` ${value}`, `${value}0`, value.slice(0, -1), letters, [value, value]]) {
        refuses('malformed', () => verify({ ...signed, [name]: spoilt }));
      }
    }
    refuses('malformed', () => verify({ ...signed, [timestamp]: '2030-01-01T00:00:00Z' }));
    refuses('malformed', () => verify({ ...signed, [nonceName]: `0x${'00'.repeat(15)}` }));
  });

  it('takes a clock that is 60 seconds off, and not a millisecond more', () => {
    for (const sign of [-1, 1]) {
      verify(signed, {}, start + sign * timestampTolerance);
      refuses('clock', () => verify(signed, {}, start + sign * (timestampTolerance + 1)), /the server's 20/);
    }
  });

  it('carries a grant of exactly the form of a record', () => {
    const granted = signHttp(parts, signer, start, nonce, grant);
    assert.deepEqual(verify(granted).grant, grant);
    assert.equal(verify().grant, undefined);
    const encoded = (text: string): string => Buffer.from(text).toString('base64url');
    const text = JSON.stringify(grant);
    const spoilt: (string | string[])[] = [
      '',
      'x',
      text,
      encoded('{}'),
      encoded('null'),
      encoded(text.slice(1)),
      encoded(JSON.stringify({ ...grant, extra: 1 })),
      `${encoded(text)}=`,
      [encoded(text), encoded(text)],
      [encoded(text)],
    ];
    for (const value of spoilt) {
      refuses('malformed', () => verify({ ...granted, [httpHeaders.grant]: value }), /is not a record/);
    }
  });

  it('throws nothing else, whatever the headers hold', () => {
    const value = fc.oneof(fc.string({ unit: 'binary' }), fc.constant(undefined), fc.array(fc.string()));
    const names = fc.constantFrom(...Object.values(httpHeaders));
    fc.assert(
      fc.property(fc.dictionary(names, value), fc.boolean(), (headers, whole) => {
        try {
          verify({ ...(whole && signed), ...headers });
        } catch (error) {
          assert.ok(error instanceof SignedHttpError, String(error));
        }
      }),
      { numRuns: 500 },
    );
  });
});
