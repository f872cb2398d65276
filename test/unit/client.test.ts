import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mock } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { EventParser, EventStreamError, type ServerSentEvent } from '../../client/event-stream.ts';
import { type Client, type ClientOptions, createClient } from '../../client/rpc-client.ts';
import { RpcClientError, type RpcClientErrorCode } from '../../client/rpc-error.ts';
import type { SequencedEvent } from '../../client/watch.ts';
import { httpHeaders, verifyHttp } from '../../protocol/signed-http.ts';
import { alice, grantFor, keyring, networkId, now, signerOf, workspace } from '../support/signed-world.ts';
import { until } from '../support/until.ts';

type Answer = (request: IncomingMessage, response: ServerResponse, body: Buffer) => void;

/** One server for all tests: each says what it answers. */
let answer: Answer = (_request, response) => void response.writeHead(500).end();
let url = '';
let requests = 0;
const server = createServer((request, response) => {
  requests += 1;
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => answer(request, response, Buffer.concat(chunks)));
});

before(async () => {
  // A connection that is kept is not closed between two calls, however long a machine stands still there.
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

after(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const client = (options: Partial<ClientOptions> = {}): Client =>
  createClient({ url, networkId, signer: alice, now: () => now, ...options });

const network = { networkId, time: new Date(now).toISOString(), version: '0.1.0' };
const idOf = (body: Buffer) => (JSON.parse(body.toString()) as { id: number }).id;
const json = (response: ServerResponse, value: unknown, status = 200) =>
  void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
const resultIs =
  (result: unknown): Answer =>
  (_request, response, body) =>
    json(response, { jsonrpc: '2.0', id: idOf(body), result });
const errorIs =
  (error: unknown, status = 200): Answer =>
  (_request, response, body) =>
    json(response, { jsonrpc: '2.0', id: idOf(body), error }, status);

/** The error of a promise, which must be an RpcClientError of that code. */
async function failure(work: Promise<unknown>, code: RpcClientErrorCode): Promise<RpcClientError> {
  const error = await work.then(
    () => assert.fail(`expected the error ${code}`),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof RpcClientError, String(error));
  assert.equal(error.code, code, error.message);
  assert.doesNotMatch(error.message, /\p{C}/u, 'one line that is safe to print');
  return error;
}

describe('rpc client', () => {
  it('calls an open method without a signature', async () => {
    let headers: IncomingMessage['headers'] = {};
    let call: unknown;
    answer = (request, response, body) => {
      headers = request.headers;
      call = JSON.parse(body.toString());
      assert.equal(`${request.method} ${request.url}`, 'POST /rpc');
      resultIs(network)(request, response, body);
    };
    assert.deepEqual(await client().call('network_get', {}), network);
    assert.deepEqual(call, { jsonrpc: '2.0', id: 1, method: 'network_get', params: {} });
    assert.equal(headers[httpHeaders.credential], undefined);
    assert.equal(headers['content-type'], 'application/json');
  });

  it('signs what is sent, to the byte, with a fresh nonce each time', async () => {
    const nonces = new Set<string>();
    const below = `${url}/below/here/`;
    answer = (request, response, body) => {
      const parts = { networkId, method: 'POST', path: request.url ?? '', body };
      assert.equal(request.url, '/below/here/rpc');
      const signed = verifyHttp(parts, request.headers, now);
      assert.equal(signed.credential, alice.credential);
      assert.equal(signed.grant, undefined);
      nonces.add(signed.nonce);
      resultIs({ items: [] })(request, response, body);
    };
    const signing = client({ url: below });
    for (let count = 0; count < 3; count += 1) await signing.call('workspace_list', {});
    assert.equal(nonces.size, 3);
  });

  it('presents the grant of a connector in every call that is signed, and in no other', async () => {
    const connector = signerOf('connector');
    const grant = grantFor(connector, now + 1000);
    const granted: unknown[] = [];
    answer = (request, response, body) => {
      const parts = { networkId, method: 'POST', path: request.url ?? '', body };
      const isOpen = request.headers['countersign-credential'] === undefined;
      granted.push(
        isOpen ? request.headers['countersign-grant'] : verifyHttp(parts, request.headers, now).grant,
      );
      const isList = body.includes('workspace_list');
      resultIs(isList ? { items: [] } : { time: network.time })(request, response, body);
    };
    const connected = client({ signer: connector, grant });
    await connected.call('connector_heartbeat', { keyringId: keyring.id, nodeUp: true });
    await connected.call('workspace_list', {});
    await connected.call('network_get', {}).catch(() => undefined);
    assert.deepEqual(granted, [grant, grant, undefined]);
  });

  it('sends nothing when signer, grant or parameters are not as they must be', async () => {
    const before = requests;
    const unsigned = createClient({ url, networkId });
    await failure(unsigned.call('workspace_list', {}), 'unauthenticated');
    await failure(client().call('connector_heartbeat', { keyringId: keyring.id, nodeUp: true }), 'forbidden');
    const wrong = await failure(client().call('workspace_get', { workspaceId: '0x12' }), 'invalid_params');
    assert.match(wrong.detail, /workspaceId/);
    assert.equal(requests, before);
  });

  it('refuses addresses that are none', () => {
    for (const bad of ['coordinator', 'ftp://host/', 'http://user:secret@host/', 'http://host/?a=b']) {
      assert.throws(
        () => createClient({ url: bad, networkId }),
        (error) => error instanceof RpcClientError && !error.message.includes('secret'),
      );
    }
    assert.throws(() => createClient({ url, networkId: 'No Network' }), RpcClientError);
  });

  it('says which coordinator cannot be reached, and what to do', async () => {
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    const error = await failure(
      client({ url: `http://127.0.0.1:${port}` }).call('network_get', {}),
      'unreachable',
    );
    assert.match(error.message, new RegExp(`127\\.0\\.0\\.1:${port}`));
    assert.match(error.message, /ECONNREFUSED/);
    assert.match(error.remedy, /check the address/);
    const { port: plain } = server.address() as AddressInfo;
    const secured = client({ url: `https://127.0.0.1:${plain}` }).call('network_get', {});
    const mistaken = await failure(secured, 'unreachable');
    assert.match(mistaken.message, /speaks no TLS/);
    assert.match(mistaken.remedy, /http:\/\/ or https:\/\//);
    answer = (request) => void request.socket.destroy();
    await failure(client().call('network_get', {}), 'unreachable');
    answer = (request, response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write('{');
      process.nextTick(() => request.socket.destroy());
    };
    await failure(client().call('network_get', {}), 'unreachable');
  });

  it('passes on what the coordinator says is wrong', async () => {
    const data = { code: 'rate_limited', detail: 'too many', remedy: 'wait', retryAfterMs: 1500 };
    answer = errorIs({ code: -32010, message: 'too many', data });
    const error = await failure(client().call('network_get', {}), 'rate_limited');
    assert.deepEqual([error.detail, error.remedy, error.retryAfterMs], ['too many', 'wait', 1500]);
    // The same from the server's HTTP layer, for a request that it did not take for a call.
    answer = (_request, response) =>
      json(response, { jsonrpc: '2.0', id: null, error: { code: -32010, message: 'too many', data } }, 429);
    assert.equal((await failure(client().call('network_get', {}), 'rate_limited')).retryAfterMs, 1500);
  });

  it('tells a difference between clocks, with both times', async () => {
    const data = { code: 'unauthenticated', detail: 'clock', remedy: 'sign afresh' };
    const serverTime = new Date(now - 300_000).toISOString();
    answer = errorIs({ code: -32001, message: 'clock', data: { ...data, serverTime } });
    const error = await failure(client().call('workspace_list', {}), 'unauthenticated');
    assert.equal(error.serverTime, serverTime);
    assert.ok(error.detail.includes(serverTime) && error.detail.includes(network.time), error.detail);
    assert.match(error.detail, /300 s ahead/);
    answer = errorIs({ code: -32001, message: 'clock', data: { ...data, serverTime: network.time } });
    assert.equal((await failure(client().call('workspace_list', {}), 'unauthenticated')).detail, 'clock');
  });

  it('makes the words of a coordinator safe to print, and short', async () => {
    const evil = `\u001b[2Jgone\r\nroot# \u202egnp${'x'.repeat(10_000)}`;
    answer = errorIs({
      code: -32003,
      message: evil,
      data: { code: 'not_found', detail: evil, remedy: evil },
    });
    const error = await failure(client().call('network_get', {}), 'not_found');
    assert.ok(error.message.length < 1200);
    answer = errorIs({ code: -32003, message: evil });
    assert.ok((await failure(client().call('network_get', {}), 'not_found')).message.length < 700);
  });

  it('refuses answers that no coordinator gives', async () => {
    const hostile: [string, Answer][] = [
      ['not JSON', (_request, response) => void response.end('<html>hello</html>')],
      ['not UTF-8', (_request, response) => void response.end(Buffer.from([0x22, 0xff, 0x22]))],
      ['empty', (_request, response) => void response.end()],
      ['null', (_request, response) => json(response, null)],
      [
        'a batch',
        (_request, response, body) => json(response, [{ jsonrpc: '2.0', id: idOf(body), result: network }]),
      ],
      [
        'neither result nor error',
        (_request, response, body) => json(response, { jsonrpc: '2.0', id: idOf(body) }),
      ],
      ['another id', (_request, response) => json(response, { jsonrpc: '2.0', id: 99, result: network })],
      ['a missing field', resultIs({ networkId, time: network.time })],
      ['an additional field', resultIs({ ...network, admin: true })],
      ['a wrong type', resultIs({ ...network, time: 7 })],
      ['an unknown error code', errorIs({ code: 7, message: 'seven' })],
      ['an error that is none', errorIs('no')],
      ['a redirect', (_request, response) => void response.writeHead(302, { location: '/elsewhere' }).end()],
      ['a status without words', (_request, response) => void response.writeHead(418).end()],
      ['millions of values', resultIs({ ...network, list: Array.from({ length: 500_000 }, () => 0) })],
    ];
    for (const [what, given] of hostile) {
      answer = given;
      const work = client().call('network_get', {});
      await failure(work, 'bad_response').catch((error: unknown) => assert.fail(`${what}: ${String(error)}`));
    }
  });

  it('knows what proxies say', async () => {
    const statuses: [number, RpcClientErrorCode][] = [
      [502, 'unavailable'],
      [503, 'unavailable'],
      [413, 'too_large'],
      [429, 'rate_limited'],
    ];
    for (const [status, code] of statuses) {
      answer = (_request, response) => void response.writeHead(status, { 'retry-after': '3' }).end('<html>');
      assert.equal((await failure(client().call('network_get', {}), code)).retryAfterMs, 3000);
    }
  });

  it('reads no further than its limit', async () => {
    let sent = 0;
    let closed = false;
    answer = (_request, response) => {
      const chunk = Buffer.alloc(64 * 1024, 0x20);
      const more = () => {
        if (closed) return;
        sent += chunk.length;
        response.write(chunk, () => void setImmediate().then(more));
      };
      response.on('close', () => (closed = true));
      response.writeHead(200);
      more();
    };
    const limited = client({ maxResponseBytes: 256 * 1024 });
    const error = await failure(limited.call('network_get', {}), 'bad_response');
    assert.match(error.detail, /more than 262144 bytes/);
    await until(() => closed, 'the client hangs up');
    assert.ok(sent < 64 * 1024 * 1024, `${sent} bytes were sent`);
  });

  it('waits no longer than its limit: for an answer, and for a body that trickles', async () => {
    let closed = 0;
    answer = (_request, response) => void response.on('close', () => (closed += 1));
    const error = await failure(client({ timeoutMs: 1000 }).call('network_get', {}), 'timeout');
    assert.match(error.detail, /network_get within 1000 ms/);
    answer = (_request, response) => {
      const timer = setInterval(() => response.write(' '), 5);
      response.on('close', () => {
        clearInterval(timer);
        closed += 1;
      });
    };
    await failure(client({ timeoutMs: 1000 }).call('network_get', {}), 'timeout');
    await until(() => closed === 2, 'the client hangs up');
  });

  it('reads an answer that came while this process stood still, before its time is over', async () => {
    answer = (_request, response, body) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ jsonrpc: '2.0', id: idOf(body), result: network }), () => {
        // The answer is in the socket. Then nothing for longer than the limit, and timers first.
        const end = performance.now() + 1200;
        while (performance.now() < end);
      });
    };
    const answered = client({ timeoutMs: 1000 }).call('network_get', {});
    await assert.doesNotReject(async () => assert.deepEqual(await answered, network));
  });

  it('lets sign_wait wait for as long as it asked to', async () => {
    const requestId = workspace.id;
    answer = () => undefined;
    const error = await failure(
      client({ timeoutMs: 20 }).call('sign_wait', { requestId, timeoutMs: 15 }),
      'timeout',
    );
    assert.match(error.detail, /within 35 ms/);
  });

  it('aborts with the reason of the signal', async () => {
    const controller = new AbortController();
    const reason = new Error('the user went away');
    answer = () => controller.abort(reason);
    await assert.rejects(client().call('network_get', {}, { signal: controller.signal }), reason);
    await assert.rejects(client().call('network_get', {}, { signal: controller.signal }), reason);
  });
});

