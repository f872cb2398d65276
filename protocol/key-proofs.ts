// What proves a key: its key request and the equal, signed results of all parties; of a derived key also its parent, from
// which anybody can compute what those results must be. There is no way to prove a derived key without its parent.
import * as z from 'zod';
import type { Hex } from './hex.ts';
import { sameKeyResult, verifyCertificate } from './keys/certificate.ts';
import { DerivationError, derivedResult } from './keys/derivation.ts';
import type { KeyType } from './keys/key-type.ts';
import { envelopeId, envelopeSchema, verifyRecord } from './records/envelope.ts';
import type { Policy } from './policy/schema.ts';
import type { Keyring } from './records/keyring-roster.ts';
import type { KeyResult } from './records/party-result.ts';
import {
  type KeyRequest,
  type Origin,
  originOf,
  type Request,
  request as requestRecord,
} from './records/request.ts';
import { Refused } from './refusal.ts';

/** A key as it stands in evidence: its own key request, and the key results of all parties. */
export const keyEntrySchema = z.strictObject({
  request: envelopeSchema,
  certificate: z.array(envelopeSchema).max(50),
});
export type KeyEntry = z.infer<typeof keyEntrySchema>;

/** A key that evidence proved to exist. */
export interface VerifiedKey {
  readonly id: Hex;
  readonly workspaceId: Hex;
  readonly keyringId: Hex;
  readonly keyType: KeyType;
  readonly publicKey: Hex;
  readonly label: string;
  /** Of a derived key. */
  readonly origin?: Origin;
  /** The sign policy that its own request gave it. */
  readonly policy?: Policy;
}

/** A key with what its parties have certified of it. */
export interface ProvenKey {
  readonly key: VerifiedKey;
  readonly result: KeyResult;
}

/** What a key request for a derived key comes to: the one key result that each party must have. */
export interface DerivedKey {
  readonly parent: ProvenKey;
  readonly path: string;
  readonly result: KeyResult;
}

/** Keys among entries of evidence, each proven once, against a keyring that the caller trusts. */
export class KeyProofs {
  readonly #entries: readonly KeyEntry[];
  readonly #keyring: Keyring;
  readonly #networkId: string;
  readonly #proven = new Map<Hex, ProvenKey>();

  constructor(entries: readonly KeyEntry[], keyring: Keyring, networkId: string) {
    this.#entries = entries;
    this.#keyring = keyring;
    this.#networkId = networkId;
  }

  /** Proves all of them. Throws as `prove`. */
  all(): ReadonlyMap<Hex, ProvenKey> {
    for (const entry of this.#entries) this.prove(entry);
    return this.#proven;
  }

  /** Throws Refused, RecordError, CertificateError or another Error that says what is wrong. */
  prove(entry: KeyEntry): ProvenKey {
    const record = verifyRecord(requestRecord, entry.request, this.#networkId);
    const { content } = record;
    if (content.kind !== 'key' || content.keyringId !== this.#keyring.id) {
      const message = `${record.id} is not a key request to keyring ${this.#keyring.id}`;
      throw new Refused('bad_evidence', message, false);
    }
    const result = verifyCertificate(entry.certificate, this.#keyring, record.id, this.#networkId);
    if (result.keyType !== content.keyType) {
      throw new Refused('bad_evidence', `the certificate is of a ${String(result.keyType)} key`, false);
    }
    const derived = this.derivedBy(content);
    if (derived !== undefined && !sameKeyResult(derived.result, result)) {
      const { parent, path } = derived;
      const message = `the certificate of key ${record.id} is not what ${path} of key ${parent.key.id} gives`;
      throw new Refused('bad_evidence', `${message}: do not use this key`, false);
    }
    const { workspaceId, keyringId, keyType, label } = content;
    const origin = originOf(content);
    const proven = {
      key: {
        id: record.id,
        workspaceId,
        keyringId,
        keyType,
        publicKey: result.publicKey,
        label,
        ...(origin && { origin }),
        ...(content.policy && { policy: content.policy }),
      },
      result,
    };
    this.#proven.set(record.id, proven);
    return proven;
  }

  /** What a request for a derived key asks for; undefined of any other request. Throws as `prove`. */
  derivedBy(content: Request): DerivedKey | undefined {
    const origin = originOf(content);
    if (content.kind !== 'key' || origin === undefined) return undefined;
    const parent = this.#parentOf(content, origin);
    const { path } = origin;
    try {
      const { result } = derivedResult({ id: parent.key.id, result: parent.result }, path);
      return { parent, path, result };
    } catch (error) {
      if (!(error instanceof DerivationError)) throw error;
      throw new Refused('wrong_parent', error.message, true);
    }
  }

  #parentOf(content: KeyRequest, { parent: id, path }: Origin): ProvenKey {
    const entry = this.#entries.find(({ request }) => this.#isOf(request, id));
    if (entry === undefined) throw new Refused('bad_evidence', `no certificate of parent key ${id}`, false);
    // Before its certificate: what its request says can never change.
    checkParent(content, id, path, verifyRecord(requestRecord, entry.request, this.#networkId).content);
    return this.#proven.get(id) ?? this.prove(entry);
  }

  #isOf(request: KeyEntry['request'], id: Hex): boolean {
    try {
      return envelopeId(request, this.#networkId) === id;
    } catch {
      return false;
    }
  }
}

/** Whether a key can be derived from the one that `parent` asked for. Throws Refused `wrong_parent`, `parent_is_derived`. */
function checkParent(content: KeyRequest, id: Hex, path: string, parent: Request): void {
  const refuse = (detail: string): never => {
    throw new Refused('wrong_parent', `a key cannot be derived from ${id}: ${detail}`, true);
  };
  if (parent.kind !== 'key') return refuse('it is a sign request, no key');
  if (parent.workspaceId !== content.workspaceId) refuse(`it belongs to workspace ${parent.workspaceId}`);
  if (parent.keyringId !== content.keyringId) refuse(`it is a key of keyring ${parent.keyringId}`);
  if (parent.keyType !== content.keyType) refuse(`it is of type ${parent.keyType}, not ${content.keyType}`);
  const origin = originOf(parent);
  if (origin === undefined) return;
  const longer = `${origin.path}${path.slice(1)}`;
  throw new Refused(
    'parent_is_derived',
    `key ${id} is itself derived: ask for ${longer} from its root ${origin.parent}`,
    true,
  );
}

/**
 * Proves a key from its key request and the results of all parties, against a keyring that the caller trusts. `others`:
 * entries among which the parent of a derived key must be. Throws RecordError, CertificateError or another Error that
 * says what is wrong.
 */
export function verifyKey(
  entry: KeyEntry,
  keyring: Keyring,
  networkId: string,
  others: readonly KeyEntry[] = [],
): VerifiedKey {
  return new KeyProofs([entry, ...others], keyring, networkId).prove(entry).key;
}
