// Typed data as wallets and libraries write it (the JSON of eth_signTypedData_v4), brought into the one form in which it is
// signed here: integers may be numbers or hex there, addresses have checksums, and the domain's own type is spelled out.
// What is not surely meant as one value is refused: a number that JSON rounded, an address whose checksum is wrong, a
// domain's type that says other than the domain.
import { hasWrongChecksum } from '../keys/evm-address.ts';
import { PayloadError } from './error.ts';
import {
  arrayOf,
  checkTypedData,
  domainType,
  domainTypeOf,
  integerOf,
  type TypedData,
  typedDataSchema,
} from './typed-data.ts';

function unclear(path: string, why: string): PayloadError {
  return new PayloadError('invalid_typed_data', `${path} ${why}`);
}

function normalInteger(value: unknown, path: string): unknown {
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value))
      throw unclear(path, 'is a number that JSON does not hold exactly: write it as a decimal string');
    return String(value);
  }
  const isExact = typeof value === 'string' && /^(-?[0-9]{1,80}|0x[0-9a-fA-F]{1,64})$/.test(value);
  return isExact ? String(BigInt(value)) : value;
}

function normalAddress(value: unknown, path: string): unknown {
  if (typeof value !== 'string' || !/^0x[0-9a-fA-F]{40}$/.test(value)) return value;
  if (hasWrongChecksum(value)) throw unclear(path, `has a wrong checksum (EIP-55): ${value}`);
  return value.toLowerCase();
}

/** The value in its one form; what is not of its type at all is left for `checkTypedData` to refuse. */
function normalValue(value: unknown, type: string, types: TypedData['types'], path: string): unknown {
  const array = arrayOf(type);
  if (array !== undefined)
    return Array.isArray(value)
      ? value.map((item, index) => normalValue(item, array.item, types, `${path}[${index}]`))
      : value;
  if (Object.hasOwn(types, type)) return normalStruct(value, type, types, path);
  if (integerOf(type) !== undefined) return normalInteger(value, path);
  if (type === 'address') return normalAddress(value, path);
  const isHex = type.startsWith('bytes') && typeof value === 'string' && /^0x[0-9a-fA-F]*$/.test(value);
  return isHex ? value.toLowerCase() : value;
}

function normalStruct(value: unknown, name: string, types: TypedData['types'], path: string): unknown {
  const fields = types[name];
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !Array.isArray(fields))
    return value;
  const typeOf = new Map(
    (fields as readonly { name: string; type: string }[]).map((field) => [field.name, field.type]),
  );
  // fromEntries defines properties, so that a field named __proto__ stays one and is refused.
  return Object.fromEntries(
    Object.entries(value).map(([field, item]) => {
      const type = typeOf.get(field);
      return [field, type === undefined ? item : normalValue(item, type, types, `${path}.${field}`)];
    }),
  );
}

/** Whether a JSON value means to be typed data: no payload has these fields. */
export function looksLikeTypedData(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'types' in value && 'primaryType' in value;
}

/**
 * Typed data of a file, in the form in which it is signed. Throws PayloadError `invalid_typed_data`, `too_large`.
 */
export function normalTypedData(value: unknown): TypedData {
  const parsed = typedDataSchema.safeParse(value);
  if (!parsed.success)
    throw new PayloadError(
      'invalid_typed_data',
      'typed data has the fields types, primaryType, domain and message, and no other',
      { cause: parsed.error },
    );
  const { primaryType } = parsed.data;
  const { [domainType]: claimed, ...types } = parsed.data.types as unknown as TypedData['types'];
  const domain = parsed.data.domain as TypedData['domain'];
  const fields = domainTypeOf(domain);
  if (
    claimed !== undefined &&
    JSON.stringify(claimed) !== JSON.stringify(fields.map(({ name, type }) => ({ name, type })))
  )
    throw unclear(
      `type ${domainType}`,
      `is not that of the domain given, which is ${fields.map(({ name, type }) => `${type} ${name}`).join(', ')} in this order`,
    );
  return checkTypedData({
    types,
    primaryType,
    domain: normalStruct(domain, domainType, { [domainType]: fields }, 'domain') as Record<string, unknown>,
    message: normalStruct(parsed.data.message, primaryType, types, 'message') as Record<string, unknown>,
  });
}
