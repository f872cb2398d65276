// The highest boot counter that each peer has ever shown, and which start that was. A peer that shows a lower one, or the
// same for another start, was restored from an old backup: no folder gives one number to two starts.
import * as z from 'zod';
import { hexBytes } from '../../protocol/hex.ts';
import { ed25519CredentialSchema } from '../../protocol/records/fields.ts';
import type { Kind } from './journal.ts';

export interface PeerBoot {
  readonly counter: number;
  /** The start's random id, 16 bytes in hex; absent in what was written before ids were remembered. */
  readonly bootId?: string | undefined;
}

export const peerBootKind: Kind<{ party: string; highest: number; bootId?: string | undefined }> = {
  name: 'peer-boot',
  schema: z.strictObject({
    party: ed25519CredentialSchema,
    highest: z.int().min(0),
    bootId: hexBytes(16).optional(),
  }),
};

/** Whether a peer that shows `now` runs on an older copy of its folder than the one it had. */
export function wentBack(now: PeerBoot, highest: PeerBoot): boolean {
  if (now.counter !== highest.counter) return now.counter < highest.counter;
  return now.bootId !== undefined && highest.bootId !== undefined && now.bootId !== highest.bootId;
}
