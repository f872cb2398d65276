// The line that says what a command is busy with: when it comes, what it holds, and that nothing of it stays.
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import type { CommandContext } from '../../cli/context.ts';
import { waitForRequest } from '../../cli/requests.ts';
import { RpcClientError } from '../../client/rpc-error.ts';
import type { RequestView } from '../../protocol/rpc.ts';
import { createWorld } from '../support/fixture.ts';
import { during, startProgress, type Ticker, verifying } from '../../cli/progress.ts';

const clear = '\r\x1b[K';

/** A terminal that shows what stands in its last line, and a clock with timers that are told when to ring. */
class World {
  written = '';
  time = 0;
  readonly context: CommandContext;
  #callbacks = new Map<object, { callback: () => void; every: number; next: number }>();

  constructor(
    terminal: { isTTY?: boolean; columns?: number } = { isTTY: true, columns: 60 },
    environment = {},
  ) {
    this.context = {
      environment,
      stdin: new PassThrough(),
      stdout: { write: () => assert.fail('progress is not a result') },
      stderr: { ...terminal, write: (text: string) => (this.written += text) },
      now: () => this.time,
      signal: new AbortController().signal,
    };
  }

  readonly ticker: Ticker = (callback, every) => {
    const key = {};
    this.#callbacks.set(key, { callback, every, next: this.time + every });
    return () => this.#callbacks.delete(key);
  };

  get timers(): number {
    return this.#callbacks.size;
  }

