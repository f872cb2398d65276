// How commands fail: one line that says what was wrong and what to do, and an exit code that scripts can rely on.
import { printableLine } from './printable.ts';

export const exitCodes = {
  ok: 0,
  /** It was tried and failed, or was refused. */
  failed: 1,
  /** Wrong usage, or input that cannot be what it says. */
  usage: 2,
  /** No answer from the coordinator or the node. */
  unreachable: 3,
  /** Not final yet: approvals, parties or signatures are still missing. */
  waiting: 4,
  /** The request ended rejected. */
  rejected: 5,
} as const;
export type Outcome = Exclude<keyof typeof exitCodes, 'ok'>;

/** What a command itself reports. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly code: Outcome;
  /** What was wrong, and with what. */
  readonly what: string;
  /** What to do about it. */
  readonly remedy: string;
  constructor(code: Outcome, what: string, remedy: string, options?: ErrorOptions) {
    super(`${what}: ${remedy}`, options);
    this.code = code;
    this.what = what;
    this.remedy = remedy;
  }
}

interface Known {
  /** By the error's own code; `default` otherwise. */
  readonly outcomes: Readonly<Record<string, Outcome>> & { readonly default: Outcome };
  /** What to do, where the error's message does not say. */
  readonly remedies?: Readonly<Record<string, string>>;
}

const again = 'try again, or name another --passphrase-file';
const sourceAgain = 'take it from its source again';

/**
 * Errors of the modules that commands use, by their class's name: a command that fails early need not load the modules
 * of all others to recognise them.
 */
const known: Readonly<Record<string, Known>> = {
  IdentityError: {
    outcomes: {
      default: 'failed',
      bad_name: 'usage',
      bad_passphrase: 'usage',
      no_passphrase: 'usage',
      malformed: 'usage',
      missing: 'usage',
      wrong_kind: 'usage',
    },
    remedies: {
      wrong_passphrase: again,
      cancelled: again,
      missing: 'check the path',
      wrong_kind: 'name another file',
    },
  },
  RecordError: {
    outcomes: { default: 'failed', malformed: 'usage', wrong_network: 'usage' },
    remedies: {
      malformed: sourceAgain,
      wrong_network: 'use the configuration of that network',
      bad_key: 'do not sign or use it',
      bad_signature: sourceAgain,
      missing_signature: 'let them sign first',
      wrong_about: 'decide again with a current client, on what the signed bytes say',
    },
  },
  BlameError: {
    outcomes: { default: 'failed', malformed: 'usage' },
    remedies: {
      default: 'blame nobody for it',
      malformed: sourceAgain,
      wrong_keyring: 'name the keyring that it was made in, if you trust that one',
    },
  },
  ReceiptError: {
    outcomes: { default: 'failed', malformed: 'usage' },
    remedies: { default: 'do not rely on this receipt', malformed: sourceAgain },
  },
  CertificateError: { outcomes: { default: 'failed' }, remedies: { default: 'do not use this key' } },
  VerificationError: {
    outcomes: { default: 'failed', not_ready: 'waiting' },
    remedies: {
      default: 'do not use it, and ask the operator of the coordinator',
      not_ready: 'wait until it is fulfilled',
    },
  },
  PayloadError: {
    outcomes: { default: 'usage', bad_signature: 'failed' },
    remedies: { default: 'correct the payload' },
  },
  RpcClientError: {
    outcomes: {
      default: 'failed',
      unreachable: 'unreachable',
      timeout: 'unreachable',
      unavailable: 'unreachable',
      bad_response: 'unreachable',
      invalid_params: 'usage',
    },
  },
  ControlError: {
    outcomes: { default: 'failed', not_running: 'unreachable', no_answer: 'unreachable', no_folder: 'usage' },
    remedies: { refused: "look at the node's log" },
  },
  ConfigError: { outcomes: { default: 'usage' }, remedies: { default: 'correct the configuration' } },
  ConnectorError: { outcomes: { default: 'failed', bad_config: 'usage', bad_grant: 'usage' } },
  NodeError: { outcomes: { default: 'failed' } },
  DoorClientError: { outcomes: { default: 'failed' } },
  SolanaChainError: { outcomes: { default: 'failed' } },
  NodeStoreError: { outcomes: { default: 'failed' } },
  NetworkError: {
    outcomes: { default: 'failed', bad_address: 'usage' },
    remedies: { listen_failed: 'free the port, or configure another address of this machine under listen:' },
  },
  StoreError: { outcomes: { default: 'failed' } },
  ListenError: { outcomes: { default: 'failed' } },
  WebhookSecretError: { outcomes: { default: 'usage' } },
};

function codeOf(error: Error): string {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' ? code : 'default';
}

/** An error of the operating system, in words. */
function systemError(error: NodeJS.ErrnoException): string | undefined {
  if (error.syscall === undefined || error.code === undefined) return undefined;
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: 'does not exist: check the path',
    EACCES: 'may not be opened by this user: check owner and mode',
    EPERM: 'may not be changed by this user: check owner and mode',
    EISDIR: 'is a folder: name a file in it',
    ENOTDIR: 'is below something that is no folder: check the path',
    EEXIST: 'already exists: name another, or remove it first',
    ENOSPC: 'cannot be written, the disk is full: make room',
    EROFS: 'cannot be written, the disk is read-only: use another folder',
  };
  const reason = reasons[error.code] ?? `failed in ${error.syscall} (${error.code}): check the machine`;
  return `${error.path ?? 'a file'} ${reason}`;
}

function describe(error: Error): { readonly outcome: Outcome; readonly text: string } {
  if (error.name === 'CliError') return { outcome: (error as CliError).code, text: error.message };
  const entry = known[error.name];
  if (entry !== undefined) {
    const code = codeOf(error);
    const remedy = entry.remedies?.[code] ?? entry.remedies?.default;
    return {
      outcome: entry.outcomes[code] ?? entry.outcomes.default,
      text: remedy === undefined ? error.message : `${error.message}: ${remedy}`,
    };
  }
  const system = systemError(error);
  if (system !== undefined) return { outcome: 'failed', text: system };
  return {
    outcome: 'failed',
    text: `internal error: ${error.message}: run it again with COUNTERSIGN_DEBUG=1 and report what it prints`,
  };
}

/** Longest word that is shown whole: more than any path or id that a person would read. */
const longestWord = 300;

/** A message on one line, with what schemas say in words, and nothing in it without end. */
export function plainWords(text: string): string {
  return printableLine(
    text
      .replaceAll(/:? *Invalid input: expected [a-z ]+, received undefined/g, ' is missing')
      .replaceAll(/Too small: expected string to have >=(\d+) characters/g, 'at least $1 characters')
      .replaceAll(/Too big: expected string to have <=(\d+) characters/g, 'at most $1 characters'),
  ).replaceAll(/\S{300,}/g, (word) => `${word.slice(0, longestWord / 2)}...`);
}

/** The line and the exit code of whatever a command threw. The stack is for `COUNTERSIGN_DEBUG=1` alone. */
export function describeFailure(thrown: unknown): { readonly exitCode: number; readonly line: string } {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const { outcome, text } = describe(error);
  return { exitCode: exitCodes[outcome], line: `countersign: ${plainWords(text)}` };
}
