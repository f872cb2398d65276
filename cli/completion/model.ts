// What a shell can complete, read from the commander program: the one description of the command line there is. Plain
// data, from which bash.ts, zsh.ts and fish.ts each write a script.
import type { Argument, Command, Option } from 'commander';
import { collect } from '../options.ts';

/** What stands in a place of the command line. `words`: one of these; `free`: nothing that a shell could know. */
export type Value =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'file' | 'folder' | 'identity' | 'free' };

export interface OptionModel {
  /** `--type`, and `-V` where there is a short form. */
  readonly names: readonly string[];
  readonly summary: string;
  /** Nothing for a flag. */
  readonly value?: Value;
  /** Whether the value may be left out. */
  readonly optional: boolean;
  /** Whether it takes values until the next option. */
  readonly variadic: boolean;
  /** Whether it may be given again. */
  readonly repeatable: boolean;
}

export interface ArgumentModel {
  readonly name: string;
  readonly value: Value;
  readonly variadic: boolean;
}

export interface CommandModel {
  /** Without the program's name; nothing for the program itself. */
  readonly path: readonly string[];
  readonly summary: string;
  readonly options: readonly OptionModel[];
  readonly arguments: readonly ArgumentModel[];
  readonly commands: readonly CommandModel[];
}

/** By the name that stands between the brackets in the help. */
const kinds: Readonly<Record<string, 'file' | 'folder' | 'identity'>> = {
  file: 'file',
  roster: 'file',
  party: 'file',
  dir: 'folder',
  identity: 'identity',
};

/** A shell's script takes words for what they are only if they are plain ones. Throws TypeError. */
function plain(word: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]*$|^--?[A-Za-z][A-Za-z0-9-]*$/.test(word)) return word;
  throw new TypeError(`${JSON.stringify(word)} cannot stand in a completion script`);
}

function valueOf(name: string, choices: readonly string[] | undefined): Value {
  if (choices !== undefined) return { kind: 'words', words: choices.map(plain) };
  return { kind: kinds[name] ?? 'free' };
}

function optionModel(option: Option): OptionModel {
  const { flags, short, long, description, argChoices, optional, variadic } = option;
  const [, name = ''] = /[<[]([^.\]>]+)/.exec(flags) ?? [];
  return {
    names: [long, short].filter((text) => text !== undefined).map(plain),
    summary: description,
    ...(!option.isBoolean() && { value: valueOf(name, argChoices) }),
    optional,
    variadic,
    repeatable: option.parseArg === collect,
  };
}

function argumentModel(argument: Argument): ArgumentModel {
  const { argChoices, variadic } = argument;
  return { name: argument.name(), value: valueOf(argument.name(), argChoices), variadic };
}

/** The first sentence: what a list has room for. */
function firstSentence(text: string): string {
  return text.replace(/\.(\s.*)?$/s, '');
}

/** Everything below a command, with its help option and commands, as the help lists them. */
export function commandModel(command: Command, path: readonly string[] = []): CommandModel {
  const help = command.createHelp();
  const commands = help.visibleCommands(command);
  const below = commands.map((child) => commandModel(child, [...path, plain(child.name())]));
  const names = below.map((child) => child.path.at(-1)!);
  return {
    path,
    summary: firstSentence(command.summary() || command.description()),
    options: help.visibleOptions(command).map(optionModel),
    // `help` takes the name of a command beside it.
    arguments: command.registeredArguments.map(argumentModel),
    commands: below.map((child) =>
      child.path.at(-1) === 'help'
        ? {
            ...child,
            arguments: [{ name: 'command', value: { kind: 'words', words: names }, variadic: false }],
          }
        : child,
    ),
  };
}

/** A command and all below it. */
export function withAllBelow(model: CommandModel): CommandModel[] {
  return [model, ...model.commands.flatMap(withAllBelow)];
}
