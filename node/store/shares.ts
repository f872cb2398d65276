// Key shares: pending with the party's one confirmation, then active with the certificate. A share and its confirmation
// are one record, so that no crash leaves one without the other; its state changes in that same record. A derived key has
// no share here: whoever opens it gets its parent's, and how to derive from that.
import { decode as decodeCbor, encode as encodeCbor } from 'cborg';
import * as z from 'zod';
import { type Envelope, envelopeId, envelopeSchema, readContent } from '../../protocol/records/envelope.ts';
import { type Epoch, epochSchema, recordIdSchema, sameEpoch } from '../../protocol/records/fields.ts';
import { partyResult } from '../../protocol/records/party-result.ts';
import { type Origin, originOf, request } from '../../protocol/records/request.ts';
import { derivationPathSchema } from '../../protocol/keys/derivation.ts';
import {
  epochName,
  type EpochKeys,
  type EpochOfKeyring,
  epochOfKeyringSchema,
  erasedError,
} from './epoch-keys.ts';
import { NodeStoreError } from './error.ts';
import type { Change, Journal, Kind } from './journal.ts';
import { sealedBytesSchema } from './sealed-bytes.ts';

/** A share as key generation left it: named fields, in a shape of the caller's. Byte fields come back as Uint8Array. */
export type ShareFields = Readonly<Record<string, string | number | Uint8Array | readonly Uint8Array[]>>;

export interface PendingShare {
  /** Id of the key request: the new key's id. */
  readonly requestId: string;
  readonly keyringId: string;
  readonly epoch: Epoch;
  readonly share: ShareFields;
  /** The `party.result` of this party with the key. */
  readonly confirmation: Envelope;
  /** The `request` that asked for the key. */
  readonly keyRequest: Envelope;
}

export interface PendingDerived extends Omit<PendingShare, 'share'> {
  readonly origin: Origin;
}

/** What may be shown of a key. */
export interface StoredKey {
  readonly keyId: string;
  readonly keyringId: string;
  readonly epoch: Epoch;
  readonly keyRequest: Envelope;
  readonly confirmation: Envelope;
  /** Of a derived key. */
  readonly origin?: Origin | undefined;
  /** The key results of all parties; absent while the key is pending. */
  readonly certificate?: readonly Envelope[] | undefined;
}

export interface ActiveKey extends StoredKey {
  readonly certificate: readonly Envelope[];
  /** Of a derived key: its parent's. */
  readonly share: ShareFields;
}

const keyKind: Kind<StoredKey & { readonly sealed?: z.infer<typeof sealedBytesSchema> | undefined }> = {
  name: 'key',
  schema: z
    .strictObject({
      keyId: recordIdSchema,
      keyringId: recordIdSchema,
      epoch: epochSchema,
      keyRequest: envelopeSchema,
      confirmation: envelopeSchema,
      origin: z.strictObject({ parent: recordIdSchema, path: derivationPathSchema }).optional(),
      certificate: z.array(envelopeSchema).min(1).optional(),
      sealed: sealedBytesSchema.optional(),
    })
    .refine((key) => (key.origin === undefined) !== (key.sealed === undefined), 'a share or an origin'),
};

/** Epochs that were erased for good: their names never get a key again. */
const erasedKind: Kind<EpochOfKeyring> = { name: 'erased', schema: epochOfKeyringSchema };

const shareSchema = z.record(
  z.string(),
  z.union([z.string(), z.int(), z.instanceof(Uint8Array), z.array(z.instanceof(Uint8Array))]),
);

function encodeShare(share: ShareFields): Uint8Array {
  if (!shareSchema.safeParse(share).success) {
    throw new NodeStoreError('invalid', 'a share has text, whole numbers, bytes and lists of bytes only');
  }
  return encodeCbor(share);
}

function unknownRequest(requestId: string): NodeStoreError {
  return new NodeStoreError('unknown_request', `no share of key request ${requestId} is stored`);
}

