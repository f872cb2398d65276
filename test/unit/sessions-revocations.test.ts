// What owners take back reaches a node by whatever way, and stops it: newer logs, rejections, withdrawals; forks; and the
// operator's own freeze.
import assert from 'node:assert/strict';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import { buildDecision } from '../../client/records.ts';
import { mostAbout } from '../../protocol/records/about.ts';
import { decision as decisionRecord } from '../../protocol/records/decision.ts';
import { createRecord, type Envelope, readContent } from '../../protocol/records/envelope.ts';
import { openWorkspace } from '../../protocol/records/workspace.ts';
import { maxHeldOfSource, maxHeldOfSourceAndRequest } from '../../node/sessions/held-decisions.ts';
import { maxToldBytes } from '../../node/sessions/wire.ts';
import { changed, entry, requestIn } from '../support/changed-network.ts';
import { approve, hour, networkId, reject, signerOf } from '../support/fixture.ts';
import { Attacker, framesSent, KeyedNetwork } from '../support/session-attacker.ts';

const shares = ['propose', 'accept', 'start', 'round'] as const;

/** Asserts that nothing of the signing rounds left these parties about anything. */
function nothingLeft(net: KeyedNetwork, ...indices: readonly number[]): void {
  for (const index of indices)
    for (const type of shares)
      assert.equal(framesSent(net, net.node(index).party.credential, type).length, 0, `${index} ${type}`);
}

async function booted(parties = 3, threshold = 2): Promise<KeyedNetwork> {
  const net = await KeyedNetwork.create(parties, threshold);
  await net.bootAll();
  return net;
}

const addKeyring = (byte: number) => ({
  kind: 'keyring.add' as const,
  keyringId: `0x${String(byte).repeat(64)}` as const,
});

