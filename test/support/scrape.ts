// Reading the metrics of a local network's processes, each at the address in its ready.json.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProcessName } from '../../metrics/instruments.ts';
import { type Family, parseExposition, valueOf } from './exposition.ts';
import type { LocalNetwork } from './local-network.ts';
import { until } from './until.ts';

/** Variables that turn metrics on in every process of a network, each at a port of its own. */
export const metricsOn = {
  COUNTERSIGN_COORDINATOR_METRICS_LISTEN: '127.0.0.1:0',
  COUNTERSIGN_CONNECTOR_METRICS_LISTEN: '127.0.0.1:0',
  COUNTERSIGN_NODE_METRICS_LISTEN: '127.0.0.1:0',
};

export function kindOf(name: string): ProcessName {
  return name === 'coordinator' ? name : name.startsWith('node') ? 'node' : 'connector';
}

function folderOf(net: LocalNetwork, name: string): string {
  const party = net.layout.parties.find(({ node, connector }) => node === name || connector === name);
  if (party === undefined) return net.layout.coordinatorDir;
  return party.node === name ? party.nodeDir : party.connectorDir;
}

/** Where a process serves its metrics. */
export async function metricsUrl(net: LocalNetwork, name: string): Promise<string> {
  const ready = JSON.parse(await readFile(join(folderOf(net, name), 'ready.json'), 'utf8')) as {
    metrics?: string;
  };
  assert.ok(ready.metrics, `${name}: no metrics in ready.json`);
  return ready.metrics;
}

/** The text that a process serves. */
export async function scrapeText(net: LocalNetwork, name: string): Promise<string> {
  const response = await fetch(await metricsUrl(net, name), { signal: AbortSignal.timeout(10_000) });
  assert.equal(response.status, 200);
  return await response.text();
}

export class Scraped {
  readonly families: ReadonlyMap<string, Family>;
  readonly #prefix: string;
  constructor(name: string, text: string) {
    this.families = parseExposition(text);
    this.#prefix = `countersign_${kindOf(name)}_`;
  }

  /** The sum of a metric's samples with these labels; the name without its prefix. */
  value(metric: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
    return valueOf(this.families, this.#prefix + metric, labels);
  }
}

export async function scrape(net: LocalNetwork, name: string): Promise<Scraped> {
  return new Scraped(name, await scrapeText(net, name));
}

/** Waits until a process's metric is what it must become. */
export async function untilValue(
  net: LocalNetwork,
  name: string,
  metric: string,
  labels: Readonly<Record<string, string>>,
  wanted: (value: number | undefined) => boolean,
): Promise<void> {
  let last: number | undefined;
  await until(
    async () => {
      last = (await scrape(net, name)).value(metric, labels);
      return wanted(last);
    },
    () => `${metric} ${JSON.stringify(labels)} of ${name}; it is ${last}`,
    60_000,
  );
}
