// Parties that run the real machines and cheat: what fails against a pair setup bans them here, for good, and nowhere else;
// what was made with them is burnt; the others sign without them.
import assert from 'node:assert/strict';
import { Presigning } from '../../node/mpc/dkls23/presigning.ts';
import { GuardedMachine } from '../../node/sessions/pairs/guarded-machine.ts';
import { PairGate, type PairState } from '../../node/sessions/pairs/gate.ts';
import { decodeFrame } from '../../node/sessions/wire.ts';
import { inlineWork } from '../../node/work/inline.ts';
import type { HostedStep, MachineOrder } from '../../node/work/machines.ts';
import { ThreadedWork } from '../../node/work/threads.ts';
import type { HostedMachine, Work } from '../../node/work/work.ts';
import { toHex } from '../../protocol/hex.ts';
import { CheatingPresigner } from '../support/dkls23-cheat.ts';
import { dealtSetup, ecdsaShares, keyOf, presigningOptions } from '../support/dkls23-parties.ts';
import {
  altering,
  cheating,
  ecdsaNetwork,
  flipped,
  kinds,
  pooled,
  signOnce,
} from '../support/ecdsa-scene.ts';
import { seedOf } from '../support/fixture.ts';
import { MemoryPairStore } from '../support/memory-pair-store.ts';
import { seededRandom } from '../support/mpc-network.ts';
import { framesSent, type KeyedNetwork, textFor } from '../support/session-attacker.ts';
import { VirtualClock } from '../support/session-world.ts';

/** Index of party 0, which is cheated. */
const victim = 1;

type Made = (order: MachineOrder, machine: () => HostedMachine) => HostedMachine | undefined;
const alterIn =
  (kind: number, at: number): Made =>
  (order, machine) =>
    order.kind === 'ecdsa' || order.kind === 'presign'
      ? altering(machine(), (message) =>
          message.bytes[0] === kind && (message.to === victim || message.to === 'all')
            ? flipped(message, at)
            : message,
        )
      : undefined;

/** A machine that plays the presign rounds with other inputs than it shows. */
const withInputs =
  (inputs: (k: bigint, sk: bigint) => readonly [bigint, bigint]): Made =>
  (order) => {
    if (order.kind !== 'ecdsa' || !order.set.includes(victim)) return undefined;
    const { sid, self, set, setups, items } = order;
    const options = { sid, self, set, setups, key: items[0]!.key, ids: [seedOf('id')] };
    const random = seededRandom('cheat');
    const presigner = new CheatingPresigner({ ...options, random }, { inputs });
    const hosted = (call: () => { messages: HostedStep['messages'] }): Promise<HostedStep> =>
      Promise.resolve().then(() => ({ messages: call().messages, awaited: [] }));
    return {
      start: () => hosted(() => presigner.start()),
      receive: (from, bytes) => hosted(() => presigner.receive(from, bytes)),
      destroy: () => presigner.destroy(),
    };
  };

/** Where the body of a message begins, and the part of its first item that a peer checks against its setup. */
const body = 33;
const rowsAt = body + 32 + 32;
const productAt = body + 32 + 33 + 32;

/** Party 2 cheats as long as `cheats` says. */
async function withCheat(make: Made, presignatures = 0, parties = 3) {
  const control = { cheats: true, make };
  const net = await ecdsaNetwork(parties, 2, presignatures, {
    work: (inline, _, index) =>
      index === 2
        ? cheating(inline, (order, machine) => (control.cheats ? control.make(order, machine) : undefined))
        : inline,
  });
  await net.bootAll();
  return { net, control };
}

function stateAt(net: KeyedNetwork, at: number, of: number): PairState | undefined {
  return net.node(at).gate?.state(net.node(of).party.credential);
}

/** Rounds from a party to another, by their place in the tap. */
function roundsAt(net: KeyedNetwork, from: number, to: number): number[] {
  const [sender, receiver] = [net.node(from).party.credential, net.node(to).party.credential];
  return net.sent.flatMap((sent, place) =>
    sent.from === sender && sent.to === receiver && decodeFrame(sent.bytes).type === 'round' ? [place] : [],
  );
}

function assertToldNobody(net: KeyedNetwork, code: string): void {
  const aborts = framesSent(net, net.node(0).party.credential, 'abort').map(({ frame }) => frame.content);
  assert.ok(aborts.length > 0);
  for (const abort of aborts) assert.equal(abort.culprit, undefined);
  assert.ok(
    aborts.some((abort) => abort.code === code || abort.code === 'pair_destroyed'),
    JSON.stringify(aborts.map((abort) => abort.code)),
  );
  for (const node of net.nodes) assert.deepEqual(node.blamed, []);
}

