// What a command is busy with, for a person who waits at a terminal: one line on standard error, rewritten in place and
// cleared at the end. Nothing is said in the first seconds, nor where nobody looks: no terminal, or `--json`.
import type { CommandContext } from './context.ts';
import { printableLine } from './printable.ts';

/** Calls back again and again, so many milliseconds apart, until the function it returns is called. */
export type Ticker = (callback: () => void, milliseconds: number) => () => void;

export interface ProgressOptions {
  readonly json?: boolean | undefined;
  /** For work that lets no timer ring: the line is there from the beginning. */
  readonly atOnce?: boolean;
  /** Default: setInterval. */
  readonly ticker?: Ticker;
}

export interface Progress {
  /** Whether anybody sees it. */
  readonly shows: boolean;
  /** Runs what writes to standard error itself: the line gives way to it. */
  beside(write: () => void): void;
  /** Clears the line; nothing is written afterwards. */
  stop(): void;
}

/** Milliseconds after which something is worth a line, and between two forms of it. */
const quietMs = 2000;
const tickMs = 1000;
const usualColumns = 80;

const everySoOften: Ticker = (callback, milliseconds) => {
  const timer = setInterval(callback, milliseconds);
  // What is waited for keeps the process alive, not the line about it.
  timer.unref();
  return () => clearInterval(timer);
};

/** As much of the text as a line surely has room for: characters that are not ASCII may be two columns wide. */
function cut(text: string, columns: number): string {
  let width = 0;
  let fitting = '';
  for (const character of text) {
    width += character > '~' ? 2 : 1;
    if (width > columns) return `${fitting.slice(0, -3)}...`;
    fitting += character;
  }
  return fitting;
}

/** `4 s`, `3 min 12 s`. */
function spent(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** Begins to say `what()`, asked anew each time, with the time it has taken. Call `stop` in every case. */
export function startProgress(
  { stderr, environment, now }: CommandContext,
  { json = false, atOnce = false, ticker = everySoOften }: ProgressOptions,
  what: () => string,
): Progress {
  // A terminal that knows no cursor would keep every form of the line.
  if (stderr.isTTY !== true || json || environment.TERM === 'dumb') {
    return { shows: false, beside: (write) => write(), stop: () => undefined };
  }
  const began = now();
  let shown = false;
  const clear = (): void => {
    if (shown) stderr.write('\r\x1b[K');
    shown = false;
  };
  const show = (): void => {
    const time = now() - began;
    if (time < quietMs && !atOnce) return;
    const line = printableLine(`${what()} ...${time < 1000 ? '' : ` ${spent(time)}`}`);
    // One column less: a full line would wrap, and could not be cleared.
    stderr.write(`\r${cut(line, (stderr.columns || usualColumns) - 1)}\x1b[K`);
    shown = true;
  };
  const end = ticker(show, tickMs);
  if (atOnce) show();
  return {
    shows: true,
    beside(write) {
      const before = shown;
      clear();
      write();
      if (before) show();
    },
    stop() {
      end();
      clear();
    },
  };
}

/** Says `what` while something goes on. */
export async function during<Value>(
  context: CommandContext,
  options: ProgressOptions,
  what: string,
  work: () => Promise<Value>,
): Promise<Value> {
  const progress = startProgress(context, options, () => what);
  try {
    return await work();
  } finally {
    progress.stop();
  }
}

/** Files from this size on may take their verification seconds, in which no timer rings. */
const largeBytes = 256 * 1024;

/** Says that a large file is being verified. */
export async function verifying<Value>(
  context: CommandContext,
  options: ProgressOptions,
  file: string,
  { length }: Uint8Array,
  verify: () => Value,
): Promise<Value> {
  const what = `verifying ${file} (${Math.ceil(length / 1024)} KiB)`;
  const large = { ...options, atOnce: length >= largeBytes };
  return await during(context, large, what, () => Promise.resolve(verify()));
}
