// Amounts as policies write them: decimal numbers of an asset's unit, compared in base units, exactly, at any size.
import * as z from 'zod';

/** A decimal number that is not negative, in its one spelling: no sign, no exponent, no leading or trailing zeros. */
export const decimalSchema = z
  .string()
  .max(100)
  .regex(/^(0|[1-9][0-9]*)(\.[0-9]*[1-9])?$/, 'expected a decimal number like "500" or "0.5", in quotes');

/** Whether an asset with so many digits after the point has this amount. */
export function isWhole(decimal: string, decimals: number): boolean {
  return (decimal.split('.')[1] ?? '').length <= decimals;
}

/** Base units of a decimal number that `isWhole`. Throws RangeError when it has more digits. */
export function baseUnits(decimal: string, decimals: number): bigint {
  if (!isWhole(decimal, decimals)) throw new RangeError(`${decimal} has more than ${decimals} decimals`);
  const [whole = '0', fraction = ''] = decimal.split('.');
  return BigInt(whole + fraction.padEnd(decimals, '0'));
}
