// What an operator does against a coordinator that keeps things back, on real processes: hands a rejection to one node, and
// freezes a workspace at others.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { buildChange, buildDecision } from '../../client/records.ts';
import {
  workspaceApproveResolution,
  workspaceImport,
  workspaceResolve,
} from '../../cli/commands/workspace-resolve.ts';
import { cleanEnvironment, command } from '../../cli/testnet/operators.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { Change } from '../../protocol/records/workspace-change.ts';
import { appendChange, openWorkspace, type Workspace } from '../../protocol/records/workspace.ts';
import { CliWorld, type Json } from '../support/cli-run.ts';
import { LocalNetwork } from '../support/local-network.ts';
import { until } from '../support/until.ts';

describe('a coordinator that keeps things back', function () {
  this.timeout(180_000);
  let net: LocalNetwork;
  let cli: CliWorld;
  let keyId: Hex;

  before(async () => {
    cli = await CliWorld.make();
    net = await LocalNetwork.start(3, 2);
    keyId = await net.requestKey();
    assert.equal((await net.final(keyId)).state, 'fulfilled');
  });

  after(async () => {
    await net?.stop();
    await cli?.remove();
  });

  const environment = { ...(cleanEnvironment(process.env) as Record<string, string>), TMPDIR: tmpdir() };
  const node = async (index: number, ...command: string[]): Promise<Json> =>
    await cli.json(['node', ...command, '--dir', net.layout.parties[index]?.nodeDir ?? ''], { environment });
  const waitingFor = async (index: number, id: Hex): Promise<Json> =>
    (await node(index, 'status')).requests.find((request: Json) => request.requestId === id);

  it('is defeated by a rejection that one node was given by hand', async () => {
    const id = await net.requestSignature(keyId, 'taken back');
    const { networkId } = net.network;
    const { signer } = net.owners.alice;
    const of = { networkId, workspace: net.workspace, subject: id, decisions: [] };
    const { envelope } = buildDecision({ ...of, decision: 'reject' }, signer);
    const file = cli.path('revoked.json');
    await writeFile(file, JSON.stringify({ type: 'countersign.decisions', decisions: [envelope] }));
    const { decisions } = await node(2, 'log', 'import', file);
    assert.match(decisions[0].outcome, /^(counted|held)$/);
    await net.decide(id, 'bob', 'approve');
    for (const index of [0, 1, 2]) {
      await until(
        async () => (await waitingFor(index, id))?.detail.startsWith('cancelled') === true,
        `node ${index + 1} knows`,
        30_000,
      );
    }
    for (const name of ['node-1', 'node-2', 'node-3'])
      for (const { event, fields } of await net.log(name))
        assert(fields['requestId'] !== id || !event.startsWith('session.'), `${name} ${event}`);
  });

  it('does not keep owners from saying which entry of a forked log stands', async () => {
    const { networkId } = net.network;
    const { alice, bob } = net.owners;
    const common = net.workspace;
    const changed = (change: Change): Workspace => {
      const made = buildChange({ networkId, workspace: common, change }, alice.signer);
      const of = { networkId, workspace: common, subject: made.id, decisions: [] };
      const { envelope } = buildDecision({ ...of, decision: 'approve' }, bob.signer);
      return openWorkspace(appendChange(common.log, made.envelope, [envelope]), networkId);
    };
    const entry = ({ chain }: Workspace): Hex => chain[common.chain.length]!;
    const keyringId: Hex = `0x${'5a'.repeat(32)}`;
    const [ours, theirs] = [
      changed({ kind: 'key.disable', keyId: keyringId }),
      changed({ kind: 'keyring.add', keyringId }),
    ];
    const { workspaceId } = net.network;
    const entries = ours.log.slice(common.log.length);
    await alice.client.call('workspace_import', { workspaceId, after: 0, log: entries });
    const headOf = async (index: number): Promise<Json> => (await node(index, 'log', 'show', workspaceId))[0];
    for (const index of [0, 1, 2])
      await until(
        async () => (await headOf(index)).head.id === ours.head.id,
        `node ${index + 1} has what the coordinator has`,
        30_000,
      );
    const log = cli.path('theirs.json');
    await writeFile(log, JSON.stringify({ type: 'countersign.log', log: theirs.log }));
    assert.equal((await node(2, 'log', 'import', log)).logs[0].outcome, 'fork');
    for (const index of [0, 1, 2])
      await until(
        async () => (await headOf(index)).fork !== undefined,
        `node ${index + 1} has heard of the fork`,
        30_000,
      );
    const id = await net.requestSignature(keyId, 'in doubt', ours);

    const [fork, resolution, resolved] = ['fork.json', 'resolution.json', 'resolved.json'].map((name) =>
      cli.path(name),
    ) as [string, string, string];
    assert.equal((await node(0, 'log', 'export', workspaceId, '--out', fork)).forked, true);
    const said = await command(
      net.people,
      workspaceResolve,
      entry(theirs),
      '--fork',
      fork,
      '--out',
      resolution,
      '--yes',
      '--as',
      'alice',
    );
    assert.equal(said['decided'], false);
    const files = [resolution, '--log', resolved, '--yes', '--as', 'bob'];
    const agreed = await command(net.people, workspaceApproveResolution, ...files);
    assert.equal(agreed['decided'], true);
    // One node is told, and tells the others; the coordinator is told by an owner.
    assert.equal((await node(1, 'log', 'import', resolved)).logs[0].outcome, 'newer');
    for (const index of [0, 1, 2])
      await until(
        async () => {
          const { head, fork: open } = await headOf(index);
          return open === undefined && head.id === theirs.head.id;
        },
        `node ${index + 1} has left the other branch`,
        30_000,
      );
    const { outcome } = await command(net.people, workspaceImport, resolved, '--as', 'alice');
    assert.equal(outcome, 'newer');
    assert.equal((await net.final(id)).reason?.code, 'policy_changed');
    net.workspace = theirs;
    const next = await net.requestSignature(keyId, 'no doubt');
    await net.decide(next, 'bob', 'approve');
    assert.equal((await net.final(next)).state, 'fulfilled');
  });

  it('gets nothing signed of a workspace that operators have frozen, until they lift it', async () => {
    const { id: workspaceId } = net.workspace;
    for (const index of [0, 1])
      assert.equal((await node(index, 'freeze', workspaceId, '--reason', 'a doubt')).changed, true);
    assert.equal((await node(0, 'freeze', workspaceId)).changed, false);
    const [blocked] = (await node(0, 'status')).blocked;
    assert.equal(blocked.frozen.reason, 'a doubt');
    assert.equal((await node(0, 'log', 'show', workspaceId))[0].head.id, net.workspace.head.id);
    const id = await net.requestSignature(keyId, 'not now');
    await net.decide(id, 'bob', 'approve');
    await until(
      async () => (await waitingFor(0, id))?.waiting.code === 'frozen_here',
      'the frozen node has it',
      30_000,
    );
    await net.kill('node-1');
    await net.restart('node-1');
    assert.equal((await node(0, 'status')).blocked.length, 1);
    for (const index of [0, 1]) assert.equal((await node(index, 'unfreeze', workspaceId)).changed, true);
    assert.equal((await net.final(id)).state, 'fulfilled');
    for (const name of ['node-1', 'node-2']) {
      const log = await net.log(name);
      const lifted = log.findIndex(({ event }) => event === 'workspace.unfrozen');
      const began = log.findIndex(
        ({ event, fields }) => event === 'session.started' && fields['requestId'] === id,
      );
      assert(lifted >= 0 && (began < 0 || began > lifted), `${name} took part only afterwards`);
    }
  });
});
