// What only a dishonest leader says about sets and presignatures of ECDSA: each is refused under its name, no presignature
// is used twice, and what a PROPOSE named is burnt however its attempt ends.
import assert from 'node:assert/strict';
import { fromHex, type Hex } from '../../protocol/hex.ts';
import { taggedHash, uint32 } from '../../node/mpc/hash.ts';
import { attemptIdOf, checkPropose, openStart } from '../../node/sessions/attempt.ts';
import { verifyBlame } from '../../node/sessions/blame/verify.ts';
import { defaultTiming } from '../../node/sessions/context.ts';
import { pairSetupId, presigningId } from '../../node/sessions/ecdsa-purpose.ts';
import { decodeFrame, encodeFrame, type FrameOf, type Propose } from '../../node/sessions/wire.ts';
import {
  assertFulfilled,
  assertNoRounds,
  assertRefused,
  codesAt,
  type Scene,
  scene,
} from '../support/attack-scene.ts';
import { ecdsaNetwork, kinds, kindOf, pooled, signOnce } from '../support/ecdsa-scene.ts';
import { networkId, seedOf } from '../support/fixture.ts';
import { neverBlamed, sentBy } from '../support/false-accusations.ts';
import { Attacker, framesSent, textFor } from '../support/session-attacker.ts';

const id32 = (name: string): Uint8Array => seedOf('presignature', name);
const one = [id32('one')];

describe('sessions: malformed sets in a PROPOSE by ECDSA', function () {
  this.timeout(120_000);
  let scenery: Scene;
  let counter = 10;

  before(async () => {
    scenery = await scene(3, 2, () => ecdsaNetwork(3, 2));
  });
  after(() => assertFulfilled(scenery));

  const two = [seedOf('digest'), seedOf('another digest')];
  const five = Array.from({ length: 5 }, (_, at) => seedOf('digest', at));
  const key: Hex = `0x${'07'.repeat(32)}`;
  const offline = { sets: undefined, members: [1, 3] };
  const cases: [string, string, Partial<Propose>][] = [
    ['of more than t', 'set_size', { sets: [{ members: [1, 2, 3], presignatures: one }] }],
    ['of the leader alone', 'malformed_message', { sets: [{ members: [3], presignatures: one }] }],
    ['not ascending', 'duplicate_member', { sets: [{ members: [3, 1], presignatures: one }] }],
    ['with a member twice', 'duplicate_member', { sets: [{ members: [3, 3], presignatures: one }] }],
    ['with a stranger', 'stranger', { sets: [{ members: [3, 4], presignatures: one }] }],
    ['with a party 0', 'malformed_message', { sets: [{ members: [0, 3], presignatures: one }] }],
    ['without their leader', 'stranger', { sets: [{ members: [1, 2], presignatures: one }] }],
    [
      'with more presignatures than items',
      'item_count',
      { sets: [{ members: [1, 3], presignatures: [id32('one'), id32('two')] }] },
    ],
    ['without presignatures', 'malformed_message', { sets: [{ members: [1, 3], presignatures: [] }] }],
    [
      'with a short id',
      'malformed_message',
      { sets: [{ members: [1, 3], presignatures: [new Uint8Array(31)] }] },
    ],
    [
      'that are five',
      'malformed_message',
      { sets: five.map((id) => ({ members: [1, 3], presignatures: [id] })) },
    ],
    [
      'for more than four items',
      'item_count',
      { digests: five, sets: [{ members: [1, 3], presignatures: five.slice(0, 4) }] },
    ],
    ['in a PROPOSE of a key', 'set_size', { purpose: 'generate', sets: [] }],
    ['in a PROPOSE to presign', 'set_size', { purpose: 'presign', members: [1, 3], keyId: key, sets: [] }],
    ['beside members', 'set_size', { members: [1, 3] }],
    ['beside a key', 'item_count', { keyId: key }],
    ['none, nor members, to presign', 'set_size', { purpose: 'presign', sets: undefined, keyId: key }],
    ['of three to set up a pair', 'set_size', { purpose: 'pair-setup', ...offline, members: [1, 2, 3] }],
    ['that presign for no key', 'item_count', { purpose: 'presign', ...offline }],
    ['that presign too much', 'item_count', { purpose: 'presign', ...offline, keyId: key, digests: five }],
    ['that set up a pair for a key', 'item_count', { purpose: 'pair-setup', ...offline, keyId: key }],
    ['that set up a pair twice', 'item_count', { purpose: 'pair-setup', ...offline, digests: two }],
  ];
  for (const [name, code, changes] of cases)
    it(`${name}: ${code}`, async () => {
      const { net, attacker, full } = scenery;
      // `undefined` is left out, as one that sends nothing would.
      const made = attacker.attempt(full, ++counter, changes).propose;
      const propose = Object.fromEntries(
        Object.entries(made).filter(([, value]) => value !== undefined),
      ) as Propose;
      const bytes = attacker.encode('propose', propose);
      assert.throws(
        () => checkPropose(decodeFrame(bytes) as FrameOf<'propose'>, net.world.keyring, attacker.wire),
        (error: { code?: string; culprit?: string }) =>
          error.code === code &&
          error.culprit === (code === 'malformed_message' ? undefined : attacker.signer.credential),
      );
      await net.deliver(attacker.signer.credential, 0, bytes);
      assert.deepEqual(framesSent(net, net.node(0).party.credential, 'accept'), []);
    });
});

