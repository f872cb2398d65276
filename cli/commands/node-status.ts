// `countersign node status`: what a running node says of itself over its control socket.
import { Command } from 'commander';
import type { CommandFactory } from '../command.ts';
import { type JsonOption, withExample, withJson } from '../options.ts';
import { fields, printResult } from '../output.ts';

/** A value of the status on lines of its own: a list's items one a line. */
function valueLines(value: unknown): string[] {
  if (Array.isArray(value)) return value.length === 0 ? ['none'] : value.map(oneLine);
  return [oneLine(value)];
}

function oneLine(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value !== 'object' || value === null) return String(value);
  // Peers: what an operator looks for first.
  const { name, up } = value as { name?: unknown; up?: unknown };
  if (typeof name === 'string' && typeof up === 'boolean') return `${name} ${up ? 'up' : 'down'}`;
  return Object.entries(value)
    .map(([key, part]) => `${key} ${typeof part === 'object' ? JSON.stringify(part) : String(part)}`)
    .join(', ');
}

export const nodeStatus: CommandFactory = (context) =>
  withExample(
    withJson(new Command('status'))
      .description(
        'Show how a running node is: keyring, peers, connectors, keys and requests. Exit code 3 when none runs.',
      )
      .requiredOption('--dir <dir>', "the node's folder")
      .action(async (options: JsonOption & { readonly dir: string }) => {
        const { callControl } = await import('../../node/control.ts');
        const { environment, signal } = context;
        const status = await callControl(options.dir, 'status', undefined, { environment, signal });
        printResult(context, options, status, () =>
          typeof status === 'object' && status !== null && !Array.isArray(status)
            ? fields(Object.entries(status).map(([key, value]) => [key, valueLines(value)] as const))
            : valueLines(status),
        );
      }),
    'countersign node status --dir /var/lib/countersign/node',
  );
