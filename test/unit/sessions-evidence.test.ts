// What evidence allows at each moment, and what becomes of requests whose evidence changes, runs out, or is a lie; and what
// a node does when its own store fails or it is stopped in the middle of something.
import assert from 'node:assert/strict';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import { authorize, type Evidence } from '../../protocol/authorize.ts';
import type { Policy, Rule } from '../../protocol/policy/schema.ts';
import { type Decision, decision } from '../../protocol/records/decision.ts';
import { addSignature, createRecord, type Envelope, readContent } from '../../protocol/records/envelope.ts';
import { mergeEvidence, sameDecisions } from '../../node/work/evidence.ts';
import { decodeFrame } from '../../node/sessions/wire.ts';
import {
  approve,
  createWorld,
  evidence,
  hour,
  idOf,
  keyRequest,
  messagePayload,
  networkId,
  reject,
  signerOf,
  signRequest,
} from '../support/fixture.ts';
import { PasskeySigner } from '../support/passkey-signer.ts';
import { Attacker, framesSent, KeyedNetwork, signedElsewhere } from '../support/session-attacker.ts';
import { SessionWorld } from '../support/session-world.ts';

const evidenceBytes = (full: Evidence): Uint8Array => utf8ToBytes(JSON.stringify(full));

/** Stands where a key should: its request has no bytes that could be read. */
const noKey = { request: { type: 'request', bytes: '*', signatures: [] }, certificate: [] };

/** A network where an owner has a passkey too, and this rule is about keys. */
function passkeyed(passkey: PasskeySigner, owner: string, rule: Partial<Rule>): SessionWorld {
  const rules = [{ id: 'keys', effect: 'allow', when: { kind: ['key.request'] }, ...rule } as Rule];
  return new SessionWorld(
    createWorld({ credentials: { [owner]: [passkey.credential] }, signPolicy: { version: 1, rules } }),
  );
}

async function booted(): Promise<KeyedNetwork> {
  const net = await KeyedNetwork.create(3, 2);
  await net.bootAll();
  return net;
}

describe('sessions: requests that wait', () => {
  it('end when their time is over, and make room', async () => {
    const net = await booted();
    const { id, full } = net.messageLedBy(0);
    await net.node(0).sessions.submit({ ...full, decisions: [] });
    assert.equal(net.node(0).sessions.status().length, 1);
    await net.pass(hour + 1000);
    assert.deepEqual(net.node(0).sessions.status(), []);
    const result = net.resultAt(0, id);
    assert(result?.kind === 'refusal');
    assert.equal(result.code, 'expired');
    await net.stop();
  });

  it('end also when they were rejected', async () => {
    const net = await booted();
    const { id, full } = net.messageLedBy(0);
    const { sessions } = net.node(0);
    await sessions.submit({ ...full, decisions: [] });
    await assert.rejects(
      sessions.submit({ ...full, decisions: [reject(net.world, id, 'alice')] }),
      (error: { code?: string }) => error.code === 'cancelled',
    );
    await net.pass(hour + 1000);
    const result = net.resultAt(0, id);
    assert(result?.kind === 'refusal');
    assert.equal(result.code, 'expired');
    await net.stop();
  });
});

