// What must hold of a network whose processes are killed: right after a kill, of what the dead process left on its disk;
// at the end, of everything together.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StoredRequest } from '../../coordinator/state/request.ts';
import { keyringStream, workspaceStream } from '../../coordinator/index-keys.ts';
import { LevelStore } from '../../coordinator/store/level.ts';
import { NodeStore } from '../../node/store/node-store.ts';
import type { Hex } from '../../protocol/hex.ts';
import { readContent } from '../../protocol/records/envelope.ts';
import { partyResult } from '../../protocol/records/party-result.ts';
import type { CoordinatorEvent, RequestView } from '../../protocol/rpc.ts';
import { temporaryFilesUnder } from './crash-network.ts';
import type { LocalNetwork } from './local-network.ts';
import { until } from './until.ts';

const all = 10_000;

function partyOf(net: LocalNetwork, process: string) {
  const found = net.layout.parties.find(({ node, connector }) => node === process || connector === process);
  assert.ok(found, `no party of ${process}`);
  return found;
}

/** Opens the store of a node that does not run. */
export async function withNodeStore<T>(
  net: LocalNetwork,
  node: string,
  read: (store: NodeStore) => Promise<T>,
): Promise<T> {
  const { passphrase } = net.layout;
  const { networkId } = net.network;
  const store = await NodeStore.open({ dir: partyOf(net, node).nodeDir, passphrase, networkId });
  try {
    return await read(store);
  } finally {
    await store.close();
  }
}

/** Opens the store of the coordinator while it does not run. */
async function withCoordinatorStore<T>(
  net: LocalNetwork,
  read: (store: LevelStore) => Promise<T>,
): Promise<T> {
  const store = await LevelStore.open({ folder: join(net.layout.coordinatorDir, 'db') });
  try {
    return await read(store);
  } finally {
    await store.close();
  }
}

async function cursorOf(net: LocalNetwork, connector: string, of: string): Promise<number> {
  const file = `${of}-${net.network.keyringId.slice(2)}.json`;
  try {
    const text = await readFile(join(partyOf(net, connector).connectorDir, file), 'utf8');
    return (JSON.parse(text) as { sequence: number }).sequence;
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOENT', String(error));
    return 0;
  }
}

export const cursorsOf = async (net: LocalNetwork, connector: string) => ({
  events: await cursorOf(net, connector, 'events'),
  results: await cursorOf(net, connector, 'results'),
});
export type Cursors = Awaited<ReturnType<typeof cursorsOf>>;

const toldOfNodes: ReadonlySet<string> = new Set([
  'head',
  'job.stored',
  'job.started',
  'result',
  'share.pending',
  'share.active',
]);

/** Whether what a node's point names is on its disk; undefined for a request that is not at the point. */
async function onNode(net: LocalNetwork, store: NodeStore, what: string, subject: Hex) {
  if (what === 'head') return (await store.head(net.network.workspaceId)) !== undefined;
  if (what === 'job.stored') return (await store.job(subject)) !== undefined;
  if (what === 'job.started') {
    const { state } = (await store.job(subject)) ?? {};
    return state === 'stored' || state === 'started' ? state === 'started' : undefined;
  }
  if (what === 'result') return (await store.resultOf(subject)) !== undefined;
  if (what === 'share.pending') return (await store.confirmationOf(subject)) !== undefined;
  return (await store.keyOf(subject)) !== undefined;
}

async function onCoordinator(net: LocalNetwork, what: string, subject: Hex) {
  return withCoordinatorStore(net, async (store) => {
    const entry = await store.get(`request/${subject}`);
    const request = entry?.value as unknown as StoredRequest | undefined;
    if (what === 'commit.request') return request !== undefined;
    if (what === 'commit.decision') return request?.decisions.length === 1;
    return undefined;
  });
}

/**
 * Checks that what a point names was not on the dead process's disk before, and was after. `underWay`: the requests it
 * may have been at, of which the coordinator is at the last; `cursors`: of a connector, when the point was armed.
 */
