// The channel to one peer: messages in order, each at most once, resent after a reconnect for as long as both processes
// live (design: "Transport"). It outlives its streams: at any time it has one chosen stream, or none and the peer is down.
//
// A stream counts only after the peer's own HELLO arrived and was checked: whoever dials believes in a connection before
// the other side's gater has refused it. Sequence numbers start at 1 for each pair of boot ids, so that a message of one
// life of a process never reaches another one.
import type { HelloFrame } from './frames.ts';
import { dataFrameOverhead, frameVersion } from './frames.ts';
import { Inbox } from './inbox.ts';
import type { NetworkLimits } from './limits.ts';
import { NetworkError, reasonOf } from './network-error.ts';
import { Outbox } from './outbox.ts';
import { type Carrier, PeerStream } from './peer-stream.ts';
import { toHex } from '../../protocol/hex.ts';

/** What a party says of itself in every HELLO. */
export interface ChannelIdentity {
  networkId: string;
  keyringId: string;
  epoch: string;
  /** 16 random bytes of this process. */
  bootId: Uint8Array;
  bootCounter: number;
}

export interface PeerChannelOptions {
  /** The peer's credential. */
  peer: string;
  identity: ChannelIdentity;
  /** Of two streams, keep the one opened here: this party has the lower peer id. */
  keepsOwn: boolean;
  limits: NetworkLimits;
  onMessage: (bytes: Uint8Array) => void | Promise<void>;
  /** The peer came up or went down. A restarted peer goes down and comes up; a change of streams alone is not told. */
  onChange: (event: { up: boolean; bootId: string; bootCounter: number }) => void;
  /** The peer's clock was measured. */
  onClock?: () => void;
  /** Sees the bytes of every message as it leaves, resent ones included. */
  onSent?: (bytes: Uint8Array) => void;
  log: (event: string, fields: Record<string, unknown>) => void;
}

/** By how much a peer's clock is ahead of this party's as last measured, give or take half a round trip; milliseconds. */
export interface PeerClock {
  aheadMs: number;
  roundTripMs: number;
}

interface RemoteBoot {
  id: string;
  counter: number;
}

export class PeerChannel {
  readonly #options: PeerChannelOptions;
  readonly #outbox: Outbox;
  readonly #inbox: Inbox;
  readonly #greeting = new Set<PeerStream>();
  #chosen: PeerStream | undefined;
  #remote: RemoteBoot | undefined;
  /** Sequence number of the last message received from the remote boot. */
  #received = 0;
  /** The boot that the owner was told to be up, and since when. */
  #told: (RemoteBoot & { since: number }) | undefined;
  /** Since when nobody is there, in milliseconds of Unix time. */
  #downSince = Date.now();
  /** Of the peer while it is up: see PeerStreamHandlers.onClock. */
  #clock: PeerClock | undefined;
  #stopped = false;

