// Real processes, killed before and after everything that coordinator, nodes and connectors write, one point after the
// other, while requests are under way: nothing acknowledged is lost, nothing happens twice, every request is fulfilled.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { buildGenesis, buildRosterDraft } from '../../client/records.ts';
import { addSignature, ed25519Signer } from '../../protocol/records/envelope.ts';
import { type Cursors, cursorsOf, inspectDead, judge } from '../support/crash-judge.ts';
import { CrashNetwork } from '../support/crash-network.ts';
import { keyPoints, registrationPoints, signPoints, startPoints } from '../support/crash-points.ts';
import { persist, PersistentOwners } from '../support/persistent-owners.ts';
import { until } from '../support/until.ts';

type Queues = Readonly<Record<string, readonly string[]>>;

/** Each process dies in turn at its points; together they are all of `points`. */
const startQueues: Queues = {
  // Backwards: a start is interrupted before it listens when the one before it did listen.
  coordinator: startPoints.filter((point) => point.startsWith('coordinator.')).toReversed(),
  'node-1': [
    'node.database:before',
    'node.boot:before',
    'node.boot-mark:before',
    'node.bound:before',
    'node.ready:before',
  ],
  'node-2': [
    'node.database:after',
    'node.boot:after',
    'node.boot-mark:beside',
    'node.bound:beside',
    'node.ready:beside',
  ],
  'node-3': ['node.boot-mark:after', 'node.ready:after', 'node.bound:after'],
  'connector-1': ['connector.ready:after', 'connector.ready:before'],
  'connector-2': ['connector.lock:after', 'connector.ready:beside'],
  'connector-3': ['connector.lock:before'],
};
const keyQueues: Queues = {
  'node-1': ['node.head:before', 'node.head:after', 'node.epoch-key:before'],
  'node-2': ['node.epoch-key:beside', 'node.share.pending:before', 'node.share.active:before'],
  'node-3': ['node.epoch-key:after', 'node.share.pending:after', 'node.share.active:after'],
};
const signQueues: Queues = {
  coordinator: signPoints.filter((point) => point.startsWith('coordinator.')),
  'node-1': ['node.job.stored:before', 'node.job.stored:after', 'node.result:before'],
  'node-2': ['node.job.started:before', 'node.job.started:after', 'node.result:after'],
  'node-3': ['node.results.acknowledged:before', 'node.results.acknowledged:after'],
  'connector-1': signPoints.filter((point) => point.startsWith('connector.cursor.events')),
  'connector-2': signPoints.filter((point) => point.startsWith('connector.cursor.results')),
};

const beforeConfirming: ReadonlySet<string> = new Set([
  ...keyPoints.filter((point) => point.startsWith('node.epoch-key:')),
  'node.share.pending:before',
]);

const pointsOf = (queues: Queues): string[] => Object.values(queues).flat();
const newSigner = () => {
  const { d } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  return ed25519Signer(new Uint8Array(Buffer.from(d ?? '', 'base64url')));
};

