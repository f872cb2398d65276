// What one party, or one workspace, can take of a node's time and memory, and that honest parties are not held up by it.
import assert from 'node:assert/strict';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import { authorize, type Evidence, type Verdict } from '../../protocol/authorize.ts';
import { toHex } from '../../protocol/hex.ts';
import { defaultAdminPolicy } from '../../protocol/policy/schema.ts';
import { createRecord, type Envelope } from '../../protocol/records/envelope.ts';
import { timestamp } from '../../protocol/records/fields.ts';
import { openWorkspace } from '../../protocol/records/workspace.ts';
import { workspaceGenesis } from '../../protocol/records/workspace-genesis.ts';
import { Admission } from '../../node/sessions/admission.ts';
import { EarlyBudget } from '../../node/sessions/early-budget.ts';
import { maxOpenJobsPerWorkspace } from '../../node/sessions/intake.ts';
import { maxLedBy } from '../../node/sessions/membership.ts';
import { PeerLog } from '../../node/sessions/peer-log.ts';
import { Verdicts } from '../../node/sessions/verdicts.ts';
import { decodeFrame, type FrameOf } from '../../node/sessions/wire.ts';
import {
  approve,
  evidence,
  hour,
  idOf,
  keyRequest,
  networkId,
  reject,
  seedOf,
  signerOf,
  start,
  twoOfThree,
  type World,
} from '../support/fixture.ts';
import { Attacker, framesSent, KeyedNetwork, signedElsewhere } from '../support/session-attacker.ts';
import { turnsOfLoop } from '../support/turns-of-loop.ts';
import { VirtualClock } from '../support/session-world.ts';

const bytesOf = (full: Evidence): Uint8Array => utf8ToBytes(JSON.stringify(full));

/** So that there is room in the connector's budget; far less than an attempt waits for its START. */
async function timePasses(net: KeyedNetwork, ms: number): Promise<void> {
  net.clock.after(ms, () => undefined);
  await net.pass(ms);
}

/** Another workspace of the same keyring. */
function otherWorkspace(world: World): World {
  const genesis = createRecord(
    workspaceGenesis,
    {
      networkId,
      name: 'another workspace',
      owners: Object.entries(world.owners).map(([name, { credential }]) => ({
        name,
        credentials: [credential],
      })),
      keyrings: [world.keyring.id],
      adminPolicy: defaultAdminPolicy(3),
      signPolicy: twoOfThree,
      created: timestamp(start),
      nonce: toHex(seedOf('another genesis').subarray(0, 16)),
    },
    Object.values(world.owners)[0]!,
  );
  return { ...world, genesis, workspace: openWorkspace([genesis], networkId) };
}

