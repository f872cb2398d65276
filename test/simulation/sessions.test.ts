// Whole networks on virtual time, each from one seed. `SIMULATION_SEED=N` replays one, `SIMULATION_SEEDS=N` runs so many.
import { seedFromEnvironment } from '../support/chance.ts';
import { simulate, type SimulationReport } from '../support/simulation.ts';

const replayed = process.env.SIMULATION_SEED;
const count = replayed === undefined ? Number(process.env.SIMULATION_SEEDS ?? 3) : 1;
const first = seedFromEnvironment('SIMULATION_SEED');

describe('simulation: a network in trouble', function () {
  // On virtual time; this only keeps a simulation that never ends from running for ever.
  this.timeout(180_000 * (count + 1));

  for (const [parties, threshold, cheat] of [
    [3, 2, false],
    [3, 2, true],
    [5, 3, true],
  ] as const) {
    const who = cheat ? 'one of which cheats' : 'all honest';
    it(`${threshold} of ${parties} parties, ${who}: every request ends as it must, and no more leaves than limits let`, async () => {
      const total = { crashes: 0, cuts: 0, messages: 0, steps: 0, signed: 0, ended: 0, left: 0, most: 0 };
      for (let index = 0; index < count; index += 1) {
        const seed = first + index;
        try {
          const report = await simulate({ seed, parties, threshold, cheat });
          for (const name of Object.keys(total) as (keyof SimulationReport)[]) total[name] += report[name];
        } catch (error) {
          (error as Error).message = `with SIMULATION_SEED=${seed}: ${(error as Error).message}`;
          throw error;
        }
      }
      process.stdout.write(`      seeds ${first} to ${first + count - 1}: ${JSON.stringify(total)}\n`);
    });
  }
});
