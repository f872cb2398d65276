// What an operator sees of pairs and does to them: the status and its words, and `node pair-setup`, against a node's control
// socket with a real gate behind it.
import assert from 'node:assert/strict';
import { statusLines } from '../../cli/node-status-view.ts';
import { type Control, startControl } from '../../node/control.ts';
import { nodePairs, OperatorPairs } from '../../node/pairs.ts';
import { CliWorld } from '../support/cli-run.ts';
import { alice, bob, failedCheck, GateRig } from '../support/pair-gate-rig.ts';

const peers = [
  { key: alice, name: 'acme' },
  { key: bob, name: 'blue' },
];

describe('pairs as their operator sees them', () => {
  async function banned(): Promise<GateRig> {
    const rig = await GateRig.ready([alice, bob]);
    await assert.rejects(rig.guard(() => Promise.reject(failedCheck())));
    return rig;
  }
  const since = '2030-01-01T00:00:00.000Z';
  const ban = { since, code: 'invalid_share', detail: 'a check of its rows failed' };

  it('are all there, with ban, incidents and the progress of a setup', async () => {
    const rig = await banned();
    assert.deepEqual(nodePairs(rig.gate, peers), [
      { name: 'acme', key: alice, state: 'banned', ban, incidents: 0 },
      { name: 'blue', key: bob, state: 'ready', incidents: 0 },
    ]);
    await rig.gate.destroy(bob, 'setup_mismatch');
    const progress = new Map([alice, bob].map((party) => [party, { done: 2, of: 5 }]));
    assert.deepEqual(nodePairs(rig.gate, peers, progress), [
      { name: 'acme', key: alice, state: 'banned', ban, incidents: 0 },
      { name: 'blue', key: bob, state: 'running', progress: { done: 2, of: 5 }, incidents: 1 },
    ]);
    const unknown = await GateRig.open();
    assert.deepEqual(
      nodePairs(unknown.gate, peers).map(({ state }) => state),
      ['missing', 'missing'],
    );
  });

  it('have words in the status', () => {
    const status = {
      name: 'core',
      party: 'ed25519:0x00',
      state: 'running',
      clocks: [],
      peers: peers.map((peer) => ({ ...peer, up: true, since })),
      pairs: [
        { name: 'acme', key: alice, state: 'banned', ban, incidents: 0 },
        { name: 'blue', key: bob, state: 'running', progress: { done: 2, of: 5 }, incidents: 3 },
        { name: 'dora', key: 'x', state: 'ready', incidents: 0 },
      ],
      presignatures: [{ keyId: `0x${'ab'.repeat(32)}`, set: [alice, 'ed25519:0x00'], ready: 7, target: 20 }],
      requests: [],
    };
    const lines = statusLines(status).join('\n');
    assert.match(
      lines,
      /acme BANNED since 2030-01-01T00:00:00.000Z: invalid_share, a check of its rows failed$/m,
    );
    assert.match(lines, /blue setup being made \(2 of 5\), 3 incidents in 24 hours$/m);
    assert.match(lines, /dora setup ready$/m);
    assert.match(lines, /presignatures .*with acme, core \(this node\): 7 of 20$/m);
    assert.match(statusLines({ ...status, pairs: undefined, presignatures: undefined }).join('\n'), /peers/);
  });

  it('are ordered by name or party key, and by nothing else', async () => {
    const rig = await banned();
    const operator = new OperatorPairs(rig.gate, peers);
    for (const params of [undefined, {}, { peer: '' }, { peer: 7 }, { peer: 'acme', force: true }]) {
      await assert.rejects(operator.lift(params), { name: 'PairControlError', code: 'invalid_params' });
    }
    for (const peer of ['nobody', 'toString', alice.toUpperCase()]) {
      await assert.rejects(operator.lift({ peer }), {
        code: 'unknown_peer',
        message: /use one of acme, blue$/,
      });
    }
    assert.deepEqual(rig.gate.bans(), [alice]);
    assert.deepEqual(await operator.lift({ peer: alice }), { name: 'acme', key: alice, was: 'banned', ban });
    assert.deepEqual(await operator.lift({ peer: 'blue' }), { name: 'blue', key: bob, was: 'ready' });
    assert.deepEqual([rig.gate.state(alice), rig.gate.state(bob)], ['missing', 'missing']);
  });

  describe('at the command', () => {
    let world: CliWorld;
    let rig: GateRig;
    let control: Control;

    beforeEach(async () => {
      world = await CliWorld.make();
      rig = await banned();
      const operator = new OperatorPairs(rig.gate, peers);
      control = await startControl({
        dir: world.folder,
        environment: { TMPDIR: world.folder },
        handlers: {
          status: async () => ({ pairs: nodePairs(rig.gate, peers) }),
          'pair-setup': (params) => operator.lift(params),
        },
        log: () => undefined,
      });
    });
    afterEach(async () => {
      await control.stop();
      await world.remove();
    });
    const command = (peer: string) => ['node', 'pair-setup', peer, '--dir', world.folder];

    it('asks first, saying why it was banned and what lifting it does', async () => {
      const refused = await world.run(command('acme'), { typed: 'n\n' });
      assert.notEqual(refused.exitCode, 0);
      assert.match(refused.stderr, /banned since 2030-01-01.*invalid_share/);
      assert.match(refused.stderr, /gets one more try/);
      assert.deepEqual(rig.gate.bans(), [alice]);
      const done = await world.run(command('acme'), { typed: 'y\n' });
      assert.equal(done.exitCode, 0, done.stderr);
      assert.match(done.stdout, /banned since 2030-01-01T00:00:00.000Z: invalid_share/);
      assert.deepEqual(rig.gate.bans(), []);
    });

    it('does nothing where nobody can be asked, unless told --yes', async () => {
      const { exitCode, error } = await world.run(command('acme'));
      assert.equal(exitCode, 2);
      assert.match(error, /needs a confirmation/);
      assert.deepEqual(rig.gate.bans(), [alice]);
      const lifted = await world.json([...command(alice), '--yes']);
      assert.deepEqual(lifted, { name: 'acme', key: alice, was: 'banned', ban });
      assert.deepEqual(rig.gate.bans(), []);
    });

    it('makes a setup anew that is good, and says so', async () => {
      const done = await world.run(command('blue'), { typed: 'yes\n' });
      assert.match(done.stderr, /The setup with blue \(ready\) is destroyed and made anew/);
      assert.equal(rig.gate.state(bob), 'missing');
    });

    it('knows the parties of this keyring alone', async () => {
      const { exitCode, stderr } = await world.run([...command('mallory'), '--yes']);
      assert.equal(exitCode, 2);
      assert.match(stderr, /"mallory" is no other party.*[\s\S]*acme, blue/);
    });

    it('says when no node runs there', async () => {
      const { exitCode, error } = await world.run([
        'node',
        'pair-setup',
        'acme',
        '--yes',
        '--dir',
        world.path('nowhere'),
      ]);
      assert.notEqual(exitCode, 0);
      assert.match(error, /no_folder|no folder|no node runs|does not exist|missing/);
    });
  });
});
