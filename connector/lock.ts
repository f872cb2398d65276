// One process a folder. The lock is the operating system's, on a file inside `lock/`, taken by opening an empty LevelDB
// database there: it ends with the process however that dies, and holds between containers that share the folder, where
// comparing process ids tells nothing.
import { join } from 'node:path';
import { Level } from 'level';
import { crashPoint } from '../storage/crash-point.ts';
import { ConnectorError } from './connector-error.ts';

/**
 * Takes the folder for this process. Returns what gives it back.
 *
 * @throws {ConnectorError} `locked` when somebody has it, this process included; `storage` when it cannot be taken
 */
export async function lockFolder(dir: string): Promise<() => Promise<void>> {
  const path = join(dir, 'lock');
  const database = new Level(path);
  try {
    crashPoint('connector.lock:before');
    await database.open();
    crashPoint('connector.lock:after');
  } catch (error) {
    const cause = (error as Error).cause as { code?: string; message?: string } | undefined;
    if (cause?.code === 'LEVEL_LOCKED') {
      const remedy = 'stop the other one, or give this connector a folder of its own';
      throw new ConnectorError('locked', `${dir} is in use by another connector: ${remedy}`, error);
    }
    const reason = (cause?.message ?? String(error)).replace(/\s+/g, ' ');
    throw new ConnectorError(
      'storage',
      `cannot lock ${dir} (${reason}): check that the folder can be written; ${path} holds nothing and may be deleted`,
      error,
    );
  }
  return () => database.close();
}