describe('sessions: a party that cheats in the rounds of ECDSA', function () {
  this.timeout(300_000);

  const cheats: [string, string, Made][] = [
    ['a row of its transfers', 'transfer_check', alterIn(kinds.commit, rowsAt + 100)],
    ['its answer to a product', 'product_check', alterIn(kinds.multiply, productAt + 100)],
    ['another k in its product', 'inconsistent_inputs', withInputs((k, sk) => [k + 1n, sk])],
    ['another share of the key in its product', 'inconsistent_inputs', withInputs((k, sk) => [k, sk + 1n])],
  ];
  for (const [name, code, make] of cheats)
    it(`${name}: ${code} bans it here, and the others sign`, async () => {
      const { net } = await withCheat(make);
      const banned = { at: Infinity };
      const { credential } = net.node(2).party;
      const { before } = net.node(0).pairs;
      net.node(0).pairs.before = (what, party) => {
        if (what === 'ban' && party === credential) banned.at = net.sent.length;
        return before(what, party);
      };
      const { id, full } = net.messageLedBy(0, 2, 1);
      await net.submit(full, [0, 1, 2]);
      await net.signedBy(id, [0, 1, 2]);
      assert.equal(net.node(0).pairs.kept(credential).ban?.code, code);
      assert.deepEqual(
        [stateAt(net, 0, 2), stateAt(net, 0, 1), stateAt(net, 1, 2), stateAt(net, 1, 0)],
        ['banned', 'ready', 'ready', 'ready'],
      );
      assert.equal(net.node(0).pairs.kept(credential).setup, undefined, 'one setup serves both directions');
      assert.ok(
        roundsAt(net, 0, 2).every((place) => place < banned.at),
        'nothing leaves after the verdict',
      );
      assertToldNobody(net, code);
      // It asks in vain, whoever leads, also of the next process.
      net.kill(0);
      await net.boot(0);
      assert.equal(stateAt(net, 0, 2), 'banned');
      const since = net.sent.length;
      await signOnce(net, [0, 1, 2], 2);
      assert.ok(roundsAt(net, 0, 2).every((place) => place < since));
      const excluded = framesSent(net, net.node(0).party.credential, 'accept').at(-1);
      assert.deepEqual(excluded?.frame.content.excludes, [credential]);
      await net.stop();
    });

  it('is banned with all that was made with it, and what runs with it ends', async () => {
    const { net, control } = await withCheat(() => undefined, 2);
    const { credential } = net.node(2).party;
    const first = net.messageLedBy(0, 2, 1);
    await net.submit(first.full, [0, 1, 2]);
    await net.signedBy(first.id, [0, 1, 2]);
    await net.until(() => pooled(net, 0, 0) === 2);
    await net.pass(5000);
    const withIt = (at: number): number =>
      net
        .node(at)
        .sessions.presignatures()
        .filter(({ members }) => members.includes(credential))
        .reduce((sum, { size }) => sum + size, 0);
    assert.ok(withIt(0) > 0);
    control.make = alterIn(kinds.commit, rowsAt + 100);
    // Many items: presigned within.
    net.payloads = Array.from({ length: 5 }, (_, at) => textFor('ecdsa_secp256k1', `item ${at}`));
    const { id, full } = net.messageLedBy(0, 2, 1);
    await net.submit(full, [0, 1, 2]);
    await net.until(() => stateAt(net, 0, 2) === 'banned', 60_000, 'the ban');
    assert.equal(withIt(0), 0);
    assert.equal(
      net.logged(0, 'pair.banned').some((fields) => fields['peer'] === credential),
      true,
    );
    await net.signedBy(id, [0, 1]);
    await net.stop();
  });

  it('is presigned with again when the operator lifts the ban, by another setup', async () => {
    const { net, control } = await withCheat(alterIn(kinds.commit, rowsAt + 100));
    const { id, full } = net.messageLedBy(0, 2, 1);
    await net.submit(full, [0, 1, 2]);
    await net.signedBy(id, [0, 1, 2]);
    assert.equal(stateAt(net, 0, 2), 'banned');
    const { credential } = net.node(2).party;
    const before = toHex(dealtSetup(1, 3).id);
    control.cheats = false;
    await net.node(0).gate?.lift(credential);
    await net.until(() => stateAt(net, 0, 2) === 'ready', 60_000, 'the new setup');
    assert.notEqual(toHex(net.node(0).pairs.kept(credential).setup!.id), before);
    net.kill(1);
    await signOnce(net, [0, 2], 0);
    await net.stop();
  });

  it('another setup id: the setup is made anew, and nobody is banned', async () => {
    const { net, control } = await withCheat(alterIn(kinds.commit, body));
    const { credential } = net.node(2).party;
    const { id, full } = net.messageLedBy(0, 2, 1);
    await net.submit(full, [0, 1, 2]);
    await net.until(() => stateAt(net, 0, 2) === 'missing', 60_000, 'the end of the setup');
    control.cheats = false;
    await net.signedBy(id, [0, 1, 2]);
    assert.equal(net.node(0).pairs.kept(credential).ban, undefined);
    assert.equal(net.node(0).gate?.states().get(credential)?.incidents, 1);
    assertToldNobody(net, 'setup_mismatch');
    await net.until(() => stateAt(net, 0, 2) === 'ready', 60_000, 'the new setup');
    await net.stop();
  });

  it('another setup id for the twenty-first time in a day is a ban', async () => {
    const { net, control } = await withCheat(() => undefined);
    const { credential } = net.node(2).party;
    net.kill(0);
    const recent = Array.from({ length: 20 }, (_, at) => net.clock.now() - at * 60_000);
    net.node(0).pairs.kept(credential).incidents = recent;
    await net.boot(0);
    control.make = alterIn(kinds.commit, body);
    const { id, full } = net.messageLedBy(0, 2, 1);
    await net.submit(full, [0, 1, 2]);
    await net.signedBy(id, [0, 1]);
    assert.equal(net.node(0).pairs.kept(credential).ban?.code, 'incidents');
    await net.stop();
  });

  it('a wrong share for one item of many: no signature of the attempt is given out, another set signs all', async () => {
    const item = 9;
    const { net } = await withCheat(alterIn(kinds.share, body + item * 64 + 31));
    net.payloads = Array.from({ length: 13 }, () => textFor('ecdsa_secp256k1', 'the same'));
    // What it makes of the others' shares it keeps to itself.
    const { credential } = net.node(2).party;
    net.intercept = (sent) =>
      sent.from === credential && decodeFrame(sent.bytes).type === 'done' ? undefined : sent.bytes;
    const { id, full } = net.messageLedBy(0, 2, 1);
    await net.submit(full, [0, 1, 2]);
    await net.until(
      () => net.logged(0, 'session.aborted').some(({ code }) => code === 'invalid_signature'),
      60_000,
      'the failure',
    );
    for (const node of [net.node(0), net.node(1)]) {
      assert.deepEqual(framesSent(net, node.party.credential, 'done'), []);
      assert.equal(node.store.finished.size, 0);
    }
    assert.equal(stateAt(net, 0, 2), 'ready', 'nobody is known to be at fault');
    await net.signedBy(id, [0, 1]);
    const [first, second] = net.logged(0, 'session.started');
    assert.notDeepEqual(first?.['set'], second?.['set']);
    const result = net.resultAt(0, id);
    assert(result?.kind === 'signatures');
    assert.equal(
      new Set(result.signatures.map((signature) => signature.slice(0, 66))).size,
      13,
      'R of its own',
    );
    for (const node of net.nodes) assert.deepEqual(node.blamed, []);
    await net.stop();
  });
});

