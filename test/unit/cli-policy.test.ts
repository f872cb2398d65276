// Policies at the command line: said to be wrong with line and column, told in words, imported, and tried before anybody
// relies on them.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { toHex } from '../../protocol/hex.ts';
import { CliNetwork } from '../support/cli-network.ts';
import { fails, type Json } from '../support/cli-run.ts';

const policy = `version: 1
rules:
  - { id: keys, effect: allow, when: { kind: [key.request] }, require: { k: 1, of: owners } }
  - { id: texts, effect: allow, when: { kind: [message] }, require: { k: 2, of: owners } }
`;
const stricter = `version: 1
rules:
  - { id: nothing, effect: deny, when: { kind: [message] } }
  - { id: keys, effect: allow, when: { kind: [key.request] }, require: { k: 2, of: owners } }
`;
const looser = policy.replace('k: 2', 'k: 1').replace('id: texts', 'id: alone');
const seed = new Uint8Array(32).fill(7);

describe('countersign policy', function () {
  this.timeout(60_000);
  let net: CliNetwork;
  let payload: string;
  let strict: string;
  let loose: string;
  let requestId: string;

  before(async () => {
    net = await CliNetwork.start(policy);
    const { keyId } = await net.json('key request --label payroll --type ed25519');
    await net.parties.answer(keyId, seed);
    const text = await net.world.write('text', 'hello');
    strict = await net.world.write('strict.yaml', stricter);
    loose = await net.world.write('loose.yaml', looser);
    payload = await net.world.write(
      'text.json',
      JSON.stringify({ kind: 'message', data: toHex(new TextEncoder().encode('hello')) }),
    );
    ({ requestId } = await net.json(`sign --key payroll --payload ${text} --kind message`));
    await net.json(`action approve ${requestId} --as bob --yes`);
    await net.parties.answer(requestId as `0x${string}`, seed, 2);
  });
  after(() => net?.stop());

  it('validate says what is wrong, and where', async () => {
    const file = (text: string): Promise<string> => net.world.write('tried.yaml', text);
    assert.match((await net.run(`policy validate ${loose}`)).stdout, /is valid: 2 rules/);
    const { valid, rules } = await net.json(`policy validate ${strict}`);
    assert.deepEqual([valid, rules], [true, 2]);
    fails(await net.run(`policy validate ${await file(policy.replace('k: 2', 'k: 0'))}`), 2, /tried.yaml:4:/);
    fails(await net.run(`policy validate ${await file('version: 1\nrule: []\n')}`), 2, /tried.yaml:2/);
    fails(await net.run(`policy validate ${await file('- a')}`), 2, /tried.yaml/);
    fails(await net.run(`policy validate ${loose} --admin`), 2, /loose.yaml/);
    fails(await net.run(`policy validate ${strict} --owner alice`), 2, /wants 2 of 1 owners|2 of 1/);
    assert.equal((await net.run(`policy validate ${strict} --owner alice bob`)).exitCode, 0);
    const warned = await net.json(`policy validate ${loose} --owner alice bob`);
    assert.match(warned.warnings[0], /rule alone: one owner alone/);
  });

  it('explain tells what is in force in words', async () => {
    const { stdout } = await net.run('policy explain');
    assert.match(
      stdout,
      /^sign policy of the workspace\n {2}keys: allow key.request, approved by 1 of all owners\n/,
    );
    assert.match(stdout, /texts: allow message, approved by 2 of all owners/);
    assert.match((await net.run('policy explain --admin')).stdout, /^admin policy\n/);
    assert.match((await net.run(`policy explain ${strict}`)).stdout, /nothing: deny message/);
    fails(await net.run(`policy explain ${strict} --key payroll`), 2, /exclude each other/);
    fails(await net.run('policy explain --key nobody'), 2, /there is no key/);
  });

  it('import turns sums of approvals into a policy that validates', async () => {
    const out = net.world.path('imported.yaml');
    await net.world.run(['policy', 'import', '(alice + bob + carol > 1) && dora', '--out', out]);
    assert.match(await readFile(out, 'utf8'), /k: 2/);
    assert.equal((await net.run(`policy validate ${out}`)).exitCode, 0);
    const admin = await net.world.json([
      'policy',
      'import',
      'alice + bob >= 2',
      '--use',
      'admin',
      '--id',
      'both',
    ]);
    assert.deepEqual(admin.rules[0].when, { kind: ['workspace.change'] });
    assert.deepEqual(admin.rules[0].require, { k: 2, of: ['alice', 'bob'] });
    for (const [text, words] of [
      ['', /expected the name of an owner/],
      ['a + a > 1', /stands twice/],
      ['a + b > 2', /3 approvals of 2 owners/],
      ['a >= 1 ||', /found the end/],
      ['process.exit()', /at character/],
      ['('.repeat(100), /at character/],
      ['a + b >= 0', /without any approval/],
    ] as const)
      fails(await net.world.run(['policy', 'import', text]), 2, words);
    fails(await net.world.run(['policy', 'import', 'a', '--id', 'not an id']), 2, /./);
  });

  describe('simulate', () => {
    const key = '--key payroll --payload';

    it('tells who would still have to approve, under what is in force and under another policy', async () => {
      const waits = await net.json(`policy simulate ${key} ${payload}`);
      assert.equal(waits.verdict, 'waiting');
      assert.deepEqual(waits.missing[0].from, ['bob']);
      const enough = await net.run(`policy simulate ${key} ${payload} --approve bob`);
      assert.match(enough.stdout, /may be signed, by rule texts/);
      assert.match((await net.run(`policy simulate ${loose} ${key} ${payload}`)).stdout, /by rule alone/);
      const denied = await net.json(`policy simulate ${strict} ${key} ${payload} --approve bob`);
      assert.equal(denied.verdict, 'denied');
      const rejected = await net.json(`policy simulate ${key} ${payload} --reject bob`);
      assert.equal(rejected.verdict, 'rejected');
      assert.match((await net.run('policy simulate --key-request')).stdout, /may be signed, by rule keys/);
      assert.equal((await net.json(`policy simulate ${strict} --key-request`)).verdict, 'waiting');
    });

    it('judges requests that there were again, with the decisions they had', async () => {
      assert.match(
        (await net.run(`policy simulate --request ${requestId}`)).stdout,
        /may be signed, by rule texts/,
      );
      assert.match((await net.run(`policy simulate ${strict} --request ${requestId}`)).stdout, /^refused/);
      const rows: Json[] = await net.json(`policy simulate ${strict} --replay`);
      assert.deepEqual(
        rows.map(({ kind, state, verdict }) => [kind, state, verdict]),
        [
          ['key', 'fulfilled', 'waiting'],
          ['sign', 'fulfilled', 'denied'],
        ],
      );
      assert.match((await net.run('policy simulate --replay')).stdout, /^ID +KIND +ASKED BY +ENDED/);
    });

    it('refuses what says nothing or too much', async () => {
      fails(await net.run('policy simulate'), 2, /nothing to simulate/);
      fails(await net.run('policy simulate --replay --key-request'), 2, /exclude each other/);
      fails(await net.run(`policy simulate --payload ${payload}`), 2, /add --key/);
      fails(await net.run('policy simulate --key-request --approve nobody'), 2, /"nobody" is no owner/);
      fails(await net.run('policy simulate --key-request --initiator nobody'), 2, /owners: alice, bob/);
      for (const at of ['soon', '1', '2030', '+275760-09-13T00:00:00Z', '2030-99-01T00:00:00Z'])
        fails(await net.run(`policy simulate --key-request --at ${at}`), 2, /is no time/);
      fails(await net.run('policy simulate --request 0x00000000'), 2, /there is no request/);
      fails(await net.run(`policy simulate --request 0x${'12'.repeat(32)}`), 1, /request 0x1212/);
    });

    it('warns of a key that is disabled and of a workspace that is frozen', async () => {
      const { changeId } = await net.json('workspace disable-key payroll');
      await net.json(`action approve ${changeId} --as bob --yes`);
      assert.match(
        (await net.run(`policy simulate ${key} ${payload}`)).stderr,
        /is disabled, so it signs nothing/,
      );
      await net.json('workspace freeze');
      assert.match((await net.run('policy simulate --key-request')).stderr, /treasury is frozen/);
    });
  });
});
