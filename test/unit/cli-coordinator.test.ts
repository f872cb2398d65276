// The command line against a real coordinator in this process, and against one that lies. Parties are fakes with real keys.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { base64 } from '@scure/base';
import { openIdentity } from '../../client/identity/identity.ts';
import { parseCoordinatorConfig } from '../../coordinator/config.ts';
import { type RunningCoordinator, startCoordinator } from '../../coordinator/main.ts';
import type { Hex } from '../../protocol/hex.ts';
import { addressesOf } from '../../protocol/keys/key-type.ts';
import { publicKeyOf } from '../../protocol/keys/ed25519.ts';
import { transferMessage } from '../../protocol/payloads/solana-transfer.ts';
import { type CliOptions, type CliResult, CliWorld, type Json } from '../support/cli-run.ts';
import { type FakeParties, fakeParties } from '../support/fake-parties.ts';
import { type LyingProxy, startLyingProxy } from '../support/lying-proxy.ts';

const networkId = 'local-0badcafe';
const keySeed = new Uint8Array(32).fill(77);
const address = addressesOf('ed25519', publicKeyOf(keySeed))[0]!.address;
const other = addressesOf('ed25519', publicKeyOf(new Uint8Array(32).fill(78)))[0]!.address;

const twoOwners = `version: 1
rules:
  - { id: keys, effect: allow, when: { kind: [key.request] }, require: { k: 1, of: owners } }
  - { id: spend, effect: allow, when: { kind: [solana.transaction, message] }, require: { k: 2, of: owners } }
`;