describe('sessions: sets where none belong, and none where they do', function () {
  this.timeout(120_000);

  it('in a PROPOSE by FROST: declined', async () => {
    const scenery = await scene(3, 2);
    const { net, attacker, full } = scenery;
    await net.deliver(attacker.signer.credential, 0, attacker.attempt(full, 1, { sets: [] }).frame);
    const [declined] = framesSent(net, net.node(0).party.credential, 'decline');
    assert.equal(declined?.frame.content.reason, 'digests');
    await assertFulfilled(scenery);
  });

  it('not in a PROPOSE by ECDSA: declined', async () => {
    const { net, attacker, full } = await scene(3, 2, () => ecdsaNetwork(3, 2));
    const { propose } = attacker.attempt(full);
    const { sets: _, ...without } = propose;
    await net.deliver(attacker.signer.credential, 0, attacker.encode('propose', without));
    const [declined] = framesSent(net, net.node(0).party.credential, 'decline');
    assert.equal(declined?.frame.content.reason, 'digests');
    assertNoRounds({ net, attacker, honest: [0, 1], id: propose.requestId as Hex, full });
    await net.stop();
  });
});

/** Party 2 has led a signing, and owns presignatures with another; then it is the attacker. */
async function withPool(presignatures: number) {
  const net = await ecdsaNetwork(3, 2, presignatures);
  await net.bootAll();
  await signOnce(net, [0, 1, 2], 2);
  await net.until(() => pooled(net, 2, 2) === presignatures, 60_000, 'the pool');
  await net.until(() => [0, 1].some((at) => pooled(net, at, 2) === presignatures));
  const victim = pooled(net, 0, 2) > 0 ? 0 : 1;
  // Nobody else leads: what happens is what the attacker does.
  net.intercept = (sent) => {
    const frame = decodeFrame(sent.bytes);
    return frame.type === 'propose' && sent.from !== net.node(2).party.credential ? undefined : sent.bytes;
  };
  const attacker = new Attacker(net, 2);
  const idsOf = (owner: number): Uint8Array[] =>
    net
      .logged(victim, 'offline.started')
      .filter(({ purpose, leader }) => purpose === 'presign' && leader === net.node(owner).party.credential)
      .flatMap(({ sessionId }) =>
        Array.from({ length: 4 }, (_, item) =>
          taggedHash('countersign/v1/presignature-id', fromHex(sessionId as Hex), uint32(item)),
        ),
      );
  const members = [victim + 1, 3];
  return { net, attacker, victim, idsOf, members, self: net.node(victim).party.credential };
}
type WithPool = Awaited<ReturnType<typeof withPool>>;

