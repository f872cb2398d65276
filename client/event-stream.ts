// Parser of server-sent events (WHATWG HTML, 9.2.6 "Interpreting an event stream"), bounded: a server can neither make it
// hold a line nor an event without end. Bytes in, events out; it waits for nothing.

export interface ServerSentEvent {
  /** `message` unless the server says otherwise. */
  readonly type: string;
  readonly data: string;
  /** The last id the server gave, with this event or before it; empty when none. */
  readonly id: string;
}

export class EventStreamError extends Error {
  override readonly name = 'EventStreamError';
  readonly code: 'line_too_long' | 'event_too_long';
  constructor(code: EventStreamError['code'], limit: number) {
    super(`${code === 'line_too_long' ? 'a line' : 'an event'} of the stream is longer than ${limit} bytes`);
    this.code = code;
  }
}

export interface EventParserLimits {
  /** Bytes of a line. */
  readonly maxLine: number;
  /** Bytes of all data lines of an event. */
  readonly maxEvent: number;
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const byteOrderMark = '\uFEFF';

export class EventParser {
  readonly #limits: EventParserLimits;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  /** Bytes of the line that is not complete yet. */
  #line: Uint8Array;
  #lineLength = 0;
  #afterCarriageReturn = false;
  #first = true;
  #type = '';
  #data: string[] = [];
  #dataLength = 0;
  #id = '';

  constructor(limits: EventParserLimits) {
    this.#limits = limits;
    this.#line = new Uint8Array(Math.min(1024, limits.maxLine));
  }

  /** The events that these bytes complete. Throws EventStreamError; the parser is of no use afterwards. */
  push(bytes: Uint8Array): ServerSentEvent[] {
    const events: ServerSentEvent[] = [];
    let start = 0;
    for (let index = 0; index < bytes.length; index += 1) {
      const byte = bytes[index];
      const secondOfPair = byte === lineFeed && this.#afterCarriageReturn;
      this.#afterCarriageReturn = byte === carriageReturn;
      if (byte !== lineFeed && byte !== carriageReturn) continue;
      if (!secondOfPair) this.#endLine(bytes.subarray(start, index), events);
      start = index + 1;
    }
    this.#keep(bytes.subarray(start));
    return events;
  }

  #keep(part: Uint8Array): void {
    const length = this.#lineLength + part.length;
    if (length > this.#limits.maxLine) throw new EventStreamError('line_too_long', this.#limits.maxLine);
    if (length > this.#line.length) {
      const larger = new Uint8Array(Math.min(this.#limits.maxLine, Math.max(length, this.#line.length * 2)));
      larger.set(this.#line.subarray(0, this.#lineLength));
      this.#line = larger;
    }
    this.#line.set(part, this.#lineLength);
    this.#lineLength = length;
  }

  #endLine(part: Uint8Array, events: ServerSentEvent[]): void {
    this.#keep(part);
    let line = this.#decoder.decode(this.#line.subarray(0, this.#lineLength));
    const bytes = this.#lineLength;
    this.#lineLength = 0;
    if (this.#first && line.startsWith(byteOrderMark)) line = line.slice(1);
    this.#first = false;
    if (line === '') this.#dispatch(events);
    else this.#field(line, bytes);
  }

  #field(line: string, bytes: number): void {
    const colon = line.indexOf(':');
    if (colon === 0) return; // A comment: servers send them to keep the connection alive.
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'data') {
      this.#dataLength += bytes;
      if (this.#dataLength > this.#limits.maxEvent)
        throw new EventStreamError('event_too_long', this.#limits.maxEvent);
      this.#data.push(value);
    } else if (field === 'event') this.#type = value;
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
    // `retry` and unknown fields: how long to wait before a new connection is the caller's own choice.
  }

  #dispatch(events: ServerSentEvent[]): void {
    if (this.#data.length > 0) {
      events.push({ type: this.#type || 'message', data: this.#data.join('\n'), id: this.#id });
    }
    this.#type = '';
    this.#data = [];
    this.#dataLength = 0;
  }
}