describe('sessions: rejections', () => {
  for (const known of [true, false])
    it(`are not forgotten by a restart or by evidence without them${known ? '' : ', also of a new request'}`, async () => {
      const net = await booted();
      const { id, full } = net.messageLedBy(0);
      const [alone, other] = [net.node(0), net.node(1)];
      net.kill(2);
      if (known) {
        net.kill(1);
        assert.equal((await alone.sessions.submit(full)).state, 'authorised');
      }
      const against = [reject(net.world, id, 'bob', { seq: 2 }), reject(net.world, id, 'carol')];
      await assert.rejects(
        alone.sessions.submit({ ...full, decisions: against }),
        (error: { code?: string }) => error.code === 'approvers',
      );
      net.kill(0);
      for (const index of [0, 1]) await net.boot(index);
      await assert.rejects(
        alone.sessions.submit(full),
        (error: { code?: string }) => error.code === 'approvers',
      );
      await other.sessions.submit(full);
      await net.pass(60_000);
      for (const type of ['propose', 'accept', 'start', 'round'] as const)
        assert.equal(framesSent(net, alone.party.credential, type).length, 0, type);
      assert(!alone.store.finished.has(id) && !other.store.finished.has(id));
      await net.stop();
    });

  it('are stored when they come again, after a write failed', async () => {
    const net = await booted();
    const { id, full } = net.messageLedBy(0);
    for (const index of [1, 2]) net.kill(index);
    const alone = net.node(0);
    await alone.sessions.submit(full);
    const against = { ...full, decisions: [reject(net.world, id, 'alice')] };
    alone.store.beforeWrite = () => {
      throw new Error('no space');
    };
    await assert.rejects(alone.sessions.submit(against), /no space/);
    alone.store.beforeWrite = () => undefined;
    await assert.rejects(alone.sessions.submit(against), { code: 'cancelled' });
    net.kill(0);
    await net.boot(0);
    await assert.rejects(alone.sessions.submit(full), { code: 'cancelled' }, 'after a restart');
    await net.stop();
  });

  it('are not taken for known because a forged copy came first', async () => {
    const net = await booted();
    const { id, full } = net.messageLedBy(0);
    for (const index of [1, 2]) net.kill(index);
    const { sessions } = net.node(0);
    const cancelled = { code: 'cancelled' };
    const [first, against] = [reject(net.world, id, 'alice'), reject(net.world, id, 'bob', { seq: 2 })];
    const { signature } = first.signatures[0] as Envelope['signatures'][number];
    const forged = { ...against, signatures: against.signatures.map((entry) => ({ ...entry, signature })) };
    await assert.rejects(sessions.submit({ ...full, decisions: [first, forged] }), cancelled);
    await assert.rejects(sessions.submit({ ...full, decisions: [first, against] }), cancelled);
    const decisions = [...full.decisions, approve(net.world, id, 'alice', { seq: 2 })];
    const { state } = await sessions.submit({ ...full, decisions });
    assert.equal(state, 'waiting', 'the rejection by bob is still there');
    await net.stop();
  });

  it('are not pushed out by hundreds of decisions of another owner', () => {
    const rule = { id: 'all', effect: 'allow' as const, when: { kind: ['message' as const] } };
    const rules = [{ ...rule, require: { k: 1, of: 'owners' as const }, reject: { k: 1, of: ['carol'] } }];
    const keys = { id: 'keys', effect: 'allow' as const, when: { kind: ['key.request' as const] } };
    const signPolicy: Policy = {
      version: 1,
      rules: [...rules, { ...keys, require: { k: 1, of: 'owners' } }],
    };
    const world = createWorld({ signPolicy });
    const request = keyRequest(world);
    const id = idOf(request);
    const held = evidence(world, request, {
      decisions: [reject(world, id, 'carol')],
      keys: [{ request, certificate: [] }],
    });
    const many = Array.from({ length: 400 }, (_, seq) => approve(world, id, 'bob', { seq: seq + 1 }));
    const verdict = authorize(held, { networkId, now: Date.parse('2030-01-01T00:10:00.000Z') });
    assert(verdict.verdict !== 'refused');
    const merged = mergeEvidence(held, { ...held, decisions: many }, verdict.authorisation, networkId);
    assert.deepEqual(merged.decisions, [held.decisions[0], many[399]]);
    assert.deepEqual(merged.keys, [], 'a key request needs no other key');
    assert.doesNotThrow(
      () => mergeEvidence({ ...held, keys: [noKey] }, held, verdict.authorisation, networkId),
      'nor is one looked at',
    );
    const again = reject(world, id, 'bob', { seq: 400 });
    const both = mergeEvidence(
      merged,
      { ...held, decisions: [again, ...many] },
      verdict.authorisation,
      networkId,
    );
    assert.deepEqual(both.decisions, [held.decisions[0], again], 'of two under one seq the rejection counts');
    const at = (expires: string) => approve(world, id, 'bob', { seq: 500, expires: Date.parse(expires) });
    const [sooner, later] = [at('2030-01-01T01:00:00.000Z'), at('2030-01-01T02:00:00.000Z')];
    for (const decisions of [
      [sooner, later],
      [later, sooner],
    ]) {
      const kept = mergeEvidence(held, { ...held, decisions }, verdict.authorisation, networkId);
      assert.deepEqual(kept.decisions, [held.decisions[0], sooner], 'the one that ends first, in any order');
    }
  });
});

