// The command line without a coordinator: usage, identities, profile, and the way from party.json to a signed roster.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { access, copyFile, readFile, rm, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { printable, printableJson, printableLine } from '../../cli/printable.ts';
import { addSignature, ed25519Signer, type Envelope, verifyRecord } from '../../protocol/records/envelope.ts';
import { connectorGrant } from '../../protocol/records/connector-grant.ts';
import { openKeyring } from '../../protocol/records/keyring-roster.ts';
import { openIdentity } from '../../client/identity/identity.ts';
import { type CliOptions, type CliResult, CliWorld } from '../support/cli-run.ts';

const network = 'local-0badcafe';
const connectorKey = ed25519Signer(new Uint8Array(32).fill(9)).credential;

describe('countersign, without a coordinator', () => {
  let world: CliWorld;
  beforeEach(async () => {
    world = await CliWorld.make();
  });
  afterEach(() => world.remove());

  const run = (words: string, options?: CliOptions) => world.run(words.split(' '), options);
  const json = (words: string, options?: CliOptions) => world.json(words.split(' '), options);
  const readJson = async (path: string) => JSON.parse(await readFile(path, 'utf8'));
  const exists = (path: string) =>
    access(path).then(
      () => true,
      () => false,
    );

  /** A failure is one line that says what to do, with that exit code; nothing but the result is on standard output. */
  function fails(result: CliResult, exitCode: number, words: RegExp): void {
    assert.equal(result.exitCode, exitCode, result.stderr);
    assert.match(result.error, /^countersign: .+: .+/);
    assert.match(result.error, words);
    assert.doesNotMatch(result.stderr, /\n {4}at /, 'no stack');
  }

  describe('usage', () => {
    it('shows help with an example for every command, and the exit codes', async () => {
      const top = await run('--help');
      assert.equal(top.exitCode, 0);
      assert.match(top.stdout, /Exit codes:/);
      const groups = [...top.stdout.matchAll(/^ {2}([a-z]+) {2,}(?!display)/gm)].map((match) => match[1]!);
      assert.ok(groups.length >= 11, groups.join());
      for (const group of groups.filter((name) => name !== 'help')) {
        const help = await world.run([group, '--help']);
        assert.equal(help.exitCode, 0);
        const commands = [...help.stdout.matchAll(/^ {2}([a-z-]+) \[options\]/gm)].map((match) => match[1]!);
        // A command that stands alone lists none.
        for (const command of commands.length === 0 ? [[]] : commands.map((name) => [name])) {
          const { stdout, exitCode } = await world.run([group, ...command, '--help']);
          assert.equal(exitCode, 0);
          const name = [group, ...command].join(' ');
          assert.match(stdout, new RegExp(`Examples?:\\n {2}\\$ countersign ${name}`), name);
        }
      }
    });

    it('shows an example that goes on over two lines as one that can be pasted', async () => {
      const { stdout } = await run('node init --help');
      assert.match(stdout, /\nExample:\n {2}\$ countersign node init .*\\\n {4}--announce \S+/);
    });

    it('refuses what is not a command, with exit code 2 and where to look', async () => {
      fails(await run('nothing'), 2, /unknown command 'nothing': see countersign --help/);
      fails(
        await run('node jion'),
        2,
        /unknown command 'jion' \(Did you mean join\?\): see countersign node --help/,
      );
      fails(
        await run('identity new'),
        2,
        /missing required argument 'name': see countersign identity new --help/,
      );
      fails(await run('identity list --force'), 2, /unknown option '--force'/);
      fails(await run('key request --label x --type rsa'), 2, /ed25519/);
      assert.equal((await world.run([])).exitCode, 2);
      assert.equal((await world.run(['key'])).exitCode, 2);
    });

    it('runs as a process, with a stack only when asked for one', async () => {
      const main = new URL('../../cli/main.ts', import.meta.url).pathname;
      const environment = { ...process.env, COUNTERSIGN_HOME: world.path('home') };
      const start = (argv: string[], more = {}) =>
        promisify(execFile)(process.execPath, ['--import', 'tsx', main, ...argv], {
          env: { ...environment, ...more },
        });
      assert.equal((await start(['identity', 'list', '--json'])).stdout.trim(), '[]');
      await assert.rejects(start(['identity', 'show', 'nobody'], { COUNTERSIGN_DEBUG: '1' }), (error) => {
        const { code, stderr, stdout } = error as unknown as { code: number; stderr: string; stdout: string };
        assert.equal(code, 2);
        assert.equal(stdout, '');
        assert.match(stderr, /^countersign: there is no identity nobody: .*\n.*CliError.*\n {4}at /);
        return true;
      });
    });
  });

  describe('blame', () => {
    it('refuses what is no bundle with exit code 2, and what is no keyring id', async () => {
      const path = await world.write('bundle.json', '{"type":"countersign.blame","version":1}');
      fails(
        await world.run(['blame', 'verify', path]),
        2,
        /not a blame bundle: .+: take it from its source again/,
      );
      fails(
        await world.run(['blame', 'verify', path, '--keyring', '0x12']),
        2,
        /0x12 is not a keyring id: give the whole/,
      );
      fails(
        await world.run(['blame', 'verify', world.path('nothing.json')]),
        1,
        /nothing\.json does not exist/,
      );
      const large = await world.write('large.json', 'x'.repeat(7 * 1024 * 1024));
      fails(await world.run(['blame', 'verify', large]), 2, /a bundle at most 6291457: name another file/);
      assert.equal((await run('blame verify')).exitCode, 2);
    });
  });

  describe('identity', () => {
    it('makes, lists and shows identities', async () => {
      assert.match((await run('identity list')).stdout, /no identities/);
      const alice = await json('identity new alice');
      assert.match(alice.credential, /^ed25519:0x[0-9a-f]{64}$/);
      assert.equal((await stat(alice.path)).mode & 0o777, 0o600);
      await json('identity new bob');
      const list = await json('identity list');
      assert.deepEqual(
        list.map((entry: { name: string }) => entry.name),
        ['alice', 'bob'],
      );
      assert.deepEqual(await json('identity show alice'), alice);
      assert.match((await run('identity list')).stdout, /^NAME {3}CREDENTIAL\nalice {2}ed25519:/);
      const { seed } = await openIdentity(alice.path, 'right');
      assert.equal(ed25519Signer(seed).credential, alice.credential);
    });

    it('refuses to overwrite, bad names, and to go on without a passphrase', async () => {
      await json('identity new alice');
      const before = await readFile(world.path('home', 'identities', 'alice.json'), 'utf8');
      fails(await run('identity new alice'), 1, /already exists/);
      assert.equal(await readFile(world.path('home', 'identities', 'alice.json'), 'utf8'), before);
      fails(await world.run(['identity', 'new', '../escape']), 2, /is not a name/);
      fails(await world.run(['identity', 'show', 'no such']), 2, /is not a name/);
      fails(
        await run('identity show carol'),
        2,
        /no identity carol: make it with countersign identity new carol/,
      );
      fails(await run('identity new dave', { passphrase: undefined }), 2, /no terminal.*--passphrase-file/);
      assert.equal(await exists(world.path('home', 'identities', 'dave.json')), false);
    });

    it('asks for a new passphrase twice at a terminal, without printing it', async () => {
      const typed = { passphrase: undefined, typed: 'secret\nsecret\n' };
      const made = await run('identity new alice', typed);
      assert.equal(made.exitCode, 0, made.stderr);
      assert.doesNotMatch(made.stdout + made.stderr, /secret/);
      assert.ok(await openIdentity(world.path('home', 'identities', 'alice.json'), 'secret'));
      fails(await run('identity new bob', { passphrase: undefined, typed: 'secret\nsecrte\n' }), 2, /differ/);
    });

    it('lists the others when one file is damaged', async () => {
      await json('identity new alice');
      const { path } = await json('identity new bob');
      await world.write('home/identities/alice.json', '{', 0o600);
      const list = await run('identity list');
      assert.equal(list.exitCode, 0);
      assert.match(list.stdout, /alice {2}\(.*not JSON.*\)\nbob {4}ed25519:/);
      assert.equal((await json('identity list')).length, 2);
      assert.ok(path);
    });
  });

  describe('profile', () => {
    it('is file < environment < flags', async () => {
      await json('profile set networkId net-file');
      await json('profile set coordinator http://127.0.0.1:1');
      assert.deepEqual(await json('profile show'), {
        networkId: 'net-file',
        coordinator: 'http://127.0.0.1:1',
      });
      const environment = { COUNTERSIGN_NETWORK: 'net-environment', COUNTERSIGN_AS: 'bob' };
      const shown = await run('profile show', { environment });
      assert.match(shown.stdout, /networkId +net-environment +COUNTERSIGN_NETWORK/);
      assert.match(shown.stdout, /coordinator +http:\/\/127\.0\.0\.1:1 +profile\.yaml/);
      // The flag decides which network the roster is for.
      await json('identity new bob');
      const parties = await makeParties();
      const draft = [
        'keyring',
        'draft',
        ...parties,
        '--name',
        'main',
        '--threshold',
        '2',
        '--network',
        'net-flag',
      ];
      const roster = await world.json([...draft, '--out', world.path('r.json')], { environment });
      assert.equal(roster.networkId, 'net-flag');
      assert.deepEqual(roster.admins, [(await json('identity show bob')).credential]);
    });

    it('refuses unknown keys and bad values in one line', async () => {
      fails(
        await run('profile set network x'),
        2,
        /unknown key "network": allowed are: coordinator, networkId/,
      );
      fails(await run('profile set coordinator ftp://x'), 2, /coordinator/);
      await json('profile set networkId net-file');
      await world.write('home/profile.yaml', 'networkId: net-file\ncoordinater: http://x\n', 0o600);
      fails(
        await run('profile show'),
        2,
        /profile\.yaml:2:\d+: unknown key "coordinater": allowed are: coordinator,/,
      );
      await world.write('home/profile.yaml', 'networkId: [\n', 0o600);
      fails(await run('key list'), 2, /profile\.yaml:\d+:\d+: /);
      await world.write('home/profile.yaml', '', 0o600);
      fails(
        await run('key list'),
        2,
        /no workspaceId is set: use --workspace, COUNTERSIGN_WORKSPACE, or countersign profile/,
      );
      fails(
        await run('profile show', { environment: { COUNTERSIGN_WORKSPACE: '0x12' } }),
        2,
        /COUNTERSIGN_WORKSPACE/,
      );
    });
  });

  /** Folders of three nodes, by their names; returns their party.json files. */
  async function makeParties(): Promise<string[]> {
    const names = ['acme', 'blue', 'core'];
    for (const name of names) {
      if (!(await exists(world.path(name)))) {
        await world.json([
          'node',
          'init',
          '--dir',
          world.path(name),
          '--name',
          name,
          '--network',
          network,
          '--announce',
          '/dns4/x.example/tcp/1',
        ]);
      }
    }
    return names.map((name) => world.path(name, 'party.json'));
  }

  async function draft(out: string, ...more: string[]): Promise<string> {
    if (!(await exists(world.path('home', 'identities', 'admin.json')))) await json('identity new admin');
    const parties = await makeParties();
    const file = world.path(out);
    await world.json([
      'keyring',
      'draft',
      ...parties,
      '--name',
      'main',
      '--threshold',
      '2',
      '--admin',
      'admin',
      '--network',
      network,
      '--out',
      file,
      ...more,
    ]);
    return file;
  }

  const join = (name: string, file: string, more: string[] = ['--yes'], options?: CliOptions) =>
    world.run(['node', 'join', file, '--dir', world.path(name), ...more], options);

  describe('node init', () => {
    it('makes a sealed party key, party.json and config.yaml, and overwrites nothing', async () => {
      const [file] = await makeParties();
      const party = await readJson(file!);
      assert.deepEqual(Object.keys(party), ['name', 'key', 'addresses']);
      assert.deepEqual(party.addresses, ['/dns4/x.example/tcp/1']);
      const identity = await openIdentity(world.path('acme', 'identity.json'), 'right');
      assert.equal(identity.credential, party.key);
      assert.equal((await stat(world.path('acme', 'identity.json'))).mode & 0o777, 0o600);
      assert.equal((await stat(world.path('acme'))).mode & 0o777, 0o700);
      assert.match(await readFile(world.path('acme', 'config.yaml'), 'utf8'), /networkId: local-0badcafe/);
      const again = ['node', 'init', '--dir', world.path('acme'), '--name', 'acme', '--network', network];
      fails(await world.run(again), 1, /already exists.*never replaced/);
      assert.equal((await openIdentity(world.path('acme', 'identity.json'), 'right')).credential, party.key);
    });

    it('completes a folder whose init was interrupted, with the key that was made', async () => {
      const dir = world.path('acme');
      const init = (name: string) =>
        world.run(['node', 'init', '--dir', dir, '--name', name, '--network', network]);
      assert.equal((await init('acme')).exitCode, 0);
      const sealed = await readFile(world.path('acme', 'identity.json'), 'utf8');
      for (const unwritten of [['config.yaml'], ['config.yaml', 'party.json']]) {
        for (const file of unwritten) await rm(world.path('acme', file));
        fails(await init('other'), 1, /interrupted init of acme/);
        assert.equal((await init('acme')).exitCode, 0);
        assert.equal(await readFile(world.path('acme', 'identity.json'), 'utf8'), sealed);
        const party = await readJson(world.path('acme', 'party.json'));
        assert.equal(
          party.key,
          (await openIdentity(world.path('acme', 'identity.json'), 'right')).credential,
        );
      }
    });

    it('announces only addresses that mean something to others', async () => {
      const base = ['node', 'init', '--name', 'acme', '--network', network];
      const made = await world.json([
        ...base,
        '--dir',
        world.path('x'),
        '--listen',
        '/ip4/0.0.0.0/tcp/4151',
        '/ip4/10.0.0.5/tcp/4151',
        '/ip4/10.0.0.5/tcp/0',
      ]);
      assert.deepEqual(made.addresses, ['/ip4/10.0.0.5/tcp/4151']);
      assert.match(made.peerId, /^12D3Koo/);
    });

    it('makes nothing of bad values', async () => {
      const dir = world.path('x');
      const base = ['node', 'init', '--dir', dir];
      fails(await world.run([...base, '--name', 'Not A Name', '--network', network]), 2, /name/);
      fails(await world.run([...base, '--name', 'acme', '--network', 'X']), 2, /network id/);
      fails(
        await world.run([...base, '--name', 'acme', '--network', network, '--listen', '1.2.3.4:5']),
        2,
        /--listen "1\.2\.3\.4:5": expected a TCP multiaddress/,
      );
      fails(await world.run([...base, '--name', 'A G', '--network', network]), 2, /--name "A G": a name is/);
      fails(
        await world.run([...base, '--name', 'acme', '--network', 'No']),
        2,
        /--network "No": a network id/,
      );
      for (const address of [
        '/ip4/0.0.0.0/tcp/4151',
        '/ip6/::/tcp/4151',
        '/ip4/10.0.0.5/tcp/0',
        '/ip4/10.0.0.5/udp/4151',
        'https://node.example',
      ]) {
        const told = await world.run([
          ...base,
          '--name',
          'acme',
          '--network',
          network,
          '--announce',
          address,
        ]);
        fails(told, 2, /--announce "[^"]*" leads nobody to this node: give/);
      }
      assert.equal(await exists(dir), false);
    });
  });

  describe('from draft to complete roster', () => {
    it('gathers signatures: draft, join, create, join', async () => {
      const file = await draft('roster.json');
      const first = await join('acme', file, ['--yes', '--out', world.path('acme.json')]);
      assert.equal(first.exitCode, 0, first.stderr);
      assert.match(first.stderr, /fingerprint +([0-9a-f]{4} ){3}[0-9a-f]{4}/);
      assert.match(first.stderr, /threshold +2 of 3/);
      assert.match(first.stderr, /acme \(this node\)/);
      assert.match(first.stdout, /Still to sign: blue, core/);
      await join('blue', file, ['--yes', '--out', world.path('blue.json')]);
      const create = ['keyring', 'create', '--no-submit', '--network', network];
      const all = world.path('all.json');
      const two = [world.path('acme.json'), world.path('blue.json')];
      const incomplete = await world.run([...create, ...two, '--out', all]);
      fails(incomplete, 4, /core has not signed/);
      // Nothing that could be handed on as the complete roster.
      assert.equal(await exists(all), false);
      // The same command again leaves the same file.
      const again = await join('acme', file, ['--yes', '--out', world.path('acme.json')]);
      assert.equal(again.exitCode, 0, again.stderr);
      // The third signs what the second signed: signatures add up along a chain of operators too.
      const chained = await join('core', world.path('blue.json'));
      assert.match(chained.stdout, /Still to sign: acme/);
      const complete = [...create, world.path('acme.json'), world.path('blue.signed.json'), '--out', all];
      const made = await world.json(complete);
      assert.deepEqual(await world.json(complete), made);
      assert.match((await world.run(complete)).stdout, /All have signed: give .*all\.json to every operator/);
      assert.deepEqual(made.unsigned, []);
      assert.equal(openKeyring(await readJson(all), network).id, made.keyringId);
      for (const name of ['acme', 'blue', 'core']) {
        // Nothing new is signed: no passphrase, no question.
        const joined = await join(name, all, [], { passphrase: undefined });
        assert.equal(joined.exitCode, 0, joined.stderr);
        assert.match(joined.stdout, /All parties have signed/);
        assert.equal(
          openKeyring(await readJson(world.path(name, 'roster.json')), network).id,
          made.keyringId,
        );
      }
      assert.equal(await exists(world.path('all.signed.json')), false);
    });

    it('signs only after the operator agreed', async () => {
      const file = await draft('roster.json');
      fails(await join('acme', file, []), 2, /no terminal to ask at: pass --fingerprint/);
      fails(await join('acme', file, [], { typed: 'n\n' }), 1, /not confirmed/);
      fails(await join('acme', file, [], { typed: '\n' }), 1, /not confirmed/);
      assert.equal(await exists(world.path('acme', 'roster.json')), false);
      assert.equal(await exists(world.path('roster.signed.json')), false);
      const agreed = await join('acme', file, [], { typed: 'y\nright\n', passphrase: undefined });
      assert.equal(agreed.exitCode, 0, agreed.stderr);
      assert.ok(await exists(world.path('roster.signed.json')));
    });

    it('signs nothing with a wrong passphrase', async () => {
      const file = await draft('roster.json');
      const wrong = await world.write('wrong', 'not it\n', 0o600);
      fails(
        await join('acme', file, ['--yes', '--passphrase-file', wrong]),
        1,
        /wrong passphrase.*try again/,
      );
      assert.equal(await exists(world.path('acme', 'roster.json')), false);
    });

    it('joins no roster that is not about this node as it is', async () => {
      const file = await draft('roster.json');
      // Another node, whose key nobody listed.
      const other = ['node', 'init', '--dir', world.path('other'), '--name', 'acme', '--network', network];
      assert.equal((await world.run(other)).exitCode, 0);
      fails(await join('other', file), 1, /does not list this node's party key/);
      // This node's key under another name.
      const party = await readJson(world.path('acme', 'party.json'));
      const renamed = await world.write('renamed.json', JSON.stringify({ ...party, name: 'mallory' }));
      const out = world.path('r2.json');
      const parties = [renamed, world.path('blue', 'party.json')];
      await world.json([
        'keyring',
        'draft',
        ...parties,
        '--name',
        'm',
        '--threshold',
        '2',
        '--admin',
        'admin',
        '--network',
        network,
        '--out',
        out,
      ]);
      fails(await join('acme', out), 1, /calls this node mallory, its name is acme/);
      const elsewhere = await draft('r3.json', '--network', 'other-network');
      fails(await join('acme', elsewhere), 2, /made for network other-network/);
      assert.equal(await exists(world.path('acme', 'roster.json')), false);
    });

    it('belongs to one keyring: a second roster is refused', async () => {
      assert.equal((await join('acme', await draft('one.json'))).exitCode, 0);
      const stored = await readFile(world.path('acme', 'roster.json'), 'utf8');
      fails(
        await join('acme', await draft('two.json')),
        1,
        /belongs to keyring 0x.*is the roster of 0x.*make another folder/,
      );
      assert.equal(await readFile(world.path('acme', 'roster.json'), 'utf8'), stored);
      assert.equal(await exists(world.path('two.signed.json')), false);
    });

    it('refuses rosters with bad, foreign or missing signatures, and files that are none', async () => {
      const file = await draft('roster.json');
      const roster = (await readJson(file)) as Envelope;
      const change = (name: string, envelope: Partial<Envelope>) =>
        world.write(name, JSON.stringify({ ...roster, ...envelope }));
      const [admin] = roster.signatures;
      const broken = { ...admin!, signature: `0x${'00'.repeat(64)}` as const };
      fails(await join('acme', await change('bad.json', { signatures: [broken] })), 1, /does not verify/);
      fails(await join('acme', await change('none.json', { signatures: [] })), 1, /nobody signed/);
      const outsider = addSignature(roster, network, ed25519Signer(new Uint8Array(32).fill(7)));
      fails(await join('acme', await change('foreign.json', outsider)), 1, /no admin and no party/);
      const { seed } = await openIdentity(world.path('blue', 'identity.json'), 'right');
      const noAdmin = addSignature({ ...roster, signatures: [] }, network, ed25519Signer(seed));
      fails(await join('acme', await change('no-admin.json', noAdmin)), 1, /not signed by an admin/);
      fails(await join('acme', world.path('acme', 'party.json')), 2, /is not a signed record/);
      fails(await join('acme', await change('type.json', { type: 'request' })), 2, /is a request record/);
      fails(await join('acme', world.path('nowhere.json')), 1, /does not exist: check the path/);
      assert.equal(await exists(world.path('acme', 'roster.json')), false);
    });

    it('merges only copies of one roster', async () => {
      const [one, two] = [await draft('one.json'), await draft('two.json')];
      const create = ['keyring', 'create', '--no-submit', '--network', network];
      fails(await world.run([...create, one, two]), 1, /two\.json is another roster than/);
      fails(await world.run(['keyring', 'create', one, '--network', network]), 2, /no coordinator is set/);
    });

    it('drafts nothing that cannot be', async () => {
      await json('identity new admin');
      const parties = await makeParties();
      const base = [
        'keyring',
        'draft',
        '--name',
        'm',
        '--admin',
        'admin',
        '--network',
        network,
        '--out',
        world.path('r.json'),
      ];
      fails(await world.run([...base, ...parties, '--threshold', '4']), 2, /threshold of 4 of 3/);
      fails(await world.run([...base, ...parties, '--threshold', '1']), 2, /threshold of 1/);
      fails(await world.run([...base, ...parties, '--threshold', 'two']), 2, /threshold/);
      const [acme, blue] = [await readJson(parties[0]!), await readJson(parties[1]!)];
      const twice = await world.write('twice.json', JSON.stringify({ ...acme, name: 'other' }));
      const both = await world.run([...base, parties[0]!, twice, '--threshold', '2']);
      fails(both, 2, /party\.json and .*twice\.json both have the party key ed25519:0x/);
      const namesake = await world.write('namesake.json', JSON.stringify({ ...blue, name: 'acme' }));
      const named = await world.run([...base, parties[0]!, namesake, '--threshold', '2']);
      fails(named, 2, /party\.json and .*namesake\.json both have the name acme/);
      fails(
        await world.run([...base, ...parties, '--threshold', '2', '--serves', '0x12']),
        2,
        /is not the id of a workspace/,
      );
      assert.equal(await exists(world.path('r.json')), false);
      // What can be and is hardly meant is said.
      for (const [addresses, words] of [
        [[], /blue announces no address, where nobody reaches it/],
        [['/ip4/0.0.0.0/tcp/4151'], /blue announces \/ip4\/0\.0\.0\.0\/tcp\/4151, where nobody/],
      ] as const) {
        const silent = await world.write('silent.json', JSON.stringify({ ...blue, addresses }));
        const drafted = await world.run([...base, parties[0]!, silent, '--threshold', '2']);
        assert.equal(drafted.exitCode, 0, drafted.stderr);
        assert.match(drafted.stderr, words);
        assert.doesNotMatch(drafted.stderr, /acme announces/);
        assert.match(drafted.stdout, /--fingerprint "[0-9a-f ]{19}"/);
        await rm(world.path('r.json'));
      }
      await world.write('r.json', 'precious');
      fails(await world.run([...base, ...parties, '--threshold', '2']), 1, /already exists/);
      assert.equal(await readFile(world.path('r.json'), 'utf8'), 'precious');
    });
  });

  describe("a node's folder", () => {
    it('grants a connector, whether or not the node runs', async () => {
      const base = ['node', 'allow-connector', connectorKey, '--dir', world.path('acme')];
      await makeParties();
      fails(await world.run(base), 1, /no keyring yet: run countersign node join/);
      const file = await draft('roster.json');
      await join('acme', file);
      const granted = await world.json([...base, '--expires', '10d', '--out', world.path('grant.json')]);
      assert.equal(granted.nodeReloaded, false);
      const { content } = verifyRecord(connectorGrant, await readJson(world.path('grant.json')), network);
      assert.equal(content.connector, connectorKey);
      assert.equal(content.party, (await readJson(world.path('acme', 'party.json'))).key);
      assert.ok(Math.abs(Date.parse(content.expires) - Date.now() - 10 * 86_400_000) < 60_000);
      // A later grant takes the place of an earlier one of this party, and of nothing else.
      await world.json([...base, '--expires', '20d', '--out', world.path('grant.json')]);
      const renewed = verifyRecord(connectorGrant, await readJson(world.path('grant.json')), network).content;
      assert.ok(Date.parse(renewed.expires) > Date.parse(content.expires));
      fails(await world.run([...base, '--out', file]), 1, /already exists/);
      const ownKey = content.party;
      const parties = [ownKey, (await readJson(world.path('blue', 'party.json'))).key];
      for (const key of parties) {
        fails(
          await world.run(['node', 'allow-connector', key, '--dir', world.path('acme')]),
          2,
          key === ownKey
            ? /is the party key of this node: give the connector's own/
            : /is the party key of blue/,
        );
      }
      const again = await world.json(base);
      assert.match(again.file, /acme\/grants\/[0-9a-f]{64}\.json$/);
      fails(
        await world.run(['node', 'allow-connector', 'ed25519:0x12', '--dir', world.path('acme')]),
        2,
        /is not a connector's key/,
      );
      const degenerate = `ed25519:0x01${'00'.repeat(31)}`;
      fails(
        await world.run(['node', 'allow-connector', degenerate, '--dir', world.path('acme')]),
        1,
        /small order/,
      );
      fails(await world.run([...base, '--expires', 'soon']), 2, /duration/);
    });

    it('names unknown configuration keys, and files of two nodes mixed', async () => {
      await makeParties();
      const config = await readFile(world.path('acme', 'config.yaml'), 'utf8');
      await world.write('acme/config.yaml', `${config}lisen: 1\n`);
      const start = ['node', 'start', '--dir', world.path('acme')];
      fails(await world.run(start), 2, /config\.yaml.*unknown key "lisen"; allowed are: networkId/);
      await world.write('acme/config.yaml', `${config}logLevel: loud\n`);
      fails(await world.run(start), 2, /config\.yaml:\d+:\d+: .*logLevel/);
      await world.write('acme/config.yaml', config);
      await copyFile(world.path('blue', 'party.json'), world.path('acme', 'party.json'));
      fails(await world.run(start), 2, /restore the files of one node/);
    });

    it('starts no node without a complete roster, or with a wrong passphrase', async () => {
      const file = await draft('roster.json');
      const start = ['node', 'start', '--dir', world.path('acme')];
      fails(await world.run(start), 1, /roster\.json is missing/);
      await join('acme', file);
      fails(await world.run(start), 1, /has not signed/);
      const wrong = await world.write('wrong', 'not it\n', 0o600);
      fails(await world.run([...start, '--passphrase-file', wrong]), 1, /wrong passphrase/);
      await world.write('open', 'right\n', 0o644);
      fails(await world.run([...start, '--passphrase-file', world.path('open')]), 1, /chmod 600/);
    });

    it('says with exit code 3 that no node runs', async () => {
      await makeParties();
      fails(
        await world.run(['node', 'status', '--dir', world.path('acme')]),
        3,
        /no node runs on .*: start it with/,
      );
      fails(await world.run(['node', 'status', '--dir', world.path('nowhere')]), 2, /there is no folder/);
      fails(
        await world.run(['node', 'start', '--dir', world.path('nowhere')]),
        2,
        /there is no configuration/,
      );
    });
  });

  describe('connector and coordinator folders', () => {
    const peer = '/ip4/10.0.0.5/tcp/4151/p2p/12D3KooWQWeJCVty97ZGFNK8s7oFf7JoNtGXJYvRxG9CPs7K4UUF';

    it('makes a connector folder that says what is still to set', async () => {
      const dir = world.path('connector');
      const made = await world.json(['connector', 'init', '--dir', dir, '--network', network]);
      assert.deepEqual(made.unset, ['coordinator', 'node']);
      assert.match(made.credential, /^ed25519:0x/);
      fails(await world.run(['connector', 'init', '--dir', dir]), 1, /already exists/);
      fails(await world.run(['connector', 'start', '--dir', dir]), 2, /coordinator/);
      const flags = ['--coordinator', 'http://127.0.0.1:1', '--node', peer];
      fails(
        await world.run(['connector', 'start', '--dir', dir, ...flags]),
        2,
        /grant.*node allow-connector/,
      );
      fails(await world.run(['connector', 'start']), 2, /use --dir DIR or --config FILE/);
      const bad = ['connector', 'init', '--dir', world.path('c2'), '--node', '/ip4/10.0.0.5/tcp/4151'];
      fails(await world.run(bad), 2, /peer id/);
      for (const id of [
        '12D3KooW...',
        'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N',
        peer.slice(27, -1),
      ]) {
        const wrong = [...bad.slice(0, -1), `/ip4/10.0.0.5/tcp/4151/p2p/${id}`];
        fails(await world.run(wrong), 2, /ends with the peer id, as node init prints it/);
      }
      assert.equal(await exists(world.path('c2')), false);
      await world.write('connector/config.yaml', 'networkid: x\n');
      fails(
        await world.run(['connector', 'start', '--dir', dir]),
        2,
        /config\.yaml:1:\d+: unknown key "networkid": allowed are: networkId, dir/,
      );
    });

    it('names mistakes in a coordinator configuration', async () => {
      const start = (text: string, ...more: string[]) =>
        world
          .write('coordinator.yaml', text)
          .then((file) => world.run(['coordinator', 'start', '--config', file, ...more]));
      fails(
        await start('networkId: net-a\ndir: data\nlisten: { port: 0, hots: x }\n'),
        2,
        /coordinator\.yaml:3:\d+: .*unknown key "hots"; allowed are: host, port/,
      );
      fails(
        await start('networkId: net-a\ndir: data\nlisten: { port: x }\n'),
        2,
        /coordinator\.yaml:3:\d+: .*listen\.port/,
      );
      fails(
        await start('networkId: net-a\ndir: data\nlisten: { port: 0 }\n', '--port', 'x'),
        2,
        /flag or environment.*listen\.port/,
      );
      fails(await start('- a\n'), 2, /no keys and values/);
      fails(await start('a: b: c\n'), 2, /coordinator\.yaml:1:\d+/);
    });
  });

  it('prints nothing that a terminal would act on', () => {
    const hostile = 'a\u001b[31mb\u009b2Jc\u202ed\u0007\u2028e\ud800f\u00adg';
    const shown = printable(hostile);
    assert.equal(shown, 'a\\u{1b}[31mb\\u{9b}2Jc\\u{202e}d\\u{7}\\u{2028}e\\u{d800}f\\u{ad}g');
    assert.equal(printable(shown), shown, 'once is enough');
    assert.equal(printableLine(' a\n\tb\r\n c '), 'a b c');
    for (const indent of [undefined, 2]) {
      const text = printableJson({ [hostile]: [hostile, '\n\t'] }, indent);
      assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      assert.deepEqual(JSON.parse(text), { [hostile]: [hostile, '\n\t'] });
    }
    const invisibleTag = '\u{e0041}';
    assert.equal(JSON.parse(printableJson(invisibleTag)), invisibleTag);
    assert.doesNotMatch(printableJson(invisibleTag), /\p{Cf}/u);
  });
});
