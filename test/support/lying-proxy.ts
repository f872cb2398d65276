// A coordinator that lies: passes calls on to an honest one, and changes what it answers.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Json } from './cli-run.ts';

export type Lie = (method: string, result: Json) => unknown;

export interface LyingProxy {
  readonly url: string;
  /** Undefined: passes answers on as they are. */
  lie: Lie | undefined;
  /** Methods that were called. */
  readonly calls: string[];
  stop(): Promise<void>;
}

export async function startLyingProxy(target: () => string): Promise<LyingProxy> {
  const server: Server = createServer((request, response) => {
    const answer = async (): Promise<void> => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const body = Buffer.concat(chunks);
      const { method } = JSON.parse(body.toString()) as { method: string };
      proxy.calls.push(method);
      const headers = Object.entries(request.headers).flatMap(([name, value]) =>
        typeof value === 'string' && !['host', 'connection', 'content-length'].includes(name)
          ? [[name, value] as [string, string]]
          : [],
      );
      const inner = await fetch(new URL(request.url ?? '/', target()), { method: 'POST', headers, body });
      const value = (await inner.json()) as { result?: unknown };
      if (value.result !== undefined && proxy.lie !== undefined)
        value.result = proxy.lie(method, value.result);
      response.writeHead(inner.status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    };
    answer().catch((error: unknown) => response.destroy(error as Error));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: LyingProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    lie: undefined,
    calls: [],
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}
