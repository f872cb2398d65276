// What the three processes' metrics are, as their own code defines them, and docs/metrics.md as it describes them.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createConnectorMetrics } from '../../connector/metrics.ts';
import { createCoordinatorMetrics } from '../../coordinator/metrics.ts';
import type { Definition, ProcessName } from '../../metrics/instruments.ts';
import { createNodeMetrics } from '../../node/metrics.ts';

export const metricsDoc = fileURLToPath(new URL('../../docs/metrics.md', import.meta.url));

/** Every metric that a process can have, by process. */
export function definitions(): Readonly<Record<ProcessName, readonly Definition[]>> {
  const ignore = (): void => undefined;
  const made = {
    coordinator: createCoordinatorMetrics(ignore, Date.now),
    connector: createConnectorMetrics(ignore, Date.now),
    node: createNodeMetrics(ignore, new Map()),
  };
  for (const metrics of Object.values(made)) metrics.stop();
  return {
    coordinator: made.coordinator.instruments.definitions,
    connector: made.connector.instruments.definitions,
    node: made.node.instruments.definitions,
  };
}

/** A metric's row, cell by cell. */
export function rowOf({ name, type, labels, meaning, worry }: Definition): readonly string[] {
  return [`\`${name}\``, type, labels.map((label) => `\`${label}\``).join(', '), meaning, worry].map((cell) =>
    cell.replaceAll('|', String.raw`\|`),
  );
}

/** Rows of the tables below `### <process>` in the document. */
export function rowsInDoc(): Readonly<Record<ProcessName, readonly (readonly string[])[]>> {
  const text = readFileSync(metricsDoc, 'utf8');
  const of = (process: ProcessName): string[][] => {
    const section = text.split(/^## /m).find((part) => part.startsWith(`${process}\n`)) ?? '';
    return section
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .map((line) =>
        line
          .slice(1, -1)
          .split(/(?<!\\)\|/)
          .map((cell) => cell.trim()),
      );
  };
  return { coordinator: of('coordinator'), connector: of('connector'), node: of('node') };
}

/** The document's tables, anew. */
export function tables(): string {
  return Object.entries(definitions())
    .map(([process, all]) => {
      const rows = all.map((definition) => `| ${rowOf(definition).join(' | ')} |`);
      const head = '| metric | type | labels | what it tells | worry when |\n| --- | --- | --- | --- | --- |';
      return `## ${process}\n\n${head}\n${rows.join('\n')}\n`;
    })
    .join('\n');
}
