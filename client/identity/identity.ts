// Who signs: a name and an ed25519 seed, sealed in a file. A person's stands in $COUNTERSIGN_HOME/identities/NAME.json;
// party and connector keys are kept the same way.
import { randomBytes } from '@noble/hashes/utils.js';
import * as z from 'zod';
import { type Credential, ed25519CredentialSchema, nameSchema } from '../../protocol/records/fields.ts';
import { ed25519Signer } from '../../protocol/records/envelope.ts';
import { IdentityError } from './error.ts';
import type { RandomBytes, Sealed } from './seal.ts';
import { createSealedFile, openSealedFile, readSealedFile } from './sealed-file.ts';

const kind = 'identity';
const seedLength = 32;

const publicSchema = z.strictObject({ name: nameSchema, credential: ed25519CredentialSchema });

export interface PublicIdentity {
  readonly name: string;
  /** `ed25519:0x<64 hex digits>`. */
  readonly credential: Credential;
}

export interface Identity extends PublicIdentity {
  /** 32 bytes: the private key of RFC 8032. Fill it with zeros when done. */
  readonly seed: Uint8Array;
}

export interface NewIdentity {
  /** 1 to 40 of a-z, 0-9, ".", "_" and "-". */
  readonly name: string;
  readonly passphrase: string;
  /** A file that does not exist yet. */
  readonly path: string;
  readonly random?: RandomBytes;
  /** See SealOptions. */
  readonly testOnlyScryptCost?: number;
}

/** Makes an identity and its file. Throws IdentityError `bad_name`, `bad_passphrase`, `exists` or `unwritable`. */
export async function createIdentity(options: NewIdentity): Promise<Identity> {
  const { name, path, random = randomBytes, ...sealing } = options;
  if (!nameSchema.safeParse(name).success) {
    const rule = '1 to 40 of a-z, 0-9, ".", "_" and "-", beginning with a letter or digit';
    throw new IdentityError('bad_name', `${JSON.stringify(name).slice(0, 80)} is not a name: use ${rule}`);
  }
  const seed = random(seedLength);
  const { credential } = ed25519Signer(seed);
  const file = { ...sealing, kind, random, public: { name, credential }, name: 'identity' };
  await createSealedFile(path, seed, file);
  return { name, credential, seed };
}

function publicPart(sealed: Sealed, path: string): PublicIdentity {
  const parsed = publicSchema.safeParse(sealed.public);
  if (sealed.kind !== kind || !parsed.success) {
    throw new IdentityError('wrong_kind', `${path} is a sealed "${sealed.kind}", not an identity`);
  }
  return parsed.data;
}

/** Opens an identity's file. Throws IdentityError; `wrong_passphrase` among them. */
export async function openIdentity(path: string, passphrase: string): Promise<Identity> {
  const { plaintext: seed, sealed } = await openSealedFile(path, { kind, passphrase });
  const identity = publicPart(sealed, path);
  if (seed.length !== seedLength || ed25519Signer(seed).credential !== identity.credential) {
    throw new IdentityError('damaged', `${path} holds another key than it says: take it from a backup`);
  }
  return { ...identity, seed };
}

/** Name and credential as the file states them; only openIdentity proves them. Throws IdentityError. */
export async function readPublicIdentity(path: string): Promise<PublicIdentity> {
  return publicPart(await readSealedFile(path), path);
}
