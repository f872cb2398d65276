// Making a bundle: of the frames that were kept, the fewest that prove the fault, and beside them what a replay needs. What
// does not verify is not made: a bundle that convinces nobody else is none.
import { toHex } from '../../../protocol/hex.ts';
import type { Authorisation, Evidence, KeyEntry } from '../../../protocol/authorize.ts';
import { envelopeId } from '../../../protocol/records/envelope.ts';
import { type Keyring, partyIndex } from '../../../protocol/records/keyring-roster.ts';
import { isShareValid, splitShares } from '../../mpc/frost/shares.ts';
import { openMessage, MessageKind } from '../../mpc/rounds.ts';
import { attemptIdOf } from '../attempt.ts';
import type { Frame } from '../wire.ts';
import { type BlameBundle, bundleId, encodeBundle, type FaultCode, frameText } from './bundle.ts';
import { BlameError } from './error.ts';
import type { AttemptRecord } from './record.ts';
import { commitmentsOf, publicKeyOf } from './replay-signing.ts';
import { verifyBundle } from './verify.ts';

/** What the accusing party knows of the request that the attempt was about. */
export interface BlameContext {
  readonly networkId: string;
  readonly keyring: Keyring;
  readonly authorisation: Authorisation;
  /** The keys of a sign request, as its evidence proves them. */
  readonly keys: Evidence['keys'];
}

export interface MadeBundle {
  readonly bundle: BlameBundle;
  /** Canonical: what a file holds. */
  readonly bytes: Uint8Array;
  readonly id: string;
}

function signingOf(context: BlameContext, item: number): BlameBundle['signing'] {
  const { authorisation, keys, networkId } = context;
  const { key, payload } = authorisation.items[item]!;
  const entryOf = (id: string): KeyEntry | undefined => {
    const entry = keys.find(({ request }) => envelopeId(request, networkId) === id);
    if (entry === undefined) return undefined;
    // Whoever passed the evidence on may have repeated results in it.
    const certificate = [...new Map(entry.certificate.map((result) => [result.bytes, result])).values()];
    return { request: entry.request, certificate };
  };
  const entry = entryOf(key.id);
  const parent = key.origin && entryOf(key.origin.parent);
  if (entry === undefined || (key.origin && parent === undefined)) return undefined;
  const { message, tweak } = payload;
  return {
    item,
    message: toHex(message),
    ...(tweak && { tweak: toHex(tweak) }),
    key: entry,
    ...(parent && { parent }),
  };
}

/** The first item whose share in a body is wrong; 0 when none is. */
function wrongItem(context: BlameContext, record: AttemptRecord, culprit: string, frame: Frame): number {
  const { keyring, authorisation, networkId } = context;
  const { started } = record;
  if (started === undefined || frame.type !== 'round') return 0;
  const signer = partyIndex(keyring.roster, culprit);
  const opened = openMessage([MessageKind.frostShare], started.sid, signer, frame.content.message);
  const keys = new Map<string, ReturnType<typeof publicKeyOf>>();
  const keyOf = (item: number) => {
    const { key: of, payload } = authorisation.items[item]!;
    const name = payload.tweak === undefined ? of.id : `${of.id} ${toHex(payload.tweak)}`;
    const key = keys.get(name) ?? publicKeyOf(signingOf(context, item)!, keyring, networkId);
    keys.set(name, key);
    return key;
  };
  const groups = authorisation.items.map((_, item) => keyOf(item).suite.group);
  const shares = splitShares(groups, opened?.body ?? new Uint8Array());
  const wrong = authorisation.items.findIndex(({ payload: { message } }, item) => {
    const commitments = commitmentsOf(started, keyring, item);
    return !isShareValid(keyOf(item), commitments, message, signer, shares[item]!);
  });
  return Math.max(wrong, 0);
}

/**
 * The bundle that proves `code` against `culprit` from what a record holds; undefined when that does not prove it.
 * Throws nothing for anything that peers may have sent.
 */
export function makeBlame(
  context: BlameContext,
  record: AttemptRecord,
  code: FaultCode,
  culprit: string,
): MadeBundle | undefined {
  for (const frames of record.proofs(culprit, code)) {
    const made = tryFrames(context, record, code, culprit, frames);
    if (made !== undefined) return made;
  }
  return undefined;
}

/** The bundle of these very frames, if it proves it. */
export function tryFrames(
  context: BlameContext,
  record: AttemptRecord,
  code: FaultCode,
  culprit: string,
  frames: readonly Frame[],
): MadeBundle | undefined {
  const { networkId, keyring, authorisation } = context;
  const { requestId, request } = authorisation;
  const inRounds = frames.at(-1)?.type === 'round';
  const isStart = frames.length === 1 && frames[0]?.type === 'start';
  const isSign = request.kind !== 'key';
  const needsKey = isSign && (inRounds || (isStart && code === 'malformed_point'));
  try {
    const item =
      needsKey && code === 'invalid_share' ? wrongItem(context, record, culprit, frames.at(-1)!) : 0;
    const signing = needsKey ? signingOf(context, item) : undefined;
    const bundle: BlameBundle = {
      type: 'countersign.blame',
      version: 1,
      networkId,
      roster: keyring.envelope,
      accused: culprit,
      code,
      requestId,
      attemptId: attemptIdOf(record.proposed.content, networkId),
      frames: frames.map((frame) => frameText(frame.bytes)),
      ...(request.kind === 'key' && inRounds && { generating: { keyType: request.keyType } }),
      ...(signing && { signing }),
    };
    const bytes = encodeBundle(bundle);
    const id = bundleId(bytes);
    verifyBundle(bundle, id, { keyringId: keyring.id });
    return { bundle, bytes, id };
  } catch (error) {
    if (error instanceof BlameError) return undefined;
    throw error;
  }
}
