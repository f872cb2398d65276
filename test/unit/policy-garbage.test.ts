// Policies with garbage anywhere in them, as values and as text: refused with a place, or taken and then as clear as any
// other. GARBAGE=100000 for a long run, RANDOM_SEED to have the same again.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CliError } from '../../cli/errors.ts';
import { readPolicy } from '../../cli/policy-file.ts';
import { describePolicy, policyWarnings } from '../../protocol/policy/explain.ts';
import { adminPolicySchema, policySchema } from '../../protocol/policy/schema.ts';
import { type RefPolicy, referenceVerdict } from '../reference/policy.ts';
import { flipped, garbageCount, printedSeed, Random } from '../support/garbage.ts';
import { engineVerdict, plainVerdict } from '../support/judged-situation.ts';
import { Draw, drawSituation, people } from '../support/policy-cases.ts';

/** What one policy may take of a processor, on whatever machine: a hang is far longer. */
const longestMs = 5000;

/** Milliseconds of processor time that this process has used since. Not of the clock: machines stand still. */
function usedSince(begun: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(begun);
  return (user + system) / 1000;
}

const hostile: readonly unknown[] = [
  null,
  true,
  '',
  ' ',
  '*',
  '0',
  '-1',
  '1e9',
  '0x',
  '__proto__',
  'constructor',
  'owners',
  '\u202e\u0000',
  'a'.repeat(10_000),
  '9'.repeat(500),
  `0.${'0'.repeat(300)}1`,
  0,
  -1,
  0.5,
  2 ** 53,
  Number.NaN,
  Infinity,
  [],
  {},
  Array.from({ length: 2000 }, (_, index) => `m${index}`),
  JSON.parse('{"__proto__": {"k": 1}, "constructor": "x"}'),
  JSON.parse(`${'{"all":['.repeat(200)}{"k":1,"of":"owners"}${']}'.repeat(200)}`),
  { any: Array.from({ length: 500 }, () => ({ k: 1, of: 'owners' })) },
  { days: 'mon-sun', between: '00:00-24:00', zone: 'Nowhere/Land' },
];

type Place = { readonly holder: Record<string, unknown>; readonly key: string };

/** Every value in it, by what holds it. */
function placesIn(value: unknown): Place[] {
  if (typeof value !== 'object' || value === null) return [];
  const holder = value as Record<string, unknown>;
  return Object.keys(holder).flatMap((key) => [{ holder, key }, ...placesIn(holder[key])]);
}

/** One value less, another, twice, in another place, or where there was none. */
function spoil(random: Random, policy: unknown): void {
  const places = placesIn(policy);
  const { holder, key } = random.pick(places);
  const other = random.pick(places);
  const what = random.below(5);
  if (what === 0) delete holder[key];
  else if (what === 1) holder[key] = structuredClone(random.pick(hostile));
  else if (what === 2) holder[key] = structuredClone(other.holder[other.key]);
  else if (what === 3) holder[other.key] = structuredClone(other.holder[other.key]);
  else if (Array.isArray(holder[key])) holder[key].push(...structuredClone(holder[key]));
}

