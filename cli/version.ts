// The version of this package, whether it runs from its sources or from dist/.
import { readFileSync } from 'node:fs';

/** As in package.json. */
export function version(): string {
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
