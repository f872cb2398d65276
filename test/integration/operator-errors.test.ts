// What an operator gets wrong first: each is answered with one line that says what to do, and an exit code for scripts.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LocalNetwork } from '../support/local-network.ts';

const command = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

interface Ended {
  readonly code: number;
  readonly stderr: string;
}

function countersign(environment: Record<string, string>, ...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const env = { PATH: process.env['PATH'] ?? '', ...environment };
    execFile(process.execPath, [command, ...args], { env, timeout: 60_000 }, (error, _, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stderr });
    });
  });
}

/** One line on standard error that names the command, with this exit code. */
function isOneLine({ code, stderr }: Ended, exitCode: number, words: RegExp): void {
  assert.match(stderr, words);
  assert.match(stderr, /^countersign: [^\n]+\n$/);
  assert.equal(code, exitCode, stderr);
}

describe('operators’ mistakes', function () {
  this.timeout(120_000);
  let net: LocalNetwork;
  let home: Record<string, string>;
  let scratch: string;

  before(async () => {
    net = await LocalNetwork.start(2, 2);
    const { layout } = net;
    home = { COUNTERSIGN_HOME: layout.home, COUNTERSIGN_PASSPHRASE_FILE: layout.passphraseFile };
    scratch = await mkdtemp(join(tmpdir(), 'countersign-errors-'));
  });

  after(async () => {
    await net?.stop();
    await rm(scratch, { recursive: true, force: true });
  });

  it('a second node on one folder', async () => {
    const [first] = net.layout.parties;
    const ended = await countersign(home, 'node', 'start', '--dir', first?.nodeDir ?? '');
    isOneLine(ended, 1, /already in use: stop the process that uses it, or choose another folder/);
  });

  it('a second connector on one folder', async () => {
    const [first] = net.layout.parties;
    const ended = await countersign(home, 'connector', 'start', '--dir', first?.connectorDir ?? '');
    isOneLine(ended, 1, /in use by another connector/);
  });

  it('a second coordinator on one folder', async () => {
    const ended = await countersign({}, 'coordinator', 'start', '--config', net.layout.coordinatorConfig);
    isOneLine(ended, 1, /already in use/);
  });

  it('a port in use', async () => {
    const port = Number(new URL(net.network.coordinator).port);
    const config = join(scratch, 'coordinator.yaml');
    const { networkId } = net.network;
    await writeFile(
      config,
      `networkId: ${networkId}\ndir: ./second\nlisten: { host: 127.0.0.1, port: ${port} }\n`,
    );
    const ended = await countersign({}, 'coordinator', 'start', '--config', config);
    isOneLine(ended, 1, new RegExp(`${port}.*in use`));
  });

  it('a node’s port in use', async () => {
    const [first, second] = net.layout.parties;
    const address = JSON.parse(await readFile(join(second?.nodeDir ?? '', 'ready.json'), 'utf8')) as {
      addresses: string[];
    };
    const listen = (address.addresses[0] ?? '').replace(/\/p2p\/.*/, '');
    await net.kill(first?.node ?? '');
    const ended = await countersign(home, 'node', 'start', '--dir', first?.nodeDir ?? '', '--listen', listen);
    isOneLine(ended, 1, /in use/);
    await net.restart(first?.node ?? '');
  });

  it('an unknown key in a configuration', async () => {
    const config = join(scratch, 'unknown.yaml');
    await writeFile(config, 'networkId: some-network\ndir: .\nlisten: { port: 0 }\nlog_levle: info\n');
    const ended = await countersign({}, 'coordinator', 'start', '--config', config);
    isOneLine(ended, 2, /log_levle.*allowed/);
  });

  it('an unknown key in a node’s configuration', async () => {
    const [first] = net.layout.parties;
    await net.kill(first?.node ?? '');
    const config = join(first?.nodeDir ?? '', 'config.yaml');
    const before = await readFile(config, 'utf8');
    await appendFile(config, 'threshhold: 2\n');
    const ended = await countersign(home, 'node', 'start', '--dir', first?.nodeDir ?? '');
    isOneLine(ended, 2, /threshhold.*allowed/);
    await writeFile(config, before);
    await net.restart(first?.node ?? '');
  });

  it('a wrong passphrase', async () => {
    const wrong = join(scratch, 'wrong');
    await writeFile(wrong, 'not the passphrase\n', { mode: 0o600 });
    const [first] = net.layout.parties;
    await net.kill(first?.node ?? '');
    const ended = await countersign(
      {},
      'node',
      'start',
      '--dir',
      first?.nodeDir ?? '',
      '--passphrase-file',
      wrong,
    );
    isOneLine(ended, 1, /passphrase/);
    await net.restart(first?.node ?? '');
  });

  it('no passphrase at all', async () => {
    const ended = await countersign({ COUNTERSIGN_HOME: net.layout.home }, 'workspace', 'show');
    isOneLine(ended, 2, /--passphrase-file/);
  });

  it('a coordinator that is not there', async () => {
    await net.kill('coordinator');
    const ended = await countersign(home, 'key', 'list');
    isOneLine(ended, 3, new RegExp(net.network.coordinator));
    await net.restart('coordinator');
  });

  it('a node that is not there', async () => {
    const ended = await countersign({}, 'node', 'status', '--dir', scratch);
    isOneLine(ended, 3, /countersign node start/);
  });
});
