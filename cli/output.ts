// What commands print: tables and labelled lines for people, one JSON document with `--json`. Everything printed is made
// safe for terminals here, so no command has to remember it.
import type { CommandContext } from './context.ts';
import { printable, printableJson } from './printable.ts';

/** Columns under their titles, in upper case, separated by two spaces. */
export function table(titles: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const lines = [titles.map((title) => title.toUpperCase()), ...rows.map((row) => row.map(printable))];
  const widths = titles.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
  return lines.map((line) =>
    line
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
}

/** One labelled value a line; a value of several lines goes on below itself. Undefined values are left out. */
export function fields(
  entries: readonly (readonly [string, string | readonly string[] | undefined])[],
): string[] {
  const shown = entries.filter(([, value]) => value !== undefined);
  const width = Math.max(0, ...shown.map(([label]) => label.length));
  return shown.flatMap(([label, value]) => {
    const lines = typeof value === 'string' ? [value] : (value ?? []);
    return lines.map((line, index) => `${(index === 0 ? label : '').padEnd(width)}  ${printable(line)}`);
  });
}

/** Prints a command's result: `value` with `--json`, `lines` otherwise. */
export function printResult(
  context: CommandContext,
  options: { readonly json?: boolean | undefined },
  value: unknown,
  lines: () => readonly string[],
): void {
  const text = options.json === true ? printableJson(value, 2) : lines().map(printable).join('\n');
  if (text !== '') context.stdout.write(`${text}\n`);
}

/** Prints lines for a person beside the result: reviews, warnings, progress. They never mix with `--json`. */
export function printNotes(context: CommandContext, lines: readonly string[]): void {
  for (const line of lines) context.stderr.write(`${printable(line)}\n`);
}

/** The part of an id that tables show; every command takes it for the whole id where it is unique. */
export function shortId(id: string): string {
  return id.slice(0, 14);
}
