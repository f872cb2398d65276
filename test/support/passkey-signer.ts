// An authenticator and its browser for tests: makes assertions as WebAuthn says (section 6.3.3, 5.8.1), and others, to see
// that they are refused.
import { createHash } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { base64urlnopad } from '@scure/base';
import { challengeOf, withPasskeySignature } from '../../client/owner-signatures.ts';
import { toHex } from '../../protocol/hex.ts';
import type { Envelope } from '../../protocol/records/envelope.ts';
import type { Credential } from '../../protocol/records/fields.ts';
import type { Assertion } from '../../protocol/records/webauthn.ts';
import { seedOf } from './fixture.ts';

export interface AssertionChanges {
  readonly rpId?: string;
  readonly flags?: number;
  /** After the counter. */
  readonly extensions?: Uint8Array;
  /** Fields of the client's data, instead of or beside its own; undefined leaves one out. */
  readonly client?: Readonly<Record<string, unknown>>;
  /** The client's data as a whole. */
  readonly clientDataJSON?: string | Uint8Array;
  /** The half of the order in which s is. */
  readonly half?: 'low' | 'high';
}

const sha256 = (bytes: string | Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
/** User present and verified. */
const usualFlags = 0x05;

export class PasskeySigner {
  readonly rpId: string;
  readonly origin: string;
  readonly secretKey: Uint8Array;
  readonly credential: Credential;

  /** The passkey of this name at https://<host>, for `rpId`. */
  constructor(name: string, rpId = 'example.org', host = rpId) {
    this.rpId = rpId;
    this.origin = `${host.startsWith('localhost') ? 'http' : 'https'}://${host}`;
    this.secretKey = seedOf('passkey', name);
    this.credential = `webauthn:${rpId}:${host}:${toHex(p256.getPublicKey(this.secretKey, true))}`;
  }

  clientData(challenge: Uint8Array, changes: AssertionChanges['client'] = {}): string {
    const { origin } = this;
    const usual = { type: 'webauthn.get', challenge: base64urlnopad.encode(challenge), origin };
    return JSON.stringify({ ...usual, crossOrigin: false, ...changes });
  }

  assertion(challenge: Uint8Array, changes: AssertionChanges = {}): Assertion {
    const { rpId = this.rpId, flags = usualFlags, extensions = new Uint8Array(), half = 'low' } = changes;
    const authenticatorData = Buffer.concat([sha256(rpId), Uint8Array.of(flags, 0, 0, 0, 0), extensions]);
    const clientDataJSON = Buffer.from(changes.clientDataJSON ?? this.clientData(challenge, changes.client));
    const signed = Buffer.concat([authenticatorData, sha256(clientDataJSON)]);
    const low = p256.Signature.fromBytes(p256.sign(signed, this.secretKey, { lowS: true }));
    const made = half === 'low' ? low : new p256.Signature(low.r, p256.Point.Fn.neg(low.s));
    return { authenticatorData, clientDataJSON, signature: made.toBytes('der') };
  }

  /** The record with this passkey's assertion. */
  signRecord(envelope: Envelope, networkId: string, changes: AssertionChanges = {}): Envelope {
    const assertion = this.assertion(challengeOf(envelope, networkId), changes);
    return withPasskeySignature(envelope, networkId, this.credential, assertion);
  }
}
