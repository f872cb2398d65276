// What a benchmark returns.

export interface BenchOptions {
  /** About how long to measure. */
  readonly seconds: number;
  readonly parties: number;
}

export interface Row {
  readonly name: string;
  readonly t: number;
  readonly n: number;
  readonly runs: number;
  readonly median: number;
  readonly min: number;
  readonly p99: number;
  readonly unit: 'ms';
  /** The median in units of something measured in the same run, and what that is. */
  readonly ratio?: number;
  readonly against?: string;
  /** Bytes that the measured party sends each counterparty. */
  readonly bytes?: number;
}

/** A row from samples in milliseconds. */
export function summarise(
  name: string,
  t: number,
  n: number,
  samples: readonly number[],
  reference?: { readonly value: number; readonly name: string },
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
    unit: 'ms',
  };
  return reference ? { ...row, ratio: row.median / reference.value, against: reference.name } : row;
}