export async function inspectDead(
  net: LocalNetwork,
  process: string,
  point: string,
  underWay: readonly Hex[],
  cursors: Cursors | undefined,
): Promise<void> {
  const [, kind = '', what = '', moment] = /^(\w+)\.(.+):(\w+)$/.exec(point) ?? [];
  const { coordinatorDir } = net.layout;
  const dir =
    kind === 'coordinator'
      ? coordinatorDir
      : partyOf(net, process)[kind === 'node' ? 'nodeDir' : 'connectorDir'];
  const beside = await temporaryFilesUnder(dir);
  if (moment === 'beside') assert.ok(beside.length > 0, `${point}: no temporary file is left`);
  // Whoever waits for a process to listen must not find the word of the one that was killed before.
  if (/^(port|bound|ready):/.test(`${what}:`) && !(what === 'ready' && moment === 'after'))
    assert.ok(!existsSync(join(dir, 'ready.json')), `${point}: ready.json of an earlier run`);
  let there: boolean | undefined;
  if (kind === 'node' && toldOfNodes.has(what)) {
    const found = await withNodeStore(net, process, (store) =>
      Promise.all(underWay.map((subject) => onNode(net, store, what, subject))),
    );
    // A node may still have been at a request that the others had fulfilled before.
    there = found.includes(moment === 'after') ? moment === 'after' : moment !== 'after';
  }
  if (kind === 'coordinator') there = await onCoordinator(net, what, underWay.at(-1) ?? '0x');
  if (what === 'cursor.events' || what === 'cursor.results') {
    const of = what === 'cursor.events' ? 'events' : 'results';
    const now = await cursorOf(net, process, of);
    assert.ok(cursors !== undefined && now >= cursors[of], `${process}: its cursor went back to ${now}`);
    // It may have moved once more before the point was armed.
    if (moment === 'after') there = now > cursors[of];
  }
  if (there !== undefined)
    assert.equal(there, moment === 'after', `${point}: ${what} on the disk of ${process}`);
}

/** What was asked for in the course of a test. */
export interface Asked {
  readonly keys: readonly Hex[];
  /** Key requests of which a party lost its run before it could confirm, while others had: refused, to be made anew. */
  readonly lost: readonly Hex[];
  readonly signatures: readonly Hex[];
}

/** A request as its owner must find it at the end, and the same whenever it is asked for. */
export function assertFulfilled(net: LocalNetwork, view: RequestView): void {
  const { requestId, state, reason, results, votes } = view;
  assert.equal(state, 'fulfilled', `${requestId}: ${JSON.stringify(reason)}`);
  const parties = results.map(
    (result) => readContent(partyResult, result, net.network.networkId).content.party,
  );
  assert.equal(new Set(parties).size, parties.length, `${requestId}: a party counted twice`);
  assert.equal(votes.have, parties.length);
  assert.equal(votes.refused, 0);
}

/** Whether a key request ended as it must when a party died between the last round and its own confirmation. */
export function isLostRun({ state, reason }: RequestView): boolean {
  return state === 'rejected' && reason?.code === 'parties' && / refused: run_lost: /.test(reason.detail);
}

/** Events of one request in a stream: it becomes pending once and final once, in this order, and no result counts twice. */
function assertHistory(id: Hex, events: readonly CoordinatorEvent[]): void {
  const about = events.filter((event) => 'requestId' in event && event.requestId === id);
  const states = about.flatMap((event) => (event.type === 'request.state' ? [event.state] : []));
  assert.equal(new Set(states).size, states.length, `${id} went through ${states.join(', ')}`);
  const order = ['partial', 'pending', 'fulfilled', 'rejected'];
  assert.deepEqual(
    states,
    states.toSorted((a, b) => order.indexOf(a) - order.indexOf(b)),
  );
  assert.ok(states.includes('fulfilled') !== states.includes('rejected'), `${id}: ${states.join(', ')}`);
  const counted = about.flatMap((event) => (event.type === 'request.result' ? [event.party] : []));
  assert.equal(new Set(counted).size, counted.length, `${id}: a party counted twice`);
}

/** Of a coordinator that does not run: streams without a gap, each request's history whole, and all that was seen in it. */
async function assertStreams(
  net: LocalNetwork,
  asked: readonly Hex[],
  seen: ReadonlyMap<number, string>,
): Promise<void> {
  const { keyringId, workspaceId } = net.network;
  await withCoordinatorStore(net, async (store) => {
    for (const stream of [keyringStream(keyringId), workspaceStream(workspaceId)]) {
      const last = await store.last(stream);
      const events = await store.read(stream, 0, all);
      assert.deepEqual(
        events.map(({ sequence }) => sequence),
        Array.from({ length: last }, (_, index) => index + 1),
      );
      for (const id of asked)
        assertHistory(
          id,
          events.map(({ event }) => event as unknown as CoordinatorEvent),
        );
      if (stream !== workspaceStream(workspaceId)) continue;
      const stored = new Map(events.map(({ sequence, event }) => [sequence, JSON.stringify(event)]));
      for (const [sequence, event] of seen) {
        assert.deepEqual(JSON.parse(stored.get(sequence) ?? 'null'), JSON.parse(event), `event ${sequence}`);
      }
    }
  });
}

/** What a node had still to do when it was killed, as its log tells it once that is done. */
type Unfinished = readonly [node: string, event: 'key.active' | 'result.stored', id: Hex];

/**
 * One node's journal: every key with the one certificate, and at most one result of a request, this party's own. Returns
 * what it must complete once it runs again. `holders`: counts the nodes with a result, by request.
 */
