// What one caller, one address and everybody together may ask of the server. Limits come first and cryptography
// second: all of these are checked before any curve arithmetic.
import { isIPv6 } from 'node:net';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import * as z from 'zod';
import { RpcError } from './error.ts';

const count = (max: number) => z.int().min(1).max(max);
const rateSchema = z.strictObject({ requests: count(10_000_000), perSeconds: count(3600) });
export type Rate = z.infer<typeof rateSchema>;

/** The part `limits` of the coordinator's configuration. Calls of a batch count one by one. */
export const limitsSchema = z.strictObject({
  /**
   * Largest body of an HTTP request, a batch included. The largest call is one record of 256 KiB (342 KiB as base64url)
   * with 256 signatures (60 KiB); no method takes two.
   */
  bodyBytes: count(16 * 1024 * 1024).default(1024 * 1024),
  /**
   * Bytes of all bodies held at one time, while they arrive and until they are answered, and of those of one address. A
   * body takes about ten times its size while it is parsed, one at a time.
   */
  heldBytes: count(4 * 1024 * 1024 * 1024).default(128 * 1024 * 1024),
  heldBytesPerAddress: count(4 * 1024 * 1024 * 1024).default(32 * 1024 * 1024),
  /** Calls in one batch. */
  batchCalls: count(1000).default(20),
  /** Requests of one address: an IPv4 address, or an IPv6 network of 64 bits. */
  addressRate: rateSchema.default({ requests: 5000, perSeconds: 10 }),
  /** Signed requests of one credential. */
  credentialRate: rateSchema.default({ requests: 2000, perSeconds: 10 }),
  /** Open connections, all and of one address. A connection that waits or streams is one of them. */
  connections: count(100_000).default(4096),
  connectionsPerAddress: count(100_000).default(1024),
  /** HTTP requests of one address being answered at a time. */
  requestsPerAddress: count(100_000).default(1024),
  /** Event streams, all and of one credential. */
  streams: count(100_000).default(2048),
  streamsPerCredential: count(100_000).default(32),
  /** Nonces kept (for 120 s each, about 150 bytes each), of all credentials together. */
  nonces: count(50_000_000).default(500_000),
});
export type RpcLimits = z.output<typeof limitsSchema>;

const seconds = (max: number) => z.number().min(0.1).max(max);

/** The part `timeouts` of the coordinator's configuration: how long a connection may take, in seconds. */
export const timeoutsSchema = z.strictObject({
  /** For a request's head, and for a whole request, to arrive. */
  head: seconds(300).default(10),
  request: seconds(3600).default(30),
  /** Until a connection on which nothing moves is cut: more than the 60 s for which a call may wait. */
  idle: seconds(3600).default(120),
  /** For the reader of an event stream to take what was written to it. */
  drain: seconds(3600).default(30),
});

/** The limits that hold where a configuration names none. */
export const defaultLimits: RpcLimits = limitsSchema.parse({});

/** What an address is limited by. One IPv6 host has a whole network of 64 bits to send from, so it counts as one. */
export function addressKey(address: string | undefined): string {
  if (address === undefined) return 'unknown';
  if (address.startsWith('::ffff:') && address.includes('.')) return address.slice('::ffff:'.length);
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.split('%', 1)[0]!.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const after = tail === '' ? 0 : tail.split(':').length;
    while (groups.length + after < 8) groups.push('0');
  }
  return `${groups.slice(0, 4).join(':')}::/64`;
}

/** Counts calls of each key in a window of time. */
export class RateLimit {
  readonly #limiter: RateLimiterMemory;
  readonly #what: string;

  constructor(rate: Rate, what: string) {
    this.#limiter = new RateLimiterMemory({ points: rate.requests, duration: rate.perSeconds });
    this.#what = what;
  }

  /** Throws RpcError `rate_limited` when the key has used up its window. */
  async spend(key: string, calls = 1): Promise<void> {
    try {
      await this.#limiter.consume(key, calls);
    } catch (refused) {
      if (!(refused instanceof RateLimiterRes)) throw refused;
      throw new RpcError(
        'rate_limited',
        `too many requests from this ${this.#what}`,
        'wait retryAfterMs, then send the request again',
        { retryAfterMs: Math.max(1, Math.ceil(refused.msBeforeNext)) },
      );
    }
  }
}

/** Counts what is held at one time, by each key and altogether. */
export class Quota {
  readonly #perKey: number;
  readonly #total: number;
  readonly #held = new Map<string, number>();
  #sum = 0;

  constructor(perKey: number, total: number) {
    this.#perKey = perKey;
    this.#total = total;
  }

  /** What is held altogether. */
  get sum(): number {
    return this.#sum;
  }

  /** Whether there was room; what was taken must be released once. */
  take(key: string, amount = 1): boolean {
    const held = this.#held.get(key) ?? 0;
    if (held + amount > this.#perKey || this.#sum + amount > this.#total) return false;
    this.#held.set(key, held + amount);
    this.#sum += amount;
    return true;
  }

  release(key: string, amount = 1): void {
    const held = this.#held.get(key);
    if (held === undefined) return;
    if (held <= amount) this.#held.delete(key);
    else this.#held.set(key, held - amount);
    this.#sum -= Math.min(held, amount);
  }
}
