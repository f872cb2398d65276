// What awaits decisions at the command line: requests and changes in one list, decisions and their withdrawal, and the
// requests of child workspaces, which two sets of owners decide on.
import assert from 'node:assert/strict';
import { CliNetwork } from '../support/cli-network.ts';
import { fails, type Json } from '../support/cli-run.ts';
import { startLyingProxy } from '../support/lying-proxy.ts';

const policy = `version: 1
rules:
  - { id: keys, effect: allow, when: { kind: [key.request] }, require: { k: 1, of: owners } }
  - { id: texts, effect: allow, when: { kind: [message] }, require: { k: 2, of: owners } }
`;
const seed = new Uint8Array(32).fill(7);

describe('countersign action', function () {
  this.timeout(60_000);
  let net: CliNetwork;
  let text: string;
  let keyId: `0x${string}`;

  before(async () => {
    net = await CliNetwork.start(policy);
    ({ keyId } = await net.json('key request --label payroll --type ed25519'));
    await net.parties.answer(keyId, seed);
    text = await net.world.write('text', 'hello');
    await net.json('identity new carol');
    await net.json('identity new dora');
  });
  after(() => net?.stop());

  const sign = async (as = 'alice'): Promise<string> =>
    (await net.json(`sign --key payroll --payload ${text} --kind message --as ${as}`)).requestId;

  it('list has requests and changes, and --mine what waits for oneself', async () => {
    const request = await sign();
    const { changeId } = await net.json('workspace disable-key payroll');
    const all: Json[] = await net.json('action list');
    assert.deepEqual(new Set(all.map(({ id }) => id)), new Set([request, changeId]));
    assert.deepEqual(await net.json('action list --mine'), []);
    assert.match((await net.run('action list --mine')).stdout, /nothing awaits your decision/);
    const mine: Json[] = await net.json('action list --mine --as bob');
    assert.deepEqual(
      mine.map(({ mine: own, missing }) => [own, missing]),
      [
        [true, ['bob']],
        [true, ['bob']],
      ],
    );
    const { stdout } = await net.run('action list --as bob');
    assert.match(stdout, /^ID +WHAT +ASKED BY +YOU +OTHERS +WAITS FOR +UNTIL\n/);
    assert.match(stdout, new RegExp(`Disable key ${keyId}: .* +alice +decide`));
    assert.match(stdout, /message +alice +decide/);
    await net.json(`action reject ${changeId} --as bob`);
    await net.json(`action reject ${request} --as bob`);
    assert.match((await net.run('action list')).stdout, /nothing awaits a decision/);
  });

  it('finds a request or a change by the beginning of its id, and nothing by anything else', async () => {
    const request = await sign();
    assert.match((await net.run(`action show ${request.slice(0, 12)}`)).stdout, new RegExp(request));
    fails(await net.run(`action show 0x${'12'.repeat(32)}`), 1, /0x1212/);
    fails(await net.run('action show 0x0000000000'), 2, /there is no request or change/);
    fails(await net.run('action approve __proto__ --yes'), 2, /there is no request or change/);
    await net.json(`request cancel ${request}`);
  });

  it('withdraw takes an approval back, and cancel is the initiator’s', async () => {
    const request = await sign();
    await net.json(`action withdraw ${request}`);
    const approved = await net.json(`action approve ${request} --as bob --yes`);
    assert.equal(approved.state, 'partial');
    const back = await net.json(`action approve ${request} --yes`);
    assert.equal(back.state, 'pending');
    fails(await net.run(`request cancel ${request} --as bob`), 1, /is of alice, and you sign as bob/);
    const other = await sign('bob');
    fails(await net.run(`request cancel ${other}`), 1, /action reject .*, or sign as bob/);
    const cancelled = await net.json(`request cancel ${other.slice(0, 12)} --as bob`);
    assert.equal(cancelled.state, 'rejected');
    assert.equal((await net.json(`request show ${other}`)).reason.code, 'cancelled');
    fails(await net.run(`request cancel ${other} --as bob`), 1, /rejected/);
  });

  it('shows no change that the coordinator puts in another’s place', async () => {
    const { changeId } = await net.json('workspace disable-key payroll');
    const other = await net.json('workspace freeze --as bob');
    assert.equal(other.state, 'fulfilled');
    const unfreeze = await net.json('workspace unfreeze');
    const proxy = await startLyingProxy(() => net.coordinator.url);
    try {
      const through = `--coordinator ${proxy.url}`;
      assert.equal((await net.run(`action show ${unfreeze.changeId} ${through}`)).exitCode, 0);
      let answer: Json;
      proxy.lie = (method, result) => {
        if (method === 'change_get') answer ??= result;
        return method === 'change_get' ? answer : result;
      };
      await net.run(`action show ${other.changeId} ${through}`);
      for (const command of ['show', 'approve --yes', 'reject', 'withdraw']) {
        const line = `action ${command} ${unfreeze.changeId} --as bob ${through}`;
        fails(await net.run(line), 1, new RegExp(`answered with change ${other.changeId}`));
      }
    } finally {
      await proxy.stop();
    }
    fails(await net.run(`action approve ${changeId} --as bob --yes`), 1, /it follows entry 0/);
    await net.json(`action approve ${unfreeze.changeId} --as bob --yes`);
  });

  describe('of a child workspace', () => {
    let child: string;

    before(async () => {
      const credential = async (name: string): Promise<string> =>
        (await net.json(`identity show ${name}`)).credential;
      const made = await net.json(
        `workspace create --name sub --owner carol=${await credential('carol')} --owner dora=${await credential('dora')} ` +
          `--keyring ${net.keyringId} --parent ${net.workspaceId} --as carol`,
      );
      child = made.workspaceId;
      assert.equal(made.parent, net.workspaceId);
      assert.equal(made.savedInProfile, false);
      assert.equal(made.signPolicy, undefined);
    });

    it('nothing is signed before the parent has taken it', async () => {
      const ask = `key request --label sub --type ed25519 --workspace ${child} --as carol`;
      fails(await net.run(ask), 1, /child/);
      const { changeId } = await net.json(`workspace add-child ${child}`);
      await net.json(`action approve ${changeId} --as bob --yes`);
      assert.deepEqual((await net.json('workspace show')).children, [child]);
      assert.match((await net.run('workspace show')).stdout, new RegExp(`children +${child}`));
      const { stdout } = await net.run(`workspace show --workspace ${child} --as carol`);
      assert.match(stdout, new RegExp(`parent +${net.workspaceId}`));
      assert.match(stdout, /sign policy +the parent workspace's/);
    });

    it('the owners of the parent decide where its policy is in force', async () => {
      const inside = `--workspace ${child}`;
      const { keyId: sub } = await net.json(`key request --label sub --type ed25519 ${inside} --as carol`);
      const explained = await net.run(`policy explain ${inside} --as carol`);
      assert.match(explained.stdout, /^sign policy of the parent workspace\n/);
      const waits: Json[] = await net.json(`action list ${inside} --as bob`);
      assert.deepEqual(
        waits.map(({ id, mine }) => [id, mine]),
        [[sub, true]],
      );
      const approved = await net.json(`action approve ${sub} ${inside} --as bob --yes`);
      assert.equal(approved.state, 'pending');
      await net.parties.answer(sub, seed);
      const asked = await net.json(`sign --key sub --payload ${text} --kind message ${inside} --as carol`);
      assert.equal(asked.state, 'partial');
      // What awaits oneself, what it would do, who else is missing, until when; and no more once one has decided.
      const shown = await net.json(`action show ${asked.requestId} ${inside} --as bob`);
      const [own]: Json[] = await net.json(`action list ${inside} --mine --as bob`);
      assert.deepEqual(
        [own.id, own.what, own.initiator, own.mine, own.missing.toSorted(), own.expires],
        [asked.requestId, 'message', 'carol', true, ['alice', 'bob'], shown.expires],
      );
      const { stdout: inbox } = await net.run(`action list ${inside} --as bob`);
      assert.match(inbox, new RegExp(` message +carol +decide +alice +${shown.expires}\n`));
      await net.json(`action approve ${asked.requestId} ${inside} --as bob --yes`);
      assert.deepEqual(await net.json(`action list ${inside} --mine --as bob`), []);
      const { stdout: rest } = await net.run(`action list ${inside} --as bob`);
      assert.match(rest, new RegExp(` message +carol +alice +${shown.expires}\n`));
      await net.json(`action approve ${asked.requestId} ${inside} --as alice --yes`);
      await net.parties.answer(asked.requestId, seed, 2);
      const simulated = await net.json(`policy simulate --key-request --approve bob ${inside} --as carol`);
      assert.equal(simulated.verdict, 'satisfied');
      const log = net.world.path('child-log.json');
      await net.json(`workspace log --out ${log} ${inside} --as carol`);
      const out = net.world.path('child.audit');
      const audited = await net.json(`audit export --out ${out} ${inside} --as carol`);
      assert.deepEqual(audited.requests, { fulfilled: 2, rejected: 0 });
    });
  });
});
