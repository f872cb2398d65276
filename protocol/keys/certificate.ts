// A key's certificate: the equal key results of all n parties of its keyring. It proves that every party holds a share
// of this very public key.
import { encodeCanonical } from '../records/canonical.ts';
import { type Envelope, verifyRecord } from '../records/envelope.ts';
import { sameEpoch } from '../records/fields.ts';
import type { Keyring } from '../records/keyring-roster.ts';
import { type KeyResult, partyResult } from '../records/party-result.ts';
import { type Hex, fromHex, toHex } from '../hex.ts';
import { checkOnce } from './checked-keys.ts';
import { keyTypes } from './key-type.ts';

export class CertificateError extends Error {
  override readonly name = 'CertificateError';
  readonly code: 'incomplete' | 'outsider' | 'wrong_subject' | 'unequal' | 'bad_key';
  constructor(code: CertificateError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/** Whether two key results say the same, to the last field. */
export function sameKeyResult(one: KeyResult, other: KeyResult): boolean {
  return toHex(encodeCanonical(one)) === toHex(encodeCanonical(other));
}

/** Checks what a single key result must satisfy whoever else agrees. Throws CertificateError. */
export function checkKeyResult(result: KeyResult, keyring: Keyring): void {
  if (result.commitments.length !== keyring.roster.threshold) {
    const wanted = keyring.roster.threshold;
    throw new CertificateError(
      'bad_key',
      `${result.commitments.length} commitments, the threshold is ${wanted}: do not use this key`,
    );
  }
  const type = keyTypes[result.keyType];
  const [constant] = result.commitments.map(fromHex);
  if (toHex(type.publicKeyOfPoint(constant!)) !== result.publicKey) {
    throw new CertificateError('bad_key', 'the first commitment is not the public key: do not use this key');
  }
  for (const point of result.commitments) {
    try {
      checkOnce(`${result.keyType} point`, fromHex(point), (bytes) => type.checkPoint(bytes));
    } catch (error) {
      throw new CertificateError('bad_key', `${point}: ${(error as Error).message}`);
    }
  }
}

/**
 * Checks that `results` are the equal, signed key results of all parties of the keyring for that key request.
 * Throws CertificateError, or RecordError when a record itself is wrong.
 */
export function verifyCertificate(
  results: readonly Envelope[],
  keyring: Keyring,
  keyId: Hex,
  networkId: string,
): KeyResult {
  const parties = keyring.roster.parties.map((party) => party.key);
  const seen = new Set<string>();
  let first: KeyResult | undefined;
  for (const envelope of results) {
    const { content } = verifyRecord(partyResult, envelope, networkId);
    if (!parties.includes(content.party)) {
      throw new CertificateError(
        'outsider',
        `${content.party} is no party of the keyring: leave its result out`,
      );
    }
    if (
      content.subject !== keyId ||
      content.keyringId !== keyring.id ||
      !sameEpoch(content.epoch, keyring.epoch)
    ) {
      throw new CertificateError(
        'wrong_subject',
        `the result of ${content.party} is about another key, keyring or epoch: take the one about this key`,
      );
    }
    if (content.result.kind !== 'key')
      throw new CertificateError(
        'wrong_subject',
        `${content.party} reports no key: there is no certificate without its key result`,
      );
    first ??= content.result;
    if (!sameKeyResult(first, content.result)) {
      throw new CertificateError(
        'unequal',
        `${content.party} reports another key than the first result: do not use this key`,
      );
    }
    seen.add(content.party);
  }
  const missing = parties.filter((party) => !seen.has(party));
  if (first === undefined || missing.length > 0) {
    throw new CertificateError(
      'incomplete',
      `no result of ${missing.join(', ')}: all parties must confirm the key`,
    );
  }
  checkKeyResult(first, keyring);
  return first;
}
