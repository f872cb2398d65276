// Crash points that a running network does not pass: the first start in a folder, the erasure of an epoch, what time ends,
// and the commands that make a folder. Each is passed by a process of its own, which dies there.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { readPrivateFile } from '../../client/identity/sealed-file.ts';
import { createNodeFolder, readNodeFolder, storedRoster } from '../../cli/node-folder.ts';
import { LevelStore } from '../../coordinator/store/level.ts';
import { BlameFolder } from '../../node/blame-folder.ts';
import { nodePaths } from '../../node/config.ts';
import { Grants } from '../../node/grants.ts';
import { NodeStoreError } from '../../node/store/error.ts';
import { NodeStore } from '../../node/store/node-store.ts';
import type { Pairs } from '../../node/store/pairs.ts';
import { type Hex, toHex } from '../../protocol/hex.ts';
import type { Policy } from '../../protocol/policy/schema.ts';
import { type Envelope, envelopeId } from '../../protocol/records/envelope.ts';
import { temporaryFilesUnder } from '../support/crash-network.ts';
import { commandPoints, firstStartPoints, rarePoints } from '../support/crash-points.ts';
import { changed, proposed } from '../support/changes.ts';
import { approve, createWorld, keyRequest, networkId as worldNetwork } from '../support/fixture.ts';
import { ServiceWorld, submitted } from '../support/service-world.ts';
import { testBuild, type TestBuild } from '../support/test-build.ts';
import { idOf, webhook, WebhookWorld } from '../support/webhook-world.ts';
import {
  derivedCase,
  epoch,
  id,
  keyCase,
  keyringId,
  networkId,
  openOptions,
  party as self,
  passphrase,
  resultRecord,
} from '../unit/node-store.case.ts';

const cheap = { passphrase, testOnlyScryptCost: 2 ** 10 };