describe('sessions: a rejection that a coordinator keeps back', () => {
  it('stops the signing at every node, when one was given it by hand before the request came', async () => {
    const net = await booted();
    const { id, full } = net.messageLedBy(0);
    const against = reject(net.world, id, 'alice');
    assert.deepEqual(await net.node(2).sessions.importDecisions([against]), [
      { requestId: id, principal: 'alice', decision: 'reject', outcome: 'held' },
    ]);
    await net.pass(1000);
    for (const index of [0, 1, 2])
      await assert.rejects(net.node(index).sessions.submit(full), { code: 'cancelled' }, String(index));
    await net.pass(60_000);
    nothingLeft(net, 0, 1, 2);
    await net.stop();
  });

  it('stops the others too when it came by hand after the request', async () => {
    const net = await booted();
    const { id, full } = net.messageLedBy(0);
    await net.submit({ ...full, decisions: [] }, [0, 1, 2]);
    const against = reject(net.world, id, 'alice');
    assert.equal((await net.node(1).sessions.importDecisions([against]))[0]?.outcome, 'counted');
    await net.pass(1000);
    await assert.rejects(net.node(0).sessions.submit(full), { code: 'cancelled' });
    await net.pass(60_000);
    nothingLeft(net, 0, 1, 2);
    await net.stop();
  });

  it('outlives a restart of the node that has it, and reaches one that was away', async () => {
    const net = await booted();
    const { id, full } = net.messageLedBy(0);
    net.kill(1);
    net.kill(2);
    await net.node(0).sessions.importDecisions([reject(net.world, id, 'alice')]);
    net.kill(0);
    for (const index of [0, 1]) await net.boot(index);
    await net.pass(1000);
    for (const index of [0, 1])
      await assert.rejects(net.node(index).sessions.submit(full), { code: 'cancelled' }, String(index));
    await net.pass(60_000);
    nothingLeft(net, 0, 1);
    await net.stop();
  });

  it('is told to a party that came up before the node had read again what it holds', async () => {
    const net = await booted();
    const { id, full } = net.messageLedBy(0);
    const { sessions, store, party } = net.node(1);
    await sessions.submit({ ...full, decisions: [] });
    net.intercept = () => undefined;
    assert.equal((await sessions.importDecisions([reject(net.world, id, 'alice')]))[0]?.outcome, 'counted');
    net.kill(1);
    net.intercept = ({ bytes }) => bytes;
    net.sent.length = 0;
    const other = net.node(0);
    const openJobs = store.openJobs.bind(store);
    store.openJobs = async () => {
      net.node(1).sessions.peer(other.party.credential, true, other.boot);
      return openJobs();
    };
    await net.boot(1);
    // When it came up once more, it was just attended to.
    await net.pass(500);
    const told = framesSent(net, party.credential, 'decisions').filter(
      ({ to }) => to === other.party.credential,
    );
    assert.equal(told.length, 1);
    await net.stop();
  });

  it('reaches the others also behind more than one message can hold', async () => {
    const net = await booted();
    const { id, full } = net.messageLedBy(0);
    const about = Array.from({ length: mostAbout.lines }, () => 'a'.repeat(120));
    const { content } = readContent(decisionRecord, reject(net.world, id, 'bob'), networkId);
    const long = Array.from({ length: 9 }, (_, index) =>
      createRecord(decisionRecord, { ...content, about }, signerOf('stranger', index)),
    );
    assert.ok(JSON.stringify(long).length > maxToldBytes);
    await net.node(2).sessions.importDecisions([...long, reject(net.world, id, 'alice')]);
    await net.pass(1000);
    await assert.rejects(net.node(0).sessions.submit(full), { code: 'cancelled' });
    nothingLeft(net, 0, 1, 2);
    await net.stop();
  });

  it('is told to a leader that has not heard of it', async () => {
    const net = await booted();
    const { id, full } = net.messageLedBy(0);
    await assert.rejects(
      net.node(1).sessions.submit({ ...full, decisions: [reject(net.world, id, 'alice')] }),
      { code: 'cancelled' },
    );
    net.intercept = ({ bytes }) => bytes;
    await net
      .node(0)
      .sessions.submit(full)
      .catch(() => undefined);
    await net.pass(60_000);
    assert.match(net.node(0).sessions.status()[0]?.detail ?? '', /^cancelled/);
    await net.stop();
  });

  it('counts as a withdrawal takes back an approval', async () => {
    const net = await booted();
    const { id, full } = net.messageLedBy(0);
    const { envelope } = buildDecision(
      {
        networkId,
        now: net.clock.now(),
        workspace: net.world.workspace,
        subject: id,
        decisions: full.decisions,
        decision: 'withdraw',
      },
      net.world.owners['bob']!,
    );
    await net.node(1).sessions.importDecisions([envelope]);
    await net.pass(1000);
    for (const index of [0, 1, 2])
      assert.equal((await net.node(index).sessions.submit(full)).state, 'waiting', String(index));
    await net.pass(60_000);
    nothingLeft(net, 0, 1, 2);
    await net.stop();
  });

  it('is nothing when somebody else signed it, and is not kept when its signature is not valid', async () => {
    const net = await booted();
    const { id, full } = net.messageLedBy(0);
    const forged = reject(net.world, id, 'alice', { signer: signerOf('mallory') });
    const [signature] = reject(net.world, id, 'alice', { seq: 9 }).signatures;
    const broken = { ...reject(net.world, id, 'alice'), signatures: [signature!] };
    await assert.rejects(net.node(0).sessions.importDecisions([broken]), { code: 'bad_evidence' });
    await net.node(0).sessions.importDecisions([forged]);
    await net.submit(full, [0, 1]);
    await net.signedBy(id, [0, 1]);
    await net.stop();
  });

  it('of a party that sends much pushes out none that another one brought', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const attacker = new Attacker(net, 2);
    await net.boot(0);
    const { id, full } = net.messageLedBy(0);
    await net.node(0).sessions.importDecisions([reject(net.world, id, 'alice')]);
    const mallory = signerOf('mallory');
    for (let index = 0; index < maxHeldOfSource + 20; index += 1) {
      const other = `0x${index.toString(16).padStart(64, '0')}` as const;
      const decisions = utf8ToBytes(JSON.stringify([reject(net.world, other, 'alice', { signer: mallory })]));
      await net.deliver(
        attacker.signer.credential,
        0,
        attacker.encode('decisions', { requestId: other, decisions }),
      );
      if (index % 64 === 0) await net.pass(60_000);
    }
    const many = Array.from({ length: 15 }, (_, seq) =>
      reject(net.world, id, 'alice', { signer: mallory, seq: seq + 1 }),
    );
    const decisions = utf8ToBytes(JSON.stringify(many));
    await net.deliver(
      attacker.signer.credential,
      0,
      attacker.encode('decisions', { requestId: id, decisions }),
    );
    await net.pass(1000);
    const { held } = net.node(0).store;
    const theirs = [...held.values()].flat().filter(({ source }) => source === attacker.signer.credential);
    assert(theirs.length <= maxHeldOfSource, `${theirs.length} are held`);
    const about = held.get(id)?.filter(({ source }) => source === attacker.signer.credential);
    assert.equal(about?.length, maxHeldOfSourceAndRequest);
    const fresh = {
      ...full,
      decisions: [approve(net.world, id, 'bob', { expires: net.clock.now() + hour })],
    };
    await assert.rejects(net.node(0).sessions.submit(fresh), { code: 'cancelled' });
    await net.stop();
  });
});

