// What mocha says at the end of its output, and the same of several runs together.

export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

// oxlint-disable-next-line no-control-regex
const colours = /\u001b\[[0-9;]*m/g;

/** The totals in what mocha printed; undefined when it has printed none. The last ones count: a test may print its own. */
export function totalsIn(output: string): Totals | undefined {
  const plain = output.replace(colours, '');
  const count = (word: string): number | undefined => {
    const last = [...plain.matchAll(new RegExp(`^ +([0-9]+) ${word}\\b`, 'gm'))].at(-1);
    return last === undefined ? undefined : Number(last[1]);
  };
  const passed = count('passing');
  if (passed === undefined) return undefined;
  return { passed, failed: count('failing') ?? 0, skipped: count('pending') ?? 0 };
}

/** Mocha's account of the failures, below its totals; empty when there is none. */
export function failuresIn(output: string): string {
  const plain = output.replace(colours, '');
  const start = plain.search(/^ +[0-9]+ failing$/m);
  return start === -1 ? '' : plain.slice(plain.indexOf('\n', start) + 1);
}

export function sumOf(totals: readonly Totals[]): Totals {
  const sum = (field: keyof Totals): number => totals.reduce((before, each) => before + each[field], 0);
  return { passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') };
}

export function totalsLine({ passed, failed, skipped }: Totals): string {
  const more = skipped === 0 ? '' : `${skipped} skipped\n`;
  return `${more}${passed} passed, ${failed} failed`;
}
