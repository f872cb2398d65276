// Everything that this folder throws at its caller.

export type NetworkErrorCode =
  | 'bad_option' // an option that cannot work; the message names it
  | 'bad_address' // not a TCP multiaddr, or one of another peer
  | 'bad_credential' // not an ed25519 credential, or a peer id of another key type
  | 'not_running' // before start, or after stop
  | 'listen_failed' // no socket could be opened on an address
  | 'unknown_party' // not in the roster, or this party itself
  | 'message_too_large' // beyond the limit of its channel
  | 'outbox_full' // the peer takes no more: it is away, or slower than this party
  | 'frame' // bytes of a peer that are not a frame
  | 'hello_refused' // another network, keyring, epoch or version, or this party's own key
  | 'protocol' // a well-formed frame that must not come here
  | 'silent' // no heartbeat within the deadline
  | 'replaced' // a better stream to the same peer took over
  | 'closed'; // the stream ended

/** What went wrong in the network, with the fields an operator needs to find it. */
export class NetworkError extends Error {
  override readonly name = 'NetworkError';
  readonly code: NetworkErrorCode;
  readonly fields: Readonly<Record<string, string | number>>;
  constructor(
    code: NetworkErrorCode,
    message: string,
    fields: Record<string, string | number> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.fields = fields;
  }
}

/** The text of anything thrown, for a log. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) {
    const reasons = new Set(error.errors.map(reasonOf));
    if (reasons.size > 0) return [...reasons].join('; ');
  }
  return error instanceof Error ? error.message || error.name : String(error);
}
