// A person's identities: sealed files in COUNTERSIGN_HOME/identities, chosen by name.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Identity } from '../client/identity/identity.ts';
import { openIdentity, readPublicIdentity } from '../client/identity/identity.ts';
import { IdentityError } from '../client/identity/error.ts';
import { readPassphrase } from '../client/identity/passphrase.ts';
import { nameSchema } from '../protocol/records/fields.ts';
import type { CommandContext } from './context.ts';
import { CliError } from './errors.ts';
import type { JsonOption, PassphraseOption } from './options.ts';
import { homeFolder } from './profile.ts';
import { during } from './progress.ts';

/** The file of an identity. Throws CliError `usage` for what is no name, and so could leave the folder. */
export function identityPath(context: CommandContext, name: string): string {
  if (!nameSchema.safeParse(name).success) {
    throw new CliError(
      'usage',
      `${JSON.stringify(name)} is not a name`,
      'use 1 to 40 of a-z, 0-9, ".", "_" and "-"',
    );
  }
  return join(homeFolder(context), 'identities', `${name}.json`);
}

/** Names of the identities there are, sorted. */
export async function identityNames(context: CommandContext): Promise<string[]> {
  const files = await readdir(join(homeFolder(context), 'identities')).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    },
  );
  return files
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length))
    .filter((name) => nameSchema.safeParse(name).success)
    .toSorted();
}

/** A passphrase for a file, from wherever the caller or the environment says, or the terminal. Throws IdentityError. */
export async function askPassphrase(
  context: CommandContext,
  options: PassphraseOption,
  of: string,
  { confirm = false } = {},
): Promise<string> {
  return await readPassphrase({
    passphraseFile: options.passphraseFile,
    environment: context.environment,
    input: context.stdin,
    output: context.stderr,
    question: `${confirm ? 'New passphrase' : 'Passphrase'} of ${of}: `,
    confirm,
    signal: context.signal,
  });
}

/** Asks for the passphrase of a sealed key and opens it. Fill its seed with zeros when done. Throws IdentityError. */
export async function openSealed(
  context: CommandContext,
  options: PassphraseOption & JsonOption,
  path: string,
  of: string,
): Promise<Identity> {
  const passphrase = await askPassphrase(context, options, of);
  return await during(context, options, `opening the key of ${of}`, () => openIdentity(path, passphrase));
}

async function explainMissing<Value>(name: string, read: Promise<Value>): Promise<Value> {
  return await read.catch((error: unknown) => {
    if (!(error instanceof IdentityError && error.code === 'missing')) throw error;
    throw new CliError(
      'usage',
      `there is no identity ${name}`,
      `make it with countersign identity new ${name}`,
      {
        cause: error,
      },
    );
  });
}

/** Name and credential of an identity; nothing is opened. Throws CliError, IdentityError. */
export async function readIdentityNamed(
  context: CommandContext,
  name: string,
): Promise<{ readonly name: string; readonly credential: string; readonly path: string }> {
  const path = identityPath(context, name);
  const { credential } = await explainMissing(name, readPublicIdentity(path));
  return { name, credential, path };
}

/** Opens an identity with its passphrase. Fill its seed with zeros when done. Throws CliError, IdentityError. */
export async function openIdentityNamed(
  context: CommandContext,
  name: string,
  options: PassphraseOption & JsonOption,
): Promise<Identity> {
  // Its absence is told before a passphrase is asked for.
  const { path } = await readIdentityNamed(context, name);
  return await openSealed(context, options, path, `identity ${name}`);
}