describe('sessions: a newer state of a workspace that a coordinator keeps back', () => {
  it('makes every node refuse what was asked for before, when one was given the log by hand', async () => {
    const net = await booted();
    const { id, full } = net.messageLedBy(0);
    const newer = changed(net, net.world.workspace, { kind: 'freeze' });
    assert.deepEqual(await net.node(2).sessions.importLog(newer.log), [
      { workspaceId: newer.id, outcome: 'newer' },
    ]);
    await net.pass(1000);
    for (const index of [0, 1, 2])
      await assert.rejects(net.node(index).sessions.submit(full), { code: 'stale_log_head' }, String(index));
    await net.pass(60_000);
    nothingLeft(net, 0, 1, 2);
    assert(!net.node(0).store.finished.has(id));
    await net.stop();
  });

  it('stops what is under way, and what waits for parties', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.boot(0);
    const { full } = net.messageLedBy(0);
    assert.equal((await net.node(0).sessions.submit(full)).state, 'authorised');
    const newer = changed(net, net.world.workspace, addKeyring(2));
    await net.node(0).sessions.submitLog(newer.log);
    await net.pass(100);
    assert.match(net.node(0).sessions.status()[0]?.detail ?? '', /^stale_log_head/);
    await net.boot(1);
    await net.pass(60_000);
    nothingLeft(net, 0, 1);
    await net.stop();
  });

  it('is never forgotten: not by a restart, nor by an older log', async () => {
    const net = await booted();
    const newer = changed(net, net.world.workspace, addKeyring(2));
    await net.node(0).sessions.submitLog(newer.log);
    const [older] = await net.node(0).sessions.submitLog(net.world.workspace.log);
    assert.equal(older?.outcome, 'older');
    for (const index of [0, 1, 2]) net.kill(index);
    await net.boot(0);
    const { full } = net.messageLedBy(0);
    await assert.rejects(net.node(0).sessions.submit(full), { code: 'stale_log_head' });
    await net.stop();
  });

  it('is learned from evidence that is made in it, and what it allows is signed', async () => {
    const net = await booted();
    const newer = changed(net, net.world.workspace, addKeyring(2));
    const { id, full } = requestIn(net, newer);
    await net.submit(full, [0]);
    await net.signedBy(id, [0, 1, 2]);
    const old = net.messageLedBy(0);
    await assert.rejects(net.node(1).sessions.submit(old.full), { code: 'stale_log_head' });
    await net.stop();
  });

  it('is told to a leader that proposes what was asked for before it', async () => {
    const net = await booted();
    const newer = changed(net, net.world.workspace, addKeyring(2));
    const { full } = net.messageLedBy(0);
    net.kill(0);
    net.kill(2);
    await net.node(1).sessions.submit(full);
    await net.node(1).sessions.submitLog(newer.log);
    // What was told while it was away, and when it came up, is lost.
    net.intercept = ({ from, bytes }) =>
      from === net.node(1).party.credential && net.clock.now() < lost ? undefined : bytes;
    const lost = net.clock.now() + 500;
    await net.boot(0);
    await net.node(0).sessions.submit(full);
    await net.pass(60_000);
    assert.match(net.node(0).sessions.status()[0]?.detail ?? '', /^stale_log_head/);
    assert.equal(framesSent(net, net.node(1).party.credential, 'accept').length, 0);
    await net.stop();
  });

  it('is not believed of a log that does not stand', async () => {
    const net = await booted();
    const { id, full } = net.messageLedBy(0);
    const lone = entry(net, net.world.workspace, addKeyring(2), []);
    await assert.rejects(net.node(0).sessions.importLog([net.world.genesis, ...lone]), {
      code: 'bad_evidence',
    });
    await assert.rejects(net.node(0).sessions.submitLog([]), { code: 'bad_evidence' });
    await net.submit(full, [0, 1]);
    await net.signedBy(id, [0, 1]);
    await net.stop();
  });
});

