// Logs of the daemons: one JSON line an event on standard output, for journald and its like. What must not be in a log
// is taken out here, whoever writes it there.
import { type DestinationStream, destination, pino } from 'pino';
import { type LogLevel, logLevels } from './log-level.ts';

export type Log = (event: string, fields: Record<string, unknown>) => void;

/** Field names whose values are never written. */
const secret =
  /pass(phrase|word)|secret|seed|private|^share(s)?$|nonce|mnemonic|authorization|cookie|storageKey|epochKey/i;
const maxDepth = 6;
const maxItems = 50;
const maxText = 4000;

function safe(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return value.length > maxText ? `${value.slice(0, maxText)}...` : value;
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'function' || typeof value === 'symbol') return `[${typeof value}]`;
  if (typeof value !== 'object' || value === null) return value;
  // Raw bytes are never worth reading in a log, and may be anything.
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  if (depth >= maxDepth) return '[deeper]';
  if (value instanceof Error) return safeError(value, depth);
  if (Array.isArray(value)) return value.slice(0, maxItems).map((item) => safe(item, depth + 1));
  if (value instanceof Date) return value.toISOString();
  return safeObject(value as Record<string, unknown>, depth);
}

function safeError(error: Error, depth: number): Record<string, unknown> {
  const { name, message, stack, cause, ...more } = error as Error & Record<string, unknown>;
  return {
    name,
    message: safe(message, depth),
    stack: safe(stack, depth),
    ...safeObject(more, depth),
    ...(cause !== undefined && { cause: safe(cause, depth + 1) }),
  };
}

function safeObject(fields: Record<string, unknown>, depth: number): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [
      key,
      secret.test(key) && value !== undefined ? '[redacted]' : safe(value, depth + 1),
    ]),
  );
}

/** Events whose names alone would say less than they matter, or more. docs/logs.md has the level of every event. */
const levels: Readonly<Record<string, LogLevel>> = {
  'blame.recorded': 'warn',
  'clock.differs': 'warn',
  'clock.peer_differs': 'warn',
  'connector.failed': 'error',
  'coordinator.rewound': 'warn',
  'coordinator.unreachable': 'warn',
  'daemon.start.failed': 'error',
  'daemon.stop.failed': 'error',
  'gossip.flooded': 'warn',
  'node.rewound': 'warn',
  'node.unreachable': 'warn',
  'request.skipped': 'warn',
  'result.skipped': 'warn',
  'session.awaits_parent': 'warn',
  'session.incident': 'error',
  'session.message_rejected': 'warn',
  'session.messages_suppressed': 'warn',
  'session.no_share': 'warn',
  'session.not_confirmed': 'warn',
  // What other parties say of their progress: every round of every attempt.
  'session.reached': 'debug',
  'work.worker_lost': 'warn',
};

/** How loud an event is, from its name: modules say what happened, not how much it matters. */
export function levelOf(event: string): LogLevel {
  const level = levels[event];
  if (level !== undefined) return level;
  if (/(^|[._])(error|fatal|corrupt)$/.test(event)) return 'error';
  if (/(^|[._])(failed|refused|dropped|ignored|busy)$/.test(event)) return 'warn';
  return 'info';
}

/**
 * What a terminal acts on, hides or reorders. JSON escapes the control characters below U+0020 alone; U+009B, say, begins an
 * escape sequence as well. Written as JSON's own escapes they mean the same to whoever reads JSON.
 */
const unprintable = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

function printed(line: string): string {
  return line.replace(unprintable, (character) =>
    [...Array(character.length).keys()]
      .map((index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

/** Fields that pino writes itself. */
const reserved = new Set(['level', 'time', 'event', 'pid']);

/**
 * A log of events at `level` and above. `fields.level` replaces the level that the event's name implies. Lines are
 * written at once: none is lost when the process ends.
 */
export function createLog(
  level: LogLevel,
  stream: DestinationStream = destination({ fd: 1, sync: true }),
): Log {
  // The reader of a daemon's log may go away: the daemon stays.
  (stream as Partial<NodeJS.EventEmitter>).on?.('error', () => undefined);
  const logger = pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line) => stream.write(printed(line)) },
  );
  return (event, fields) => {
    const asked = fields.level as LogLevel;
    const at = logLevels.includes(asked) ? asked : levelOf(event);
    // What nobody reads costs nothing.
    if (!logger.isLevelEnabled(at)) return;
    const written = Object.entries(safeObject(fields, 0)).filter(([key]) => key !== 'level');
    logger[at]({
      event,
      ...Object.fromEntries(written.map(([key, value]) => [reserved.has(key) ? `${key}_` : key, value])),
    });
  };
}
