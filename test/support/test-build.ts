// A copy of the built program that can be made to die at a crash point: dist/ with one module replaced. The program as
// it is installed has no such switch.
import { copyFile, cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

export interface TestBuild {
  /** Path of the command. */
  readonly command: string;
  /** A module of it, by its path in dist/. */
  module(path: string): string;
  remove(): Promise<void>;
}

export async function makeTestBuild(): Promise<TestBuild> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-test-build-'));
  const dist = join(folder, 'dist');
  try {
    await cp(join(root, 'dist'), dist, { recursive: true });
    await copyFile(join(root, 'test/support/armed-crash-point.mjs'), join(dist, 'storage/crash-point.js'));
    await copyFile(join(root, 'package.json'), join(folder, 'package.json'));
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  return {
    command: join(dist, 'cli/main.js'),
    module: (path) => join(dist, path),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
