// What a person's commands assume: coordinator, network, trusted workspace, identity. `profile.yaml` in COUNTERSIGN_HOME,
// then COUNTERSIGN_* variables, then flags, each replacing what came before.
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import * as z from 'zod';
import { writePrivateFile } from '../client/identity/sealed-file.ts';
import type { Hex } from '../protocol/hex.ts';
import { nameSchema, networkIdSchema, recordIdSchema } from '../protocol/records/fields.ts';
import type { CommandContext } from './context.ts';
import { CliError } from './errors.ts';
import { complaint, readYaml } from './yaml-file.ts';

const shape = {
  /** The coordinator's address. */
  coordinator: z.url({
    protocol: /^https?$/,
    error: 'expected an address like https://coordinator.example:7000',
  }),
  networkId: networkIdSchema,
  /** The workspace whose log is trusted: its id commits to all that follows from it. */
  workspaceId: recordIdSchema,
  /** Name of the identity that signs. */
  identity: nameSchema,
};
const schema = z.strictObject(shape).partial();

export type ProfileKey = keyof typeof shape;
export const profileKeys = Object.keys(shape) as ProfileKey[];
export interface Profile {
  readonly coordinator?: string | undefined;
  readonly networkId?: string | undefined;
  readonly workspaceId?: Hex | undefined;
  readonly identity?: string | undefined;
}

/** Flags that replace what the profile says. */
export interface ProfileFlags {
  readonly coordinator?: string;
  readonly network?: string;
  readonly workspace?: string;
  readonly as?: string;
}

const environmentNames: Readonly<Record<ProfileKey, string>> = {
  coordinator: 'COUNTERSIGN_COORDINATOR',
  networkId: 'COUNTERSIGN_NETWORK',
  workspaceId: 'COUNTERSIGN_WORKSPACE',
  identity: 'COUNTERSIGN_AS',
};
const flagNames: Readonly<Record<ProfileKey, keyof ProfileFlags>> = {
  coordinator: 'coordinator',
  networkId: 'network',
  workspaceId: 'workspace',
  identity: 'as',
};

/** The folder of a person's identities and profile. */
export function homeFolder(context: CommandContext): string {
  const named = context.environment.COUNTERSIGN_HOME;
  return named === undefined || named === '' ? join(homedir(), '.countersign') : resolve(named);
}

function profilePath(context: CommandContext): string {
  return join(homeFolder(context), 'profile.yaml');
}

/** What profile.yaml says; nothing when there is none. Throws CliError `usage` naming the first mistake in it. */
export async function readProfileFile(context: CommandContext): Promise<Profile> {
  const file = await readYaml(profilePath(context)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  // An empty file says nothing, and so does one with nothing but comments.
  if (file === undefined || file.value === null) return {};
  const parsed = schema.safeParse(file.value);
  if (parsed.success) return parsed.data;
  const { what, remedy } = complaint(file, parsed.error, profileKeys);
  throw new CliError('usage', what, remedy);
}

function check(key: ProfileKey, value: string, source: string): string {
  const parsed = shape[key].safeParse(value);
  if (parsed.success) return parsed.data;
  throw new CliError(
    'usage',
    `${source}: ${JSON.stringify(value)} cannot be ${key}`,
    parsed.error.issues[0]!.message,
  );
}

export interface Setting {
  readonly value: string;
  /** `profile.yaml`, the variable's or the flag's name. */
  readonly source: string;
}

/** Each setting that something makes, with what made it. Throws CliError `usage`. */
export async function profileSettings(
  context: CommandContext,
  flags: ProfileFlags,
): Promise<Partial<Record<ProfileKey, Setting>>> {
  const file = await readProfileFile(context);
  const settings: Partial<Record<ProfileKey, Setting>> = {};
  for (const key of profileKeys) {
    const flag = flags[flagNames[key]];
    const variable = context.environment[environmentNames[key]] || undefined;
    const source =
      flag !== undefined
        ? `--${flagNames[key]}`
        : variable !== undefined
          ? environmentNames[key]
          : 'profile.yaml';
    const value = flag ?? variable ?? file[key];
    if (value !== undefined) settings[key] = { value: check(key, value, source), source };
  }
  return settings;
}

/** The profile that holds for one command. Throws CliError `usage`. */
export async function resolveProfile(context: CommandContext, flags: ProfileFlags): Promise<Profile> {
  const settings = await profileSettings(context, flags);
  return {
    coordinator: settings.coordinator?.value,
    networkId: settings.networkId?.value,
    workspaceId: settings.workspaceId?.value as Hex | undefined,
    identity: settings.identity?.value,
  };
}

/** A setting that a command cannot do without. Throws CliError `usage` saying how to make it. */
export function required(profile: Profile, key: ProfileKey): string {
  const value = profile[key];
  if (value !== undefined) return value;
  throw new CliError(
    'usage',
    `no ${key} is set`,
    `use --${flagNames[key]}, ${environmentNames[key]}, or countersign profile set ${key} VALUE`,
  );
}

/** Changes settings of profile.yaml, which it makes when missing. Throws CliError `usage`. */
export async function changeProfile(
  context: CommandContext,
  changes: Partial<Record<ProfileKey, string>>,
): Promise<Profile> {
  const checked = Object.fromEntries(
    Object.entries(changes).map(([key, value]) => [key, check(key as ProfileKey, value, 'profile')]),
  );
  const profile = schema.parse({ ...(await readProfileFile(context)), ...checked });
  await writePrivateFile(profilePath(context), stringify(profile), { replace: true });
  return profile;
}
