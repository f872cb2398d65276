// Which test files run together, in one process of mocha. The files of a folder are dealt out, so that those about one
// thing, which take long together, do not end up in one job.

export interface Job {
  readonly name: string;
  /** Paths from the root. */
  readonly files: readonly string[];
}

/** Folders below test/ in the order in which they are begun, the longest first, with the number of jobs of each. */
const folders: Readonly<Record<string, number>> = {
  integration: 8,
  simulation: 1,
  chains: 1,
  unit: 4,
  vectors: 1,
};
/** Run by a script of its own: `npm run test:package`. */
const elsewhere = 'package';

/** Splits test files (`test/<folder>/…`) into jobs. Throws RangeError for a folder that no job is of. */
export function jobsOf(files: readonly string[], counts: Readonly<Record<string, number>> = folders): Job[] {
  const byFolder = new Map(Object.keys(counts).map((folder) => [folder, [] as string[]]));
  for (const file of files.toSorted()) {
    const folder = file.split('/')[1] ?? '';
    if (folder === elsewhere) continue;
    const members = byFolder.get(folder);
    if (members === undefined)
      throw new RangeError(`${file} is in none of ${Object.keys(counts).join(', ')}`);
    members.push(file);
  }
  return [...byFolder].flatMap(([folder, members]) => {
    const count = Math.min(counts[folder]!, members.length);
    return Array.from({ length: count }, (_, place) => ({
      name: count === 1 ? folder : `${folder} ${place + 1} of ${count}`,
      files: members.filter((_file, index) => index % count === place),
    }));
  });
}
