// Loaded before a process's own code (`node --import`): writes down every random value that the process draws, in a file for
// each thread, so that a test can look for them where they must not be. A line says where it was drawn: from node:crypto
// (`node`), as signing and key generation do, or from Web Crypto (`web`). Tests only: no process loads it by itself.
import { appendFileSync } from 'node:fs';
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { threadId } from 'node:worker_threads';

const folder = process.env['COUNTERSIGN_TEST_RANDOM_FOLDER'];
if (folder !== undefined) {
  const file = join(folder, `${process.pid}-${threadId}`);
  const record = (from, bytes) => appendFileSync(file, `${from} ${Buffer.from(bytes).toString('hex')}\n`);
  const draw = crypto.randomBytes;
  crypto.randomBytes = (length, callback) => {
    if (callback !== undefined) return draw(length, callback);
    const bytes = draw(length);
    record('node', bytes);
    return bytes;
  };
  syncBuiltinESMExports();
  const web = globalThis.crypto;
  const fill = web.getRandomValues.bind(web);
  web.getRandomValues = (array) => {
    fill(array);
    record('web', new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    return array;
  };
}