describe('sessions: evidence', () => {
  it('has every signature of a decision, whatever copy of it came first', async () => {
    const passkey = new PasskeySigner('bob');
    const require = { k: 1, of: ['bob'], credential: ['webauthn' as const] };
    const net = passkeyed(passkey, 'bob', { require });
    await net.bootAll();
    const request = keyRequest(net.world, { created: net.clock.now() });
    const id = idOf(request);
    const bare = evidence(net.world, request);
    const half = approve(net.world, id, 'bob', { expires: net.clock.now() + hour });
    const whole = passkey.signRecord(half, networkId);
    assert.deepEqual([half.signatures.length, whole.signatures.length], [1, 2]);
    assert.equal(sameDecisions({ ...bare, decisions: [half] }, { ...bare, decisions: [whole] }), false);
    const copies = [
      [half, whole],
      [whole, half],
    ] as const;
    for (const [index, decisions] of copies.entries()) {
      const { sessions, store } = net.nodes[index]!;
      for (const [at, one] of decisions.entries()) {
        const { state } = await sessions.submit({ ...bare, decisions: [one] });
        assert.equal(state, at === 0 && one === half ? 'waiting' : 'authorised', `copy ${at} of ${index}`);
      }
      assert.deepEqual(store.jobs.get(id)?.evidence.decisions, [whole]);
    }
    await net.stop();
  });

  it('is kept without what others added to it', async () => {
    const net = await booted();
    const { id, full } = net.messageLedBy(0);
    const [first, ...rest] = net.entry.certificate;
    assert(first);
    const padded = addSignature(first, networkId, signerOf('stranger'));
    const entry = { request: net.entry.request, certificate: [padded, ...rest] };
    const garbage = approve(net.world, id, 'carol', { signer: signerOf('stranger') });
    const roster = addSignature(full.roster, networkId, signerOf('stranger'));
    await net
      .node(0)
      .sessions.submit({ ...full, roster, keys: [entry], decisions: [garbage, ...full.decisions] });
    assert.deepEqual(net.node(0).store.jobs.get(id)?.evidence, full);
    await net.stop();
  });

  it('has every signature of the request, whatever copy of it came first', async () => {
    const passkey = new PasskeySigner('alice');
    const require = { k: 1, of: 'owners' as const, credential: ['webauthn' as const] };
    const net = passkeyed(passkey, 'alice', { require });
    await net.bootAll();
    const half = keyRequest(net.world, { created: net.clock.now() });
    const whole = passkey.signRecord(half, networkId);
    const id = idOf(half);
    const forged = addSignature(half, networkId, signerOf('stranger'));
    for (const [index, copies] of [
      [half, whole],
      [whole, half],
    ].entries()) {
      const { sessions, store } = net.nodes[index]!;
      for (const [at, copy] of copies.entries()) {
        const { state } = await sessions.submit(evidence(net.world, copy));
        assert.equal(state, at === 0 && copy === half ? 'waiting' : 'authorised', `copy ${at} of ${index}`);
        await assert.doesNotReject(sessions.submit(evidence(net.world, forged)));
      }
      assert.deepEqual(store.jobs.get(id)?.evidence.request, whole);
    }
    await net.stop();
  });

  it('holds a rejection by each credential, and tells of one that makes it count', async () => {
    const passkey = new PasskeySigner('carol');
    const refuse = { k: 1, of: ['carol'], credential: ['webauthn' as const] };
    const net = passkeyed(passkey, 'carol', {
      require: { k: 1, of: 'owners' },
      reject: refuse,
      delay: '10m',
    });
    await net.bootAll();
    const { world, nodes } = net;
    const request = keyRequest(world, { created: net.clock.now() });
    const id = idOf(request);
    const bare = evidence(world, request);
    const weak = reject(world, id, 'carol');
    // Of the same seq, and of other bytes.
    const { content } = readContent(decision, weak, networkId);
    const strong = createRecord(decision, { ...content, reason: 'no' } as Decision, world.owners['carol']!);
    const counted = passkey.signRecord(strong, networkId);
    for (const index of [0, 1, 2]) {
      const { state } = await nodes[index]!.sessions.submit({ ...bare, decisions: [weak] });
      assert.equal(state, 'waiting', 'for the delay');
    }
    await nodes[0]!.sessions.importDecisions([counted]);
    await net.pass(1000);
    for (const index of [0, 1, 2]) {
      const { decisions } = nodes[index]!.store.jobs.get(id)!.evidence;
      assert.deepEqual(decisions, [weak, counted], `node ${index} has heard of it`);
    }
    for (const index of [0, 1, 2]) net.kill(index);
    await net.bootAll();
    net.clock.after(20 * 60_000, () => undefined);
    await net.pass(20 * 60_000);
    assert.deepEqual(
      nodes.map(({ store }) => store.pending.size),
      [0, 0, 0],
      'nobody has forgotten it',
    );
    // The same decision, which gains the signature that makes it count.
    const again = keyRequest(world, { created: net.clock.now(), label: 'again' });
    const no = reject(world, idOf(again), 'carol');
    for (const index of [0, 1]) {
      await nodes[index]!.sessions.submit({ ...evidence(world, again), decisions: [no] });
    }
    await nodes[0]!.sessions.importDecisions([passkey.signRecord(no, networkId)]);
    await net.pass(1000);
    assert.match(nodes[1]!.sessions.status()[0]?.detail ?? '', /^approvers/);
    await net.stop();
  });

  it('without bytes that can be read is refused for good', async () => {
    const net = await booted();
    const { full } = net.messageLedBy(0);
    const { request } = noKey;
    await assert.rejects(net.node(0).sessions.submit({ ...full, request }), {
      name: 'EvidenceError',
      code: 'bad_evidence',
      retry: false,
    });
    await net.stop();
  });

  it('with a decision that does not count says why', async () => {
    const net = await booted();
    const { id, full } = net.messageLedBy(0);
    const forged = approve(net.world, id, 'carol', { signer: signerOf('stranger') });
    const { state, detail } = await net.node(0).sessions.submit({ ...full, decisions: [forged] });
    assert.equal(state, 'waiting');
    assert.match(detail, /a decision was left out: .+/);
    await net.stop();
  });

  it('of what is finished here may hold keys that are none', async () => {
    const net = await booted();
    const { id, full } = net.messageLedBy(0);
    await net.submit(full, [0, 1, 2]);
    await net.signedBy(id, [0, 1, 2]);
    await assert.doesNotReject(async () => {
      const { state } = await net.node(0).sessions.submit({ ...full, keys: [noKey, ...full.keys] });
      assert.equal(state, 'done');
    });
    await net.stop();
  });

  it('from a peer, altered, changes nothing', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const attacker = new Attacker(net, 2);
    for (const index of [0, 1]) await net.boot(index);
    const { id, full } = net.messageLedBy(0);
    const other = net.messageLedBy(0);
    const [approval] = full.decisions;
    assert(approval);
    const altered: [string, Evidence][] = [
      ['bad_evidence', { ...full, request: { ...full.request, signatures: [] } }],
      ['malformed_message', other.full],
      ['bad_evidence', { ...full, keys: [] }],
      ['bad_evidence', { ...full, keys: [{ ...net.entry, certificate: net.entry.certificate.slice(1) }] }],
      ['bad_evidence', { ...full, roster: createWorld({ name: 'other' }).keyring.envelope }],
      ['bad_evidence', { ...full, log: [createWorld({ name: 'other' }).genesis] }],
    ];
    for (const [code, evil] of altered) {
      const bytes = attacker.encode('evidence', { requestId: id, evidence: evidenceBytes(evil) });
      await net.deliver(attacker.signer.credential, 0, bytes);
      assert.equal(net.logged(0, 'session.message_rejected').at(-1)?.['code'], code);
      assert(!net.node(0).store.jobs.has(id), 'nothing is stored');
    }
    // A decision that is altered is left out: the request waits.
    const evil = { ...full, decisions: [{ ...approval, signatures: [...full.request.signatures] }] };
    await net.deliver(
      attacker.signer.credential,
      0,
      attacker.encode('evidence', { requestId: id, evidence: evidenceBytes(evil) }),
    );
    assert.equal(net.node(0).store.jobs.get(id)?.state, 'stored');
    assert.equal(net.node(0).sessions.status()[0]?.authorised, false);
    for (const index of [0, 1]) await net.node(index).sessions.submit(full);
    await net.signedBy(id, [0, 1]);
    await net.stop();
  });

  it('that ran out between ACCEPT and START lets no share leave', async () => {
    const net = await booted();
    const { id, full } = net.messageLedBy(0, 1, 2);
    const expires = net.clock.now() + 2000;
    const starts: (() => void)[] = [];
    net.intercept = (sent) => {
      if (decodeFrame(sent.bytes).type !== 'start') return sent.bytes;
      const receiver = net.nodes.find((node) => node.party.credential === sent.to);
      if (receiver) starts.push(() => void receiver.sessions.receive(sent.from, sent.bytes));
      return undefined;
    };
    const short = { ...full, decisions: [approve(net.world, id, 'bob', { expires })] };
    for (const node of net.nodes) await node.sessions.submit(short);
    await net.until(() => starts.length > 0);
    assert.equal(framesSent(net, net.node(1).party.credential, 'accept').length, 1);
    net.clock.after(2500, () => starts.forEach((deliver) => deliver()));
    await net.pass(2600);
    await net.stop();
    const rounds = framesSent(net, net.node(1).party.credential, 'round');
    assert.equal(rounds.length, 0);
    assert(net.logged(1, 'session.aborted').some((fields) => fields['code'] === 'not_authorised'));
    assert.equal(net.logged(1, 'session.started').length, 0, 'no nonce was used for it');
  });
});