describe('sessions: admission', () => {
  it('lets parties take turns: who sends much waits for itself only', async () => {
    const admission = new Admission(new VirtualClock(), { burst: 1e9, rate: 1, maxWaiting: 4096 });
    const order: string[] = [];
    const flood = Array.from({ length: 1000 }, () =>
      admission.turn('hostile', 60).then(() => order.push('hostile')),
    );
    const honest = ['a', 'b', 'c'].map((party) => admission.turn(party, 1).then(() => order.push(party)));
    await Promise.all(honest);
    assert(order.length <= 10, `${order.length} turns before the honest ones had theirs`);
    await Promise.all(flood);
    assert.equal(order.length, 1003);
  });

  it('keeps the order of one party', async () => {
    const admission = new Admission(new VirtualClock(), { burst: 1e9, rate: 1, maxWaiting: 4096 });
    const order: number[] = [];
    await Promise.all(
      Array.from({ length: 100 }, (_, index) => admission.turn('a', 20).then(() => order.push(index))),
    );
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    );
  });

  it('gives a party its rate in the long run, loses nothing, and holds nobody else', async () => {
    const clock = new VirtualClock();
    const admission = new Admission(clock, { burst: 1000, rate: 100, maxWaiting: 4096 });
    let done = 0;
    const flood = Array.from({ length: 40 }, () => admission.turn('hostile', 100).then(() => done++));
    await turnsOfLoop(200);
    assert.equal(done, 10);
    assert.equal(admission.resting, 30);
    await admission.turn('honest', 100);
    const end = clock.now() + 10_000;
    while (clock.step(end)) await turnsOfLoop(3);
    assert(done >= 19 && done <= 21, `${done} after ten seconds`);
    const last = clock.now() + 60_000;
    while (clock.step(last)) await turnsOfLoop(3);
    await Promise.all(flood);
    assert.equal(admission.resting, 0);
  });

  it('a clock that is set back while a party rests does not make it rest longer', async () => {
    const clock = new VirtualClock();
    let back = 0;
    const moved = { now: () => clock.now() - back, after: clock.after.bind(clock) };
    const admission = new Admission(moved, { burst: 10, rate: 10, maxWaiting: 5 });
    await admission.turn('a', 20);
    let done = false;
    void admission.turn('a', 1).then(() => (done = true));
    back = hour;
    const end = clock.now() + 10_000;
    while (!done && clock.step(end)) await turnsOfLoop(3);
    assert(done, 'it still rests after ten seconds');
    admission.stop();
  });

  it('refuses what waits beyond its bound, and lets all go when it stops', async () => {
    const clock = new VirtualClock();
    const admission = new Admission(clock, { burst: 10, rate: 1, maxWaiting: 5 });
    await admission.turn('hostile', 100);
    const waiting = Array.from({ length: 5 }, () => admission.turn('hostile', 1));
    const refused = Promise.race([admission.turn('hostile', 1), turnsOfLoop(10)]);
    await assert.rejects(refused, { code: 'flooded' });
    await admission.turn('honest', 1);
    admission.stop();
    await Promise.all(waiting);
  });

  it('keeps a flood of costly messages from holding up a signature', async () => {
    const net = await KeyedNetwork.create(4, 2);
    const attacker = new Attacker(net, 3);
    for (const index of [0, 1, 2]) await net.boot(index);
    const { id, full } = net.messageLedBy(0, 1);
    const hostile = { ...full, decisions: [] as Envelope[] };
    for (let index = 0; index < 500; index++) {
      // Different bytes each time, and each costs the whole verification.
      const bytes = bytesOf({ ...hostile, log: [...full.log, ...full.decisions.slice(0, index % 2)] });
      const padded = Uint8Array.from([...bytes, ...utf8ToBytes(' '.repeat(index))]);
      for (const to of [0, 1, 2])
        attacker.send(to, attacker.encode('evidence', { requestId: id, evidence: padded }));
    }
    await net.submit(full, [0, 1, 2]);
    await net.signedBy(id, [0, 1, 2], 5000);
    assert(net.node(0).sessions.resting > 0, 'the flood was larger than the budget');
    await net.pass(120_000);
    assert.equal(net.node(0).sessions.resting, 0);
    await net.stop();
  });

  it('old gossip that others repeat does not use up what its author sends itself', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const author = new Attacker(net, 1);
    await net.boot(0);
    const { sessions } = net.node(0);
    const { credential } = author.signer;
    const bytes = author.encode('want', { requestId: net.messageLedBy(0).id });
    for (let index = 0; index < 1200; index++) void sessions.receive(credential, bytes, 'gossip');
    await turnsOfLoop(1500);
    assert(sessions.resting > 0, 'the budget of gossip is used up');
    let heard = false;
    void sessions.receive(credential, bytes).then(() => (heard = true));
    await turnsOfLoop(100);
    assert(heard, 'its own stream waits for what others repeated');
    await net.stop();
  });

  it('who asks for evidence pays for its length', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const peer = new Attacker(net, 1);
    await net.boot(0);
    const { sessions, party } = net.node(0);
    const { id, full } = net.messageLedBy(1);
    await sessions.submit(full);
    const bytes = peer.encode('want', { requestId: id });
    for (let index = 0; index < 1200; index++) void sessions.receive(peer.signer.credential, bytes);
    await turnsOfLoop(1500);
    const answers = framesSent(net, party.credential, 'evidence');
    const [first] = answers;
    assert(first);
    const each = 11 + first.frame.content.evidence.length / 4096;
    assert(answers.length > 100);
    assert(answers.length * each < 10_100, `${answers.length} answers of ${each} units each`);
    await net.stop();
  });

  it('drops nothing of fifty requests at once, nor when a party comes back in the midst of them', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.bootAll();
    const requests = Array.from({ length: 50 }, () => net.messageLedBy());
    for (const { full } of requests) await net.submit(full, [0, 1, 2]);
    await net.pass(3);
    net.kill(2);
    await net.pass(50);
    await net.boot(2);
    for (const { id } of requests) await net.signedBy(id, [0, 1, 2], 300_000);
    for (const index of [0, 1, 2])
      assert.deepEqual(
        net.logged(index, 'session.message_rejected').filter(({ code }) => code === 'flooded'),
        [],
      );
    await net.stop();
  });
});

