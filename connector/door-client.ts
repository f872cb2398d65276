// The connector's end of its node's door: a libp2p host that dials one node, speaks one protocol and listens nowhere.
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import type { Connection, Libp2p } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import { messageStreamToDuplex } from '@libp2p/utils';
import { yamux } from '@libp2p/yamux';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { anySignal } from 'any-signal';
import { decode, encode } from 'it-length-prefixed';
import { pipe } from 'it-pipe';
import { createLibp2p } from 'libp2p';
import {
  DOOR_DEADLINE_MS,
  DOOR_MAX_MESSAGE_BYTES,
  DOOR_MAX_REPLY_BYTES,
  DOOR_PROTOCOL,
  decodeDoorReply,
} from '../protocol/door.ts';
import { toHex } from '../protocol/hex.ts';
import { publicKeyOf } from '../protocol/keys/ed25519.ts';
import { connectionEncrypter } from './noise.ts';

export type DoorClientErrorCode =
  | 'bad_address' // the configured node address cannot be dialled
  | 'bad_key' // the connector's seed has not 32 bytes
  | 'not_running' // before start, or after stop
  | 'unreachable' // nobody answers at the address
  | 'wrong_node' // who answers does not hold the key in the address
  | 'not_admitted' // the node refuses this connector's key
  | 'busy' // too many requests at once
  | 'too_large' // the request is beyond the limit
  | 'failed' // the node could not answer this request
  | 'interrupted' // the connection broke, or the deadline passed, after the request was sent
  | 'malformed'; // the node's answer is not one of this protocol