describe('sessions: a fork of a workspace log', () => {
  const right = { kind: 'freeze' as const };

  it('stops everything of the workspace until its owners have said which entry stands', async () => {
    const net = await booted();
    const { workspace } = net.world;
    const ours = changed(net, workspace, addKeyring(2));
    const theirs = changed(net, workspace, addKeyring(3));
    const asked = requestIn(net, ours);
    for (const index of [1, 2]) net.kill(index);
    const alone = net.node(0);
    assert.equal((await alone.sessions.submit(asked.full)).state, 'authorised');
    assert.equal((await alone.sessions.submitLog(theirs.log))[0]?.outcome, 'fork');
    await net.pass(100);
    assert.match(alone.sessions.status()[0]?.detail ?? '', /^fork/);
    const [status] = alone.sessions.workspaces();
    assert.deepEqual(status?.fork?.entries, [ours.head.id, theirs.head.id]);
    assert.equal(alone.store.forked.get(workspace.id)?.logs.length, 2);
    assert.equal(net.logged(0, 'session.incident')[0]?.code, 'fork');
    await assert.rejects(alone.sessions.submit(requestIn(net, theirs).full), { code: 'fork' });
    // Also after a restart, and for who learns of it only then.
    net.kill(0);
    await net.bootAll();
    await net.pass(60_000);
    nothingLeft(net, 0, 1, 2);
    for (const index of [1, 2]) assert(net.node(index).sessions.workspaces()[0]?.fork, String(index));
    const resolve = entry(net, workspace, { kind: 'resolve', stands: ours.head.id });
    const log: Envelope[] = [...workspace.log, ...resolve, ...ours.log.slice(workspace.log.length)];
    assert.equal((await net.node(2).sessions.importLog(log))[0]?.outcome, 'newer');
    await net.signedBy(asked.id, [0, 1, 2]);
    assert.equal(net.node(0).store.forked.get(workspace.id)?.open, false, 'the proof is kept');
    await net.stop();
  });

  it('is left for the branch that the owners name, also where it was the other one', async () => {
    const net = await booted();
    const { workspace } = net.world;
    const ours = changed(net, changed(net, workspace, addKeyring(2)), addKeyring(4));
    const theirs = changed(net, workspace, right);
    const free = changed(net, theirs, { kind: 'unfreeze' });
    const { full } = requestIn(net, ours);
    const { sessions } = net.node(0);
    await sessions.submit({ ...full, decisions: [] });
    await sessions.submitLog(theirs.log);
    const resolve = entry(net, workspace, { kind: 'resolve', stands: theirs.head.id });
    const resolved = openWorkspace(
      [...workspace.log, ...resolve, ...free.log.slice(workspace.log.length)],
      networkId,
    );
    assert.equal((await sessions.submitLog(resolved.log))[0]?.outcome, 'newer');
    assert.deepEqual(sessions.workspaces()[0]?.head, free.head);
    assert.equal(sessions.workspaces()[0]?.fork, undefined);
    assert.match((await sessions.submit(full)).detail, /^stale_log_head/);
    net.kill(0);
    await net.boot(0);
    assert.deepEqual(net.node(0).sessions.workspaces()[0]?.head, free.head);
    const asked = requestIn(net, resolved);
    await net.submit(asked.full, [0, 1]);
    await net.signedBy(asked.id, [0, 1]);
    await net.stop();
  });
});