describe('sessions: signatures that others report', () => {
  it('of what is not authorised here raise an incident, and nothing is stored', async () => {
    const template = await KeyedNetwork.create(3, 2);
    const { id, full } = template.messageLedBy(0);
    const signatures = await signedElsewhere(full, id);
    const net = await KeyedNetwork.create(3, 2);
    const attacker = new Attacker(net, 2);
    await net.boot(0);
    const less = { ...full, decisions: [] };
    await net.node(0).sessions.submit(less);
    const { credential } = attacker.signer;
    const evil = attacker.encode('evidence', { requestId: id, evidence: evidenceBytes(less) });
    await net.deliver(
      credential,
      0,
      attacker.encode('done', { requestId: id, signatures: [new Uint8Array(64)] }),
    );
    await net.deliver(credential, 0, evil);
    assert.equal(net.logged(0, 'session.message_rejected').at(-1)?.['code'], 'bad_signature');
    assert.deepEqual(net.logged(0, 'session.incident'), [], 'a signature that is none raises nothing');
    await net.deliver(credential, 0, attacker.encode('done', { requestId: id, signatures }));
    await net.until(() => attacker.received.some(({ frame }) => frame.type === 'want'));
    await net.deliver(credential, 0, evil);
    assert.deepEqual(net.logged(0, 'session.incident'), [
      { requestId: id, code: 'unauthorised_result', peer: credential },
    ]);
    assert(!net.node(0).store.finished.has(id));
    await net.boot(1);
    for (const index of [0, 1]) await net.node(index).sessions.submit(full);
    await net.signedBy(id, [0, 1]);
    await net.stop();
  });

  it('of what this party refused for ever raise an incident, and the refusal stays', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const attacker = new Attacker(net, 2);
    await net.boot(0);
    // A key of this keyring that belongs to another workspace.
    const stranger = createWorld({ name: 'world', owners: ['dave', 'erin'] });
    const request = signRequest(stranger, [{ keyId: net.key.id, payload: messagePayload('hello') }]);
    const id = idOf(request);
    const { state } = await net.node(0).sessions.submit(evidence(stranger, request, { keys: [net.entry] }));
    assert.equal(state, 'done');
    const bytes = attacker.encode('done', { requestId: id, signatures: [new Uint8Array(64)] });
    await net.deliver(attacker.signer.credential, 0, bytes);
    assert.equal(net.logged(0, 'session.incident').at(-1)?.['code'], 'unauthorised_result');
    assert.equal(net.resultAt(0, id)?.kind, 'refusal');
    await net.stop();
  });

  it('that are not valid are not taken, and the request is fulfilled by the honest', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const attacker = new Attacker(net, 2);
    for (const index of [0, 1]) await net.boot(index);
    const { id, full } = net.messageLedBy(2);
    for (const index of [0, 1]) await net.node(index).sessions.submit(full);
    const [valid] = await signedElsewhere(full, id);
    assert(valid);
    for (const signatures of [
      [new Uint8Array(64)],
      [new Uint8Array(64), new Uint8Array(64)],
      [valid, valid],
      [new Uint8Array(0)],
    ]) {
      await net.deliver(
        attacker.signer.credential,
        0,
        attacker.encode('done', { requestId: id, signatures }),
      );
      assert.equal(net.logged(0, 'session.message_rejected').at(-1)?.['code'], 'bad_signature');
      assert.equal(net.node(0).store.finished.has(id), false, 'nothing of it is taken');
    }
    await net.signedBy(id, [0, 1]);
    await net.stop();
  });
});

