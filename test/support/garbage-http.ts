// What strangers send to a coordinator's HTTP listener. Everything that is well formed in it repeats records that the
// coordinator holds already, so whatever gets through changes nothing either.
import { base64urlnopad } from '@scure/base';
import type { Envelope, Signer } from '../../protocol/records/envelope.ts';
import type { MethodName } from '../../protocol/rpc.ts';
import { httpHeaders, signHttp } from '../../protocol/signed-http.ts';
import { bytesOf, flipped, type Garbage, junkText, marredJson, type Random, truncated } from './garbage.ts';

/** What a stranger has seen of the network, and the keys of somebody who may call. */
export interface Seen {
  readonly networkId: string;
  readonly now: () => number;
  /** Calls that are answered, with parameters that change nothing. */
  readonly calls: readonly { readonly method: MethodName; readonly params: object }[];
  readonly owner: Signer;
  readonly connector: Signer;
  readonly grant: Envelope;
  readonly keyringId: string;
  readonly workspaceId: string;
  readonly bodyBytes: number;
  readonly batchCalls: number;
}

type Headers = Record<string, string>;
const usual: Headers = { host: 'coordinator', 'content-type': 'application/json', connection: 'close' };

function head(method: string, path: string, headers: Headers): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  return `${method} ${path} HTTP/1.1\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`;
}

/** A whole POST with its length. */
function post(body: Uint8Array, more: Headers = {}, path = '/v1/rpc'): Buffer {
  const headers = { ...usual, 'content-length': String(body.length), ...more };
  return Buffer.concat([bytesOf(head('POST', path, headers)), body]);
}

function signature(random: Random, seen: Seen, method: string, path: string, body: Uint8Array): Headers {
  const parts = { networkId: seen.networkId, method, path, body };
  const nonce = random.bytes(16);
  return random.chance(0.5)
    ? signHttp(parts, seen.owner, seen.now(), nonce)
    : signHttp(parts, seen.connector, seen.now(), nonce, seen.grant);
}

/** A body that is signed as it is, so that it gets past the signature and to what it says. */
const signedPost = (random: Random, seen: Seen, body: Uint8Array, more: Headers = {}): Buffer =>
  post(body, { ...signature(random, seen, 'POST', '/v1/rpc', body), ...more });

const callText = (random: Random, seen: Seen): string =>
  JSON.stringify({ jsonrpc: '2.0', id: random.below(1000), ...random.pick(seen.calls) });

/** An envelope whose record says something else than what was signed, or is none. */
function marredEnvelope(random: Random, envelope: Envelope): Envelope {
  const text = Buffer.from(base64urlnopad.decode(envelope.bytes)).toString();
  const bytes = random.pick([
    () => bytesOf(marredJson(random, JSON.parse(text))),
    () => flipped(random, bytesOf(text)),
    () => bytesOf(text.replace(/"nonce":"[^"]*"/, `"nonce":[${'0,'.repeat(random.below(100_000))}0]`)),
    () => bytesOf(text.replace('"networkId":"', '"networkId":"other-')),
    () => random.bytes(1 + random.below(200)),
  ])();
  const entries = Array.from({ length: random.pick([0, 1, 256, 257]) }, () => ({
    credential: random.pick(envelope.signatures)?.credential ?? `ed25519:0x${'11'.repeat(32)}`,
    signature: `0x${random.bytes(64).toString('hex')}` as const,
  }));
  const signatures = random.chance(0.5) ? envelope.signatures : entries;
  return { type: envelope.type, bytes: base64urlnopad.encode(bytes), signatures };
}

function marredRecordCall(random: Random, seen: Seen): Buffer {
  const records = seen.calls.flatMap(({ method, params }) => {
    const [name, value] = Object.entries(params)[0] ?? [];
    return (value as Envelope | undefined)?.bytes === undefined ? [] : [{ method, name: name!, value }];
  });
  const { method, name, value } = random.pick(records);
  const params = { [name]: marredEnvelope(random, value as Envelope) };
  return signedPost(random, seen, bytesOf(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })));
}

