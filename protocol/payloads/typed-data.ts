// Typed data (EIP-712) in the one form in which it is signed here. In records it is an object, so canonical bytes hold it:
// no field stands in them twice. Its values have one spelling each, every field that is shown is signed, and every one that
// is signed is shown:
//   - `types` has exactly the types that `primaryType` uses, none of which contains itself, and not EIP712Domain: that is
//     made of the fields that `domain` has, so that no field of the domain can be shown and not signed;
//   - a struct has exactly the fields of its type;
//   - integers are decimal strings, addresses and bytes lower-case 0x-hex, each of the range or length of its type.
// The library that hashes it would overlook some of that, so nothing else reaches it.
import * as z from 'zod';
import { PayloadError } from './error.ts';
import type { TypedValue } from './facts.ts';

/** Most characters of typed data as JSON, and of its types, which are hashed once for every struct. */
export const maxTypedDataLength = 32 * 1024;
const maxTypesLength = 8 * 1024;
/** Deepest value: structs and arrays in each other. */
const maxDepth = 10;

/** Fields of the domain in the order in which they are hashed (EIP-712, "Definition of domainSeparator"). */
export const domainFields = [
  { name: 'name', type: 'string' },
  { name: 'version', type: 'string' },
  { name: 'chainId', type: 'uint256' },
  { name: 'verifyingContract', type: 'address' },
  { name: 'salt', type: 'bytes32' },
] as const;
export const domainType = 'EIP712Domain';

/** A name of a language's: plain ASCII, so that two cannot look alike, and none that every JavaScript object has. */
const nameSchema = z
  .string()
  .regex(/^[A-Za-z_$][A-Za-z0-9_$]{0,63}$/, 'a name is 1 to 64 letters, digits, _ and $')
  .refine((name) => !(name in {}), 'a name that could be mistaken for a property of every object');

const fieldsSchema = z
  .array(z.strictObject({ name: nameSchema, type: z.string().max(100) }))
  .min(1)
  .max(100);

/** Objects as they are: a schema of their entries would drop one named `__proto__` without a word. */
const objectSchema = z.custom<Record<string, unknown>>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  'expected an object',
);

/** The shape; `checkTypedData` holds what is in it to its types. */
export const typedDataSchema = z.strictObject({
  types: objectSchema,
  primaryType: nameSchema,
  domain: objectSchema,
  message: objectSchema,
});

export interface TypedField {
  readonly name: string;
  readonly type: string;
}

export interface TypedData {
  readonly types: { readonly [name: string]: readonly TypedField[] };
  readonly primaryType: string;
  readonly domain: { readonly [field: string]: TypedValue };
  readonly message: { readonly [field: string]: TypedValue };
}

function invalid(message: string): PayloadError {
  return new PayloadError('invalid_typed_data', message);
}

/** The type of an array's items and, where the type says it, their number; undefined for a type that is no array. */
export function arrayOf(type: string): { readonly item: string; readonly length?: number } | undefined {
  const match = /^(.+)\[([1-9][0-9]{0,4})?\]$/.exec(type);
  if (match === null) return undefined;
  return { item: match[1]!, ...(match[2] !== undefined && { length: Number(match[2]) }) };
}

/** Bits of an integer type, undefined for any other type. */
export function integerOf(type: string): { readonly bits: number; readonly signed: boolean } | undefined {
  const match = /^(u?)int([1-9][0-9]{0,2})$/.exec(type);
  const bits = Number(match?.[2]);
  if (match === null || bits % 8 !== 0 || bits > 256) return undefined;
  return { bits, signed: match[1] === '' };
}

/** Bytes of a type of bytes, undefined for any other; without `length`, any number of them. */
function bytesOf(type: string): { readonly length?: number } | undefined {
  if (type === 'bytes') return {};
  const match = /^bytes([1-9][0-9]?)$/.exec(type);
  const length = Number(match?.[1]);
  return match !== null && length <= 32 ? { length } : undefined;
}

function isAtomic(type: string): boolean {
  const isPlain = type === 'address' || type === 'bool' || type === 'string';
  return isPlain || integerOf(type) !== undefined || bytesOf(type) !== undefined;
}

/** The struct of a field's type, through arrays; undefined when it is none. Throws for a type that does not exist. */
function structOf(type: string, types: TypedData['types']): string | undefined {
  let base = type;
  for (let array = arrayOf(base); array !== undefined; array = arrayOf(base)) base = array.item;
  if (isAtomic(base)) return undefined;
  if (Object.hasOwn(types, base)) return base;
  throw invalid(`type ${JSON.stringify(type)} is neither one of EIP-712 nor among the types given`);
}

