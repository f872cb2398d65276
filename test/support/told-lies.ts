// Lies told to single connectors through their event streams, and what each node said to them.
import { AssertionError } from 'node:assert/strict';
import type { Evidence } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import { timestamp } from '../../protocol/records/fields.ts';
import type { RequestStateName } from '../../protocol/rpc.ts';
import type { LiedToNetwork, Line, Place } from './lied-to-network.ts';

/** What the node behind a connector made of evidence: a code of its refusal, or how the request stands there. */
export interface Outcome {
  readonly code: string;
  readonly detail: string;
}

const outcomes: ReadonlySet<string> = new Set(['request.skipped', 'request.forwarded', 'request.delayed']);

/** The coordinator as one connector sees it, while it tells that connector only what the test says. */
export class Teller {
  readonly place: Place;
  readonly #shown = new Map<
    Hex,
    { evidence: Evidence; state: RequestStateName; heard: (line: Line) => void }
  >();

  constructor(place: Place) {
    this.place = place;
    place.onConnector = (line) => {
      const shown = this.#shown.get(line.fields['requestId'] as Hex);
      if (shown !== undefined && outcomes.has(line.event)) shown.heard(line);
    };
    place.view.answer = async ({ method, params }, honest) => {
      if (method !== 'connector_pending') return honest();
      const ids = (params as { requestIds?: Hex[] }).requestIds ?? [];
      const items = ids.flatMap((requestId) => {
        const shown = this.#shown.get(requestId);
        return shown === undefined ? [] : [{ requestId, state: shown.state, evidence: shown.evidence }];
      });
      return { cursor: place.view.last, items };
    };
  }

  /** Tells that a request is pending, with this evidence for it. One at a time for each request. */
  async tell(requestId: Hex, evidence: Evidence, signal: AbortSignal): Promise<Outcome> {
    signal.throwIfAborted();
    const line = await new Promise<Line>((heard, failed) => {
      const stop = (): void => failed(new AssertionError({ message: `nothing was heard of ${requestId}` }));
      signal.addEventListener('abort', stop, { once: true });
      this.#shown.set(requestId, {
        evidence,
        state: 'pending',
        heard: (said) => {
          signal.removeEventListener('abort', stop);
          heard(said);
        },
      });
      this.place.view.tell(pendingEvent(requestId));
    });
    this.#shown.delete(requestId);
    const { code, detail = '', nodeState } = line.fields as Record<string, string | undefined>;
    return { code: code ?? nodeState ?? '', detail };
  }
}

export function pendingEvent(requestId: Hex, kind: 'key' | 'sign' = 'sign') {
  return {
    type: 'request.state',
    requestId,
    kind,
    state: 'pending',
    at: timestamp(Date.now()),
  } as const;
}

/** A teller for each connector of a network, which from now on hears of nothing else. */
export async function tellers(network: LiedToNetwork): Promise<readonly Teller[]> {
  await Promise.all(network.places.map(({ view }) => view.takeOver()));
  return network.places.map((place) => new Teller(place));
}
