import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { type ConnectorConfig, parseConnectorConfig } from '../../connector/config.ts';
import { ConnectorError, type ConnectorErrorCode } from '../../connector/connector-error.ts';
import { Cursor } from '../../connector/cursor.ts';
import { type Connector, type ConnectorOptions, startConnector } from '../../connector/main.ts';
import type { Backoff } from '../../connector/retry.ts';
import { delayAfter } from '../../connector/retry.ts';
import type { Hex } from '../../protocol/hex.ts';
import { type Envelope, envelopeId } from '../../protocol/records/envelope.ts';
import { FakeCoordinator, Refusal } from '../support/fake-coordinator.ts';
import { FakeNode } from '../support/fake-node.ts';
import {
  evidenceFor,
  grantFor,
  key,
  keyring,
  networkId,
  now,
  parties,
  resultOf,
  seedOf,
  signatureOf,
  signerOf,
  signRequest,
  workspace,
} from '../support/signed-world.ts';
import { until } from '../support/until.ts';

const party = parties[0]!;
const connectorKey = signerOf('connector');
const nodeAddress = '/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWBhMbLvQKgVBTHnkqAkBvtdMCQwzhQ3L4UpKgvTzWUJCP';

/** Waits as the real one does, but never long. */
const quick: Backoff = {
  firstMs: 1,
  maxMs: 4,
  random: () => 0.5,
  sleep: async (milliseconds, signal) => {
    await wait(Math.min(milliseconds, 5), undefined, { signal });
  },
};

interface Logged {
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

const fails = (code: ConnectorErrorCode, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ConnectorError, String(error));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, words);
  assert.doesNotMatch(error.message, /\n/);
  return true;
};

let texts = 0;
/** A request that no other test made. */
const request = () => signRequest(`text ${(texts += 1)}`);

