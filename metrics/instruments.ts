// The metrics of one process: a registry of its own, and instruments that can never fail whoever uses them. What goes wrong
// here is counted and told once; nothing is thrown, no label is unbounded, and no number is worth a signature.
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

export type ProcessName = 'coordinator' | 'connector' | 'node';

/** What a metric is, for HELP and for docs/metrics.md. */
export interface Described<Label extends string = never> {
  /** Without the prefix: `countersign_<process>_` goes before it. */
  readonly name: string;
  readonly labels?: readonly Label[];
  /** What it tells, in words. */
  readonly meaning: string;
  /** When an operator should worry about it. */
  readonly worry: string;
}

export interface Definition {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  readonly meaning: string;
  readonly worry: string;
}

type LabelsOf<Label extends string> = Readonly<Record<Label, string>>;

export interface Count<Label extends string> {
  add(labels: LabelsOf<Label>, amount?: number): void;
}
export interface Spread<Label extends string> {
  observe(labels: LabelsOf<Label>, value: number): void;
}
/** Sets one value of a gauge that is being read. */
export type Set<Label extends string> = (value: number, labels: LabelsOf<Label>) => void;

/** Different values of one label of one metric; any further one is counted as `other`. A keyring has at most 50 parties. */
export const maxLabelValues = 200;
const maxLabelLength = 100;

export const secondsBuckets = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
/** Of what people take part in: from half a second to an hour. */
export const longBuckets = [0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600];

export class Instruments {
  readonly registry = new Registry();
  readonly #prefix: string;
  readonly #definitions: Definition[] = [];
  readonly #seen = new Map<string, globalThis.Set<string>>();
  readonly #failures: Counter;
  readonly #onFailure: (error: unknown) => void;
  #told = false;

  /** `onFailure` hears of the first failure of a metric; what it throws is ignored. */
  constructor(process: ProcessName, onFailure: (error: unknown) => void) {
    this.#prefix = `countersign_${process}_`;
    this.#onFailure = onFailure;
    this.#failures = new Counter(
      this.#define('counter', {
        name: 'metrics_failures_total',
        meaning: 'Failures of the metrics themselves; nothing else is touched by one.',
        worry: 'it grows: other metrics of this process may be wrong; the log says why.',
      }),
    );
  }

  /** Every metric of this process. */
  get definitions(): readonly Definition[] {
    return this.#definitions;
  }

  counter<Label extends string = never>(described: Described<Label>): Count<Label> {
    const counter = new Counter(this.#define('counter', described));
    return {
      add: (labels, amount = 1) => {
        if (amount === 0) return;
        this.attempt(() => counter.inc(this.#bounded(described.name, labels), amount));
      },
    };
  }

  /** A counter of what something else counts already; `read` is called at each scrape, and must never go back. */
  total(described: Described, read: () => number): void {
    const attempt = (work: () => void): boolean => this.attempt(work);
    new Counter({
      ...this.#define('counter', described),
      collect() {
        attempt(() => {
          const value = read();
          this.reset();
          this.inc(value);
        });
      },
    });
  }

  /** `read` is called at each scrape, and sets what the gauge shows then: at once, from what is in memory. */
  gauge<Label extends string = never>(described: Described<Label>, read: (set: Set<Label>) => void): void {
    const bounded = (labels: LabelsOf<Label>): LabelsOf<Label> => this.#bounded(described.name, labels);
    const attempt = (work: () => void): boolean => this.attempt(work);
    new Gauge({
      ...this.#define('gauge', described),
      collect() {
        // Where there are no labels, prom-client's reset leaves a 0: a number that nobody has measured.
        const empty = (): void => (described.labels === undefined ? this.remove() : this.reset());
        empty();
        const done = attempt(() =>
          read((value, labels) => {
            if (!Number.isFinite(value)) return;
            if (described.labels === undefined) this.set(value);
            else this.set(bounded(labels), value);
          }),
        );
        // Half of it would mislead.
        if (!done) empty();
      },
    });
  }

  histogram<Label extends string = never>(
    described: Described<Label>,
    buckets: readonly number[] = secondsBuckets,
  ): Spread<Label> {
    const histogram = new Histogram({ ...this.#define('histogram', described), buckets: [...buckets] });
    return {
      observe: (labels, value) => {
        if (!Number.isFinite(value)) return;
        this.attempt(() => histogram.observe(this.#bounded(described.name, labels), Math.max(0, value)));
      },
    };
  }

  /** Runs it, whatever becomes of it. Returns whether it ended without an error. */
  attempt(work: () => void): boolean {
    try {
      work();
      return true;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  /** All metrics in Prometheus' text format. */
  text(): Promise<string> {
    return this.registry.metrics();
  }

  #failed(error: unknown): void {
    try {
      this.#failures.inc();
      if (this.#told) return;
      this.#told = true;
      this.#onFailure(error);
    } catch {
      // Nobody is left to tell.
    }
  }

  #define<Label extends string>(
    type: Definition['type'],
    { name, labels = [], meaning, worry }: Described<Label>,
  ) {
    const full = `${this.#prefix}${name}`;
    this.#definitions.push({ name: full, type, labels, meaning, worry });
    return {
      name: full,
      help: `${meaning} Worry when ${worry}`,
      labelNames: [...labels],
      registers: [this.registry],
    };
  }

  #bounded<Label extends string>(name: string, labels: LabelsOf<Label>): LabelsOf<Label> {
    const entries = Object.entries(labels).map(([label, value]) => {
      const text = String(value).slice(0, maxLabelLength);
      const key = `${name}/${label}`;
      const seen = this.#seen.get(key) ?? new globalThis.Set<string>();
      this.#seen.set(key, seen);
      if (!seen.has(text)) {
        if (seen.size >= maxLabelValues) return [label, 'other'];
        seen.add(text);
      }
      return [label, text];
    });
    return Object.fromEntries(entries) as LabelsOf<Label>;
  }
}

type Log = (event: string, fields: Record<string, unknown>) => void;

/** A log that also tells `hear` of each event, before it is written; what `hear` throws reaches nobody but `instruments`. */
export function heardLog(instruments: Instruments, log: Log, hear: Log): Log {
  return (event, fields) => {
    instruments.attempt(() => hear(event, fields));
    log(event, fields);
  };
}

/** A text of a log line's field; `fallback` when there is none. */
export function textOf(value: unknown, fallback = 'none'): string {
  return typeof value === 'string' && value !== '' ? value : fallback;
}

/** A number of milliseconds in a log line's field, in seconds; NaN when there is none. */
export function secondsOf(value: unknown): number {
  return typeof value === 'number' ? value / 1000 : Number.NaN;
}
