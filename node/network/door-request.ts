// Reads the one request of a door stream: a varint length and so many bytes, into one buffer however small the parts are
// that it comes in, and nothing after it.
import type { Stream } from '@libp2p/interface';

/** Bytes of a length prefix up to 2^28. */
const maxPrefix = 4;
const firstCapacity = 4096;

/**
 * Resolves with the request. Rejects when its length is above `maxBytes`, or the stream ends before it is whole. The stream
 * is paused afterwards.
 */
export function readRequest(stream: Stream, maxBytes: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    let length = 0;
    let prefix = 0;
    let isRead = false;
    let body = new Uint8Array(0);
    let filled = 0;
    const settle = (end: () => void): void => {
      stream.removeEventListener('message', onMessage);
      stream.removeEventListener('remoteCloseWrite', onEnd);
      stream.removeEventListener('close', onEnd);
      // Nothing may follow the request: what does is not read, so it cannot pile up here.
      if (stream.status === 'open' && stream.readStatus === 'readable') stream.pause();
      end();
    };
    const take = (bytes: Uint8Array): boolean => {
      let at = 0;
      while (!isRead && at < bytes.length) {
        const byte = bytes[at++]!;
        length += (byte & 0x7f) * 2 ** (7 * prefix);
        prefix += 1;
        isRead = byte < 0x80;
        if (!isRead && prefix >= maxPrefix) throw new Error('the length of the request has too many bytes');
      }
      if (!isRead) return false;
      if (length > maxBytes) throw new Error(`a request of ${length} bytes, the limit is ${maxBytes}`);
      const part = bytes.subarray(at, at + length - filled);
      if (filled + part.length > body.length) {
        // Room for what has come, not for what was announced.
        const larger = new Uint8Array(Math.min(length, Math.max(firstCapacity, 2 * (filled + part.length))));
        larger.set(body.subarray(0, filled));
        body = larger;
      }
      body.set(part, filled);
      filled += part.length;
      return filled === length;
    };
    function onMessage(event: { data: { subarray(): Uint8Array } }): void {
      try {
        if (take(event.data.subarray())) settle(() => resolve(body.subarray(0, length)));
      } catch (error) {
        settle(() => reject(error as Error));
      }
    }
    function onEnd(): void {
      settle(() => reject(new Error('the stream ended without a whole request')));
    }
    stream.addEventListener('message', onMessage);
    stream.addEventListener('remoteCloseWrite', onEnd);
    stream.addEventListener('close', onEnd);
    if (stream.status !== 'open') onEnd();
  });
}
