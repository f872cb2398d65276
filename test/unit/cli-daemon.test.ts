// A daemon's life and its log.
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { type DaemonOptions, runDaemon } from '../../cli/daemon.ts';
import { createLog } from '../../cli/log.ts';
import type { CommandContext } from '../../cli/context.ts';
import type { Json } from '../support/cli-run.ts';

function contextWith(signal: AbortSignal): CommandContext {
  const nowhere = { write: () => true };
  return {
    environment: {},
    stdin: new PassThrough(),
    stdout: nowhere,
    stderr: nowhere,
    now: Date.now,
    signal,
  };
}

describe('a daemon', () => {
  const controllers: AbortController[] = [];

  function start(options: Omit<DaemonOptions, 'log'>) {
    const controller = new AbortController();
    controllers.push(controller);
    const events: [string, Record<string, unknown>][] = [];
    const log = (event: string, fields: Record<string, unknown>) => void events.push([event, fields]);
    const ended = runDaemon(contextWith(controller.signal), { log, ...options });
    ended.catch(() => undefined);
    return { ended, events, names: () => events.map(([event]) => event), stop: () => controller.abort() };
  }

  const listeners = () =>
    ['SIGINT', 'SIGTERM', 'unhandledRejection', 'uncaughtException'].map((name) =>
      process.listenerCount(name),
    );

  it('stops its parts in reverse order, and leaves no listener behind', async () => {
    const before = listeners();
    const stopped: string[] = [];
    let up!: () => void;
    const running = new Promise<void>((resolve) => (up = resolve));
    const daemon = start({
      start: async ({ started }) => {
        for (const name of ['store', 'network', 'control'])
          started(name, async () => void stopped.push(name));
        up();
      },
    });
    await running;
    daemon.stop();
    await daemon.ended;
    assert.deepEqual(stopped, ['control', 'network', 'store']);
    assert.deepEqual(daemon.names(), ['daemon.stopping', 'daemon.stopped']);
    assert.deepEqual(listeners(), before);
  });

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    it(`stops at ${signal}`, async () => {
      const daemon = start({ start: async () => undefined });
      process.emit(signal, signal);
      await daemon.ended;
      assert.deepEqual(daemon.events[0], ['daemon.stopping', { reason: signal }]);
    });
  }

  it('stops what had started when a later part fails to, and reports that failure', async () => {
    const stopped: string[] = [];
    const daemon = start({
      start: async ({ started }) => {
        started('store', async () => void stopped.push('store'));
        throw new Error('no network');
      },
    });
    await assert.rejects(daemon.ended, /no network/);
    assert.deepEqual(stopped, ['store']);
  });

  it('ends when a part cannot go on', async () => {
    const daemon = start({ start: async ({ failed }) => failed(new Error('the grant ended')) });
    await assert.rejects(daemon.ended, /the grant ended/);
  });

  it('leaves a start that hangs, and stops what comes up afterwards', async () => {
    const stopped: string[] = [];
    let release!: () => void;
    const held = new Promise<void>((resolve) => (release = resolve));
    const daemon = start({
      start: async ({ started }) => {
        await held;
        started('late', async () => void stopped.push('late'));
      },
    });
    daemon.stop();
    await daemon.ended;
    release();
    await held;
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(stopped, ['late']);
  });

  it('ends with an error when something was handled by nobody', async () => {
    const daemon = start({ start: async () => undefined });
    process.emit('unhandledRejection', new Error('forgotten'), Promise.resolve());
    await assert.rejects(daemon.ended, /nothing handled: Error: forgotten/);
    assert.ok(daemon.names().includes('daemon.fatal'));
  });

  it('stops the other parts when one cannot be stopped, and says so', async () => {
    const stopped: string[] = [];
    const daemon = start({
      start: async ({ started }) => {
        started('store', async () => void stopped.push('store'));
        started('network', () => Promise.reject(new Error('stuck')));
      },
    });
    daemon.stop();
    await assert.rejects(daemon.ended, /did not stop cleanly \(network\)/);
    assert.deepEqual(stopped, ['store']);
  });

  it('does not wait for ever for a part that hangs, nor at a second signal', async () => {
    const hang = {
      start: async ({ started }) => started('network', () => new Promise(() => undefined)),
    } satisfies Partial<DaemonOptions>;
    const late = start({ ...hang, stopWithinMs: 20 });
    late.stop();
    await assert.rejects(late.ended, /not stopped within 20 ms/);
    const hurried = start({ ...hang, stopWithinMs: 60_000 });
    process.emit('SIGTERM', 'SIGTERM');
    process.emit('SIGTERM', 'SIGTERM');
    await assert.rejects(hurried.ended, /second signal/);
  });
});

