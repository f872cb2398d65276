// What a benchmark returns.

export interface BenchOptions {
  /** About how long to measure. */
  readonly seconds: number;
  readonly parties: number;
  readonly threshold: number;
  /** Who ask at the same time, where there are clients. */
  readonly clients?: number;
}

/** Something measured in the same run. */
export interface Reference {
  readonly value: number;
  readonly name: string;
}

export interface Row {
  readonly name: string;
  readonly t: number;
  readonly n: number;
  readonly runs: number;
  readonly median: number;
  readonly min: number;
  readonly p99: number;
  readonly unit: 'ms' | 'requests/s' | 'verdicts/s';
  /** The median in units of something measured in the same run, and what that is. */
  readonly ratio?: number;
  readonly against?: string;
  /** Bytes that the measured party sends each counterparty. */
  readonly bytes?: number;
}

/** A row from samples, which are in milliseconds unless another unit is named. */
export function summarise(
  name: string,
  t: number,
  n: number,
  samples: readonly number[],
  reference?: Reference,
  unit: Row['unit'] = 'ms',
): Row {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (part: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
  const row: Row = {
    name,
    t,
    n,
    runs: sorted.length,
    median: at(0.5),
    min: at(0),
    p99: at(0.99),
    unit,
  };
  return reference ? { ...row, ratio: row.median / reference.value, against: reference.name } : row;
}
