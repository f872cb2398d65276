// One libp2p stream of a peer channel: frames in and out, coalesced per tick, with heartbeat and flow control. What the
// frames mean is PeerChannel's. Facts about libp2p 3.3 that shape this file:
//
// - an exception in a listener of a stream ends the process: every listener here catches, and aborts the stream instead;
// - `stream.onDrain()` cannot be awaited twice, so writing resumes on the 'drain' event;
// - pausing inside of `resume()`, which delivers what waited, leaves the muxer resumed: see #applyFlow.
import type { Connection, Stream } from '@libp2p/interface';
import { type Frame, FrameDecoder, type HelloFrame, encodeFrame } from './frames.ts';
import type { NetworkLimits } from './limits.ts';
import { NetworkError, reasonOf } from './network-error.ts';

/** A stream, the connection it is on, which exists for it alone, and whether this party opened both. */
export interface Carrier {
  stream: Stream;
  connection: Pick<Connection, 'close' | 'abort'>;
  openedHere: boolean;
}

export interface PeerStreamHandlers {
  /** The first frame, exactly once. */
  onHello: (hello: HelloFrame) => void;
  /** Instead: a HELLO of another version of the format. */
  onOtherVersion: (version: number) => void;
  onData: (sequence: number, bytes: Uint8Array) => void;
  onAck: (sequence: number) => void;
  /** By how much the peer's clock is ahead of this party's, and how long the question travelled; in milliseconds. */
  onClock: (aheadMs: number, roundTripMs: number) => void;
  /** The next message to send, asked for after `open()` while the stream takes more. */
  next: () => { sequence: number; bytes: Uint8Array } | undefined;
  /** Once, when the stream is of no more use, whoever ended it. */
  onEnd: (error: NetworkError) => void;
}

/** Frames are joined up to this many bytes before they are handed to the stream. */
const batchBytes = 256 * 1024;
/** How long a connection may take to close in order before it is cut, in milliseconds. */
const closeDeadlineMs = 1_000;

export class PeerStream {
  readonly openedHere: boolean;
  readonly #carrier: Carrier;
  readonly #limits: NetworkLimits;
  readonly #handlers: PeerStreamHandlers;
  readonly #decoder: FrameDecoder;
  readonly #timers: NodeJS.Timeout[] = [];
  #state: 'greeting' | 'open' | 'ended' = 'greeting';
  #greeted = false;

  #hello: HelloFrame | undefined;
  #acknowledgeUpTo: number | undefined;
  #pingDue = false;
  /** A question about the clock to be answered: of several only the last. */
  #clockAsked: number | undefined;
  /** This party's own question: what it sent, and when by the steady clock. */
  #clockQuestion: { sent: number; at: number } | undefined;
  #clockDue = false;
  #lastClock = Number.NEGATIVE_INFINITY;
  #flushScheduled = false;
  #blocked = false;
  #wroteSinceBeat = false;

  #paused = false;
  #wantPaused = false;
  #applyingFlow = false;

  #lastHeard = performance.now();
  #lastBeat = performance.now();

  constructor(carrier: Carrier, hello: HelloFrame, limits: NetworkLimits, handlers: PeerStreamHandlers) {
    this.#carrier = carrier;
    this.openedHere = carrier.openedHere;
    this.#hello = hello;
    this.#limits = limits;
    this.#handlers = handlers;
    this.#decoder = new FrameDecoder(limits.maxFrameBytes);
  }

  /** Listens, and sends this party's HELLO. */
  start(): void {
    const { stream } = this.#carrier;
    stream.addEventListener('message', (event) => this.#guard(() => this.#receive(event.data.subarray())));
    stream.addEventListener('drain', () => {
      this.#blocked = false;
      this.#scheduleFlush();
    });
    stream.addEventListener('close', (event) => {
      const reason = event.error === undefined ? '' : `: ${reasonOf(event.error)}`;
      this.#end(new NetworkError('closed', `the stream ended${reason}`), true);
    });
    stream.addEventListener('remoteCloseWrite', () => {
      this.end(new NetworkError('closed', 'the peer closed the stream'));
    });
    this.#timers.push(
      setInterval(() => this.#guard(() => this.#beat()), this.#limits.heartbeatMs),
      setTimeout(() => {
        if (!this.#greeted) this.#abort(new NetworkError('silent', 'no HELLO within the deadline'));
      }, this.#limits.helloDeadlineMs),
    );
    if (stream.status !== 'open') {
      this.#end(new NetworkError('closed', 'the stream ended before it was used'), true);
      return;
    }
    this.#scheduleFlush();
  }

  /** Begins to send messages: the channel chose this stream. */
  open(): void {
    if (this.#state === 'ended') return;
    this.#state = 'open';
    this.#clockDue = true;
    this.#scheduleFlush();
  }

  /** There is something to ask `next` for. */
  wake(): void {
    if (this.#state === 'open') this.#scheduleFlush();
  }

  /** Tells the peer, with the next flush, that everything up to `sequence` arrived. */
  acknowledge(sequence: number): void {
    this.#acknowledgeUpTo = sequence;
    this.#scheduleFlush();
  }

  /** Stops or resumes reading. The peer's heartbeat is not expected meanwhile; this party's own goes on. */
  setPaused(paused: boolean): void {
    this.#wantPaused = paused;
    this.#guard(() => this.#applyFlow());
  }

  /** Ends the stream in order: what was due is still sent. */
  end(error: NetworkError): void {
    this.#guard(() => this.#flush());
    this.#end(error, false);
  }

  #abort(error: NetworkError): void {
    this.#end(error, true);
  }

  #end(error: NetworkError, abort: boolean): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    for (const timer of this.#timers) clearInterval(timer);
    const { stream, connection } = this.#carrier;
    if (abort) {
      stream.abort(error);
      connection.abort(error);
    } else {
      connection.close({ signal: AbortSignal.timeout(closeDeadlineMs) }).catch(() => connection.abort(error));
    }
    this.#handlers.onEnd(error);
  }

  /** Runs what a peer or a timer caused; a failure costs the stream, never the process. */
  #guard(step: () => void): void {
    if (this.#state === 'ended') return;
    try {
      step();
    } catch (error) {
      this.#abort(
        error instanceof NetworkError
          ? error
          : new NetworkError('protocol', `the stream failed: ${reasonOf(error)}`, {}, { cause: error }),
      );
    }
  }

  #receive(chunk: Uint8Array): void {
    this.#lastHeard = performance.now();
    for (const frame of this.#decoder.push(chunk)) {
      this.#dispatch(frame);
      if (this.#isEnded()) return;
    }
  }

  #isEnded(): boolean {
    return this.#state === 'ended';
  }

  #dispatch(frame: Frame): void {
    if ((frame.type === 'hello' || frame.type === 'other_hello') === this.#greeted) {
      throw new NetworkError(
        'protocol',
        this.#greeted ? 'a second HELLO' : `a ${frame.type} frame before HELLO`,
      );
    }
    switch (frame.type) {
      case 'hello':
        this.#greeted = true;
        return this.#handlers.onHello(frame);
      case 'other_hello':
        this.#greeted = true;
        return this.#handlers.onOtherVersion(frame.version);
      case 'clock':
        this.#clockAsked = frame.sent;
        return this.#scheduleFlush();
      case 'clock_answer':
        return this.#onClockAnswer(frame.sent, frame.now);
      case 'data':
        return this.#handlers.onData(frame.sequence, frame.bytes);
      case 'ack':
        return this.#handlers.onAck(frame.sequence);
      case 'ping':
        return;
    }
  }

