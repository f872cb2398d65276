// The files that the doctor reads: who looks for what is wrong may find anything in their place. To open a pipe waits for
// somebody who writes, without end; a device has no end.
import { stat } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import type { Findings } from './findings.ts';

/** No file of a daemon's folder that is read whole is nearly as large. */
const maxBytes = 16 * 1024 * 1024;

function kindOf(status: Stats): string {
  if (status.isDirectory()) return 'a folder';
  if (status.isFIFO()) return 'a pipe';
  if (status.isSocket()) return 'a socket';
  return 'a device';
}

/** What keeps a file from being read, in words; undefined for one that can be read, or that is not there. */
export async function whyUnreadable(path: string): Promise<string | undefined> {
  const status = await stat(path).catch(() => undefined);
  if (status === undefined) return undefined;
  if (!status.isFile()) return `${path} is ${kindOf(status)}, not a file`;
  if (status.size > maxBytes) return `${path} has ${status.size} bytes: too many for what it should hold`;
  return undefined;
}

/** Whether all of these files can be read, as far as they are there; says which cannot. */
export async function checkFiles(findings: Findings, paths: readonly string[]): Promise<boolean> {
  const reasons = await Promise.all(paths.map(whyUnreadable));
  const wrong = reasons.filter((reason) => reason !== undefined);
  for (const reason of wrong) findings.wrong('folder_damaged', reason);
  return wrong.length === 0;
}
