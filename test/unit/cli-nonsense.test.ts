// Nonsense in every argument and every option of every command: each answers with one line that names what is wrong, and an
// exit code from the table; none breaks, hangs, or shows what a terminal would act on. The commands are taken from the program.
import assert from 'node:assert/strict';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type CommandModel,
  commandModel,
  type OptionModel,
  type Value,
  withAllBelow,
} from '../../cli/completion/model.ts';
import { wholeProgram } from '../../cli/program.ts';
import { type CliResult, CliWorld } from '../support/cli-run.ts';

const id = `0x${'11'.repeat(32)}`;

/** What nobody means. */
const nonsense = [
  '',
  ' ',
  '\u001b[2J\u202e\u0007',
  '../../../etc/passwd',
  'NaN',
  '-1',
  '0x',
  '__proto__',
  'é'.repeat(5000),
  '99999999999999999999',
];

/** A testnet would be made; the others stop only when they are told to, and are tried below with folders that are none. */
const notHere = ['testnet', 'completion', 'version', 'help'];

describe('nonsense at the command line', function () {
  this.timeout(120_000);
  let world: CliWorld;
  let commands: CommandModel[];
  let free = 0;
  const folder = process.cwd();

  before(async () => {
    world = await CliWorld.make();
    for (const words of [
      'identity new alice',
      'profile set networkId local-0badcafe',
      // Nobody listens there, so nothing is waited for.
      'profile set coordinator http://127.0.0.1:1',
      `profile set workspaceId ${id}`,
      'profile set identity alice',
    ])
      await world.json(words.split(' '));
    await world.write('file.json', '{}');
    await mkdir(world.path('folder'));
    // Some of it names files that are then written, in the folder one is in.
    process.chdir(world.path('folder'));
    commands = withAllBelow(commandModel(await wholeProgram(contextFree())));
  });
  after(async () => {
    process.chdir(folder);
    await world?.remove();
  });

  /** A context for a program that is only looked at. */
  function contextFree(): Parameters<typeof wholeProgram>[0] {
    return {
      environment: {},
      stdin: process.stdin,
      stdout: { write: () => assert.fail('written') },
      stderr: { write: () => assert.fail('written') },
      now: () => 0,
      signal: new AbortController().signal,
    };
  }

  const leaves = (): CommandModel[] =>
    commands.filter(
      ({ commands: below, path }) => below.length === 0 && !path.some((name) => notHere.includes(name)),
    );

  /** Something that could be meant. */
  function plausible(value: Value, names: readonly string[]): string {
    if (value.kind === 'words') return value.words[0]!;
    if (value.kind === 'identity') return 'alice';
    if (value.kind === 'folder') return world.path('folder');
    if (names.includes('--out')) return world.path(`out-${(free += 1)}`);
    if (names.includes('--passphrase-file')) return world.path('passphrase');
    if (value.kind === 'file') return world.path('file.json');
    if (names.includes('--threshold')) return '2';
    return names.includes('--workspace') || names.includes('--keyring') ? id : 'x';
  }

  /** The command with what it cannot do without, one option or argument of it replaced. */
  function lineOf(
    command: CommandModel,
    required: readonly string[],
    replaced: OptionModel | number,
    by: string,
  ): string[] {
    const options = command.options.filter(
      (option) => option !== replaced && option.value !== undefined && required.includes(option.names[0]!),
    );
    return [
      ...command.path,
      ...command.arguments.map(({ value }, index) => (index === replaced ? by : plausible(value, []))),
      ...options.flatMap(({ names, value }) => [names[0]!, plausible(value!, names)]),
      ...(typeof replaced === 'number' ? [] : [replaced.names[0]!, by]),
    ];
  }

  function assertOneLine(result: CliResult, line: readonly string[]): void {
    const what = `${JSON.stringify(line)}: ${result.exitCode}: ${result.stderr}`;
    assert.ok([0, 1, 2, 3, 4].includes(result.exitCode), what);
    assert.doesNotMatch((result.stdout + result.stderr).replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u, what);
    assert.doesNotMatch(result.stderr, /internal error|\n {4}at |undefined|\[object/, what);
    if (result.exitCode === 0) return;
    assert.ok(result.stderr.length < 2500, what);
    const said = result.stderr.split('\n').filter((text) => text.startsWith('countersign: '));
    assert.equal(said.length, 1, what);
    // What was wrong, then what to do about it.
    assert.match(said[0]!, /^countersign: .+: .+/, what);
  }

  /** Options that a command cannot do without, by its own word. */
  async function requiredOf({ path }: CommandModel): Promise<string[]> {
    const required: string[] = [];
    const command = commands.find((candidate) => candidate.path === path)!;
    for (;;) {
      const given = command.options.filter(({ names }) => required.includes(names[0]!));
      const line = [
        ...path,
        ...command.arguments.map(({ value }) => plausible(value, [])),
        ...given.flatMap(({ names, value }) => [names[0]!, plausible(value!, names)]),
      ];
      const [, name] = /required option '(?:-., )?(--[a-z-]+)/.exec((await world.run(line)).stderr) ?? [];
      if (name === undefined) return required;
      required.push(name);
    }
  }

  it('is answered in one line, whatever it stands in', async () => {
    let runs = 0;
    const seen = new Set<string>();
    for (const command of leaves()) {
      const required = await requiredOf(command);
      const places = [
        ...command.arguments.keys(),
        // What many commands share is tried where it first occurs.
        ...command.options.filter(({ names, value, summary }) => {
          if (value === undefined) return false;
          const shared = `${names[0]} ${summary}`;
          return !seen.has(shared) && seen.add(shared);
        }),
      ];
      for (const place of places) {
        for (const by of nonsense) {
          const line = lineOf(command, required, place, by);
          assertOneLine(await world.run(line), line);
          runs += 1;
        }
      }
    }
    assert.ok(runs > 300, String(runs));
  });

  it('takes no empty path for the folder one is in', async () => {
    const pathful = leaves().flatMap((command) =>
      command.options
        .filter(({ value }) => value?.kind === 'file' || value?.kind === 'folder')
        .map((option) => [command, option] as const),
    );
    assert.ok(pathful.length > 30, String(pathful.length));
    for (const [command, option] of pathful) {
      const line = lineOf(command, await requiredOf(command), option, '');
      const { exitCode, stderr } = await world.run(line);
      assert.equal(exitCode, 2, JSON.stringify(line));
      assert.match(
        stderr,
        /^countersign: option '.*' argument '' is invalid. Expected a path, not nothing: see /,
      );
    }
  });

  it('leaves no file behind that was not asked for', async () => {
    const left = (await readdir(world.folder)).filter((name) => name.includes('.tmp'));
    assert.deepEqual(left, []);
  });

  it('names what is missing: home, profile, coordinator, folder, file', async () => {
    const empty = { environment: { COUNTERSIGN_HOME: join(world.folder, 'nowhere') } };
    const broken = { environment: { COUNTERSIGN_HOME: world.path('file.json') } };
    for (const command of leaves()) {
      for (const options of [empty, broken]) {
        const line = lineOf(command, await requiredOf(command), -1, '');
        assertOneLine(await world.run(line, options), line);
      }
      // Neither arguments nor options.
      assertOneLine(await world.run(command.path), command.path);
      const tooMany = [...command.path, ...Array.from({ length: 4 }, () => 'more')];
      assertOneLine(await world.run(tooMany), tooMany);
    }
  });
});
