// Machines and evidence on real worker threads: what comes out is what a machine here would give, errors keep their code
// and culprit, and secrets are moved, never copied.
import assert from 'node:assert/strict';
import { verify } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { Abort, type AbortCode } from '../../node/mpc/abort.ts';
import type { KeyShare } from '../../node/mpc/dkg/key-share.ts';
import { loadKeyPackage } from '../../node/mpc/frost/key-package.ts';
import type { FrostSigningOptions } from '../../node/mpc/frost/sign.ts';
import type { PartyIndex } from '../../node/mpc/machine.ts';
import { WorkError, type WorkErrorCode } from '../../node/work/error.ts';
import { judgeEvidence } from '../../node/work/evidence.ts';
import { inlineWork } from '../../node/work/inline.ts';
import type { HostedStep, MachineOrder } from '../../node/work/machines.ts';
import type { ToWorker } from '../../node/work/messages.ts';
import { ThreadedWork } from '../../node/work/threads.ts';
import type { HostedMachine, Work } from '../../node/work/work.ts';
import { approve, evidence, idOf, reject, signRequest } from '../support/fixture.ts';
import { key, payload, request, trust, whole, world } from '../support/judged-world.ts';
import { seededRandom } from '../support/mpc-network.ts';
import { type Item, nativeKey, one, prepare, shares23, text } from '../support/signing-attempts.ts';

const signing = (options: FrostSigningOptions): MachineOrder => ({ kind: 'sign', ...options });
const items = (count: number): Item[] =>
  Array.from({ length: count }, (_, item) => ({ shares: shares23, message: text(`item ${item}`) }));
const keyOrder = (self: PartyIndex, n = 3, threshold = 2): MachineOrder => ({
  kind: 'generate',
  keyType: 'ed25519',
  sid: new Uint8Array(32).fill(9),
  epoch: { roster: 1, run: 0 },
  self,
  parties: Array.from({ length: n }, (_, at) => at + 1),
  threshold,
});

const aborts = (code: AbortCode, culprit?: PartyIndex) => (error: unknown) => {
  assert.ok(error instanceof Abort, String(error));
  assert.equal(error.code, code, error.message);
  assert.equal(error.culprit, culprit);
  return true;
};
const fails = (code: WorkErrorCode) => (error: unknown) => error instanceof WorkError && error.code === code;

/** Runs hosted machines against each other until each has its output. */
async function runHosted(
  machines: ReadonlyMap<PartyIndex, HostedMachine>,
): Promise<Map<PartyIndex, unknown>> {
  const outputs = new Map<PartyIndex, unknown>();
  const act = async (self: PartyIndex, step: HostedStep): Promise<void> => {
    if (step.output !== undefined) outputs.set(self, step.output);
    const sent = step.messages.flatMap(({ to, bytes }) =>
      [...machines].flatMap(([index, machine]) =>
        index !== self && (to === 'all' || to === index) ? [{ index, machine, bytes }] : [],
      ),
    );
    await Promise.all(
      sent.map(async ({ index, machine, bytes }) => act(index, await machine.receive(self, bytes))),
    );
  };
  const started = [...machines].map(async ([self, machine]) => [self, await machine.start()] as const);
  for (const [self, step] of await Promise.all(started)) await act(self, step);
  return outputs;
}

