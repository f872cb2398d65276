// Where the server listens, and why it cannot.

export class ListenError extends Error {
  override readonly name = 'ListenError';
  readonly code: 'address_in_use' | 'address_unavailable' | 'not_allowed';
  constructor(code: ListenError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/** What a failed bind means to an operator; other errors as they are. */
export function listenError(error: unknown, host: string, port: number): unknown {
  switch (String((error as NodeJS.ErrnoException).code)) {
    case 'EADDRINUSE':
      return new ListenError(
        'address_in_use',
        `${host}:${port} is in use by another process: stop it, or configure another listen.port (0 takes a free one)`,
      );
    case 'EADDRNOTAVAIL':
      return new ListenError(
        'address_unavailable',
        `${host} is no address of this machine: configure another listen.host`,
      );
    case 'EACCES':
      return new ListenError(
        'not_allowed',
        `this user may not listen on ${host}:${port}: configure a listen.port above 1023`,
      );
    default:
      return error;
  }
}

/** How a client on this machine reaches a bound address. */
export const urlOf = (host: string, port: number): string => {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
};
