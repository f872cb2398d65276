// `npm run bench -- NAME [--json] [--seconds N] [--parties N] [--threshold N] [--clients N]`: measures, and prints machine, versions and rows.
import '../../node/runtime.ts';
import { cpus, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import type { BenchOptions, Row } from './row.ts';

const benches: Record<string, () => Promise<{ run(options: BenchOptions): Promise<Row[]> }>> = {
  crypto: () => import('./crypto.ts'),
  policy: () => import('./policy.ts'),
  request: () => import('./request.ts'),
  throughput: () => import('./throughput.ts'),
};

function machine(): Record<string, string | number> {
  const { node, v8, openssl } = process.versions;
  const model = cpus()[0]?.model.trim() ?? 'unknown';
  const memory = Math.round(totalmem() / 2 ** 30);
  return {
    cpu: model,
    cores: cpus().length,
    memoryGiB: memory,
    platform: process.platform,
    node,
    v8,
    openssl: openssl ?? '',
  };
}

function print(name: string, rows: readonly Row[]): void {
  console.log(`bench ${name}`);
  for (const [key, value] of Object.entries(machine())) console.log(`  ${key.padEnd(10)} ${value}`);
  const cells = rows.map(({ name: row, t, n, runs, median, min, p99, unit, ratio, against, bytes }) => [
    row,
    `${t}/${n}`,
    String(runs),
    ...[median, min, p99].map((value) => value.toFixed(2)),
    unit,
    ratio === undefined ? '' : `${ratio < 0.1 ? ratio.toPrecision(2) : ratio.toFixed(1)} x ${against ?? ''}`,
    bytes === undefined ? '' : String(bytes),
  ]);
  const header = ['name', 't/n', 'runs', 'median', 'min', 'p99', 'unit', 'ratio', 'bytes'];
  const widths = header.map((title, column) =>
    Math.max(title.length, ...cells.map((line) => line[column]?.length ?? 0)),
  );
  for (const line of [header, ...cells]) {
    console.log(
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    );
  }
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      seconds: { type: 'string', default: '30' },
      parties: { type: 'string', default: '3' },
      threshold: { type: 'string' },
      clients: { type: 'string' },
    },
  });
  const [name = ''] = positionals;
  const load = benches[name];
  const seconds = Number(values.seconds);
  const parties = Number(values.parties);
  const threshold = Number(values.threshold ?? Math.floor(parties / 2) + 1);
  const clients = values.clients === undefined ? undefined : Number(values.clients);
  const sound =
    seconds > 0 &&
    [parties, threshold, clients ?? 1].every(Number.isInteger) &&
    threshold >= 2 &&
    parties >= threshold &&
    (clients ?? 1) >= 1;
  if (load === undefined || !sound) {
    const options = '[--json] [--seconds N] [--parties N] [--threshold N] [--clients N]';
    console.error(`usage: npm run bench -- ${Object.keys(benches).join('|')} ${options}`);
    return 2;
  }
  const rows = await (
    await load()
  ).run({ seconds, parties, threshold, ...(clients !== undefined && { clients }) });
  if (values.json) console.log(JSON.stringify({ bench: name, machine: machine(), rows }, null, 2));
  else print(name, rows);
  return 0;
}

process.exitCode = await main();
