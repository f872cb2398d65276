// kill -9 of real processes of every kind at random moments, while requests are made one after the other: each is
// fulfilled, or rejected for a true reason, and nothing happens twice. RANDOM_SEED repeats the choices of a run (when they
// meet what, the machine decides); RANDOM_KILLS makes more or fewer of them.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { judge } from '../support/crash-judge.ts';
import { LocalNetwork } from '../support/local-network.ts';
import { PersistentOwners } from '../support/persistent-owners.ts';

const seed = Number(process.env['RANDOM_SEED'] ?? randomInt(2 ** 31));
const kills = Number(process.env['RANDOM_KILLS'] ?? 30);
/** As many processes may be down at once. */
const killers = 3;
const longestPauseMs = 600;
const longestAbsenceMs = 300;

/** Mulberry32: whole numbers from 0, below `end`. */
function generator(from: number): (end: number) => number {
  let state = from;
  return (end) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % end;
  };
}

describe(`a network that is killed at random (RANDOM_SEED=${seed})`, function () {
  this.timeout(300_000 + kills * 10_000);
  let net: LocalNetwork;
  let owners: PersistentOwners;

  before(async () => {
    assert.ok(Number.isSafeInteger(seed) && Number.isSafeInteger(kills), 'RANDOM_SEED and RANDOM_KILLS');
    net = await LocalNetwork.start();
    owners = new PersistentOwners(net);
    assert.ok(await owners.makeKey(() => false));
  });
  after(async () => {
    await owners?.stop();
    await net?.stop();
  });

  it('fulfils every request', async function () {
    const random = generator(seed);
    const up = new Set(net.names);
    const killed: string[] = [];
    let over = false;
    async function killer(): Promise<void> {
      while (killed.length < kills) {
        const candidates = [...up];
        const name = candidates[random(candidates.length)]!;
        killed.push(name);
        up.delete(name);
        await delay(random(longestPauseMs));
        await net.kill(name);
        await delay(random(longestAbsenceMs));
        await net.restart(name);
        up.add(name);
      }
    }
    const killing = Promise.all(Array.from({ length: killers }, killer)).finally(() => (over = true));
    const failed = killing.then(() => new Promise<never>(() => undefined));
    const ask = async (one: () => Promise<unknown>): Promise<void> => {
      while (!over) await Promise.race([one(), failed]);
    };
    // A party may lose its run of a key generation, and then says so: any key request here may meet that.
    await Promise.all([
      ask(() => owners.sign()),
      ask(() => owners.sign()),
      ask(() => owners.makeKey(() => true)),
    ]);
    await killing;
    const { keys, lost, signatures, seen } = owners;
    await judge(net, owners, seen);
    // What they leave works: a key and a signature as ever.
    assert.ok(await owners.makeKey(() => false));
    await owners.sign();
    const requests = `${keys.length} keys, ${lost.length} lost, ${signatures.length} signatures`;
    this.test!.title += ` (${killed.length} kills, ${requests})`;
    assert.equal(killed.length, kills);
  });
});
