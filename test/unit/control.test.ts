// The local control socket: garbage never hurts it, strangers' folders are refused, stale sockets are replaced.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import {
  type Control,
  ControlError,
  type ControlErrorCode,
  callControl,
  startControl,
} from '../../node/control.ts';
import { chooseControlPath, possibleControlPaths } from '../../node/control-path.ts';
import { until } from '../support/until.ts';

describe('local control', () => {
  let root: string;
  let dir: string;
  let environment: Record<string, string>;
  const running: Control[] = [];
  const logged: string[] = [];
  /** Calls of `hang` that were begun. */
  let hanging = 0;

  beforeEach(async () => {
    // Short, because the whole path must fit into 107 bytes.
    root = await mkdtemp('/tmp/cs-');
    dir = join(root, 'data');
    await mkdir(dir);
    await mkdir(join(root, 'run'), { mode: 0o700 });
    environment = { XDG_RUNTIME_DIR: join(root, 'run'), TMPDIR: root };
    logged.length = 0;
  });
  afterEach(async () => {
    for (const control of running.splice(0)) await control.stop();
    await rm(root, { recursive: true, force: true });
  });

  async function start(options: Partial<Parameters<typeof startControl>[0]> = {}): Promise<Control> {
    const control = await startControl({
      dir,
      environment,
      log: (event) => logged.push(event),
      handlers: {
        status: async () => ({ up: true }),
        echo: async (params) => params,
        fail: async () => {
          throw Object.assign(new Error('it broke\nbadly'), { code: 'broken' });
        },
        hang: () => {
          hanging += 1;
          return new Promise(() => undefined);
        },
      },
      ...options,
    });
    running.push(control);
    return control;
  }

  function call(method: string, params?: unknown, timeoutMs = 5000): Promise<unknown> {
    return callControl(dir, method, params, { environment, timeoutMs });
  }

  function fails(code: ControlErrorCode, reason?: string): (error: unknown) => boolean {
    return (error) => {
      assert.ok(error instanceof ControlError, String(error));
      assert.equal(error.code, code, error.message);
      assert.doesNotMatch(error.message, /\n/);
      if (reason !== undefined) assert.equal(error.reason, reason);
      return true;
    };
  }

  /** Sends bytes as they are, and returns all that comes back until the other side closes. */
  async function raw(path: string, bytes: string | Uint8Array): Promise<string> {
    const socket = connect({ path, allowHalfOpen: true });
    let received = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => (received += chunk));
    socket.on('error', () => undefined);
    socket.write(bytes);
    socket.end();
    await once(socket, 'close');
    return received;
  }

  it('answers methods with their results', async () => {
    await start();
    assert.deepEqual(await call('status'), { up: true });
    assert.deepEqual(await call('echo', { text: 'a\nb', list: [1] }), { text: 'a\nb', list: [1] });
  });

  it('is a socket of mode 0600 in the runtime folder, whatever name the data folder is called by', async () => {
    const { path } = await start();
    const status = await stat(path);
    assert.ok(status.isSocket());
    assert.equal(status.mode & 0o777, 0o600);
    assert.ok(path.startsWith(join(root, 'run')));
    await symlink(dir, join(root, 'link'));
    assert.deepEqual(await callControl(join(root, 'link'), 'status', undefined, { environment }), {
      up: true,
    });
  });

  it('is found by an operator whose environment names another runtime folder than the service has', async () => {
    await start({ environment: { TMPDIR: root } });
    assert.deepEqual(await call('status'), { up: true });
  });

  it('tells what a handler threw, and lives on', async () => {
    await start();
    await assert.rejects(call('fail'), fails('refused', 'broken'));
    assert.deepEqual(logged, ['control.failed']);
    assert.deepEqual(await call('status'), { up: true });
  });

  it('refuses methods that are not its own, those of every object included', async () => {
    await start();
    for (const method of ['stop', '__proto__', 'constructor', 'toString', '']) {
      await assert.rejects(call(method), fails('refused', 'unknown_method'));
    }
  });

  it('survives garbage', async () => {
    const { path } = await start();
    const cases = [
      '\n',
      'null\n',
      '[]\n',
      '{"method":1}\n',
      '{"method":"status","more":1}\n',
      '{\n',
      '\xff\xfe\n',
    ];
    for (const bytes of cases) assert.match(await raw(path, bytes), /"ok":false.*malformed/);
    assert.equal(await raw(path, '{"method":"status"}'), '', 'half a line is no request');
    assert.match(await raw(path, new Uint8Array([0, 255, 10])), /malformed/);
    assert.deepEqual(await call('status'), { up: true });
  });

  it('bounds a request to 2 MiB, with and without a line end', async () => {
    const { path } = await start();
    const long = `{"method":"echo","params":"${'x'.repeat(2 * 1024 * 1024)}"}`;
    for (const bytes of [long, `${long}\n`]) assert.match(await raw(path, bytes), /too_large/);
    const fits = 'x'.repeat(60 * 1024);
    assert.equal(await call('echo', fits), fits);
  });

  it('takes no text that is not UTF-8, not even within a string', async () => {
    const { path } = await start();
    const bytes = Buffer.from('{"method":"echo","params":"\xff"}\n', 'latin1');
    assert.match(await raw(path, bytes), /malformed/);
  });

  it('does no work ahead for a caller who never reads, and drops it', async () => {
    let answered = 0;
    const text = 'x'.repeat(256 * 1024);
    const { path } = await start({
      deadlineMs: 2000,
      handlers: {
        large: async () => {
          answered += 1;
          return text;
        },
      },
    });
    // Sixteen connections are all there are: kept for ever, they would keep an operator out.
    const deaf = Array.from({ length: 16 }, () => {
      const socket = connect({ path, allowHalfOpen: true }).pause();
      socket.on('error', () => undefined);
      for (let count = 0; count < 100; count += 1) socket.write('{"method":"large"}\n');
      return socket;
    });
    await until(() => answered >= 16, 'all are answered');
    const reached = async (): Promise<boolean> => {
      const error = await call('nothing').catch((thrown: unknown) => thrown);
      return error instanceof ControlError && error.reason === 'unknown_method';
    };
    await until(reached, 'an operator is heard again');
    assert.ok(answered < 16 * 10, `${answered} answers for callers who took none`);
    for (const socket of deaf) socket.destroy();
  });

  it('answers several requests of one connection in order', async () => {
    const { path } = await start();
    const answers = await raw(
      path,
      '{"method":"echo","params":1}\n{"method":"fail"}\n{"method":"echo","params":2}\n',
    );
    assert.deepEqual(
      answers
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).result ?? JSON.parse(line).error.code),
      [1, 'broken', 2],
    );
  });

  it('ends a connection that sends nothing, and a handler that does not answer, at the deadline', async () => {
    const { path } = await start({ deadlineMs: 50 });
    const socket = connect({ path, allowHalfOpen: true });
    socket.resume();
    await once(socket, 'end');
    socket.destroy();
    await assert.rejects(call('hang'), fails('refused', 'deadline'));
  });

  it('gives up waiting when told to', async () => {
    await start();
    await assert.rejects(call('hang', undefined, 50), fails('no_answer'));
    const controller = new AbortController();
    const waiting = callControl(dir, 'hang', undefined, { environment, signal: controller.signal });
    controller.abort(new Error('told to'));
    await assert.rejects(waiting, /told to/);
  });

  it('says that no node runs, before one started and after it stopped', async () => {
    await assert.rejects(call('status'), fails('not_running'));
    const control = await start();
    await control.stop();
    await assert.rejects(call('status'), fails('not_running'));
  });

  it('tells another user whose node it would be', async () => {
    // A folder that is not this user's: made so, or as the system has it.
    const root = process.getuid?.() === 0;
    if (root) await chown(dir, 4711, 4711);
    const foreign = root ? dir : '/';
    const message = root
      ? /no node of user 0 runs on .*belongs to user 4711: run this as that user/
      : /belongs to user 0/;
    await assert.rejects(callControl(foreign, 'status', undefined, { environment }), (error) => {
      assert.ok(error instanceof ControlError);
      assert.equal(error.code, 'not_running');
      assert.match(error.message, message);
      return true;
    });
  });

  it('stops at once, with a connection open and a handler at work', async () => {
    const control = await start();
    const begun = hanging;
    const waiting = call('hang');
    waiting.catch(() => undefined);
    await until(() => hanging > begun, 'the handler to begin');
    await control.stop();
    await assert.rejects(waiting, fails('no_answer'));
  });

  it('refuses a second process on the same folder', async () => {
    await start();
    await assert.rejects(start(), fails('in_use'));
    assert.deepEqual(await call('status'), { up: true });
  });

  it('replaces the socket of a process that was killed', async () => {
    const path = await chooseControlPath(dir, environment);
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.ok((await stat(path)).isSocket());
    await assert.rejects(call('status'), fails('not_running'));
    await start();
    assert.deepEqual(await call('status'), { up: true });
  });

  it('never removes a file that is no socket', async () => {
    await writeFile(await chooseControlPath(dir, environment), 'precious');
    await assert.rejects(start(), fails('in_use'));
    assert.ok((await stat(await chooseControlPath(dir, environment))).isFile());
  });

  it('uses no folder that others may enter, in neither direction', async () => {
    const { path } = await start();
    await chmod(join(root, 'run'), 0o755);
    assert.ok(!(await possibleControlPaths(dir, environment)).includes(path));
    assert.notEqual(await chooseControlPath(dir, environment), path);
    await chmod(join(root, 'run'), 0o700);
  });

  it('does not follow a link that stands for the folder', async () => {
    await symlink(join(root, 'run'), join(root, 'other'));
    const linked = { XDG_RUNTIME_DIR: join(root, 'other'), TMPDIR: root };
    assert.ok(!(await chooseControlPath(dir, linked)).startsWith(join(root, 'other')));
  });

  it('refuses a path that the system would cut', async () => {
    const deep = join(root, 'x'.repeat(90));
    await mkdir(deep, { mode: 0o700 });
    await assert.rejects(chooseControlPath(dir, { XDG_RUNTIME_DIR: deep }), fails('path_too_long'));
  });

  it('refuses a data folder that does not exist', async () => {
    await assert.rejects(start({ dir: join(root, 'nowhere') }), fails('no_folder'));
  });

  it('calls an answer that is none by its name', async () => {
    const path = await chooseControlPath(dir, environment);
    for (const [text, code] of [
      ['hello\n', 'malformed'],
      ['{"ok":true,"result":1,"more":2}\n', 'malformed'],
      ['', 'no_answer'],
    ] as const) {
      const server: Server = createServer((socket) => {
        socket.on('error', () => undefined);
        socket.once('data', () => socket.end(text));
      });
      server.listen(path);
      await once(server, 'listening');
      await assert.rejects(call('status'), fails(code));
      server.close();
      await once(server, 'close');
    }
  });
});
