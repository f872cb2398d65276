// Pair setup, presigning and ECDSA signing on worker threads: secrets are moved in, and moved out.
import assert from 'node:assert/strict';
import { Worker } from 'node:worker_threads';
import { type PairSetup } from '../../node/mpc/dkls23/pair-secrets.ts';
import type { Presignature } from '../../node/mpc/dkls23/presignature.ts';
import type { PartyIndex } from '../../node/mpc/machine.ts';
import { inlineWork } from '../../node/work/inline.ts';
import {
  buffersOf,
  discardOrder,
  eraseStep,
  type HostedStep,
  type MachineOrder,
  openOrder,
  packOrder,
} from '../../node/work/machines.ts';
import { ThreadedWork } from '../../node/work/threads.ts';
import type { HostedMachine, Work } from '../../node/work/work.ts';
import {
  accepted,
  dealtSetups,
  digestOf,
  ecdsaShares,
  presignaturesOf,
  presigningOptions,
  runPresigning,
  type Shares,
  signingOptions,
} from '../support/dkls23-parties.ts';
import { seedOf } from '../support/fixture.ts';
import { seededRandom } from '../support/mpc-network.ts';

const shares = ecdsaShares(3, 2);
const set = [1, 2];
const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

const presignOrder = (self: PartyIndex, count = 1): Extract<MachineOrder, { kind: 'presign' }> => ({
  kind: 'presign',
  ...presigningOptions(set, shares, { count }).get(self)!,
});
const ecdsaOrder = (
  self: PartyIndex,
  presignatures?: ReadonlyMap<PartyIndex, Presignature>,
  of: Shares = shares,
): Extract<MachineOrder, { kind: 'ecdsa' }> => ({
  kind: 'ecdsa',
  ...signingOptions(set, [
    { shares: of, digest: digestOf('pay'), ...(presignatures && { presignatures }) },
  ]).get(self)!,
});
const presignatures = (): ReadonlyMap<PartyIndex, Presignature> =>
  presignaturesOf(runPresigning(presigningOptions(set, shares)));

/** Orders of a worker hold no function. */
function withoutRandom<Order extends MachineOrder>(order: Order): Order {
  const { random: _, ...rest } = order as Order & { random?: unknown };
  return rest as unknown as Order;
}

async function runHosted<Output>(
  work: Work,
  orders: ReadonlyMap<PartyIndex, MachineOrder>,
): Promise<Map<PartyIndex, Output>> {
  const machines = new Map<PartyIndex, HostedMachine>();
  for (const [self, order] of orders) machines.set(self, work.machine(withoutRandom(order), 'request'));
  const outputs = new Map<PartyIndex, Output>();
  const act = async (self: PartyIndex, { messages, output }: HostedStep): Promise<void> => {
    if (output !== undefined) outputs.set(self, output as Output);
    for (const { to, bytes } of messages)
      for (const [index, machine] of machines)
        if (index !== self && (to === 'all' || to === index))
          await act(index, await machine.receive(self, bytes));
  };
  const started = await Promise.all(
    [...machines].map(async ([self, machine]) => [self, await machine.start()] as const),
  );
  for (const [self, step] of started) await act(self, step);
  return outputs;
}