describe('256 presignings over one pair at once, one altered row each', function () {
  this.timeout(300_000);
  const shares = ecdsaShares(3, 2);
  const columnLength = 80;

  /** Honest party 1's machines behind its gate, and party 2's first message to all of them, altered in column i for the i-th. */
  async function attack(count: number, work: Work) {
    const store = new MemoryPairStore();
    store.kept('peer').setup = dealtSetup(1, 2);
    const gate = await PairGate.open({
      store,
      clock: new VirtualClock(),
      log: () => undefined,
      onDestroyed: () => undefined,
    });
    const [first] = new Presigning(presigningOptions([1, 2], shares).get(2)!).start().messages;
    assert(first);
    const setups = new Map([['peer', toHex(gate.setupOf('peer').id)]]);
    const machines = Array.from({ length: count }, (_, at) => {
      const { sid, self, set, ids } = presigningOptions([1, 2], shares).get(1)!;
      const own = new Map([[2, { peer: 2, ...gate.setupOf('peer') }]]);
      const order: MachineOrder = {
        kind: 'presign',
        sid,
        self,
        set,
        ids,
        key: keyOf(shares, 1),
        setups: own,
      };
      const machine = work.machine(order, `request ${at}`);
      return new GuardedMachine({ gate, machine, setups, partyOf: () => 'peer' });
    });
    await Promise.all(machines.map((machine) => machine.start()));
    const seen: string[] = [];
    await Promise.all(
      machines.map((machine, at) =>
        machine.receive(2, flipped(first, rowsAt + at * columnLength).bytes).then(
          () => seen.push('answer'),
          (error: { code: string }) => seen.push(error.code),
        ),
      ),
    );
    for (const machine of machines) machine.destroy();
    await gate.stop();
    return { seen, gate, store };
  }

  function judge(seen: readonly string[]): void {
    const failed = seen.indexOf('transfer_check');
    assert.ok(failed >= 0);
    assert.equal(seen.lastIndexOf('transfer_check'), failed, 'one try');
    assert.ok(!seen.includes('answer'), 'no answer leaves beside or after the check that failed');
    assert.deepEqual(
      [...new Set(seen.filter((_, at) => at !== failed))].filter(
        (code) => code !== 'closed' && code !== 'banned',
      ),
      [],
    );
  }

  it('give no answer, and one ban', async () => {
    const { seen, gate, store } = await attack(256, inlineWork(seededRandom('honest')));
    assert.equal(seen.length, 256);
    judge(seen);
    assert.equal(gate.state('peer'), 'banned');
    assert.equal(store.kept('peer').ban?.code, 'transfer_check');
  });

  it('nor on worker threads', async () => {
    const work = await ThreadedWork.start({ workers: 2, log: () => undefined });
    try {
      const { seen, gate } = await attack(24, work);
      judge(seen);
      assert.equal(gate.state('peer'), 'banned');
    } finally {
      await work.stop();
    }
  });
});
