// Reads the logs of the daemons as they grow. What the testnet shows of them is what they wrote themselves.
import { type FileHandle, open } from 'node:fs/promises';

/** Something that a process says has happened: a line of its log, or a coordinator's answer to a client. */
export interface Observation {
  /** `coordinator`, `node-2`, `connector-2`, `client alice`. */
  readonly process: string;
  readonly event: string;
  /** RFC 3339. */
  readonly at: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

const chunkBytes = 64 * 1024;

/** A line of a log as an observation; undefined when it is no event. */
export function readLogLine(process: string, line: string): Observation | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined; // Such as the one line with which a daemon that cannot start ends.
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { event, time, ...fields } = value as Record<string, unknown>;
  if (typeof event !== 'string' || typeof time !== 'string') return undefined;
  return { process, event, at: time, fields };
}

/** One log, read from its beginning. */
class Tail {
  readonly #process: string;
  readonly #file: FileHandle;
  readonly #buffer = Buffer.alloc(chunkBytes);
  #position = 0;
  #rest: Buffer = Buffer.alloc(0);

  constructor(process: string, file: FileHandle) {
    this.#process = process;
    this.#file = file;
  }

  async read(): Promise<Observation[]> {
    const found: Observation[] = [];
    for (;;) {
      const { bytesRead } = await this.#file.read(this.#buffer, 0, chunkBytes, this.#position);
      if (bytesRead === 0) return found;
      this.#position += bytesRead;
      let text = Buffer.concat([this.#rest, this.#buffer.subarray(0, bytesRead)]);
      for (let end = text.indexOf(0x0a); end >= 0; end = text.indexOf(0x0a)) {
        const observation = readLogLine(this.#process, text.toString('utf8', 0, end));
        if (observation !== undefined) found.push(observation);
        text = text.subarray(end + 1);
      }
      this.#rest = Buffer.from(text);
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

const byTime = (one: Observation, other: Observation): number =>
  one.at < other.at ? -1 : one.at > other.at ? 1 : 0;

/** All logs together, new lines in the order of their times. */
export class LogTails {
  readonly #tails: Tail[] = [];

  /** Adds a log; the file must exist. */
  async add(process: string, path: string): Promise<void> {
    this.#tails.push(new Tail(process, await open(path, 'r')));
  }

  /** What was written since the last call. */
  async read(): Promise<Observation[]> {
    const read = await Promise.all(this.#tails.map((tail) => tail.read()));
    return read.flat().toSorted(byTime);
  }

  async close(): Promise<void> {
    await Promise.all(this.#tails.splice(0).map((tail) => tail.close()));
  }
}