let counter = 0;
/** A request of its own for each attempt; the attacker proposes, and the victim answers. */
async function propose({ net, attacker, victim, members }: WithPool, ...named: Uint8Array[][]) {
  net.clock.after(2 * defaultTiming.proposalSpacing, () => undefined);
  const { id, full } = net.messageLedBy(2);
  await net.submit(full, [victim]);
  const sets = named.map((presignatures) => ({ members, presignatures }));
  const attempt = attacker.attempt(full, ++counter, { sets });
  await net.deliver(attacker.signer.credential, victim, attempt.frame);
  await net.until(() => attacker.accepts(attempt.attemptId).size > 0, 5000, 'the ACCEPT');
  const accept = [...attacker.accepts(attempt.attemptId).values()][0]!;
  return { id, attempt, accept, cannot: accept.content.cannot };
}

describe('sessions: presignatures that a dishonest leader names', function () {
  this.timeout(240_000);

  it('are used once at most, and only where the victim made them with it', async () => {
    const pool = await withPool(4);
    const { net, attacker, victim, idsOf, self } = pool;
    const [first, second, third, fourth] = idsOf(2) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
    const [foreign] = idsOf(victim);
    const running = await propose(pool, [id32('unknown')], [foreign ?? id32('foreign')], [first], [first]);
    assert.deepEqual(running.cannot, [0, 1, 3]);
    // The same one in another PROPOSE, while the first is under way.
    const beside = await propose(pool, [first], [second]);
    assert.deepEqual(beside.cannot, [0]);
    const start = attacker.start(running.attempt, [running.accept.bytes, running.attempt.accept]);
    const share = (): number[] =>
      net.sent.flatMap((sent) => (sent.from === self && kindOf(sent) === kinds.share ? [1] : []));
    const before = share().length;
    await net.deliver(attacker.signer.credential, victim, start);
    assert.equal(share().length, before + 1, 'the listed set signs at once');
    // A START of a set that the victim cannot join: it presigns within.
    const missing = await propose(pool, [first]);
    assert.deepEqual(missing.cannot, [0]);
    const since = net.sent.length;
    await net.deliver(
      attacker.signer.credential,
      victim,
      attacker.start(missing.attempt, [missing.accept.bytes, missing.attempt.accept]),
    );
    const left = net.sent.slice(since).flatMap((sent) => (sent.from === self ? (kindOf(sent) ?? []) : []));
    assert.deepEqual(left, [kinds.commit]);
    // One that it holds for one item is none for two.
    net.payloads = [textFor('ecdsa_secp256k1', 'one'), textFor('ecdsa_secp256k1', 'two')];
    assert.deepEqual((await propose(pool, [third, third])).cannot, [0]);
    assert.deepEqual((await propose(pool, [third, fourth])).cannot, [0], 'the third was burnt');
    await net.stop();
  });

  it('are burnt by ABORT, by time, by a pause, and by a START of others', async () => {
    const pool = await withPool(4);
    const { net, attacker, victim, idsOf } = pool;
    const { credential } = attacker.signer;
    const ids = idsOf(2);
    const endings: [string, (run: Awaited<ReturnType<typeof propose>>) => Promise<void>][] = [
      ['abort', ({ attempt, id }) => net.deliver(credential, victim, attacker.abort(attempt.attemptId, id))],
      ['time', () => net.pass(2 * defaultTiming.acceptDeadline)],
      [
        'pause',
        async () => {
          net.node(victim).sessions.pause();
          net.node(victim).sessions.resume();
        },
      ],
      [
        'a START of others',
        async ({ attempt }) => {
          const accept = decodeFrame(attempt.accept) as FrameOf<'accept'>;
          const foreign = new Attacker(net, 1 - victim);
          const bytes = foreign.accept(attempt.attemptId, attempt.propose, {
            logHead: accept.content.logHead,
          });
          await net.deliver(credential, victim, attacker.start(attempt, [bytes, attempt.accept]));
          assert.equal(
            net.logged(victim, 'session.started').at(-1)?.['attemptId'] === attempt.attemptId,
            false,
          );
        },
      ],
    ];
    for (const [at, [name, end]] of endings.entries()) {
      const run = await propose(pool, [ids[at]!]);
      assert.deepEqual(run.cannot, [], name);
      await end(run);
      assert.deepEqual((await propose(pool, [ids[at]!])).cannot, [0], `burnt by ${name}`);
    }
    await net.stop();
  });

  it('of a process that has ended are burnt by those that made them with it', async () => {
    const net = await ecdsaNetwork(3, 2, 1);
    await net.bootAll();
    await signOnce(net, [0, 1, 2], 0);
    const sum = (at: number): number =>
      net
        .node(at)
        .sessions.presignatures()
        .reduce(
          (total, { members, size }) => total + (members.includes(net.node(0).party.credential) ? size : 0),
          0,
        );
    await net.until(() => pooled(net, 0, 0) === 1);
    await net.pass(5000);
    assert.ok(sum(1) + sum(2) > 0);
    net.kill(0);
    assert.ok(sum(1) + sum(2) > 0, 'a channel that is down says nothing of the process');
    await net.boot(0);
    assert.equal(sum(1) + sum(2), 0);
    assert.equal(sum(0), 0);
    await net.stop();
  });

  it('stay where its node is paused, and none are made with it', async () => {
    const net = await ecdsaNetwork(3, 2, 1);
    await net.bootAll();
    await signOnce(net, [0, 1, 2], 0);
    await net.until(() => pooled(net, 0, 0) === 1);
    const made = (): number => net.logged(0, 'presign.done').length;
    await net.pass(5000);
    const before = [pooled(net, 0, 0), made()];
    net.node(0).sessions.pause();
    const { id, full } = net.messageLedBy(1);
    await net.submit(full, [0, 1, 2]);
    await net.signedBy(id, [1, 2]);
    await net.pass(60_000);
    assert.deepEqual([pooled(net, 0, 0), made()], before);
    net.node(0).sessions.resume();
    await signOnce(net, [0, 1, 2], 0);
    await net.stop();
  });
});

