// Signatures on records by what is outside this program: Ethereum wallets and passkeys. A draft is built for the owner's
// credential (`buildDecision(options, { credential })`), shown to the wallet (`typedDataOf`) or the authenticator
// (`challengeOf`), and takes the signature that comes back, once that verifies.
import { isAddress } from 'viem/utils';
import { fromHex, type Hex, toHex } from '../protocol/hex.ts';
import { publicKeyOfInfo } from '../protocol/keys/p256.ts';
import { type Credential, webauthnCredentialSchema } from '../protocol/records/credential.ts';
import { walletRequestOf } from '../protocol/records/eip712.ts';
import {
  checkIntroducedKeys,
  type Envelope,
  envelopeSchema,
  readContent,
  RecordError,
  signedRecord,
} from '../protocol/records/envelope.ts';
import { ownerRecordOf } from '../protocol/records/owner-records.ts';
import { signatureProblem, type SignedRecord } from '../protocol/records/signature.ts';
import { type Assertion, encodeAssertion } from '../protocol/records/webauthn.ts';

/** The credential of an Ethereum wallet's account, however its address is written. Throws TypeError for no address. */
export function walletCredential(address: string): Credential {
  if (!isAddress(address))
    throw new TypeError(`${JSON.stringify(address.slice(0, 80))} is no address with a right checksum`);
  return `eip712:${address.toLowerCase()}`;
}

export interface PasskeyOptions {
  /** The relying party for which it was made. */
  readonly rpId: string;
  /** Where it is used: `https://<host>`, of a host that is `rpId` or below it; for developing `http://localhost:<port>`. */
  readonly origin: string;
  /** The SubjectPublicKeyInfo that the browser gave (`response.getPublicKey()`), 91 bytes. */
  readonly publicKey: Uint8Array;
}

/**
 * The credential of a passkey with the algorithm ES256 (-7), as it was made by `navigator.credentials.create`.
 *
 * @throws {EcdsaKeyError} for a key that is not on P-256
 * @throws {TypeError} for an origin at which this relying party's passkeys are not used
 */
export function passkeyCredential({ rpId, origin, publicKey }: PasskeyOptions): Credential {
  const host = /^(?:https:\/\/(?!localhost(?::|$))|http:\/\/(?=localhost(?::|$)))([^/]+)$/.exec(origin)?.[1];
  const credential = `webauthn:${rpId}:${host}:${toHex(publicKeyOfInfo(publicKey))}`;
  if (host === undefined || !webauthnCredentialSchema.safeParse(credential).success) {
    const message = `${JSON.stringify(origin)} is no origin for passkeys of ${JSON.stringify(rpId)}`;
    throw new TypeError(`${message}: it is https://, and a host that is the rpId or below it`);
  }
  return credential;
}

function recordOf(envelope: Envelope, networkId: string): SignedRecord {
  const kind = ownerRecordOf(envelope);
  const { id, content } = readContent(kind, envelope, networkId);
  return signedRecord(kind, id, content);
}

/** Typed data for `eth_signTypedData_v4`: what an owner's wallet shows and signs. Throws RecordError. */
export function typedDataOf(envelope: Envelope, networkId: string): ReturnType<typeof walletRequestOf> {
  return walletRequestOf(recordOf(envelope, networkId));
}

/** The 32 bytes for `challenge` of `navigator.credentials.get`: the record's id. Throws RecordError. */
export function challengeOf(envelope: Envelope, networkId: string): Uint8Array {
  return fromHex(recordOf(envelope, networkId).id);
}

/** The envelope with a signature that verifies, or unchanged when that credential signed before. */
function withSignature(
  envelope: Envelope,
  networkId: string,
  credential: Credential,
  signature: Hex,
): Envelope {
  const record = recordOf(envelope, networkId);
  const fail = (why: string): never => {
    throw new RecordError('bad_signature', envelope.type, `the signature of ${credential} ${why}`);
  };
  const signed = { ...envelope, signatures: [{ credential, signature }] };
  if (!envelopeSchema.safeParse(signed).success) fail('is not of the form that its credential makes');
  checkIntroducedKeys(envelope.type, [credential]);
  const problem = signatureProblem(record, credential, signature);
  if (problem !== undefined) fail(`does not verify: ${problem}`);
  if (envelope.signatures.some((entry) => entry.credential === credential)) return envelope;
  return { ...envelope, signatures: [...envelope.signatures, ...signed.signatures] };
}

/**
 * The envelope with the signature of a wallet's account, as `eth_signTypedData_v4` returns it for `typedDataOf`: 65 bytes of
 * 0x-hex. Some wallets end it with 0 or 1 for 27 or 28: a record has the latter.
 *
 * @throws {RecordError} `bad_signature`: of another account, or over something else
 * @throws {TypeError} for no address
 */
export function withWalletSignature(
  envelope: Envelope,
  networkId: string,
  address: string,
  signature: string,
): Envelope {
  const credential = walletCredential(address);
  const lower = signature
    .toLowerCase()
    .replace(/(?<=^0x[0-9a-f]{128})0([01])$/, (_, parity: string) => (parity === '0' ? '1b' : '1c'));
  return withSignature(envelope, networkId, credential, lower as Hex);
}

/**
 * The envelope with a passkey's assertion over `challengeOf`, its parts as `navigator.credentials.get` returns them.
 *
 * @throws {RecordError} `bad_signature`, `bad_key`
 */
export function withPasskeySignature(
  envelope: Envelope,
  networkId: string,
  credential: Credential,
  assertion: Assertion,
): Envelope {
  return withSignature(envelope, networkId, credential, toHex(encodeAssertion(assertion)));
}