describe('a process that is killed', function () {
  this.timeout(240_000);
  let build: TestBuild;
  let root: string;
  /** Where something died. */
  const died = new Set<string>();

  before(async () => {
    build = await testBuild();
    root = await mkdtemp(join(tmpdir(), 'countersign-crash-store-'));
  });
  after(async () => rm(root, { recursive: true, force: true }));

  const newFolder = async (): Promise<string> => join(await mkdtemp(join(root, 'case-')), 'data');
  const names = (points: readonly string[], prefix: string) =>
    points.filter((point) => point.startsWith(prefix));

  /** Runs statements that use `imports` (name: module of dist/) in a process that must die at `point`. */
  async function dieAt(
    point: string,
    imports: Readonly<Record<string, string>>,
    statements: string,
  ): Promise<void> {
    const files = join(await mkdtemp(join(root, 'points-')), 'process');
    await writeFile(`${files}.armed`, point);
    const url = (path: string): string => JSON.stringify(pathToFileURL(build.module(path)).href);
    const lines = Object.entries(imports).map(([name, path]) => `import { ${name} } from ${url(path)};`);
    const code = [`import ${url('node/runtime.js')};`, ...lines, statements].join('\n');
    const environment = { ...process.env, COUNTERSIGN_TEST_CRASH_POINTS: files };
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
      env: environment,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let words = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (words += text));
    const signal = await new Promise((resolve) => child.once('close', (_, by) => resolve(by)));
    assert.equal(signal, 'SIGKILL', `${point}: ${words}`);
    assert.ok(!existsSync(`${files}.armed`), point);
    died.add(point.split(' ')[0]!);
  }

  /** One case after the other on each of two cores. */
  async function each(points: readonly string[], work: (point: string) => Promise<void>): Promise<void> {
    assert.ok(points.length > 0);
    const queue = [...points];
    const worker = async (): Promise<void> => {
      for (let point = queue.shift(); point !== undefined; point = queue.shift()) await work(point);
    };
    await Promise.all([worker(), worker()]);
  }

  it('in a node’s first start: the next one is the first', async () => {
    await each(names(firstStartPoints, 'node.'), async (point) => {
      const dir = await newFolder();
      const imports = { NodeStore: 'node/store/node-store.js' };
      const options = JSON.stringify(openOptions(dir));
      await dieAt(point, imports, `await (await NodeStore.open(${options})).nextBoot();`);
      const store = await NodeStore.open(openOptions(dir));
      assert.equal(await store.nextBoot(), 1, point);
      const { pending, certificate } = keyCase(1);
      await store.putPendingShare(pending);
      await store.activateKey(pending.requestId, certificate);
      await store.close();
      const again = await NodeStore.open(openOptions(dir));
      assert.deepEqual((await again.keyOf(pending.requestId))?.share, pending.share, point);
      await again.close();
      assert.deepEqual(await temporaryFilesUnder(dir), [], point);
    });
  });

  it('in a coordinator’s first start: the next one finds an empty store', async () => {
    await each(names(firstStartPoints, 'coordinator.'), async (point) => {
      const folder = await newFolder();
      const imports = { LevelStore: 'coordinator/store/level.js' };
      await dieAt(point, imports, `await LevelStore.open({ folder: ${JSON.stringify(folder)} });`);
      const store = await LevelStore.open({ folder });
      assert.deepEqual(await store.scan('', undefined, 10), []);
      await store.close();
    });
  });

  it('while it erases an epoch: the shares are there, or gone for good', async () => {
    await each(names(rarePoints, 'node.epoch'), async (point) => {
      const dir = await newFolder();
      const { pending, certificate } = keyCase(1);
      const store = await NodeStore.open(openOptions(dir));
      await store.putPendingShare(pending);
      await store.activateKey(pending.requestId, certificate);
      await store.close();
      const of = JSON.stringify([keyringId, epoch]);
      const imports = { NodeStore: 'node/store/node-store.js' };
      const options = JSON.stringify(openOptions(dir));
      await dieAt(point, imports, `await (await NodeStore.open(${options})).eraseEpoch(...${of});`);
      const again = await NodeStore.open(openOptions(dir));
      try {
        const share = again.keyOf(pending.requestId).then((key) => key?.share);
        if (point === 'node.epoch.erased:before') assert.deepEqual(await share, pending.share);
        else {
          await assert.rejects(
            share,
            (error) => error instanceof NodeStoreError && error.code === 'epoch_erased',
          );
          await assert.rejects(
            again.putPendingShare(keyCase(2).pending),
            (error) => error instanceof NodeStoreError && error.code === 'epoch_erased',
          );
          assert.deepEqual(await readdir(join(dir, 'epochs')), [], point);
        }
      } finally {
        await again.close();
      }
    });
  });

  it('while it confirms a derived key: it has confirmed, or it has not yet, and confirms once', async () => {
    await each(names(rarePoints, 'node.key'), async (point) => {
      const dir = await newFolder();
      const { pending: root, certificate } = keyCase(1);
      const { pending } = derivedCase(2, { parent: root.requestId as Hex, path: 'm/0/7' });
      const store = await NodeStore.open(openOptions(dir));
      await store.putPendingShare(root);
      await store.activateKey(root.requestId, certificate);
      await store.close();
      const imports = { NodeStore: 'node/store/node-store.js' };
      const options = JSON.stringify(openOptions(dir));
      const text = JSON.stringify(pending);
      await dieAt(point, imports, `await (await NodeStore.open(${options})).putPendingDerived(${text});`);
      const again = await NodeStore.open(openOptions(dir));
      try {
        if (point.endsWith(':before')) {
          assert.equal(await again.confirmationOf(pending.requestId), undefined, point);
          await again.putPendingDerived(pending);
        }
        assert.deepEqual(await again.confirmationOf(pending.requestId), pending.confirmation, point);
        await assert.rejects(
          again.putPendingDerived(pending),
          (error) => error instanceof NodeStoreError && error.code === 'already_confirmed',
        );
      } finally {
        await again.close();
      }
    });
  });

  it('while it notes a pause or a peer’s restart: the note is there, or it is not', async () => {
    const imports = { NodeStore: 'node/store/node-store.js' };
    const pause = { since: '2030-01-01T00:00:00.000Z', reason: 'an audit' };
    await each(names(rarePoints, 'node.pause'), async (point) => {
      const options = openOptions(await newFolder());
      const open = `(await NodeStore.open(${JSON.stringify(options)}))`;
      await dieAt(point, imports, `await ${open}.setPause(${JSON.stringify(pause)});`);
      const store = await NodeStore.open(options);
      assert.deepEqual(await store.pause(), point.endsWith(':after') ? pause : undefined);
      await store.close();
    });
    const party = createWorld().parties[0]!.credential;
    await each(names(rarePoints, 'node.peer.boot'), async (point) => {
      const options = openOptions(await newFolder());
      const open = `(await NodeStore.open(${JSON.stringify(options)}))`;
      await dieAt(point, imports, `await ${open}.rememberBoot(${JSON.stringify(party)}, { counter: 7 });`);
      const store = await NodeStore.open(options);
      const expected = point.endsWith(':after') ? [[party, { counter: 7, bootId: undefined }]] : [];
      assert.deepEqual([...(await store.highestBoots())], expected);
      await store.close();
    });
  });

  it('while it notes what is in the way of signing: the note is there, or it is not', async () => {
    const imports = { NodeStore: 'node/store/node-store.js' };
    const { workspace, genesis } = createWorld();
    const workspaceId = workspace.id;
    const fork = {
      workspaceId,
      at: 1,
      common: { seq: 0, id: workspaceId },
      known: keyringId,
      received: workspaceId,
      logs: [[genesis], [genesis]],
      open: true,
    };
    const freeze = { workspaceId, since: '2030-01-01T00:00:00.000Z' };
    const held = {
      requestId: keyringId,
      decisions: [{ source: 'operator', envelope: genesis, until: 5 }],
    };
    const { pending } = keyCase(1);
    const monthLater = 32 * 86_400_000;
    const debit = { keyId: keyringId, chain: 'solana', address: 'native', amount: 7n };
    const debits = { requestId: pending.requestId, workspaceId, at: 5, debits: [debit] };
    const strange = { workspaceId, source: 'connector', length: 5, proof: 0, at: 1 };
    const refused = id('refused');
    const refusal = resultRecord(refused, { kind: 'refusal', code: 'expired', reason: 'late' });
    const notes: [string, string, (store: NodeStore) => Promise<unknown>, unknown, unknown][] = [
      ['node.fork', `rememberFork(${JSON.stringify(fork)})`, (store) => store.forks(), [fork], []],
      [
        'node.freeze',
        `setFreeze(${JSON.stringify(workspaceId)}, ${JSON.stringify(freeze)})`,
        (store) => store.freezes(),
        [freeze],
        [],
      ],
      [
        'node.held',
        `setHeldDecisions(${JSON.stringify([held])})`,
        (store) => store.heldDecisions(),
        [held],
        [],
      ],
      [
        'node.debits.pruned',
        `forgetDebits([${JSON.stringify(pending.requestId)}], ${monthLater})`,
        (store) => store.debits(5),
        [],
        [debits],
      ],
      [
        'node.debits.noted',
        `noteDebits({ ...${JSON.stringify({ ...debits, debits: [] })}, debits: [{ ...${JSON.stringify({ ...debit, amount: 0 })}, amount: 7n }] })`,
        (store) => store.debits(5),
        [debits],
        [],
      ],
      [
        'node.refusal.passing',
        `passRefusal(${JSON.stringify(refused)}, ${JSON.stringify(refusal)})`,
        (store) => store.resultOf(refused),
        refusal,
        undefined,
      ],
      [
        'node.log.charged',
        `chargeLog(${JSON.stringify(strange)})`,
        (store) => store.strangeLogs(),
        [strange],
        [],
      ],
      [
        'node.log.claimed',
        `claimLog(${JSON.stringify(workspaceId)})`,
        (store) => store.strangeLogs(),
        [],
        [strange],
      ],
      [
        'node.log.forgotten',
        `forgetLog(${JSON.stringify(workspaceId)})`,
        async (store) => [await store.strangeLogs(), (await store.heads()).length],
        [[], 0],
        [[strange], 1],
      ],
    ];
    for (const [name, call, read, written, before] of notes) {
      await each(names(rarePoints, name), async (point) => {
        const options = openOptions(await newFolder());
        if (name === 'node.debits.pruned') {
          const first = await NodeStore.open(options);
          await first.putJob(pending.requestId, { decisions: [] }, 5);
          await first.markStarted(pending.requestId, debits);
          await first.close();
        }
        if (name === 'node.log.claimed' || name === 'node.log.forgotten') {
          const first = await NodeStore.open(options);
          await first.rememberHead(workspaceId, { seq: 0, id: workspaceId, log: [] });
          await first.chargeLog(strange);
          await first.close();
        }
        await dieAt(point, imports, `await (await NodeStore.open(${JSON.stringify(options)})).${call};`);
        const store = await NodeStore.open(options);
        assert.deepEqual(await read(store), point.endsWith(':after') ? written : before, point);
        await store.close();
      });
    }
  });

  it('while it writes about a pair: what stands is the old or the new, and no secrets without a record', async () => {
    const peer = createWorld().parties[1]!.credential;
    const imports = { NodeStore: 'node/store/node-store.js' };
    const id = (number: number): Uint8Array => new Uint8Array(32).fill(number);
    const ban = { at: 1, code: 'transfer_check', detail: 'a check failed' };
    const of = [self.credential, keyringId, epoch] as const;
    interface Write {
      /** Of its crash points. */
      readonly name: string;
      readonly before?: (pairs: Pairs) => Promise<void>;
      readonly statement: string;
      /** State, ban, mark and setup that stand before and after. */
      readonly stands: readonly [unknown[], unknown[]];
    }
    const setup = '{ id: new Uint8Array(32).fill(2), secrets: new Uint8Array(64) }';
    const who = JSON.stringify(peer);
    const [old, replaced, none] = [
      [undefined, false, 1],
      [undefined, false, 2],
      [undefined, false, undefined],
    ];
    const writes: Write[] = [
      // Its file comes first, and counts for nothing yet; the old one's file is erased last.
      { name: 'node.pair-setup:', statement: `pairs.adopt(${who}, ${setup})`, stands: [old, old] },
      { name: 'node.pair.setup:', statement: `pairs.adopt(${who}, ${setup})`, stands: [old, replaced] },
      {
        name: 'node.pair-setup.erased:',
        statement: `pairs.adopt(${who}, ${setup})`,
        stands: [replaced, replaced],
      },
      {
        name: 'node.pair.checking:',
        statement: `pairs.mark(${who})`,
        stands: [old, [undefined, true, 1]],
      },
      {
        name: 'node.pair.checked:',
        before: (pairs) => pairs.mark(peer),
        statement: `pairs.clear(${who})`,
        stands: [[undefined, true, 1], old],
      },
      {
        name: 'node.pair.destroyed:',
        statement: `pairs.drop(${who}, new Uint8Array(32).fill(1), [5])`,
        stands: [old, none],
      },
      {
        name: 'node.pair.banned:',
        before: (pairs) => pairs.mark(peer),
        statement: `pairs.ban(${who}, ${JSON.stringify(ban)}, [])`,
        stands: [
          [undefined, true, 1],
          ['transfer_check', false, undefined],
        ],
      },
      {
        name: 'node.pair.lifted:',
        before: (pairs) => pairs.ban(peer, ban, []),
        statement: `pairs.lift(${who})`,
        stands: [['transfer_check', false, undefined], none],
      },
      {
        name: 'node.pair.epoch:',
        statement: `store.eraseEpoch(...${JSON.stringify([keyringId, epoch])})`,
        // The epoch was marked as erased before: the next start completes it.
        stands: [none, none],
      },
    ];
    const known = names(rarePoints, 'node.pair');
    assert.ok(known.every((point) => writes.some(({ name }) => point.startsWith(name))));
    await each(known, async (point) => {
      const { before: prepare, statement, stands } = writes.find(({ name }) => point.startsWith(name))!;
      const options = openOptions(await newFolder());
      const store = await NodeStore.open(options);
      await store.pairs(...of).adopt(peer, { id: id(1), secrets: new Uint8Array(64).fill(1) });
      await prepare?.(store.pairs(...of));
      await store.close();
      const open = `const store = await NodeStore.open(${JSON.stringify(options)});
        const pairs = store.pairs(...${JSON.stringify(of)});`;
      await dieAt(point, imports, `${open} await ${statement};`);
      const again = await NodeStore.open(options);
      const [pair] = await again.pairs(...of).load();
      const found = [pair?.ban?.code, pair?.checking, pair?.setup?.id[0]];
      assert.deepEqual(found, stands[point.endsWith(':after') ? 1 : 0], point);
      assert.equal(pair?.setupLost, false, point);
      const file = pair?.setup && `${toHex(pair.setup.id).slice(2)}.setup`;
      assert.deepEqual(await readdir(join(options.dir, 'pairs')), file ? [file] : [], point);
      await again.close();
    });
  });

  it('while it keeps a proof of a fault: the proof is there whole, or not at all', async () => {
    await each(names(rarePoints, 'node.blame'), async (point) => {
      const folder = await newFolder();
      const { credential } = createWorld().parties[0]!;
      const file = `{ id: 'a'.repeat(64), accused: ${JSON.stringify(credential)}, code: 'invalid_share',
        requestId: '0x00', attemptId: '00', bytes: new TextEncoder().encode('the proof') }`;
      const made = `new BlameFolder({ folder: ${JSON.stringify(folder)}, log() {} })`;
      await dieAt(point, { BlameFolder: 'node/blame-folder.js' }, `await ${made}.keep(${file});`);
      const blame = new BlameFolder({ folder, log: (event) => assert.fail(event) });
      await blame.load();
      assert.equal(blame.size, point.endsWith(':after') ? 1 : 0);
      const files = await readdir(folder);
      assert.equal(files.length, blame.size, 'nothing half written is left');
      for (const name of files) assert.equal(await readFile(join(folder, name), 'utf8'), 'the proof');
    });
  });

  it('while it forgets old events: what is left has no gap', async () => {
    await each(names(rarePoints, 'coordinator.trim'), async (point) => {
      const folder = await newFolder();
      const store = await LevelStore.open({ folder });
      for (let event = 1; event <= 5; event++) await store.commit({ append: [{ stream: 's', event }] });
      await store.close();
      const imports = { LevelStore: 'coordinator/store/level.js' };
      const open = `await LevelStore.open({ folder: ${JSON.stringify(folder)} })`;
      await dieAt(point, imports, `await (${open}).trim('s', 4);`);
      const again = await LevelStore.open({ folder });
      const first = point.endsWith(':before') ? 1 : 4;
      const left = await again.read('s', first - 1, 10);
      assert.deepEqual(
        left.map(({ sequence, event }) => [sequence, event]),
        [1, 2, 3, 4, 5].slice(first - 1).map((event) => [event, event]),
      );
      await again.close();
    });
  });

  it('while it notes what a webhook has told: it is told again, or not, with the same id', async () => {
    await each(names(rarePoints, 'coordinator.commit.webhook'), async (point) => {
      const folder = await newFolder();
      const store = await LevelStore.open({ folder });
      const before = new WebhookWorld([webhook('a')], store);
      await before.webhooks.start();
      const workspaceId = idOf(1);
      await before.workspace(workspaceId);
      before.reply = () => 500;
      const requestId = await before.state(workspaceId);
      await before.receives(1);
      await before.webhooks.stop();
      await store.close();
      const imports = {
        LevelStore: 'coordinator/store/level.js',
        Webhooks: 'coordinator/webhooks/webhooks.js',
      };
      await dieAt(
        point,
        imports,
        `const store = await LevelStore.open({ folder: ${JSON.stringify(folder)} });
         const webhooks = [{ name: 'a', url: 'https://a.example/', secrets: [new Uint8Array(32)] }];
         const post = async () => ({ status: 204, waitMs: 0 });
         await new Webhooks({ webhooks, store, now: Date.now, log() {}, post }).start();
         setInterval(() => {}, 1000);`,
      );
      const again = await LevelStore.open({ folder });
      const after = new WebhookWorld([webhook('a')], again);
      await after.webhooks.start();
      await after.reaches(1, workspaceId, 'a');
      // What comes next comes after it.
      const next = await after.state(workspaceId, 'pending', idOf(200));
      await after.reaches(2, workspaceId, 'a');
      const repeated = point.endsWith(':before') ? [requestId] : [];
      assert.deepEqual(after.requests(), [...repeated, next]);
      const id = (world: WebhookWorld) => world.received[0]!.headers['webhook-id'];
      if (repeated.length > 0) assert.equal(id(after), id(before));
      await after.webhooks.stop();
      await again.close();
    });
  });

  it('while it ends a request whose time is over: the request ends once', async () => {
    await each(names(rarePoints, 'coordinator.commit.expiry'), async (point) => {
      const folder = await newFolder();
      const store = await LevelStore.open({ folder });
      const at = await new ServiceWorld(createWorld(), store).register();
      const request = await submitted(at, await at.key());
      const requestId = envelopeId(request, worldNetwork);
      await store.close();
      const later = at.now + 48 * 3600_000;
      const imports = {
        LevelStore: 'coordinator/store/level.js',
        createCoordinatorService: 'coordinator/service.js',
      };
      const options = `{ store, networkId: ${JSON.stringify(worldNetwork)}, create: 'open', now: () => ${later}, log() {}, version: '1' }`;
      await dieAt(
        point,
        imports,
        `const store = await LevelStore.open({ folder: ${JSON.stringify(folder)} });
         await createCoordinatorService(${options}).sweep();`,
      );
      const again = await LevelStore.open({ folder });
      const restarted = new ServiceWorld(at.world, again);
      restarted.now = later;
      await restarted.service.sweep();
      const view = await restarted.call('sign_get', { requestId }, restarted.owner());
      assert.deepEqual([view.state, view.reason?.code], ['rejected', 'approval_timeout']);
      const ends = (await restarted.events('workspaces')).filter(
        (event) => event['requestId'] === requestId && event['state'] === 'rejected',
      );
      assert.equal(ends.length, 1, point);
      await again.close();
    });
  });

  it('while a workspace changes, or time changes a request: it happens once, whole', async () => {
    const delay: Policy = {
      version: 1,
      rules: [
        {
          id: 'slow',
          effect: 'allow',
          when: { kind: ['key.request', 'message'] },
          require: { k: 1, of: 'owners' },
          delay: '10m',
        },
      ],
    };
    const change = { kind: 'key.disable', keyId: `0x${'7'.repeat(64)}` } as const;
    interface Case {
      readonly name: string;
      readonly world?: ReturnType<typeof createWorld>;
      /** What was there before, and then the call that dies. */
      readonly prepare: (at: ServiceWorld) => Promise<string>;
      /** How long the process that dies, and whatever follows, comes after it; milliseconds. */
      readonly laterMs?: number;
      /** Does the same again, and sees that it has happened once. */
      readonly after: (at: ServiceWorld) => Promise<void>;
    }
    const call = (method: string, params: unknown): string =>
      `service.handlers.${method}(${JSON.stringify(params)}, {}, new AbortController().signal)`;
    const told = async (at: ServiceWorld, type: string, state?: string): Promise<number> =>
      (await at.events('workspaces')).filter(
        (event) => event['type'] === type && (state === undefined || event['state'] === state),
      ).length;
    const asked: { envelope?: Envelope; decision?: Envelope; request?: Envelope } = {};
    const made = (at: ServiceWorld): Envelope => (asked.envelope = proposed(at.world, change));
    const cases: Case[] = [
      {
        name: 'change',
        prepare: async (at) => call('workspace_propose', { change: made(at) }),
        after: async (at) => {
          const view = await at.call('workspace_propose', { change: asked.envelope! });
          assert.equal(view.state, 'partial');
          assert.equal(await told(at, 'change.state'), 1);
        },
      },
      {
        name: 'change-decision',
        prepare: async (at) => {
          await at.call('workspace_propose', { change: made(at) });
          asked.decision = approve(at.world, envelopeId(asked.envelope!, worldNetwork), 'bob');
          return call('action_decide', { decision: asked.decision });
        },
        after: async (at) => {
          const view = await at.call('action_decide', { decision: asked.decision! });
          assert.equal(view.state, 'fulfilled');
          const workspaceId = at.world.workspace.id;
          const { log } = await at.call('workspace_get', { workspaceId }, at.owner());
          assert.deepEqual(log, [at.world.genesis, asked.envelope, asked.decision]);
          assert.equal(await told(at, 'workspace.head'), 1);
        },
      },
      {
        name: 'import',
        prepare: async (at) => {
          asked.envelope = proposed(at.world, change);
          asked.decision = approve(at.world, envelopeId(asked.envelope, worldNetwork), 'bob');
          const log = [asked.envelope, asked.decision];
          const params = { workspaceId: at.world.workspace.id, after: 0, log };
          const [given, caller] = [params, at.owner()].map((each) => JSON.stringify(each));
          return `service.handlers.workspace_import(${given}, ${caller}, new AbortController().signal)`;
        },
        after: async (at) => {
          const workspaceId = at.world.workspace.id;
          const log = [asked.envelope!, asked.decision!];
          const { view } = await at.call('workspace_import', { workspaceId, after: 0, log }, at.owner());
          assert.deepEqual(view.log, [at.world.genesis, ...log]);
          assert.equal(await told(at, 'workspace.head'), 1);
        },
      },
      {
        name: 'change-expiry',
        laterMs: 60 * 86_400_000,
        prepare: async (at) => {
          await at.call('workspace_propose', { change: made(at) });
          return 'service.sweep()';
        },
        after: async (at) => {
          await at.service.sweep();
          const changeId = envelopeId(asked.envelope!, worldNetwork);
          const { view } = await at.call('change_get', { changeId }, at.owner());
          assert.equal(view.reason?.code, 'approval_timeout');
          assert.equal(await told(at, 'change.state', 'rejected'), 1);
        },
      },
      {
        name: 'settled',
        prepare: async (at) => {
          asked.request = keyRequest(at.world, { label: 'open', created: at.now });
          await at.call('key_request', { request: asked.request });
          await changed(at, change);
          return 'service.sweep()';
        },
        after: async (at) => {
          await at.service.sweep();
          const requestId = envelopeId(asked.request!, worldNetwork);
          const view = await at.call('sign_get', { requestId }, at.owner());
          assert.equal(view.reason?.code, 'policy_changed');
          assert.equal(await told(at, 'request.state', 'rejected'), 1);
        },
      },
      {
        name: 'time',
        world: createWorld({ name: 'slow', signPolicy: delay }),
        laterMs: 11 * 60_000,
        prepare: async (at) => {
          asked.request = keyRequest(at.world, { label: 'slow', created: at.now });
          await at.call('key_request', { request: asked.request });
          return 'service.sweep()';
        },
        after: async (at) => {
          await at.service.sweep();
          const requestId = envelopeId(asked.request!, worldNetwork);
          const view = await at.call('sign_get', { requestId }, at.owner());
          assert.equal(view.state, 'pending');
          assert.equal(await told(at, 'request.state', 'pending'), 1);
        },
      },
    ];
    for (const { name, world = createWorld(), prepare, laterMs = 0, after } of cases) {
      for (const point of [`coordinator.commit.${name}:before`, `coordinator.commit.${name}:after`]) {
        const folder = await newFolder();
        const store = await LevelStore.open({ folder });
        const at = await new ServiceWorld(world, store).register();
        const statement = await prepare(at);
        await store.close();
        const now = at.now + laterMs;
        const imports = {
          LevelStore: 'coordinator/store/level.js',
          createCoordinatorService: 'coordinator/service.js',
        };
        const options = `{ store, networkId: ${JSON.stringify(worldNetwork)}, create: 'open', now: () => ${now}, log() {}, version: '1' }`;
        await dieAt(
          point,
          imports,
          `const store = await LevelStore.open({ folder: ${JSON.stringify(folder)} });
           const service = createCoordinatorService(${options});
           await ${statement};`,
        );
        const again = await LevelStore.open({ folder });
        const restarted = new ServiceWorld(at.world, again);
        restarted.now = now;
        await after(restarted);
        await again.close();
      }
    }
  });

  it('while it makes a node’s folder: the same command completes it, with the key that was made', async () => {
    const files = ['identity', 'handed-out'] as const;
    const moments = ['before', 'beside', 'after'];
    const points = files.flatMap((file) => moments.map((moment) => `${file}:${moment}`));
    // First the key, then party.json, then the configuration.
    const again = moments.map((moment) => `handed-out:${moment} 2`);
    await each([...points, ...again], async (point) => {
      const dir = await newFolder();
      const options = { dir, name: 'acme', networkId, listen: ['/ip4/127.0.0.1/tcp/4151'], ...cheap };
      const imports = { createNodeFolder: 'cli/node-folder.js' };
      await dieAt(point, imports, `await createNodeFolder(${JSON.stringify(options)});`);
      const { identity, config } = nodePaths(dir);
      const sealed = existsSync(identity) ? await readFile(identity, 'utf8') : undefined;
      if (existsSync(config)) await assert.rejects(createNodeFolder(options), /already exists/);
      else if (sealed !== undefined) {
        await assert.rejects(createNodeFolder({ ...options, name: 'other' }), /interrupted init of acme/);
        await assert.rejects(createNodeFolder({ ...options, passphrase: 'wrong' }), /wrong passphrase/);
        await createNodeFolder(options);
      } else await createNodeFolder(options);
      if (sealed !== undefined) assert.equal(await readFile(identity, 'utf8'), sealed);
      const { party } = await readNodeFolder(dir, {});
      assert.equal(party.name, 'acme');
    });
  });

  it('while it stores a roster, a grant or another file: the old one is there, or the new one, whole', async () => {
    const { keyring, parties } = createWorld();
    const record = JSON.stringify(keyring.envelope);
    await each(names(commandPoints, 'node.roster'), async (point) => {
      const paths = nodePaths(await newFolder());
      const imports = { storeRoster: 'cli/node-folder.js' };
      await dieAt(point, imports, `await storeRoster(${JSON.stringify(paths)}, ${record});`);
      const expected = point.endsWith(':after') ? keyring.envelope : undefined;
      assert.deepEqual(await storedRoster(paths), expected);
    });
    await each(names(commandPoints, 'node.grant'), async (point) => {
      const paths = nodePaths(await newFolder());
      const { credential } = parties[0]!;
      const imports = { storeGrant: 'cli/node-folder.js' };
      const call = `await storeGrant(${JSON.stringify(paths)}, ${JSON.stringify(credential)}, ${record});`;
      await dieAt(point, imports, call);
      const ignored: unknown[] = [];
      const log = (_: string, fields: Record<string, unknown>): void => void ignored.push(fields['file']);
      const options = {
        networkId: worldNetwork,
        keyringId: keyring.id,
        party: credential,
        now: Date.now,
        log,
      };
      await new Grants({ folder: paths.grants, ...options }).load();
      // It is a roster, and refused as a grant: but only a whole file is looked at.
      assert.equal(ignored.length, point.endsWith(':after') ? 1 : 0, point);
    });
    await each(names(commandPoints, 'approved-changes'), async (point) => {
      const home = await newFolder();
      const path = join(home, 'approved-changes.json');
      const imports = { guardApproval: 'cli/decided-changes.js' };
      const id = (digit: string): string => `0x${digit.repeat(64)}`;
      const call = `const remember = await guardApproval(
           { environment: { COUNTERSIGN_HOME: ${JSON.stringify(home)} } },
           { identity: 'alice', workspaceId: '${id('1')}', signer: { credential: 'none' } },
           { head: { seq: 1, id: '${id('2')}' }, owners: [] },
           '${id('3')}',
           undefined,
         );
         await remember();`;
      await dieAt(point, imports, call);
      // Nothing leaves before it is written: whoever died then has approved nothing.
      assert.equal(existsSync(path), point.endsWith(':after'), point);
      if (existsSync(path)) assert.match(await readFile(path, 'utf8'), new RegExp(id('3')));
    });
    await each(names(commandPoints, 'private-file'), async (point) => {
      const path = await newFolder();
      await writeFile(path, 'old', { mode: 0o600 });
      const imports = { writePrivateFile: 'client/identity/sealed-file.js' };
      const call = `await writePrivateFile(${JSON.stringify(path)}, 'new', { replace: true });`;
      await dieAt(point, imports, call);
      const text = new TextDecoder().decode(await readPrivateFile(path));
      assert.equal(text, point.endsWith(':after') ? 'new' : 'old');
    });
  });

  it('has died at every such point', () => {
    const expected = [...firstStartPoints, ...rarePoints, ...commandPoints];
    assert.deepEqual([...died].toSorted(), expected.toSorted());
  });
});
