// Presigning behind the ban gate: what one member does costs that member's pair, and never the pair with another.
import assert from 'node:assert/strict';
import { Abort, type AbortCode } from '../../node/mpc/abort.ts';
import { presignKinds } from '../../node/mpc/rounds.ts';
import type { PairSetup } from '../../node/mpc/dkls23/pair-secrets.ts';
import { GuardedMachine } from '../../node/sessions/pairs/guarded-machine.ts';
import type { PairState } from '../../node/sessions/pairs/gate.ts';
import { inlineWork } from '../../node/work/inline.ts';
import type { HostedMachine } from '../../node/work/work.ts';
import { toHex } from '../../protocol/hex.ts';
import { dealtSetups, ecdsaShares, presigningOptions, runPresigning } from '../support/dkls23-parties.ts';
import { alice, bob, GateRig } from '../support/pair-gate-rig.ts';

const set = [1, 2, 3];
const { commit, multiply } = presignKinds(0);
const header = 33;
/** Party 1 is this one; 2 is honest. */
const partyOf = (index: number): string => (index === 2 ? alice : bob);

describe('presigning behind the ban gate', function () {
  this.timeout(60_000);
  const shares = ecdsaShares(5, 3);
  const recorded = new Map<string, Uint8Array>();
  before(() => {
    const { delivered } = runPresigning(presigningOptions(set, shares));
    for (const { from, to, bytes } of delivered)
      if (to === 1) recorded.set(`${from} ${bytes[0]}`, bytes.slice());
  });

  async function guarded(spoilt = false): Promise<{ rig: GateRig; machine: HostedMachine }> {
    const rig = await GateRig.open();
    for (const [peer, { id, secrets }] of dealtSetups(1, set))
      await rig.gate.adopt(partyOf(peer), { id, secrets });
    // What was adopted just now outlives a mismatch.
    rig.now += 60_000;
    const { random, ...options } = presigningOptions(set, shares).get(1)!;
    const setups = new Map(
      [2, 3].map((peer): [number, PairSetup] => [peer, { peer, ...rig.gate.setupOf(partyOf(peer)) }]),
    );
    const ids = new Map([...setups].map(([peer, { id }]) => [partyOf(peer), toHex(id)] as const));
    // Keys of no use: as if something of this party were damaged that no check foresees.
    const key = spoilt ? { ...options.key, signingShare: new Uint8Array(31) } : options.key;
    const machine = inlineWork(random).machine({ kind: 'presign', ...options, key, setups }, 'request');
    return { rig, machine: new GuardedMachine({ gate: rig.gate, machine, setups: ids, partyOf }) };
  }

  const cases: readonly (readonly [
    string,
    number,
    (bytes: Uint8Array) => Uint8Array,
    AbortCode,
    PairState,
  ])[] = [
    ['rows', commit, (bytes) => bytes.with(-1, bytes.at(-1)! ^ 1), 'transfer_check', 'banned'],
    ['another setup', commit, (bytes) => bytes.with(header, bytes[header]! ^ 1), 'setup_mismatch', 'missing'],
    ['a length', commit, (bytes) => bytes.slice(0, -1), 'malformed_message', 'ready'],
    ['an echo', multiply, (bytes) => bytes.with(-1, bytes.at(-1)! ^ 1), 'echo_mismatch', 'ready'],
    ['a point', multiply, (bytes) => bytes.with(header + 32, 9), 'malformed_point', 'ready'],
    [
      'another setup',
      multiply,
      (bytes) => bytes.with(header, bytes[header]! ^ 1),
      'setup_mismatch',
      'missing',
    ],
  ];
  for (const [what, kind, alter, code, state] of cases)
    it(`${what} of a ${kind === commit ? 'commit' : 'multiply'}: ${code}, the pair is ${state}, the other one ready`, async () => {
      const { rig, machine } = await guarded();
      await machine.start();
      for (const at of [commit, multiply])
        for (const from of [2, 3]) {
          const bytes = recorded.get(`${from} ${at}`)!;
          if (from !== 3 || at !== kind) await machine.receive(from, bytes);
          else {
            const refused = (error: unknown): boolean => error instanceof Abort && error.code === code;
            await assert.rejects(machine.receive(from, alter(bytes)), refused);
            assert.equal(rig.gate.state(bob), state);
            assert.equal(rig.gate.state(alice), 'ready');
            assert.equal(rig.gate.states().get(alice)?.incidents, 0);
            return machine.destroy();
          }
        }
    });

  it('something unexpected here: both setups are made anew, and nobody is banned', async () => {
    const { rig, machine } = await guarded(true);
    await assert.rejects(machine.start(), (error) => error instanceof Abort && error.code === 'internal');
    for (const party of [alice, bob]) assert.equal(rig.gate.state(party), 'missing');
    machine.destroy();
  });
});
