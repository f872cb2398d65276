// Lengths of time as people write them: 90s, 10m, 24h, 365d.
import { InvalidArgumentError } from 'commander';

const unitsMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3600_000, d: 86_400_000 };

/** Milliseconds. Throws commander's InvalidArgumentError, for use as an option's parser. */
export function parseDuration(text: string): number {
  const [, amount, unit] = /^([1-9][0-9]{0,5})([smhd])$/.exec(text) ?? [];
  if (amount === undefined || unit === undefined) {
    throw new InvalidArgumentError('Expected a duration like 90s, 10m, 24h or 365d.');
  }
  return Number(amount) * unitsMs[unit]!;
}
