// What stands in for storage/crash-point.js in a test build. COUNTERSIGN_TEST_CRASH_POINTS names two files of this process:
// `<it>.reached` gets every name passed, and at the name that `<it>.armed` holds the process ends as by a loss of power:
// at once, or with `NAME COUNT` when it passes the name for that time.
import { appendFileSync, readFileSync, rmSync } from 'node:fs';

const files = process.env['COUNTERSIGN_TEST_CRASH_POINTS'];

/** How often each name was passed. */
const passed = new Map();

function armed() {
  try {
    return readFileSync(`${files}.armed`, 'utf8');
  } catch {
    return undefined;
  }
}

/** @param {string} name */
export function crashPoint(name) {
  if (files === undefined) return;
  appendFileSync(`${files}.reached`, `${name}\n`);
  passed.set(name, (passed.get(name) ?? 0) + 1);
  const [wanted, count] = armed()?.split(' ') ?? [];
  if (wanted !== name || (count !== undefined && passed.get(name) !== Number(count))) return;
  rmSync(`${files}.armed`);
  process.kill(process.pid, 'SIGKILL');
}
