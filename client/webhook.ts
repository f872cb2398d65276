// For receivers of a coordinator's webhooks: whether a message is of whoever holds the secret, unaltered and sent just now.
// A webhook authorises nothing: what it tells of is read from the coordinator, and verified, before anybody relies on it.
import { utf8ToBytes } from '@noble/hashes/utils.js';
import * as z from 'zod';
import { recordIdSchema, timestampSchema } from '../protocol/records/fields.ts';
import {
  readWebhookSecret,
  WebhookError,
  webhookHeaders,
  webhookSignature,
  type WebhookType,
} from '../protocol/webhook.ts';

/** How far the clocks of sender and receiver may be apart, both ways, in seconds. */
export const webhookTolerance = 300;

/** Loose: a later coordinator may say more, and tell of more. */
const messageSchema = z.object({
  type: z.string().min(1).max(100),
  /** When it happened. */
  timestamp: timestampSchema,
  data: z.looseObject({
    workspaceId: recordIdSchema,
    requestId: recordIdSchema.optional(),
    /** Of a change of the workspace, instead. */
    changeId: recordIdSchema.optional(),
    kind: z.string().optional(),
    state: z.string().optional(),
    /** Code of a rejection. */
    reason: z.string().optional(),
  }),
});

export interface WebhookMessage {
  /** The same whenever the same event is sent again: drop those that you have seen. */
  readonly id: string;
  /** Further types may come with later versions: ignore those that you do not know. */
  readonly type: WebhookType | (string & {});
  /** When it happened: RFC 3339, UTC. */
  readonly timestamp: string;
  readonly data: z.output<typeof messageSchema>['data'];
}

export interface ReceivedWebhook {
  /** `whsec_...`; several while the secret is being exchanged. */
  readonly secret: string | readonly string[];
  readonly headers: Headers | Readonly<Record<string, string | readonly string[] | undefined>>;
  /** As it arrived, byte for byte: JSON that was parsed and written again does not verify. */
  readonly body: Uint8Array | string;
  /** The receiver's clock, in milliseconds since 1970. */
  readonly now?: number;
}

/** A header that must be there once. */
function header(headers: ReceivedWebhook['headers'], name: string): string {
  const values =
    headers instanceof Headers
      ? [headers.get(name) ?? undefined]
      : Object.entries(headers).flatMap(([key, value]) => (key.toLowerCase() === name ? [value] : []));
  const [value, ...more] = values.flat();
  if (value === undefined || value === '' || more.length > 0) {
    throw new WebhookError('bad_header', `the header ${name} is not there once: this is no webhook`);
  }
  return value;
}

/** Takes as long whatever it compares; lengths are no secret. */
function equal(one: string, other: string): boolean {
  if (one.length !== other.length) return false;
  let difference = 0;
  for (let index = 0; index < one.length; index += 1)
    difference |= one.charCodeAt(index) ^ other.charCodeAt(index);
  return difference === 0;
}

function checkTime(timestamp: number, now: number): void {
  const age = Math.floor(now / 1000) - timestamp;
  const advice = 'refuse it, and compare the clocks if it happens often';
  // Also when a caller's clock is no number.
  if (!(age <= webhookTolerance)) {
    throw new WebhookError('too_old', `sent ${age} seconds ago, more than ${webhookTolerance}: ${advice}`);
  }
  if (-age > webhookTolerance) {
    throw new WebhookError(
      'too_new',
      `sent ${-age} seconds in the future, more than ${webhookTolerance}: ${advice}`,
    );
  }
}

/**
 * The message in an HTTP request, if the secret's holder sent it less than five minutes ago. Throws WebhookError:
 * `bad_secret`, `bad_header`, `too_old`, `too_new`, `bad_signature` or `malformed`; answer such a request with 400.
 */
export function verifyWebhook({ secret, headers, body, now = Date.now() }: ReceivedWebhook): WebhookMessage {
  const secrets = [secret].flat().map((text) => readWebhookSecret(text));
  const id = header(headers, webhookHeaders.id);
  const timestamp = header(headers, webhookHeaders.timestamp);
  const given = header(headers, webhookHeaders.signature).split(' ');
  if (!/^[1-9][0-9]{0,11}$/.test(timestamp)) {
    throw new WebhookError('bad_header', `${webhookHeaders.timestamp} holds no seconds since 1970`);
  }
  checkTime(Number(timestamp), now);
  const bytes = typeof body === 'string' ? utf8ToBytes(body) : body;
  const expected = secrets.map((bytesOfSecret) =>
    webhookSignature(bytesOfSecret, id, Number(timestamp), bytes),
  );
  // All are compared, so that the time does not tell which one it was.
  const matches = given.flatMap((signature) => expected.map((own) => equal(own, signature)));
  if (!matches.includes(true)) {
    throw new WebhookError(
      'bad_signature',
      'no signature is of this message by this secret: refuse it, and compare the secrets if it happens often',
    );
  }
  return { id, ...readMessage(bytes) };
}

function readMessage(bytes: Uint8Array): Omit<WebhookMessage, 'id'> {
  const malformed = (what: string): WebhookError =>
    new WebhookError('malformed', `signed, but ${what}: a message of something else, or of a later version`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw malformed('no JSON');
  }
  const parsed = messageSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw malformed(`${issue?.path.join('.') || 'the message'} is not as it should be`);
  }
  return parsed.data;
}
