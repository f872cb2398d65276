// Prometheus' text format, read strictly (prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4): whatever it
// does not allow is an error, so that a test shows that a real Prometheus would take what a process serves.

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly samples: readonly Sample[];
}

const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const labelPair = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/;
const numberForm = /^(?:[+-]?Inf|NaN|[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)$/;
const unescapes: Readonly<Record<string, string>> = { '\\n': '\n', '\\"': '"', '\\\\': '\\' };

function labelsOf(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  let rest = text;
  while (rest !== '') {
    const [whole, name = '', value = ''] = labelPair.exec(rest) ?? [];
    if (whole === undefined) throw new Error(`not a label: ${rest}`);
    if (name in labels) throw new Error(`label ${name} twice: ${text}`);
    labels[name] = value.replaceAll(/\\["\\n]/g, (escape) => unescapes[escape] ?? '');
    rest = rest.slice(whole.length);
  }
  return labels;
}

/** One text for each set of labels. */
function nameOf(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map((pair) => JSON.stringify(pair));
  return pairs.toSorted().join(' ');
}

function sampleOf(line: string): Sample {
  const [, name = '', labels = '', number = ''] = /^([^{\s]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
  if (!metricName.test(name) || !numberForm.test(number)) throw new Error(`not a sample: ${line}`);
  return { name, labels: labelsOf(labels), value: Number(number.replace('Inf', 'Infinity')) };
}

/** Cumulative buckets up to +Inf, which equals the count, for each set of labels. */
function checkHistogram({ name, samples }: Family): void {
  const series = new Map<string, Sample[]>();
  for (const sample of samples) {
    const key = nameOf({ ...sample.labels, le: '' });
    series.set(key, [...(series.get(key) ?? []), sample]);
  }
  for (const [key, all] of series) {
    const buckets = all.filter((sample) => sample.name === `${name}_bucket`);
    const bounds = buckets.map(({ labels }) => Number((labels.le ?? '').replace('+Inf', 'Infinity')));
    const rising = bounds.every((bound, index) => index === 0 || bound > bounds[index - 1]!);
    const counts = buckets.map(({ value }) => value);
    const cumulative = counts.every((count, index) => index === 0 || count >= counts[index - 1]!);
    const count = all.find((sample) => sample.name === `${name}_count`)?.value;
    const sum = all.find((sample) => sample.name === `${name}_sum`)?.value;
    if (!rising || !cumulative || bounds.at(-1) !== Infinity || counts.at(-1) !== count || sum === undefined)
      throw new Error(`not a histogram: ${name} ${key}`);
  }
}

/** Every family by name. Throws an Error at the first thing that is not as the format says. */
export function parseExposition(text: string): ReadonlyMap<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  const families = new Map<string, Family & { samples: Sample[] }>();
  let help: readonly [name: string, text: string] | undefined;
  let current: (Family & { samples: Sample[] }) | undefined;
  const seen = new Set<string>();
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const helped = /^# HELP (\S+) (.+)$/.exec(line);
    const typed = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
    if (helped) {
      help = [helped[1]!, helped[2]!];
    } else if (typed) {
      const name = typed[1]!;
      if (help?.[0] !== name) throw new Error(`${name} has no HELP before its TYPE`);
      if (families.has(name) || !metricName.test(name)) throw new Error(`${name} is there twice, or no name`);
      current = { name, type: typed[2] as Family['type'], help: help[1], samples: [] };
      families.set(name, current);
    } else {
      if (line.startsWith('#')) throw new Error(`neither HELP nor TYPE: ${line}`);
      const sample = sampleOf(line);
      const suffixes = current?.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
      if (!suffixes.some((suffix) => sample.name === `${current?.name}${suffix}`))
        throw new Error(`a sample outside its family: ${line}`);
      const identity = `${sample.name} ${nameOf(sample.labels)}`;
      if (seen.has(identity)) throw new Error(`twice: ${line}`);
      seen.add(identity);
      if (current?.type === 'counter' && !(sample.value >= 0)) throw new Error(`a counter below 0: ${line}`);
      current?.samples.push(sample);
    }
  }
  for (const family of families.values()) if (family.type === 'histogram') checkHistogram(family);
  return families;
}

/** The sum of the samples of `name` (with its suffix) whose labels are at least these. */
export function valueOf(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''));
  const matching = (family?.samples ?? []).filter(
    (sample) =>
      sample.name === name &&
      Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  );
  return matching.length === 0 ? undefined : matching.reduce((sum, { value }) => sum + value, 0);
}
