// docs/commands.md: its tables name what there is.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { exitCodes } from '../../cli/errors.ts';
import { CliWorld } from '../support/cli-run.ts';

describe('docs/commands.md', () => {
  let document: string;

  before(async () => {
    document = await readFile(fileURLToPath(new URL('../../docs/commands.md', import.meta.url)), 'utf8');
  });

  it('lists the exit codes there are', () => {
    const listed = [...document.matchAll(/^\| ([0-9]) +\|/gm)].map((match) => Number(match[1]));
    assert.deepEqual(listed, Object.values(exitCodes));
  });

  it('lists the commands there are, and no other', async () => {
    const cli = await CliWorld.make();
    try {
      const help = async (...names: string[]): Promise<string[]> => {
        const { stdout } = await cli.run([...names, '--help']);
        const [, commands = ''] = stdout.split('\nCommands:\n');
        return [...commands.matchAll(/^ {2}([a-z][a-z-]*)/gm)].map(([, name]) => name!);
      };
      const there: string[] = [];
      for (const name of (await help()).filter((group) => group !== 'help')) {
        const below = (await help(name)).filter((command) => command !== 'help');
        there.push(...(below.length === 0 ? [name] : below.map((command) => `${name} ${command}`)));
      }
      const rows = [...document.matchAll(/^\| (`[a-z][^|]*) \|/gm)].map(([, cell]) => cell!);
      const listed = rows.flatMap((cell) => {
        const [first = '', ...others] = [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
        return [first, ...others.map((name) => `${first.split(' ')[0]} ${name}`)];
      });
      assert.deepEqual(listed.toSorted(), there.toSorted());
    } finally {
      await cli.remove();
    }
  });
});
