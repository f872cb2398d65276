// What one hostile connection could take from everybody else at the coordinator's RPC server: answers never fetched, bodies
// never finished, streams never read; and that nothing hostile costs a signature's verification before it was counted.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { connect, type Socket } from 'node:net';
import { base64urlnopad } from '@scure/base';
import { createCoordinatorService } from '../../coordinator/service.ts';
import { MemoryStore } from '../../coordinator/store/memory.ts';
import { errorObject, recordRefused } from '../../coordinator/rpc/error.ts';
import { NonceMemory, nonceLifetime } from '../../coordinator/rpc/nonces.ts';
import { toHex } from '../../protocol/hex.ts';
import { encodeCanonical } from '../../protocol/records/canonical.ts';
import { createRecord, type Envelope, readContent, RecordError } from '../../protocol/records/envelope.ts';
import { workspaceGenesis } from '../../protocol/records/workspace-genesis.ts';
import { openWorkspace } from '../../protocol/records/workspace.ts';
import { httpHeaders } from '../../protocol/signed-http.ts';
import { createWorld, networkId as worldNetwork, signerOf } from '../support/fixture.ts';
import {
  assertError,
  type Answer,
  keyringId,
  connector,
  grant,
  owner,
  raw,
  start,
  unknownId,
  workspaceId,
  World,
} from '../support/rpc-world.ts';
import { until } from '../support/until.ts';

/** Counts signatures verified and public keys parsed while `work` runs: what any curve arithmetic here begins with. */
async function verificationsIn(work: () => Promise<unknown>): Promise<number> {
  const { verify, createPublicKey } = crypto;
  let count = 0;
  Object.assign(crypto, {
    verify: (...parameters: Parameters<typeof verify>) => {
      count += 1;
      return verify(...parameters);
    },
    createPublicKey: (...parameters: Parameters<typeof createPublicKey>) => {
      count += 1;
      return createPublicKey(...parameters);
    },
  });
  syncBuiltinESMExports();
  try {
    await work();
  } finally {
    Object.assign(crypto, { verify, createPublicKey });
    syncBuiltinESMExports();
  }
  return count;
}

const call = (method: string, params: unknown = {}): string =>
  JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
const openCall = call('network_get');
const signedCall = call('workspace_get', { workspaceId });