/** Signed headers, of which one is wrong. */
function marredHeaders(random: Random, seen: Seen): Buffer {
  const body = bytesOf(callText(random, seen));
  const headers = signature(random, seen, 'POST', '/v1/rpc', body);
  const name = random.pick(Object.values(httpHeaders));
  const value = headers[name] ?? '';
  const wrong = random.pick([
    () => junkText(random).replaceAll(/[\r\n\0]/g, ''),
    () =>
      flipped(random, bytesOf(value || 'x'))
        .toString('latin1')
        .replaceAll(/[^\x20-\x7e]/g, '?'),
    () => value.toUpperCase(),
    () => `${value}, ${value}`,
    () => value.slice(0, random.below(value.length + 1)),
    () => new Date(seen.now() + random.pick([-1, 1]) * 61_000).toISOString(),
    () => `ed25519:0x${random.pick(['00'.repeat(32), `01${'00'.repeat(31)}`, 'ff'.repeat(32)])}`,
    () => base64urlnopad.encode(bytesOf(junkText(random))),
    () => base64urlnopad.encode(bytesOf(JSON.stringify(marredEnvelope(random, seen.grant)))),
  ])();
  if (random.chance(0.15))
    return post(body, Object.fromEntries(Object.entries(headers).filter(([each]) => each !== name)));
  return post(body, { ...headers, [name]: wrong.slice(0, 14_000) });
}

const whole = (kind: string, ...pieces: Uint8Array[]): Garbage => ({ kind, pieces, end: 'wait' });

function streamPath(random: Random, seen: Seen): string {
  const own = random.chance(0.5) ? `keyrings/${seen.keyringId}` : `workspaces/${seen.workspaceId}`;
  const id = random.chance(0.8)
    ? own
    : random.pick([
        'keyrings/0x',
        'keyrings/%00',
        'keyrings/..',
        'workspaces/%ff',
        `keyrings/0x${'0'.repeat(64)}`,
        `keyrings/${'a'.repeat(5000)}`,
      ]);
  const cursor = random.pick([
    '',
    '',
    '?after=0',
    '?after=1',
    '?after=-1',
    '?after=1e3',
    '?after=99999999999999999999',
    '?after=1&after=2',
    '?before=1',
    '?after=%00',
    '?after',
  ]);
  return `/v1/${id}/events${cursor}`;
}

function streamRequest(random: Random, seen: Seen): Buffer {
  const path = streamPath(random, seen);
  const cursors = [
    '0',
    '1',
    '-1',
    '01',
    '9007199254740993',
    '99999999999999999',
    'x',
    '',
    '1,2',
    '0x1',
    '\xff',
    ' ',
  ];
  return bytesOf(
    head('GET', path, {
      host: 'coordinator',
      ...signature(random, seen, 'GET', path, new Uint8Array(0)),
      ...(random.chance(0.6) && { 'last-event-id': random.pick(cursors) }),
    }),
  );
}

