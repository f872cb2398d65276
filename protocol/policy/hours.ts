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

const offsetOf = (tz: string, time: number): number => wallClock(tz, time) - time;

/** The first minute at which clocks differ from UTC otherwise than at `from`, where they do so at `to`: whole minutes both. */
function changeOfClocks(tz: string, from: number, to: number): number {
  const before = offsetOf(tz, from);
  let [same, other] = [from, to];
  while (other - same > minute) {
    const middle = Math.floor((same + other) / 2 / minute) * minute;
    if (offsetOf(tz, middle) === before) same = middle;
    else other = middle;
  }
  return other;
}

/**
 * The first whole minute after `time` at which `within` is another, in milliseconds since 1970; undefined: none in nine days.
 * Between two moments at which clocks are put on or back, it changes only where they show `from` or `to`.
 */
export function nextChange(hours: Hours, time: number): number | undefined {
  const { tz } = hours;
  const now = within(hours, time);
  const start = Math.floor(time / minute) * minute;
  const days = Array.from({ length: 10 }, (_, index) => start + index * day);
  const offsets = days.map((at) => offsetOf(tz, at));
  const put = offsets.flatMap((offset, index) =>
    index > 0 && offset !== offsets[index - 1] ? [changeOfClocks(tz, days[index - 1]!, days[index]!)] : [],
  );
  const edges = [minutesOf(hours.from), minutesOf(hours.to)];
  const midnight = Math.floor((start + offsets[0]!) / day) * day;
  const shown = [...new Set(offsets)].flatMap((offset) =>
    days.flatMap((_, index) => edges.map((edge) => midnight + index * day + edge * minute - offset)),
  );
  return [...shown, ...put]
    .filter((candidate) => candidate > start)
    .toSorted((one, other) => one - other)
    .find((candidate) => within(hours, candidate) !== now);
}
