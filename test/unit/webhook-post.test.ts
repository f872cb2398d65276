// One POST over real sockets: what receivers can do with their answers, and that nothing is left of it.
import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import { connect, type AddressInfo, createServer as createSocketServer, type Socket } from 'node:net';
import { post } from '../../coordinator/webhooks/post.ts';
import { until } from '../support/until.ts';

const body = new TextEncoder().encode('{"type":"request.pending"}');
const never = new AbortController().signal;

describe('a POST to a receiver', () => {
  const servers: { close(): void }[] = [];
  const sockets = new Set<Socket>();
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  });

  async function listening(server: Server | ReturnType<typeof createSocketServer>): Promise<string> {
    servers.push(server);
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket)).on('error', () => undefined);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
  const serve = (listener: RequestListener): Promise<string> => listening(createServer(listener));
  const send = (url: string, signal = never) => post(url, { headers: { 'x-one': '1' }, body, signal });

  it('brings headers and body, byte for byte, and closes the connection', async () => {
    const got: unknown[] = [];
    const url = await serve((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method, headers } = request;
        got.push(method, request.url, headers['x-one'], headers['content-length'], Buffer.concat(chunks));
        response.writeHead(202, { 'retry-after': '7' }).end('thanks');
      });
    });
    assert.deepEqual(await send(`${url}/a?b=c`), { status: 202, waitMs: 7000 });
    assert.deepEqual(got, ['POST', '/a?b=c', '1', String(body.length), Buffer.from(body)]);
    await until(() => sockets.size === 0, 'the connection is closed');
  });

  it('follows no redirect', async () => {
    let elsewhere = 0;
    const target = await serve((_, response) => {
      elsewhere += 1;
      response.writeHead(204).end();
    });
    for (const status of [301, 302, 303, 307, 308]) {
      const url = await serve((_, response) => response.writeHead(status, { location: target }).end());
      assert.equal((await send(url)).status, status);
    }
    assert.equal(elsewhere, 0);
  });

  it('heeds no retry-after that is no number of seconds', async () => {
    for (const value of ['', 'soon', '-1', '1.5', '9999999', 'Wed, 21 Oct 2030 07:28:00 GMT']) {
      const url = await serve((_, response) => response.writeHead(503, { 'retry-after': value }).end());
      assert.deepEqual(await send(url), { status: 503, waitMs: 0 }, value);
    }
  });

  it('reads no answer without end', async () => {
    let written = 0;
    const url = await serve((_, response) => {
      response.writeHead(200).on('error', () => undefined);
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(65_536))) written += 65_536;
      };
      response.on('drain', more);
      more();
    });
    let status = 0;
    void send(url).then((answer) => (status = answer.status));
    await until(() => status === 200, 'it has the status');
    await until(() => sockets.size === 0, 'the connection is closed');
    assert.ok(written < 64 * 1024 * 1024, String(written));
  });

  it('knows the status of an answer that breaks off', async () => {
    const url = await serve((_, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('x', () => response.socket?.end());
    });
    assert.deepEqual(await send(url), { status: 200, waitMs: 0 });
    await until(() => sockets.size === 0, 'the connection is closed');
  });

  it('is cut off when there is no answer', async () => {
    const url = await listening(createSocketServer((socket) => void socket.resume()));
    const controller = new AbortController();
    const sent = send(url, controller.signal);
    await until(() => sockets.size === 1, 'it is connected');
    controller.abort();
    await assert.rejects(sent, { name: 'AbortError' });
    await until(() => sockets.size === 0, 'the connection is closed');
  });

  it('fails when the connection is to become another one', async () => {
    const answer = 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n';
    const url = await listening(createSocketServer((socket) => void socket.resume().write(answer)));
    let ended = '';
    void send(url).catch((error: Error) => (ended = error.message));
    await until(() => ended !== '', 'the attempt is over');
    assert.match(ended, /before there was an answer/);
    await until(() => sockets.size === 0, 'the connection is closed');
  });

  it('fails with a code when the answer is none', async () => {
    const answers = ['', 'SSH-2.0-x\r\n', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`];
    for (const answer of answers) {
      const url = await listening(createSocketServer((socket) => void socket.end(answer)));
      await assert.rejects(send(url), (error: NodeJS.ErrnoException) =>
        /^(HPE_|ECONNRESET)/.test(error.code ?? ''),
      );
    }
    const { port } = new URL(await serve((_, response) => response.end()));
    // No TLS there.
    await assert.rejects(
      send(`https://127.0.0.1:${port}/`),
      (error: NodeJS.ErrnoException) => typeof error.code === 'string',
    );
    for (const server of servers.splice(0)) server.close();
    await until(
      () =>
        new Promise<boolean>((resolve) => {
          const socket = connect(Number(port), '127.0.0.1');
          socket.once('error', () => resolve(true)).once('connect', () => resolve(false));
        }),
      'nobody listens',
    );
    await assert.rejects(send(`http://127.0.0.1:${port}/`), { code: 'ECONNREFUSED' });
  });
});