describe('coordinator/rpc under attack', () => {
  let world: World;
  const sockets: Socket[] = [];
  beforeEach(() => {
    world = new World();
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await world.close();
  });

  /** An HTTP request as it is sent. */
  const http = (body: string, headers: Record<string, string> = {}, more = ''): string => {
    const lines = Object.entries({ host: 'x', 'content-type': 'application/json', ...headers });
    const length = more === '' ? `content-length: ${body.length}\r\n` : more;
    return `POST /rpc HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}${length}\r\n${body}`;
  };

  async function connected(received: Buffer[] = [], url = world.url): Promise<Socket> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => received.push(chunk));
    await new Promise((resolve) => socket.once('connect', resolve));
    return socket;
  }

  const waitCall = (): string => {
    const body = call('sign_wait', { requestId: unknownId, timeoutMs: 60_000 });
    return http(body, world.headers('POST', '/rpc', body));
  };

  it('gets back all that a connection held whose answers were never fetched', async () => {
    await world.open({ requestsPerAddress: 4 });
    for (let round = 0; round < 3; round += 1) {
      const socket = await connected();
      // The first answer waits, so the turn of the others never comes.
      socket.write(waitCall() + http(openCall) + http(openCall) + http(openCall));
      await until(
        () => world.service.calls.length === 4 * (round + 1) + round,
        'all four are being answered',
      );
      assert.equal((await world.post(openCall)).status, 429);
      socket.resetAndDestroy();
      await until(() => world.service.aborted === round + 1, 'the handler hears of it');
      assert.ok((await world.call('network_get')).result, 'the address may call again');
    }
  });

  it('tells every handler of a connection that its caller is gone, not only the one whose turn it is', async () => {
    await world.open();
    const socket = await connected();
    socket.write(waitCall() + waitCall() + waitCall());
    await until(() => world.service.waiting === 3, 'three wait');
    socket.resetAndDestroy();
    await until(() => world.service.aborted === 3, 'all three hear of it');
  });

  it('never puts an answer to garbage where the answer to an earlier request is due', async () => {
    await world.open();
    const received: Buffer[] = [];
    const socket = await connected(received);
    socket.write(waitCall());
    await until(() => world.service.waiting === 1, 'a call waits');
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write('this is not HTTP\r\n\r\n');
    await closed;
    assert.equal(Buffer.concat(received).toString(), '');
    const path = `/v1/keyrings/${keyringId}/events`;
    const headers = world.headers('GET', path, '', { signer: connector, grant: grant() });
    const events: Buffer[] = [];
    const reader = await connected(events);
    const lines = Object.entries(headers)
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('');
    reader.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n${lines}\r\n`);
    await until(() => Buffer.concat(events).includes(': open'), 'the stream is open');
    const ended = new Promise((resolve) => reader.once('close', resolve));
    reader.write('\0\0garbage\r\n\r\n');
    await ended;
    assert.equal(
      Buffer.concat(events)
        .toString('latin1')
        .match(/HTTP\/1\.1/g)?.length,
      1,
    );
  });

  it('says what is wrong with garbage that begins a connection, and with a body that is none', async () => {
    await world.open();
    assert.match(await raw(world.url, 'hello\r\n\r\n'), /^HTTP\/1\.1 400 [^]*invalid_request/);
    const chunked = http('zz\r\n', {}, 'transfer-encoding: chunked\r\n');
    assert.match(await raw(world.url, chunked), /^HTTP\/1\.1 400 [^]*invalid_request/);
    const nowhere = 'GET /health/live HTTP/1.1\r\nconnection: close\r\n\r\n';
    assert.match(await raw(world.url, nowhere), /^HTTP\/1\.1 400 [^]*Host is missing/);
    const expecting = http(openCall, { expect: 'wonders', connection: 'close' });
    assert.match(await raw(world.url, expecting), /^HTTP\/1\.1 417 [^]*"remedy":"leave it out"/);
  });

  it('holds only so many bytes of bodies that arrive at the same time, and gives them back', async () => {
    await world.open({ heldBytesPerAddress: 10_000, bodyBytes: 8000 });
    const slow = await connected();
    slow.write(http(`"${'x'.repeat(6000)}`, {}, 'content-length: 7000\r\n'));
    const large = JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'network_get',
      params: { x: 'y'.repeat(5000) },
    });
    let refused: Response | undefined;
    await until(async () => {
      refused = await world.post(large);
      return refused.status === 429;
    }, 'the slow body is held');
    assertError((await refused!.json()) as Answer, 'rate_limited', /too much is being sent/);
    assert.ok((await world.call('network_get')).result, 'a small one fits');
    slow.resetAndDestroy();
    await until(async () => (await world.post(large)).status === 200, 'what the slow one held is free');
    // What was answered is not held any more.
    for (let round = 0; round < 5; round += 1) assert.equal((await world.post(large)).status, 200);
  });

  it('drops a reader of events who does not read, and reads nothing more from the store for it', async () => {
    await world.open({ streamsPerCredential: 1 }, { timing: { drainMs: 100 } });
    const stream = `keyrings/${keyringId}`;
    for (let page = 0; page < 40; page += 1) {
      await world.store.commit({
        append: Array.from({ length: 100 }, () => ({
          stream,
          event: { type: 'filler', text: 'x'.repeat(10_000) },
        })),
      });
    }
    let read = 0;
    const original = world.store.read.bind(world.store);
    world.store.read = async (...parameters) => {
      read += 1;
      return original(...parameters);
    };
    const path = `/v1/keyrings/${keyringId}/events`;
    const headers = world.headers('GET', path, '', { signer: connector, grant: grant() });
    const lines = Object.entries(headers)
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('');
    const { hostname, port } = new URL(world.url);
    const deaf = connect(Number(port), hostname);
    sockets.push(deaf);
    deaf.pause();
    deaf.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n${lines}\r\n`);
    await until(() => read > 0, 'it is read for');
    const again = async (): Promise<number> => {
      const stop = new AbortController();
      const { status } = await world.stream(path, { signer: connector, grant: grant(), signal: stop.signal });
      stop.abort();
      return status;
    };
    await until(async () => (await again()) === 200, 'its place is free: it was dropped');
    assert.ok(read < 30, `${read} of 40 pages were read for somebody who took none`);
  });

  it('gives a stream back at every moment at which its reader may leave', async () => {
    await world.open({ streamsPerCredential: 2, streams: 2 });
    const path = `/v1/keyrings/${keyringId}/events`;
    for (let round = 0; round < 12; round += 1) {
      const headers = world.headers('GET', path, '', { signer: connector, grant: grant() });
      const lines = Object.entries(headers)
        .map(([name, value]) => `${name}: ${value}\r\n`)
        .join('');
      const received: Buffer[] = [];
      const reader = await connected(received);
      reader.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n${lines}\r\n`);
      const moment = round % 4;
      if (moment === 1) await new Promise((resolve) => setImmediate(resolve));
      if (moment === 2) await until(() => received.length > 0, 'the first bytes');
      if (moment === 3) {
        await until(() => Buffer.concat(received).includes(': open'), 'the stream is open');
        await world.append(`keyrings/${keyringId}`, round);
      }
      reader.resetAndDestroy();
    }
    await until(async () => {
      const stop = new AbortController();
      const response = await world.stream(path, { signer: connector, grant: grant(), signal: stop.signal });
      stop.abort();
      return response.status === 200;
    }, 'a stream is free');
  });

  describe('verifies nothing', () => {
    const nothing = async (work: () => Promise<unknown>): Promise<void> =>
      assert.equal(await verificationsIn(work), 0);
    const signed = (options: Parameters<World['headers']>[3] = {}, body = signedCall) =>
      world.headers('POST', '/rpc', body, options);

    it('of what is too large, too deep, too many, or unreadable', async () => {
      await world.open({ bodyBytes: 4096, batchCalls: 2 });
      await nothing(async () => {
        for (const body of [
          `[${`${signedCall},`.repeat(3).slice(0, -1)}]`,
          '['.repeat(50),
          '{"jsonrpc":"2.0"',
          `"${'x'.repeat(5000)}"`,
          '',
        ]) {
          const response = await world.post(body, signed({}, body));
          assert.ok(
            ['too_large', 'parse_error', 'invalid_request'].includes(
              ((await response.json()) as Answer).error!.data.code,
            ),
          );
        }
      });
    });

    it('of what has no signature, a malformed one, or one of another time', async () => {
      await world.open();
      await nothing(async () => {
        assert.equal((await world.post(signedCall)).status, 200);
        for (const name of Object.values(httpHeaders)) {
          if (name === httpHeaders.grant) continue;
          const response = await world.post(signedCall, { ...signed(), [name]: 'garbage' });
          assertError((await response.json()) as Answer, 'unauthenticated');
        }
        const late = await world.post(signedCall, signed({ at: start - 61_000 }));
        assertError((await late.json()) as Answer, 'unauthenticated');
      });
    });

    it('of a request that was sent before', async () => {
      await world.open();
      const headers = signed();
      assert.equal(((await (await world.post(signedCall, headers)).json()) as Answer).error, undefined);
      await nothing(async () => {
        assertError(
          (await (await world.post(signedCall, headers)).json()) as Answer,
          'unauthenticated',
          /used before/,
        );
      });
    });

    it('above the rate of an address, or of a credential at an address', async () => {
      await world.open({
        credentialRate: { requests: 1, perSeconds: 3600 },
        addressRate: { requests: 3, perSeconds: 3600 },
      });
      assert.equal((await world.post(signedCall, signed())).status, 200);
      await nothing(async () => {
        const second = await world.post(signedCall, signed());
        assertError((await second.json()) as Answer, 'rate_limited', /credential at this address/);
        await world.post(signedCall);
        const fourth = await world.post(signedCall, signed({ signer: connector }));
        assertError((await fourth.json()) as Answer, 'rate_limited', /from this address/);
      });
    });

    it('when a signed request only names open methods, or methods that do not exist', async () => {
      await world.open();
      await nothing(async () => {
        for (const body of [openCall, call('no_such')]) await world.post(body, signed({}, body));
      });
    });

    it('for a stream with a bad cursor or a bad id', async () => {
      await world.open();
      const path = `/v1/keyrings/${keyringId}/events`;
      await nothing(async () => {
        for (const lastEventId of ['-1', 'x', '1e3', '99999999999999999999', '']) {
          assert.equal((await world.stream(path, { lastEventId })).status, 400, lastEventId);
        }
        assert.equal((await world.stream('/v1/keyrings/0x00/events')).status, 400);
        assert.equal((await world.stream(`${path}?after=-1`)).status, 400);
      });
    });

    it('of a workspace or a keyring by somebody who may not register any', async () => {
      const made = createWorld({ name: 'strangers' });
      const listed = signerOf('listed').credential;
      const store = new MemoryStore();
      const service = createCoordinatorService({
        store,
        networkId: worldNetwork,
        create: { allowlist: [listed] },
        now: () => start,
        log: () => undefined,
        version: '0',
      });
      const { workspace_create: createWorkspace, keyring_create: createKeyring } = service.handlers;
      const { signal } = new AbortController();
      await nothing(async () => {
        await assert.rejects(createWorkspace({ genesis: made.genesis }, {}, signal), /on its list/);
        await assert.rejects(createKeyring({ roster: made.keyring.envelope }, {}, signal), /on its list/);
      });
      await store.close();
    });
  });

  it('checks the keys that a genesis may introduce only when its signatures are right', () => {
    const made = createWorld({ name: 'keys' });
    const { content } = readContent(workspaceGenesis, made.genesis, worldNetwork);
    const owners = Array.from({ length: 5 }, (_, index) => ({
      name: `o${index}`,
      credentials: Array.from({ length: 10 }, (_unused, each) => signerOf('many', index, each).credential),
    }));
    // The last one is no point of the curve: whoever checks the keys first says so.
    owners.at(-1)!.credentials[9] = `ed25519:0x02${'00'.repeat(31)}`;
    const genesis: Envelope = createRecord(workspaceGenesis, { ...content, owners }, signerOf('many', 0, 0));
    assert.throws(() => openWorkspace([genesis], worldNetwork), { code: 'bad_key' });
    const forged = {
      ...genesis.signatures[0]!,
      signature: toHex(new Uint8Array(64)),
    };
    assert.throws(() => openWorkspace([{ ...genesis, signatures: [forged] }], worldNetwork), {
      code: 'bad_signature',
    });
  });

  it('answers in few words, whatever the length of what was wrong', async () => {
    await world.open();
    const names = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`name-${index}\n`, 0]));
    for (const body of [
      call('workspace_get', names),
      call('x'.repeat(100)),
      JSON.stringify({ ...names, id: 1 }),
    ]) {
      const text = await (await world.post(body, world.headers('POST', '/rpc', body))).text();
      assert.ok(text.length < 3000, `${text.length} bytes`);
      assert.doesNotMatch((JSON.parse(text) as Answer).error!.message, /\n/);
    }
  });

  it('says in few words what is wrong with a record of fifteen thousand strange fields', () => {
    const fields = Object.fromEntries(Array.from({ length: 15_000 }, (_, index) => [`field${index}`, 0]));
    const { genesis } = createWorld({ name: 'strange' });
    const { content } = readContent(workspaceGenesis, genesis, worldNetwork);
    const bytes = base64urlnopad.encode(encodeCanonical({ ...content, ...fields }));
    const envelope = { ...genesis, bytes };
    try {
      readContent(workspaceGenesis, envelope, worldNetwork);
      assert.fail('it is no record');
    } catch (error) {
      assert.ok(error instanceof RecordError);
      assert.ok(error.message.length > 100_000);
      const told = JSON.stringify(errorObject(recordRefused(error)));
      assert.ok(told.length < 3000, `${told.length} bytes`);
      assert.doesNotMatch(told, /\\n/);
    }
  });

  it('does not search a full memory of nonces for each request anew', () => {
    const nonces = new NonceMemory(20_000);
    for (let index = 0; index < 20_000; index += 1) nonces.remember(`ed25519:${index}`, '0x00', start);
    let looks = 0;
    const entries = Map.prototype[Symbol.iterator];
    Map.prototype[Symbol.iterator] = function (this: Map<unknown, unknown>) {
      looks += 1;
      return entries.call(this);
    } as typeof entries;
    try {
      for (let index = 0; index < 50; index += 1) {
        assert.equal(
          nonces.remember(owner.credential, toHex(new Uint8Array(16).fill(index)), start + 5000),
          'full',
        );
      }
    } finally {
      Map.prototype[Symbol.iterator] = entries;
    }
    assert.ok(looks <= 20_001, `${looks} credentials were looked at for 50 requests`);
    assert.equal(nonces.remember(owner.credential, '0x01', start + nonceLifetime + 6001), 'fresh');
  });
});
