// Errors of HTTP requests that never became calls: the body is a JSON-RPC error object all the same.
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply } from 'fastify';
import { httpStatusOf, RpcError } from './error.ts';
import { errorResponse, type Log, toRpcError } from './json-rpc.ts';

/** An answer to an HTTP request that carried no call, or whose calls are not looked at. */
export async function refuse(
  reply: FastifyReply,
  error: RpcError,
  status = httpStatusOf[error.name],
): Promise<void> {
  // What is left of a body that is too large is not waited for.
  if (error.name === 'too_large' && !reply.request.raw.complete) reply.header('connection', 'close');
  if (error.retryAfterMs !== undefined)
    reply.header('retry-after', String(Math.ceil(error.retryAfterMs / 1000)));
  await reply
    .code(status)
    .type('application/json')
    .send(JSON.stringify(errorResponse(error)));
}

/** A request that expects what this server does not do: HTTP has no other header than this one for it. */
export function onExpectation(_request: IncomingMessage, response: ServerResponse): void {
  const error = new RpcError('invalid_request', 'the header Expect asks for the unknown', 'leave it out');
  response.writeHead(417, { 'content-type': 'application/json', connection: 'close' });
  response.end(JSON.stringify(errorResponse(error)));
}

/**
 * Bytes that are not HTTP, or too slow, or too many headers. `answering`: an earlier request of the same connection still
 * has its answer to come, and this one would be taken for it.
 */
export function onClientError(
  error: Error & { readonly code?: string },
  socket: Socket,
  answering: boolean,
): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  if (socket.writable && !answering) {
    const late = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
    const status = late ? 408 : error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400;
    const detail = late
      ? 'the request did not arrive in time'
      : `this is not an HTTP request: ${STATUS_CODES[status]}`;
    const remedy = 'send JSON-RPC 2.0 by HTTP POST';
    const body = JSON.stringify(errorResponse(new RpcError('invalid_request', detail, remedy)));
    const head = [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      'content-type: application/json',
      `content-length: ${body.length}`,
      'connection: close',
    ];
    socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
  }
  socket.destroy();
}

/** What fastify found wrong with a request, or a fault of ours. */
export function httpError(
  error: Error & { readonly code?: string; readonly statusCode?: number },
  bodyBytes: number,
  log: Log,
) {
  const status = error.statusCode ?? 500;
  if (error instanceof RpcError) return { error, status: httpStatusOf[error.name] };
  if (status === 413) {
    const detail = `the body is larger than ${bodyBytes} bytes`;
    return { error: new RpcError('too_large', detail, 'split the batch, or send fewer items'), status };
  }
  if (status === 415) {
    const remedy = 'send JSON with the header content-type: application/json';
    return { error: new RpcError('invalid_request', 'the body is not application/json', remedy), status };
  }
  if (status >= 400 && status < 500) {
    const detail = `not a request that can be answered: ${STATUS_CODES[status] ?? status}`;
    return {
      error: new RpcError('invalid_request', detail, 'send JSON-RPC 2.0 by HTTP POST to /v1/rpc'),
      status,
    };
  }
  return { error: toRpcError(error, 'http', log), status: 500 };
}
