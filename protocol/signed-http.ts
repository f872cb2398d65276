// Signed HTTP for reads and for connectors: four headers over a tagged hash of method, path with query, body hash,
// timestamp and nonce. A connector also presents its grant.
import { sha256 } from '@noble/hashes/sha2.js';
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { base64urlnopad } from '@scure/base';
import { fromHex, type Hex, hexBytes, toHex } from './hex.ts';
import { verify } from './keys/ed25519.ts';
import {
  type Envelope,
  envelopeSchema,
  lengthPrefixed,
  publicKeyOfCredential,
  type Signer,
} from './records/envelope.ts';
import { type Credential, ed25519CredentialSchema, timestampSchema } from './records/fields.ts';

/** A signature is accepted this many milliseconds before and after the server's time; nonces are kept twice as long. */
export const timestampTolerance = 60_000;

export const httpHeaders = {
  credential: 'countersign-credential',
  timestamp: 'countersign-timestamp',
  nonce: 'countersign-nonce',
  signature: 'countersign-signature',
  grant: 'countersign-grant',
} as const;

export interface HttpRequestParts {
  readonly networkId: string;
  readonly method: string;
  /** Path with query, as sent. */
  readonly path: string;
  readonly body: Uint8Array;
}

function signedBytes(parts: HttpRequestParts, timestamp: string, nonce: Hex): Uint8Array {
  const fields = ['countersign/v1/http', parts.networkId, parts.method, parts.path, timestamp].map(
    utf8ToBytes,
  );
  const prefixed = lengthPrefixed(...fields, sha256(parts.body), fromHex(nonce));
  return concatBytes(utf8ToBytes('countersign/v1/http\0'), sha256(prefixed));
}

/** The headers that sign a request. `now` in milliseconds since 1970; `nonce` 16 fresh bytes. */
export function signHttp(
  parts: HttpRequestParts,
  signer: Signer,
  now: number,
  nonce: Uint8Array,
  grant?: Envelope,
): Record<string, string> {
  const timestamp = new Date(now).toISOString();
  const nonceHex = toHex(nonce);
  return {
    [httpHeaders.credential]: signer.credential,
    [httpHeaders.timestamp]: timestamp,
    [httpHeaders.nonce]: nonceHex,
    [httpHeaders.signature]: toHex(signer.sign(signedBytes(parts, timestamp, nonceHex))),
    ...(grant && { [httpHeaders.grant]: base64urlnopad.encode(utf8ToBytes(JSON.stringify(grant))) }),
  };
}

export class SignedHttpError extends Error {
  override readonly name = 'SignedHttpError';
  readonly code: 'missing' | 'malformed' | 'clock' | 'bad_signature';
  constructor(code: SignedHttpError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

export interface SignedHttp {
  readonly credential: Credential;
  /** Unique per credential while timestamps near it are accepted: the server remembers it. */
  readonly nonce: Hex;
  /** Form checked only. */
  readonly grant?: Envelope;
}

const signatureHeaders = [
  httpHeaders.credential,
  httpHeaders.timestamp,
  httpHeaders.nonce,
  httpHeaders.signature,
].join(', ');
const nonceSchema = hexBytes(16);
const signatureSchema = hexBytes(64);

function readGrant(text: string | string[]): Envelope {
  try {
    if (typeof text !== 'string') throw new TypeError('repeated');
    return envelopeSchema.parse(JSON.parse(new TextDecoder().decode(base64urlnopad.decode(text))));
  } catch {
    throw new SignedHttpError(
      'malformed',
      `${httpHeaders.grant} is not a record: present the connector.grant as the node made it`,
    );
  }
}

/**
 * Checks form, time and signature of a signed request. The caller checks that the nonce is new and what the credential
 * may do. Throws SignedHttpError. A degenerate key is harmless here: no record ever introduces one.
 */
export function verifyHttp(
  parts: HttpRequestParts,
  headers: Readonly<Record<string, string | string[] | undefined>>,
  now: number,
): SignedHttp {
  const credential = headers[httpHeaders.credential];
  if (credential === undefined) {
    throw new SignedHttpError('missing', `not signed: sign the request with the headers ${signatureHeaders}`);
  }
  const timestamp = timestampSchema.safeParse(headers[httpHeaders.timestamp]);
  const nonce = nonceSchema.safeParse(headers[httpHeaders.nonce]);
  const signature = signatureSchema.safeParse(headers[httpHeaders.signature]);
  const key = ed25519CredentialSchema.safeParse(credential);
  if (!timestamp.success || !nonce.success || !signature.success || !key.success) {
    throw new SignedHttpError(
      'malformed',
      `a header is missing, repeated or malformed: send ${signatureHeaders} once each`,
    );
  }
  if (Math.abs(Date.parse(timestamp.data) - now) > timestampTolerance) {
    const seconds = timestampTolerance / 1000;
    throw new SignedHttpError(
      'clock',
      `${timestamp.data} is more than ${seconds} s from the server's ${new Date(now).toISOString()}: set the clock`,
    );
  }
  const message = signedBytes(parts, timestamp.data, nonce.data);
  if (!verify(publicKeyOfCredential(key.data), message, fromHex(signature.data))) {
    throw new SignedHttpError(
      'bad_signature',
      `the signature of ${key.data} does not verify: sign method, path and body as they are sent`,
    );
  }
  const grant = headers[httpHeaders.grant];
  return { credential: key.data, nonce: nonce.data, ...(grant !== undefined && { grant: readGrant(grant) }) };
}
