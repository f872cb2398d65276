// Asking a running node over its control socket, and checking what it answers.
import type * as z from 'zod';
import type { CommandContext } from './context.ts';
import { CliError } from './errors.ts';

/** Throws ControlError; CliError `failed` for an answer that is none. */
export async function askNode<Answer>(
  context: CommandContext,
  dir: string,
  method: string,
  params: unknown,
  schema: z.ZodType<Answer>,
): Promise<Answer> {
  const { callControl } = await import('../node/control.ts');
  const { environment, signal } = context;
  const answer = schema.safeParse(await callControl(dir, method, params, { environment, signal }));
  if (answer.success) return answer.data;
  throw new CliError(
    'failed',
    `the node gave no answer to ${method}`,
    'compare the versions of node and command',
  );
}
