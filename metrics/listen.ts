// Where metrics are served: `host:port`, as it stands in the configurations of all processes.
import { isIP } from 'node:net';
import * as z from 'zod';

export interface MetricsAddress {
  /** An IP address. */
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

/** Reads `127.0.0.1:9464`, `localhost:9464` or `[::1]:9464`; undefined when it is none of these. */
export function parseMetricsAddress(text: string): MetricsAddress | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:[\]]*)):([0-9]{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  const host = plain === 'localhost' ? '127.0.0.1' : (bracketed ?? plain ?? '');
  if (isIP(host) !== (bracketed === undefined ? 4 : 6) || !(port <= 65_535)) return undefined;
  return { host, port };
}

/** The part `metrics` of a configuration; without it nothing is counted and nothing is served. */
export const metricsSchema = z.strictObject({
  /** Has no authentication: an address that only the operator's own monitoring reaches. */
  listen: z
    .string()
    .max(100)
    .refine(
      (text) => parseMetricsAddress(text) !== undefined,
      'expected an IP address or localhost, and a port, like 127.0.0.1:9464',
    ),
});
export type MetricsConfig = z.output<typeof metricsSchema>;