describe('ECDSA on worker threads', function () {
  this.timeout(120_000);
  let work: ThreadedWork;
  const transferred: ArrayBuffer[] = [];
  // oxlint-disable-next-line typescript/unbound-method
  const { postMessage } = Worker.prototype;

  before(async () => {
    work = await ThreadedWork.start({ workers: 2, log: () => undefined });
    Worker.prototype.postMessage = function record(message, transfer) {
      transferred.push(...((transfer ?? []) as ArrayBuffer[]));
      postMessage.call(this, message, transfer);
    };
  });
  after(async () => {
    Worker.prototype.postMessage = postMessage;
    await work.stop();
  });
  beforeEach(() => void transferred.splice(0));

  it('sets up, presigns and signs, each with what the one before gave', async () => {
    const pair = new Map(
      set.map((self): [PartyIndex, MachineOrder] => [
        self,
        {
          kind: 'pair-setup',
          sid: seedOf('pair'),
          self,
          peer: 3 - self,
          keyringId: 'ab'.repeat(32),
          epoch: { roster: 1, run: 0 },
        },
      ]),
    );
    const setups = await runHosted<PairSetup>(work, pair);
    assert.deepEqual(setups.get(1)!.id, setups.get(2)!.id);
    const setupsOf = (self: PartyIndex): Map<PartyIndex, PairSetup> => {
      const setup = setups.get(self)!;
      return new Map([[setup.peer, { ...setup, secrets: setup.secrets.slice() }]]);
    };
    const presigning = new Map(
      set.map((self) => [self, { ...presignOrder(self, 2), setups: setupsOf(self) }] as const),
    );
    const made = await runHosted<readonly Presignature[]>(work, presigning);
    const taken = new Map([...made].map(([self, all]) => [self, all[1]!]));
    for (const given of [taken, undefined]) {
      const signing = new Map(
        set.map((self) => {
          const order = ecdsaOrder(self, given);
          return [self, given ? order : { ...order, setups: setupsOf(self) }] as const;
        }),
      );
      const outputs = await runHosted<readonly Uint8Array[]>(work, signing);
      assert.deepEqual(outputs.get(1), outputs.get(2));
      const [signature] = outputs.get(1)!;
      assert.ok(accepted('ecdsa_secp256k1', shares.get(1)!.publicKey, 'pay', signature!));
    }
  });

  it('moves setups, presignatures and copies of the share: nothing is left here, and the key stays', async () => {
    for (const order of [presignOrder(1), ecdsaOrder(1), ecdsaOrder(1, presignatures())]) {
      const key = order.kind === 'presign' ? order.key : order.items[0]!.key;
      const before = key.signingShare.slice();
      const machine = work.machine(withoutRandom(order), 'request');
      await machine.start();
      for (const { secrets } of order.setups.values()) assert.ok(isZero(secrets));
      if (order.kind === 'ecdsa')
        for (const { presignature } of order.items) assert.ok(!presignature || isZero(presignature.secrets));
      assert.deepEqual(key.signingShare, before);
      machine.destroy();
    }
    assert.equal(transferred.length, 2 + 2 + 2);
    for (const { byteLength } of transferred) assert.equal(byteLength, 0, 'it was moved');
  });

  it('everything secret of a packed order is in a buffer that is transferred, once', () => {
    const made = presignatures();
    const [item] = ecdsaOrder(1, made).items;
    const orders: MachineOrder[] = [
      presignOrder(1),
      { ...ecdsaOrder(1), items: [item!, { ...item!, presignature: presignatures().get(1)! }] },
    ];
    for (const order of orders) {
      const { packed, transfer } = packOrder(withoutRandom(order));
      assert.equal(new Set(transfer).size, transfer.length);
      assert.ok(packed.kind === 'presign' || packed.kind === 'ecdsa');
      const secrets = [...packed.setups.values()].map((setup) => setup.secrets);
      if (packed.kind === 'presign') secrets.push(packed.key.signingShare);
      else {
        secrets.push(...packed.keys.map(({ signingShare }) => signingShare));
        secrets.push(...packed.items.flatMap(({ presignature }) => presignature?.secrets ?? []));
        assert.equal(packed.keys.length, 1, 'one key of two items');
      }
      assert.deepEqual(new Set(secrets.map(({ buffer }) => buffer)), new Set(transfer));
      for (const { buffer, byteLength } of secrets) assert.equal(buffer.byteLength, byteLength);
      assert.ok(secrets.every((bytes) => !isZero(bytes)));
      const opened = openOrder(packed);
      for (const key of opened.keys) key.destroy();
      discardOrder(opened.order);
      assert.ok(secrets.every(isZero), 'openOrder and its keys own the same bytes');
    }
  });

  it('destroy burns what has not gone to a worker, here or there', () => {
    for (const here of [work, inlineWork(seededRandom('inline'))] as Work[])
      for (const order of [presignOrder(1), ecdsaOrder(1), ecdsaOrder(1, presignatures())]) {
        here.machine(order, 'request').destroy();
        for (const { secrets } of order.setups.values()) assert.ok(isZero(secrets));
        if (order.kind === 'ecdsa')
          for (const { presignature } of order.items)
            assert.ok(!presignature || isZero(presignature.secrets));
      }
  });

  it('inline work signs the same', async () => {
    const here = inlineWork(seededRandom('inline'));
    const made = await runHosted<readonly Presignature[]>(
      here,
      new Map(set.map((self) => [self, presignOrder(self)])),
    );
    const taken = new Map([...made].map(([self, all]) => [self, all[0]!]));
    const orders = new Map(set.map((self) => [self, ecdsaOrder(self, taken)]));
    const outputs = await runHosted<readonly Uint8Array[]>(here, orders);
    assert.ok(accepted('ecdsa_secp256k1', shares.get(1)!.publicKey, 'pay', outputs.get(2)![0]!));
  });

  it('a step that nobody wants is erased, one that goes out is moved: setups and presignatures too', () => {
    const [setup] = dealtSetups(1, set).values();
    const made = [...presignatures().values()];
    const own = { ...setup!, secrets: setup!.secrets.slice() };
    for (const [output, secrets] of [
      [own, [own.secrets]],
      [made, made.map((each) => each.secrets)],
    ] as const) {
      const step: HostedStep = { messages: [{ to: 'all', bytes: Uint8Array.of(1, 2) }], output, awaited: [] };
      const [message] = step.messages;
      assert.deepEqual(
        buffersOf(step),
        [message!.bytes, ...secrets].map(({ buffer }) => buffer),
      );
      eraseStep(step);
      for (const bytes of [message!.bytes, ...secrets]) assert.ok(isZero(bytes));
    }
    const signatures = [seedOf('signature')];
    eraseStep({ messages: [], output: signatures, awaited: [] });
    assert.deepEqual(signatures, [seedOf('signature')], 'signatures are no secret');
  });

  it('signing waits with signing, pair setup with keys, presigning behind everything', async () => {
    const one = await ThreadedWork.start({ workers: 1, log: () => undefined });
    const pair: MachineOrder = {
      kind: 'pair-setup',
      sid: seedOf('pair'),
      self: 1,
      peer: 2,
      keyringId: 'ab'.repeat(32),
      epoch: { roster: 1, run: 0 },
    };
    const orders = [ecdsaOrder(1), ecdsaOrder(1, presignatures()), presignOrder(1), presignOrder(2), pair];
    const machines = orders.map((order, at) => one.machine(withoutRandom(order), `source ${at}`));
    const started = machines.map((machine) => machine.start());
    // Only microtasks: the worker has the first, and cannot have answered.
    for (let tick = 0; tick < 20; tick++) await Promise.resolve();
    assert.deepEqual(one.status().queued, { signing: 1, evidence: 0, 'key-generation': 1, presigning: 2 });
    await Promise.all(started);
    for (const machine of machines) machine.destroy();
    await one.stop();
  });
});
