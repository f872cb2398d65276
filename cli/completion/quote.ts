// Text inside the scripts of completion.

/** A word for any of the shells that take '...' literally and have no escapes in it: bash and zsh. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A word for fish, whose '...' knows \' and \\. */
export function quotedForFish(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}