describe('work on worker threads', function () {
  this.timeout(60_000);
  let work: ThreadedWork;
  const posted: { readonly message: ToWorker; readonly transfer: readonly ArrayBuffer[] }[] = [];
  // oxlint-disable-next-line typescript/unbound-method
  const { postMessage } = Worker.prototype;

  before(async () => {
    work = await ThreadedWork.start({ workers: 2, log: () => undefined });
    Worker.prototype.postMessage = function record(message, transfer) {
      posted.push({ message, transfer: (transfer ?? []) as ArrayBuffer[] });
      postMessage.call(this, message, transfer);
    };
  });
  after(async () => {
    Worker.prototype.postMessage = postMessage;
    await work.stop();
  });
  beforeEach(() => void posted.splice(0));

  it('signs as machines here do', async () => {
    const options = prepare([1, 3], items(3));
    const machines = [...options].map(([self, each]) => [self, work.machine(signing(each), 'r')] as const);
    const outputs = (await runHosted(new Map(machines))) as Map<PartyIndex, readonly Uint8Array[]>;
    assert.equal(outputs.size, 2);
    assert.deepEqual(outputs.get(1), outputs.get(3));
    const own = nativeKey(shares23.get(1)!.publicKey);
    for (const [item, { message }] of items(3).entries())
      assert.ok(verify(null, message, own, outputs.get(1)![item]!));
  });

  it('generates keys as machines here do', async () => {
    const machines = new Map([1, 2, 3].map((self) => [self, work.machine(keyOrder(self), 'r')] as const));
    const shares = (await runHosted(machines)) as Map<PartyIndex, KeyShare>;
    assert.equal(shares.size, 3);
    for (const share of shares.values()) {
      assert.deepEqual(share.publicKey, shares.get(1)!.publicKey);
      assert.deepEqual([...share.verifyingShares.keys()], [1, 2, 3]);
      loadKeyPackage(share);
    }
  });

  it('moves nonces and shares: what was sent is detached here, and signs nothing any more', async () => {
    const options = prepare([1, 2], items(2)).get(1)!;
    const [{ key: own }] = options.items as [FrostSigningOptions['items'][number]];
    const before = own.secret.signingShare.slice();
    const machine = work.machine(signing(options), 'r');
    await machine.start();
    const [{ message, transfer }] = posted as [(typeof posted)[number]];
    assert.ok('task' in message && message.task.task === 'start' && message.task.order.kind === 'sign');
    const { nonces, keys } = message.task.order;
    assert.equal(nonces.secrets.byteLength, 0, 'the nonces');
    assert.equal(nonces.commitments.length, 2);
    assert.deepEqual(
      keys.map(({ secret }) => secret.signingShare.byteLength),
      options.items.map(() => 0).slice(0, keys.length),
      'the copies of the signing share',
    );
    assert.ok(transfer.length > 0 && transfer.every(({ byteLength }) => byteLength === 0));
    for (const item of [0, 1]) {
      assert.throws(
        () => options.nonces.sign(item, own, new Map(), text('another message')),
        aborts('nonces_unavailable'),
      );
    }
    assert.throws(() => options.nonces.release(), aborts('nonces_unavailable'));
    assert.deepEqual(own.secret.signingShare, before, 'the key itself stays');
    machine.destroy();
  });

  it('an Abort keeps code, culprit and words', async () => {
    const [mine, theirs] = [...prepare([1, 2], [one]).values()];
    const machine = work.machine(signing(mine!), 'r');
    const other = work.machine(signing(theirs!), 'r');
    await machine.start();
    const [message] = (await other.start()).messages;
    const bad = message!.bytes.slice();
    bad[33]! ^= 1;
    const words: unknown = await machine.receive(2, bad).catch((error: unknown) => error);
    aborts('invalid_share', 2)(words);
    assert.match((words as Abort).message, /item 0 from party 2/);
    await assert.rejects(machine.receive(2, message!.bytes), fails('failed'), 'it is gone from the worker');
    other.destroy();
  });

  it('an order that does not fit aborts, and its nonces are burnt', async () => {
    const options = { ...prepare([1, 2], [one]).get(1)!, set: [1, 2, 3] };
    await assert.rejects(work.machine(signing(options), 'r').start(), aborts('set_size'));
    assert.throws(() => options.nonces.release(), aborts('nonces_unavailable'));
  });

  it('carries out calls in the order in which they were made', async () => {
    const [mine, theirs] = [...prepare([1, 2], items(2)).values()];
    const other = work.machine(signing(theirs!), 'r');
    const { messages } = await other.start();
    const machine = work.machine(signing(mine!), 'r');
    const started = machine.start();
    const done = machine.receive(2, messages[0]!.bytes);
    assert.deepEqual((await started).awaited, [2]);
    assert.deepEqual(((await done).output as readonly Uint8Array[]).length, 2);
    other.destroy();
  });

  it('destroy burns what has not gone to a worker, and rejects what waits', async () => {
    const never = prepare([1, 2], [one]).get(1)!;
    const machine = work.machine(signing(never), 'r');
    machine.destroy();
    await assert.rejects(machine.start(), fails('cancelled'));
    assert.throws(() => never.nonces.release(), aborts('nonces_unavailable'));
    assert.deepEqual(posted, []);
    const running = work.machine(signing(prepare([1, 2], items(20)).get(1)!), 'r');
    const started = running.start();
    const next = running.receive(2, new Uint8Array(40));
    await Promise.resolve();
    running.destroy();
    await assert.rejects(started, fails('cancelled'), 'a result that comes too late');
    await assert.rejects(next, fails('cancelled'));
    assert.ok(posted.some(({ message }) => 'destroy' in message));
  });

  it('judges evidence as it is judged here', async () => {
    const id = idOf(request);
    const rejection = reject(world, id, 'bob', { seq: 2 });
    const twoItems = signRequest(world, [
      { keyId: key.id, payload },
      { keyId: key.id, payload },
    ]);
    const cases = [
      { held: undefined, received: whole, trust },
      { held: whole, received: { ...whole, decisions: [rejection] }, trust },
      { held: { ...whole, decisions: [] }, received: whole, trust },
      { held: undefined, received: { ...whole, decisions: [] }, trust },
      { held: undefined, received: { ...whole, log: [request] }, trust },
      { held: undefined, received: whole, trust: { ...trust, now: trust.now + 48 * 3600_000 } },
      {
        held: undefined,
        received: evidence(world, twoItems, {
          decisions: [approve(world, idOf(twoItems), 'bob')],
          keys: whole.keys,
        }),
        trust,
      },
    ];
    const { signal } = new AbortController();
    const seen = new Set<string>();
    for (const task of cases) {
      const here = judgeEvidence(task);
      assert.deepEqual(await work.judge(task, 'alice', signal), here);
      seen.add(here.verdict.verdict);
    }
    assert.deepEqual([...seen].toSorted(), ['authorised', 'refused', 'waiting']);
  });

  describe('with one worker', () => {
    let single: ThreadedWork;
    before(async () => {
      single = await ThreadedWork.start({ workers: 1, log: () => undefined });
    });
    after(() => single.stop());

    it('a signature that comes after many keys is done first', async () => {
      const order: string[] = [];
      const note = async (name: string, done: Promise<unknown>): Promise<void> => {
        await done;
        order.push(name);
      };
      const keys = Array.from({ length: 12 }, (_, at) => single.machine(keyOrder(1, 9, 5), `key ${at}`));
      const all = keys.map((machine, at) => note(`key ${at}`, machine.start()));
      const signer = single.machine(signing(prepare([1, 2], [one]).get(1)!), 'request');
      all.push(note('signature', signer.start()));
      await Promise.all(all);
      // One key may have been begun before the signature came.
      assert.ok(order.indexOf('signature') <= 1, order.join(', '));
      assert.equal(order.length, 13);
      for (const machine of [...keys, signer]) machine.destroy();
    });

    it('a long request does not keep a short one waiting', async () => {
      const long = single.machine(signing(prepare([1, 2], items(50)).get(1)!), 'long');
      const short = single.machine(signing(prepare([1, 2], [one], 'short').get(1)!), 'short');
      const order: string[] = [];
      await Promise.all([
        long.start().then((step) => order.push(`long ${step.messages.length}`)),
        short.start().then((step) => order.push(`short ${step.messages.length}`)),
      ]);
      assert.deepEqual(order, ['short 1', 'long 1']);
      long.destroy();
      short.destroy();
    });

    it('a step that is destroyed while it is interrupted ends, and the worker goes on', async () => {
      const long = single.machine(signing(prepare([1, 2], items(50)).get(1)!), 'long');
      const ended = assert.rejects(long.start(), fails('cancelled'));
      const short = single.machine(signing(prepare([1, 2], [one], 'short').get(1)!), 'short');
      await short.start();
      long.destroy();
      await ended;
      assert.deepEqual(single.status(), { ...single.status(), busy: 0 });
      await single.machine(keyOrder(1), 'after').start();
      short.destroy();
    });
  });

  it('inline work gives the same steps and errors', async () => {
    const inline: Work = inlineWork(seededRandom('inline'));
    const [mine, theirs] = [...prepare([1, 2], [one]).values()];
    const machine = inline.machine(signing(mine!), 'r');
    const other = inline.machine(signing(theirs!), 'r');
    const { messages } = await other.start();
    assert.deepEqual((await machine.start()).awaited, [2]);
    assert.equal(((await machine.receive(2, messages[0]!.bytes)).output as unknown[]).length, 1);
    await assert.rejects(other.receive(3, messages[0]!.bytes), aborts('not_a_member'));
    const unused = prepare([1, 2], [one]).get(1)!;
    const destroyed = inline.machine(signing(unused), 'r');
    destroyed.destroy();
    await assert.rejects(destroyed.start(), fails('cancelled'));
    assert.throws(() => unused.nonces.release(), aborts('nonces_unavailable'));
  });
});
