// The node's store as the ban gate uses it.
import type { Keyring } from '../../../protocol/records/keyring-roster.ts';
import type { NodeStore } from '../../store/node-store.ts';
import type { PairStore } from './pair-store.ts';

/** `self`: this party's credential. */
export function nodePairStore(store: NodeStore, keyring: Keyring, self: string): PairStore {
  return store.pairs(self, keyring.id, keyring.epoch);
}
