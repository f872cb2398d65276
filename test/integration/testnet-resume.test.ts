// `countersign testnet --dir` on a folder that an earlier run left, however that one ended: the same network goes on.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { command, type Event, eventually, isRunning, TestnetRun } from '../support/testnet-run.ts';

describe('testnet on a used folder', function () {
  this.timeout(600_000);
  const runs: TestnetRun[] = [];
  let folder: string;

  function start(...args: readonly string[]): TestnetRun {
    const run = new TestnetRun('--json', '--dir', join(folder, 'net'), ...args);
    runs.push(run);
    return run;
  }

  /** As a loss of power for the command alone: its daemons notice that nobody holds their standard input. */
  async function kill(run: TestnetRun): Promise<void> {
    run.child.kill('SIGKILL');
    assert.equal((await run.ended).signal, 'SIGKILL');
  }

  async function isRefused(run: TestnetRun, code: number, why: RegExp): Promise<void> {
    const ended = await run.ended;
    assert.match(run.stderr, why);
    assert.equal(ended.code, code, run.stderr);
    assert.equal(run.pids.length, 0);
  }

  /** What stays the same over the life of a network. */
  function identity(run: TestnetRun): unknown {
    const [network] = run.all('network');
    const { networkId, keyringId, workspaceId } = network as Event;
    return { networkId, keyringId, workspaceId };
  }

  before(() => assert.ok(existsSync(command), `${command} is missing: npm run build`));
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'countersign-test-'));
  });
  afterEach(async () => {
    const pids = runs.flatMap((run) => run.pids);
    for (const run of runs.splice(0)) await run.destroy();
    await eventually(
      () => !pids.some(isRunning),
      () => 'the end of every daemon',
    );
    await rm(folder, { recursive: true, force: true });
  });

  it('takes its daemons with it when it is killed, and continues the same network, one run at a time', async () => {
    const first = start();
    const up = await first.first('up');
    const address = first.all('signature')[0]?.address;
    await isRefused(start(), 1, /another testnet runs in .*: stop it first/);
    assert.equal(first.pids.length, 7);
    assert.deepEqual(first.pids.filter(isRunning), first.pids);
    await kill(first);
    await eventually(
      () => !first.pids.some(isRunning),
      () => `the end of ${first.pids.filter(isRunning).join(', ')}, whose testnet was killed`,
    );
    await isRefused(start('--parties', '5'), 2, /with --parties 3, not 5: leave --parties out/);
    await isRefused(start('--threshold', '3'), 2, /with --threshold 2, not 3/);

    const second = start('--once');
    assert.deepEqual(await second.ended, { code: 0, signal: null }, second.stderr);
    assert.deepEqual(identity(second), identity(first));
    assert.equal(second.all('testnet')[0]?.resumed, true);
    const [key] = second.all('key');
    assert.equal(key?.keyId, up.keyId);
    const [signature] = second.all('signature');
    assert.equal(signature?.address, address);
    assert.notEqual(signature?.requestId, up.requestId);
    assert.equal(second.all('verified').length, 1);
  });

  it('continues whatever step the earlier run was killed at', async () => {
    const net = (...names: string[]): string => join(folder, 'net', ...names);
    const count = (run: TestnetRun, event: string): number => run.all(event).length;
    const moments: readonly (readonly [string, (run: TestnetRun) => boolean])[] = [
      ['its lock is taken', () => existsSync(net('lock'))],
      ['its name is written', () => existsSync(net('testnet.json'))],
      ['an identity is made', () => existsSync(net('home', 'identities', 'alice.json'))],
      ['a party is made', () => existsSync(net('nodes', 'party-2', 'identity.json'))],
      ['the roster is drafted', () => existsSync(net('roster.json'))],
      ['a party has signed', () => existsSync(net('nodes', 'party-1', 'roster.json'))],
      ['a process listens', (run) => count(run, 'process') > 0],
      ['a connector is made', () => existsSync(net('connectors', 'party-3', 'config.yaml'))],
      ['the network is up', (run) => count(run, 'network') > 0],
      ['the key is asked for', (run) => run.all('step').some(({ step }) => step === 'key.asked')],
    ];
    for (const [what, reached] of moments) {
      const run = start();
      await eventually(
        () => reached(run) || run.child.exitCode !== null,
        () => `${what}: ${run.stderr}`,
      );
      assert.equal(run.child.exitCode, null, `${what}: ${run.stderr}`);
      await kill(run);
    }
    const last = start('--once');
    assert.deepEqual(await last.ended, { code: 0, signal: null }, last.stderr);
    assert.equal(last.all('verified').length, 1);
    const networks = new Set(runs.flatMap((run) => run.all('testnet').map(({ networkId }) => networkId)));
    assert.equal(networks.size, 1);
    assert.equal(last.all('key').length, 1, 'the key that was asked for is the one that is used');
  });

  it('does not go on beside a process of an earlier run that stays, and leaves ending it to a person', async () => {
    const first = start();
    await first.first('network');
    const stuck = Number(first.all('process').find((event) => event.process === 'connector-1')?.pid);
    process.kill(stuck, 'SIGSTOP');
    try {
      await kill(first);
      const others = first.pids.filter((pid) => pid !== stuck);
      await eventually(
        () => !others.some(isRunning),
        () => 'the end of the others',
      );
      await isRefused(
        start(),
        1,
        new RegExp(`connector-1 \\(process ${stuck}\\) of an earlier run.*kill ${stuck}`),
      );
      assert.ok(isRunning(stuck));
    } finally {
      process.kill(stuck, 'SIGCONT');
    }
    const second = start('--once');
    assert.deepEqual(await second.ended, { code: 0, signal: null }, second.stderr);
  });

  it('leaves alone what is none of its own', async () => {
    const net = join(folder, 'net');
    await mkdir(net);
    const cases = [
      ['notes.txt', 'mine', /is not empty, and it holds no testnet/],
      [
        'testnet.json',
        '{"version":2,"more":1}',
        /holds a testnet of version 2, this command continues version 1/,
      ],
      ['testnet.json', '{"version":1}', /does not describe a testnet/],
      ['testnet.json', 'garbage', /does not describe a testnet/],
    ] as const;
    for (const [name, text, why] of cases) {
      await writeFile(join(net, name), text);
      await isRefused(start(), 2, why);
      assert.deepEqual(await readdir(net), [name]);
      assert.equal(await readFile(join(net, name), 'utf8'), text);
      await rm(join(net, name));
    }
  });
});
