// The key of a folder that `node init` or `connector init` makes. They write the configuration last: a folder that has a
// key and no configuration is one whose init was interrupted, and the same command completes it with that key.
import { stat } from 'node:fs/promises';
import {
  createIdentity,
  type Identity,
  type NewIdentity,
  openIdentity,
} from '../client/identity/identity.ts';
import { CliError } from './errors.ts';

/** Whether something stands at `path`. Throws the system's errors. */
export async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
}

/**
 * Makes the key, or opens the one that an interrupted init left. Throws CliError `failed` when that one has another
 * name, IdentityError `wrong_passphrase` when it was sealed under another passphrase.
 */
export async function createOrTakeUp(options: NewIdentity): Promise<Identity> {
  const { path, name, passphrase } = options;
  if (!(await exists(path))) return await createIdentity(options);
  const identity = await openIdentity(path, passphrase);
  if (identity.name === name) return identity;
  identity.seed.fill(0);
  throw new CliError(
    'failed',
    `${path} already exists, from an interrupted init of ${identity.name}`,
    `complete that one with its name, or choose another folder`,
  );
}
