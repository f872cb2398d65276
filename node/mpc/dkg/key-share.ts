// What key generation gives a party: its share, and everything public about the key.
import type { KeyType } from '../group.ts';
import type { PartyIndex } from '../machine.ts';

export interface KeyShare {
  readonly keyType: KeyType;
  readonly index: PartyIndex;
  readonly threshold: number;
  /** All parties of the key, ascending. */
  readonly parties: readonly PartyIndex[];
  /** Encoded point; equal to commitments[0]. */
  readonly publicKey: Uint8Array;
  /** 32 bytes. */
  readonly chainCode: Uint8Array;
  /** The sum of all dealers' vectors: `threshold` encoded points. */
  readonly commitments: readonly Uint8Array[];
  /** SECRET: an encoded scalar. */
  readonly signingShare: Uint8Array;
  /** signingShare * G of every party. */
  readonly verifyingShares: ReadonlyMap<PartyIndex, Uint8Array>;
  /** 32 bytes, equal for every party that finished the same run. */
  readonly transcriptHash: Uint8Array;
}
