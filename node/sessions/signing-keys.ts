// This party's shares as they sign, read once from the store and checked: by FROST in the form that a payload asks for, by
// ECDSA as the root key with, for a derived key, what is added to it.
import { type Hex, toHex } from '../../protocol/hex.ts';
import { type EcdsaKey, isEcdsa, loadEcdsaKey } from '../mpc/dkls23/key.ts';
import { type KeyPackage, loadKeyPackage } from '../mpc/frost/key-package.ts';
import type { SessionStore } from './context.ts';

/** A key that signs by ECDSA. */
export interface EcdsaSigner {
  /** The root key. */
  readonly key: EcdsaKey;
  readonly rootId: Hex;
  /** What a derived key adds to its root, 32 bytes. */
  readonly offset?: Uint8Array;
}

export class SigningKeys {
  readonly #store: SessionStore;
  /** By id and tweak. */
  readonly #frost = new Map<string, KeyPackage>();
  /** By id of the root. */
  readonly #ecdsa = new Map<Hex, EcdsaKey>();

  constructor(store: SessionStore) {
    this.#store = store;
  }

  /** Undefined when this party has no active share of the key. Throws Abort when what is stored does not stand. */
  async frost(keyId: Hex, tweak: Uint8Array | undefined): Promise<KeyPackage | undefined> {
    const name = tweak === undefined ? keyId : `${keyId} ${toHex(tweak)}`;
    const known = this.#frost.get(name);
    if (known !== undefined) return known;
    const stored = await this.#store.keyOf(keyId);
    if (stored === undefined) return undefined;
    const key = loadKeyPackage(stored.share, tweak);
    this.#frost.set(name, key);
    return key;
  }

  /** As `frost`; undefined for keys of other schemes too: one secret never signs under two. */
  async ecdsa(keyId: Hex): Promise<EcdsaSigner | undefined> {
    const loaded = this.#ecdsa.get(keyId);
    if (loaded !== undefined) return { key: loaded, rootId: keyId };
    const stored = await this.#store.keyOf(keyId);
    if (stored === undefined || !isEcdsa(stored.share.keyType)) return undefined;
    const { root } = stored;
    const rootId = root?.keyId ?? keyId;
    const key = this.#ecdsa.get(rootId) ?? loadEcdsaKey(root?.share ?? stored.share);
    this.#ecdsa.set(rootId, key);
    return { key, rootId, ...(root && { offset: root.offset }) };
  }

  /** Erases the shares from memory. */
  destroy(): void {
    for (const key of [...this.#frost.values(), ...this.#ecdsa.values()]) key.destroy();
    this.#frost.clear();
    this.#ecdsa.clear();
  }
}
