// The coordinator's configuration: a closed schema, with defaults that are safe to run with.
import { isIP } from 'node:net';
import * as z from 'zod';
import { metricsSchema } from '../metrics/listen.ts';
import { credentialSchema, networkIdSchema } from '../protocol/records/fields.ts';
import { corsSchema } from './rpc/cors.ts';
import { limitsSchema, timeoutsSchema } from './rpc/limits.ts';
import { defaultEventsPerStream } from './retention.ts';
import { webhookSchema, webhooksSchema } from './webhooks/config.ts';

const listenSchema = z.strictObject({
  host: z
    .string()
    .refine((host) => host === 'localhost' || isIP(host) !== 0, 'expected localhost or an IP address')
    .default('127.0.0.1'),
  /** 0: the port of the last run, or a free one. */
  port: z.int().min(0).max(65_535),
});

const allowlistSchema = z.strictObject({ allowlist: z.array(credentialSchema).max(10_000) });

/**
 * How much history is kept. Readers of a stream that fell further behind start again from a snapshot (`cursor_too_old`),
 * which holds everything that is still open: nothing is lost. Only records are kept for ever.
 */
const retentionSchema = z.strictObject({
  /**
   * Events of each stream. Not fewer than 50: what happens while a snapshot's pages are read must still be there when it
   * is complete, or a reader would start again and again.
   */
  eventsPerStream: z.int().min(50).max(10_000_000).default(defaultEventsPerStream),
});

const schema = z.strictObject({
  networkId: networkIdSchema,
  /** Folder of the coordinator's data. */
  dir: z.string().min(1),
  listen: listenSchema,
  /** Who may register keyrings and workspaces: anybody, or who signs with one of these credentials. */
  create: z.union([z.literal('open'), allowlistSchema]).default({ allowlist: [] }),
  /** Web pages that may call. */
  cors: corsSchema.prefault({}),
  limits: limitsSchema.prefault({}),
  timeouts: timeoutsSchema.prefault({}),
  retention: retentionSchema.prefault({}),
  /** Where Prometheus may read this coordinator's metrics; none are kept without it. */
  metrics: metricsSchema.optional(),
  /** Who is told of requests that await approvers, become pending, or end. */
  webhooks: webhooksSchema.optional(),
});
/** For tests that hold the documentation to it. */
export { schema as coordinatorConfigSchema };
export type CoordinatorConfig = z.output<typeof schema>;
/** What a configuration file may leave out. */
export type CoordinatorConfigInput = z.input<typeof schema>;

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code: 'unknown_key' | 'invalid';
  /** Where in the configuration, like `listen.port`. */
  readonly path: string;
  constructor(code: ConfigError['code'], path: string, message: string) {
    super(message);
    this.code = code;
    this.path = path;
  }
}

/** Keys that each part of the configuration may have. */
const allowedKeys: Readonly<Record<string, readonly string[]>> = {
  '': Object.keys(schema.shape),
  listen: Object.keys(listenSchema.shape),
  create: Object.keys(allowlistSchema.shape),
  cors: Object.keys(corsSchema.shape),
  limits: Object.keys(limitsSchema.shape),
  timeouts: Object.keys(timeoutsSchema.shape),
  retention: Object.keys(retentionSchema.shape),
  metrics: Object.keys(metricsSchema.shape),
  webhooks: Object.keys(webhookSchema.shape),
  'limits.addressRate': ['requests', 'perSeconds'],
  'limits.credentialRate': ['requests', 'perSeconds'],
};

/** The issue that says most: of a union's branches, an unknown key, or what is wrong inside. */
function innermost(
  issue: z.core.$ZodIssue,
  path: readonly PropertyKey[],
): { issue: z.core.$ZodIssue; path: string } {
  if (issue.code === 'invalid_union') {
    const issues = issue.errors.flat();
    const inner =
      issues.find(({ code }) => code === 'unrecognized_keys') ?? issues.find(({ path: at }) => at.length > 0);
    if (inner) return innermost(inner, [...path, ...inner.path]);
  }
  return { issue, path: path.map(String).join('.') };
}

/**
 * A configuration with its defaults filled in. Throws ConfigError with one line that names the key, what is wrong with
 * it, and for an unknown key those that are allowed.
 */
export function parseCoordinatorConfig(value: unknown): CoordinatorConfig {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const first =
    parsed.error.issues.find(({ code }) => code === 'unrecognized_keys') ?? parsed.error.issues[0]!;
  const { issue, path } = innermost(first, first.path);
  const where = path === '' ? 'configuration' : `configuration, ${path}`;
  if (issue.code === 'unrecognized_keys') {
    const unknown = issue.keys.map((key) => JSON.stringify(key)).join(', ');
    // Of an element of a list: those of any element.
    const allowed = allowedKeys[path.replaceAll(/\.[0-9]+/g, '')]?.join(', ') ?? 'none';
    throw new ConfigError('unknown_key', path, `${where}: unknown key ${unknown}; allowed are: ${allowed}`);
  }
  const message =
    issue.code === 'invalid_union' ? 'expected "open" or { allowlist: [credentials] }' : issue.message;
  throw new ConfigError('invalid', path, `${where}: ${message}`.replaceAll('\n', ' '));
}
