// Health of the daemon in a container whose folder is /data: exit code 0 when it serves, 1 otherwise. A coordinator is asked
// over HTTP, a node over its control socket; a connector says that it watches by its ready.json.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

const folder = process.argv[2] ?? '/data';
const deadlineMs = 10_000;

function unhealthy(why) {
  process.stderr.write(`${why}\n`);
  process.exit(1);
}

// A coordinator's folder may be one below, beside its configuration.
const ready = [folder, `${folder}/data`].map((dir) => `${dir}/ready.json`).find((path) => existsSync(path));
if (ready === undefined) unhealthy(`no ready.json in ${folder}: it does not serve yet, or no longer`);
const { pid, url, addresses } = JSON.parse(readFileSync(ready, 'utf8'));
try {
  process.kill(pid, 0);
} catch {
  unhealthy(`process ${pid} of ${ready} is gone`);
}
try {
  if (url !== undefined) {
    const answer = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(deadlineMs) });
    if (!answer.ok) unhealthy(`${url} answers ${answer.status}`);
  } else if (addresses !== undefined) {
    const command = new URL('../dist/cli/main.js', import.meta.url).pathname;
    const args = [command, 'node', 'status', '--dir', folder, '--json'];
    execFileSync(process.execPath, args, { timeout: deadlineMs, stdio: 'ignore' });
  }
} catch (error) {
  unhealthy(String(error));
}