function checkPending(
  { requestId, keyringId, epoch, confirmation, keyRequest }: Omit<PendingShare, 'share'>,
  networkId: string,
  origin?: Origin,
): void {
  const { content } = readContent(partyResult, confirmation, networkId);
  if (
    content.result.kind !== 'key' ||
    content.subject !== requestId ||
    content.keyringId !== keyringId ||
    !sameEpoch(content.epoch, epoch)
  ) {
    throw new NodeStoreError(
      'invalid',
      `the confirmation is not one of key request ${requestId} in this keyring and epoch`,
    );
  }
  if (keyRequest.type !== 'request' || envelopeId(keyRequest, networkId) !== requestId) {
    throw new NodeStoreError('invalid', `the record beside the share is not the request ${requestId}`);
  }
  const asked = originOf(readContent(request, keyRequest, networkId).content);
  if (asked?.parent !== origin?.parent || asked?.path !== origin?.path) {
    const what = asked === undefined ? 'a generated key' : `${asked.path} of key ${asked.parent}`;
    throw new NodeStoreError('invalid', `request ${requestId} asks for ${what}, and for nothing else`);
  }
}

function withoutShare({
  keyId,
  keyringId,
  epoch,
  keyRequest,
  confirmation,
  origin,
  certificate,
}: StoredKey): StoredKey {
  return {
    keyId,
    keyringId,
    epoch,
    keyRequest,
    confirmation,
    ...(origin && { origin }),
    ...(certificate && { certificate }),
  };
}

function epochOf(keyringId: string, epoch: Epoch): EpochOfKeyring {
  const parsed = epochOfKeyringSchema.safeParse({ keyringId, epoch });
  if (parsed.success) return parsed.data;
  throw new NodeStoreError('invalid', `no keyring id and epoch: ${z.prettifyError(parsed.error)}`);
}

/** A party confirms once. Throws NodeStoreError `already_confirmed`. */
function refuseSecond(change: Change, keyId: string): void {
  if (change.get(keyKind, keyId) === undefined) return;
  const message = `this party has confirmed key request ${keyId} already: send that confirmation again`;
  throw new NodeStoreError('already_confirmed', message);
}

/** The confirmation this party gave for a request, within a change. */
export function confirmationIn(change: Change, requestId: string): Envelope | undefined {
  return change.get(keyKind, requestId)?.confirmation;
}

export class Shares {
  readonly #journal: Journal;
  readonly #epochKeys: EpochKeys;
  readonly #networkId: string;

  constructor(journal: Journal, epochKeys: EpochKeys, networkId: string) {
    this.#journal = journal;
    this.#epochKeys = epochKeys;
    this.#networkId = networkId;
  }

