import { ok, strictEqual } from 'node:assert/strict';
import { type AttemptOutcome, Deliveries } from '../../connector/deliveries.ts';
import { defaultBackoff } from '../../connector/retry.ts';
import type { Hex } from '../../protocol/hex.ts';

const idOf = (index: number): Hex => `0x${index.toString(16).padStart(64, '0')}`;
const settled: AttemptOutcome = { outcome: 'settled' };

describe("the connector's deliveries", () => {
  it('bring nothing of a snapshot that an event has overtaken', async () => {
    const stop = new AbortController();
    const fetched: Hex[] = [];
    const deliveries = new Deliveries({
      backoff: defaultBackoff,
      signal: stop.signal,
      attempt: async (requestId, bring) => {
        if (bring !== undefined) return bring();
        fetched.push(requestId);
        return settled;
      },
      onProgress: async () => undefined,
      onFatal: (error) => {
        throw error;
      },
    });
    // As many as may be under way at one time, which hold up the next.
    let release = (): void => undefined;
    const held = new Promise<AttemptOutcome>((resolve) => {
      release = () => resolve(settled);
    });
    const first = Array.from({ length: 8 }, (_, index) =>
      deliveries.addFromSnapshot(idOf(index), () => held),
    );
    let brought = false;
    const last = deliveries.addFromSnapshot(idOf(8), async () => {
      brought = true;
      return settled;
    });
    deliveries.endSnapshot(1);
    await deliveries.addEvent(2, idOf(8));
    release();
    await Promise.all([...first, last]);
    await deliveries.ended();
    strictEqual(fetched.join(), idOf(8));
    ok(!brought, 'what the snapshot showed');
    strictEqual(deliveries.state.open, 0);
  });
});
