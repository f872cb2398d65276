// Which of two entries stands, at the command line: owners sign it in a file that goes from one to the next, and bring the log
// to a coordinator in this process.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { openIdentity } from '../../client/identity/identity.ts';
import { buildChange, buildDecision } from '../../client/records.ts';
import type { HandedFork } from '../../protocol/handed.ts';
import type { Hex } from '../../protocol/hex.ts';
import { ed25519Signer, type Signer } from '../../protocol/records/envelope.ts';
import type { Change } from '../../protocol/records/workspace-change.ts';
import { appendChange, openWorkspace, type Workspace } from '../../protocol/records/workspace.ts';
import { anyId } from '../support/log-world.ts';
import { fails, type Json } from '../support/cli-run.ts';
import { CliNetwork } from '../support/cli-network.ts';

const policy = `version: 1
rules:
  - { id: all, effect: allow, when: { kind: [message, key.request] }, require: { k: 1, of: owners } }
`;
const networkId = 'local-0badcafe';

describe('countersign workspace: forks', function () {
  this.timeout(60_000);
  let net: CliNetwork;
  let alice: Signer;
  let bob: Signer;
  let files = 0;
  let rings = 9;

  before(async () => {
    net = await CliNetwork.start(policy);
    await net.json('identity new mallory');
    const opened = async (name: string): Promise<Signer> =>
      ed25519Signer((await openIdentity(net.world.path('home', 'identities', `${name}.json`), 'right')).seed);
    [alice, bob] = [await opened('alice'), await opened('bob')];
  });
  after(() => net?.stop());

  const free = (what = 'free'): string => net.world.path(`${what}-${(files += 1)}.json`);
  const file = async (value: unknown): Promise<string> => {
    const path = free('given');
    await writeFile(path, JSON.stringify(value));
    return path;
  };
  const read = async (path: string): Promise<Json> => JSON.parse(await readFile(path, 'utf8'));
  const ring = (): Change => ({ kind: 'keyring.add', keyringId: anyId((rings += 1)) });

  async function here(): Promise<Workspace> {
    const path = free('log');
    await net.json(`workspace log --out ${path}`);
    return openWorkspace((await read(path)).log, networkId);
  }
  /** The workspace after a change that alice proposed and bob approved, wherever. */
  function changed(workspace: Workspace, change: Change): Workspace {
    const { id, envelope } = buildChange({ networkId, workspace, change }, alice);
    const decided = buildDecision(
      { networkId, workspace, subject: id, decision: 'approve', decisions: [] },
      bob,
    );
    return openWorkspace(appendChange(workspace.log, envelope, [decided.envelope]), networkId);
  }
  const forkOf = (common: Workspace, one: Workspace, other: Workspace): HandedFork => ({
    type: 'countersign.fork',
    log: [...one.log],
    after: common.head.seq,
    other: other.log.slice(common.log.length),
  });
  /** A fork of which the coordinator has the first branch, as a node exports it. */
  async function forked() {
    const common = await here();
    const ours = changed(common, ring());
    const theirs = changed(changed(common, ring()), ring());
    const log = await file({ type: 'countersign.log', log: ours.log });
    assert.equal((await net.json(`workspace import ${log}`)).outcome, 'newer');
    const entry = (of: Workspace): Hex => of.chain[common.chain.length]!;
    const handed = forkOf(common, theirs, ours);
    return { common, ours, theirs, entry, handed, fork: await file(handed) };
  }

  it('are resolved by a file that goes from owner to owner, for nodes and the coordinator', async () => {
    const { common, theirs, entry, fork } = await forked();
    const [out, log] = [free('resolution'), free('resolved')];
    const shown = await net.run(`workspace resolve ${entry(theirs)} --fork ${fork} --out ${out} --yes`);
    assert.equal(shown.exitCode, 0, shown.stderr);
    assert.match(shown.stderr, new RegExp(`entry ${common.head.seq + 1} ${entry(theirs)}, by alice`));
    assert.match(shown.stderr, /Use keyring 0x.* too/);
    assert.match(shown.stderr, /and 1 more after it/);
    assert.match(shown.stdout, /missing +rule .*: 1 of 2, may decide: bob/);
    assert.match(shown.stdout, new RegExp(`approve-resolution ${out}`));

    const approved = await net.run(`workspace approve-resolution ${out} --as bob --yes --log ${log}`);
    assert.equal(approved.exitCode, 0, approved.stderr);
    assert.match(approved.stdout, new RegExp(`node log import ${log}`));
    const resolved = openWorkspace((await read(log)).log, networkId);
    assert.deepEqual(resolved.head, theirs.head);
    assert.equal(resolved.resolved.get(common.head.id), entry(theirs));

    assert.equal((await net.json(`workspace import ${log}`)).outcome, 'newer');
    assert.deepEqual((await here()).head, theirs.head);
    assert.equal((await net.json(`workspace import ${log}`)).outcome, 'same');
    const { stdout } = await net.run('workspace log');
    assert.match(stdout, /Of two entries that the log has here, say that this one stands/);
    // Whoever runs it again gets the same log, and signs nothing.
    const again = await net.json(`workspace approve-resolution ${out} --as alice --yes --log ${log}`);
    assert.equal(again.decided, true);
    assert.equal((await read(out)).decisions.length, 1);
  });

  it('show an approver how far each branch went, whatever the file leaves out', async () => {
    const { common, ours, theirs, entry, handed, fork } = await forked();
    const [, ...after] = theirs.log.slice(common.log.length);
    const next = after.findIndex(({ type }) => type === 'workspace.change') + 1;
    const short = { ...handed, log: theirs.log.slice(0, common.log.length + next) };
    const out = free('resolution');
    const resolve = `workspace resolve ${entry(theirs)} --fork ${await file(short)} --out ${out} --yes --second`;
    assert.equal((await net.run(resolve)).exitCode, 0);
    const approve = `workspace approve-resolution ${out} --as bob --yes --second`;
    const elsewhere = await file(forkOf(ours, changed(ours, ring()), changed(ours, ring())));
    fails(await net.run(`${approve} --fork ${elsewhere}`), 2, /not this one/);
    assert.equal((await read(out)).decisions.length, 0);
    const log = free('resolved');
    const shown = await net.run(`${approve} --fork ${fork} --log ${log}`);
    assert.equal(shown.exitCode, 0, shown.stderr);
    assert.match(shown.stderr, /and 1 more after it/);
    assert.doesNotMatch(shown.stderr, /what this file says/);
    assert.deepEqual(openWorkspace((await read(log)).log, networkId).head, theirs.head);
    const untold = await net.run(approve);
    assert.match(untold.stderr, /How far each branch went is what this file says/);
    assert.doesNotMatch(untold.stderr, /more after it/);
  });

  it('are signed one way by an owner, and only after a confirmation', async () => {
    const { ours, theirs, entry, fork } = await forked();
    const resolve = `workspace resolve ${entry(ours)} --fork ${fork} --out`;
    fails(await net.run(`${resolve} ${free()}`), 2, /needs a confirmation/);
    const out = free('resolution');
    await net.json(`${resolve} ${out} --yes`);
    fails(await net.run(`${resolve} ${out} --yes`), 1, /already exists/);
    const otherwise = `workspace resolve ${entry(theirs)} --fork ${fork} --out`;
    fails(await net.run(`${otherwise} ${free()} --yes`), 1, /has signed that .* stands/);
    // Another owner has said nothing yet; the first who approves it then contradicts herself.
    const bobs = free('resolution');
    await net.json(`${otherwise} ${bobs} --as bob --yes`);
    fails(await net.run(`workspace approve-resolution ${bobs} --yes`), 1, /has signed that .* stands/);
    assert.equal((await net.json(`workspace approve-resolution ${bobs} --yes --second`)).decided, true);
  });

  it('of anything else are refused, with nothing signed', async () => {
    const { common, ours, theirs, entry, handed, fork } = await forked();
    const resolve = (id: string, of: string): Promise<Json> =>
      net.run(`workspace resolve ${id} --fork ${of} --out ${free()} --yes --second`);
    fails(await resolve(anyId(1), fork), 2, /is none of the two entries/);
    fails(await resolve('0x12', fork), 2, /is not the id of a log entry/);
    fails(await resolve(entry(ours), await file({ ...handed, type: 'countersign.log' })), 2, /not a fork/);
    const same = await file(forkOf(common, changed(ours, ring()), ours));
    fails(await resolve(entry(ours), same), 2, /do not fork/);
    fails(await resolve(entry(ours), await file({ ...handed, after: 999 })), 2, /ends before entry 999/);
    const broken = { ...handed, other: handed.other.slice(0, 1) };
    fails(await resolve(entry(ours), await file(broken)), 2, /was not decided/);
    fails(
      await net.run(
        `workspace resolve ${entry(ours)} --fork ${fork} --out ${free()} --yes --as mallory --second`,
      ),
      1,
      /is no owner/,
    );
    const elsewhere = await net.run(
      `workspace resolve ${entry(ours)} --fork ${fork} --out ${free()} --yes --workspace ${anyId(1)}`,
    );
    fails(elsewhere, 2, /trusted is 0x0101/);

    const out = free('resolution');
    await net.json(`workspace resolve ${entry(ours)} --fork ${fork} --out ${out} --yes --second`);
    const resolution = await read(out);
    const [change] = theirs.log.slice(common.log.length);
    const swapped = await file({ ...resolution, change });
    fails(await net.run(`workspace approve-resolution ${swapped} --as bob --yes`), 2, /none of the two/);
    fails(await net.run(`workspace approve-resolution ${out} --as mallory --yes`), 1, /is no owner/);
    assert.deepEqual(await read(out), resolution);
    // A log that forks from the coordinator's says nothing without the owners' word.
    const log = await file({ type: 'countersign.log', log: theirs.log });
    fails(await net.run(`workspace import ${log}`), 1, /forks from the one here after entry/);
    fails(await net.run(`workspace import ${out}`), 2, /not an exported log/);
  });

  it('may be resolved for what the coordinator has, whose requests go on', async () => {
    const { ours, entry, fork } = await forked();
    const { keyId } = await net.json(`key request --label kept --type ed25519 --keyring ${net.keyringId}`);
    const out = free('resolution');
    await net.json(`workspace resolve ${entry(ours)} --fork ${fork} --out ${out} --yes --second`);
    const { log } = await net.json(`workspace approve-resolution ${out} --as bob --yes --second`);
    assert.equal((await net.json(`workspace import ${log}`)).outcome, 'newer');
    assert.deepEqual((await here()).head, ours.head);
    assert.equal((await net.json(`request show ${keyId}`)).state, 'pending');
  });
});
