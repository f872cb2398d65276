// Signatures of Ethereum wallets on records (EIP-712): typed data whose fields a person can read, made from the record's
// content, and the record's id, which binds every byte of it. The domain is Countersign's and, by its salt, the network's;
// it names no chain, because none takes part.
//
// A signature is r (32 bytes) || s (32 bytes) || v (27 or 28), s in the lower half of the order (EIP-2), by an externally
// owned account: its address is recovered and compared. What a contract would accept (ERC-1271) cannot be told without its
// chain, and is no signature here.
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import { type Hex, toHex } from '../hex.ts';
import { evmAddressOf } from '../keys/evm-address.ts';
import { typedDataDigest } from '../payloads/evm-typed-data.ts';
import { domainType, domainTypeOf, type TypedData, type TypedField } from '../payloads/typed-data.ts';
import { lengthPrefixed } from './length-prefixed.ts';
import type { Readable } from './readable.ts';

/** Bytes of r || s || v. */
export const walletSignatureLength = 65;
const compactLength = 64;
/** Added to the parity of R's y (Ethereum's yellow paper, appendix F). */
const firstV = 27;

/** A record as far as it is typed data. */
export interface ReadableRecord {
  readonly type: string;
  readonly networkId: string;
  readonly id: Hex;
  /** What is shown of it; only asked for when a wallet has signed. */
  readonly readable: () => Readable;
}

/** `workspace.genesis` -> `WorkspaceGenesis`. */
function structName(type: string): string {
  return type
    .split('.')
    .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
    .join('');
}

function saltOf(networkId: string): Hex {
  return toHex(sha256(lengthPrefixed(utf8ToBytes('countersign/v1/eip712'), utf8ToBytes(networkId))));
}

/** The typed data that a wallet signs for a record: what is shown of it, then network and record id. */
export function typedDataOfRecord({ type, networkId, id, readable }: ReadableRecord): TypedData {
  const shown = readable();
  const fields = Object.entries(shown).map(([name, value]): TypedField => {
    return { name, type: typeof value === 'string' ? 'string' : 'string[]' };
  });
  const primaryType = structName(type);
  return {
    types: {
      [primaryType]: [...fields, { name: 'network', type: 'string' }, { name: 'record', type: 'bytes32' }],
    },
    primaryType,
    domain: { name: 'Countersign', version: '1', salt: saltOf(networkId) },
    message: { ...shown, network: networkId, record: id },
  };
}

/** The same as `eth_signTypedData_v4` takes it, with the domain's type among the types. */
export function walletRequestOf(record: ReadableRecord): TypedData {
  const data = typedDataOfRecord(record);
  return { ...data, types: { [domainType]: domainTypeOf(data.domain), ...data.types } };
}

/** The 32 bytes that a wallet signs for a record. Of the largest record they cost as much as a hundred signatures. */
export function walletDigestOf(record: ReadableRecord): Uint8Array {
  return typedDataDigest(typedDataOfRecord(record));
}

/**
 * What is wrong with a wallet's signature (65 bytes) on what `digest` returns (`walletDigestOf`), by the account of
 * `address`; undefined when it is valid.
 */
export function walletSignatureProblem(
  address: string,
  digest: () => Uint8Array,
  signature: Uint8Array,
): string | undefined {
  if (signature.length !== walletSignatureLength)
    return `it has ${signature.length} bytes, a wallet's has ${walletSignatureLength}`;
  const recovery = signature[compactLength]! - firstV;
  if (recovery !== 0 && recovery !== 1) return `its v is ${signature[compactLength]}, not 27 or 28`;
  let parsed: InstanceType<typeof secp256k1.Signature>;
  try {
    parsed = secp256k1.Signature.fromBytes(signature.subarray(0, compactLength), 'compact');
  } catch {
    return 'its r or s is out of range';
  }
  if (parsed.hasHighS()) return 'its s is in the upper half of the order';
  const signed = digest();
  let signer: string;
  try {
    const point = parsed.addRecoveryBit(recovery).recoverPublicKey(signed);
    signer = evmAddressOf(point.toBytes(true)).toLowerCase();
  } catch {
    return 'no key can have made it';
  }
  return signer === address ? undefined : `${signer} made it, or something else than this record was signed`;
}