describe('sessions: leaders of sets by ECDSA', function () {
  this.timeout(240_000);

  it('that show two PROPOSEs with other sets, or choose again after the ACCEPTs, are proven guilty', async () => {
    for (const inStart of [false, true]) {
      const { net, attacker, full } = await scene(3, 2, () => ecdsaNetwork(3, 2));
      const { credential } = attacker.signer;
      const attempt = attacker.attempt(full);
      await net.deliver(credential, 0, attempt.frame);
      await net.until(() => attacker.accepts(attempt.attemptId).size > 0);
      const accept = [...attacker.accepts(attempt.attemptId).values()][0]!;
      const sets = [{ members: [1, 3], presignatures: one }];
      const frame = attacker.encode('propose', { ...attempt.propose, sets });
      assert.equal(attemptIdOf({ ...attempt.propose, sets }, networkId), attempt.attemptId);
      const start = attacker.start({ ...attempt, frame }, [accept.bytes, attempt.accept]);
      await net.deliver(credential, 0, inStart ? start : frame);
      assert.deepEqual(codesAt(net), [{ code: 'leader_equivocated', culprit: credential }]);
      assertNoRounds({ net, attacker, honest: [0, 1], id: attempt.propose.requestId as Hex, full });
      const [bundle] = net.node(0).blamed;
      assert(bundle);
      assert.equal(verifyBlame(bundle.bytes).accused, credential);
      await net.stop();
    }
  });

  it('that put two parties into a set of which one bans the other: excluded_pair, and the START proves it', async () => {
    const net = await ecdsaNetwork(4, 3);
    const attacker = new Attacker(net, 3);
    const { credential } = attacker.signer;
    const kept = net.node(0).pairs.kept(net.node(1).party.credential);
    delete kept.setup;
    kept.ban = { at: net.clock.now(), code: 'transfer_check', detail: 'for a test' };
    for (const index of [0, 1, 2]) await net.boot(index);
    const { id, full } = net.messageLedBy(3);
    await net.submit(full, [0, 1, 2]);
    const attempt = attacker.attempt(full);
    attacker.toAll(attempt.frame);
    await net.until(() => attacker.accepts(attempt.attemptId).size === 3);
    const accept = (at: number): Uint8Array =>
      attacker.accepts(attempt.attemptId).get(net.node(at).party.credential)!.bytes;
    const start = attacker.start(attempt, [accept(0), accept(1), attempt.accept]);
    for (const index of [0, 1]) {
      await net.deliver(credential, index, start);
      const scenery = { net, attacker, honest: [0, 1, 2], id, full };
      if (index === 0) assertRefused(scenery, 'excluded_pair', credential);
      const [bundle] = net.node(index).blamed;
      assert(bundle);
      const verdict = verifyBlame(bundle.bytes);
      assert.deepEqual([verdict.accused, verdict.code], [credential, 'excluded_pair']);
    }
    assertNoRounds({ net, attacker, honest: [0, 1, 2], id, full });
    await net.stop();
  });

  it('are not guilty of what a member says of itself', async () => {
    const { net, attacker, full } = await scene(4, 3, () => ecdsaNetwork(4, 3));
    const attempt = attacker.attempt(full);
    const { attemptId, propose: proposed } = attempt;
    const accept = (at: number): Uint8Array => {
      const { party } = net.node(at);
      const { logHead } = proposed;
      const content = {
        attemptId,
        party: party.credential,
        entropy: seedOf('entropy', at),
        nonces: [],
        logHead,
      };
      return encodeFrame('accept', { ...content, excludes: [party.credential] }, attacker.wire, party);
    };
    const start = attacker.start(attempt, [accept(0), accept(1), attempt.accept]);
    assert.doesNotThrow(() =>
      openStart(decodeFrame(start) as FrameOf<'start'>, net.world.keyring, attacker.wire),
    );
    await net.stop();
  });

  it('that are honest leave out one of two who do not presign together', async () => {
    const net = await ecdsaNetwork(4, 3);
    const kept = net.node(1).pairs.kept(net.node(2).party.credential);
    delete kept.setup;
    kept.ban = { at: net.clock.now(), code: 'transfer_check', detail: 'for a test' };
    await net.bootAll();
    const { id, full } = net.messageLedBy(0, 1, 2);
    await net.submit(full, [0, 1, 2, 3]);
    await net.signedBy(id, [0, 1, 2, 3]);
    const [started] = net.logged(0, 'session.started');
    const set = (started?.['set'] ?? []) as string[];
    assert.ok(set.includes(net.node(3).party.credential));
    await net.stop();
  });

  it('blame nobody honest by rounds of ECDSA', async () => {
    const net = await ecdsaNetwork(4, 3);
    await net.bootAll();
    await signOnce(net, [0, 1, 2, 3]);
    const starts = sentBy(net, net.node(0).party.credential, 'start');
    const [started] = net.logged(0, 'session.started');
    const set = (started?.['set'] ?? []) as string[];
    const member = set.find((party) => party !== net.node(0).party.credential)!;
    const rounds = sentBy(net, member, 'round');
    assert.ok(rounds.length >= 4, 'to each other member one of its own');
    for (const start of starts)
      for (const first of rounds) {
        neverBlamed(net, member, [start.bytes, first.bytes]);
        for (const second of rounds) neverBlamed(net, member, [start.bytes, first.bytes, second.bytes]);
      }
    await net.stop();
  });
});

