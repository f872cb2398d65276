// The part `webhooks` of a coordinator's configuration. Only its operator can name a receiver: no owner, no caller.
import * as z from 'zod';
import { recordIdSchema } from '../../protocol/records/fields.ts';
import { webhookTypes } from '../../protocol/webhook.ts';

export const maxWebhooks = 20;

const loopback = /^(localhost|\[::1\]|127(\.[0-9]{1,3}){3})$/;

/** What is wrong with a receiver's URL, without showing it: its path may hold a token. */
function complaint(text: string, insecure: boolean): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) return 'expected a URL like https://receiver.example/path';
  if (url.username !== '' || url.password !== '') return 'expected a URL without user and password';
  if (url.hash !== '') return 'expected a URL without a fragment';
  if (url.protocol === 'https:') return undefined;
  if (url.protocol === 'http:' && insecure && loopback.test(url.hostname)) return undefined;
  return 'expected https: what is sent would be readable on the way (tests on this machine may set insecureLoopbackForTests)';
}

export const webhookSchema = z
  .strictObject({
    /** By which logs, metrics and the store know it: a new name starts anew. */
    name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'expected a name of 1 to 40 of a-z, 0-9 and -'),
    url: z.string().max(2000),
    /** Holds one secret, `whsec_...`, or two, a line each, while the receiver exchanges them. */
    secretFile: z.string().min(1),
    /** Workspaces that are told of; all without it. */
    workspaces: z.array(recordIdSchema).min(1).max(1000).optional(),
    /** What is told; everything without it. */
    events: z.array(z.enum(webhookTypes)).min(1).optional(),
    /** Allows http to this machine itself. */
    insecureLoopbackForTests: z.boolean().default(false),
  })
  .superRefine(({ url, insecureLoopbackForTests }, context) => {
    const message = complaint(url, insecureLoopbackForTests);
    if (message !== undefined) context.addIssue({ code: 'custom', path: ['url'], message });
  });
export type WebhookConfig = z.output<typeof webhookSchema>;

export const webhooksSchema = z
  .array(webhookSchema)
  .max(maxWebhooks)
  .superRefine((webhooks, context) => {
    const names = webhooks.map(({ name }) => name);
    const repeated = names.findIndex((name, index) => names.indexOf(name) !== index);
    if (repeated < 0) return;
    const message = `${names[repeated]} is the name of another one too`;
    context.addIssue({ code: 'custom', path: [repeated, 'name'], message });
  });
