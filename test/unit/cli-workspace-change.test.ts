// Changes of a workspace at the command line, against a coordinator in this process: who proposes, countersigns, approves, and
// what nobody does by mistake.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { fails, type Json } from '../support/cli-run.ts';
import { CliNetwork } from '../support/cli-network.ts';

const policy = `version: 1
rules:
  - id: all
    effect: allow
    when: { kind: [message, key.request] }
    require: { k: 1, of: owners }
`;
const seed = new Uint8Array(32).fill(7);

describe('countersign workspace: changes', function () {
  this.timeout(60_000);
  let net: CliNetwork;
  let payroll: `0x${string}`;
  let files = 0;

  before(async () => {
    net = await CliNetwork.start(policy);
    for (const name of ['dora', 'bob-2', 'mallory']) await net.json(`identity new ${name}`);
    payroll = (await net.json('key request --label payroll --type ed25519')).keyId;
    await net.parties.answer(payroll, seed);
    await net.world.write('text', 'hello');
  });
  after(() => net?.stop());

  const free = (): string => net.world.path(`free-${(files += 1)}.json`);
  const show = (): Promise<Json> => net.json('workspace show');
  const credential = async (name: string): Promise<string> =>
    (await net.json(`identity show ${name}`)).credential;
  /** Proposed as alice, approved as bob: in the log. */
  async function changed(words: string): Promise<string> {
    const { changeId } = await net.json(`workspace ${words}`);
    const { state } = await net.json(`action approve ${changeId} --as bob --yes`);
    assert.equal(state, 'fulfilled');
    return changeId;
  }
  /** Makes dora an owner, unless she is. */
  async function withDora(): Promise<void> {
    const { owners } = await show();
    if (owners.some(({ name }: Json) => name === 'dora')) return;
    const dora = await credential('dora');
    const { changeId } = await net.json(`workspace add-owner dora=${dora} --countersign-as dora --second`);
    await net.json(`action approve ${changeId} --as bob --yes --second`);
  }
  /** Leaves alice and dora, who must both agree. */
  async function withoutBob(): Promise<void> {
    await withDora();
    const { owners } = await show();
    if (!owners.some(({ name }: Json) => name === 'bob')) return;
    const { changeId } = await net.json('workspace remove-owner bob --second');
    await net.json(`action approve ${changeId} --as dora --yes --second`);
  }
  /** What is written down of approvals. */
  const remembered = (): Promise<string> => readFile(net.world.path('home', 'approved-changes.json'), 'utf8');

  it('are proposed, shown from their signed bytes, approved, and then in the log', async () => {
    const { changeId, state, missing } = await net.json('workspace disable-key payroll');
    assert.equal(state, 'partial');
    assert.deepEqual(missing[0].from, ['bob']);
    const shown = await net.run(`action show ${changeId}`);
    assert.match(shown.stdout, new RegExp(`Disable key ${payroll}`));
    assert.match(shown.stdout, /proposed by +alice/);
    assert.match(shown.stdout, /missing +rule .*: 1 of 2 \(alice\), may decide: bob/);
    const approved = await net.run(`action approve ${changeId.slice(0, 12)} --as bob --yes`);
    assert.equal(approved.exitCode, 0, approved.stderr);
    assert.match(approved.stderr, new RegExp(`Disable key ${payroll}`));
    assert.match(approved.stdout, /state +in the log/);
    assert.deepEqual((await show()).disabledKeys, [payroll]);
    assert.match((await net.run('workspace show')).stdout, new RegExp(`disabled keys +${payroll}`));
  });

  it('a disabled key signs nothing until it is enabled', async () => {
    const sign = `sign --key payroll --payload ${net.world.path('text')} --kind message`;
    fails(await net.run(sign), 1, /is disabled/);
    const simulated = await net.run(`policy simulate --key payroll --payload ${net.world.path('text.json')}`);
    assert.equal(simulated.exitCode, 1);
    await changed('enable-key payroll');
    assert.deepEqual((await show()).disabledKeys, []);
    assert.equal((await net.json(sign)).state, 'pending');
  });

  it('a lost owner comes back with another credential', async () => {
    const fresh = await credential('bob-2');
    const { head: before } = await show();
    // Three owners, so that two decide without the one who lost everything.
    const file = free();
    await net.json(`workspace add-owner dora=${await credential('dora')} --out ${file}`);
    await net.json(`workspace countersign ${file} --as dora --yes`);
    const { changeId } = await net.json(`workspace propose ${file}`);
    await net.json(`action approve ${changeId} --as bob --yes`);
    const removed = await net.json('workspace remove-owner bob');
    await net.json(`action approve ${removed.changeId} --as dora --yes`);
    const back = await net.json(`workspace add-owner bob=${fresh} --countersign-as bob-2`);
    await net.json(`action approve ${back.changeId} --as dora --yes`);
    const { owners, head } = await show();
    assert.equal(head.seq, before.seq + 3);
    assert.deepEqual(owners.find(({ name }: Json) => name === 'bob').credentials, [fresh]);
    // The old credential is nobody's, the new one decides.
    const { changeId: freeze } = await net.json('workspace freeze');
    void freeze;
    fails(await net.run('workspace show --as bob'), 1, /owner|forbidden/i);
    assert.equal((await net.run('workspace show --as bob-2')).exitCode, 0);
    const { stdout } = await net.run('workspace log');
    assert.match(stdout, /Remove owner bob +alice +alice dora\n/);
    assert.match(stdout, /Add owner bob +alice +alice dora\n/);
    assert.match(
      stdout,
      /^ENTRY +ID +PROPOSED +WHAT +BY +APPROVED BY\n0 +0x[0-9a-f]{12} .*Create "treasury" +alice/,
    );
  });

  it('freeze by one owner alone, and unfreeze by a majority', async () => {
    await withDora();
    const { frozen } = await show();
    if (frozen !== true) assert.equal((await net.json('workspace freeze')).state, 'fulfilled');
    assert.equal((await show()).frozen, true);
    assert.match((await net.run('workspace show')).stdout, /frozen +yes/);
    fails(
      await net.run(`sign --key payroll --payload ${net.world.path('text')} --kind message`),
      1,
      /frozen/,
    );
    const { changeId } = await net.json('workspace unfreeze');
    assert.equal((await net.json(`action approve ${changeId} --as dora --yes`)).state, 'fulfilled');
    assert.equal((await show()).frozen, false);
  });

  describe('nobody approves two at one place of the log', () => {
    const other = `workspace add-keyring 0x${'66'.repeat(32)}`;

    it('neither by proposing, nor by approving, unless it is meant', async () => {
      await withDora();
      const first = await net.json('workspace disable-key payroll');
      fails(
        await net.run('workspace freeze --as alice'),
        1,
        new RegExp(`alice has approved change ${first.changeId}`),
      );
      // The same change once more is no second one.
      const second = await net.json('workspace remove-owner bob --as dora');
      fails(await net.run(`action approve ${second.changeId} --yes`), 1, /at the same place of the log/);
      assert.doesNotMatch(await remembered(), new RegExp(second.changeId + '[^}]*alice'));
      const approved = await net.json(`action approve ${second.changeId} --yes --second`);
      assert.equal(approved.state, 'fulfilled');
      fails(await net.run(`action approve ${first.changeId} --as dora --yes`), 1, /it follows entry/);
    });

    it('but another one once enough owners have rejected the first', async () => {
      await withoutBob();
      // Of alice and dora both must agree.
      const first = await net.json('workspace disable-key payroll');
      fails(await net.run('workspace enable-key payroll'), 1, /cannot be/);
      fails(await net.run('workspace unfreeze'), 1, /cannot be/);
      fails(await net.run(other), 1, /at the same place of the log/);
      await net.json(`action reject ${first.changeId} --as dora`);
      fails(await net.run(`action approve ${first.changeId} --yes`), 1, /was rejected/);
      const proposed = await net.run(`workspace add-keyring 0x${'77'.repeat(32)} --json`);
      assert.equal(proposed.exitCode, 0, proposed.stderr);
      const next: Json = JSON.parse(proposed.stdout);
      assert.equal(next.state, 'partial');
      await net.json(`action reject ${next.changeId} --as dora`);
    });

    it('a cancelled one may still be in somebody else’s hands', async () => {
      await withoutBob();
      const first = await net.json('workspace disable-key payroll');
      const { state } = await net.json(`action reject ${first.changeId}`);
      assert.equal(state, 'rejected');
      fails(await net.run(other), 1, /at the same place of the log/);
      const meant = await net.json(`${other} --second`);
      await net.json(`action reject ${meant.changeId} --as dora`);
    });

    it('whichever of their identities they sign with, and whatever stands in the file', async () => {
      await withoutBob();
      const path = net.world.path('home', 'approved-changes.json');
      const before = await remembered();
      await writeFile(path, '{"not": "a list"}');
      fails(await net.run(other), 1, /approved-changes.json is damaged/);
      await writeFile(path, before);
      const entries: Json[] = JSON.parse(before);
      assert.ok(entries.every(({ owner }) => ['alice', 'bob', 'dora'].includes(owner)));
    });
  });

  describe('refuse before anything is signed or remembered', () => {
    before(() => withoutBob());

    it('an owner who has not countersigned', async () => {
      const before = await remembered();
      const mallory = await credential('mallory');
      fails(
        await net.run(`workspace add-owner mallory=${mallory} --second`),
        2,
        new RegExp(`${mallory} must countersign first: .*--out`),
      );
      fails(
        await net.run(`workspace add-owner mallory=${mallory} --countersign-as dora --second`),
        2,
        /of dora is not brought in by this change/,
      );
      assert.equal(await remembered(), before);
    });

    it('a file that is no change, or was changed, or is of another workspace', async () => {
      const mallory = await credential('mallory');
      const file = free();
      await net.json(`workspace add-owner mallory=${mallory} --out ${file} --second`);
      fails(await net.run(`workspace propose ${file} --second`), 2, /must countersign first/);
      fails(await net.run(`workspace countersign ${file} --as dora --yes`), 2, /is not brought in/);
      fails(await net.run(`workspace countersign ${file} --as mallory`), 2, /confirmation/);
      const record = JSON.parse(await readFile(file, 'utf8'));
      const bent = free();
      const bytes = `${record.bytes.slice(0, -4)}${record.bytes.endsWith('AAAA') ? 'BBBB' : 'AAAA'}`;
      await writeFile(bent, JSON.stringify({ ...record, bytes }));
      assert.notEqual((await net.run(`workspace countersign ${bent} --as mallory --yes`)).exitCode, 0);
      await net.json(`workspace countersign ${file} --as mallory --yes`);
      fails(
        await net.run(`workspace propose ${file} --workspace 0x${'99'.repeat(32)}`),
        1,
        /workspace|forbidden|no owner/i,
      );
      const roster = await net.run(`workspace propose ${net.world.path('roster.json')}`);
      fails(roster, 2, /is a keyring.roster record/);
      // Somebody else may carry it without an opinion of their own.
      const carried = await net.json(`workspace propose ${file} --as dora`);
      assert.equal(carried.state, 'partial');
      await net.json(`action reject ${carried.changeId} --as dora`);
    });

    it('a file whose place in the log is taken', async () => {
      const mallory = await credential('mallory');
      const file = free();
      await net.json(`workspace add-owner mallory=${mallory} --out ${file} --second`);
      await net.json(`workspace countersign ${file} --as mallory --yes`);
      const { changeId } = await net.json('workspace disable-key payroll --second');
      await net.json(`action approve ${changeId} --as dora --yes --second`);
      fails(
        await net.run(`workspace propose ${file} --second`),
        1,
        /the log is at entry .* now: make the change anew/,
      );
      fails(await net.run(`action approve ${changeId} --yes`), 1, /in the log already/);
    });

    it('options that say nothing, or two things', async () => {
      const yaml = await net.world.write('sign.yaml', policy);
      fails(await net.run('workspace set-policy'), 2, /one policy can be changed at a time/);
      fails(await net.run(`workspace set-policy --sign ${yaml} --admin ${yaml}`), 2, /one policy/);
      fails(await net.run(`workspace set-policy --sign ${yaml} --drop`), 2, /are about a key/);
      fails(await net.run('workspace set-policy --key payroll'), 2, /of its own, or none/);
      fails(await net.run(`workspace set-policy --admin ${yaml}`), 2, /sign.yaml/);
      fails(await net.run('workspace freeze --expires 31d'), 2, /30 days/);
      fails(await net.run('workspace add-keyring 0x1234'), 2, /is not the id of a keyring/);
      fails(await net.run('workspace add-owner dora'), 2, /no owner with a credential/);
      fails(await net.run('workspace remove-owner nobody --second'), 1, /cannot be/);
    });
  });

  describe('of one key', () => {
    it('gives a key a policy of its own, and shows it', async () => {
      await withoutBob();
      const yaml = await net.world.write('own.yaml', policy.replace('id: all', 'id: own'));
      const { changeId } = await net.json(`workspace set-policy --key ${payroll} --policy ${yaml} --second`);
      const { state } = await net.json(`action approve ${changeId} --as dora --yes --second`);
      assert.equal(state, 'fulfilled');
      assert.match(
        (await net.run('workspace show')).stdout,
        new RegExp(`key policies +of key ${payroll}\n +own: allow`),
      );
      assert.match(
        (await net.run('policy explain --key payroll')).stdout,
        /policy of the key: what it allows/,
      );
      assert.equal(Object.keys((await show()).keyPolicies)[0], payroll);
      await net.json(`key request --label other --type ed25519 --policy ${yaml}`);
      fails(await net.run('key request --label more --type ed25519 --policy /nowhere'), 1, /nowhere/);
    });
  });

  it('writes the log as nodes take it', async () => {
    const file = free();
    await net.json(`workspace log --out ${file}`);
    const written = JSON.parse(await readFile(file, 'utf8'));
    assert.equal(written.type, 'countersign.log');
    assert.equal(written.log[0].type, 'workspace.genesis');
    assert.deepEqual(Object.keys(written), ['type', 'log']);
    assert.ok(written.log.length >= 1);
  });
});
