// The doctor at a coordinator: its configuration, its folder, its port, and the process if it runs.
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import * as z from 'zod';
import type { CoordinatorConfig } from '../../coordinator/config.ts';
import { readCoordinatorConfig } from '../coordinator-config.ts';
import { exists } from '../interrupted-init.ts';
import { checkDisk } from './disk.ts';
import { checkFiles, whyUnreadable } from './files.ts';
import type { Findings } from './findings.ts';
import { lockHolder, type Machine } from './machine.ts';
import { checkFolder, checkPermissions } from './permissions.ts';
import { checkPort } from './port.ts';
import { checkCoordinator } from './remote.ts';
import { errorWords } from './words.ts';

/** The nearest folder above that is there: where the coordinator would make its own. */
async function nearest(folder: string): Promise<string> {
  let at = folder;
  while (!(await exists(at))) at = dirname(at);
  return at;
}

const readySchema = z.looseObject({ url: z.url() });

/** Where the process that has the folder listens; undefined when it does not say. */
async function readyUrl(dir: string): Promise<string | undefined> {
  const path = join(dir, 'ready.json');
  if ((await whyUnreadable(path)) !== undefined) return undefined;
  try {
    return readySchema.parse(JSON.parse(await readFile(path, 'utf8'))).url;
  } catch {
    return undefined;
  }
}

/** What is wrong with the coordinator of configuration `path`; nothing is changed. */
export async function examineCoordinator(findings: Findings, machine: Machine, path: string): Promise<void> {
  if (!(await checkFiles(findings, [path]))) return;
  let config: CoordinatorConfig;
  try {
    config = await readCoordinatorConfig(path, machine.environment);
    findings.ok('config', `${path} is valid, for network ${config.networkId}`);
  } catch (error) {
    const { name, words, remedy } = errorWords(error);
    findings.wrong(name === 'EACCES' ? 'not_accessible' : 'config_invalid', words, remedy);
    return;
  }
  const { dir, listen, networkId } = config;
  const secrets = (config.webhooks ?? []).map(({ secretFile }) => secretFile);
  const folder = await nearest(dir);
  if (!(await checkFolder(findings, folder))) return;
  if (folder === dir) {
    await checkPermissions(findings, { folder, private: [dir, ...secrets], unwritable: [path] });
  } else findings.ok('permissions', `${dir} is not there yet: its first start makes it`);
  await checkDisk(findings, machine, folder);
  const loopback = /^(localhost|127\.[0-9.]+|::1)$/.test(listen.host);
  if (!loopback) findings.wrong('listen_plain', `it listens at ${listen.host} without TLS`);
  const pid = await lockHolder(machine, join(dir, 'db'));
  if (pid === undefined) {
    const remedy = `countersign coordinator start --config ${path}`;
    findings.wrong('daemon_stopped', `no coordinator runs on ${dir}`, remedy);
    await checkPort(findings, listen.host, listen.port);
    return;
  }
  const url = await readyUrl(dir);
  if (url === undefined) {
    findings.wrong('daemon_silent', `process ${pid} uses ${dir} and does not listen`);
    return;
  }
  findings.ok('process', `it runs, process ${pid}`);
  await checkCoordinator(findings, machine, { url, networkId });
}
