#!/usr/bin/env node
// The `countersign` command.
import '../node/runtime.ts';
import { processContext } from './context.ts';
import { run } from './program.ts';

/** How long anything may keep a finished command's process alive. */
const lingerMs = 2000;

// The reader of a pipe may have seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

process.exitCode = await run(process.argv.slice(2), processContext());
setTimeout(() => process.exit(), lingerMs).unref();
