// Webhooks as Standard Webhooks 1.0.0 has them (standardwebhooks.com): the secret's form, and what is signed. A message is
// signed by `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`, one signature for each secret, with spaces between.
// The secrets are shared between a coordinator's operator and a receiver: they prove who sent a message, and authorise nothing.
import { base64 } from '@scure/base';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';

/** What a coordinator tells of. */
export const webhookTypes = [
  'action.created', // a request or a change of the workspace awaits approvers
  'request.pending', // its policy is met: the parties may sign
  'request.fulfilled',
  'request.rejected',
  'change.fulfilled', // a change is in the workspace's log
  'change.rejected',
] as const;
export type WebhookType = (typeof webhookTypes)[number];

/** Names of the headers, in lower case. */
export const webhookHeaders = {
  id: 'webhook-id',
  timestamp: 'webhook-timestamp',
  signature: 'webhook-signature',
} as const;

export type WebhookErrorCode =
  | 'bad_secret' // no secret as Standard Webhooks has them
  | 'bad_header' // a header is missing, repeated or malformed
  | 'too_old' // sent longer ago than is tolerated: repeated by somebody, or a clock is wrong
  | 'too_new' // sent in the future: a clock is wrong
  | 'bad_signature' // not signed with the secret, or altered
  | 'malformed'; // signed, and not what a coordinator sends

export class WebhookError extends Error {
  override readonly name = 'WebhookError';
  readonly code: WebhookErrorCode;
  constructor(code: WebhookErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

const secretPrefix = 'whsec_';
const secretBytes = { min: 24, max: 64 } as const;

/** The bytes of a secret: `whsec_` and base64 of 24 to 64 bytes. Throws WebhookError `bad_secret`, which does not show it. */
export function readWebhookSecret(text: string): Uint8Array {
  const refuse = (what: string): WebhookError =>
    new WebhookError('bad_secret', `${what}: make one with \`echo whsec_$(openssl rand -base64 32)\``);
  if (!text.startsWith(secretPrefix)) throw refuse(`the secret does not begin with ${secretPrefix}`);
  let bytes: Uint8Array;
  try {
    bytes = base64.decode(text.slice(secretPrefix.length));
  } catch {
    throw refuse(`what follows ${secretPrefix} is no base64`);
  }
  if (bytes.length < secretBytes.min || bytes.length > secretBytes.max) {
    throw refuse(`the secret has ${bytes.length} bytes, not ${secretBytes.min} to ${secretBytes.max}`);
  }
  return bytes;
}

/**
 * The signature of a message, `v1,<base64>`. `id` holds no full stop, `timestamp` is whole seconds since 1970, `body` the
 * very bytes that are sent.
 */
export function webhookSignature(
  secret: Uint8Array,
  id: string,
  timestamp: number,
  body: Uint8Array,
): string {
  const signed = concatBytes(utf8ToBytes(`${id}.${timestamp}.`), body);
  return `v1,${base64.encode(hmac(sha256, secret, signed))}`;
}
