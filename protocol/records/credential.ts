// Credentials: the public keys of principals, parties and connectors, each in its one spelling.
//
//   ed25519:0x<32 bytes>                        a key that signs records itself
//   eip712:0x<20 bytes>                         the address of an Ethereum wallet (EIP-712), an externally owned account
//   webauthn:<rpId>:<host>:0x<33 bytes>         a passkey (WebAuthn): a compressed point of P-256, and the one web page,
//                                               https://<host>, at which it is used for the relying party <rpId>
//
// Parties, connectors and keyring admins have ed25519 keys only; an owner may have any.
import * as z from 'zod';
import { fromHex } from '../hex.ts';

const maxCredentialLength = 300;

/** `ed25519:0x<32 bytes>`: a public key of a principal, party or connector. */
export const ed25519CredentialSchema = z
  .string()
  .regex(/^ed25519:0x[0-9a-f]{64}$/, 'expected a credential like ed25519:0x<64 hex digits>');

/** `eip712:0x<20 bytes>`: the address in lower case, without the checksum of EIP-55. */
export const eip712CredentialSchema = z
  .string()
  .regex(/^eip712:0x[0-9a-f]{40}$/, 'expected a credential like eip712:0x<40 lower-case hex digits>');

/** A DNS name as URLs spell it. The last label begins with a letter: a name that ends in a number is an IP address. */
const label = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const dnsName = `(?:${label}\\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?`;
const webauthnPattern = new RegExp(
  `^webauthn:(${dnsName}):(${dnsName})(?::([1-9][0-9]{0,4}))?:(0x0[23][0-9a-f]{64})$`,
);

/** A passkey's credential in its parts. */
export interface Passkey {
  /** The relying party that the key was made for: a DNS name. */
  readonly rpId: string;
  /** The web origin at which it signs, as browsers write it. */
  readonly origin: string;
  /** The compressed point, 33 bytes. */
  readonly publicKey: Uint8Array;
}

/** Developing alone is done without TLS, and there is no certificate for it. */
const developingHost = 'localhost';

function readPasskey(credential: string): Passkey | undefined {
  const [, rpId, host, port, key] = webauthnPattern.exec(credential) ?? [];
  if (rpId === undefined || host === undefined || key === undefined) return undefined;
  if (host !== rpId && !host.endsWith(`.${rpId}`)) return undefined;
  const [scheme, defaultPort] = host === developingHost ? ['http', '80'] : ['https', '443'];
  // Browsers leave the scheme's own port out of an origin: with it, one origin would have two spellings.
  if (port !== undefined && (port === defaultPort || Number(port) > 65_535)) return undefined;
  const origin = `${scheme}://${host}${port === undefined ? '' : `:${port}`}`;
  return { rpId, origin, publicKey: fromHex(key) };
}

/** `webauthn:<rpId>:<host>:0x<33 bytes>`; `host` is `rpId` or below it, and may have a port. */
export const webauthnCredentialSchema = z
  .string()
  .max(maxCredentialLength)
  .regex(
    /^webauthn:[a-z0-9.-]+:[a-z0-9.:-]+:0x0[23][0-9a-f]{64}$/,
    'expected a credential like webauthn:<rpId>:<host>:0x<66 hex digits>',
  )
  .refine(
    (credential) => readPasskey(credential) !== undefined,
    'rpId and host are DNS names, the host the rpId or below it, with a port only where origins have one',
  );

/** Any credential: what an owner may have. */
export const credentialSchema = z.union(
  [ed25519CredentialSchema, eip712CredentialSchema, webauthnCredentialSchema],
  'expected a credential like ed25519:0x<64 hex digits>, eip712:0x<40> or webauthn:<rpId>:<host>:0x<66>, in lower case',
);
export type Credential = z.infer<typeof credentialSchema>;

/** The 32-byte public key of an ed25519 credential. Throws TypeError for any other. */
export function publicKeyOfCredential(credential: Credential): Uint8Array {
  return fromHex(credential.slice('ed25519:'.length));
}

export const credentialTypes = ['ed25519', 'eip712', 'webauthn'] as const;
export type CredentialType = (typeof credentialTypes)[number];

/** The type of a credential that its schema accepted. */
export function credentialType(credential: Credential): CredentialType {
  if (credential.startsWith('eip712:')) return 'eip712';
  return credential.startsWith('webauthn:') ? 'webauthn' : 'ed25519';
}

/** The parts of a passkey's credential. Throws TypeError for what is none. */
export function passkeyOf(credential: Credential): Passkey {
  const passkey = readPasskey(credential);
  if (passkey === undefined) throw new TypeError(`not a passkey's credential: ${credential.slice(0, 80)}`);
  return passkey;
}

/**
 * What tells a credential's key from all others. A passkey that is used at two pages of its relying party is one key under
 * two credentials: whoever must have one key once compares these.
 */
export function keyOf(credential: Credential): string {
  if (credentialType(credential) !== 'webauthn') return credential;
  return `webauthn${credential.slice(credential.lastIndexOf(':'))}`;
}