describe('sessions: the node itself', () => {
  for (const write of ['markStarted', 'finishJob'])
    it(`takes a request up again after a write failed: ${write}`, async () => {
      const net = await booted();
      const { id, full } = net.messageLedBy(0, 1, 2);
      net.kill(2);
      const failures: number[] = [0, 0];
      for (const index of [0, 1])
        net.node(index).store.beforeWrite = (name) => {
          if (name === write && failures[index]!++ === 0) throw new Error('no space');
        };
      await net.submit(full, [0, 1]);
      await net.signedBy(id, [0, 1], write === 'finishJob' ? 10_000 : 40_000);
      assert(
        failures.every((count) => count > 1),
        'each failed once',
      );
      await net.stop();
    });

  it('stopped while it is about to propose, sends nothing and leaves no timer', async () => {
    const net = await booted();
    const { full } = net.messageLedBy(0, 1, 2);
    const { store, sessions } = net.node(0);
    let stopped: Promise<void> | undefined;
    store.beforeWrite = (name) => {
      if (name === 'markStarted') stopped ??= sessions.stop();
    };
    await sessions.submit(full);
    await net.until(() => stopped !== undefined);
    await stopped;
    for (const index of [1, 2]) net.kill(index);
    const before = net.clock.now();
    await net.pass(60_000);
    assert.equal(net.clock.now(), before, 'nothing waits any more');
    assert.deepEqual(framesSent(net, net.node(0).party.credential, 'propose'), []);
  });
});
