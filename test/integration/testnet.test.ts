// `countersign testnet`, as a process with its daemons: the whole network, one real signature, and no trace afterwards.
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { base58 } from '@scure/base';
import { address as bitcoinAddress, initEccLib, Transaction } from 'bitcoinjs-lib';
import * as ecc from 'tiny-secp256k1';
import {
  command,
  countersign,
  type Event,
  eventually,
  isRunning,
  TestnetRun,
} from '../support/testnet-run.ts';

const twelve = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

/** First occurrences of the steps of the sign request, in the order in which they were told. */
function firstSteps(run: TestnetRun): Event[] {
  const seen = new Set<unknown>();
  return run.all('step').filter(({ step }) => {
    if (typeof step !== 'number' || seen.has(step)) return false;
    seen.add(step);
    return true;
  });
}

function assertNothingLeft(run: TestnetRun): void {
  assert.deepEqual(run.pids.filter(isRunning), []);
}

/** The signed transaction, checked with nothing of the code under test: a signature, then the message it is of. */
function assertSigned({ transaction, address }: Event): void {
  const wire = Buffer.from(String(transaction).slice(2), 'hex');
  assert.equal(wire[0], 1);
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), base58.decode(String(address))]);
  const key = createPublicKey({ key: der, format: 'der', type: 'spki' });
  assert.ok(verify(null, wire.subarray(65), key, wire.subarray(1, 65)));
}

function assertMoved({ before, after, lamports, wei, fee }: Event): void {
  const amounts = (balances: unknown): [bigint, bigint] => {
    const { from, to } = balances as { from: string; to: string };
    return [BigInt(from), BigInt(to)];
  };
  const [fromBefore, toBefore] = amounts(before);
  const [fromAfter, toAfter] = amounts(after);
  const paid = BigInt(String(lamports ?? wei));
  assert.ok(paid > 0n);
  assert.equal(toAfter - toBefore, paid);
  assert.equal(fromBefore - fromAfter, paid + BigInt(String(fee)));
}

/** The coins that the Taproot demonstration spends, in satoshi. */
const coins = [150_000n, 1_000_000n];

/** The spend, checked with other libraries alone: each input is signed by the output key that the address names. */
function assertSpent({ transaction, address, signatures }: Event): void {
  initEccLib(ecc);
  const spend = Transaction.fromHex(String(transaction).slice(2));
  const script = bitcoinAddress.toOutputScript(String(address));
  const scripts = coins.map(() => script);
  assert.equal(spend.ins.length, coins.length);
  for (const [index, { witness }] of spend.ins.entries()) {
    const digest = spend.hashForWitnessV1(index, scripts, coins, Transaction.SIGHASH_DEFAULT);
    const [signature] = witness;
    assert.ok(signature && witness.length === 1);
    assert.equal(`0x${Buffer.from(signature).toString('hex')}`, (signatures as string[])[index]);
    // A Taproot script is two bytes and the x of the output key.
    assert.ok(ecc.verifySchnorr(digest, script.subarray(2), signature));
  }
  const left = spend.outs.reduce((sum, { value }) => sum + value, 0n);
  assert.ok(left > 0n && left < coins.reduce((sum, coin) => sum + coin, 0n), 'a fee is paid');
}

