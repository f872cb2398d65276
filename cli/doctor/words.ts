// What an error says, in the words that commands use for it.
import { CliError, describeFailure } from '../errors.ts';

export interface ErrorWords {
  /** The system's code, or the error's class. */
  readonly name: string;
  readonly words: string;
  readonly remedy: string | undefined;
}

export function errorWords(error: unknown): ErrorWords {
  if (error instanceof CliError) return { name: error.name, words: error.what, remedy: error.remedy };
  const { code, name } = error as NodeJS.ErrnoException;
  const words = describeFailure(error).line.replace(/^countersign: /, '');
  return { name: code ?? name, words, remedy: undefined };
}
