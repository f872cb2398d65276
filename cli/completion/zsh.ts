// Completion for zsh: one function a command, each a call of zsh's own _arguments.
import {
  type ArgumentModel,
  type CommandModel,
  type OptionModel,
  type Value,
  withAllBelow,
} from './model.ts';
import { quoted } from './quote.ts';

/** Text within a specification of _arguments or _describe. */
function escaped(text: string): string {
  return text.replace(/[\\:[\]]/g, '\\$&');
}

const actions = { file: '_files', folder: '_files -/', identity: '_countersign_identities', free: ' ' };

function actionOf(value: Value): string {
  return value.kind === 'words' ? `(${value.words.join(' ')})` : actions[value.kind];
}

function optionSpecs({ names, summary, value, optional, variadic, repeatable }: OptionModel): string[] {
  const explained = `[${escaped(summary)}]`;
  const others = repeatable || variadic ? '*' : `(${names.join(' ')})`;
  const rest = value === undefined ? '' : `:${optional ? ':' : ''}value:${actionOf(value)}`;
  return names.map((name) =>
    quoted(`${others}${name}${value !== undefined && name.startsWith('--') ? '=' : ''}${explained}${rest}`),
  );
}

function argumentSpec({ name, value, variadic }: ArgumentModel, index: number): string {
  return quoted(`${variadic ? '*' : index + 1}:${escaped(name)}:${actionOf(value)}`);
}

const nameOf = ({ path }: CommandModel): string => ['_countersign', ...path].join('__');

/** A command: its options and arguments; or the commands below it, and the functions of those. */
function functionOf(command: CommandModel): string[] {
  const { options, commands } = command;
  if (commands.length === 0) {
    const specs = [...options.flatMap(optionSpecs), ...command.arguments.map(argumentSpec)];
    return [`${nameOf(command)}() {`, '  _arguments \\', `    ${specs.join(' \\\n    ')}`, '}'];
  }
  const specs = [...options.flatMap(optionSpecs), quoted('1:command:->commands'), quoted('*:: :->command')];
  return [
    `${nameOf(command)}() {`,
    '  local curcontext=$curcontext state line',
    '  local -a commands',
    '  typeset -A opt_args',
    '  _arguments -C \\',
    `    ${specs.join(' \\\n    ')} && return`,
    '  case $state in',
    '    commands)',
    '      commands=(',
    ...commands.map(({ path, summary }) => `        ${quoted(`${path.at(-1)!}:${escaped(summary)}`)}`),
    '      )',
    '      _describe -t commands command commands',
    '      ;;',
    '    command)',
    '      case $words[1] in',
    ...commands.map((child) => `        ${path(child)}) ${nameOf(child)} ;;`),
    '      esac',
    '      ;;',
    '  esac',
    '}',
  ];
}

function path(command: CommandModel): string {
  return command.path.at(-1)!;
}

const identities = `_countersign_identities() {
  local -a names
  names=(\${COUNTERSIGN_HOME:-$HOME/.countersign}/identities/*.json(N:t:r))
  names=(\${\${(M)names:#[a-z0-9]*}:#*[^a-z0-9._-]*})
  compadd -a names
}`;

/** The script: to be loaded, or kept as \`_countersign\` in a folder of fpath. */
export function zshCompletion(program: CommandModel): string {
  return [
    '#compdef countersign',
    '# Completion of countersign for zsh, written by: countersign completion zsh',
    '# To load it, after compinit: source <(countersign completion zsh)',
    '',
    identities,
    ...withAllBelow(program).flatMap((command) => ['', ...functionOf(command)]),
    '',
    '# As a file of fpath it is the function itself.',
    'if [[ ${funcstack[1]} == _countersign ]]; then',
    '  _countersign "$@"',
    'else',
    '  compdef _countersign countersign',
    'fi',
    '',
  ].join('\n');
}
