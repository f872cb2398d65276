// Durations as policies write them.
import * as z from 'zod';

const units: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3600_000, d: 86_400_000 };

/** Milliseconds of a duration like `10m` that its schema accepted. */
export function milliseconds(duration: string): number {
  return Number(duration.slice(0, -1)) * (units[duration.slice(-1)] ?? Number.NaN);
}

/** A whole number of seconds, minutes, hours or days, as `90s`, `10m`, `24h` or `7d`, between two bounds in milliseconds. */
export function duration(least: number, most: number): z.ZodType<string> {
  return z
    .string()
    .regex(/^[1-9][0-9]{0,6}[smhd]$/, 'a duration is written like 90s, 10m, 24h or 7d')
    .refine((text) => milliseconds(text) >= least && milliseconds(text) <= most, {
      message: `a duration here is ${least / 1000} s to ${most / 86_400_000} days long`,
    });
}
