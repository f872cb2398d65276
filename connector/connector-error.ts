// Why a connector cannot start or go on. What passes by itself (an unreachable coordinator or node) is no such error.

export type ConnectorErrorCode =
  | 'bad_config' // the configuration is malformed
  | 'bad_grant' // the grant is unreadable, expired, or another connector's
  | 'locked' // another process works on the folder
  | 'corrupt_cursor' // a cursor file is not what this program writes
  | 'storage'; // the folder cannot be read or written

export class ConnectorError extends Error {
  override readonly name = 'ConnectorError';
  readonly code: ConnectorErrorCode;
  constructor(code: ConnectorErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.code = code;
  }
}

/** What a file that cannot be written ends with. */
export function storageError(path: string, error: unknown): ConnectorError {
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
  return new ConnectorError(
    'storage',
    `cannot write ${path} (${code}): check space and rights of the folder`,
    error,
  );
}
