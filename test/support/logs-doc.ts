// The table of events in docs/logs.md.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const path = fileURLToPath(new URL('../../docs/logs.md', import.meta.url));

export interface DocumentedEvent {
  /** `coordinator`, `connector`, `node`, or `all`. */
  readonly processes: readonly string[];
  readonly level: string;
  readonly fields: ReadonlySet<string>;
}

/** By event. Throws an Error when one has two rows. */
export function documentedEvents(): ReadonlyMap<string, DocumentedEvent> {
  const events = new Map<string, DocumentedEvent>();
  const table = readFileSync(path, 'utf8').split('\n## Events\n')[1] ?? '';
  for (const line of table.split('\n')) {
    const [, event = '', processes = '', level = '', fields = ''] = line
      .split('|')
      .map((cell) => cell.trim());
    const name = /^`([a-z._]+)`$/.exec(event)?.[1];
    if (name === undefined) continue;
    if (events.has(name)) throw new Error(`docs/logs.md has two rows for ${name}`);
    const words = (text: string): string[] => text.split(', ').filter((word) => word !== '');
    events.set(name, { processes: words(processes), level, fields: new Set(words(fields)) });
  }
  return events;
}