describe('connector', () => {
  let root: string;
  let dir: string;
  let coordinator: FakeCoordinator;
  let node: FakeNode;
  let log: Logged[];
  let running: Connector[];

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'countersign-connector-'));
    dir = join(root, 'data');
    await writeFile(join(root, 'grant.json'), JSON.stringify(grantFor(connectorKey, now + 3600_000)));
    coordinator = new FakeCoordinator({ networkId, now: () => now });
    await coordinator.start();
    node = new FakeNode({ networkId, keyringId: keyring.id, party: party.credential });
    log = [];
    running = [];
  });

  afterEach(async () => {
    await Promise.all(running.map((connector) => connector.stop()));
    await coordinator.stop();
    await rm(root, { recursive: true, force: true });
  });

  const config = (): ConnectorConfig => ({
    networkId,
    dir,
    coordinator: coordinator.url,
    node: nodeAddress,
    grant: join(root, 'grant.json'),
    key: join(root, 'unused.json'),
  });

  async function start(options: Partial<ConnectorOptions> = {}): Promise<Connector> {
    const connector = await startConnector({
      config: config(),
      seed: seedOf('connector'),
      log: (event, fields) => log.push({ event, fields }),
      now: () => now,
      door: node,
      backoff: quick,
      heartbeatMs: 1000,
      ...options,
    });
    running.push(connector);
    return connector;
  }

  const logged = (event: string) => log.filter((entry) => entry.event === event).map((entry) => entry.fields);
  const watching = () =>
    until(
      () => coordinator.watchers === 1,
      () => `watching: ${JSON.stringify(log)}`,
    );
  const isStored = (id: Hex) =>
    until(
      () => node.stored.includes(id),
      () => `${id} stored: ${JSON.stringify(log)}`,
    );
  const cursorFile = (of: 'events' | 'results') => join(dir, `${of}-${keyring.id.slice(2)}.json`);
  const onDisk = async (of: 'events' | 'results'): Promise<number | undefined> => {
    try {
      return (JSON.parse(await readFile(cursorFile(of), 'utf8')) as { sequence: number }).sequence;
    } catch {
      return undefined;
    }
  };
  const reaches = (of: 'events' | 'results', sequence: number) =>
    until(async () => (await onDisk(of)) === sequence, `the ${of} cursor reaches ${sequence}`);

  function addPending(): Hex {
    const { id, envelope } = request();
    coordinator.add(id, evidenceFor(envelope));
    return id;
  }

  function resultFor(text: string): Envelope {
    const { id } = signRequest(text);
    return resultOf(party, id, { kind: 'signatures', signatures: [signatureOf(text)] });
  }
  const submitted = () => coordinator.results.map((result) => envelopeId(result, networkId));

  describe('forwards', () => {
    it('what is pending at its start, on all pages, and then what happens', async () => {
      coordinator.pageLimit = 2;
      const before = Array.from({ length: 5 }, addPending);
      await start();
      for (const id of before) await isStored(id);
      await watching();
      assert.deepEqual(coordinator.cursors, [5]);
      const later = addPending();
      await isStored(later);
      await reaches('events', 6);
      assert.deepEqual(new Set(node.stored), new Set([...before, later]));
      assert.deepEqual(logged('request.forwarded').at(-1), { requestId: later, nodeState: 'authorised' });
      assert.ok(logged('request.seen').some((fields) => fields['requestId'] === later));
    });

    it('what becomes pending while later pages of the snapshot are read', async () => {
      coordinator.pageLimit = 1;
      const { id, envelope } = request();
      coordinator.add(id, evidenceFor(envelope), 'partial');
      addPending();
      coordinator.onCall = ({ params }) => {
        if (params.after !== undefined && coordinator.events.length === 2) coordinator.move(id, 'pending');
      };
      await start();
      await isStored(id);
      await watching();
      assert.deepEqual(coordinator.cursors, [2], 'the first page is what counts');
    });

    it('a notice while a request is partial, and it again when it has approvals and is pending', async () => {
      const { id, envelope } = request();
      coordinator.add(id, evidenceFor(envelope), 'partial');
      await start();
      await watching();
      await isStored(id);
      coordinator.move(id, 'pending');
      await reaches('events', 2);
      coordinator.move(id, 'fulfilled');
      await reaches('events', 3);
      assert(node.stored.every((stored) => stored === id));
      assert(node.stored.length >= 2);
    });

    it("a workspace's log: of those that have changed at the start, and when one changes", async () => {
      const head = { seq: 1, id: key.id };
      const item = { workspaceId: workspace.id, head, log: [...workspace.log] };
      coordinator.logs.push(item);
      await start();
      await watching();
      await until(() => node.logs.length === 1, 'the log at the start');
      node.logOutcome = 'busy';
      coordinator.tell({
        type: 'workspace.head',
        workspaceId: workspace.id,
        head,
        at: '2031-05-06T07:08:09.000Z',
      });
      await until(() => node.logs.length >= 3, 'it is brought until the node takes it');
      node.logOutcome = 'newer';
      await reaches('events', 1);
      assert.deepEqual(node.logs.at(-1), workspace.log);
      assert.equal(logged('log.forwarded').at(-1)?.['outcome'], 'newer');
    });

    it("a workspace's log at the start, though the coordinator has it only when it is asked again", async () => {
      const head = { seq: 1, id: key.id };
      coordinator.logs.push({ workspaceId: workspace.id, head, log: [...workspace.log] });
      let failures = 0;
      coordinator.onCall = ({ method }) => {
        if (method === 'connector_logs' && (failures += 1) <= 2) throw new Refusal('unavailable');
      };
      await start();
      await watching();
      await until(() => node.logs.length === 1, 'the log is brought');
      assert.equal(failures, 3);
    });

    it('watches without the logs that the coordinator never gives', async () => {
      coordinator.onCall = ({ method }) => {
        if (method === 'connector_logs') throw new Refusal('unavailable');
      };
      const id = addPending();
      await start();
      await watching();
      await isStored(id);
      await reaches('events', 1);
    });

    it('new evidence when a decision comes while the request is pending', async () => {
      const id = addPending();
      await start();
      await isStored(id);
      await watching();
      coordinator.tell({
        type: 'request.decision',
        requestId: id,
        decisionId: key.id,
        principal: 'bob',
        decision: 'approve',
        at: '2031-05-06T07:08:09.000Z',
      });
      await until(() => node.stored.length === 2, 'the evidence is delivered again');
    });

    it('and moves its cursor only after the node has stored', async () => {
      await start();
      await watching();
      await reaches('events', 0);
      let release: () => void = () => undefined;
      const slow = request();
      node.onDeliver = (id) =>
        id === slow.id ? new Promise<void>((resolve) => (release = resolve)) : undefined;
      coordinator.add(slow.id, evidenceFor(slow.envelope));
      for (let count = 0; count < 4; count += 1) await isStored(addPending());
      assert.equal(await onDisk('events'), 0, 'the first of five events waits for the node');
      assert.equal(node.stored.includes(slow.id), false);
      release();
      await isStored(slow.id);
      await reaches('events', 5);
    });

    it('again after a restart what the node had not stored', async () => {
      const first = await start();
      await watching();
      let delivering = 0;
      node.onDeliver = () => {
        delivering += 1;
        return { error: { code: 'disk_full', message: 'no space', retry: true } };
      };
      const id = addPending();
      await until(() => delivering > 2, 'the node is asked again and again');
      await first.stop();
      assert.equal(await onDisk('events'), 0);
      assert.equal(logged('request.delayed').length, 1, 'a reason is logged once');
      node.onDeliver = () => undefined;
      await start();
      await isStored(id);
      await reaches('events', 1);
    });

    it('past a request that the node refuses for good', async () => {
      const poisoned = addPending();
      node.onDeliver = (id) => {
        if (id !== poisoned) return undefined;
        return { error: { code: 'bad_evidence', message: 'not of my keyring', retry: false } };
      };
      await start();
      const next = addPending();
      await isStored(next);
      await reaches('events', 2);
      assert.deepEqual(logged('request.skipped'), [
        { requestId: poisoned, code: 'bad_evidence', detail: 'not of my keyring' },
      ]);
      assert.equal(node.stored.includes(poisoned), false);
    });

    it('again, now and then, what the coordinator showed wrongly at first', async () => {
      const id = addPending();
      const { requestId, evidence } = coordinator.requests.get(id)!;
      const other = evidenceFor(request().envelope);
      const broken = { ...evidence, request: { ...evidence.request, bytes: 'A' } };
      for (const wrong of [other, broken]) {
        coordinator.requests.set(id, { requestId, state: 'pending', evidence: wrong });
        const skipped = logged('request.skipped').length;
        if (skipped === 0) await start({ lookAgainMs: 20 });
        await until(() => logged('request.skipped').length > skipped + 1, 'it is skipped');
      }
      // No event tells of it.
      coordinator.requests.set(id, { requestId, state: 'pending', evidence });
      await isStored(id);
      assert.deepEqual([...new Set(logged('request.skipped').map(({ code }) => code))], ['wrong_evidence']);
    });

    it('past a request that the node puts off, without forgetting it', async () => {
      await start();
      await watching();
      let open = false;
      let asked = 0;
      const slow = request();
      node.onDeliver = (id) => {
        if (id !== slow.id || open) return undefined;
        asked += 1;
        return { error: { code: 'behind', message: 'the log is not here yet', retry: true } };
      };
      coordinator.add(slow.id, evidenceFor(slow.envelope));
      for (let count = 0; count < 3; count += 1) await isStored(addPending());
      await until(() => asked > 3, 'it is tried again');
      assert.equal(await onDisk('events'), 0, 'the cursor waits for it');
      open = true;
      await isStored(slow.id);
      await reaches('events', 4);
    });

    it('nothing that ended while the node put it off', async () => {
      await start();
      await watching();
      node.onDeliver = () => ({ error: { code: 'behind', message: 'wait', retry: true } });
      const id = addPending();
      await until(() => logged('request.delayed').length === 1, 'it is put off');
      coordinator.move(id, 'rejected');
      await reaches('events', 2);
      assert.deepEqual(node.stored, []);
    });

    describe('how a request has ended that its node holds open', () => {
      /** A request that the node holds open, of which the coordinator says that it has ended. */
      function addEnded(state: 'fulfilled' | 'rejected', isHeld = true): Hex {
        const text = `ended ${(texts += 1)}`;
        const { id, envelope } = signRequest(text);
        const evidence = evidenceFor(envelope);
        coordinator.requests.set(id, { requestId: id, state, evidence });
        const results = [resultOf(party, id, { kind: 'signatures', signatures: [signatureOf(text)] })];
        if (state === 'fulfilled')
          coordinator.receipts.set(id, {
            type: 'countersign.receipt',
            version: 1,
            networkId,
            evidence,
            results,
            signatures: [signatureOf(text)],
          });
        if (isHeld) node.open.add(id);
        return id;
      }
      const told = () => node.receipts.map(({ evidence }) => envelopeId(evidence.request, networkId));
      const isTold = (id: Hex) =>
        until(
          () => told().includes(id),
          () => `${id} told: ${JSON.stringify(log)}`,
        );

      it('when it starts, with the receipt, and asks for nothing else of what is open', async () => {
        const open = addPending();
        node.open.add(open);
        const ended = [addEnded('fulfilled'), addEnded('fulfilled'), addEnded('fulfilled')];
        const elsewhere = addEnded('fulfilled', false);
        node.openPage = 2;
        await start();
        await Promise.all(ended.map(isTold));
        await reaches('events', 1);
        assert.deepEqual(told().toSorted(), ended.toSorted());
        const asked = coordinator.calls.flatMap(({ params }) => params.requestIds ?? []);
        assert.deepEqual(asked.toSorted(), ended.toSorted(), 'nothing is fetched of what is open');
        assert(!told().includes(elsewhere), 'nor of what the node does not hold');
        assert.deepEqual(node.stored, [open]);
      });

      it('when the node comes back, once, and not again at every look', async () => {
        const id = addEnded('rejected');
        node.onDeliver = () => ({ error: { code: 'cancelled', message: 'by alice', retry: false } });
        node.up = false;
        await start({ lookAgainMs: 10 });
        await watching();
        node.up = true;
        await until(() => logged('request.forwarded').length > 0, 'it is brought');
        const looks = node.askedOpen.length;
        await until(() => node.askedOpen.length > looks + 2, 'it looks again');
        assert.deepEqual(logged('request.forwarded'), [
          { requestId: id, nodeState: 'waiting', detail: 'by alice' },
        ]);
        assert.deepEqual(node.receipts, [], 'no receipt is asked for');
      });

      it('when a decision comes and the request has ended meanwhile, and asks about that one alone', async () => {
        await start();
        await watching();
        await until(() => node.askedOpen.length === 1, 'all are compared');
        const id = addEnded('fulfilled');
        const other = addEnded('fulfilled', false);
        for (const requestId of [id, other])
          coordinator.tell({
            type: 'request.decision',
            requestId,
            decisionId: requestId,
            principal: 'bob',
            decision: 'approve',
            at: '2031-05-06T07:08:09.000Z',
          });
        await isTold(id);
        await reaches('events', 2);
        assert.deepEqual(told(), [id]);
        const asked = node.askedOpen.slice(1).flatMap((ids): readonly string[] => ids ?? ['all']);
        assert.deepEqual(asked.toSorted(), [id, other].toSorted());
      });

      it('again at the next look, when the coordinator had no proof of it, or the node did not believe it', async () => {
        const lied = addEnded('fulfilled');
        const forged = addEnded('fulfilled');
        const receipt = coordinator.receipts.get(lied)!;
        coordinator.receipts.delete(lied);
        let believes = false;
        node.onReceipt = (id) =>
          believes || id !== forged
            ? undefined
            : { error: { code: 'bad_receipt', message: 'it proves nothing', retry: false } };
        await start({ lookAgainMs: 10 });
        const skipped = (id: Hex) =>
          logged('request.skipped')
            .filter(({ requestId }) => requestId === id)
            .map(({ code }) => code);
        await until(() => skipped(lied).length > 1 && skipped(forged).length > 1, 'both are skipped');
        assert.deepEqual([...new Set(skipped(lied))], ['wrong_state']);
        assert.deepEqual([...new Set(skipped(forged))], ['bad_receipt']);
        assert(!told().includes(lied));
        coordinator.receipts.set(lied, receipt);
        believes = true;
        await until(() => node.open.size === 0, 'both have ended');
      });

      it('with no receipt of another request', async () => {
        const [one, other] = [addEnded('fulfilled'), addEnded('fulfilled', false)];
        coordinator.receipts.set(one, coordinator.receipts.get(other)!);
        await start();
        await until(() => logged('request.skipped').length > 0, 'it is skipped');
        assert.equal(logged('request.skipped')[0]?.['code'], 'wrong_evidence');
        assert.deepEqual(node.receipts, []);
      });
    });

    it('no evidence of another request, nor more than the door takes', async () => {
      const { id } = request();
      coordinator.add(id, evidenceFor(request().envelope));
      const large = request();
      const evidence = evidenceFor(large.envelope);
      const log = Array.from({ length: 14 }, () => ({ ...large.envelope, bytes: 'A'.repeat(349_000) }));
      coordinator.add(large.id, { ...evidence, log });
      await start();
      await isStored(addPending());
      await reaches('events', 3);
      const skipped = new Map(
        logged('request.skipped').map((fields) => [fields['requestId'], fields['code']]),
      );
      assert.deepEqual(
        skipped,
        new Map([
          [id, 'wrong_evidence'],
          [large.id, 'too_large'],
        ]),
      );
      assert.equal(node.stored.length, 1);
    });

    it('from a new snapshot when its cursor is too old', async () => {
      await start();
      await watching();
      await coordinator.stop();
      const missed = Array.from({ length: 3 }, addPending);
      coordinator.forgotten = 2;
      await coordinator.start();
      for (const id of missed) await isStored(id);
      await reaches('events', 3);
      await watching();
      assert.deepEqual(coordinator.cursors, [0, 0, 3]);
    });

    it('from a new snapshot after an event that it cannot read', async () => {
      await start();
      await watching();
      coordinator.tell({ type: 'request.surprise' } as never);
      const id = addPending();
      await isStored(id);
      await reaches('events', 2);
    });

    it('what happened while the stream was cut', async () => {
      await start();
      await watching();
      for (let count = 1; count <= 3; count += 1) {
        coordinator.cutStreams();
        await isStored(addPending());
      }
      await reaches('events', 3);
      assert.deepEqual(
        logged('coordinator.unreachable'),
        [],
        'a stream may end: only not to reach it is an outage',
      );
    });

    it('from a coordinator that has forgotten what it told, and says so', async () => {
      addPending();
      addPending();
      const first = await start();
      await reaches('events', 2);
      await first.stop();
      coordinator.events.length = 0;
      coordinator.requests.clear();
      const id = addPending();
      await start();
      await isStored(id);
      await reaches('events', 1);
      assert.deepEqual(logged('coordinator.rewound'), [{ had: 2, has: 1 }]);
    });

    it('when the node comes back, saying once that it was away', async () => {
      node.up = false;
      const ids = [addPending(), addPending()];
      await start();
      await watching();
      await until(() => logged('node.unreachable').length === 1, 'the outage is logged');
      const before = coordinator.calls.length;
      await until(() => coordinator.calls.length > before + 6, 'it goes on trying');
      node.up = true;
      for (const id of ids) await isStored(id);
      await until(() => logged('node.reached').length === 1, 'the end of the outage is logged');
      assert.deepEqual(
        logged('node.unreachable').map((fields) => fields['code']),
        ['unreachable'],
      );
      await reaches('events', 2);
    });
  });

  describe('submits', () => {
    it('every result of the node, once, in one pass, and goes on after a restart', async () => {
      const results = ['a', 'b', 'c'].map(resultFor);
      for (const result of results) node.addResult(result);
      const first = await start();
      await reaches('results', 3);
      assert.deepEqual(new Set(submitted()), new Set(results.map((result) => envelopeId(result, networkId))));
      const fields = logged('result.submitted').find(
        (entry) => entry['resultId'] === envelopeId(results[0]!, networkId),
      );
      assert.equal(fields?.['state'], 'pending');
      assert.deepEqual(fields?.['votes'], { have: 1, need: 2, refused: 0 });
      assert.equal(logged('result.received').length, 3);
      await first.stop();
      node.asked.length = 0;
      const last = resultFor('d');
      await start();
      await until(() => node.asked.length > 0, 'the node is asked');
      assert.equal(node.asked[0], 3);
      node.addResult(last);
      await reaches('results', 4);
      assert.equal(coordinator.results.length, 4);
    });

    it('from the start to a node that has made fewer than were taken from it', async () => {
      for (const text of ['a', 'b', 'c']) node.addResult(resultFor(text));
      const first = await start();
      await reaches('results', 3);
      await first.stop();
      // Its folder is an older copy.
      const [kept] = node.results.splice(0);
      node.addResult(kept!.result);
      coordinator.results.length = 0;
      await start();
      await reaches('results', 1);
      assert.deepEqual(submitted(), [envelopeId(kept!.result, networkId)]);
      assert.deepEqual(
        logged('node.rewound').map(({ had }) => had),
        [3],
      );
      assert.deepEqual(logged('node.unreachable'), []);
    });

    it('the result of a request that its node had finished before this connector came', async () => {
      const result = resultFor('before');
      node.onDeliver = (requestId) => ({ requestId, state: 'done', result });
      addPending();
      await start();
      await until(() => coordinator.results.length > 0, 'the result is submitted');
      assert.deepEqual(submitted(), [envelopeId(result, networkId)]);
    });

    it('again what a coordinator did not answer, through an outage that is logged once', async () => {
      await start();
      await watching();
      await coordinator.stop();
      const result = resultFor('e');
      node.addResult(result);
      await until(() => logged('coordinator.unreachable').length > 0, 'the outage is logged');
      await until(() => logged('result.received').length === 1, 'the result is received');
      assert.equal(await onDisk('results'), undefined);
      await coordinator.start();
      await reaches('results', 1);
      assert.deepEqual(submitted(), [envelopeId(result, networkId)]);
      await until(() => logged('coordinator.reached').length === 1, 'the end of the outage is logged');
      assert.equal(logged('coordinator.unreachable').length, 1);
    });

    it('past a result that the coordinator will never take', async () => {
      const permanent = [
        'conflicting_result',
        'not_found',
        'bad_signature',
        'wrong_state',
        'invalid_params',
      ] as const;
      const refused = new Map(permanent.map((code) => [envelopeId(resultFor(code), networkId), code]));
      const results = permanent.map(resultFor);
      const codes = new Map(results.map((result, index) => [result.bytes, permanent[index]!]));
      coordinator.onCall = ({ method, params }) => {
        const code = codes.get(params.result?.bytes ?? '');
        if (method === 'connector_submitResult' && code) throw new Refusal(code);
      };
      for (const result of results) node.addResult(result);
      const good = resultFor('good');
      node.addResult(good);
      await start();
      await reaches('results', permanent.length + 1);
      assert.deepEqual(submitted(), [envelopeId(good, networkId)]);
      assert.equal(refused.size, permanent.length);
      assert.deepEqual(
        new Set(logged('result.skipped').map((fields) => fields['code'])),
        new Set<unknown>(permanent),
      );
    });

    it('until it is taken when the error can pass', async () => {
      const passing = [
        'unavailable',
        'rate_limited',
        'internal_error',
        'unauthenticated',
        'forbidden',
        'expired',
      ] as const;
      let tries = 0;
      coordinator.onCall = ({ method }) => {
        if (method !== 'connector_submitResult') return;
        const code = passing[tries];
        tries += 1;
        if (code) throw new Refusal(code);
      };
      node.addResult(resultFor('f'));
      await start();
      await reaches('results', 1);
      assert.equal(tries, passing.length + 1);
      assert.equal(coordinator.results.length, 1);
    });

    it('from the first that was not counted, when a later one of the batch was faster', async () => {
      const results = ['g', 'h', 'i'].map(resultFor);
      coordinator.onCall = ({ params }) => {
        if (params.result?.bytes === results[1]!.bytes) throw new Refusal('unavailable');
      };
      for (const result of results) node.addResult(result);
      const first = await start();
      await reaches('results', 1);
      await until(() => submitted().includes(envelopeId(results[2]!, networkId)), 'the third is taken');
      await first.stop();
      assert.equal(await onDisk('results'), 1);
      coordinator.onCall = () => undefined;
      await start();
      await reaches('results', 3);
    });
  });

  describe('as a process', () => {
    it('tells the coordinator whether its node is up', async () => {
      await start({ heartbeatMs: 20 });
      await until(() => coordinator.heartbeats.includes(true), 'a heartbeat says up');
      node.up = false;
      await until(() => coordinator.heartbeats.at(-1) === false, 'a heartbeat says down');
    });

    it('does not take another party for its node', async () => {
      node = new FakeNode({ networkId, keyringId: keyring.id, party: parties[1]!.credential });
      await start();
      await until(() => coordinator.heartbeats.length > 1, 'heartbeats');
      assert.ok(coordinator.heartbeats.every((up) => !up));
      assert.deepEqual(
        logged('node.refused').map((fields) => fields['code']),
        ['wrong_node'],
      );
    });

    it('says that it is ready once it watches, and not after it stopped', async () => {
      await coordinator.stop();
      const connector = await start();
      await until(() => logged('coordinator.unreachable').length > 0, 'it tries');
      assert.equal((await readdir(dir)).includes('ready.json'), false);
      await coordinator.start();
      await until(async () => (await readdir(dir)).includes('ready.json'), 'ready.json');
      assert.deepEqual(JSON.parse(await readFile(join(dir, 'ready.json'), 'utf8')), { pid: process.pid });
      await connector.stop();
      assert.equal((await readdir(dir)).includes('ready.json'), false);
    });

    it('stops with everything closed, in the middle of a delivery and of a call', async () => {
      let delivering = 0;
      node.onDeliver = () => {
        delivering += 1;
        return { error: { code: 'behind', message: 'wait', retry: true } };
      };
      coordinator.onCall = async ({ method }) => {
        if (method === 'connector_submitResult') await new Promise(() => undefined);
      };
      node.addResult(resultFor('never answered'));
      addPending();
      const connector = await start();
      await watching();
      await until(
        () => delivering > 0 && coordinator.calls.some((call) => call.method === 'connector_submitResult'),
        'work',
      );
      await Promise.all([connector.stop(), connector.stop()]);
      await connector.finished;
      assert.equal(node.running, false);
      await until(() => coordinator.watchers === 0, 'the stream is closed');
      const [calls, entries] = [coordinator.calls.length, log.length];
      await coordinator.stop(); // Returns when no connection is left.
      assert.equal(coordinator.calls.length, calls, 'no call follows');
      assert.equal(log.length, entries, 'nothing is logged any more');
    });

    it('ends, and says why, when it cannot keep its cursor', async () => {
      const connector = await start();
      await watching();
      await reaches('events', 0);
      await rm(dir, { recursive: true });
      addPending();
      await assert.rejects(connector.finished, fails('storage', /cannot write .*ENOENT/));
      assert.equal(node.running, false);
      assert.equal(logged('connector.failed').length, 1);
    });

    it('removes what a killed run had half written, and nothing else', async () => {
      const first = await start();
      await reaches('events', 0);
      await first.stop();
      const names = ['ready.json', ...(await readdir(dir)).filter((file) => /^(events|results)-/.test(file))];
      assert.ok(names.length > 1);
      const left = names.map((file) => `.${file}.0123456789abcdef.tmp`);
      const kept = '.grant.json.0123456789abcdef.tmp';
      for (const file of [...left, kept]) await writeFile(join(dir, file), 'x');
      await start();
      const files = await readdir(dir);
      assert.deepEqual(
        files.filter((file) => file.endsWith('.tmp')),
        [kept],
      );
    });

    it('refuses a folder that another connector of this process uses', async () => {
      const first = await start();
      await assert.rejects(start(), fails('locked', /is in use by another connector: stop/));
      assert.equal(node.running, true, 'the refused one touched nothing');
      await watching();
      await first.stop();
      await start();
    });

    it('lets exactly one of many processes take a folder, and the next when that one was killed', async () => {
      await mkdir(dir);
      const lock = new URL('../../connector/lock.ts', import.meta.url).href;
      const program = `
        const { lockFolder } = await import(${JSON.stringify(lock)});
        const input = process.stdin[Symbol.asyncIterator]();
        console.log('here');
        await input.next();
        console.log(await lockFolder(${JSON.stringify(dir)}).then(() => 'won', (error) => error.code));
        await input.next();`;
      const flags = ['--import', 'tsx', '--input-type=module', '-e', program];
      const children = Array.from({ length: 3 }, () => {
        const child = spawn(process.execPath, flags, { stdio: ['pipe', 'pipe', 'inherit'] });
        const said: string[] = [];
        child.stdout.on('data', (text: Buffer) => said.push(...text.toString().trim().split('\n')));
        return { child, said, exited: once(child, 'exit') };
      });
      try {
        await until(() => children.every(({ said }) => said.length === 1), 'all are here');
        for (const { child } of children) child.stdin.write('go\n');
        await until(() => children.every(({ said }) => said.length === 2), 'all have tried');
        assert.equal(children.filter(({ said }) => said[1] === 'won').length, 1);
        assert.equal(children.filter(({ said }) => said[1] === 'locked').length, 2);
        await assert.rejects(start(), fails('locked', /is in use by another connector/));
      } finally {
        for (const { child } of children) child.kill('SIGKILL');
        await Promise.all(children.map(({ exited }) => exited));
      }
      await start();
    });

    it('refuses a corrupt or foreign cursor, and says that deleting it is safe', async () => {
      await (await start()).stop();
      const other = { version: 1, networkId, keyringId: key.id, sequence: 3 };
      const texts = ['', '{"sequence":', 'null', '{"sequence":3}', JSON.stringify(other)];
      for (const of of ['events', 'results'] as const) {
        for (const text of texts) {
          await writeFile(cursorFile(of), text);
          await assert.rejects(start(), fails('corrupt_cursor', /delete it.*safe/));
          assert.equal(node.running, false);
        }
        await rm(cursorFile(of));
      }
      await start();
    });

    it('refuses a grant that is not for it, or no longer', async () => {
      const file = join(root, 'grant.json');
      const grants: [string, RegExp][] = [
        [JSON.stringify(grantFor(signerOf('another'), now + 1000)), /is for connector/],
        [JSON.stringify(grantFor(connectorKey, now)), /ended at/],
        [JSON.stringify({ ...grantFor(connectorKey, now + 1000), signatures: [] }), /has not signed/],
        ['{', /not a record/],
        ['{}', /not a record/],
      ];
      for (const [text, words] of grants) {
        await writeFile(file, text);
        await assert.rejects(start(), fails('bad_grant', words));
      }
      await rm(file);
      await assert.rejects(start(), fails('bad_grant', /there is no grant: .*allow-connector/));
      assert.equal(node.starts, 0);
    });
  });

  it('keeps the latest of many sequences, whole at every moment', async () => {
    await mkdir(dir);
    const name = { dir, of: 'events', networkId, keyringId: keyring.id } as const;
    const cursor = await Cursor.open(name);
    assert.equal(cursor.sequence, undefined);
    await Promise.all(Array.from({ length: 50 }, (_, index) => cursor.set(index + 1)));
    assert.equal(cursor.sequence, 50);
    await cursor.set(7);
    assert.equal((await Cursor.open(name)).sequence, 7);
    assert.deepEqual(await readdir(dir), [`events-${keyring.id.slice(2)}.json`]);
  });
});

