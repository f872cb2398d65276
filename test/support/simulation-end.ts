// How the requests of a simulated network must have ended, once the trouble is over and time enough has passed.
import assert from 'node:assert/strict';
import type { Evidence } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { KeyedNetwork } from './session-attacker.ts';

export interface Wanted {
  readonly id: Hex;
  readonly kind: 'sign' | 'key' | 'unapproved' | 'transfer';
  readonly full: Evidence;
}

/** Throws an AssertionError unless every request has ended as it must at these honest parties. */
export function assertEnded(
  net: KeyedNetwork,
  wanted: readonly Wanted[],
  honest: readonly number[],
  isCheated: boolean,
): void {
  for (const { id, kind } of wanted) {
    const results = honest.map((index) => net.resultAt(index, id));
    if (kind === 'transfer') {
      // One for which the limit has no room waits.
      assert(results.every((result) => result === undefined || result.kind === 'signatures'));
      continue;
    }
    if (kind === 'unapproved') {
      assert(results.every((result) => result === undefined || result.kind === 'refusal'));
      continue;
    }
    for (const [at, result] of results.entries())
      assert(result, `party ${honest[at]} has no result of ${kind} request ${id}`);
    if (kind === 'sign')
      for (const result of results)
        assert.equal(result?.kind, 'signatures', `sign request ${id}: ${JSON.stringify(result)}`);
    else assertKey(net, id, results, honest, isCheated);
  }
}

/** One key at the most: who has confirmed, has confirmed the same, or no one has a whole certificate. */
function assertKey(
  net: KeyedNetwork,
  id: Hex,
  results: readonly ReturnType<KeyedNetwork['resultAt']>[],
  honest: readonly number[],
  isCheated: boolean,
): void {
  const stores = honest.map((index) => net.node(index).store);
  const actives = stores.filter((store) => store.active.has(id));
  const keys = new Set(
    actives.map((store) =>
      JSON.stringify(
        store.active
          .get(id)
          ?.certificate.map(({ bytes }) => bytes)
          .toSorted(),
      ),
    ),
  );
  assert(keys.size <= 1, `two keys for ${id}`);
  const refused = results.some((result) => result?.kind === 'refusal');
  if (refused) assert.equal(actives.length, 0, `key ${id} is active although a party refused it`);
  else if (!isCheated)
    assert.equal(actives.length, stores.length, `key ${id} is confirmed by all and not active at all`);
}
