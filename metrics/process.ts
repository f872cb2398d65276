// What every process tells of itself: its memory, its processor time, and how long its event loop stands still.
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import type { Instruments } from './instruments.ts';

/** Milliseconds between two looks at the event loop: this much of a delay is no delay. */
const resolutionMs = 10;

/** Adds the metrics of the process. Returns what ends the watch over the event loop. */
export function addProcessMetrics(instruments: Instruments): () => void {
  const delay: IntervalHistogram = monitorEventLoopDelay({ resolution: resolutionMs });
  delay.enable();
  const started = Date.now() / 1000 - process.uptime();
  const seconds = (nanoseconds: number): number =>
    Math.max(0, nanoseconds / 1e9 - (delay.count === 0 ? 0 : resolutionMs / 1000));
  instruments.gauge(
    {
      name: 'event_loop_lag_seconds',
      labels: ['quantile'],
      meaning:
        'How long the event loop stood still since the last scrape: its median, 99th percentile and maximum (1).',
      worry:
        'the 99th percentile stays above 0.2: the machine is too slow for its load, and peers take it for dead.',
    },
    (set) => {
      set(seconds(delay.percentile(50)), { quantile: '0.5' });
      set(seconds(delay.percentile(99)), { quantile: '0.99' });
      set(seconds(delay.max), { quantile: '1' });
      delay.reset();
    },
  );
  instruments.gauge(
    {
      name: 'resident_memory_bytes',
      meaning: 'Memory that the process holds, its worker threads included.',
      worry: 'it grows from day to day, or comes near what the machine gives the process.',
    },
    (set) => set(process.memoryUsage.rss(), {}),
  );
  instruments.gauge(
    {
      name: 'heap_used_bytes',
      meaning: "Memory in use on the main thread's JavaScript heap.",
      worry: 'it grows from day to day.',
    },
    (set) => set(process.memoryUsage().heapUsed, {}),
  );
  instruments.total(
    {
      name: 'cpu_seconds_total',
      meaning: 'Processor time used since the start, worker threads included.',
      worry: 'its rate stays near the number of processors.',
    },
    () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
  );
  instruments.gauge(
    {
      name: 'start_time_seconds',
      meaning: 'When the process started, in seconds since 1970.',
      worry: 'it changes and nobody restarted the process.',
    },
    (set) => set(started, {}),
  );
  return () => delay.disable();
}
