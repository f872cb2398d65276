// What peers make this node log, so many lines at a time: a flood of messages must not become a flood of lines.
import type { Clock, SessionContext } from './context.ts';

/** Lines about one party at once, and in the long run each second. */
const burst = 100;
const perSecond = 10;

interface Account {
  lines: number;
  filledAt: number;
  suppressed: number;
}

export class PeerLog {
  readonly #clock: Clock;
  readonly #log: SessionContext['log'];
  /** By party; the network hands over messages of the roster's parties only. */
  readonly #accounts = new Map<string, Account>();

  constructor(clock: Clock, log: SessionContext['log']) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Logs a line, or counts it: the next one of this party that is logged says how many were left out. */
  write(party: string, event: string, fields: Record<string, unknown>): void {
    const now = this.#clock.now();
    const account = this.#accounts.get(party) ?? { lines: burst, filledAt: now, suppressed: 0 };
    this.#accounts.set(party, account);
    const elapsed = Math.max(0, now - account.filledAt);
    account.lines = Math.min(burst, account.lines + (elapsed * perSecond) / 1000);
    account.filledAt = now;
    if (account.lines < 1) {
      account.suppressed += 1;
      return;
    }
    account.lines -= 1;
    const { suppressed } = account;
    account.suppressed = 0;
    this.#log(event, suppressed > 0 ? { ...fields, suppressed } : fields);
  }

  /** Tells what was left out and not yet told. */
  stop(): void {
    for (const [peer, { suppressed }] of this.#accounts) {
      if (suppressed > 0) this.#log('session.messages_suppressed', { peer, suppressed });
    }
    this.#accounts.clear();
  }
}
