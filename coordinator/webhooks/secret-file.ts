// Secrets of webhooks: each in a file that only its owner may read, one secret a line.
import { open } from 'node:fs/promises';
import { readWebhookSecret, type WebhookError } from '../../protocol/webhook.ts';

export type WebhookSecretErrorCode =
  | 'missing' // there is no such file
  | 'readable_by_others' // its mode lets others in
  | 'unreadable' // it cannot be read
  | 'malformed'; // it holds no secret, too many, or something else

/** Says what is wrong with a file, and shows nothing of what is in it. */
export class WebhookSecretError extends Error {
  override readonly name = 'WebhookSecretError';
  readonly code: WebhookSecretErrorCode;
  constructor(code: WebhookSecretErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.code = code;
  }
}

const groupAndOthers = 0o077;
const maxFileBytes = 4096;
const maxSecrets = 2;

async function readText(path: string): Promise<string> {
  const handle = await open(path, 'r');
  try {
    // Asked of the open file, so that nobody can exchange it in between.
    const status = await handle.stat();
    if (!status.isFile())
      throw new WebhookSecretError('unreadable', `${path} is not a regular file: name the secret's file`);
    if ((status.mode & groupAndOthers) !== 0) {
      const mode = (status.mode & 0o777).toString(8).padStart(4, '0');
      throw new WebhookSecretError(
        'readable_by_others',
        `${path} has mode ${mode}, others may use it: chmod 600 ${path}`,
      );
    }
    if (status.size > maxFileBytes) {
      const message = `${path} has ${status.size} bytes, more than ${maxFileBytes}: it holds no secret`;
      throw new WebhookSecretError('malformed', message);
    }
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
}

/** One or two secrets, 24 to 64 bytes each, in the order of the file. Throws WebhookSecretError. */
export async function readWebhookSecrets(path: string): Promise<readonly Uint8Array[]> {
  let text: string;
  try {
    text = await readText(path);
  } catch (error) {
    if (error instanceof WebhookSecretError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT')
      throw new WebhookSecretError('missing', `${path} does not exist: write the secret into it`, error);
    const reason = code ?? message;
    throw new WebhookSecretError(
      'unreadable',
      `cannot read ${path} (${reason}): check its owner and mode`,
      error,
    );
  }
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  if (lines.length < 1 || lines.length > maxSecrets) {
    const message = `${path} has ${lines.length} lines: expected one secret, or two while they are exchanged`;
    throw new WebhookSecretError('malformed', message);
  }
  try {
    return lines.map((line) => readWebhookSecret(line));
  } catch (error) {
    throw new WebhookSecretError('malformed', `${path}: ${(error as WebhookError).message}`);
  }
}
