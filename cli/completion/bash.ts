// Completion for bash 3.2 and later: tables written from the model, and a function that reads the command line by them.
import { type CommandModel, type OptionModel, type Value, withAllBelow } from './model.ts';
import { quoted } from './quote.ts';

/** `identity`, or `words a b`. */
function kindOf(value: Value): string {
  return value.kind === 'words' ? `words ${value.words.join(' ')}` : value.kind;
}

/** How many words an option takes, then of which kind. */
function taken({ value, optional, variadic }: OptionModel): string | undefined {
  if (value === undefined) return undefined;
  return `${variadic ? 'many' : optional ? 'optional' : 'one'} ${kindOf(value)}`;
}

interface Row {
  readonly patterns: readonly string[];
  readonly reply: string;
}

/** A function that sets REPLY for its arguments, joined by spaces, or fails. */
function lookup(name: string, rows: readonly Row[]): string[] {
  return [
    `${name}() {`,
    '  case "$*" in',
    ...rows.map(
      ({ patterns, reply }) => `    ${patterns.map(quoted).join(' | ')}) REPLY=${quoted(reply)} ;;`,
    ),
    '    *) return 1 ;;',
    '  esac',
    '}',
  ];
}

const reader = `_countersign() {
  local LC_ALL=C IFS=$' \\t\\n' REPLY='' path='' taking='' kind='' prefix='' count=0 last index word space
  local words rest=$COMP_LINE
  COMPREPLY=()
  # Bash breaks words at : and = too. They are joined again where nothing stands between them.
  words=()
  for ((index = 0; index <= COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    space=\${rest%%[![:space:]]*}
    rest=\${rest#"$space"}
    rest=\${rest#"$word"}
    last=$((\${#words[@]} - 1))
    if [[ index -gt 0 && -z $space && ($word == [:=]* || \${words[last]} == *[:=]) ]]; then
      words[last]=\${words[last]}$word
    else
      words[last + 1]=$word
    fi
  done
  last=$((\${#words[@]} - 1))
  local current=\${words[last]}
  for ((index = 1; index < last; index++)); do
    word=\${words[index]}
    case $taking in
      one) taking='' && continue ;;
      many) taking=more && continue ;;
      optional | more)
        [[ $word == -* ]] || { [[ $taking == more ]] || taking=''; continue; }
        taking=''
        ;;
    esac
    if [[ $word == -* ]]; then
      if [[ $word != *=* ]] && _countersign_option "$path" "$word"; then
        taking=\${REPLY%% *}
        kind=\${REPLY#* }
      fi
    elif [[ count -eq 0 ]] && _countersign_options "\${path:+$path }$word"; then
      path=\${path:+$path }$word
    else
      count=$((count + 1))
    fi
  done
  # After what is no command nothing is known.
  if [[ count -gt 0 ]] && _countersign_commands "$path"; then return 0; fi
  if [[ -z $taking && $current == --*=* ]]; then
    _countersign_option "$path" "\${current%%=*}" || return 0
    taking=one
    kind=\${REPLY#* }
    [[ $COMP_WORDBREAKS == *=* ]] || prefix=\${current%%=*}=
    current=\${current#*=}
  elif [[ $taking == optional || $taking == more ]] && [[ $current == -* || $kind == free ]]; then
    taking=''
  fi
  if [[ -z $taking ]]; then
    kind=
    if [[ $current != -* ]]; then
      if [[ count -eq 0 ]] && _countersign_commands "$path"; then
        kind="words $REPLY"
      elif _countersign_argument "$path" "$count" || _countersign_argument "$path" '*'; then
        kind=$REPLY
      fi
    fi
    # Where no other word can stand, options can.
    if [[ -z $kind ]] && _countersign_options "$path"; then kind="words $REPLY"; fi
  fi
  case $kind in
    words*)
      for word in \${kind#words}; do
        [[ $word == "$current"* ]] && COMPREPLY+=("$prefix$word")
      done
      ;;
    identity)
      for word in "\${COUNTERSIGN_HOME:-$HOME/.countersign}"/identities/*.json; do
        word=\${word##*/}
        word=\${word%.json}
        [[ $word == [a-z0-9]* && $word != *[!a-z0-9._-]* && $word == "$current"* ]] && COMPREPLY+=("$prefix$word")
      done
      ;;
    # The shell's own completion of names, which quotes them; an old bash has it not, and gets them quoted.
    file) compopt -o default 2>/dev/null || _countersign_names -f "$current" ;;
    folder) compopt -o dirnames 2>/dev/null || _countersign_names -d "$current" ;;
  esac
  return 0
}

_countersign_names() {
  local name
  while IFS= read -r name; do
    printf -v name %q "$name"
    COMPREPLY+=("$name")
  done < <(compgen "$1" -- "$2")
}

complete -F _countersign countersign`;

/** The script. Commands are named by their path, `key request`; the program itself by nothing. */
export function bashCompletion(program: CommandModel): string {
  const commands = withAllBelow(program);
  const at = ({ path }: CommandModel): string => path.join(' ');
  const options = commands.flatMap((command) =>
    command.options.flatMap((option): Row[] => {
      const reply = taken(option);
      return reply === undefined
        ? []
        : [{ patterns: option.names.map((name) => `${at(command)} ${name}`), reply }];
    }),
  );
  const known = commands.flatMap((command) =>
    command.arguments.flatMap(({ value, variadic }, index): Row[] =>
      value.kind === 'free'
        ? []
        : [{ patterns: [`${at(command)} ${variadic ? '*' : index}`], reply: kindOf(value) }],
    ),
  );
  return [
    '# Completion of countersign for bash, written by: countersign completion bash',
    '# To load it: source <(countersign completion bash)',
    '',
    '# The commands below a command.',
    ...lookup(
      '_countersign_commands',
      commands
        .filter((command) => command.commands.length > 0)
        .map((command) => ({
          patterns: [at(command)],
          reply: command.commands.map(({ path }) => path.at(-1)).join(' '),
        })),
    ),
    '',
    '# The options of a command; what fails here is none.',
    ...lookup(
      '_countersign_options',
      commands.map((command) => ({
        patterns: [at(command)],
        reply: command.options.flatMap(({ names }) => names.slice(0, 1)).join(' '),
      })),
    ),
    '',
    '# What an option of a command takes.',
    ...lookup('_countersign_option', options),
    '',
    '# What an argument of a command is.',
    ...lookup('_countersign_argument', known),
    '',
    reader,
    '',
  ].join('\n');
}