  advance(milliseconds: number): void {
    const end = this.time + milliseconds;
    for (;;) {
      const [first] = [...this.#callbacks.values()].toSorted((one, other) => one.next - other.next);
      if (first === undefined || first.next > end) break;
      this.time = first.next;
      first.next += first.every;
      first.callback();
    }
    this.time = end;
  }

  /** What stands in the terminal's last line after all that was written: the cursor is moved by \r alone. */
  get line(): string {
    let line = '';
    let column = 0;
    for (const character of this.written.split('\n').at(-1)!.replaceAll('\x1b[K', '\v')) {
      if (character === '\r') column = 0;
      else if (character === '\v') line = line.slice(0, column);
      else line = `${line.slice(0, column)}${character}${line.slice((column += 1))}`;
    }
    return line;
  }
}

/** Columns that a line takes when what is not ASCII takes two. */
function columnsOf(line: string): number {
  return Array.from(line, (character) => (character > '~' ? 2 : 1)).reduce(
    (sum: number, each) => sum + each,
    0,
  );
}

describe('waiting for a request', () => {
  const { keyring } = createWorld();
  const names = keyring.roster.parties.map(({ name }) => name);

  const viewOf = (more: Partial<RequestView>): RequestView =>
    ({
      requestId: `0x${'12'.repeat(32)}`,
      keyringId: keyring.id,
      state: 'pending',
      votes: { have: 0, need: keyring.roster.threshold, refused: 0 },
      results: [],
      ...more,
    }) as RequestView;
  const resultOf = (index: number): RequestView['results'][number] => ({
    ...keyring.envelope,
    signatures: [{ ...keyring.envelope.signatures[0]!, credential: keyring.roster.parties[index]!.key }],
  });
  const partial = viewOf({
    state: 'partial',
    missing: [
      { rule: 'spend', need: 2, have: ['alice'], from: ['alice', 'bob', 'carol'] },
      { rule: 'audit', need: 1, have: [], from: ['dora'] },
    ],
  });

  /** Waits on a coordinator that gives these answers, each after a second; returns the lines that stood meanwhile. */
  async function waited(
    world: World,
    first: RequestView,
    answers: readonly (RequestView | Error)[],
    options = {},
    roster: unknown = keyring.envelope,
  ): Promise<string[]> {
    const lines: string[] = [];
    const left = [...answers];
    const call = async (method: string): Promise<unknown> => {
      if (method === 'keyring_get') return { roster };
      world.advance(lines.length === 0 ? 2000 : 1000);
      lines.push(world.line);
      const answer = left.shift();
      if (answer instanceof Error) throw answer;
      return answer;
    };
    const session = { client: { call }, networkId: keyring.roster.networkId } as unknown as Parameters<
      typeof waitForRequest
    >[1];
    await waitForRequest(world.context, session, first, undefined, { ticker: world.ticker, ...options });
    assert.equal(world.line, '');
    assert.equal(world.timers, 0);
    return lines;
  }
  const fulfilled = viewOf({ state: 'fulfilled' });
  const wide = { isTTY: true, columns: 200 };

  it('names the approvers, then the parties that have not answered', async () => {
    const rest = names.slice(1).join(', ');
    const lines = await waited(new World(wide), partial, [
      viewOf({}),
      viewOf({ results: [resultOf(0)], votes: { have: 1, need: 2, refused: 0 } }),
      fulfilled,
    ]);
    assert.deepEqual(lines, [
      'waiting for approvals: 1 more of bob, carol; dora ... 2 s',
      `waiting for parties: 2 more of ${names.join(', ')} ... 3 s`,
      `waiting for parties: ${names.length === 2 ? rest : `1 more of ${rest}`} ... 4 s`,
    ]);
  });

  it('says that the coordinator does not answer, and goes on', async () => {
    const away = new RpcClientError('unreachable', 'cannot reach it', 'check it', { retryAfterMs: 1 });
    const lines = await waited(new World(wide), viewOf({}), [away, viewOf({}), fulfilled]);
    assert.match(lines[0]!, /^waiting for parties/);
    assert.equal(lines[1], 'waiting for the coordinator, which does not answer ... 3 s');
    assert.match(lines[2]!, /^waiting for parties/);
  });

  it('counts parties whose names it cannot learn', async () => {
    const [line] = await waited(new World(wide), viewOf({}), [fulfilled], {}, { bytes: 'nothing of it' });
    assert.equal(line, 'waiting for parties: 0 of 2 have answered ... 2 s');
  });

  it('notes each state in a line of its own, and with --json or without a terminal nothing else', async () => {
    for (const world of [new World({}), new World(wide)]) {
      const options = { json: world.context.stderr.isTTY === true };
      const lines = await waited(world, partial, [viewOf({}), fulfilled], options);
      assert.equal(
        world.written,
        'partial: approvals missing, 1 more for rule spend; 1 more for rule audit\n' +
          'pending: 0 of 2 parties have answered\n',
      );
      assert.deepEqual(lines, ['', '']);
    }
  });
});

describe('progress', () => {
  const start = (world: World, what: () => string, more = {}) =>
    startProgress(world.context, { ticker: world.ticker, ...more }, what);

  it('is silent for two seconds, then says what goes on and for how long, and clears it', () => {
    const world = new World();
    let what = 'waiting for bob';
    const progress = start(world, () => what);
    world.advance(1999);
    assert.equal(world.written, '');
    world.advance(1);
    assert.equal(world.line, 'waiting for bob ... 2 s');
    what = 'waiting for parties';
    world.advance(61_000);
    assert.equal(world.line, 'waiting for parties ... 1 min 3 s');
    assert.equal(world.written.includes('\n'), false);
    progress.stop();
    assert.ok(world.written.endsWith(clear));
    assert.equal(world.line, '');
    const { written } = world;
    world.advance(10_000);
    assert.equal(world.written, written, 'nothing afterwards');
    assert.equal(world.timers, 0);
  });

  it('writes nothing at all for what is done within two seconds', () => {
    const world = new World();
    const progress = start(world, () => 'x');
    world.advance(1900);
    progress.stop();
    assert.equal(world.written, '');
  });

  it('says nothing without a terminal, on one without a cursor, and with --json', () => {
    for (const world of [
      new World({}),
      new World({ isTTY: false }),
      new World(undefined, { TERM: 'dumb' }),
    ]) {
      const progress = start(world, () => 'x', { atOnce: true });
      assert.equal(progress.shows, false);
      world.advance(10_000);
      progress.stop();
      assert.equal(world.written, '');
      assert.equal(world.timers, 0);
    }
    const world = new World();
    start(world, () => 'x', { json: true, atOnce: true }).stop();
    assert.equal(world.written, '');
  });

  it('gives way to other lines, and comes back below them', () => {
    const world = new World();
    const progress = start(world, () => 'waiting');
    world.advance(3000);
    progress.beside(() => world.context.stderr.write('pending: 0 of 3\n'));
    assert.ok(
      world.written.endsWith(`${clear}pending: 0 of 3\n\rwaiting ... 3 s\x1b[K`),
      JSON.stringify(world.written),
    );
    progress.stop();
    // Before it has begun, the other line alone is written.
    const other = new World();
    start(other, () => 'waiting').beside(() => other.context.stderr.write('note\n'));
    assert.equal(other.written, 'note\n');
  });

  it('stays within one line, whatever it is told to say', () => {
    const world = new World({ isTTY: true, columns: 20 });
    const progress = start(world, () => `waiting for\r\n\x1b[2J\u202e${'x'.repeat(100)}`);
    world.advance(2000);
    assert.equal(world.line, 'waiting for \\u{1...');
    progress.stop();
    const wide = new World({ isTTY: true, columns: 20 });
    start(wide, () => '漢字'.repeat(20));
    wide.advance(2000);
    // 20 columns are 9 wide characters and one to spare.
    assert.ok(columnsOf(wide.line) < 20, wide.line);
    // A terminal that does not know its width is taken for one of 80.
    const unknown = new World({ isTTY: true, columns: 0 });
    start(unknown, () => 'y'.repeat(200));
    unknown.advance(2000);
    assert.equal(unknown.line.length, 79);
  });

  it('ends with what it accompanies, done or failed', async () => {
    const world = new World();
    const ticker = { ticker: world.ticker };
    const done = await during(world.context, ticker, 'opening', async () => {
      world.advance(2500);
      return 7;
    });
    assert.equal(done, 7);
    assert.equal(world.written, `\ropening ... 2 s\x1b[K${clear}`);
    const failing = during(world.context, ticker, 'opening', () => Promise.reject(new Error('no')));
    await assert.rejects(failing, /no/);
    assert.equal(world.timers, 0);
  });

  it('announces the verification of a large file before it begins, and of a small one not', async () => {
    const world = new World();
    const seen: string[] = [];
    const look = (): number => seen.push(world.line);
    await verifying(
      world.context,
      { ticker: world.ticker },
      'a/receipt.json',
      new Uint8Array(300 * 1024),
      look,
    );
    await verifying(world.context, { ticker: world.ticker }, 'a/receipt.json', new Uint8Array(1000), look);
    assert.deepEqual(seen, ['verifying a/receipt.json (300 KiB) ...', '']);
    await assert.rejects(
      verifying(world.context, { ticker: world.ticker }, 'f', new Uint8Array(300 * 1024), () => {
        throw new Error('bad');
      }),
      /bad/,
    );
    assert.equal(world.line, '');
  });
});
