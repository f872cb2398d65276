// Hours of the week in a time zone, as policies name them: whether a moment is within, and when that changes next.
import * as z from 'zod';

const dayNames = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
type Day = (typeof dayNames)[number];

function isZone(name: string): boolean {
  try {
    return /^[A-Za-z][A-Za-z0-9_+/-]{0,40}$/.test(name) && formatter(name).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

/** The days of `mon-fri`, `sat` or `mon,wed,fri`; a range goes on over the end of the week. Undefined: of something else. */
function daysOf(text: string): readonly Day[] | undefined {
  const day = (name: string): number => dayNames.indexOf(name as Day);
  const days = text.split(',').flatMap((part) => {
    const [from = '', to = from, ...rest] = part.split('-');
    if (day(from) < 0 || day(to) < 0 || rest.length > 0) return [undefined];
    const length = ((day(to) - day(from) + 7) % 7) + 1;
    return Array.from({ length }, (_, index) => dayNames[(day(from) + index) % 7]);
  });
  if (days.some((name) => name === undefined) || new Set(days).size !== days.length) return undefined;
  return days as Day[];
}

const clockSchema = z
  .string()
  .regex(/^([01][0-9]|2[0-3]):[0-5][0-9]$/, 'a time of day is written like "08:00"');

export const hoursSchema = z
  .strictObject({
    /** Of the IANA database. */
    tz: z.string().refine(isZone, 'unknown time zone: write it like UTC or Europe/Zurich'),
    days: z
      .string()
      .max(40)
      .refine((text) => daysOf(text) !== undefined, 'days are written like mon-fri or mon,wed'),
    from: clockSchema,
    /** Exclusive. Not after `from`: of the next day. */
    to: clockSchema,
  })
  .refine(({ from, to }) => from !== to, 'from and to are the same: leave `hours` out for the whole day');
export type Hours = z.infer<typeof hoursSchema>;

const minute = 60_000;
const day = 1440 * minute;
const formatters = new Map<string, Intl.DateTimeFormat>();

function formatter(tz: string): Intl.DateTimeFormat {
  const known = formatters.get(tz);
  if (known !== undefined) return known;
  const numeric = {
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
  } as const;
  const made = new Intl.DateTimeFormat('en-US', { timeZone: tz, hourCycle: 'h23', ...numeric });
  formatters.set(tz, made);
  return made;
}

/** What clocks of the zone show at `time`, to the minute, as if it were UTC: milliseconds since 1970. */
function wallClock(tz: string, time: number): number {
  const whole = Math.floor(time / minute) * minute;
  if (tz === 'UTC') return whole;
  const parts = new Map(
    formatter(tz)
      .formatToParts(whole)
      .map(({ type, value }) => [type, Number(value)]),
  );
  const part = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type)!;
  return Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'));
}

const minutesOf = (clock: string): number => Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3));

/** Whether `time`, in milliseconds since 1970, is within. */
export function within(hours: Hours, time: number): boolean {
  const clock = new Date(wallClock(hours.tz, time));
  const today = clock.getUTCDay();
  const now = clock.getUTCHours() * 60 + clock.getUTCMinutes();
  const days = daysOf(hours.days)!;
  const [from, to] = [minutesOf(hours.from), minutesOf(hours.to)];
  if (from < to) return days.includes(dayNames[today]!) && now >= from && now < to;
  // Over midnight: the day is the one on which it begins.
  const yesterday = dayNames[(today + 6) % 7]!;
  return (days.includes(dayNames[today]!) && now >= from) || (days.includes(yesterday) && now < to);
}

/** The moment at which clocks of the zone show `wall`; where they are put on past it, one soon after. */
function momentOf(tz: string, wall: number, near: number): number {
  const guess = wall - (wallClock(tz, near) - near);
  return wall - (wallClock(tz, guess) - guess);
}

/** The first whole minute after `time` at which `within` is another, in milliseconds since 1970; undefined: none in nine days. */
export function nextChange(hours: Hours, time: number): number | undefined {
  const now = within(hours, time);
  const start = Math.floor(time / minute) * minute;
  const midnight = Math.floor(wallClock(hours.tz, start) / day) * day;
  const edges = [minutesOf(hours.from), minutesOf(hours.to)];
  const candidates = Array.from({ length: 10 }, (_, days) =>
    edges.map((edge) => midnight + days * day + edge * minute),
  )
    .flat()
    .map((wall) => momentOf(hours.tz, wall, start))
    .toSorted((one, other) => one - other);
  for (const candidate of candidates) {
    if (candidate <= start || within(hours, candidate) === now) continue;
    let first = candidate;
    // Where clocks were put on or back meanwhile, it may have changed before.
    while (first - minute > start && within(hours, first - minute) !== now) first -= minute;
    return first;
  }
  return undefined;
}