  constructor(options: PeerChannelOptions) {
    this.#options = options;
    this.#outbox = new Outbox(options.limits.maxOutboxBytes);
    this.#inbox = new Inbox({
      maxBytes: options.limits.maxInboxBytes,
      handle: options.onMessage,
      onError: (error) => options.log('handler.failed', { peer: options.peer, reason: reasonOf(error) }),
      onRoom: () => this.#chosen?.setPaused(false),
    });
  }

  get up(): boolean {
    return this.#chosen !== undefined;
  }

  /** Of the peer: its last known boot, since when it is up or down (milliseconds of Unix time), and what waits for it. */
  status(): {
    up: boolean;
    bootId?: string;
    bootCounter?: number;
    since?: number;
    downSince?: number;
    clock?: PeerClock;
    queuedBytes: number;
  } {
    return {
      up: this.up,
      ...(this.#remote !== undefined && { bootId: this.#remote.id, bootCounter: this.#remote.counter }),
      ...(this.#told === undefined ? { downSince: this.#downSince } : { since: this.#told.since }),
      ...(this.#clock !== undefined && { clock: this.#clock }),
      queuedBytes: this.#outbox.queuedBytes,
    };
  }

  /**
   * Queues a message, up to 64 bytes smaller than the largest frame.
   *
   * @throws {NetworkError} `message_too_large`, `outbox_full`, `not_running`
   */
  send(bytes: Uint8Array): void {
    if (this.#stopped) throw new NetworkError('not_running', 'the channel is stopped');
    const limit = this.#options.limits.maxFrameBytes - dataFrameOverhead;
    if (bytes.length > limit) {
      throw new NetworkError(
        'message_too_large',
        `a message of ${bytes.length} bytes, the limit is ${limit}`,
      );
    }
    this.#outbox.push(bytes);
    this.#chosen?.wake();
  }

  /**
   * Takes a new stream to or from this peer, whose key the connection has proven. Resolves when the stream is chosen;
   * rejects with a NetworkError when it ended before.
   */
  attach(carrier: Carrier): Promise<void> {
    return new Promise((resolve, reject) => {
      const stream: PeerStream = new PeerStream(carrier, this.#hello(), this.#options.limits, {
        onHello: (hello) => {
          this.#onHello(stream, hello);
          if (this.#chosen === stream) resolve();
        },
        onOtherVersion: (version) => this.#onOtherVersion(stream, version),
        onClock: (aheadMs, roundTripMs) => {
          if (this.#chosen !== stream) return;
          this.#clock = { aheadMs, roundTripMs };
          this.#options.onClock?.();
        },
        onData: (sequence, bytes) => this.#onData(stream, sequence, bytes),
        onAck: (sequence) => {
          if (this.#chosen === stream) this.#outbox.acknowledge(sequence);
        },
        next: () => (this.#chosen === stream ? this.#next() : undefined),
        onEnd: (error) => {
          this.#onEnd(stream, error);
          reject(error);
        },
      });
      this.#greeting.add(stream);
      stream.start();
      if (this.#stopped) stream.end(new NetworkError('not_running', 'the channel is stopped'));
    });
  }

  /** Ends every stream in order and drops what waits. No callback is called afterwards. */
  stop(): void {
    this.#stopped = true;
    const error = new NetworkError('closed', 'this node stops');
    for (const stream of this.#greeting) stream.end(error);
    this.#chosen?.end(error);
    this.#chosen = undefined;
    this.#told = undefined;
    this.#inbox.clear();
    this.#outbox.clear();
  }

  #hello(): HelloFrame {
    return {
      type: 'hello',
      version: frameVersion,
      ...this.#options.identity,
      peerBootId:
        this.#remote === undefined ? new Uint8Array(0) : Buffer.from(this.#remote.id.slice(2), 'hex'),
      received: this.#received,
    };
  }

  /** @throws {NetworkError} `hello_refused` */
  #check(hello: HelloFrame): void {
    const own = this.#options.identity;
    const refuse = (what: string, theirs: string | number, ours: string | number): never => {
      throw new NetworkError('hello_refused', `the peer's ${what} is ${theirs}, ours is ${ours}`, {
        what,
        theirs,
        ours,
      });
    };
    if (hello.networkId !== own.networkId) refuse('network', hello.networkId, own.networkId);
    if (hello.keyringId !== own.keyringId) refuse('keyring', hello.keyringId, own.keyringId);
    if (hello.epoch !== own.epoch) refuse('epoch', hello.epoch, own.epoch);
    if (toHex(hello.bootId) === toHex(own.bootId)) refuse('boot id', toHex(hello.bootId), 'the same');
  }

  /** In order, so that the peer reads our HELLO too and its operator learns the reason as well. */
  #refuse(stream: PeerStream, error: NetworkError): void {
    this.#options.log('peer.refused', { peer: this.#options.peer, reason: reasonOf(error) });
    stream.end(error);
  }

  #onOtherVersion(stream: PeerStream, version: number): void {
    const what = 'protocol version';
    const fields = { what, theirs: version, ours: frameVersion };
    const message = `the peer's ${what} is ${version}, ours is ${frameVersion}`;
    this.#refuse(stream, new NetworkError('hello_refused', message, fields));
  }

  #onHello(stream: PeerStream, hello: HelloFrame): void {
    try {
      this.#check(hello);
    } catch (error) {
      return this.#refuse(stream, error as NetworkError);
    }
    const boot = { id: toHex(hello.bootId), counter: hello.bootCounter };
    if (!this.#prefers(stream, boot)) {
      stream.end(new NetworkError('replaced', 'another stream to this peer is kept'));
      return;
    }
    const restarted = this.#remote !== undefined && this.#remote.id !== boot.id;
    const theyHave = toHex(hello.peerBootId) === toHex(this.#options.identity.bootId) ? hello.received : 0;
    if (restarted && theyHave > 0) {
      throw new NetworkError(
        'protocol',
        `boot ${boot.id} of the peer was replaced and comes back: two processes run`,
      );
    }
    // A HELLO may be older than acknowledgements that came on another stream; the outbox takes the higher.
    if (!restarted) this.#outbox.acknowledge(theyHave);
    const previous = this.#chosen;
    if (restarted) this.#tellDown();
    this.#greeting.delete(stream);
    this.#chosen = stream;
    this.#remote = boot;
    if (restarted) {
      this.#outbox.clear();
      this.#inbox.clear();
      this.#received = 0;
    }
    this.#outbox.rewind();
    previous?.end(new NetworkError('replaced', 'a newer stream to this peer took over'));
    stream.setPaused(this.#inbox.full);
    stream.open();
    this.#tellUp();
  }

  /** Whether a stream whose HELLO has just arrived takes the place of the chosen one. Both sides decide alike. */
  #prefers(stream: PeerStream, boot: RemoteBoot): boolean {
    if (this.#chosen === undefined || this.#remote === undefined) return true;
    // The chosen stream is a dead process's, unless this one is of an older start than the living.
    if (boot.id !== this.#remote.id) return boot.counter >= this.#remote.counter;
    // A side dials only without a channel, so its newer stream means that it lost the older.
    if (stream.openedHere === this.#chosen.openedHere) return true;
    return stream.openedHere === this.#options.keepsOwn;
  }

  #onData(stream: PeerStream, sequence: number, bytes: Uint8Array): void {
    if (stream !== this.#chosen) return;
    if (sequence > this.#received + 1) {
      throw new NetworkError('protocol', `message ${sequence} after ${this.#received}: some are missing`);
    }
    if (sequence === this.#received + 1) {
      this.#received = sequence;
      this.#inbox.push(bytes);
    }
    // A duplicate is acknowledged as well: the peer has missed the first acknowledgement.
    stream.acknowledge(this.#received);
    if (this.#inbox.full) stream.setPaused(true);
  }

  #next(): { sequence: number; bytes: Uint8Array } | undefined {
    const message = this.#outbox.next();
    if (message !== undefined) this.#options.onSent?.(message.bytes);
    return message;
  }

  #onEnd(stream: PeerStream, error: NetworkError): void {
    this.#greeting.delete(stream);
    if (this.#stopped) return;
    const { log, peer } = this.#options;
    log('peer.stream.ended', {
      peer,
      code: error.code,
      reason: error.message,
      openedHere: stream.openedHere,
    });
    if (stream === this.#chosen) this.#chosen = undefined;
    // When both dialled at once, the peer may drop the one stream before its HELLO on the other is here.
    if (this.#chosen === undefined && this.#greeting.size === 0) this.#tellDown();
  }

  #tellUp(): void {
    if (this.#told !== undefined) return;
    this.#told = { ...this.#remote!, since: Date.now() };
    this.#tell(this.#told, true);
  }

  #tellDown(): void {
    const told = this.#told;
    if (told === undefined) return;
    this.#told = undefined;
    this.#downSince = Date.now();
    this.#clock = undefined;
    this.#tell(told, false);
  }

  #tell({ id: bootId, counter: bootCounter }: RemoteBoot, up: boolean): void {
    this.#options.log(up ? 'peer.up' : 'peer.down', { peer: this.#options.peer, bootId, bootCounter });
    this.#options.onChange({ up, bootId, bootCounter });
  }
}
