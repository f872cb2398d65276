// What the table of commands (program.ts) is made of.
import type { Command } from 'commander';
import type { CommandContext } from './context.ts';

/** Makes a command for one run. */
export type CommandFactory = (context: CommandContext) => Command;