describe('sessions: what owners said of a fork', () => {
  /** Two branches, and the log in which the owners say that the first stands. */
  function forked(net: KeyedNetwork) {
    const { workspace } = net.world;
    const ours = changed(net, workspace, addKeyring(2));
    const theirs = changed(net, workspace, addKeyring(3));
    const resolve = entry(net, workspace, { kind: 'resolve', stands: ours.head.id });
    const settled = [...workspace.log, ...resolve, ...ours.log.slice(workspace.log.length)];
    return { ours, theirs, resolve, settled };
  }

  it('is asked for by every party, also by those that had the same log as who heard of the fork', async () => {
    const net = await booted();
    const { ours, theirs, settled } = forked(net);
    for (const index of [0, 1, 2]) await net.node(index).sessions.submitLog(ours.log);
    await net.pass(1000);
    await net.node(2).sessions.importLog(theirs.log);
    await net.pass(1000);
    for (const index of [0, 1, 2])
      assert.deepEqual(net.node(index).sessions.workspaces()[0]?.fork?.entries, [
        ours.head.id,
        theirs.head.id,
      ]);
    // Who has it does not ask for it again.
    const asked = framesSent(net, net.node(1).party.credential, 'want_log').length;
    net.kill(0);
    await net.boot(0);
    await net.pass(1000);
    assert.equal(framesSent(net, net.node(1).party.credential, 'want_log').length, asked);
    assert(net.node(0).sessions.workspaces()[0]?.fork);
    await net.node(0).sessions.importLog(settled);
    await net.pass(1000);
    for (const index of [0, 1, 2])
      assert.equal(net.node(index).sessions.workspaces()[0]?.fork, undefined, String(index));
    await net.stop();
  });

  it('is not forgotten for a longer log that does not say it', async () => {
    const net = await booted();
    const { ours, theirs, settled } = forked(net);
    const { sessions, store } = net.node(0);
    for (const index of [1, 2]) net.kill(index);
    await sessions.submitLog(ours.log);
    await sessions.submitLog(theirs.log);
    assert.equal((await sessions.importLog(settled))[0]?.outcome, 'newer');
    // As a coordinator has it that was never told.
    const later = changed(net, ours, addKeyring(4));
    assert.equal((await sessions.submitLog(later.log))[0]?.outcome, 'newer');
    assert.deepEqual(sessions.workspaces()[0]?.head, later.head);
    assert.equal((await sessions.submitLog(theirs.log))[0]?.outcome, 'older');
    assert.equal(sessions.workspaces()[0]?.fork, undefined);
    assert.equal(store.forked.get(ours.id)?.open, false);
    // The log that is handed on says it too, and so it stays over a restart.
    const kept = openWorkspace((await store.logOf(ours.id))!, networkId);
    assert.deepEqual([kept.head, kept.resolved.size], [later.head, 1]);
    net.kill(0);
    await net.boot(0);
    assert.equal((await net.node(0).sessions.submitLog(theirs.log))[0]?.outcome, 'older');
    await net.stop();
  });

  it('counts although it comes with a log that is shorter than what is known', async () => {
    const net = await booted();
    const { ours, theirs, settled } = forked(net);
    const { sessions, store } = net.node(0);
    for (const index of [1, 2]) net.kill(index);
    const later = changed(net, ours, addKeyring(4));
    await sessions.submitLog(later.log);
    await sessions.submitLog(theirs.log);
    assert(sessions.workspaces()[0]?.fork);
    assert.equal((await sessions.importLog(settled))[0]?.outcome, 'newer');
    assert.equal(sessions.workspaces()[0]?.fork, undefined);
    assert.deepEqual(sessions.workspaces()[0]?.head, later.head);
    assert.equal(store.forked.get(ours.id)?.open, false);
    await net.stop();
  });

  it('says nothing of another fork, which is seen when it comes again', async () => {
    const net = await booted();
    const { ours, theirs, settled } = forked(net);
    const { sessions, store } = net.node(0);
    for (const index of [1, 2]) net.kill(index);
    const later = changed(net, ours, addKeyring(4));
    const otherwise = changed(net, ours, addKeyring(5));
    await sessions.submitLog(later.log);
    await sessions.submitLog(theirs.log);
    assert.equal((await sessions.submitLog(otherwise.log))[0]?.outcome, 'fork');
    await sessions.importLog(settled);
    assert.equal((await sessions.submitLog(otherwise.log))[0]?.outcome, 'fork');
    const fork = sessions.workspaces()[0]?.fork;
    assert.deepEqual(fork?.entries, [later.head.id, otherwise.head.id]);
    assert.equal(store.forked.get(ours.id)?.open, true);
    await net.stop();
  });

  it('of a fork below another one ends that too: the place where it was is gone', async () => {
    const net = await booted();
    const { ours, theirs, resolve } = forked(net);
    const { workspace } = net.world;
    const { sessions, store } = net.node(0);
    for (const index of [1, 2]) net.kill(index);
    await sessions.submitLog(changed(net, theirs, addKeyring(4)).log);
    assert.equal((await sessions.submitLog(changed(net, theirs, addKeyring(5)).log))[0]?.outcome, 'fork');
    assert.equal((await sessions.submitLog(ours.log))[0]?.outcome, 'fork');
    const settled = [...workspace.log, ...resolve, ...ours.log.slice(workspace.log.length)];
    assert.equal((await sessions.importLog(settled))[0]?.outcome, 'newer');
    assert.deepEqual(sessions.workspaces()[0]?.head, ours.head);
    assert.equal(sessions.workspaces()[0]?.fork, undefined);
    assert.equal(store.forked.get(ours.id)?.open, false);
    await net.stop();
  });

  it('tells nobody of a log that is left aside meanwhile', async () => {
    const net = await booted();
    const { ours, theirs } = forked(net);
    const { sessions, party } = net.node(0);
    await sessions.submitLog(ours.log);
    await sessions.submitLog(theirs.log);
    const told = (): number => framesSent(net, party.credential, 'heads').length;
    await net.pass(1000);
    const before = told();
    assert.ok(before > 0, 'a fork is told');
    const third = changed(net, net.world.workspace, addKeyring(6));
    assert.equal((await sessions.submitLog(third.log))[0]?.outcome, 'fork');
    await net.pass(1000);
    assert.equal(told(), before);
    await net.stop();
  });

  it('is not waited for in an endless exchange between parties that know different branches', async () => {
    const net = await booted();
    const { ours, theirs } = forked(net);
    const further = changed(net, theirs, addKeyring(4));
    const third = changed(net, net.world.workspace, addKeyring(6));
    for (const index of [0, 1, 2]) net.kill(index);
    for (const [index, log] of [ours, further, third].entries()) {
      await net.boot(index);
      await net.node(index).sessions.importLog(log.log);
      net.kill(index);
    }
    for (const index of [0, 1, 2]) await net.boot(index);
    await net.pass(5000);
    const sent = (): number =>
      [0, 1, 2].reduce((sum, index) => {
        const { credential } = net.node(index).party;
        return sum + framesSent(net, credential, 'log').length + framesSent(net, credential, 'heads').length;
      }, 0);
    const before = sent();
    await net.pass(20_000);
    assert.equal(sent(), before);
    for (const index of [0, 1, 2]) assert(net.node(index).sessions.workspaces()[0]?.fork, String(index));
    await net.stop();
  });

  it('reaches a party that has gone where the log does not go, and was away', async () => {
    const net = await booted();
    const { ours, theirs, settled } = forked(net);
    for (const index of [1, 2]) net.kill(index);
    await net.node(0).sessions.submitLog(theirs.log);
    net.kill(0);
    await net.boot(1);
    await net.node(1).sessions.importLog(settled);
    await net.boot(0);
    await net.pass(1000);
    for (const index of [0, 1]) {
      const [status] = net.node(index).sessions.workspaces();
      assert.deepEqual([status?.head, status?.fork], [ours.head, undefined], String(index));
    }
    await net.stop();
  });
});

