// When pair setups are begun, taken part in and given up, and when pools are filled beside them: whatever the clock does, and
// however often another party asks.
import assert from 'node:assert/strict';
import type { SessionContext } from '../../node/sessions/context.ts';
import type { EcdsaParts } from '../../node/sessions/ecdsa-purpose.ts';
import { pairSetupId, presigningId } from '../../node/sessions/ecdsa-purpose.ts';
import { FailureBudget } from '../../node/sessions/failure-budget.ts';
import type { OfflineAttempts, OfflineTask } from '../../node/sessions/offline-attempts.ts';
import type { PairGate, PairState } from '../../node/sessions/pairs/gate.ts';
import { PairSetups } from '../../node/sessions/pairs/pair-setups.ts';
import { Presigning } from '../../node/sessions/presigning/filling.ts';
import { maxPooled, PresignaturePool } from '../../node/sessions/presigning/pool.ts';
import type { SigningKeys } from '../../node/sessions/signing-keys.ts';
import type { SessionState } from '../../node/sessions/state.ts';
import type { Propose } from '../../node/sessions/wire.ts';
import type { Hex } from '../../protocol/hex.ts';
import { createWorld, networkId, seedOf } from '../support/fixture.ts';

const world = createWorld({ parties: 3, threshold: 2 });
const [self, peer, third] = world.parties.map(({ credential }) => credential) as [string, string, string];
const key: Hex = `0x${'11'.repeat(32)}`;
const hour = 3600_000;

/** Parts of one party's sessions, with a clock whose timers the test runs. */
function party() {
  const rig = {
    now: Date.parse('2030-01-01T00:00:00.000Z'),
    timers: [] as { readonly wait: number; readonly call: () => void }[],
    led: [] as OfflineTask[],
    states: new Map<string, PairState>(),
    adopting: () => Promise.resolve(),
    renewing: new Set<string>(),
    live: [] as { leader: string; members: string[]; rounds: number }[],
  };
  const clock = {
    now: () => rig.now,
    after: (wait: number, call: () => void) => {
      const timer = { wait, call };
      rig.timers.push(timer);
      return () => void (rig.timers = rig.timers.filter((other) => other !== timer));
    },
  };
  const context = {
    networkId,
    keyring: world.keyring,
    signer: world.parties[0],
    clock,
    transport: { up: () => new Set([peer, third]) },
    log: () => undefined,
  } as unknown as SessionContext;
  const state = {
    context,
    self,
    others: [peer, third],
    jobs: new Map(),
    stopped: false,
    paused: false,
    reject: (_: string, error: unknown) => assert.fail(String(error)),
  } as unknown as SessionState;
  const gate = {
    state: (other: string) => rig.states.get(other) ?? 'missing',
    adopt: async (other: string) => {
      await rig.adopting();
      rig.states.set(other, 'ready');
    },
  } as unknown as PairGate;
  const offline = {
    live: () => rig.live,
    lead: (task: OfflineTask) => void rig.led.push(task),
  } as unknown as OfflineAttempts;
  const setups = new PairSetups(state, gate, offline, () => undefined);
  const parts: EcdsaParts = {
    gate,
    pool: new PresignaturePool(),
    used: () => undefined,
    isRenewing: (other) => rig.renewing.has(other),
  };
  const keys = { ecdsa: async (keyId: Hex) => ({ rootId: keyId, key: {} }) } as unknown as SigningKeys;
  const presigning = new Presigning(state, parts, keys, offline, 4);
  return { rig, setups, presigning, context, pool: parts.pool };
}

const output = {
  output: {
    kind: 'pair-setup' as const,
    setup: { peer: 2, id: new Uint8Array(32), secrets: new Uint8Array(8) },
  },
};
const failure = { failure: { code: 'round_timeout', message: 'for a test', awaited: [] } };
const turns = () => new Promise((resolve) => setImmediate(resolve));

function decided(setups: PairSetups): OfflineTask {
  const task = setups.decide(peer);
  assert.ok(typeof task === 'object', 'declined');
  return task;
}

describe('sessions: pair setups that a peer asks for', () => {
  it('again at once are refused, later not, and whichever way the clock was moved', async () => {
    for (const [moved, answer] of [
      [1000, 'busy'],
      [30_000, 'task'],
      [-hour, 'task'],
    ] as const) {
      const { rig, setups } = party();
      decided(setups).onEnd(output, peer);
      await turns();
      assert.equal(rig.states.get(peer), 'ready');
      rig.now += moved;
      const task = setups.decide(peer);
      assert.equal(typeof task === 'string' ? task : 'task', answer, `after ${moved} ms`);
    }
  });

  it('are refused while the last one is being kept', async () => {
    const { rig, setups } = party();
    let written = (): void => undefined;
    rig.adopting = () => new Promise((resolve) => (written = resolve));
    decided(setups).onEnd(output, peer);
    assert.ok(setups.isRenewing(peer));
    assert.equal(setups.decide(peer), 'busy');
    written();
    await turns();
    assert.ok(!setups.isRenewing(peer));
    assert.equal(rig.states.get(peer), 'ready');
  });

  it('are for the two alone', () => {
    const { setups, context } = party();
    assert.equal(decided(setups).requestId, pairSetupId(context, [self, peer]));
  });
});

