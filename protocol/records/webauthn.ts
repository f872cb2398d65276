// Signatures of passkeys on records (WebAuthn Level 3, section 7.2): an assertion whose challenge is the record's id, made at
// the one origin that the credential names. Its three parts stand in an envelope each after its length. What a person saw
// when it was made is that page's matter: the authenticator shows the page's name alone.
//
// Counters are not looked at: a passkey that is kept in several places has none (section 6.1.1).
import { equalBytes } from '@noble/curves/utils.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { base64urlnopad } from '@scure/base';
import { maxDerLength, verify } from '../keys/p256.ts';
import type { Passkey } from './credential.ts';
import { lengthPrefixed, splitLengthPrefixed } from './length-prefixed.ts';

/** Bytes of the hash of the rpId, of the flags and of the counter (section 6.1), after which extensions may follow. */
const minAuthenticatorData = 37;
const maxAuthenticatorData = 1024;
/** Type, 32 bytes of challenge, and an origin take more. */
const minClientData = 100;
const maxClientData = 2048;
const minSignature = 8;
const lengths = 3 * 4;
/** Bytes of the shortest and the longest signature of a passkey, as it stands in an envelope. */
export const minPasskeySignature = lengths + minAuthenticatorData + minClientData + minSignature;
export const maxPasskeySignature = lengths + maxAuthenticatorData + maxClientData + maxDerLength;

const rpIdHashLength = 32;
/** Bits of the flags (section 6.1). */
const userPresent = 0x01;
const userVerified = 0x04;
const backupEligible = 0x08;
const backedUp = 0x10;

/** An assertion as `navigator.credentials.get` returns it (AuthenticatorAssertionResponse). */
export interface Assertion {
  readonly authenticatorData: Uint8Array;
  readonly clientDataJSON: Uint8Array;
  /** DER. */
  readonly signature: Uint8Array;
}

/** The parts of an assertion, each after its length (u32, big endian): what stands in an envelope. */
export function encodeAssertion({ authenticatorData, clientDataJSON, signature }: Assertion): Uint8Array {
  return lengthPrefixed(authenticatorData, clientDataJSON, signature);
}

/** Names of an object's own fields as its JSON has them, each as often as it stands there. `text` must be JSON. */
function fieldNames(text: string): string[] {
  const names: string[] = [];
  let depth = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"\s*:?|[{}[\]]/g)) {
    if (token === '{' || token === '[') depth += 1;
    else if (token === '}' || token === ']') depth -= 1;
    else if (depth === 1 && token.endsWith(':')) names.push(JSON.parse(token.slice(0, -1).trim()) as string);
  }
  return names;
}

/** The object that a client's data is; undefined when it is none, or has a field twice: parsers differ on which counts. */
function readClientData(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    const value = JSON.parse(text) as unknown;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    const names = fieldNames(text);
    return new Set(names).size === names.length ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** What is wrong with what the browser says it did (section 5.8.1), other fields than these aside. */
function clientDataProblem(bytes: Uint8Array, challenge: Uint8Array, origin: string): string | undefined {
  const data = readClientData(bytes);
  if (data === undefined) return 'its clientDataJSON is not an object of JSON with each field once';
  if (data['type'] !== 'webauthn.get') return 'its type is not webauthn.get';
  if (data['challenge'] !== base64urlnopad.encode(challenge)) return "its challenge is not the record's id";
  if (data['origin'] !== origin) return `it was not made at ${origin}`;
  const { crossOrigin = false, topOrigin } = data;
  if (crossOrigin !== false || topOrigin !== undefined) return 'it was made inside a page of another origin';
  return undefined;
}

/**
 * What is wrong with an assertion, as it stands in an envelope, by `passkey` over `challenge` (32 bytes); undefined when it
 * is valid.
 */
export function passkeySignatureProblem(
  passkey: Passkey,
  challenge: Uint8Array,
  encoded: Uint8Array,
): string | undefined {
  const [authenticatorData, clientData, signature, ...more] = splitLengthPrefixed(encoded) ?? [];
  if (!authenticatorData || !clientData || !signature || more.length > 0)
    return 'it is not authenticatorData, clientDataJSON and signature, each after its length';
  const { length } = authenticatorData;
  if (length < minAuthenticatorData || length > maxAuthenticatorData)
    return `its authenticatorData has ${length} bytes, not ${minAuthenticatorData} to ${maxAuthenticatorData}`;
  if (clientData.length > maxClientData)
    return `its clientDataJSON has ${clientData.length} bytes, the limit is ${maxClientData}`;
  if (signature.length > maxDerLength)
    return `its signature has ${signature.length} bytes, the limit is ${maxDerLength}`;
  const problem = clientDataProblem(clientData, challenge, passkey.origin);
  if (problem !== undefined) return problem;
  if (!equalBytes(authenticatorData.subarray(0, rpIdHashLength), sha256(utf8ToBytes(passkey.rpId))))
    return `it is not of the relying party ${passkey.rpId}`;
  const flags = authenticatorData[rpIdHashLength]!;
  if ((flags & userPresent) === 0) return 'nobody was present when it was made';
  if ((flags & userVerified) === 0)
    return 'the authenticator did not verify who was present when it was made';
  if ((flags & backupEligible) === 0 && (flags & backedUp) !== 0)
    return 'its flags say that the passkey is kept elsewhere, and that it never can be';
  const signed = concatBytes(authenticatorData, sha256(clientData));
  return verify(passkey.publicKey, signed, signature) ? undefined : 'ES256 does not verify';
}
