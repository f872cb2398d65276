// What a broken or hostile program of the node's own user sends to its control socket: lines that are no requests, requests
// for what is not there, and bytes that never become a line.
import { bytesOf, flipped, type Garbage, junkText, marredJson, type Random, truncated } from './garbage.ts';

const whole = (kind: string, ...pieces: Uint8Array[]): Garbage => ({ kind, pieces, end: 'half' });
const line = (text: string): Buffer => bytesOf(`${text}\n`);
const status = line('{"method":"status"}');

/** Each kind of input, and how often it comes among the others. What never ends takes the whole deadline: it is rare. */
const kinds: readonly (readonly [weight: number, make: (random: Random) => Garbage])[] = [
  [10, (random) => whole('random bytes', random.bytes(1 + random.below(4000)))],
  [10, (random) => whole('random line', random.bytes(1 + random.below(4000)), line(''))],
  [10, (random) => whole('truncated', truncated(random, status))],
  [15, (random) => whole('flipped bits', flipped(random, status))],
  [15, (random) => whole('junk', line(junkText(random)))],
  [20, (random) => whole('wrong field', line(marredJson(random, { method: 'status', params: { a: [1] } })))],
  [
    10,
    (random) => {
      const names = [
        '__proto__',
        'constructor',
        'toString',
        'valueOf',
        '',
        'status ',
        'STATUS',
        'sign',
        'x'.repeat(101),
      ];
      return whole('unknown method', line(JSON.stringify({ method: random.pick(names), params: {} })));
    },
  ],
  [3, (random) => whole('line too long', bytesOf('x'.repeat(65 * 1024 + random.below(200_000))), line(''))],
  [1, () => ({ kind: 'line without end', pieces: [Buffer.alloc(4 * 1024 * 1024, 0x61)], end: 'wait' })],
  [3, (random) => whole('deep', line('['.repeat(1 + random.below(60_000))))],
  [2, (random) => whole('empty lines', line('\n'.repeat(random.below(3000))))],
  [
    3,
    (random) =>
      whole('many at once', Buffer.concat(Array.from({ length: 1 + random.below(40) }, () => status))),
  ],
  [
    2,
    () => ({
      kind: 'many at once, and gone',
      pieces: [Buffer.concat(Array.from({ length: 40 }, () => status))],
      end: 'reset at answer',
    }),
  ],
  [
    3,
    (random) => ({
      kind: 'hung up',
      pieces: [random.pick([status, truncated(random, status)])],
      end: 'reset',
    }),
  ],
  [3, (random) => ({ kind: 'nothing, and gone', pieces: [], end: random.pick(['half', 'reset']) })],
  [0.05, () => ({ kind: 'nothing', pieces: [], end: 'wait' })],
  [
    0.05,
    () => ({ kind: 'slow', pieces: [bytesOf(`{"method":"${'x'.repeat(5000)}`)], pace: 'slow', end: 'wait' }),
  ],
];

const total = kinds.reduce((sum, [weight]) => sum + weight, 0);

/** One more input. */
export function controlGarbage(random: Random): Garbage {
  let at = random.next() * total;
  for (const [weight, make] of kinds) {
    at -= weight;
    if (at < 0) return make(random);
  }
  return kinds[0]![1](random);
}
