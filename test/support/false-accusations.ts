// What an enemy with every message there is would put into blame bundles, and that it is refused.
import assert from 'node:assert/strict';
import { encode } from 'cborg';
import { toHex } from '../../protocol/hex.ts';
import { encodeCanonical } from '../../protocol/records/canonical.ts';
import { attemptIdOf } from '../../node/sessions/attempt.ts';
import { type BlameBundle, type FaultCode, frameText } from '../../node/sessions/blame/bundle.ts';
import { BlameError, type BlameErrorCode } from '../../node/sessions/blame/error.ts';
import { verifyBlame } from '../../node/sessions/blame/verify.ts';
import { decodeFrame, type Frame, type FrameOf, type MessageType } from '../../node/sessions/wire.ts';
import { networkId } from './fixture.ts';
import type { KeyedNetwork } from './session-attacker.ts';
import { framesSent } from './session-attacker.ts';

/** The bundle that an enemy would make of these frames. */
export function accusing(
  net: KeyedNetwork,
  accused: string,
  code: FaultCode,
  frames: readonly Uint8Array[],
  changes: Partial<BlameBundle> = {},
  item = 0,
): BlameBundle {
  const first = decodeFrame(frames[0]!);
  const propose = first.type === 'start' ? decodeFrame(first.content.propose) : first;
  assert(propose.type === 'propose');
  const { message, tweak } = net.decoded[item]!;
  const inRounds = frames.length > 1 && decodeFrame(frames[1]!).type === 'round';
  const isKey = propose.content.purpose === 'generate';
  return {
    type: 'countersign.blame',
    version: 1,
    networkId,
    roster: net.world.keyring.envelope,
    accused,
    code,
    requestId: propose.content.requestId,
    attemptId: attemptIdOf(propose.content, networkId),
    frames: frames.map(frameText),
    ...(inRounds && isKey && { generating: { keyType: 'ed25519' } }),
    ...((inRounds || code === 'malformed_point') &&
      !isKey && {
        signing: {
          item,
          message: toHex(message),
          ...(tweak && { tweak: toHex(tweak) }),
          key: { request: net.entry.request, certificate: [...net.entry.certificate] },
          ...(net.parent && { parent: net.parent }),
        },
      }),
    ...changes,
  };
}

export function refused(bundle: BlameBundle, code: BlameErrorCode, words?: RegExp): void {
  assert.throws(
    () => verifyBlame(encodeCanonical(bundle)),
    (error: unknown) => {
      assert.ok(error instanceof BlameError, String(error));
      assert.equal(error.code, code, error.message);
      if (words) assert.match(error.message, words);
      return true;
    },
  );
}

/**
 * The frames prove no fault of their honest signer, whatever is claimed: the claim is only compared with what a replay has
 * found, so one claim stands for all others; `malformed_point` is the one that brings a key to a START.
 */
export function neverBlamed(net: KeyedNetwork, accused: string, frames: readonly Uint8Array[]): void {
  for (const code of ['invalid_share', 'malformed_point'] as const)
    assert.throws(
      () => verifyBlame(encodeCanonical(accusing(net, accused, code, frames))),
      (error: unknown) => {
        assert.ok(error instanceof BlameError, String(error));
        assert.doesNotMatch(error.message, /it proves the fault/);
        return true;
      },
    );
}

/** What left a party, each message once. */
export function sentBy<Type extends MessageType>(
  net: KeyedNetwork,
  party: string,
  type: Type,
): FrameOf<Type>[] {
  const frames = framesSent(net, party, type).map(({ frame }) => frame);
  return [...new Map(frames.map((frame) => [frame.body.join(), frame])).values()];
}

export const bytesOf = (frame: Frame | undefined): Uint8Array => {
  assert(frame);
  return frame.bytes;
};

/** Another spelling of the same signed frame: its fields in another order. */
export function respelt(frame: Frame): Uint8Array {
  const parts = new Map<string, unknown>([
    ['s', frame.signature],
    ['b', frame.body],
    ['t', frame.type],
  ]);
  const bytes = encode(parts, { mapSorter: () => 0 });
  assert.notDeepEqual(bytes, frame.bytes);
  assert.deepEqual(decodeFrame(bytes).body, frame.body);
  return bytes;
}
