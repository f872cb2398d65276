// Lengths of time as people write them: 90s, 10m, 24h, 365d.
import { InvalidArgumentError } from 'commander';
import { milliseconds } from '../protocol/policy/duration.ts';

/** Milliseconds. Throws commander's InvalidArgumentError, for use as an option's parser. */
export function parseDuration(text: string): number {
  if (!/^[1-9][0-9]{0,5}[smhd]$/.test(text))
    throw new InvalidArgumentError('Expected a duration like 90s, 10m, 24h or 365d.');
  return milliseconds(text);
}