/** What a run with `--json` has told once it signed, whatever its size and what it shows. */
function assertSteps(run: TestnetRun, parties: number, threshold: number): void {
  const steps = firstSteps(run);
  assert.deepEqual(
    steps.map(({ step }) => step),
    twelve,
  );
  for (const step of run.all('step')) {
    assert.match(String(step.recordId), /^0x[0-9a-f]{64}$/);
    assert.match(String(step.requestId), /^0x[0-9a-f]{64}$/);
    assert.match(String(step.at), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    for (const field of ['title', 'process'] as const) assert.equal(typeof step[field], 'string');
  }
  assert.equal(new Set(steps.map(({ requestId }) => requestId)).size, 1);
  const confirmed = run.all('step').filter(({ step }) => step === 'key.confirmed');
  assert.equal(new Set(confirmed.map((step) => step.process)).size, parties);
  const signers = run.all('step').filter(({ step }) => step === 7);
  for (const { set } of signers) assert.equal((set as string[]).length, threshold);
  const [certificate] = run.all('certificate');
  assert.ok(certificate);
  assert.equal((certificate.parties as string[]).length, parties);
}

describe('testnet', function () {
  this.timeout(600_000);
  const runs: TestnetRun[] = [];
  const folders: string[] = [];

  function start(...args: readonly string[]): TestnetRun {
    const run = new TestnetRun(...args);
    runs.push(run);
    return run;
  }

  async function newFolder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-test-'));
    folders.push(folder);
    return folder;
  }

  before(() => assert.ok(existsSync(command), `${command} is missing: npm run build`));
  afterEach(async () => {
    for (const run of runs.splice(0)) await run.destroy();
    for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
  });

  it('works with five parties of which three sign, and spends Taproot coins', async () => {
    const run = start('--once', '--json', '--parties', '5', '--threshold', '3', '--demo', 'taproot');
    assert.deepEqual(await run.ended, { code: 0, signal: null }, run.stderr);
    assertSteps(run, 5, 3);
    assert.equal(run.all('verified').length, 1);
    const [signature, accepted] = [...run.all('signature'), ...run.all('accepted')];
    assert.ok(signature && accepted);
    assertSpent(signature);
    assert.equal(accepted.transactionId, Transaction.fromHex(String(signature.transaction).slice(2)).getId());
    assertNothingLeft(run);
  });

  it('signs for every chain in one network: by FROST and by ECDSA', async () => {
    const run = start('--once', '--json', '--demo', 'all');
    assert.deepEqual(await run.ended, { code: 0, signal: null }, run.stderr);
    assert.equal(run.all('signature').length, 4);
    assert.equal(run.all('certificate').length, 4);
    const [solana, ethereum] = run.all('balances');
    const [taproot, bitcoin] = run.all('accepted');
    assert.ok(solana && ethereum && taproot && bitcoin);
    assertMoved(solana);
    assertMoved(ethereum);
    assert.equal(bitcoin.inputs, 2);
    assertNothingLeft(run);
    assert.equal(existsSync(run.folder), false);
  });

  it('signs without a party, in a folder that it was given, in words without colour', async () => {
    const dir = join(await newFolder(), 'new');
    const run = start('--once', '--stop', '1', '--dir', dir);
    assert.deepEqual(await run.ended, { code: 0, signal: null }, run.stderr);
    const text = run.lines.join('\n');
    assert.match(text, /node-3 is killed/);
    for (const step of twelve) assert.match(text, new RegExp(`^ {2}${String(step).padStart(2)}  \\S`, 'm'));
    assert.equal(text.includes('\x1b'), false);
    assert.equal(statSync(dir).mode & 0o777, 0o700);
    assert.equal(statSync(join(dir, 'passphrase')).mode & 0o777, 0o600);
    assert.ok((await readdir(join(dir, 'logs'))).includes('node-3.log'));
    // Two of three sign again, in the folder as it was left, by a run that is told nothing of its size.
    const again = start('--once', '--json', '--stop', '1', '--dir', dir);
    assert.deepEqual(await again.ended, { code: 0, signal: null }, again.stderr);
    assert.equal(again.all('testnet')[0]?.resumed, true);
  });

  it('signs nothing when too few parties are left, and names those it awaits', async () => {
    // Long enough for the nodes of a busy machine to say whom they miss.
    const run = start('--once', '--json', '--stop', '2', '--wait', '20');
    assert.equal((await run.ended).code, 4, run.stderr);
    assert.match(run.stderr, /^countersign: awaiting party-2, party-3: [^\n]+\n$/);
    assert.deepEqual(
      firstSteps(run).map(({ step }) => step),
      [1, 2, 3, 4, 5, 6],
    );
    assert.deepEqual([...run.all('signature'), ...run.all('balances'), ...run.all('verified')], []);
    assertNothingLeft(run);
    assert.equal(existsSync(run.folder), false);
  });

  it('shows every step of a signature that a chain accepts, stays up for more, and a signal stops everything', async () => {
    const run = start('--json');
    const up = await run.first('up');
    assert.equal(run.pids.length, 7);
    assert.deepEqual(run.pids.filter(isRunning), run.pids);
    assertSteps(run, 3, 2);
    const [signature, balances] = [...run.all('signature'), ...run.all('balances')];
    assert.ok(signature && balances);
    assertSigned(signature);
    assertMoved(balances);
    const [partial] = run.all('step').filter((step) => step.missing !== undefined);
    assert.deepEqual(partial?.missing, ['bob', 'carol']);
    const environment = up.environment as Record<string, string>;
    const listed = await countersign(environment, ['key', 'list', '--json']);
    assert.match(listed, new RegExp(String(up.keyId)));
    await countersign(environment, ['request', 'show', String(up.requestId)]);
    const transfer = join(run.folder, 'transfer.json');
    const asked = await countersign(environment, [
      'sign',
      '--key',
      'payroll',
      '--payload',
      transfer,
      '--json',
    ]);
    const { requestId } = JSON.parse(asked) as { requestId: string };
    await countersign(environment, ['action', 'approve', requestId, '--as', 'bob', '--yes']);
    const signed = await countersign(environment, ['request', 'show', requestId, '--wait', '60', '--json']);
    assert.equal((JSON.parse(signed) as { verified: boolean }).verified, true);
    run.child.kill('SIGINT');
    let over = false;
    void run.ended.then(() => (over = true));
    // Five seconds, and what a busy machine adds to them.
    await eventually(
      () => over,
      () => 'the end of everything',
      30_000,
    );
    assert.deepEqual(await run.ended, { code: 0, signal: null }, run.stderr);
    assertNothingLeft(run);
    assert.equal(existsSync(run.folder), false);
  });

  it('stops in the middle of its start, with nothing left behind', async () => {
    const run = start('--json');
    await run.first('process');
    run.child.kill('SIGTERM');
    assert.equal((await run.ended).code, 1);
    assert.match(run.stderr, /^countersign: stopped by SIGTERM before the run was complete[^\n]*\n$/m);
    assertNothingLeft(run);
    assert.equal(existsSync(run.folder), false);
  });

  it('refuses what cannot be in one line, before anything is made', async () => {
    const folder = await newFolder();
    await writeFile(join(folder, 'mine'), 'precious');
    for (const args of [
      ['--parties', '1'],
      ['--parties', '10'],
      ['--parties', 'three'],
      ['--threshold', '1'],
      ['--threshold', '4'],
      ['--stop', '3'],
      ['--stop', '-1'],
      ['--wait', '0'],
      ['--dir', folder],
      ['--dir', join(folder, 'mine')],
      ['--often'],
      ['now'],
    ]) {
      const run = start(...args);
      assert.equal((await run.ended).code, 2, args.join(' '));
      assert.match(run.stderr, /^countersign: [^\n]+\n$/, args.join(' '));
      assert.deepEqual(run.lines, []);
    }
    assert.deepEqual(await readdir(folder), ['mine']);
  });
});