describe('sessions: evidence that came before', () => {
  it('is not stored again, from the connector or a party', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const attacker = new Attacker(net, 2);
    await net.boot(0);
    const { id, full } = net.messageLedBy(1);
    const waiting = { ...full, decisions: [] };
    await net.node(0).sessions.submit(waiting);
    let writes: string[] = [];
    net.node(0).store.beforeWrite = (name) => writes.push(name);
    assert.equal((await net.node(0).sessions.submit(waiting)).state, 'waiting');
    const frame = attacker.encode('evidence', { requestId: id, evidence: bytesOf(waiting) });
    for (let index = 0; index < 3; index++) await net.deliver(attacker.signer.credential, 0, frame);
    // In other bytes it says the same.
    const spaced = utf8ToBytes(JSON.stringify(waiting, null, 1));
    await net.deliver(
      attacker.signer.credential,
      0,
      attacker.encode('evidence', { requestId: id, evidence: spaced }),
    );
    // So it does with what counts for nothing.
    const forged = approve(net.world, id, 'carol', { signer: signerOf('stranger') });
    const padded = bytesOf({ ...waiting, decisions: [forged] });
    await net.deliver(
      attacker.signer.credential,
      0,
      attacker.encode('evidence', { requestId: id, evidence: padded }),
    );
    assert.deepEqual(writes, []);
    writes = [];
    // What is new in it counts, though what was seen before came again in between.
    assert.equal((await net.node(0).sessions.submit(full)).state, 'authorised');
    assert(writes.includes('putJob'));
    assert.equal((await net.node(0).sessions.submit(waiting)).state, 'authorised');
    await net.stop();
  });

  it('is refused again without being verified, until the request is here', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.boot(0);
    const { full } = net.messageLedBy(1);
    const broken = { ...full, keys: [] };
    const { sessions } = net.node(0);
    const refuse = async (): Promise<unknown> => sessions.submit(broken).catch((error: unknown) => error);
    const first = await refuse();
    assert.equal((first as { code?: string }).code, 'bad_evidence');
    assert.equal(await refuse(), first);
    // Merged with what this node holds, its decisions count.
    await sessions.submit({ ...full, decisions: [] });
    const merged = await sessions.submit(broken).catch((error: Error) => error);
    assert.equal('state' in merged ? merged.state : merged.message, 'authorised');
    await net.stop();
  });

  it('has the same verdict at every time as if it were judged anew', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const { id, full } = net.messageLedBy(0);
    const at = net.clock.now();
    const decisions = [
      approve(net.world, id, 'bob', { expires: at + 10_000 }),
      approve(net.world, id, 'carol', { expires: at + 20_000 }),
      full.request,
    ];
    const cases: Evidence[] = [
      { ...full, decisions },
      { ...full, decisions: [approve(net.world, id, 'bob', { expires: at + 15_000 })] },
      { ...full, decisions: [...decisions, reject(net.world, id, 'carol', { seq: 2 })] },
      { ...full, decisions: [reject(net.world, id, 'bob'), reject(net.world, id, 'carol')] },
      full,
    ];
    const { authorisation } = authorize(full, {
      networkId,
      now: at,
      keyringId: net.world.keyring.id,
    }) as Extract<Verdict, { verdict: 'authorised' }>;
    const times = [
      -hour,
      -300_001,
      -300_000,
      0,
      9_999,
      10_000,
      15_000,
      19_999,
      20_000,
      hour - 1,
      hour,
      -hour,
      5_000,
      24 * hour - 1,
      24 * hour,
    ];
    const verdicts = new Verdicts();
    for (const each of cases) {
      for (const after of times) {
        const trust = { networkId, now: at + after, keyringId: net.world.keyring.id };
        const { verdict, ...rest } = authorize(each, trust);
        const remembered = verdicts.judge(authorisation, each, trust.now, '', () => trust);
        assert.equal(remembered.verdict, verdict, `${after} ms`);
        assert.equal(
          'reason' in remembered ? remembered.reason : '',
          'reason' in rest ? rest.reason : '',
          `${after} ms`,
        );
      }
    }
  });
});

