// Where a passphrase comes from: a file named by the caller, a file named by the environment, a systemd credential, or
// the terminal. Never an argument or a variable: those show in process lists, shell histories and crash reports.
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { IdentityError } from './error.ts';
import { checkPassphrase } from './seal.ts';
import { readPrivateFile } from './sealed-file.ts';

/** What a prompt needs of process.stdin. */
export type TerminalInput = Readable & {
  readonly isTTY?: boolean;
  setRawMode?(raw: boolean): unknown;
};

export interface PassphraseSources {
  /** Value of `--passphrase-file`. */
  readonly passphraseFile?: string | undefined;
  /** Default: process.env. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Default: process.stdin; asked only if it is a terminal. */
  readonly input?: TerminalInput;
  /** Where the question is written. Default: process.stderr. */
  readonly output?: { write(text: string): unknown };
  /** The question. Default: `Passphrase: `. */
  readonly question?: string;
  /** Ask twice at the terminal: for a new passphrase. */
  readonly confirm?: boolean;
  readonly signal?: AbortSignal;
}

const credentialName = 'countersign-passphrase';
const others = 0o007;

async function fromFile(path: string, refusedMode?: number): Promise<string> {
  const bytes = await readPrivateFile(path, refusedMode);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new IdentityError('bad_passphrase', `${path} is not UTF-8 text`);
  } finally {
    bytes.fill(0);
  }
  const passphrase = text.replace(/\r?\n$/, '');
  if (passphrase === '')
    throw new IdentityError('bad_passphrase', `${path} is empty: write a passphrase into it`);
  return passphrase;
}

/**
 * The passphrase from the first source that is configured; a configured source that fails is an error, not a reason to
 * try the next. One trailing line break is removed. Throws IdentityError: `no_passphrase`, `bad_passphrase`,
 * `cancelled`, and those of readPrivateFile.
 */
export async function readPassphrase(sources: PassphraseSources = {}): Promise<string> {
  const { environment = process.env, input = process.stdin, output = process.stderr } = sources;
  if (sources.passphraseFile !== undefined) return await fromFile(sources.passphraseFile);
  const file = environment.COUNTERSIGN_PASSPHRASE_FILE;
  if (file !== undefined && file !== '') return await fromFile(file);
  const folder = environment.CREDENTIALS_DIRECTORY;
  if (folder !== undefined && folder !== '') {
    try {
      // systemd grants a unit's user access with an ACL, whose mask shows as the group's bits.
      return await fromFile(join(folder, credentialName), others);
    } catch (error) {
      // A unit may have credentials for other purposes.
      if (!(error instanceof IdentityError && error.code === 'missing')) throw error;
    }
  }
  if (input.isTTY !== true) {
    const advice = `use --passphrase-file FILE, COUNTERSIGN_PASSPHRASE_FILE or the systemd credential ${credentialName}`;
    throw new IdentityError('no_passphrase', `no passphrase and no terminal to ask at: ${advice}`);
  }
  const question = sources.question ?? 'Passphrase: ';
  const passphrase = await ask(input, output, question, sources.signal);
  checkPassphrase(passphrase);
  if (sources.confirm === true && (await ask(input, output, 'Again: ', sources.signal)) !== passphrase) {
    throw new IdentityError('bad_passphrase', 'the two passphrases differ: try again');
  }
  return passphrase;
}

/** One line from a terminal, without echo. */
async function ask(
  input: TerminalInput,
  output: { write(text: string): unknown },
  question: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  if (signal?.aborted === true) throw cancelled();
  const decoder = new StringDecoder('utf8');
  let typed: string[] = [];
  let stop = (): void => undefined;
  input.setRawMode?.(true);
  output.write(question);
  try {
    return await new Promise<string>((resolve, reject) => {
      const onData = (chunk: Buffer | string): void => {
        const characters = Array.from(typeof chunk === 'string' ? chunk : decoder.write(chunk));
        for (const [index, character] of characters.entries()) {
          if (character === '\r' || character === '\n' || character === '\x04') {
            const next = character === '\r' && characters[index + 1] === '\n' ? index + 2 : index + 1;
            const rest = characters.slice(next).join('');
            stop();
            // What was typed ahead belongs to the next question.
            if (rest !== '') input.unshift(Buffer.from(rest));
            resolve(typed.join(''));
            return;
          }
          if (character === '\x03') return reject(cancelled());
          // Cursor keys and the like: the rest of the chunk is their code.
          if (character === '\x1b') return;
          if (character === '\x7f' || character === '\b') typed.pop();
          else if (character === '\x15') typed = [];
          else if (character >= ' ') typed.push(character);
        }
      };
      const onEnd = (): void => reject(cancelled());
      stop = () => {
        input.pause();
        input.off('data', onData);
        input.off('end', onEnd);
        signal?.removeEventListener('abort', onEnd);
      };
      input.on('data', onData);
      input.on('end', onEnd);
      signal?.addEventListener('abort', onEnd);
      input.resume();
    });
  } finally {
    stop();
    input.setRawMode?.(false);
    output.write('\n');
  }
}

function cancelled(): IdentityError {
  return new IdentityError('cancelled', 'no passphrase was given');
}