describe('event stream parser', () => {
  const limits = { maxLine: 64, maxEvent: 100 };
  const text = new TextEncoder();
  function parse(bytes: Uint8Array, cut: (index: number) => boolean = () => false): ServerSentEvent[] {
    const parser = new EventParser(limits);
    const events: ServerSentEvent[] = [];
    let start = 0;
    for (let index = 1; index <= bytes.length; index += 1) {
      if (index < bytes.length && !cut(index)) continue;
      events.push(...parser.push(bytes.subarray(start, index)));
      start = index;
    }
    return events;
  }

  const stream = text.encode(
    [
      '\uFEFF: open\n\nid: 1\nevent: greeting\ndata: {"a":\ndata: "ü€😀"}\n\n',
      'id:2\r\ndata:  two spaces\r\n\r\n',
      'data\rid: 3\r\r',
      ': beat\n\nevent: nothing\n\ndata: last\nretry: 5\nunknown\nid: no\0null\n\ndata: never ended\n',
    ].join(''),
  );
  const events: ServerSentEvent[] = [
    { type: 'greeting', data: '{"a":\n"ü€😀"}', id: '1' },
    { type: 'message', data: ' two spaces', id: '2' },
    { type: 'message', data: '', id: '3' },
    { type: 'message', data: 'last', id: '3' },
  ];

  it('reads fields, comments and all three line ends', () => {
    assert.deepEqual(parse(stream), events);
  });

  it('reads the same wherever the bytes are cut, once and everywhere', () => {
    for (let at = 1; at < stream.length; at += 1) {
      assert.deepEqual(
        parse(stream, (index) => index === at),
        events,
        `cut at byte ${at}`,
      );
    }
    assert.deepEqual(
      parse(stream, () => true),
      events,
    );
  });

  it('holds neither a line nor an event without end', () => {
    const isTooLong = (code: EventStreamError['code']) => (error: unknown) =>
      error instanceof EventStreamError && error.code === code;
    const parser = new EventParser(limits);
    parser.push(new Uint8Array(64).fill(0x61));
    assert.throws(() => parser.push(new Uint8Array(1).fill(0x61)), isTooLong('line_too_long'));
    assert.throws(() => parse(text.encode(`data: ${'x'.repeat(100)}\n\n`)), isTooLong('line_too_long'));
    assert.throws(
      () => parse(text.encode('data: 45678901234567890\n'.repeat(6))),
      isTooLong('event_too_long'),
    );
    assert.equal(
      parse(text.encode('data: 45678901234567890\n\n'.repeat(6))).length,
      6,
      'the limit is per event',
    );
    assert.deepEqual(parse(text.encode(`: ${'c'.repeat(60)}\n`.repeat(50))), [], 'comments are not kept');
  });

  it('survives garbage', () => {
    let state = 12345;
    for (let round = 0; round < 300; round += 1) {
      const bytes = Uint8Array.from({ length: 60 }, () => {
        state = (state * 1103515245 + 12345) % 2147483648;
        return (state >> 8) & 0xff;
      });
      for (const event of parse(bytes)) assert.equal(typeof event.data, 'string');
    }
  });
});

