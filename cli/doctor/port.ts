// Whether a daemon that does not run now could listen where it is told to: by listening there for a moment.
import { createServer } from 'node:net';
import type { Findings } from './findings.ts';

async function tryListening(host: string, port: number): Promise<string | undefined> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

/** `port` 0 is any free one. */
export async function checkPort(findings: Findings, host: string, port: number): Promise<void> {
  const failed = await tryListening(host, port);
  const where = `${host}:${port}`;
  if (failed === undefined)
    findings.ok('port', port === 0 ? `a free port of ${host} can be taken` : `${where} is free`);
  else if (failed === 'EADDRINUSE') findings.wrong('port_taken', `another process listens at ${where}`);
  else findings.wrong('port_unavailable', `cannot listen at ${where} (${failed})`);
}
