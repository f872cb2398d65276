// Configuration files of the daemons: file < environment < flags, with a mistake's place in the file.
import { dirname, resolve } from 'node:path';
import { CliError } from './errors.ts';
import { readYaml, type YamlFile } from './yaml-file.ts';

export interface ConfigFile {
  readonly file: YamlFile;
  readonly path: string;
  /** Absolute: relative paths in the configuration are relative to it. */
  readonly folder: string;
  readonly values: Readonly<Record<string, unknown>>;
}

/** Reads a configuration file. Throws CliError `usage` when there is none or it is no YAML of keys and values. */
export async function readConfigFile(path: string): Promise<ConfigFile> {
  const file = await readYaml(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    throw new CliError(
      'usage',
      `there is no configuration ${path}`,
      'name one with --config or --dir, or make it with init',
    );
  });
  const { value } = file;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new CliError(
      'usage',
      `${path} holds no keys and values`,
      'write it as YAML like "networkId: my-network"',
    );
  }
  return { file, path, folder: dirname(resolve(path)), values: value as Record<string, unknown> };
}

/** Values that are there. */
export function given(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined && value !== ''),
  );
}

/** What the schemas of configurations throw. */
interface ConfigComplaint {
  readonly name: 'ConfigError';
  readonly path: string;
  readonly message: string;
}

/**
 * Checks a configuration; a complaint is reported with the line it is about, unless the value is one of `overrides`, the
 * values of environment and flags. Throws CliError `usage`.
 */
export function checkConfig<Config>(
  { file, path }: ConfigFile,
  overrides: Readonly<Record<string, unknown>>,
  parse: () => Config,
): Config {
  try {
    return parse();
  } catch (error) {
    const complaint = error as ConfigComplaint;
    if (complaint.name !== 'ConfigError') throw error;
    const keys = complaint.path === '' ? [] : complaint.path.split('.');
    const [first] = keys;
    const overridden = first !== undefined && first in overrides;
    const place = overridden ? `flag or environment in place of ${path}` : file.where(keys);
    throw new CliError('usage', `${place}: ${complaint.message}`, 'correct it', { cause: error });
  }
}