/** Each kind of input, and how often it comes among the others. */
const kinds: readonly (readonly [weight: number, make: (random: Random, seen: Seen) => Garbage])[] = [
  [4, (random) => whole('random bytes', random.bytes(1 + random.below(4000)))],
  [4, (random) => whole('random body', post(random.bytes(random.below(4000))))],
  [
    4,
    (random, seen) => ({
      kind: 'truncated',
      pieces: [truncated(random, signedPost(random, seen, bytesOf(callText(random, seen))))],
      end: random.pick(['half', 'reset', 'wait']),
    }),
  ],
  [
    8,
    (random, seen) =>
      whole('flipped bits', flipped(random, signedPost(random, seen, bytesOf(callText(random, seen))))),
  ],
  [
    1,
    (random, seen) => whole('too large', post(Buffer.alloc(seen.bodyBytes + 1 + random.below(1000), 0x20))),
  ],
  [
    1,
    (_, seen) =>
      whole(
        'too large, by its word',
        bytesOf(head('POST', '/v1/rpc', { ...usual, 'content-length': String(seen.bodyBytes * 1000) })),
      ),
  ],
  [2, (random) => whole('JSON that is junk', post(bytesOf(junkText(random))))],
  [
    20,
    (random, seen) =>
      whole(
        'wrong field of a call',
        signedPost(
          random,
          seen,
          bytesOf(marredJson(random, { jsonrpc: '2.0', id: 1, ...random.pick(seen.calls) })),
        ),
      ),
  ],
  [10, (random, seen) => whole('wrong record', marredRecordCall(random, seen))],
  [
    3,
    (random, seen) =>
      whole(
        'wrong method',
        signedPost(
          random,
          seen,
          bytesOf(
            `{"jsonrpc":"2.0","id":1,"method":${random.pick(['"__proto__"', '"constructor"', '"toString"', '"sign_request "', '"SIGN_GET"', '"rpc.describe"', '""', junkText(random)])},"params":{}}`,
          ),
        ),
      ),
  ],
  [
    6,
    (random, seen) => {
      const call = callText(random, seen);
      const text = random.pick([
        () => '[]',
        () =>
          `[${Array.from({ length: seen.batchCalls + 1 + random.below(500) }, () => call)
            .join(',')
            .slice(0, seen.bodyBytes - 100)}]`,
        () => `[[${call}]]`,
        () => `[${call},${junkText(random)},${call}]`,
        () =>
          `[${Array.from({ length: seen.batchCalls }, () => marredJson(random, JSON.parse(call))).join(',')}]`,
      ])();
      return whole('batch', signedPost(random, seen, bytesOf(text).subarray(0, seen.bodyBytes)));
    },
  ],
  [10, (random, seen) => whole('wrong signed headers', marredHeaders(random, seen))],
  [
    3,
    (random, seen) => {
      const once = signedPost(random, seen, bytesOf(callText(random, seen)), { connection: 'keep-alive' });
      return {
        kind: 'replayed',
        pieces: [
          Buffer.concat([
            once,
            once,
            bytesOf(once.toString('latin1').replace('connection: keep-alive', 'connection: close')),
          ]),
        ],
        end: 'wait',
      };
    },
  ],
  [
    4,
    (random, seen) => {
      const body = bytesOf(callText(random, seen));
      const types = [
        'text/plain',
        'application/json; charset=utf-16',
        'multipart/form-data; boundary=x',
        '',
        'a'.repeat(5000),
        'application/x-www-form-urlencoded',
        '\xff/\xff',
      ];
      return whole('content type', signedPost(random, seen, body, { 'content-type': random.pick(types) }));
    },
  ],
  [
    4,
    (random, seen) => {
      const body = bytesOf(callText(random, seen));
      const more: Headers = random.pick<Headers>([
        { 'content-encoding': 'gzip' },
        { 'transfer-encoding': 'gzip, chunked' },
        { 'transfer-encoding': 'chunked' },
        { 'content-length': '-1' },
        { 'content-length': '1, 2' },
        { expect: '100-continue' },
        { expect: 'the worst' },
        { upgrade: 'websocket', connection: 'upgrade' },
        { upgrade: 'h2c', connection: 'Upgrade, HTTP2-Settings' },
      ]);
      return whole('encoding', signedPost(random, seen, body, more));
    },
  ],
  [
    1,
    (random) => ({
      kind: 'chunks without end',
      pieces: [
        bytesOf(head('POST', '/rpc', { ...usual, 'transfer-encoding': 'chunked' })),
        ...Array.from({ length: 5 }, () => bytesOf(`3e8\r\n${'x'.repeat(1000)}\r\n`)),
      ],
      end: random.pick(['wait', 'half', 'reset']),
    }),
  ],
  [
    2,
    (random) =>
      whole(
        'bad chunks',
        bytesOf(head('POST', '/rpc', { ...usual, 'transfer-encoding': 'chunked' })),
        bytesOf(
          random.pick([
            'zz\r\n',
            '-1\r\n',
            'ffffffffffffffffff\r\n',
            '5\r\nabc\r\n0\r\n\r\n',
            '1;' + 'x'.repeat(40_000),
            '0\r\n' + 'a: b\r\n'.repeat(5000),
          ]),
        ),
      ),
  ],
  [
    0.5,
    (random, seen) => ({
      kind: 'slow body',
      pieces: [
        bytesOf(head('POST', '/rpc', { ...usual, 'content-length': '5000' })),
        bytesOf(callText(random, seen).padEnd(5000)),
      ],
      pace: 'slow',
      end: 'wait',
    }),
  ],
  [
    0.5,
    () => ({
      kind: 'slow head',
      pieces: [bytesOf('POST /rpc HTTP/1.1\r\n'), bytesOf(`x: ${'y'.repeat(5000)}`)],
      pace: 'slow',
      end: 'wait',
    }),
  ],
  [
    1,
    (random) =>
      whole(
        'head without end',
        bytesOf(`POST /rpc HTTP/1.1\r\n${'x: y\r\n'.repeat(random.pick([1, 100, 2500, 4000]))}`),
      ),
  ],
  [
    2,
    (random) =>
      whole(
        'large head',
        bytesOf(
          head(random.pick(['GET', 'POST']), `/${'p'.repeat(random.pick([100, 20_000, 200_000]))}`, {
            ...usual,
            'content-length': '0',
          }),
        ),
      ),
  ],
  [
    3,
    (random, seen) =>
      whole(
        'garbage after a call',
        Buffer.concat([
          signedPost(random, seen, bytesOf(callText(random, seen)), { connection: 'keep-alive' }),
          random.bytes(1 + random.below(100)),
        ]),
      ),
  ],
  [
    2,
    (random, seen) => {
      const call = post(bytesOf(callText(random, seen)), { connection: 'keep-alive' });
      return {
        kind: 'many at once',
        pieces: [Buffer.concat(Array.from({ length: 20 }, () => call))],
        end: random.pick(['half', 'reset', 'reset at answer']),
      };
    },
  ],
  [0.5, () => ({ kind: 'nothing', pieces: [], end: 'wait' })],
  [2, (random) => ({ kind: 'nothing, and gone', pieces: [], end: random.pick(['half', 'reset']) })],
  [
    3,
    (random, seen) => ({
      kind: 'hung up',
      pieces: [signedPost(random, seen, bytesOf(callText(random, seen)))],
      end: random.pick(['reset', 'half', 'reset at answer']),
    }),
  ],
  [
    4,
    (random) =>
      whole(
        'path',
        bytesOf(
          head(
            random.pick([
              'GET',
              'POST',
              'PUT',
              'DELETE',
              'HEAD',
              'OPTIONS',
              'TRACE',
              'PATCH',
              'CONNECT',
              'PRI',
              'get',
              'FOO',
            ]),
            random.pick([
              '/',
              '*',
              '/rpc',
              '/v1/rpc',
              '/%',
              '/%zz',
              '//',
              '/v1/rpc/../rpc',
              'http://other/rpc',
              '/health/live?x=%00',
              '/v1/keyrings//events',
              '/__proto__',
              '/\xff',
            ]),
            usual,
          ),
        ),
      ),
  ],
  [
    6,
    (random, seen) => ({
      kind: 'event stream',
      pieces: [streamRequest(random, seen)],
      end: random.pick(['reset at answer', 'reset at answer', 'reset', 'half']),
    }),
  ],
];

const total = kinds.reduce((sum, [weight]) => sum + weight, 0);

/** One more input. */
export function httpGarbage(random: Random, seen: Seen): Garbage {
  let at = random.next() * total;
  for (const [weight, make] of kinds) {
    at -= weight;
    if (at < 0) return make(random, seen);
  }
  return kinds[0]![1](random, seen);
}