describe('policies with garbage in them', function () {
  this.timeout(Math.max(120_000, garbageCount * 60));

  it('are refused with a reason, or mean what a naive reading says', () => {
    const seed = printedSeed('policies');
    const random = new Random(seed);
    const seen = { refused: 0, taken: 0 };
    for (let tried = 0; tried < garbageCount; tried += 1) {
      const situation = drawSituation(new Draw(random.below(2 ** 32)));
      const level = random.pick(random.pick(situation.items).levels);
      const spoilt = structuredClone(level.policy);
      for (let edits = random.chance(0.6) ? 1 : 2 + random.below(5); edits > 0; edits -= 1)
        spoil(random, spoilt);
      const what = (): string => `RANDOM_SEED=${seed}, policy ${tried}`;
      const begun = process.cpuUsage();
      adminPolicySchema.safeParse(spoilt);
      const parsed = policySchema.safeParse(spoilt);
      if (!parsed.success) {
        seen.refused += 1;
        assert.ok(
          parsed.error.issues.every(({ message }) => message !== ''),
          what(),
        );
      } else {
        seen.taken += 1;
        const policy = JSON.parse(JSON.stringify(parsed.data)) as RefPolicy;
        assert.deepEqual(policySchema.parse(policy), parsed.data, what());
        assert.ok(
          describePolicy(parsed.data).every((line) => !line.includes('undefined')),
          what(),
        );
        policyWarnings(parsed.data, people);
        const items = situation.items.map(({ levels, ...item }) => ({
          ...item,
          levels: levels.map((one) => (one.policy === level.policy ? { ...one, policy } : one)),
        }));
        const judged = { ...situation, items };
        assert.deepEqual(plainVerdict(engineVerdict(judged)), plainVerdict(referenceVerdict(judged)), what());
      }
      assert.ok(usedSince(begun) < longestMs, `${what()} took too long`);
    }
    process.stdout.write(`      ${garbageCount} policies: ${JSON.stringify(seen)}\n`);
    assert.ok(seen.refused > garbageCount / 10 && seen.taken > garbageCount / 20, JSON.stringify(seen));
  });

  it('as text are refused with file, line and column, or taken', async () => {
    const seed = printedSeed('policies as text');
    const random = new Random(seed);
    const blocks = /^```yaml\n(.*?)^```$/gms;
    const document = await readFile(new URL('../../docs/policy.md', import.meta.url), 'utf8');
    const texts = [...document.matchAll(blocks)].map(([, yaml]) => Buffer.from(yaml!));
    const lines = texts.flatMap((text) => text.toString().split('\n'));
    const folder = await mkdtemp(join(tmpdir(), 'countersign-policies-'));
    const seen = { refused: 0, taken: 0 };
    try {
      const file = join(folder, 'policy.yaml');
      for (let tried = 0; tried < garbageCount; tried += 1) {
        const text = random.pick(texts);
        const own = text.toString().split('\n');
        if (random.chance(0.4)) await writeFile(file, flipped(random, text));
        else {
          for (let edits = 1 + random.below(3); edits > 0; edits -= 1)
            own.splice(random.below(own.length), random.below(3), random.pick(lines));
          await writeFile(file, own.join('\n'));
        }
        try {
          await readPolicy(file, random.chance(0.2) ? 'admin' : 'sign');
          seen.taken += 1;
        } catch (error) {
          seen.refused += 1;
          assert.ok(error instanceof CliError, `RANDOM_SEED=${seed}, text ${tried}: ${String(error)}`);
          assert.match(error.message, /^\S+policy\.yaml(:\d+:\d+)?: \S/);
        }
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
    process.stdout.write(`      ${garbageCount} texts: ${JSON.stringify(seen)}\n`);
    assert.ok(seen.refused > garbageCount / 10 && seen.taken > garbageCount / 100, JSON.stringify(seen));
  });

  it('of aliases, or so deep or long that reading them is work, are refused at once', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-policies-'));
    const file = join(folder, 'policy.yaml');
    const bomb = [
      'a: &a [x]',
      ...Array.from(
        { length: 30 },
        (_, at) => `b${at}: &b${at} [*${at === 0 ? 'a' : `b${at - 1}`}, *${at === 0 ? 'a' : `b${at - 1}`}]`,
      ),
    ];
    const deep = `rules: ${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const long = `version: 1\nrules:\n${'  - { id: a, effect: allow }\n'.repeat(30_000)}`;
    try {
      for (const text of [bomb.join('\n'), deep, long]) {
        await writeFile(file, text);
        const begun = process.cpuUsage();
        await assert.rejects(readPolicy(file, 'sign'), (error) => {
          assert.ok(error instanceof CliError, 'not refused as a mistake in the file');
          return true;
        });
        assert.ok(usedSince(begun) < 4 * longestMs, `${text.slice(0, 40)} took too long`);
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
