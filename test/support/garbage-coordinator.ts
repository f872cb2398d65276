// A coordinator's folder with something to lose in it: keyring, workspace, key, and requests in every state. What strangers
// send repeats these records, so that whatever of it is well formed changes nothing.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LevelStore } from '../../coordinator/store/level.ts';
import type { RpcLimits } from '../../coordinator/rpc/limits.ts';
import type { RpcTiming } from '../../coordinator/rpc/server.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { MethodName, Params } from '../../protocol/rpc.ts';
import { approve, createWorld, grantFor, idOf, networkId, signerOf, start } from './fixture.ts';
import type { Seen } from './garbage-http.ts';
import { RunningTarget } from './garbage-target.ts';
import { asked, ServiceWorld } from './service-world.ts';

export const bodyBytes = 256 * 1024;
export const batchCalls = 20;

/** Everything in a store, as text. */
export async function dump(folder: string, streams: readonly string[]): Promise<string> {
  const store = await LevelStore.open({ folder });
  try {
    const entries = await store.scan('', undefined, 10_000);
    const events = await Promise.all(streams.map((stream) => store.read(stream, 0, 10_000)));
    return JSON.stringify({ entries, events }, undefined, 1);
  } finally {
    await store.close();
  }
}

export interface Victim {
  readonly folder: string;
  readonly seen: Seen;
  readonly keyringStream: string;
  readonly requestId: Hex;
  /** What is stored, read while the coordinator does not run. */
  stored(): Promise<string>;
  start(limits: Partial<RpcLimits>, timing?: Partial<RpcTiming>): Promise<RunningTarget>;
  remove(): Promise<void>;
}

/** Makes the folder. `events`: further events, of about a kilobyte each, in the keyring's stream. */
export async function createVictim(events = 0): Promise<Victim> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-garbage-'));
  const database = join(folder, 'db');
  const world = createWorld({ name: 'garbage' });
  const store = await LevelStore.open({ folder: database });
  const at = new ServiceWorld(world, store);
  await at.register();
  const key = await at.key();
  const [waiting, pending, done] = [asked(at, key), asked(at, key), asked(at, key)];
  for (const request of [waiting, pending, done]) await at.call('sign_request', { request });
  const decisions = [pending, done].map((request) => approve(world, idOf(request), 'bob'));
  for (const decision of decisions) await at.call('action_decide', { decision });
  for (const index of [0, 1]) await at.sign(index, key, idOf(done));
  const keyringStream = `keyrings/${world.keyring.id}`;
  for (let left = events; left > 0; left -= 100) {
    const append = Array.from({ length: 100 }, (_, index) => ({
      stream: keyringStream,
      event: { type: 'filler', index, text: 'x'.repeat(1000) },
    }));
    await store.commit({ append });
  }
  const connector = signerOf('connector', 0);
  const result = (await at.call('sign_get', { requestId: idOf(done) }, at.owner())).results[0]!;
  await at.service.stop();
  await store.close();

  const workspaceId = world.workspace.id;
  const keyringId = world.keyring.id;
  const requestId = idOf(waiting);
  const call = <Name extends MethodName>(method: Name, params: Params<Name>) => ({ method, params });
  const calls = [
    call('network_get', {}),
    call('workspace_create', { genesis: world.genesis }),
    call('workspace_get', { workspaceId }),
    call('workspace_list', { limit: 3 }),
    call('keyring_create', { roster: world.keyring.envelope }),
    call('keyring_get', { keyringId }),
    call('keyring_list', {}),
    call('key_request', { request: key.request }),
    call('key_get', { keyId: key.id }),
    call('key_list', { workspaceId }),
    call('sign_request', { request: waiting }),
    call('sign_get', { requestId }),
    call('sign_list', { workspaceId, state: 'partial', limit: 5 }),
    call('sign_wait', { requestId, timeoutMs: 20 }),
    call('action_list', { workspaceId }),
    call('action_get', { requestId }),
    ...decisions.map((decision) => call('action_decide', { decision })),
    call('connector_pending', { keyringId, requestIds: [requestId] }),
    call('connector_submitResult', { result }),
    call('connector_heartbeat', { keyringId, nodeUp: true }),
  ];
  const began = Date.now();
  const now = (): number => start + (Date.now() - began);
  const owner = world.owners.alice!;
  const grant = grantFor(world, world.parties[0]!, connector);
  return {
    folder,
    keyringStream,
    requestId,
    seen: { networkId, now, calls, owner, connector, grant, keyringId, workspaceId, bodyBytes, batchCalls },
    stored: () => dump(database, [keyringStream, `workspaces/${workspaceId}`]),
    start: (limits, timing = {}) =>
      RunningTarget.start({
        role: 'coordinator',
        config: {
          networkId,
          dir: folder,
          listen: { port: 0 },
          create: 'open',
          limits: { bodyBytes, batchCalls, ...limits },
        },
        timing,
        now: now(),
      }),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  /** Whether the connection was not closed in its midst. */
  readonly whole: boolean;
}

/** The answers in what a connection gave back. Fails when it is no HTTP. */
export function answersIn(received: Buffer): HttpAnswer[] {
  const answers: HttpAnswer[] = [];
  let rest = received.toString('latin1');
  while (rest !== '') {
    const match = /^HTTP\/1\.1 (\d{3}) [^\r]*\r\n(?:[^\r\n]+\r\n)*\r\n/.exec(rest);
    assert.ok(match, `no HTTP answer: ${JSON.stringify(rest.slice(0, 300))}`);
    const status = Number(match[1]);
    const length = Number(/\r\ncontent-length: (\d+)\r\n/i.exec(match[0])?.[1] ?? Number.NaN);
    rest = rest.slice(match[0].length);
    const without = status === 100 || status === 204;
    const size = without ? 0 : Number.isNaN(length) ? rest.length : Math.min(length, rest.length);
    answers.push({ status, body: rest.slice(0, size), whole: Number.isNaN(length) || rest.length >= length });
    rest = rest.slice(size);
  }
  return answers;
}
