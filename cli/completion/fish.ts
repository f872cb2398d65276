// Completion for fish 3.2 and later: one `complete` a word, each under the condition of where it may stand.
import { type CommandModel, type OptionModel, type Value, withAllBelow } from './model.ts';
import { quotedForFish as quoted } from './quote.ts';

/** What is offered in a place. */
function offered(value: Value): string {
  switch (value.kind) {
    case 'words':
      return `-x -a ${quoted(value.words.join(' '))}`;
    case 'file':
      return '-r -F';
    case 'folder':
      return "-x -a '(__fish_complete_directories)'";
    case 'identity':
      return "-x -a '(__countersign_identities)'";
    case 'free':
      return '-x';
  }
}

function condition(name: string, ...words: readonly (string | number)[]): string {
  return quoted([name, ...words.map((word) => quoted(String(word)))].join(' '));
}

function optionLine(at: string, { names, summary, value, optional }: OptionModel): string {
  const forms = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
  // An optional value is none that the shell should insist on.
  const takes = value === undefined || optional ? '' : ` ${offered(value)}`;
  return `complete -c countersign -n ${condition('__countersign_at', at)} ${forms.join(' ')} -d ${quoted(summary)}${takes}`;
}

function linesOf(command: CommandModel): string[] {
  const at = command.path.join(' ');
  return [
    ...command.commands.map(
      ({ path, summary }) =>
        `complete -c countersign -n ${condition('__countersign_argument', at, 0)} -a ${path.at(-1)!} -d ${quoted(summary)}`,
    ),
    ...command.arguments.flatMap(({ value, variadic }, index) =>
      value.kind === 'free'
        ? []
        : [
            `complete -c countersign -n ${condition('__countersign_argument', at, variadic ? 'any' : index)} ${offered(value).replace('-r ', '')}`,
          ],
    ),
    ...command.options.map((option) => optionLine(at, option)),
  ];
}

/** The script. \`__countersign_place\` prints the command's path and how many arguments stand after it. */
export function fishCompletion(program: CommandModel): string {
  const commands = withAllBelow(program);
  const groups = program.commands.filter((command) => command.commands.length > 0);
  const valued = commands.flatMap(({ options }) =>
    options.filter(({ value, optional }) => value !== undefined && !optional).flatMap(({ names }) => names),
  );
  const words = (list: readonly (string | undefined)[]): string => [...new Set(list)].join(' ');
  return `# Completion of countersign for fish, written by: countersign completion fish
# To load it: countersign completion fish | source

# Where the cursor is: the command, then how many arguments of it stand before.
function __countersign_place
    set -l path
    set -l count 0
    set -l skip 0
    for token in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
        else if string match -q -- '-*' $token
            contains -- $token ${words(valued)}; and set skip 1
        else if test $count = 0; and test (count $path) = 0; and contains -- $token ${words(program.commands.map(({ path }) => path[0]))}
            set path $token
        else if test $count = 0; and test (count $path) = 1; and contains -- "$path $token" ${groups
          .flatMap((group) => group.commands.map(({ path }) => quoted(path.join(' '))))
          .join(' ')}
            set -a path $token
        else
            set count (math $count + 1)
        end
    end
    echo "$path"
    echo $count
end

function __countersign_at
    set -l place (__countersign_place)
    test "$place[1]" = "$argv[1]"
end

function __countersign_argument
    set -l place (__countersign_place)
    test "$place[1]" = "$argv[1]"; and begin
        test "$argv[2]" = any; or test "$place[2]" = "$argv[2]"
    end
end

function __countersign_identities
    set -l home $HOME/.countersign
    test -n "$COUNTERSIGN_HOME"; and set home $COUNTERSIGN_HOME
    for file in $home/identities/*.json
        string match -qr '/(?<name>[a-z0-9][a-z0-9._-]*)\\.json$' -- $file; and echo $name
    end
end

complete -c countersign -f
${commands.flatMap(linesOf).join('\n')}
`;
}