describe('countersign, with a coordinator', () => {
  let world: CliWorld;
  let coordinator: RunningCoordinator;
  let proxy: LyingProxy;
  let parties: FakeParties;
  let keyringId: Hex;
  let workspaceId: Hex;
  let files = 0;

  const run = (words: string, options?: CliOptions) => world.run(words.split(' '), options);
  const json = (words: string, options?: CliOptions) => world.json(words.split(' '), options);
  const path = (name: string) => world.path(name);
  function fails(result: CliResult, exitCode: number, words: RegExp): void {
    assert.equal(result.exitCode, exitCode, result.stderr);
    assert.match(result.error, /^countersign: .+: .+/);
    assert.match(result.error, words);
  }

  before(async () => {
    world = await CliWorld.make();
    const config = parseCoordinatorConfig({
      networkId,
      dir: path('coordinator'),
      listen: { port: 0 },
      create: 'open',
    });
    coordinator = await startCoordinator({ config, log: () => undefined, version: '0.0.0-test' });
    proxy = await startLyingProxy(() => coordinator.url);
    for (const name of ['alice', 'bob', 'admin']) await json(`identity new ${name}`);
    await json(`profile set networkId ${networkId}`);
    await json(`profile set coordinator ${proxy.url}`);
    await json('profile set identity alice');
    const seeds: Uint8Array[] = [];
    const names = ['acme', 'blue', 'core'];
    for (const name of names) {
      await json(`node init --dir ${path(name)} --name ${name} --network ${networkId}`);
      seeds.push((await openIdentity(world.path(name, 'identity.json'), 'right')).seed);
    }
    const files = names.map((name) => world.path(name, 'party.json')).join(' ');
    await json(`keyring draft ${files} --name main --threshold 2 --admin admin --out ${path('roster.json')}`);
    for (const name of names) {
      await json(`node join ${path('roster.json')} --dir ${path(name)} --yes --out ${path(`${name}.json`)}`);
    }
    const copies = names.map((name) => path(`${name}.json`)).join(' ');
    const keyring = await json(`keyring create ${copies} --out ${path('all.json')}`);
    assert.equal(keyring.registered, true);
    keyringId = keyring.keyringId;
    parties = fakeParties(coordinator.url, networkId, keyringId, seeds);
    await world.write('policy.yaml', twoOwners);
    const [alice, bob] = [await json('identity show alice'), await json('identity show bob')];
    const workspace = await json(
      `workspace create --name treasury --owner alice=${alice.credential} --owner bob=${bob.credential} ` +
        `--keyring ${keyringId} --sign-policy ${path('policy.yaml')}`,
    );
    workspaceId = workspace.workspaceId;
    assert.equal(workspace.savedInProfile, true);
    const key = await json('key request --label payroll --type ed25519');
    assert.equal(key.state, 'pending');
    await parties.answer(key.keyId, keySeed);
  });

  after(async () => {
    await proxy.stop();
    await coordinator.stop();
    await world.remove();
  });

  afterEach(() => {
    proxy.lie = undefined;
    proxy.calls.length = 0;
  });

  /** Asks for a signature of a text or a transfer; returns the request's id. */
  async function request(kind: 'message' | 'transfer', text = 'hello'): Promise<Hex> {
    const name = `payload-${(files += 1)}`;
    const transfer = (): string =>
      base64.encode(transferMessage({ from: address, to: other, lamports: 5n, recentBlockhash: other }));
    await world.write(name, kind === 'message' ? text : transfer());
    const flags = kind === 'message' ? ['--kind', 'message'] : [];
    const made = await world.json(['sign', '--key', 'payroll', '--payload', path(name), ...flags]);
    assert.equal(made.state, 'partial');
    return made.requestId;
  }

  it('shows workspace and keyrings as their records prove them', async () => {
    const shown = await json('workspace show');
    assert.equal(shown.workspaceId, workspaceId);
    assert.deepEqual(
      shown.owners.map((owner: { name: string }) => owner.name),
      ['alice', 'bob'],
    );
    assert.match(
      (await run('workspace show')).stdout,
      /spend: allow solana\.transaction, message, approved by 2 of all owners/,
    );
    const keyring = await json(`keyring show ${keyringId.slice(0, 8)}`);
    assert.equal(keyring.keyringId, keyringId);
    assert.match((await run('keyring show')).stdout, /main +2 of 3 +acme blue core/);
    fails(await run('keyring show 0xffff'), 2, /no keyring "0xffff"/);
    fails(await run('keyring show 0xf'), 2, /4 or more/);
    const saved = await run(`keyring show ${keyringId} --out ${path('copy.json')}`);
    assert.equal(saved.exitCode, 0);
    assert.equal((await run(`node join ${path('copy.json')} --dir ${path('acme')}`)).exitCode, 0);
  });

  it('lists, shows and verifies keys by id, prefix and label', async () => {
    const [key] = await json('key list');
    assert.deepEqual([key.label, key.state, key.verified], ['payroll', 'fulfilled', true]);
    for (const name of ['payroll', key.keyId, key.keyId.slice(0, 10), key.keyId.slice(2, 10)]) {
      assert.equal((await json(`key verify ${name}`)).addresses[0].address, address);
    }
    assert.match((await run('key show payroll')).stdout, new RegExp(`address +${address} \\(solana\\)`));
    fails(await run('key verify nothing'), 2, /no key "nothing"/);
    fails(await run(`key verify 0x${'00'.repeat(32)}`), 1, /there is no request/);
  });

  it('says with exit code 4 that a key has no certificate yet', async () => {
    const { keyId } = await json('key request --label later --type ed25519');
    fails(await run(`key verify ${keyId}`), 4, /no certificate yet/);
    assert.equal((await json('key show later')).state, 'pending');
    fails(
      await run('key request --label later2 --type ed25519 --wait 0.05'),
      4,
      /still pending: 0 of 3 parties/,
    );
    fails(await run('key request --label x --type ed25519 --wait soon'), 2, /no number of seconds/);
  });

  it('takes a transfer from request to signed transaction', async () => {
    const id = await request('transfer');
    fails(await run(`request show ${id} --wait 0.05`), 4, /approvals missing, 1 more for rule spend/);
    assert.equal((await run(`request show ${id}`)).exitCode, 0, 'showing is no failure');
    const [action] = (await json('action list')).filter(
      (entry: { requestId: Hex }) => entry.requestId === id,
    );
    assert.deepEqual(action.missing, ['bob']);
    const shown = await json(`action show ${id} --as bob`);
    assert.equal(shown.verdict, 'waiting');
    assert.deepEqual(shown.items[0].facts.transfers, [
      { asset: 'SOL', from: address, to: other, amount: '5' },
    ]);
    assert.match((await run(`action show ${id}`)).stdout, new RegExp(other));
    fails(await run(`action approve ${id} --as bob`), 2, /pass --yes/);
    fails(await run(`action approve ${id} --as bob`, { typed: 'no\n' }), 1, /not confirmed/);
    const approved = await run(`action approve ${id} --as bob --json`, { typed: 'y\n' });
    assert.equal(approved.exitCode, 0, approved.stderr);
    assert.equal(JSON.parse(approved.stdout).state, 'pending');
    assert.match(approved.stderr, new RegExp(other), 'what is approved was shown');
    const waiting = world.run(['request', 'show', id, '--wait', '30', '--json', '--out', path('signed')]);
    await parties.answer(id, keySeed, 2);
    const done = await waiting;
    assert.equal(done.exitCode, 0, done.stderr);
    const [item] = JSON.parse(done.stdout).items;
    assert.deepEqual(item.missing, []);
    const wire = base64.decode(item.transaction);
    assert.equal(Buffer.from(wire.slice(1, 65)).toString('hex'), item.signature.slice(2));
    assert.equal(await readFile(path('signed'), 'utf8'), `${item.transaction}\n`);
    assert.match(
      (await run(`request show ${id}`)).stdout,
      /state +fulfilled[\s\S]*signed transaction +[A-Za-z0-9+/=]+/,
    );
    fails(await run(`request show ${id} --out ${path('signed')}`), 1, /already exists/);
  });

  it('waits in sign itself, and tells a rejection by exit code 5', async () => {
    await world.write('text', 'pay nobody');
    const sign = `sign --key payroll --payload ${path('text')} --kind message`;
    const before = await actionIds();
    const waiting = run(`${sign} --wait --json`);
    const id = await actionBeside(before);
    fails(await run(`action reject ${id} --as bob --reason ${'x'.repeat(101)}`), 2, /reason/);
    await json(`action reject ${id} --as bob --reason no`);
    const ended = await waiting;
    fails(ended, 5, /rejected \(approvers, .*\): ask again/);
    assert.equal(JSON.parse(ended.stdout).state, 'rejected');
    fails(await run(`request show ${id} --wait`), 5, /rejected/);
    fails(await run(`action approve ${id} --as bob --yes`), 1, /cannot be approved \(approvers\)/);
    fails(await run(`${sign} --out ${path('x')}`), 2, /--out has nothing to write without --wait/);
    fails(await run(`${sign} --expires 31d`), 2, /30 days/);
    fails(await run(`${sign} --wait --out ${path('text')}`), 1, /already exists/);
  });

  async function actionIds(): Promise<Hex[]> {
    return (await json('action list')).map((entry: { requestId: Hex }) => entry.requestId);
  }

  /** The id of the action that appears beside those. */
  async function actionBeside(before: readonly Hex[]): Promise<Hex> {
    const end = Date.now() + 10_000;
    while (Date.now() < end) {
      const found = (await actionIds()).find((id) => !before.includes(id));
      if (found !== undefined) return found;
    }
    throw new Error('no action appeared');
  }

  it('approves nothing whose evidence is not what was asked for, and never asks for the decision', async () => {
    const [id, decoy] = [await request('message', 'mine'), await request('message', 'decoy')];
    const elsewhere = await json(`action show ${decoy}`);
    assert.equal(elsewhere.requestId, decoy);
    const decoyAnswer = await answerOf('action_get', `action show ${decoy}`);
    const refuses = async (lie: (result: Json) => unknown, words: RegExp): Promise<void> => {
      for (const command of [`action show ${id}`, `action approve ${id} --as bob --yes`]) {
        proxy.lie = (method, result) => (method === 'action_get' ? lie(structuredClone(result)) : result);
        proxy.calls.length = 0;
        fails(await run(command), 1, words);
        assert.ok(!proxy.calls.includes('action_decide'));
      }
    };
    await refuses(() => decoyAnswer, /answered with request 0x.* when asked for/);
    await refuses((result) => {
      result.evidence.request.signatures = [];
      return result;
    }, /bad_evidence.*nobody signed.*do not sign anything for it/);
    await refuses((result) => {
      result.evidence.request.bytes = decoyAnswer.evidence.request.bytes;
      return result;
    }, /answered with request/);
    await refuses((result) => {
      result.evidence.keys = [];
      return result;
    }, /bad_evidence.*no certificate/);
  });

  it('trusts no other workspace than the one of the profile', async () => {
    const alice = await json('identity show alice');
    const notes = await run(
      `workspace create --name other --owner alice=${alice.credential} --keyring ${keyringId} --json`,
    );
    assert.equal(notes.exitCode, 0, notes.stderr);
    assert.match(notes.stderr, /warning: the default sign policy lets any one owner alone spend everything/);
    const another = JSON.parse(notes.stdout);
    assert.equal(another.savedInProfile, false);
    assert.equal((await json('profile show')).workspaceId, workspaceId);
    const log = await answerOf('workspace_get', `workspace show --workspace ${another.workspaceId}`);
    proxy.lie = (method, result) => (method === 'workspace_get' ? log : result);
    for (const command of [
      'workspace show',
      'key list',
      'key request --label x --type ed25519',
      'action list',
    ]) {
      fails(await run(command), 1, /gave the log of workspace 0x.*trusted is/);
    }
    assert.ok(!proxy.calls.includes('key_request'));
  });

  it('prints signatures only when they are of what was asked for, and keys only with their certificate', async () => {
    const id = await request('message', 'to be signed');
    await json(`action approve ${id} --as bob --yes`);
    await parties.answer(id, keySeed, 2);
    proxy.lie = (method, result) => {
      if (method !== 'sign_get') return result;
      return { ...result, signatures: [`0x${'00'.repeat(64)}`] };
    };
    const forged = await run(`request show ${id} --json`);
    fails(forged, 1, /not a signature of its bytes.*do not use it/);
    assert.equal(forged.stdout, '');
    proxy.lie = (method, result) =>
      method === 'key_get' ? { ...result, certificate: result.certificate.slice(1) } : result;
    fails(await run(`request show ${id}`), 1, /no result of/);
    const change = (edit: (view: Json) => object) => (method: string, result: Json) =>
      method === 'key_list'
        ? { ...result, items: result.items.map((view: Json) => ({ ...view, ...edit(view) })) }
        : result;
    proxy.lie = change(() => ({ addresses: [{ chain: 'solana', address: other }] }));
    fails(await run('key verify payroll'), 1, /addresses is not the one its records prove/);
    assert.doesNotMatch((await run('key list')).stdout, new RegExp(other));
    proxy.lie = change(({ label, state }) => ({
      label: state === 'fulfilled' ? `${label}\u001b[2J\u202e` : label,
    }));
    const listed = await run('key list');
    assert.doesNotMatch(listed.stdout.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u);
    assert.match(listed.stdout, /payroll\\u\{1b\}\[2J\\u\{202e\}.*does not verify/);
  });

  it('shows a hostile message as escaped text', async () => {
    const id = await request('message', 'pay \u001b[8mnobody\u001b[0m\u202e');
    const { stdout } = await run(`action show ${id}`);
    assert.match(stdout, /> pay \\u\{1b\}\[8mnobody\\u\{1b\}\[0m\\u\{202e\}/);
    assert.doesNotMatch(stdout.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u);
  });

  it('tells mistakes from unreachability', async () => {
    const flag = '--coordinator http://127.0.0.1:1';
    fails(await run(`key list ${flag}`), 3, /cannot reach the coordinator/);
    fails(await run(`keyring show ${flag}`), 3, /cannot reach the coordinator/);
    fails(await run('key list --as nobody'), 2, /no identity nobody/);
    fails(
      await run('key list --network other-network'),
      2,
      /serves network local-0badcafe, not other-network: set the network/,
    );
    await json('identity new stranger');
    fails(await run('key list --as stranger'), 1, /no owner of workspace/);
    const wrong = await world.write('wrong', 'not it\n', 0o600);
    proxy.calls.length = 0;
    fails(await run(`key list --passphrase-file ${wrong}`), 1, /wrong passphrase/);
    assert.deepEqual(proxy.calls, []);
    const empty = await world.write('empty', '');
    fails(
      await run(`sign --key payroll --payload ${empty}`),
      2,
      /empty: the file is empty: correct the file/,
    );
    fails(await run('sign --key payroll --payload /nowhere/x'), 1, /does not exist/);
  });

  it('names file, line and column of a mistake in a policy, and bad owners', async () => {
    const { credential } = await json('identity show alice');
    const create = (policy: string, owner = `alice=${credential}`) =>
      world
        .write('bad.yaml', policy)
        .then((file) =>
          run(`workspace create --name x --owner ${owner} --keyring ${keyringId} --sign-policy ${file}`),
        );
    const rule = (text: string) => `version: 1\nrules:\n  - id: one\n    effect: allow\n${text}\n`;
    proxy.calls.length = 0;
    fails(await create('rules: [\n'), 2, /bad\.yaml:\d+:\d+: /);
    fails(
      await create(rule('    requires: { k: 1, of: owners }')),
      2,
      /bad\.yaml:5:15: unknown key "requires" in rules\.0: remove it/,
    );
    fails(
      await create(rule('    require: { k: 0, of: owners }')),
      2,
      /bad\.yaml:5:19: rules\.0\.require\.k: .*: correct it/,
    );
    fails(await create(rule('    require: { k: 2, of: [alice] }')), 2, /k is larger than the group/);
    fails(await create(rule('')), 2, /an allow rule has `require`/);
    fails(await create(rule('    require: { k: 1, of: [carol] }')), 2, /names carol, who is not an owner/);
    fails(await create(twoOwners, 'alice'), 2, /--owner "alice" is not an owner: write NAME=/);
    fails(await create(twoOwners, 'alice=ed25519:0x12'), 2, /is not an owner/);
    fails(
      await create(twoOwners, `bob=${(await json('identity show bob')).credential}`),
      2,
      /none of the owners/,
    );
    assert.ok(!proxy.calls.includes('workspace_create'));
  });

  it('survives a coordinator that goes away while it waits', async () => {
    const id = await request('message', 'wait for it');
    let failures = 0;
    const waiting = world.run(['request', 'show', id, '--wait', '20', '--json']);
    proxy.lie = (method, result) => {
      if (method !== 'sign_wait' || (failures += 1) > 1) return result;
      throw new Error('hang up');
    };
    await json(`action reject ${id} --as bob`);
    fails(await waiting, 5, /rejected/);
  });

  /** What the honest coordinator answers to a method that a command calls. */
  async function answerOf(wanted: string, command: string): Promise<Json> {
    let answer: unknown;
    proxy.lie = (method, result) => {
      if (method === wanted) answer = structuredClone(result);
      return result;
    };
    await json(command);
    proxy.lie = undefined;
    return answer;
  }
});
