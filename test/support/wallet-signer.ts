// An Ethereum wallet for tests: a key of its own, and a second library's hashing of typed data.
import { addr, signTyped } from 'micro-eth-signer';
import { typedDataOf, walletCredential, withWalletSignature } from '../../client/owner-signatures.ts';
import { type Hex, toHex } from '../../protocol/hex.ts';
import type { Envelope } from '../../protocol/records/envelope.ts';
import type { Credential } from '../../protocol/records/fields.ts';
import { seedOf } from './fixture.ts';

export class WalletSigner {
  readonly privateKey: Hex;
  /** With the checksum of EIP-55. */
  readonly address: string;
  readonly credential: Credential;

  /** The wallet that depends on the words only. */
  constructor(...words: readonly (string | number)[]) {
    this.privateKey = toHex(seedOf('wallet', ...words));
    this.address = addr.fromPrivateKey(this.privateKey);
    this.credential = walletCredential(this.address);
  }

  /** 65 bytes: r, s, and v of 27 or 28. */
  signTypedData(typedData: ReturnType<typeof typedDataOf>): Hex {
    return signTyped(typedData as never, this.privateKey, false) as Hex;
  }

  /** The record with this wallet's signature. */
  signRecord(envelope: Envelope, networkId: string): Envelope {
    const signature = this.signTypedData(typedDataOf(envelope, networkId));
    return withWalletSignature(envelope, networkId, this.address, signature);
  }
}