describe('sessions: bounds', () => {
  it('a workspace fills its own room for open requests, not that of others', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.boot(0);
    const { sessions } = net.node(0);
    const created = net.clock.now();
    const many = Array.from({ length: maxOpenJobsPerWorkspace }, () => keyRequest(net.world, { created }));
    for (const request of many) {
      await sessions.submit(evidence(net.world, request));
      await timePasses(net, 20);
    }
    const one = keyRequest(net.world, { created });
    await assert.rejects(sessions.submit(evidence(net.world, one)), (error: Error & { retry?: boolean }) => {
      assert.match(error.message, /1000 requests of workspace/);
      assert.equal(error.retry, true);
      return (error as { code?: string }).code === 'busy';
    });
    assert.equal(await net.node(0).store.job(idOf(one)), undefined);
    // What speaks against one for which there is no room counts when it comes again.
    const against = reject(net.world, idOf(one), 'alice');
    await assert.rejects(sessions.submit(evidence(net.world, one, { decisions: [against] })), {
      code: 'busy',
    });
    assert.deepEqual(
      net
        .node(0)
        .store.held.get(idOf(one))
        ?.map(({ envelope }) => envelope),
      [against],
    );
    const other = otherWorkspace(net.world);
    const elsewhere = await sessions
      .submit(evidence(other, keyRequest(other, { created })))
      .catch((error: Error) => error);
    assert.equal('state' in elsewhere ? elsewhere.state : elsewhere.message, 'authorised');
    await net.stop();
  });

  it('a request that is first seen rejected ends with its time, and leaves nothing open', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.boot(0);
    const { id, full } = net.messageLedBy(0);
    const { sessions, store } = net.node(0);
    await assert.rejects(sessions.submit({ ...full, decisions: [reject(net.world, id, 'alice')] }), {
      code: 'cancelled',
    });
    assert.deepEqual(
      sessions.status().map(({ requestId, authorised }) => [requestId, authorised]),
      [[id, false]],
    );
    await net.pass(hour + 1000);
    const result = net.resultAt(0, id);
    assert(result?.kind === 'refusal' && result.code === 'expired');
    assert.deepEqual(await store.openJobs(), []);
    await net.stop();
  });

  it('a leader has a bounded number of attempts at a time', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const attacker = new Attacker(net, 2);
    await net.boot(0);
    const answer = net.node(0).party.credential;
    for (let index = 0; index < maxLedBy + 4; index++) {
      const { full } = net.messageLedBy(2, 1);
      await net.node(0).sessions.submit(full);
      await net.deliver(attacker.signer.credential, 0, attacker.attempt(full, index + 1).frame);
      await timePasses(net, 20);
    }
    assert.equal(framesSent(net, answer, 'accept').length, maxLedBy);
    const declined = framesSent(net, answer, 'decline').map(({ frame }) => frame.content.reason);
    assert.deepEqual(declined, ['busy', 'busy', 'busy', 'busy']);
    await net.stop();
  });

  it('what one party reports of unknown requests does not push out what another one did', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const { id, full } = net.messageLedBy(0);
    const signatures = await signedElsewhere(full, id);
    const attacker = new Attacker(net, 2);
    await net.boot(0);
    const done = { requestId: id, signatures };
    await net.deliver(net.node(1).party.credential, 0, attacker.encode('done', done));
    const other = { signatures: [new Uint8Array(64)] };
    for (let index = 0; index < 300; index++) {
      const requestId = index === 0 ? id : toHex(seedOf('unknown', index));
      await net.deliver(attacker.signer.credential, 0, attacker.encode('done', { requestId, ...other }));
    }
    await net.node(0).sessions.submit(full);
    await net.settle();
    assert.equal(net.resultAt(0, id)?.kind, 'signatures');
    assert.equal(net.logged(0, 'session.learned')[0]?.['peer'], net.node(1).party.credential);
    await net.stop();
  });

  it('a peer that comes and goes is attended to once a second', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const { store } = await net.boot(0);
    let asked = 0;
    const inner = store.pendingKeys.bind(store);
    store.pendingKeys = async () => {
      asked += 1;
      return inner();
    };
    const peer = net.node(1).party.credential;
    for (let index = 0; index < 1000; index++) net.node(0).sessions.peer(peer, true, `${index}`);
    assert.equal(asked, 1);
    await net.pass(2000);
    assert.equal(asked, 2);
    await net.stop();
  });

  it('early rounds have a bound over all attempts', () => {
    const budget = new EarlyBudget();
    const half = 5 * 2 ** 20;
    assert.equal(budget.take('a', half), true);
    assert.equal(budget.take('a', half), false);
    assert.equal(budget.take('b', half), true);
    budget.give('a', half);
    assert.equal(budget.take('a', half), true);
  });

  it('a flood of messages is not a flood of log lines, and what is left out is told', () => {
    const clock = new VirtualClock();
    const lines: Record<string, unknown>[] = [];
    const log = new PeerLog(clock, (_, fields) => lines.push(fields));
    for (let index = 0; index < 10_000; index++) log.write('a', 'event', { index });
    log.write('b', 'event', {});
    assert.equal(lines.length, 101);
    clock.after(1000, () => log.write('a', 'event', {}));
    clock.step(clock.now() + 1000);
    assert.equal(lines.at(-1)?.['suppressed'], 9900);
  });

  it('a long body of a short message is refused before it is read', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const attacker = new Attacker(net, 2);
    const frame = attacker.encode('want', { requestId: toHex(seedOf('any')) });
    assert.equal((decodeFrame(frame) as FrameOf<'want'>).type, 'want');
    const fields = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`key ${index}`, index]));
    const long = attacker.encode('want', fields as never);
    assert.throws(() => decodeFrame(long), {
      code: 'malformed_message',
      message: /\d+ bytes of want, the limit is/,
    });
  });
});
