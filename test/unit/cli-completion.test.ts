// Completion, in the shells themselves: what they offer in every place of the command line, whatever files and identities
// are called.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { type CommandModel, commandModel, withAllBelow } from '../../cli/completion/model.ts';
import { CliWorld } from '../support/cli-run.ts';
import { CompletionShells, installed, type Shell, shells } from '../support/completion-shells.ts';

const main = new URL('../../cli/main.ts', import.meta.url).pathname;
/** What stands in a folder of identities beside them, and must neither be offered nor be run. */
const hostile = [
  'two words',
  '$(touch hit)',
  '`touch hit`',
  "quo'te",
  'semi;touch hit',
  '*',
  '--yes',
  'new\nline',
  'Ümlaut',
];

const groups = [
  'action audit blame completion connector coordinator doctor help identity key keyring node policy profile receipt request',
  'sign testnet version workspace',
]
  .join(' ')
  .split(' ');

/** Lines up to the cursor, and what is offered there. */
const places: readonly (readonly [line: string, offered: readonly string[]])[] = [
  ['countersign ', groups],
  ['countersign ke', ['key', 'keyring']],
  ['countersign audit ', ['csv', 'export', 'help', 'verify']],
  ['countersign policy ', ['explain', 'help', 'import', 'simulate', 'validate']],
  ['countersign request ', ['cancel', 'help', 'show']],
  ['countersign action ', ['approve', 'help', 'list', 'reject', 'show', 'withdraw']],
  [
    'countersign workspace re',
    ['remove-child', 'remove-credential', 'remove-keyring', 'remove-owner', 'resolve'],
  ],
  ['countersign policy import --use ', ['admin', 'sign']],
  ['countersign workspace add-owner --countersign-as b', ['bob-2']],
  ['countersign key ', ['help', 'list', 'request', 'show', 'verify']],
  ['countersign help k', ['key', 'keyring']],
  ['countersign key request --ty', ['--type']],
  [
    'countersign key request --type ',
    ['bitcoin_secp256k1', 'ecdsa_secp256k1', 'ed25519', 'taproot_secp256k1'],
  ],
  ['countersign key request --json --label x --type tap', ['taproot_secp256k1']],
  [
    'countersign sign --kind ',
    ['bitcoin.psbt', 'evm.message', 'evm.transaction', 'evm.typedData', 'message', 'solana.transaction'],
  ],
  ['countersign sign --non', ['--nonce', '--nonce-account', '--nonce-authority']],
  ['countersign sign --transfer 1.5 --bl', ['--blockhash']],
  ['countersign sign --as ', ['alice', 'bob-2']],
  ['countersign sign --key b --as b', ['bob-2']],
  ['countersign keyring draft --admin al', ['alice']],
  ['countersign identity show ', ['alice', 'bob-2']],
  ['countersign identity show --json b', ['bob-2']],
  ['countersign profile set ', ['coordinator', 'identity', 'networkId', 'workspaceId']],
  ['countersign completion ', ['bash', 'fish', 'zsh']],
  ['countersign testnet --demo ', ['all', 'bitcoin', 'evm', 'solana', 'taproot']],
  ['countersign nothing-of-it --type ', []],
];

