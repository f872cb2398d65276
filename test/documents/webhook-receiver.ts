// The receiver of docs/webhooks.md: what the document shows is cut from here, and this is run by a test.
import { type Client, type Hex, type VerifiedKey, verifySignatures } from '../../client/mod.ts';
// #region receiver
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { verifyWebhook, WebhookError, type WebhookMessage } from '../../client/mod.ts';

/** The body as it came, byte for byte; undefined when it is longer than any message. */
async function bodyOf(request: IncomingMessage): Promise<Uint8Array | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > 16_384) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** `secret`: `whsec_...`, both while it is exchanged. `take` stores what is to be done; it is called once a message. */
export function receiver(
  secret: string | string[],
  take: (message: WebhookMessage) => Promise<void>,
): Server {
  const taken = new Set<string>(); // keep it where it outlives a restart
  const answer = async (request: IncomingMessage): Promise<number> => {
    const body = await bodyOf(request);
    if (body === undefined) return 413;
    try {
      const message = verifyWebhook({ secret, headers: request.headers, body });
      if (taken.has(message.id)) return 204; // the coordinator did not hear our last answer
      await take(message);
      taken.add(message.id);
      return 204;
    } catch (error) {
      return error instanceof WebhookError ? 400 : 500; // after 500 it comes again
    }
  };
  return createServer((request, response) => {
    answer(request).then(
      (status) => response.writeHead(status).end(),
      () => response.destroy(),
    );
  });
}
// #endregion

/** Told of a message, reads what it is about and verifies it; the signature of a fulfilled request, else undefined. */
export async function look(
  message: WebhookMessage,
  client: Client,
  trusted: { readonly networkId: string; readonly keys: readonly VerifiedKey[] },
): Promise<Hex | undefined> {
  const { networkId, keys } = trusted;
  // #region take
  if (message.type !== 'request.fulfilled' || message.data.kind !== 'sign') return undefined;
  const view = await client.call('sign_get', { requestId: message.data.requestId! });
  const [first] = verifySignatures(view, keys, { networkId, requestId: message.data.requestId! });
  return first?.signature; // proven: it does not matter who told us
  // #endregion
}
