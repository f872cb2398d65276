// Which web pages may read answers (Fetch Standard, "CORS protocol"). Without it a browser keeps them from every page of
// another origin. Nothing here authorises: calls carry signatures, never cookies, so an allowed page can do what a program
// on its reader's machine could do, and no more.
import type { IncomingMessage, ServerResponse } from 'node:http';
import * as z from 'zod';
import { httpHeaders } from '../../protocol/signed-http.ts';

/** `https://app.example`, with a port where it is not the usual one: exactly as browsers send it. */
function isOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { origin, protocol, hostname } = new URL(text);
  // A host with a * in it is one to URL, and matches no page: whoever writes it means more than would be allowed.
  return /^https?:$/.test(protocol) && origin === text && !hostname.includes('*');
}

const originSchema = z
  .string()
  .refine(
    (text) => text === '*' || isOrigin(text),
    'expected an origin like https://app.example, without a path, or "*" for every page',
  );

export const corsSchema = z.strictObject({
  /** Pages that may call; `*`: every page, also on machines that only their reader can reach. */
  origins: z.array(originSchema).max(100).default([]),
});
export type CorsOptions = z.output<typeof corsSchema>;

const allowedHeaders = ['content-type', 'last-event-id', ...Object.values(httpHeaders)].join(', ');
/** Seconds for which a browser need not ask again. */
const maxAge = 600;

/**
 * Writes the headers of the CORS protocol for a request that names its origin; whoever answers then adds to them. True when
 * the request was a preflight from an allowed origin, which is to be answered with them alone.
 */
export function allowOrigin(
  { origins }: CorsOptions,
  request: IncomingMessage,
  response: ServerResponse,
): boolean {
  if (origins.length === 0) return false;
  // Caches must not give one origin's answer to another.
  response.setHeader('vary', 'origin');
  const { origin } = request.headers;
  if (origin === undefined || !(origins.includes('*') || origins.includes(origin))) return false;
  response.setHeader('access-control-allow-origin', origin);
  response.setHeader('access-control-expose-headers', 'retry-after');
  if (request.method !== 'OPTIONS' || request.headers['access-control-request-method'] === undefined)
    return false;
  response.setHeader('access-control-allow-methods', 'GET, POST');
  response.setHeader('access-control-allow-headers', allowedHeaders);
  response.setHeader('access-control-max-age', String(maxAge));
  return true;
}
