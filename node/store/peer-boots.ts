// The highest boot counter that each peer has ever shown: one that shows a lower one was restored from an old backup.
import * as z from 'zod';
import { credentialSchema } from '../../protocol/records/fields.ts';
import type { Kind } from './journal.ts';

export const peerBootKind: Kind<{ party: string; highest: number }> = {
  name: 'peer-boot',
  schema: z.strictObject({ party: credentialSchema, highest: z.int().min(0) }),
};
