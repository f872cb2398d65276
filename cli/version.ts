// The version of this package, whether it runs from its sources or from dist/.
import { readFileSync } from 'node:fs';

let known: string | undefined;

/** As in package.json. Read once: an update in place must not change what a process says it is. */
export function version(): string {
  return (known ??= readVersion());
}

function readVersion(): string {
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const found = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as Record<
        string,
        unknown
      >;
      if (found.name === 'countersign' && typeof found.version === 'string') return found.version;
    } catch {
      // Not there: dist/ is one folder deeper than the sources.
    }
  }
  throw new Error('package.json of countersign was not found beside its code');
}