describe('client events', () => {
  const stream = { kind: 'workspace', id: workspace.id } as const;
  const at = network.time;
  const eventOf = (sequence: number) => ({
    type: 'request.state',
    requestId: `0x${'0'.repeat(63)}${sequence}`,
    kind: 'sign',
    state: 'pending',
    at,
  });
  const frame = (sequence: number) =>
    `id: ${sequence}\nevent: request.state\ndata: ${JSON.stringify(eventOf(sequence))}\n\n`;
  const streams =
    (text: string, end = true): Answer =>
    (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(text);
      if (end) response.end();
    };
  const forever = () => new AbortController().signal;

  async function collect(options: Partial<ClientOptions> = {}, after = 0): Promise<number[]> {
    const seen: number[] = [];
    try {
      for await (const next of client(options).events(stream, after, { signal: forever() })) {
        assert.deepEqual(next.event, eventOf(next.sequence));
        seen.push(next.sequence);
      }
    } catch (error) {
      throw Object.assign(error as Error, { seen });
    }
    return seen;
  }

  it('asks signed for what comes after the cursor, and ends with the connection', async () => {
    answer = (request, response, body) => {
      assert.equal(`${request.method} ${request.url}`, `GET /v1/workspaces/${workspace.id}/events`);
      assert.equal(request.headers['last-event-id'], '4');
      assert.equal(request.headers.accept, 'text/event-stream');
      const parts = { networkId, method: 'GET', path: request.url ?? '', body };
      assert.equal(verifyHttp(parts, request.headers, now).credential, alice.credential);
      streams(`: open\n\n${frame(5)}${frame(6)}`)(request, response, body);
    };
    assert.deepEqual(await collect({}, 4), [5, 6]);
  });

  it('presents the grant for the stream of a keyring', async () => {
    const connector = signerOf('connector');
    const grant = grantFor(connector, now + 1000);
    answer = (request, response, body) => {
      assert.equal(request.url, `/v1/keyrings/${keyring.id}/events`);
      const parts = { networkId, method: 'GET', path: request.url ?? '', body };
      assert.deepEqual(verifyHttp(parts, request.headers, now).grant, grant);
      streams('')(request, response, body);
    };
    const watching = client({ signer: connector, grant }).events({ kind: 'keyring', id: keyring.id }, 0, {
      signal: forever(),
    });
    assert.deepEqual(await watching.next(), { done: true, value: undefined });
    const ungranted = client().events({ kind: 'keyring', id: keyring.id }, 0, { signal: forever() });
    await failure(ungranted.next(), 'forbidden');
  });

  it('tells when the watch is open, before any event', async () => {
    const controller = new AbortController();
    answer = streams('', false);
    let opened = false;
    const watching = client().events(stream, 0, { signal: controller.signal, onOpen: () => (opened = true) });
    const first = watching.next();
    await until(() => opened, 'the watch opens');
    controller.abort(new Error('enough'));
    await assert.rejects(first, /enough/);
    assert.equal((await watching.next()).done, true);
  });

  it('hangs up when the caller stops reading', async () => {
    let closed = false;
    answer = (request, response, body) => {
      response.on('close', () => (closed = true));
      streams(frame(1) + frame(2), false)(request, response, body);
    };
    const seen: SequencedEvent[] = [];
    for await (const next of client().events(stream, 0, { signal: forever() })) {
      seen.push(next);
      break;
    }
    assert.equal(seen.length, 1);
    await until(() => closed, 'the connection closes');
  });

  it('throws cursor_too_old for 410, with or without words', async () => {
    answer = (_request, response) => void response.writeHead(410).end();
    await failure(collect(), 'cursor_too_old');
    const data = { code: 'cursor_too_old', detail: 'kept from 9', remedy: 'take a snapshot' };
    answer = (_request, response) =>
      json(response, { jsonrpc: '2.0', id: null, error: { code: -32011, message: '', data } }, 410);
    assert.equal((await failure(collect(), 'cursor_too_old')).remedy, 'take a snapshot');
  });

  it('throws the error with which the coordinator ends a stream', async () => {
    const data = { code: 'expired', detail: 'the grant ended', remedy: 'get a new one' };
    answer = streams(
      `${frame(1)}event: error\ndata: ${JSON.stringify({ code: -32006, message: '', data })}\n\n`,
    );
    const error = await failure(collect(), 'expired');
    assert.deepEqual((error as unknown as { seen: number[] }).seen, [1]);
    answer = streams('event: error\ndata: ?\n\n');
    await failure(collect(), 'bad_response');
  });

  it('refuses gaps, repetitions, events of unknown form and what is no stream', async () => {
    const hostile: [string, number[], Answer][] = [
      ['a gap', [1], streams(frame(1) + frame(3))],
      ['a repetition', [1, 2], streams(frame(1) + frame(2) + frame(2))],
      ['no id', [], streams('data: {}\n\n')],
      ['an id that is no number', [], streams('id: 1e0\ndata: {}\n\n')],
      ['no JSON', [1], streams(`${frame(1)}id: 2\ndata: {\n\n`)],
      ['an unknown type', [], streams('id: 1\ndata: {"type":"surprise"}\n\n')],
      ['a line without end', [1], streams(`${frame(1)}data: ${'x'.repeat(70_000)}`)],
      ['an event without end', [], streams(`data: ${'x'.repeat(1000)}\n`.repeat(70))],
      [
        'a page',
        [],
        (_request, response) => void response.setHeader('content-type', 'text/html').end('<html>'),
      ],
    ];
    for (const [what, seen, given] of hostile) {
      answer = given;
      const error = await failure(collect(), 'bad_response').catch((thrown) =>
        assert.fail(`${what}: ${thrown}`),
      );
      assert.deepEqual((error as unknown as { seen: number[] }).seen, seen, what);
    }
  });

  it('throws unreachable when the connection breaks, and timeout when it falls silent', async () => {
    answer = (request, response, body) => {
      streams(frame(1), false)(request, response, body);
      process.nextTick(() => request.socket.destroy());
    };
    await failure(collect(), 'unreachable');
    answer = streams(frame(1), false);
    await failure(collect({ silenceMs: 30 }), 'timeout');
    answer = () => undefined;
    await failure(collect({ timeoutMs: 20 }), 'timeout');
  });

  it('counts comments, and none of the time that the caller takes, as no silence', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    try {
      let body: ReadableStreamDefaultController<Uint8Array> | undefined;
      const send = async (text: string) => {
        body?.enqueue(new TextEncoder().encode(text));
        for (let turn = 0; turn < 10; turn += 1) await setImmediate();
      };
      const fake = async (_url: unknown, init?: RequestInit) => {
        const content = new ReadableStream<Uint8Array>({
          start: (controller) => {
            body = controller;
            init?.signal?.addEventListener('abort', () => controller.error(init.signal?.reason));
          },
        });
        return new Response(content, { headers: { 'content-type': 'text/event-stream' } });
      };
      const watching = client({ fetch: fake as typeof fetch, silenceMs: 100, timeoutMs: 100 }).events(
        stream,
        0,
        {
          signal: forever(),
        },
      );
      const first = watching.next();
      for (let beat = 0; beat < 20; beat += 1) {
        await send(': beat\n\n');
        mock.timers.tick(99);
      }
      await send(frame(1));
      assert.equal((await first).value?.sequence, 1);
      mock.timers.tick(100_000);
      const second = watching.next();
      await send(frame(2));
      assert.equal((await second).value?.sequence, 2);
      const third = failure(watching.next(), 'timeout');
      await send(': beat\n\n');
      mock.timers.tick(100);
      // What came while the process stood still is read first.
      mock.timers.tick(50);
      assert.match((await third).detail, /silent for 100 ms/);
    } finally {
      mock.timers.reset();
    }
  });
});