  /** The question took a round trip: at half of it the peer is assumed to have read its clock. */
  #onClockAnswer(sent: number, peerNow: number): void {
    const question = this.#clockQuestion;
    // Not asked, or not now: an answer counts once.
    if (question?.sent !== sent) return;
    this.#clockQuestion = undefined;
    const roundTrip = performance.now() - question.at;
    this.#handlers.onClock(Math.round(peerNow - (sent + roundTrip / 2)), Math.round(roundTrip));
  }

  #applyFlow(): void {
    if (this.#applyingFlow) return;
    this.#applyingFlow = true;
    try {
      while (this.#paused !== this.#wantPaused && !this.#isEnded()) {
        this.#paused = this.#wantPaused;
        this.#lastHeard = performance.now();
        if (this.#paused) this.#carrier.stream.pause();
        else this.#carrier.stream.resume();
      }
    } finally {
      this.#applyingFlow = false;
    }
  }

  #beat(): void {
    const now = performance.now();
    // A late timer means that this process stood still: what the peer sent meanwhile is still to be read.
    const stoodStill = now - this.#lastBeat > 2 * this.#limits.heartbeatMs;
    this.#lastBeat = now;
    if (stoodStill) this.#lastHeard = now;
    const silence = now - this.#lastHeard;
    if (!this.#paused && silence > this.#limits.heartbeatDeadlineMs) {
      throw new NetworkError('silent', `nothing heard for ${Math.round(silence)} ms`);
    }
    if (!this.#wroteSinceBeat) this.#pingDue = true;
    if (this.#state === 'open' && now - this.#lastClock >= this.#limits.clockMs) this.#clockDue = true;
    this.#wroteSinceBeat = false;
    if (this.#blocked && !this.#carrier.stream.writableNeedsDrain) this.#blocked = false;
    this.#scheduleFlush();
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled || this.#blocked || this.#isEnded()) return;
    this.#flushScheduled = true;
    setImmediate(() => {
      this.#flushScheduled = false;
      this.#guard(() => this.#flush());
    });
  }

  #flush(): void {
    while (!this.#blocked && !this.#isEnded()) {
      const batch = this.#nextBatch();
      if (batch === undefined) return;
      this.#wroteSinceBeat = true;
      if (!this.#carrier.stream.send(batch)) this.#blocked = true;
    }
  }

  #nextBatch(): Uint8Array | undefined {
    const frames: Uint8Array[] = [];
    let size = 0;
    const add = (frame: Frame): void => {
      const bytes = encodeFrame(frame);
      frames.push(bytes);
      size += bytes.length;
    };
    if (this.#hello !== undefined) {
      add(this.#hello);
      this.#hello = undefined;
    }
    if (this.#acknowledgeUpTo !== undefined) {
      add({ type: 'ack', sequence: this.#acknowledgeUpTo });
      this.#acknowledgeUpTo = undefined;
    }
    if (this.#clockAsked !== undefined) {
      add({ type: 'clock_answer', sent: this.#clockAsked, now: Date.now() });
      this.#clockAsked = undefined;
    }
    if (this.#clockDue) {
      this.#clockDue = false;
      this.#lastClock = performance.now();
      this.#clockQuestion = { sent: Date.now(), at: this.#lastClock };
      add({ type: 'clock', sent: this.#clockQuestion.sent });
    }
    while (this.#state === 'open' && size < batchBytes) {
      const message = this.#handlers.next();
      if (message === undefined) break;
      add({ type: 'data', ...message });
    }
    if (this.#pingDue && frames.length === 0) add({ type: 'ping' });
    this.#pingDue = false;
    if (frames.length <= 1) return frames[0];
    return Buffer.concat(frames, size);
  }
}
