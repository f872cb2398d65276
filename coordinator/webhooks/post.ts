// One POST to a receiver, and its status. Redirects are not followed, no proxy is taken from the environment, nothing of the
// answer is kept, and each attempt has a connection of its own, so that none outlives it.
import { request as requestPlain } from 'node:http';
import { request as requestSecure } from 'node:https';

export interface PostOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly signal: AbortSignal;
}

export interface Answer {
  readonly status: number;
  /** How long the receiver asks to be left alone, in milliseconds; 0 for no wish. */
  readonly waitMs: number;
}

/** Throws what the network throws, and when the signal aborts before there is a status. */
export type Post = (url: string, options: PostOptions) => Promise<Answer>;

/** Bytes of an answer's body that are read, so that the receiver can end it in peace. */
const maxBodyBytes = 4096;
const maxHeaderBytes = 16_384;

/** Of `retry-after`, if it is in seconds. */
function waitOf(value: string | undefined): number {
  return value !== undefined && /^[0-9]{1,6}$/.test(value) ? Number(value) * 1000 : 0;
}

export const post: Post = (url, { headers, body, signal }) =>
  new Promise((resolve, reject) => {
    const target = new URL(url);
    const send = target.protocol === 'https:' ? requestSecure : requestPlain;
    const outgoing = send(target, {
      method: 'POST',
      headers: { ...headers, 'content-length': String(body.length) },
      agent: false,
      maxHeaderSize: maxHeaderBytes,
      signal,
    });
    const gone = (): void => reject(new Error('the connection ended before there was an answer'));
    outgoing.on('close', gone);
    outgoing.on('response', (response) => {
      const answer = { status: response.statusCode ?? 0, waitMs: waitOf(response.headers['retry-after']) };
      // The status is what counts, however the body ends.
      outgoing.off('error', reject).off('close', gone);
      outgoing.on('error', () => undefined);
      response.on('error', () => undefined);
      response.on('close', () => resolve(answer));
      let read = 0;
      response.on('data', (chunk: Buffer) => {
        read += chunk.length;
        if (read > maxBodyBytes) outgoing.destroy();
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
