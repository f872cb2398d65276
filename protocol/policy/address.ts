// Addresses as policies list them, and when two spellings are one.
import * as z from 'zod';
import { hasWrongChecksum } from '../keys/evm-address.ts';

/** An address of any chain, a program, a token, or a Bitcoin script in hex. */
export const addressSchema = z
  .string()
  .regex(/^[0-9A-Za-z]{14,200}$/, 'expected an address, without spaces')
  .refine(
    (text) => !/^0x/i.test(text) || /^0x([0-9a-fA-F]{2})+$/.test(text),
    'what begins with 0x is whole bytes in hex',
  )
  .refine(
    (text) => !/^0x[0-9a-fA-F]{40}$/.test(text) || !hasWrongChecksum(text),
    'the checksum of this address is wrong',
  );

/**
 * One spelling for all that name one place: hex in lower case, also of what Bitcoin writes with letters of one case. One with
 * letters of both is no address of that form (BIP173), but may be of another chain, where case matters.
 */
export function plainAddress(address: string): string {
  if (address.startsWith('0x') || /^((bc|tb|bcrt)1[0-9a-z]*|(BC|TB|BCRT)1[0-9A-Z]*)$/.test(address))
    return address.toLowerCase();
  return address;
}
