// What the doctor found, and how it is shown.
import { table } from '../output.ts';
import { catalog, type Check, type Code, type Level } from './catalog.ts';

export interface Finding {
  /** What was looked at: `machine`, `node`, `connector` or `coordinator`. */
  readonly subject: Subject;
  readonly check: Check;
  readonly level: Level;
  /** `ok`, or a code of the catalog. */
  readonly code: Code | 'ok';
  readonly found: string;
  /** What to do; not for `ok`. */
  readonly remedy?: string;
}

export type Subject = 'machine' | 'node' | 'connector' | 'coordinator';

/** Collects findings about one subject. */
export class Findings {
  readonly all: Finding[];
  readonly #subject: Subject;

  constructor(subject: Subject, all: Finding[] = []) {
    this.#subject = subject;
    this.all = all;
  }

  ok(check: Check, found: string): void {
    this.all.push({ subject: this.#subject, check, level: 'ok', code: 'ok', found });
  }

  /** `remedy` replaces the catalog's when more is known. */
  wrong(code: Code, found: string, remedy?: string): void {
    const { check, level, remedy: usual } = catalog[code];
    this.all.push({ subject: this.#subject, check, level, code, found, remedy: remedy ?? usual });
  }

  /** `found` as ok, unless something is wrong already that this check found since `before`. */
  okUnless(before: number, check: Check, found: string): void {
    if (!this.all.slice(before).some((finding) => finding.check === check)) this.ok(check, found);
  }
}

export interface Verdict {
  readonly ok: boolean;
  readonly failures: number;
  readonly warnings: number;
  readonly findings: readonly Finding[];
}

export function verdict(findings: readonly Finding[]): Verdict {
  const count = (level: Level): number => findings.filter((finding) => finding.level === level).length;
  const failures = count('failure');
  return { ok: failures === 0, failures, warnings: count('warning'), findings };
}

const marks: Readonly<Record<Level, string>> = { ok: 'ok', warning: 'WARNING', failure: 'FAILURE' };

/** Lines for a terminal: what is wrong, with its remedy, stands out. */
export function findingLines({ findings, failures, warnings }: Verdict): string[] {
  const rows = findings.flatMap(({ subject, check, level, code, found, remedy }) => [
    [marks[level], subject, check, code === 'ok' ? found : `${code}: ${found}`],
    ...(remedy === undefined ? [] : [['', '', '', `-> ${remedy}`]]),
  ]);
  const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;
  const summary = `${plural(findings.length, 'check')}: ${plural(failures, 'failure')}, ${plural(warnings, 'warning')}.`;
  return [...table(['', 'of', 'check', 'found'], rows), '', summary];
}