  /** Completes erasures that a crash interrupted. */
  async resumeErasures(): Promise<void> {
    const files = new Set(await this.#epochKeys.names());
    for (const erased of await this.#journal.list(erasedKind)) {
      if (files.has(epochName(erased))) await this.#epochKeys.erase(erased);
    }
  }

  /** Epochs that were erased for good. */
  erasedEpochs(): Promise<readonly EpochOfKeyring[]> {
    return this.#journal.list(erasedKind);
  }

  /**
   * Holds the key of every epoch that has shares. A node that lost one must not start: it would make a new key of that
   * name with the next share, and the lost one could not be restored beside it. Throws `corrupt`, `unavailable`.
   */
  async loadEpochs(): Promise<void> {
    const erased = new Set((await this.#journal.list(erasedKind)).map(epochName));
    for (const { keyringId, epoch } of await this.#journal.list(keyKind)) {
      const of = epochOf(keyringId, epoch);
      if (!erased.has(epochName(of))) await this.#epochKeys.load(of);
    }
  }

  async putPendingShare(pending: PendingShare): Promise<void> {
    const { requestId: keyId, keyringId, epoch, confirmation, keyRequest } = pending;
    const of = epochOf(keyringId, epoch);
    checkPending(pending, this.#networkId);
    if ((await this.#journal.get(erasedKind, epochName(of))) !== undefined) throw erasedError(of);
    await this.#epochKeys.ensure(of);
    await this.#journal.change('share.pending', (change) => {
      if (change.get(erasedKind, epochName(of)) !== undefined) throw erasedError(of);
      refuseSecond(change, keyId);
      const plaintext = encodeShare(pending.share);
      const sealed = this.#epochKeys.sealShare({ keyId, ...of }, plaintext);
      plaintext.fill(0);
      change.put(keyKind, keyId, { keyId, ...of, keyRequest, confirmation, sealed });
    });
  }

  /** As `putPendingShare`, of a key that is derived from an active, generated one. */
  async putPendingDerived(pending: PendingDerived): Promise<void> {
    const { requestId: keyId, keyringId, epoch, confirmation, keyRequest, origin } = pending;
    const of = epochOf(keyringId, epoch);
    checkPending(pending, this.#networkId, origin);
    await this.#journal.change('key.derived', (change) => {
      refuseSecond(change, keyId);
      const parent = change.get(keyKind, origin.parent);
      if (
        parent?.certificate === undefined ||
        parent.origin !== undefined ||
        parent.keyringId !== keyringId
      ) {
        const message = `key ${origin.parent} is no active, generated key of this keyring here`;
        throw new NodeStoreError('wrong_state', `${message}: nothing is derived from it`);
      }
      change.put(keyKind, keyId, { keyId, ...of, keyRequest, confirmation, origin });
    });
  }

  async confirmationOf(requestId: string): Promise<Envelope | undefined> {
    return (await this.#journal.get(keyKind, requestId))?.confirmation;
  }

  async activateKey(requestId: string, certificate: readonly Envelope[]): Promise<void> {
    await this.#journal.change('share.active', (change) => {
      const key = change.get(keyKind, requestId);
      if (key === undefined) throw unknownRequest(requestId);
      if (key.certificate !== undefined) return;
      const parsed = z.array(envelopeSchema).min(1).safeParse(certificate);
      if (!parsed.success)
        throw new NodeStoreError('invalid', `no certificate: ${z.prettifyError(parsed.error)}`);
      change.put(keyKind, requestId, { ...key, certificate: parsed.data });
    });
  }

  async keyOf(keyId: string): Promise<ActiveKey | undefined> {
    const key = await this.#journal.get(keyKind, keyId);
    if (key?.certificate === undefined) return undefined;
    const share = await this.#shareOf(key);
    return { ...withoutShare(key), certificate: key.certificate, share };
  }

  async #shareOf(key: z.infer<typeof keyKind.schema>): Promise<ShareFields> {
    if (key.sealed !== undefined) return this.#open(key, key.sealed);
    const parent = key.origin && (await this.#journal.get(keyKind, key.origin.parent));
    if (parent?.sealed === undefined) {
      const message = `the key from which ${key.keyId} is derived is missing: restore the node from a backup`;
      throw new NodeStoreError('corrupt', message);
    }
    return this.#open(parent, parent.sealed);
  }

  async keys(): Promise<readonly StoredKey[]> {
    return (await this.#journal.list(keyKind)).map(withoutShare);
  }

  async eraseEpoch(keyringId: string, epoch: Epoch): Promise<void> {
    const of = epochOf(keyringId, epoch);
    // Marked first: after a crash in between, the next start completes it.
    await this.#journal.change('epoch.erased', (change) => change.put(erasedKind, epochName(of), of));
    await this.#epochKeys.erase(of);
  }

  async #open(key: StoredKey, sealed: z.infer<typeof sealedBytesSchema>): Promise<ShareFields> {
    const of = epochOf(key.keyringId, key.epoch);
    if ((await this.#journal.get(erasedKind, epochName(of))) !== undefined) throw erasedError(of);
    await this.#epochKeys.load(of);
    const plaintext = this.#epochKeys.openShare({ keyId: key.keyId, ...of }, sealed);
    try {
      return shareSchema.parse(decodeCbor(plaintext));
    } catch {
      // Without the cause, which could quote the share.
      throw new NodeStoreError(
        'corrupt',
        `the share of key ${key.keyId} is damaged: restore the node from a backup`,
      );
    } finally {
      plaintext.fill(0);
    }
  }
}