describe('completion', function () {
  this.timeout(60_000);
  let world: CliWorld;
  let home: string;
  let ready: CompletionShells;
  let scripts: Record<Shell, string>;

  before(async () => {
    world = await CliWorld.make();
    home = world.path("home of 'a' $(touch hit) [b]");
    await mkdir(join(home, 'identities'), { recursive: true });
    for (const name of ['alice', 'bob-2', ...hostile])
      await writeFile(join(home, 'identities', `${name}.json`), '');
    const written = await Promise.all(
      shells.map(async (shell) => [shell, (await world.run(['completion', shell])).stdout] as const),
    );
    scripts = Object.fromEntries(written) as Record<Shell, string>;
    ready = await CompletionShells.make(scripts, { COUNTERSIGN_HOME: home });
    for (const name of ['plain.json', 'two words.json', "it's $(touch hit).json"])
      await writeFile(join(ready.folder, name), '');
    await mkdir(join(ready.folder, 'place $HOME'));
  });
  after(async () => {
    await ready?.remove();
    await world?.remove();
  });

  /** The model as the bash script shows it is not to be trusted to itself: taken from help instead. */
  async function optionsInHelp(path: readonly string[]): Promise<string[]> {
    const { stdout } = await world.run([...path, '--help']);
    return [...stdout.matchAll(/^ {2}(?:-[a-zA-Z], )?(--[a-z-]+)/gm)].map(([, name]) => name!).toSorted();
  }

  for (const shell of shells) {
    describe(shell, () => {
      before(function () {
        if (installed(shell)) return;
        process.stdout.write(`      skipped: ${shell} is not installed: apt-get install ${shell}\n`);
        this.skip();
      });

      it('offers what can stand in each place', async () => {
        const offered = await ready.offers(
          shell,
          places.map(([line]) => line),
        );
        assert.equal(offered.length, places.length);
        for (const [index, [line, expected]] of places.entries())
          assert.deepEqual(offered[index], expected.toSorted(), line);
      });

      it('runs nothing of what files are called', async () => {
        await ready.offers(shell, ['countersign sign --as ', 'countersign sign --payload ']);
        const places = [ready.folder, world.folder, process.cwd(), join(home, 'identities')];
        assert.deepEqual(
          places.filter((place) => existsSync(join(place, 'hit'))),
          [],
        );
      });
    });
  }

  describe('of files', () => {
    it('leaves names to bash, which quotes them, and quotes them itself where bash cannot', async () => {
      const lines = [
        'countersign sign --payload t',
        'countersign keyring create a b ',
        'countersign node start --dir p',
      ];
      assert.deepEqual(await ready.bash(lines), [['<default>'], ['<default>'], ['<dirnames>']]);
      const [files, , folders] = await ready.bash(lines, { COMPOPT: 'no' });
      assert.deepEqual(files, ['two\\ words.json']);
      assert.deepEqual(folders, ['place\\ \\$HOME']);
      const [odd] = await ready.bash(['countersign sign --payload it'], { COMPOPT: 'no' });
      const { stdout } = await promisify(execFile)('bash', ['-c', `printf %s ${odd![0]}`]);
      assert.equal(stdout, "it's $(touch hit).json");
    });

    it('offers files and folders in zsh and fish', async function () {
      if (!installed('zsh') || !installed('fish')) {
        process.stdout.write('      skipped: needs zsh and fish\n');
        this.skip();
      }
      const lines = ['countersign sign --payload tw', 'countersign node start --dir pl'];
      assert.deepEqual(await ready.zsh(lines), [['two\\ words.json'], ['place\\ \\$HOME']]);
      assert.deepEqual(await ready.fish(lines), [['two words.json'], ['place $HOME/']]);
      // As a file of fpath, which zsh loads when it is needed.
      const [commands] = await ready.zsh(['countersign key '], { AUTOLOAD: 'yes' });
      assert.deepEqual(commands?.toSorted(), ['help', 'list', 'request', 'show', 'verify']);
    });

    it('completes what stands after = in bash', async () => {
      const [types, none] = await ready.bash([
        'countersign key request --type=t',
        'countersign key request --what=',
      ]);
      assert.deepEqual([types, none], [['taproot_secp256k1'], []]);
    });

    it('is not led astray by the colons at which bash breaks words', async () => {
      const harness = `compopt() { :; }; source "$1"
        COMP_WORDS=(countersign profile set --x http : //127.0.0.1 : 7000 '')
        COMP_LINE='countersign key list --coordinator http://127.0.0.1:7000 --as '
        COMP_WORDS=(countersign key list --coordinator http : //127.0.0.1 : 7000 --as '') COMP_CWORD=10
        _countersign; echo "\${COMPREPLY[@]}"
        COMP_LINE='countersign identity show --json http://127.0.0.1:7000 '
        COMP_WORDS=(countersign identity show --json http : //127.0.0.1 : 7000 '') COMP_CWORD=9
        _countersign; echo "\${COMPREPLY[@]}"`;
      const { stdout } = await promisify(execFile)('bash', ['-c', harness, 'bash', ready.script('bash')], {
        env: { ...process.env, COUNTERSIGN_HOME: home },
      });
      assert.deepEqual(stdout.trimEnd().split('\n'), ['alice bob-2', '--json --help']);
    });
  });

  it('offers every option that any help shows, in every shell', async () => {
    const paths = (await commandPaths()).filter((path) => path.at(-1) !== 'help');
    assert.ok(paths.length > 30, String(paths.length));
    const offered = await ready.bash(paths.map((path) => ['countersign', ...path, '--'].join(' ')));
    for (const [index, path] of paths.entries()) {
      const options = await optionsInHelp(path);
      assert.deepEqual(offered[index]!.toSorted(), options, path.join(' '));
      for (const name of options) {
        assert.ok(scripts.zsh.includes(name), `${name} in zsh`);
        assert.ok(scripts.fish.includes(`-l ${name.slice(2)}`), `${name} in fish`);
      }
    }
  });

  /** Every command, as the help lists them. */
  async function commandPaths(path: readonly string[] = []): Promise<string[][]> {
    const { stdout } = await world.run([...path, '--help']);
    const [, list = ''] = /^Commands:\n((?: .*\n)+)/m.exec(stdout) ?? [];
    const names = [...list.matchAll(/^ {2}([a-z][a-z-]*)/gm)]
      .map(([, name]) => name!)
      .filter((name) => name !== 'help');
    const below: string[][] = [];
    for (const name of names) below.push([...path, name], ...(await commandPaths([...path, name])));
    return below.filter((candidate) => candidate.length <= 2);
  }

  it('takes no word into a script that a shell could take for more', () => {
    const program = (choice: string): Command =>
      new Command('countersign').addCommand(
        new Command('x').addOption(new Command().createOption('--y <y>').choices([choice])),
      );
    for (const choice of ['a b', "a'", '$(a)', 'a;b', '*', ''])
      assert.throws(() => commandModel(program(choice)), /cannot stand in a completion script/, choice);
    const all: CommandModel[] = withAllBelow(commandModel(program('fine')));
    assert.deepEqual(all.map(({ path }) => path.join(' ')).toSorted(), ['', 'help', 'x']);
  });

  it('quotes what help says', async () => {
    const program = new Command('countersign').addCommand(
      new Command('x').description("it's [a]: \\ `b` $(c)"),
    );
    const model = commandModel(program);
    const { bashCompletion } = await import('../../cli/completion/bash.ts');
    const { zshCompletion } = await import('../../cli/completion/zsh.ts');
    const { fishCompletion } = await import('../../cli/completion/fish.ts');
    const odd = await CompletionShells.make(
      { bash: bashCompletion(model), zsh: zshCompletion(model), fish: fishCompletion(model) },
      { COUNTERSIGN_HOME: home },
    );
    try {
      for (const shell of shells.filter(installed))
        assert.deepEqual(await odd.offers(shell, ['countersign ']), [['help', 'x']], shell);
    } finally {
      await odd.remove();
    }
  });

  it('loads the commands of the called group alone', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-loaded-'));
    try {
      const env = { ...process.env, NODE_V8_COVERAGE: folder, COUNTERSIGN_HOME: home };
      await promisify(execFile)(process.execPath, ['--import', 'tsx', main, 'profile', 'show'], { env });
      const texts = await Promise.all(
        (await readdir(folder)).map((name) => readFile(join(folder, name), 'utf8')),
      );
      const loaded = new Set(
        texts.flatMap((text) =>
          [...text.matchAll(/\/cli\/(?:commands|completion)\/([a-z-]+)\.ts/g)].map(([, name]) => name!),
        ),
      );
      assert.deepEqual([...loaded], ['profile']);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('refuses another shell, and names those there are', async () => {
    const { exitCode, error } = await world.run(['completion', 'tcsh']);
    assert.equal(exitCode, 2);
    assert.match(error, /'tcsh' is invalid.*bash, zsh, fish: see countersign completion --help/);
  });
});