async function assertNode(
  net: LocalNetwork,
  node: string,
  { keys, lost, signatures }: Asked,
  certificates: Map<Hex, unknown>,
  holders: Map<Hex, number>,
): Promise<readonly Unfinished[]> {
  const { networkId, members } = net.network;
  const party = members.find((member) => member.node === node)?.key;
  const unfinished: Unfinished[] = [];
  await withNodeStore(net, node, async (store) => {
    for (const id of keys) {
      const confirmation = await store.confirmationOf(id);
      assert.ok(confirmation, `${node} has no share of ${id}`);
      const key = await store.keyOf(id);
      if (key === undefined) {
        unfinished.push([node, 'key.active', id]);
        continue;
      }
      // In the order in which the confirmations came.
      const certificate = key.certificate.map(({ bytes }) => bytes).toSorted();
      assert.deepEqual(certificate, certificates.get(id) ?? certificate, `${node}: certificate of ${id}`);
      certificates.set(id, certificate);
      assert.ok(certificate.includes(confirmation.bytes), `${node} confirmed ${id} a second time`);
    }
    for (const { keyId, certificate } of await store.keys())
      assert.ok(certificate === undefined || keys.includes(keyId as Hex), `${node}: ${keyId} is active`);
    for (const id of [...keys, ...lost, ...signatures]) {
      const job = await store.job(id);
      const result = await store.resultOf(id);
      // Of a key that was refused nothing but the refusal is kept.
      if (job !== undefined)
        assert.equal(job.state === 'done', result !== undefined, `${node}: ${id} is ${job.state}`);
      // Not heard of before it was fulfilled by the others, or not yet done; or heard of before it was approved alone, which
      // is of no use to anybody once the others have signed.
      const approved = (job?.evidence as { decisions: unknown[] } | undefined)?.decisions.length !== 0;
      if (job !== undefined && result === undefined && approved) unfinished.push([node, 'result.stored', id]);
      if (result === undefined) continue;
      holders.set(id, (holders.get(id) ?? 0) + 1);
      const { content } = readContent(partyResult, result, networkId);
      assert.equal(content.party, party);
      const confirmation = await store.confirmationOf(id);
      const kind = signatures.includes(id) ? 'signatures' : confirmation ? 'key' : 'refusal';
      assert.equal(content.result.kind, kind, `${node}: result of ${id}`);
      if (job === undefined) assert.equal(kind, 'refusal', `${node}: of ${id} only the result is here`);
      if (kind === 'key') assert.equal(result.bytes, confirmation?.bytes);
    }
  });
  return unfinished;
}

/**
 * Kills everything and reads every disk. `seen`: events of the workspace that an owner has seen, by sequence. Starts the
 * network again and compares what its coordinator says with what it said before.
 */
export async function judge(
  net: LocalNetwork,
  asked: Asked,
  seen: ReadonlyMap<number, string>,
): Promise<void> {
  const ids = [...asked.keys, ...asked.signatures, ...asked.lost];
  const before = await Promise.all(ids.map((id) => net.view(id)));
  for (const view of before) {
    if (asked.lost.includes(view.requestId)) assert.ok(isLostRun(view), JSON.stringify(view.reason));
    else assertFulfilled(net, view);
  }
  for (const name of net.names) await net.kill(name);
  await assertStreams(net, ids, seen);
  const certificates = new Map<Hex, unknown>();
  const holders = new Map<Hex, number>();
  const unfinished: Unfinished[] = [];
  for (const { node } of net.layout.parties)
    unfinished.push(...(await assertNode(net, node, asked, certificates, holders)));
  for (const { requestId, votes } of before)
    assert.ok((holders.get(requestId) ?? 0) >= votes.have, `results of ${requestId}`);
  for (const name of net.names) {
    const incidents = (await net.log(name)).filter(({ event }) => event === 'session.incident');
    assert.deepEqual(incidents, [], name);
  }
  await Promise.all(net.names.map((name) => net.restart(name)));
  const { coordinatorDir, parties } = net.layout;
  for (const dir of [coordinatorDir, ...parties.flatMap((party) => [party.nodeDir, party.connectorDir])]) {
    // What is being written now has its name soon; what the killed have left would stay.
    let temporary: readonly string[] = [];
    await until(
      async () => (temporary = await temporaryFilesUnder(dir)).length === 0,
      () => `${dir} without temporary files: ${temporary.join(', ')}`,
    );
  }
  for (const [node, event, id] of unfinished) await net.logged(node, event, id);
  for (const view of await Promise.all(ids.map((id) => net.view(id)))) {
    const earlier = before.find(({ requestId }) => requestId === view.requestId)!;
    // A result that was still on its way may count now; nothing else changes.
    const { state, reason, signatures, request, decisions, expires } = earlier;
    assert.deepEqual(
      { state, reason, signatures, request, decisions, expires },
      {
        state: view.state,
        reason: view.reason,
        signatures: view.signatures,
        request: view.request,
        decisions: view.decisions,
        expires: view.expires,
      },
    );
    assert.deepEqual(view.results.slice(0, earlier.results.length), earlier.results);
  }
}