/** One line for the operator, with what to do about it. */
export class DoorClientError extends Error {
  override readonly name = 'DoorClientError';
  readonly code: DoorClientErrorCode;
  constructor(code: DoorClientErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export interface DoorClientOptions {
  /** 32-byte ed25519 seed of the connector's key. */
  privateSeed: Uint8Array;
  /** `/ip4/<host>/tcp/<port>/p2p/<peer id>` of the node. */
  nodeAddress: string;
  /** How long a request may take, dialling included, in milliseconds; 30 s by default. */
  deadlineMs?: number;
}

export interface DoorClient {
  /** This connector's credential, which the node must admit. */
  readonly credential: string;
  start(): Promise<void>;
  stop(): Promise<void>;
  /**
   * One request (up to 4 MiB), one answer. Dials when there is no connection. It does not repeat a request that was
   * sent: the caller knows whether it may.
   *
   * @throws {DoorClientError}, or the signal's reason
   */
  request(bytes: Uint8Array, options?: { signal?: AbortSignal }): Promise<Uint8Array>;
}

/** @throws {DoorClientError} `bad_address`, `bad_key` */
export function createDoorClient(options: DoorClientOptions): DoorClient {
  return new LibP2pDoorClient(options);
}

class LibP2pDoorClient implements DoorClient {
  readonly credential: string;
  readonly #seed: Uint8Array;
  readonly #address: Multiaddr;
  readonly #deadlineMs: number;
  #host: Libp2p | undefined;
  #connection: Connection | undefined;
  #dialling: Promise<Connection> | undefined;
  readonly #stopped = new AbortController();

  constructor(options: DoorClientOptions) {
    this.#address = nodeAddress(options.nodeAddress);
    if (options.privateSeed.length !== 32) {
      throw new DoorClientError(
        'bad_key',
        `a connector key's seed has 32 bytes, this has ${options.privateSeed.length}`,
      );
    }
    this.#seed = new Uint8Array(options.privateSeed);
    this.credential = `ed25519:${toHex(publicKeyOf(this.#seed))}`;
    this.#deadlineMs = options.deadlineMs ?? DOOR_DEADLINE_MS;
  }

  async start(): Promise<void> {
    if (this.#host !== undefined) return;
    const node = this.#address.getComponents().at(-1)!.value;
    this.#host = await createLibp2p({
      privateKey: await generateKeyPairFromSeed('Ed25519', this.#seed),
      addresses: { listen: [] },
      transports: [tcp()],
      connectionEncrypters: [connectionEncrypter()],
      streamMuxers: [yamux({ maxInboundStreams: 1, streamOptions: { maxStreamWindowSize: 1 << 20 } })],
      connectionGater: {
        denyDialPeer: (peer) => peer.toString() !== node,
        denyInboundConnection: () => true,
      },
      connectionManager: { reconnectRetries: 0 },
      // A request has a deadline, and the connection that misses it is cut.
      connectionMonitor: { enabled: false },
    });
  }

  async stop(): Promise<void> {
    this.#stopped.abort(new DoorClientError('not_running', 'the connector stops'));
    await this.#host?.stop();
    this.#connection = undefined;
  }

  async request(bytes: Uint8Array, options: { signal?: AbortSignal } = {}): Promise<Uint8Array> {
    if (this.#host === undefined || this.#stopped.signal.aborted) {
      throw new DoorClientError('not_running', 'the connection to the node is not started, or stopped');
    }
    if (bytes.length > DOOR_MAX_MESSAGE_BYTES) {
      throw new DoorClientError(
        'too_large',
        `a request of ${bytes.length} bytes, the limit is ${DOOR_MAX_MESSAGE_BYTES}`,
      );
    }
    options.signal?.throwIfAborted();
    const deadline = AbortSignal.timeout(this.#deadlineMs);
    const given = options.signal === undefined ? [] : [options.signal];
    const signal = anySignal([deadline, this.#stopped.signal, ...given]);
    try {
      return await this.#exchange(bytes, signal);
    } catch (error) {
      for (const cause of [this.#stopped.signal, options.signal]) cause?.throwIfAborted();
      // A node that is silent for so long may be behind a dead connection: the next request dials again.
      if (deadline.aborted) this.#drop(error);
      throw error instanceof DoorClientError ? error : this.#explain(error, false);
    } finally {
      signal.clear();
    }
  }

  async #exchange(bytes: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const stream = await this.#openStream(signal);
    let reply: Uint8Array;
    try {
      // One that has ended while it was being opened told nobody, and what reads it would wait for ever.
      if (stream.status !== 'open') throw new Error('the stream ended as it was opened');
      const duplex = messageStreamToDuplex(stream);
      const answer = pipe(
        [bytes],
        (source) => encode(source, { maxDataLength: DOOR_MAX_MESSAGE_BYTES }),
        duplex,
        (source) => decode(source, { maxDataLength: DOOR_MAX_REPLY_BYTES }),
        async (replies) => {
          for await (const message of replies) return message.subarray();
          throw new Error('the node closed the stream without an answer');
        },
      );
      // The deadline holds, whatever becomes of the stream.
      reply = await Promise.race([answer, aborted(signal)]);
    } catch (error) {
      stream.abort(asError(error));
      const why = signal.aborted ? `no answer within ${this.#deadlineMs} ms` : asError(error).message;
      throw new DoorClientError(
        'interrupted',
        `the request to the node at ${this.#address.toString()} broke off (${why}): it may have been carried out`,
        { cause: error },
      );
    }
    return this.#read(reply);
  }

  #read(reply: Uint8Array): Uint8Array {
    const answer = ((): ReturnType<typeof decodeDoorReply> => {
      try {
        return decodeDoorReply(reply);
      } catch (error) {
        throw new DoorClientError('malformed', asError(error).message, { cause: error });
      }
    })();
    switch (answer.status) {
      case 'answered':
        return answer.body;
      case 'not_admitted':
        throw this.#notAdmitted();
      case 'busy':
        throw new DoorClientError(
          'busy',
          'the node has too many requests of this connector: ask again in a moment',
        );
      case 'failed':
        throw new DoorClientError(
          'failed',
          "the node could not answer this request: its log says why ('door.request.failed')",
        );
    }
  }

  /** A stream on the connection there is, or on a new one: the first may be dead without anybody knowing yet. */
  async #openStream(signal: AbortSignal): Promise<Awaited<ReturnType<Connection['newStream']>>> {
    const existing = this.#connection;
    if (existing?.status === 'open') {
      try {
        return await existing.newStream(DOOR_PROTOCOL, { signal });
      } catch (error) {
        this.#drop(error);
        signal.throwIfAborted();
      }
    }
    const connection = await this.#dial(signal);
    try {
      return await connection.newStream(DOOR_PROTOCOL, { signal });
    } catch (error) {
      this.#drop(error);
      throw this.#explain(error, true);
    }
  }

  /** Requests that need a connection at the same time share one attempt, which none of them can cancel for the others. */
  async #dial(signal: AbortSignal): Promise<Connection> {
    this.#dialling ??= this.#dialOnce().finally(() => {
      this.#dialling = undefined;
    });
    try {
      return await Promise.race([this.#dialling, aborted(signal)]);
    } catch (error) {
      throw this.#explain(error, false);
    }
  }

  async #dialOnce(): Promise<Connection> {
    const signal = anySignal([this.#stopped.signal, AbortSignal.timeout(this.#deadlineMs)]);
    try {
      this.#connection = await this.#host!.dial(this.#address, { force: true, signal });
      return this.#connection;
    } finally {
      signal.clear();
    }
  }

  #drop(error: unknown): void {
    this.#connection?.abort(asError(error));
    this.#connection = undefined;
  }

  #notAdmitted(cause?: unknown): DoorClientError {
    return new DoorClientError(
      'not_admitted',
      `the node at ${this.#address.toString()} does not admit this connector: run 'countersign node allow-connector ${this.credential}' on the node`,
      { cause },
    );
  }

  /**
   * A node refuses a key it does not know by closing the connection as soon as the key is proven, without a word: this
   * looks like a socket that opened and then ended, at whatever step of the handshake this side happens to be.
   */
  #explain(error: unknown, connected: boolean): DoorClientError {
    const at = this.#address.toString();
    const { name, message, code } = asError(error) as Error & { code?: string };
    if (name === 'UnexpectedPeerError' || /peer ?id|identity key/i.test(message)) {
      return new DoorClientError(
        'wrong_node',
        `who answers at ${at} is not the node of that peer id: check the address`,
        {
          cause: error,
        },
      );
    }
    const socketFailed = code !== undefined && /^E(CONN|HOST|NET|ADDR|TIMEDOUT|NOTFOUND|AI_)/.test(code);
    const timedOut = name === 'TimeoutError' || name === 'AbortError';
    if (!connected && (socketFailed || timedOut)) {
      return new DoorClientError('unreachable', `node unreachable at ${at}: is it running? (${message})`, {
        cause: error,
      });
    }
    return this.#notAdmitted(error);
  }
}

function nodeAddress(text: string): Multiaddr {
  const wrong = (cause?: unknown): DoorClientError =>
    new DoorClientError(
      'bad_address',
      `not a node address like /ip4/<host>/tcp/<port>/p2p/<peer id>: ${text.slice(0, 200)}`,
      {
        cause,
      },
    );
  let address: Multiaddr;
  try {
    address = multiaddr(text);
  } catch (error) {
    throw wrong(error);
  }
  const names = address.getComponents().map(({ name }) => name);
  if (!/^(ip4|ip6|dns|dns4|dns6) tcp p2p$/.test(names.join(' '))) throw wrong();
  return address;
}

/** Rejects when the signal aborts; for a race. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = (): void => reject(asError(signal.reason));
    if (signal.aborted) fail();
    else signal.addEventListener('abort', fail, { once: true });
  });
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
