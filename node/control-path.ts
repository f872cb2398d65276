// Where a data folder's control socket stands: a short name made of a hash of the folder's real path, in a folder that
// only its owner may enter. Socket paths beyond the system's limit are cut silently, so their length is checked here.
import { createHash } from 'node:crypto';
import { chmod, lstat, mkdir, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type ControlErrorCode =
  | 'no_folder' // the data folder does not exist
  | 'unsafe_folder' // the socket's folder belongs to somebody else, or others may enter it
  | 'path_too_long'
  | 'in_use' // another process listens for this data folder
  | 'not_running' // nobody listens
  | 'no_answer' // the node did not answer in time, or hung up
  | 'malformed' // an answer that is none
  | 'refused'; // the node's own error

export class ControlError extends Error {
  override readonly name = 'ControlError';
  readonly code: ControlErrorCode;
  /** With `refused`: the node's own stable code. */
  readonly reason?: string;
  constructor(code: ControlErrorCode, message: string, options: ErrorOptions & { reason?: string } = {}) {
    super(message, options);
    this.code = code;
    if (options.reason !== undefined) this.reason = options.reason;
  }
}

/** Longest path of a Unix socket in bytes, without its final zero: `sun_path` has 108 on Linux, 104 elsewhere. */
const maxPathBytes = process.platform === 'linux' ? 107 : 103;
const groupAndOthers = 0o077;

type Environment = Readonly<Record<string, string | undefined>>;

/** Who runs this process, where the system knows users. */
function userId(): number | undefined {
  return process.getuid?.();
}

interface Place {
  readonly folder: string;
  /** Whether this program makes the folder. */
  readonly own: boolean;
}

/** Folders that may hold the socket, the preferred one first. A service and its operator's shell may prefer others. */
function placesIn(environment: Environment): Place[] {
  const runtime = environment.XDG_RUNTIME_DIR;
  const shared =
    environment.TMPDIR === undefined || environment.TMPDIR === '' ? tmpdir() : environment.TMPDIR;
  const temporary = { folder: join(shared, `countersign-${userId() ?? 'user'}`), own: true };
  return runtime === undefined || runtime === '' ? [temporary] : [{ folder: runtime, own: false }, temporary];
}

/** Why a folder must not hold the socket; undefined when it may. */
async function unsafeBecause(folder: string): Promise<string | undefined> {
  let status;
  try {
    status = await lstat(folder);
  } catch (error) {
    return `cannot be read (${(error as NodeJS.ErrnoException).code})`;
  }
  if (!status.isDirectory()) return 'is not a folder';
  if (userId() !== undefined && status.uid !== userId()) return `belongs to user ${status.uid}`;
  if ((status.mode & groupAndOthers) !== 0) return `has mode 0${(status.mode & 0o777).toString(8)}`;
  return undefined;
}

async function socketName(dir: string): Promise<string> {
  let path: string;
  try {
    path = await realpath(dir);
  } catch (cause) {
    throw new ControlError('no_folder', `there is no folder ${dir}: name the node's data folder`, { cause });
  }
  return `countersign-${createHash('sha256').update(path).digest('hex').slice(0, 32)}.sock`;
}

function checkLength(path: string): string {
  const bytes = Buffer.byteLength(path);
  if (bytes > maxPathBytes) {
    throw new ControlError(
      'path_too_long',
      `the control socket's path ${path} has ${bytes} bytes, the system takes ${maxPathBytes}: ` +
        'set XDG_RUNTIME_DIR or TMPDIR to a shorter path',
    );
  }
  return path;
}

/**
 * The path at which the node of data folder `dir` listens; makes the folder of the socket when it is ours to make.
 *
 * @throws {ControlError} `no_folder`, `unsafe_folder`, `path_too_long`
 */
export async function chooseControlPath(
  dir: string,
  environment: Environment = process.env,
): Promise<string> {
  const name = await socketName(dir);
  const refused: string[] = [];
  for (const { folder, own } of placesIn(environment)) {
    if (own) {
      const made = await mkdir(folder, { recursive: true, mode: 0o700 });
      // A process's umask may have taken bits from the owner.
      if (made !== undefined) await chmod(folder, 0o700);
    }
    const reason = await unsafeBecause(folder);
    if (reason === undefined) return checkLength(join(folder, name));
    refused.push(`${folder} ${reason}`);
  }
  throw new ControlError(
    'unsafe_folder',
    `no safe folder for the control socket (${refused.join('; ')}): remove it, or set XDG_RUNTIME_DIR to a folder of yours with mode 0700`,
  );
}

/**
 * Every path at which the node of `dir` may listen, in folders that nobody else could have put a socket into.
 *
 * @throws {ControlError} `no_folder`, `path_too_long`
 */
export async function possibleControlPaths(
  dir: string,
  environment: Environment = process.env,
): Promise<string[]> {
  const name = await socketName(dir);
  const paths: string[] = [];
  for (const { folder } of placesIn(environment)) {
    if ((await unsafeBecause(folder)) === undefined) paths.push(checkLength(join(folder, name)));
  }
  return paths;
}
