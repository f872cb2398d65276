// A naive reading of Solana's transaction messages, legacy and version 0, written from
// https://solana.com/docs/core/transactions and importing nothing of what it checks.
import assert from 'node:assert/strict';
import { base58 } from '@scure/base';

/** A transaction message, part by part as it stands on the wire. */
export interface Naive {
  version: 'legacy' | 0;
  header: [signers: number, readonlySigners: number, readonlyOthers: number];
  accounts: string[];
  blockhash: string;
  instructions: { program: number; accounts: number[]; data: number[] }[];
  lookups?: { table: string; writable: number[]; readonly: number[] }[];
}

function compact(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...compact(value >> 7)];
}

const list = (values: number[]) => [...compact(values.length), ...values];

/** Its bytes, whether or not the network would take them. */
export function encode({
  version,
  header,
  accounts,
  blockhash: hash,
  instructions,
  lookups = [],
}: Naive): Uint8Array {
  return Uint8Array.from([
    ...(version === 0 ? [0x80] : []),
    ...header,
    ...compact(accounts.length),
    ...accounts.flatMap((address) => [...base58.decode(address)]),
    ...base58.decode(hash),
    ...compact(instructions.length),
    ...instructions.flatMap((entry) => [entry.program, ...list(entry.accounts), ...list(entry.data)]),
    ...(version === 0
      ? [
          ...compact(lookups.length),
          ...lookups.flatMap(({ table, writable, readonly }) => [
            ...base58.decode(table),
            ...list(writable),
            ...list(readonly),
          ]),
        ]
      : []),
  ]);
}

/** The parts of valid bytes. */
export function parse(bytes: Uint8Array): Naive {
  let offset = 0;
  const take = (count: number) => [...bytes.subarray(offset, (offset += count))];
  const length = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const [byte = 0] = take(1);
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const address = () => base58.encode(Uint8Array.from(take(32)));
  const many = <T>(read: () => T) => Array.from({ length: length() }, read);
  const version = bytes[0]! >= 0x80 ? 0 : 'legacy';
  if (version === 0) take(1);
  const message: Naive = {
    version,
    header: take(3) as [number, number, number],
    accounts: many(address),
    blockhash: address(),
    instructions: many(() => ({ program: take(1)[0]!, accounts: take(length()), data: take(length()) })),
  };
  if (version === 0) {
    message.lookups = many(() => ({ table: address(), writable: take(length()), readonly: take(length()) }));
  }
  assert.equal(offset, bytes.length);
  return message;
}
