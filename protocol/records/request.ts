// `request`: an owner asks for a new key, or for signatures by keys of the workspace. Signed by the initiator; the
// record's id is the request's, and a new key's, id.
import * as z from 'zod';
import { derivationPathSchema } from '../keys/derivation.ts';
import type { Hex } from '../hex.ts';
import { keyTypeSchema } from '../keys/key-type.ts';
import { payloadSchema } from '../payloads/payload.ts';
import { policySchema } from '../policy/schema.ts';
import { shownItems } from '../payloads/shown.ts';
import { shortened } from './about.ts';
import type { ShownType } from './envelope.ts';
import { type Readable, readablePolicy } from './readable.ts';
import {
  labelSchema,
  logHeadSchema,
  nameSchema,
  networkIdSchema,
  nonceSchema,
  recordIdSchema,
  timestampSchema,
} from './fields.ts';

const base = {
  networkId: networkIdSchema,
  workspaceId: recordIdSchema,
  /** Name of the owner who asks. */
  initiator: nameSchema,
  /** The workspace's log as the initiator knew it: another policy than the one meant here makes the request void. */
  logHead: logHeadSchema,
  /** Of a request in a child workspace: its parent's log as the initiator knew it. */
  parentHead: logHeadSchema.exactOptional(),
  created: timestampSchema,
  expires: timestampSchema,
  nonce: nonceSchema,
};

const keyRequestSchema = z.strictObject({
  ...base,
  kind: z.literal('key'),
  keyringId: recordIdSchema,
  keyType: keyTypeSchema,
  label: labelSchema,
  /** A derived key: the id of the generated key it is derived from, and how. Both or neither. */
  parent: recordIdSchema.exactOptional(),
  path: derivationPathSchema.exactOptional(),
  /** The sign policy of this key alone, until the workspace's log gives it another. */
  policy: policySchema.exactOptional(),
});

const signRequestSchema = z.strictObject({
  ...base,
  kind: z.literal('sign'),
  /** Signed all or none; all keys are of one type and one keyring. */
  items: z
    .array(z.strictObject({ keyId: recordIdSchema, payload: payloadSchema }))
    .min(1)
    .max(50),
});

const schema = z
  .discriminatedUnion('kind', [keyRequestSchema, signRequestSchema])
  .refine((request) => request.created < request.expires, 'expires is not after created')
  .refine(
    (request) => request.kind !== 'key' || (request.parent === undefined) === (request.path === undefined),
    'a derived key has both a parent and a path',
  );

export type KeyRequest = z.infer<typeof keyRequestSchema>;
export type SignRequest = z.infer<typeof signRequestSchema>;
export type Request = KeyRequest | SignRequest;

/** Where a derived key comes from. */
export interface Origin {
  /** Id of the generated key. */
  readonly parent: Hex;
  readonly path: string;
}

/** Where the key that is asked for comes from; undefined when it is to be generated. */
export function originOf(content: Request): Origin | undefined {
  if (content.kind !== 'key' || content.parent === undefined || content.path === undefined) return undefined;
  return { parent: content.parent, path: content.path };
}

/** Of what a request's items do; what does not fit is counted and hashed. */
const mostShown = { lines: 140, length: 220, characters: 18 * 1024 } as const;

/** What is asked for: of a payload what its bytes say it does. Of a key its own policy too: whoever adds one decides who can use
 * the key. */
function askedFor(content: Request): Readable {
  if (content.kind === 'sign') {
    const { length } = content.items;
    return {
      action: `Ask for ${length} signature${length === 1 ? '' : 's'}`,
      items: shortened(shownItems(content.items), mostShown),
    };
  }
  const origin = originOf(content);
  return {
    action: `Ask for a new key of type ${content.keyType}`,
    label: content.label,
    keyring: content.keyringId,
    ...(origin && { derived: `${origin.path} from key ${origin.parent}` }),
    ...(content.policy && { policy: readablePolicy(content.policy) }),
  };
}

export const request: ShownType<Request> = {
  type: 'request',
  schema,
  // The initiator signs: which credentials are the initiator's, the workspace's log tells (authorize.ts).
  signers: () => [],
  readable: (content) => {
    const { action, ...asked } = askedFor(content);
    const { workspaceId, initiator, expires } = content;
    return { action: action!, workspace: workspaceId, initiator, ...asked, until: expires };
  },
};