describe('sessions: an ACCEPT by ECDSA, when a pair setup goes', function () {
  this.timeout(120_000);

  it('is taken back: its leader need not wait for it', async () => {
    const { net, attacker, full } = await scene(3, 2, () => ecdsaNetwork(3, 2));
    const { credential } = attacker.signer;
    const attempt = attacker.attempt(full);
    await net.deliver(credential, 0, attempt.frame);
    await net.until(() => attacker.accepts(attempt.attemptId).size > 0);
    await net.node(0).gate?.destroy(net.node(1).party.credential, 'for a test');
    const told = framesSent(net, net.node(0).party.credential, 'decline');
    assert.deepEqual(
      told.map(({ to, frame }) => [to, frame.content.attemptId, frame.content.reason]),
      [[credential, attempt.attemptId, 'banned']],
    );
    assert.deepEqual(codesAt(net), [{ code: 'pair_destroyed', culprit: undefined }]);
    await net.stop();
  });
});

describe('sessions: PROPOSEs of pair setups and presigning', function () {
  this.timeout(240_000);

  /** Of attacker 3, about parties 0..3 of 4. */
  async function offlineScene(parties = 4, threshold = 3) {
    const net = await ecdsaNetwork(parties, threshold);
    const attacker = new Attacker(net, parties - 1);
    for (let index = 0; index < parties - 1; index++) await net.boot(index);
    const { full } = net.messageLedBy(attacker.index);
    const { keyring } = net.world;
    const context = { networkId, keyring } as Parameters<typeof presigningId>[0];
    const partiesAt = (members: readonly number[]): string[] =>
      members.map((index) => net.node(index - 1).party.credential);
    const presign = (at: number, members: number[], keyId = net.key.id, count = 1) => {
      const requestId = presigningId(context, keyId, partiesAt(members));
      const digests = Array.from({ length: count }, (_, item) =>
        taggedHash('countersign/v1/presigning-digest', fromHex(requestId), uint32(item)),
      );
      return honest(at, { purpose: 'presign', requestId, digests, members, keyId });
    };
    const pair = (at: number, members: number[]) => {
      const requestId = pairSetupId(context, partiesAt(members));
      const digests = [taggedHash('countersign/v1/pair-setup-digest', fromHex(requestId))];
      return honest(at, { purpose: 'pair-setup', requestId, digests, members });
    };
    const honest = (at: number, changes: Partial<Propose>): Uint8Array => {
      const { sets: _, ...made } = attacker.attempt(full, at, changes).propose;
      return attacker.encode('propose', made);
    };
    const deliver = (bytes: Uint8Array) => net.deliver(attacker.signer.credential, 0, bytes);
    const reasons = (): string[] =>
      framesSent(net, net.node(0).party.credential, 'decline').map(({ frame }) => frame.content.reason);
    const accepts = (): number => framesSent(net, net.node(0).party.credential, 'accept').length;
    return { net, attacker, presign, pair, deliver, reasons, accepts };
  }

  it('for other members, of an unknown key, of another request, again: none is accepted', async () => {
    const { net, attacker, presign, pair, deliver, reasons, accepts } = await offlineScene();
    await deliver(presign(1, [2, 3, 4]));
    await deliver(pair(2, [2, 4]));
    assert.deepEqual(
      codesAt(net).map(({ code }) => code),
      ['stranger', 'stranger'],
    );
    await deliver(presign(3, [1, 2, 4], `0x${'07'.repeat(32)}`));
    assert.deepEqual(reasons(), ['no_share']);
    const { requestId: _, ...rest } = (decodeFrame(pair(4, [1, 4])) as FrameOf<'propose'>).content;
    await deliver(attacker.encode('propose', { ...rest, requestId: net.key.id }));
    assert.deepEqual(reasons(), ['no_share', 'digests']);
    assert.equal(accepts(), 0);
    await deliver(pair(5, [1, 4]));
    assert.equal(accepts(), 1);
    // The same counter, or a lower one, for something else.
    await deliver(presign(5, [1, 2, 4]));
    await deliver(presign(4, [1, 2, 4]));
    assert.equal(accepts(), 1);
    assert.equal(reasons().length, 2);
    await deliver(pair(6, [1, 4]));
    assert.deepEqual(reasons().slice(2), ['busy'], 'one setup of a pair at a time');
    await net.stop();
  });

  it('in a flood: so many of an owner at a time, however they come', async () => {
    const { net, attacker, presign, reasons, accepts } = await offlineScene(5, 3);
    const sets = [
      [1, 2, 5],
      [1, 3, 5],
      [1, 4, 5],
    ];
    // At once: the key of all is read meanwhile.
    await Promise.all(
      sets.map((members, at) =>
        net.node(0).sessions.receive(attacker.signer.credential, presign(at + 1, members)),
      ),
    );
    await net.settle();
    assert.equal(accepts(), 2);
    assert.deepEqual(reasons(), ['busy']);
    await net.stop();
  });

  it('with a party that is banned, or while this one is paused: declined', async () => {
    const { net, attacker, presign, pair, deliver, reasons, accepts } = await offlineScene();
    net.node(0).sessions.pause();
    await deliver(pair(1, [1, 4]));
    await deliver(presign(2, [1, 2, 4]));
    assert.deepEqual(reasons(), ['paused', 'paused']);
    net.node(0).sessions.resume();
    net.node(0).pairs.kept(attacker.signer.credential).ban = {
      at: 1,
      code: 'transfer_check',
      detail: 'test',
    };
    net.kill(0);
    await net.boot(0);
    await deliver(pair(3, [1, 4]));
    await deliver(presign(4, [1, 2, 4]));
    assert.deepEqual(reasons().slice(2), ['banned', 'banned']);
    assert.equal(accepts(), 0);
    await net.stop();
  });

  it('that come to nothing again and again: declined for a while', async () => {
    const { net, attacker, presign, pair, deliver, reasons, accepts } = await offlineScene();
    const abort = async (bytes: Uint8Array): Promise<void> => {
      await deliver(bytes);
      const { content } = decodeFrame(bytes) as FrameOf<'propose'>;
      await deliver(attacker.abort(attemptIdOf(content, networkId), content.requestId as Hex));
    };
    for (let at = 1; at <= 20; at++) await abort(at % 2 === 0 ? pair(at, [1, 4]) : presign(at, [1, 2, 4]));
    assert.equal(accepts(), 16);
    assert.deepEqual(reasons(), ['busy', 'busy', 'busy', 'busy']);
    net.clock.after(10_000, () => undefined);
    await net.pass(10_000);
    await abort(pair(21, [1, 4]));
    assert.deepEqual([accepts(), reasons().slice(4)], [17, []]);
    await net.stop();
  });

  it('of a setup, under way when the old one is destroyed, go on: a new one is what is wanted', async () => {
    const { net, attacker, presign, pair, deliver, accepts } = await offlineScene();
    await deliver(pair(1, [1, 4]));
    await deliver(presign(2, [1, 2, 4]));
    assert.equal(accepts(), 1, 'and nothing is presigned meanwhile');
    await net.node(0).gate?.destroy(attacker.signer.credential, 'for a test');
    assert.ok(net.node(0).sessions.pairProgress().has(attacker.signer.credential));
    await net.stop();
  });

  it('end the presigning when a member leaves it', async () => {
    const { net, attacker, presign, deliver, accepts } = await offlineScene();
    await deliver(presign(1, [1, 2, 4]));
    assert.equal(accepts(), 1);
    net.node(0).sessions.pause();
    const aborts = framesSent(net, net.node(0).party.credential, 'abort');
    assert.ok(
      aborts.some(({ to, frame }) => to === attacker.signer.credential && frame.content.code === 'paused'),
    );
    await net.stop();
  });
});