describe('connector configuration', () => {
  const good = {
    networkId,
    dir: '/var/lib/connector',
    coordinator: 'https://coordinator.example',
    node: nodeAddress,
    grant: 'grant.json',
    key: 'key.json',
  };

  it('is read as it stands', () => {
    assert.deepEqual(parseConnectorConfig(good, 'connector.yaml'), good);
  });

  it('refuses, in one line that names the file and the field', () => {
    const wrong: [Record<string, unknown>, RegExp][] = [
      [
        { ...good, node: '/ip4/127.0.0.1/tcp/4001' },
        /node: expected a multiaddress that ends with the peer id/,
      ],
      [{ ...good, node: 'localhost:4001' }, /node: expected a multiaddress/],
      [{ ...good, coordinator: 'coordinator.example' }, /coordinator: expected an address/],
      [{ ...good, coordinator: 'file:///etc/passwd' }, /coordinator: expected an address/],
      [{ ...good, networkId: 'X' }, /networkId: /],
      [{ ...good, dir: undefined }, /dir: /],
      [{ ...good, seed: '0x00', hurry: true }, /"seed", "hurry"/],
    ];
    for (const [value, words] of wrong) {
      assert.throws(() => parseConnectorConfig(value, 'connector.yaml'), fails('bad_config', words));
      assert.throws(
        () => parseConnectorConfig(value, 'connector.yaml'),
        /^ConnectorError: connector\.yaml: /,
      );
    }
    assert.throws(
      () => parseConnectorConfig('text', 'connector.yaml'),
      fails('bad_config', /connector\.yaml/),
    );
  });
});

describe('backoff', () => {
  const backoff = { ...quick, firstMs: 100, maxMs: 1000 };
  it('doubles up to its longest wait, with half of it random', () => {
    const delays = (random: number) =>
      [0, 1, 2, 3, 4, 1000].map((attempt) => delayAfter({ ...backoff, random: () => random }, attempt));
    assert.deepEqual(delays(0), [50, 100, 200, 400, 500, 500]);
    assert.deepEqual(delays(1), [100, 200, 400, 800, 1000, 1000]);
  });

  it('waits as long as a peer asks for, within reason', () => {
    assert.equal(delayAfter(backoff, 0, 5000), 5000);
    assert.equal(delayAfter(backoff, 0, 1e12), 60_000);
  });
});