describe("sessions: an operator's freeze of a workspace", () => {
  it('keeps this node from signing for it, over restarts, until it is lifted', async () => {
    const net = await booted();
    const { id, full } = net.messageLedBy(0);
    const { sessions } = net.node(0);
    const { workspace } = net.world;
    const freeze = { workspaceId: workspace.id, since: '2030-01-01T00:00:00.000Z' };
    assert.equal(await sessions.freeze(freeze), true);
    assert.equal(await sessions.freeze(freeze), false);
    net.kill(2);
    const { state, detail } = await sessions.submit(full);
    assert.equal(state, 'waiting');
    assert.match(detail, /^frozen_here/);
    await net.submit(full, [1]);
    await net.pass(10_000);
    net.kill(0);
    await net.boot(0);
    await net.pass(20_000);
    assert.equal(framesSent(net, net.node(0).party.credential, 'accept').length, 0);
    assert.equal(framesSent(net, net.node(0).party.credential, 'propose').length, 0);
    assert.equal(net.node(0).store.jobs.get(id)?.state, 'stored');
    assert.deepEqual(await net.node(0).sessions.unfreeze(workspace.id), freeze);
    await net.signedBy(id, [0, 1]);
    assert.equal(await net.node(0).sessions.unfreeze(workspace.id), undefined);
    await net.stop();
  });
});
