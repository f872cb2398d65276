// How loud a log is: apart from the log itself, so that `--help` need not load it.

export const logLevels = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof logLevels)[number];
