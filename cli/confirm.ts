// Questions at the terminal before something is signed.
import { StringDecoder } from 'node:string_decoder';
import type { CommandContext } from './context.ts';
import { CliError } from './errors.ts';

/** One line from the terminal, as the terminal itself lets people edit it. */
async function readLine({ stdin, signal }: CommandContext): Promise<string> {
  const decoder = new StringDecoder('utf8');
  let typed = '';
  return await new Promise<string>((resolve, reject) => {
    const stop = (): void => {
      stdin.pause();
      stdin.off('data', onData);
      stdin.off('end', onEnd);
      signal.removeEventListener('abort', onEnd);
    };
    const onEnd = (): void => {
      stop();
      reject(new CliError('failed', 'no answer was given', 'run it again and answer, or pass --yes'));
    };
    const onData = (chunk: Buffer | string): void => {
      typed += typeof chunk === 'string' ? chunk : decoder.write(chunk);
      const end = typed.search(/[\r\n]/);
      if (end < 0) return;
      stop();
      // What was typed ahead belongs to the next question.
      const rest = typed.slice(end + 1);
      if (rest !== '') stdin.unshift(Buffer.from(rest));
      resolve(typed.slice(0, end));
    };
    stdin.on('data', onData);
    stdin.on('end', onEnd);
    signal.addEventListener('abort', onEnd, { once: true });
    stdin.resume();
  });
}

/**
 * Goes on only after a person answered yes, or with `--yes`; `remedy` is what to pass instead. Throws CliError: `usage` without a terminal, `failed` after
 * any other answer.
 */
export async function confirm(
  context: CommandContext,
  question: string,
  { yes = false, remedy = 'pass --yes' }: { readonly yes?: boolean | undefined; readonly remedy?: string },
): Promise<void> {
  if (yes) return;
  if (context.stdin.isTTY !== true) {
    throw new CliError('usage', 'this needs a confirmation and there is no terminal to ask at', remedy);
  }
  context.stderr.write(`${question} [y/N] `);
  const answer = (await readLine(context)).trim().toLowerCase();
  if (answer === 'y' || answer === 'yes') return;
  throw new CliError('failed', 'not confirmed, so nothing was signed', 'answer y to go on');
}