describe('a network that is killed at every durable write', function () {
  this.timeout(400_000);
  let crash: CrashNetwork;
  let owners: PersistentOwners;
  const died: string[] = [];

  before(async () => {
    crash = await CrashNetwork.start();
    owners = new PersistentOwners(crash.net);
  });

  after(async () => {
    await owners?.stop();
    await crash?.stop();
  });

  const cursors = new Map<string, Cursors>();
  const arm = async (process: string): Promise<void> => {
    if (process.startsWith('connector-')) cursors.set(process, await cursorsOf(crash.net, process));
  };
  const inspect = async (process: string, point: string): Promise<void> => {
    died.push(point);
    await inspectDead(crash.net, process, point, owners.underWay, cursors.get(process));
  };

  /** Lets the processes die at their points while `ask` makes one request after the other. */
  async function dieWhile(queues: Queues, ask: () => Promise<void>): Promise<void> {
    let over = false;
    owners.underWay = [];
    const deaths = Promise.all(
      Object.entries(queues).map(([process, points]) => crash.dieAt(process, points, inspect, arm)),
    ).finally(() => (over = true));
    // A process that did not die as it should must not hide behind a request that never ends.
    const failed = deaths.then(() => new Promise<never>(() => undefined));
    for (let requests = 0; !over; requests++) {
      if (requests >= 20) assert.fail(`not reached in ${requests} requests: ${crash.awaited()}`);
      await Promise.race([ask(), failed]);
      // What comes after a request is final comes soon, or with the next one.
      await until(() => over, 'all points', 1500).catch(() => undefined);
    }
    await deaths;
  }

  /** A party that died when the others could have confirmed, and had not yet itself, can only ask for a new request. */
  async function makeKey(): Promise<void> {
    const before = died.length;
    await owners.makeKey(() => died.slice(before).some((point) => beforeConfirming.has(point)));
  }

  it('has queues that name every point once', () => {
    for (const [queues, points] of [
      [startQueues, startPoints],
      [keyQueues, keyPoints],
      [signQueues, signPoints],
    ] as const) {
      assert.deepEqual(pointsOf(queues).toSorted(), [...points].toSorted());
    }
  });

  it('starts again wherever its start was interrupted', async () => {
    const { net } = crash;
    for (const name of net.names) await net.kill(name);
    await Promise.all(
      Object.entries(startQueues).map(([name, points]) => crash.dieAt(name, points, inspect)),
    );
    assert.equal(died.length, startPoints.length);
  });

  it('makes one key, with one certificate', async () => {
    await dieWhile(keyQueues, makeKey);
    while (owners.keys.length === 0) await makeKey();
  });

  it('signs what was asked for', async () => {
    await dieWhile(signQueues, () => owners.sign());
  });

  it('registers keyrings and workspaces', async () => {
    const { net } = crash;
    const { networkId } = net.network;
    const parties = [1, 2, 3].map((number) => ({ name: `p${number}`, signer: newSigner() }));
    const admin = newSigner();
    const draft = buildRosterDraft(
      {
        networkId,
        name: 'second',
        threshold: 2,
        parties: parties.map(({ name, signer }) => ({ name, key: signer.credential, addresses: [] })),
      },
      admin,
    );
    const roster = parties.reduce(
      (signed, { signer }) => addSignature(signed, networkId, signer),
      draft.envelope,
    );
    const owner = newSigner();
    const owners = [{ name: 'dora', credentials: [owner.credential] }];
    const genesis = buildGenesis({ networkId, name: 'second', owners, keyrings: [draft.id] }, owner);
    const deaths = crash.dieAt('coordinator', registrationPoints, inspect);
    deaths.catch(() => undefined); // Awaited below.
    const { client } = net.owners.alice;
    const keyring = await persist(() => client.call('keyring_create', { roster }));
    assert.equal(keyring.keyringId, draft.id);
    const made = await persist(() => client.call('workspace_create', { genesis: genesis.envelope }));
    assert.equal(made.workspaceId, genesis.id);
    await deaths;
  });

  it('has reached the points that this test knows, and no others', async () => {
    const expected = [...startPoints, ...keyPoints, ...signPoints, ...registrationPoints];
    // Where processes of their own die: test/integration/crash-points-store.test.ts.
    const elsewhere = [
      'coordinator.schema',
      'node.peer.boot',
      'node.log.charged',
      'node.log.claimed',
    ].flatMap((name) => [`${name}:before`, `${name}:after`]);
    // Pairs are set up beside everything else, whenever two parties are up; anew when one of them died before it was done. What
    // was charged for a log that a death kept from being written is forgotten at the next start.
    const beside = /^node\.(pair[.-]setup|pair-setup\.erased|log\.forgotten):/;
    const reached = (await crash.reached()).filter((point) => !beside.test(point));
    assert.deepEqual([...new Set(reached)].toSorted(), [...expected, ...elsewhere].toSorted());
    assert.deepEqual(died.toSorted(), expected.toSorted(), 'each of them once');
  });

  it('is as if nothing had happened', async function () {
    const { keys, lost, signatures, seen } = owners;
    await judge(crash.net, owners, seen);
    const requests = `${keys.length} keys, ${lost.length} lost, ${signatures.length} signatures`;
    this.test!.title += ` (${died.length} kills, ${requests})`;
  });
});
