// Whether the passphrase that a daemon will be given opens its key. It is read where the daemon reads it, never asked for.
import { Readable } from 'node:stream';
import { IdentityError } from '../../client/identity/error.ts';
import { openIdentity } from '../../client/identity/identity.ts';
import { readPassphrase } from '../../client/identity/passphrase.ts';
import type { Code } from './catalog.ts';
import type { Findings } from './findings.ts';
import type { Machine } from './machine.ts';

const codes: Readonly<Partial<Record<IdentityError['code'], Code>>> = {
  missing: 'passphrase_missing',
  readable_by_others: 'passphrase_open',
  wrong_passphrase: 'passphrase_wrong',
  bad_passphrase: 'passphrase_wrong',
};

/**
 * Opens the key of `path` and gives its 32-byte seed to `use`, wiped afterwards. Without a passphrase nothing is checked
 * and `use` is not called.
 */
export async function checkPassphrase(
  findings: Findings,
  { environment, signal }: Machine,
  { path, passphraseFile }: { readonly path: string; readonly passphraseFile: string | undefined },
  use: (seed: Uint8Array) => Promise<void> = async () => undefined,
): Promise<void> {
  let seed: Uint8Array;
  try {
    const passphrase = await readPassphrase({
      passphraseFile,
      environment,
      input: Readable.from([]),
      signal,
    });
    ({ seed } = await openIdentity(path, passphrase));
  } catch (error) {
    if (!(error instanceof IdentityError)) throw error;
    if (error.code === 'no_passphrase') return;
    findings.wrong(codes[error.code] ?? 'folder_damaged', error.message);
    return;
  }
  try {
    findings.ok('passphrase', `it opens ${path}`);
    await use(seed);
  } finally {
    seed.fill(0);
  }
}