/** Throws unless the types are exactly those that the primary type uses, and none contains itself. */
function checkTypes({ types, primaryType }: TypedData): void {
  if (JSON.stringify(types).length > maxTypesLength)
    throw new PayloadError('too_large', `the types are longer than ${maxTypesLength} characters`);
  const done = new Set<string>();
  const open = new Set<string>();
  const visit = (name: string): void => {
    if (open.has(name)) throw invalid(`type ${name} contains itself`);
    if (done.has(name)) return;
    open.add(name);
    const fields = types[name]!;
    if (new Set(fields.map((field) => field.name)).size !== fields.length)
      throw invalid(`type ${name} has a field twice`);
    for (const { type } of fields) {
      const struct = structOf(type, types);
      if (struct !== undefined) visit(struct);
    }
    open.delete(name);
    done.add(name);
  };
  for (const [name, fields] of Object.entries(types)) {
    const problem = nameSchema.safeParse(name).error ?? fieldsSchema.safeParse(fields).error;
    if (problem !== undefined) throw invalid(`type ${JSON.stringify(name)}: ${z.prettifyError(problem)}`);
    if (isAtomic(name) || /^(u?int|bytes)[0-9]*$/.test(name) || name === domainType)
      throw invalid(`${name} cannot be the name of a type that is given`);
  }
  if (!Object.hasOwn(types, primaryType))
    throw invalid(`the primary type ${primaryType} is not among the types`);
  visit(primaryType);
  const unused = Object.keys(types).find((name) => !done.has(name));
  if (unused !== undefined)
    throw invalid(`type ${unused} is not part of ${primaryType}, and would not be signed: leave it out`);
}

function checkInteger(value: string, type: string, path: string): void {
  const { bits, signed } = integerOf(type)!;
  const [low, high] = signed
    ? [-(2n ** BigInt(bits - 1)), 2n ** BigInt(bits - 1) - 1n]
    : [0n, 2n ** BigInt(bits) - 1n];
  if (!/^(0|-?[1-9][0-9]{0,77})$/.test(value) || BigInt(value) < low || BigInt(value) > high)
    throw invalid(`${path} is no ${type} as a decimal string`);
}

function checkHex(value: string, length: number | undefined, type: string, path: string): void {
  const isHex = /^0x([0-9a-f]{2})*$/.test(value);
  if (!isHex || (length !== undefined && value.length !== 2 + 2 * length))
    throw invalid(`${path} is no ${type} in lower-case 0x-hex`);
}

function checkValue(
  value: unknown,
  type: string,
  types: TypedData['types'],
  path: string,
  depth: number,
): void {
  if (depth > maxDepth) throw invalid(`${path} is nested deeper than ${maxDepth} levels`);
  const array = arrayOf(type);
  if (array !== undefined) {
    if (!Array.isArray(value) || value.length !== (array.length ?? value.length))
      throw invalid(
        `${path} is no ${type}: an array${array.length === undefined ? '' : ` of ${array.length}`}`,
      );
    for (let index = 0; index < value.length; index++)
      checkValue(value[index], array.item, types, `${path}[${index}]`, depth + 1);
    return;
  }
  if (!isAtomic(type)) {
    checkStruct(value, types[type]!, types, path, depth);
    return;
  }
  if (type === 'bool') {
    if (typeof value !== 'boolean') throw invalid(`${path} is neither true nor false`);
    return;
  }
  if (typeof value !== 'string' || !value.isWellFormed()) throw invalid(`${path} is no ${type} as a string`);
  if (integerOf(type) !== undefined) checkInteger(value, type, path);
  else if (type !== 'string') checkHex(value, type === 'address' ? 20 : bytesOf(type)!.length, type, path);
}

function checkStruct(
  value: unknown,
  fields: readonly TypedField[],
  types: TypedData['types'],
  path: string,
  depth: number,
): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(`${path} is no struct`);
  const struct = value as Record<string, unknown>;
  const extra = Object.keys(struct).find((name) => !fields.some((field) => field.name === name));
  if (extra !== undefined)
    throw invalid(
      `${path} has a field ${JSON.stringify(extra)} that its type has not, and that would not be signed`,
    );
  for (const { name, type } of fields) {
    if (!Object.hasOwn(struct, name)) throw invalid(`${path}.${name} is missing`);
    checkValue(struct[name], type, types, `${path}.${name}`, depth + 1);
  }
}

/** Fields of the domain's type: those that the domain has. */
export function domainTypeOf(domain: TypedData['domain']): readonly TypedField[] {
  return domainFields.filter(({ name }) => Object.hasOwn(domain, name));
}

/**
 * Typed data that is exactly of its types and in its one form.
 *
 * @throws {PayloadError} `too_large`, `invalid_typed_data`
 */
export function checkTypedData(value: z.infer<typeof typedDataSchema>): TypedData {
  if (JSON.stringify(value).length > maxTypedDataLength)
    throw new PayloadError(
      'too_large',
      `the typed data is longer than ${maxTypedDataLength} characters of JSON`,
    );
  const data = value as unknown as TypedData;
  checkTypes(data);
  const fields = domainTypeOf(data.domain);
  if (fields.length === 0)
    throw invalid('the domain is empty: the signature would be one for every contract that takes such data');
  checkStruct(data.domain, fields, {}, 'domain', 0);
  checkStruct(data.message, data.types[data.primaryType]!, data.types, 'message', 0);
  return data;
}
