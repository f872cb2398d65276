// The connector's configuration, and the grant by which its party allows it to act.
import { readFile } from 'node:fs/promises';
import { multiaddr } from '@multiformats/multiaddr';
import * as z from 'zod';
import { metricsSchema } from '../metrics/listen.ts';
import { type ConnectorGrant, connectorGrant } from '../protocol/records/connector-grant.ts';
import { type Envelope, envelopeSchema, verifyRecord } from '../protocol/records/envelope.ts';
import { type Credential, networkIdSchema, timeOf } from '../protocol/records/fields.ts';
import { ConnectorError } from './connector-error.ts';

const pathSchema = z.string().min(1).max(4096);

/**
 * A peer id of an ed25519 key, as every node has one: 38 bytes in base58btc, of which the first six are fixed. The
 * multiaddress itself takes any text in its place.
 */
const peerIdPattern = /^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/;

function isNodeAddress(text: string): boolean {
  try {
    const last = multiaddr(text).getComponents().at(-1);
    return last?.name === 'p2p' && peerIdPattern.test(last.value ?? '');
  } catch {
    return false;
  }
}

export const connectorConfigSchema = z.strictObject({
  networkId: networkIdSchema,
  /** Folder of the connector's cursors, lock and ready.json. */
  dir: pathSchema,
  /** The coordinator's address. */
  coordinator: z.url({
    protocol: /^https?$/,
    error: 'expected an address like https://coordinator.example:7000',
  }),
  /** The node's address with its peer id, so that nobody else can be taken for it. */
  node: z
    .string()
    .max(300)
    .refine(
      isNodeAddress,
      'expected a multiaddress that ends with the peer id, as node init prints it: /ip4/10.0.0.5/tcp/4151/p2p/12D3KooW...',
    ),
  /** File of the connector.grant that the node made for this connector's key. */
  grant: pathSchema,
  /** File of the connector's own sealed identity. */
  key: pathSchema,
  /** Where Prometheus may read this connector's metrics; none are kept without it. */
  metrics: metricsSchema.optional(),
});
export type ConnectorConfig = z.infer<typeof connectorConfigSchema>;

/**
 * A configuration of unknown form; `source` names it in the error.
 *
 * @throws {ConnectorError} `bad_config`, in one line
 */
export function parseConnectorConfig(value: unknown, source: string): ConnectorConfig {
  const parsed = connectorConfigSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => {
    const path = issue.path.map(String).join('.');
    return path === '' ? issue.message : `${path}: ${issue.message}`;
  });
  throw new ConnectorError('bad_config', `${source}: ${problems.join('; ')}`);
}

export interface OpenedGrant {
  readonly envelope: Envelope;
  readonly content: ConnectorGrant;
}

const remedy = 'let the node make a new one: countersign node allow-connector';
/** Far more than a grant needs. */
const maxGrantBytes = 64 * 1024;

/**
 * Reads and checks the grant for the connector whose key is `credential`. `now` in milliseconds since 1970.
 *
 * @throws {ConnectorError} `bad_grant`
 */
export async function openGrant(
  path: string,
  credential: Credential,
  networkId: string,
  now: number,
): Promise<OpenedGrant> {
  const fail = (what: string, cause?: unknown): never => {
    throw new ConnectorError('bad_grant', `${path}: ${what}: ${remedy}`, cause);
  };
  let text = '';
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    if (code === 'EACCES')
      throw new ConnectorError(
        'bad_grant',
        `${path}: this user may not read it: check owner and mode`,
        error,
      );
    fail(code === 'ENOENT' ? 'there is no grant' : `the grant cannot be read (${code})`, error);
  }
  if (text.length > maxGrantBytes) fail('too large to be a grant');
  try {
    const envelope = envelopeSchema.parse(JSON.parse(text));
    const { content } = verifyRecord(connectorGrant, envelope, networkId);
    if (content.connector !== credential) {
      fail(`the grant is for connector ${content.connector}, this connector's key is ${credential}`);
    }
    if (timeOf(content.expires) <= now) fail(`the grant ended at ${content.expires}`);
    return { envelope, content };
  } catch (error) {
    if (error instanceof ConnectorError) throw error;
    return fail(
      error instanceof z.ZodError || error instanceof SyntaxError ? 'not a record' : String(error),
      error,
    );
  }
}
