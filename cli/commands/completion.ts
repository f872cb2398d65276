// `countersign completion`: a script that completes this command in a shell. It is written from the program itself, so it
// knows every command and option there is, and it asks neither a network nor this program while one types.
import { Argument, Command } from 'commander';
import { bashCompletion } from '../completion/bash.ts';
import { fishCompletion } from '../completion/fish.ts';
import { commandModel } from '../completion/model.ts';
import { zshCompletion } from '../completion/zsh.ts';
import type { CommandFactory } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { withExample } from '../options.ts';

const scripts = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;
type Shell = keyof typeof scripts;

/** `wholeProgram`: the program with all of its commands, of which the others know only the called one. */
export const completionCommand =
  (wholeProgram: (context: CommandContext) => Promise<Command>): CommandFactory =>
  (context) =>
    withExample(
      new Command('completion')
        .description(
          'Print a script that completes commands, options, files and the names of your identities in a shell.',
        )
        .addArgument(new Argument('<shell>', 'the shell').choices(Object.keys(scripts)))
        .action(async (shell: Shell) => {
          context.stdout.write(scripts[shell](commandModel(await wholeProgram(context))));
        }),
      'countersign completion bash > ~/.local/share/bash-completion/completions/countersign',
      'countersign completion zsh > "${fpath[1]}/_countersign"',
      'countersign completion fish > ~/.config/fish/completions/countersign.fish',
    );
