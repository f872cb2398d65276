// Completion as shells do it: each loads a script, completes a command line up to its end, and says what it would offer.
import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

/** Whether a program is installed. */
export function installed(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/**
 * Calls the function that bash would call, with COMP_WORDS as bash makes them of words without quotes. What is left to the
 * shell's own completion of names is printed as `<default>` and `<dirnames>`; without `compopt`, as in bash 3.2, the names
 * themselves are.
 */
const bashHarness = `
[[ $COMPOPT == no ]] && enable -n compopt || compopt() { printf '<%s>\\n' "$2"; }
source "$1"
shift
for COMP_LINE; do
  COMP_POINT=\${#COMP_LINE}
  read -ra COMP_WORDS <<< "\${COMP_LINE//=/ = }"
  [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=('')
  COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
  _countersign
  (( \${#COMPREPLY[@]} )) && printf '%s\\n' "\${COMPREPLY[@]}"
  printf '\\0'
done`;

/** A zsh within a zsh: the inner one has a terminal, on which tab is pressed, and writes down what it is told to offer. */
const zshHarness = `
zmodload zsh/zpty
zpty inner zsh -f -i
zpty -w inner "source \${(q)INNER}"
local line
while zpty -r inner line '*READY*'; do break; done
for line; do zpty -w -n inner "$line"$'\\t'; done
zpty -w inner exit
while zpty -r inner line; do :; done
cat $OUT`;
const zshInner = `
PROMPT= RPROMPT=
[[ $AUTOLOAD == yes ]] && fpath=(\${SCRIPT:h} $fpath)
autoload -Uz compinit && compinit -D -u
[[ $AUTOLOAD == yes ]] || source $SCRIPT
zstyle ':completion:*' insert-tab false
setopt no_beep no_list_beep
LISTMAX=1000
compadd() {
  if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then builtin compadd "$@"; return; fi
  local -a hits
  builtin compadd -O hits "$@"
  (( $#hits )) && print -lr -- $hits >> $OUT
  builtin compadd "$@"
}
tab() {
  zle complete-word
  print -rn -- $'\\0' >> $OUT
  zle kill-whole-line
}
zle -N tab
bindkey '^I' tab
print READY`;

const fishHarness = "source $argv[1]; for line in $argv[2..-1]; complete -C $line; printf '\\0'; end";

/** Shells with scripts to complete by, in a folder of their own. */
export class CompletionShells {
  readonly folder: string;
  readonly #environment: Record<string, string>;

  private constructor(folder: string, environment: Record<string, string>) {
    this.folder = folder;
    this.#environment = {
      PATH: process.env['PATH'] ?? '',
      HOME: folder,
      LANG: 'C.UTF-8',
      TERM: 'xterm',
      ...environment,
    };
  }

  static async make(
    scripts: Readonly<Record<Shell, string>>,
    environment: Record<string, string>,
  ): Promise<CompletionShells> {
    const made = new CompletionShells(await mkdtemp(join(tmpdir(), 'countersign-shells-')), environment);
    for (const shell of shells) await writeFile(made.script(shell), scripts[shell]);
    await writeFile(join(made.folder, 'inner.zsh'), zshInner);
    return made;
  }

  script(shell: Shell): string {
    return join(this.folder, shell === 'zsh' ? '_countersign' : `countersign.${shell}`);
  }

  /** The words offered at the end of each line. */
  async bash(lines: readonly string[], more: Record<string, string> = {}): Promise<string[][]> {
    const args = ['--norc', '-c', bashHarness, 'bash', this.script('bash'), ...lines];
    const { stdout } = await this.#run('bash', args, more);
    return stdout.split('\0').slice(0, -1).map(wordsOf);
  }

  async zsh(lines: readonly string[], more: Record<string, string> = {}): Promise<string[][]> {
    const out = join(this.folder, 'offered');
    await writeFile(out, '');
    const environment = {
      INNER: join(this.folder, 'inner.zsh'),
      SCRIPT: this.script('zsh'),
      OUT: out,
      ...more,
    };
    const { stdout } = await this.#run('zsh', ['-f', '-c', zshHarness, 'zsh', ...lines], environment);
    return stdout
      .split('\0')
      .slice(0, -1)
      .map((words) => [...new Set(wordsOf(words))]);
  }

  async fish(lines: readonly string[]): Promise<string[][]> {
    const args = ['--no-config', '-c', fishHarness, this.script('fish'), ...lines];
    const { stdout } = await this.#run('fish', args);
    // After a tab stands what the word means.
    return stdout
      .split('\0')
      .slice(0, -1)
      .map((offers) => wordsOf(offers).map((offer) => offer.split('\t')[0]!));
  }

  /** What is offered at the end of each line, sorted. */
  async offers(shell: Shell, lines: readonly string[]): Promise<string[][]> {
    return (await this[shell](lines)).map((words) => words.toSorted());
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  async #run(shell: string, args: readonly string[], more: Record<string, string> = {}) {
    const env = { ...this.#environment, ...more };
    return await run(shell, args, { cwd: this.folder, env, timeout: 30_000 });
  }
}

function wordsOf(text: string): string[] {
  return text.split('\n').filter((word) => word !== '');
}
