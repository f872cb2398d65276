// `countersign node join --fingerprint`: a node signs the roster that its operator was told of, and no other.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { CliWorld } from '../support/cli-run.ts';

describe('node join --fingerprint', () => {
  let cli: CliWorld;
  let told: string;
  const join = (...more: string[]) =>
    cli.run(['node', 'join', cli.path('roster.json'), '--dir', cli.path('a'), ...more]);

  before(async () => {
    cli = await CliWorld.make();
    for (const name of ['a', 'b'])
      await cli.json(['node', 'init', '--dir', cli.path(name), '--name', name, '--network', 'my-network']);
    await cli.json(['identity', 'new', 'alice']);
    await cli.json(['profile', 'set', 'networkId', 'my-network']);
    const introductions = ['a', 'b'].map((name) => cli.path(name, 'party.json'));
    const draft = [
      '--name',
      'main',
      '--threshold',
      '2',
      '--admin',
      'alice',
      '--out',
      cli.path('roster.json'),
    ];
    ({ fingerprint: told } = await cli.json(['keyring', 'draft', ...introductions, ...draft]));
  });

  after(async () => {
    await cli?.remove();
  });

  const signedNothing = (): void => {
    assert(!existsSync(cli.path('a', 'roster.json')) && !existsSync(cli.path('roster.signed.json')));
  };

  it('refuses another roster, even with --yes, and signs nothing', async () => {
    const other = told.replace(/^./, (digit) => (digit === '0' ? '1' : '0'));
    for (const more of [[], ['--yes']]) {
      const { exitCode, error } = await join('--fingerprint', other, ...more);
      assert.equal(exitCode, 1);
      assert(error.includes(`has the fingerprint ${told}, you were told ${other}: sign nothing`), error);
    }
    signedNothing();
  });

  it('refuses what is no fingerprint, or a part of one', async () => {
    for (const text of ['', 'afe0', told.slice(0, 14), `${told} 0000`, 'main']) {
      const { exitCode, error } = await join('--fingerprint', text);
      assert.equal(exitCode, 2, error);
      assert.match(error, /is not a fingerprint: give 16 hex digits/);
    }
    signedNothing();
  });

  it('asks without one, and there is nobody to ask', async () => {
    const { exitCode, error } = await join();
    assert.equal(exitCode, 2);
    assert.match(error, /needs a confirmation/);
    signedNothing();
  });

  it('signs the roster that was told, however it is written, and asks nothing', async () => {
    const { exitCode, stderr } = await join('--fingerprint', told.toUpperCase().replaceAll(' ', '-'));
    assert.equal(exitCode, 0, stderr);
    assert(existsSync(cli.path('roster.signed.json')));
  });
});