describe('sessions: presigning beside pair setups', () => {
  const propose = { keyId: key, members: [1, 2], digests: [new Uint8Array(32)] } as unknown as Propose;

  it('is not joined with a party whose setup is being made again', async () => {
    const { rig, presigning } = party();
    rig.states.set(peer, 'ready');
    assert.equal(typeof (await presigning.decide(peer, propose)), 'object');
    rig.renewing.add(peer);
    assert.equal(await presigning.decide(peer, propose), 'busy');
  });

  it('is not led with one either', async () => {
    const { rig, presigning, context } = party();
    rig.states.set(peer, 'ready');
    rig.states.set(third, 'ready');
    rig.renewing.add(peer);
    presigning.used(key, [self, peer]);
    rig.timers.shift()?.call();
    await turns();
    assert.deepEqual(
      rig.led.map(({ requestId }) => requestId),
      [presigningId(context, key, [self, third])],
    );
  });

  it("waits after a failure of its own, not after one of another's", async () => {
    for (const [leader, wait] of [
      [peer, 250],
      [self, 15_000],
    ] as const) {
      const { rig, presigning } = party();
      rig.states.set(peer, 'ready');
      const task = await presigning.decide(peer, propose);
      assert.ok(typeof task === 'object');
      presigning.used(key, [self, peer]);
      rig.timers.shift()?.call();
      await turns();
      rig.led.length = 0;
      task.onEnd(failure, leader);
      presigning.used(key, [self, peer]);
      assert.deepEqual(
        rig.timers.map((timer) => timer.wait),
        [wait],
      );
    }
  });
});

describe('sessions: presignatures that nobody uses', () => {
  const propose = { keyId: key, members: [1, 2], digests: [new Uint8Array(32)] } as unknown as Propose;
  let made = 0;
  const put = (pool: PresignaturePool, owner: string, count: number, madeAt: number): void => {
    for (let at = 0; at < count; at++) {
      const id = seedOf('presignature', made++);
      const [empty, secrets] = [new Uint8Array(33), new Uint8Array(96).fill(7)];
      const presignature = { id, set: [1, 2], publicKey: empty, nonce: empty, secrets };
      assert.ok(
        pool.put({ presignature, owner, keyId: key, members: [self, peer], setups: new Map(), madeAt }),
      );
    }
  };

  const other: Hex = `0x${'22'.repeat(32)}`;

  it('leave no room while their key is in use: no more are made than there is room for', async () => {
    for (const [have, expected] of [
      [maxPooled - 1, [1]],
      [maxPooled, []],
    ] as const) {
      const { rig, presigning, pool } = party();
      rig.states.set(peer, 'ready');
      presigning.used(key, [self, peer]);
      put(pool, self, have, rig.now);
      presigning.used(other, [self, peer]);
      rig.timers.shift()?.call();
      await turns();
      assert.deepEqual(
        rig.led.map(({ purpose }) => purpose.digests.length),
        expected,
      );
      assert.equal(pool.ofOwner(self).length, have);
    }
  });

  it('make room when their key is in use no more', async () => {
    const { rig, presigning, pool } = party();
    rig.states.set(peer, 'ready');
    put(pool, self, maxPooled, rig.now);
    put(pool, peer, 1, rig.now);
    presigning.used(other, [self, peer]);
    rig.timers.shift()?.call();
    await turns();
    assert.equal(rig.led.length, 1);
    assert.equal(pool.ofOwner(self).length, 0);
    assert.equal(pool.ofOwner(peer).length, 1, "another owner's stay");
  });

  it('keep nobody else from making more: beyond what an owner may have, its oldest go', async () => {
    const { rig, presigning, pool } = party();
    rig.states.set(peer, 'ready');
    put(pool, peer, maxPooled, rig.now);
    assert.equal(typeof (await presigning.decide(peer, propose)), 'object');
  });

  it('are burnt after an hour, sooner by their owner, so that none is named that the others have burnt', async () => {
    for (const [owner, kept] of [
      [peer, hour],
      [self, hour - 600_000],
    ] as const) {
      const { rig, presigning, pool } = party();
      rig.states.set(peer, 'ready');
      put(pool, owner, maxPooled, rig.now);
      rig.now += kept;
      await presigning.decide(peer, propose);
      assert.equal(pool.ofOwner(owner).length, maxPooled);
      rig.now += 1;
      assert.equal(typeof (await presigning.decide(peer, propose)), 'object');
      assert.equal(pool.ofOwner(owner).length, 0);
    }
  });
});

describe('sessions: what a leader may fail', () => {
  it('is bounded, comes back with time, and is of each leader', () => {
    let now = 1_000_000;
    const budget = new FailureBudget({ now: () => now });
    let failed = 0;
    while (!budget.isSpent(peer) && failed < 1000) {
      budget.note(peer);
      failed += 1;
    }
    assert.equal(failed, 16);
    assert.ok(!budget.isSpent(third));
    now -= hour;
    assert.ok(budget.isSpent(peer), 'a clock that was set back gives nothing');
    now += 10_000;
    assert.ok(!budget.isSpent(peer));
    budget.note(peer);
    assert.ok(budget.isSpent(peer));
    now += 24 * hour;
    for (let at = 0; at < 16; at++) budget.note(peer);
    assert.ok(budget.isSpent(peer), 'no more than before after a long time');
  });
});