describe("a daemon's log", () => {
  function lines(
    level: Parameters<typeof createLog>[0],
    write: (log: ReturnType<typeof createLog>) => void,
  ): Json[] {
    const written: string[] = [];
    write(createLog(level, { write: (line: string) => void written.push(line) }));
    return written.map((line) => JSON.parse(line));
  }

  it('is one JSON object a line, with time, level, event and fields', () => {
    const [line] = lines('info', (log) => log('peer.up', { party: 'acme', count: 3, big: 5n }));
    assert.deepEqual(
      { ...line, time: typeof line.time, pid: typeof line.pid },
      { level: 'info', time: 'string', pid: 'number', event: 'peer.up', party: 'acme', count: 3, big: '5' },
    );
  });

  it('holds nothing that a terminal would act on, and means the same', () => {
    const hostile = 'a\u001b[2Jb\u009b31mc\u202ed\u2028e\u200bf\u007fg\u{e0041}h\nü';
    const written: string[] = [];
    const log = createLog('info', { write: (line: string) => void written.push(line) });
    log('peer.up', { reason: hostile, [hostile]: new Error(hostile) });
    log(`odd\u009b${hostile}`, {});
    assert.equal(written.length, 2);
    for (const line of written) {
      assert.match(line, /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]+\n$/u);
      assert.ok(line.includes('ü'));
    }
    const [first, second] = written.map((line) => JSON.parse(line) as Json);
    assert.equal(first.reason, hostile);
    assert.equal(first[hostile].message, hostile);
    assert.equal(second.event, `odd\u009b${hostile}`);
  });

  it('takes the level from the event, or from the field', () => {
    const written = lines('warn', (log) => {
      log('peer.up', {});
      log('gossip.failed', {});
      log('store.error', {});
      log('peer.up', { level: 'error' });
    });
    assert.deepEqual(
      written.map(({ level, event }) => [level, event]),
      [
        ['warn', 'gossip.failed'],
        ['error', 'store.error'],
        ['error', 'peer.up'],
      ],
    );
  });

  it('writes no secret, wherever it stands, and no raw bytes', () => {
    const hidden = 'do not print';
    const error = Object.assign(new Error('failed'), { seed: hidden, cause: { password: hidden } });
    const [line] = lines('info', (log) =>
      log('x', {
        passphrase: hidden,
        deep: { list: [{ privateKey: hidden, secretShare: hidden, share: hidden }] },
        bytes: new Uint8Array([1, 2, 3]),
        error,
      }),
    );
    const text = JSON.stringify(line);
    assert.doesNotMatch(text, /do not print/);
    assert.equal(line.passphrase, '[redacted]');
    assert.equal(line.bytes, '[3 bytes]');
    assert.equal(line.error.message, 'failed');
  });

  it('is not lost in what refers to itself, is long, or pretends to be the log', () => {
    const circle: Record<string, unknown> = { event: 'forged', time: 'forged', pid: 'forged' };
    circle.self = circle;
    circle.long = 'x'.repeat(10_000);
    const [line] = lines('info', (log) => log('real', circle));
    assert.equal(line.event, 'real');
    assert.equal(line.event_, 'forged');
    assert.notEqual(line.time, 'forged');
    assert.ok(line.long.length < 5000);
  });
});
