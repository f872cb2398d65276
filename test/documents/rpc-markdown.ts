// docs/rpc.md from the OpenRPC document and a hand-written introduction. Pure.
import { httpStatusOf } from '../../coordinator/rpc/error.ts';
import type { Examples, Exchange, OpenRpcDocument, OpenRpcMethod } from '../../protocol/openrpc/document.ts';
import { componentPath, type JsonSchema } from '../../protocol/openrpc/schemas.ts';
import type { RpcErrorName } from '../../protocol/rpc.ts';
import { httpHeaders } from '../../protocol/signed-http.ts';

/** Where the examples' coordinator listens, as they are printed. */
const address = 'http://127.0.0.1:7000';
const longest = 72;

/** Binary that nobody reads is cut, and says so; ids, keys and everything short stay whole. */
function shorten(text: string): string {
  if (text.length <= longest) return text;
  if (/^0x[0-9a-f]+$/.test(text)) return `${text.slice(0, 14)}…(${(text.length - 2) / 2} bytes)`;
  if (/^[A-Za-z0-9_-]+$/.test(text)) return `${text.slice(0, 12)}…(${text.length} characters)`;
  return text;
}

function shortened(value: unknown): unknown {
  if (typeof value === 'string') return shorten(value);
  if (Array.isArray(value)) return value.map(shortened);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, shortened(part)]));
}

/** JSON on one line, with spaces. */
function inline(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inline).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).map(([name, part]) => `${JSON.stringify(name)}: ${inline(part)}`);
  return fields.length === 0 ? '{}' : `{ ${fields.join(', ')} }`;
}

/** JSON with what fits on a line on one line. */
function layOut(value: unknown, indent = ''): string {
  const line = inline(value);
  if (typeof value !== 'object' || value === null || indent.length + line.length <= 100) return line;
  const inner = `${indent}  `;
  const parts = Array.isArray(value)
    ? value.map((part) => layOut(part, inner))
    : Object.entries(value).map(([name, part]) => `${JSON.stringify(name)}: ${layOut(part, inner)}`);
  const [open, close] = Array.isArray(value) ? ['[', ']'] : ['{', '}'];
  return `${open}\n${parts.map((part) => inner + part).join(',\n')}\n${indent}${close}`;
}

const fence = (language: string, text: string): string => `\`\`\`${language}\n${text}\n\`\`\``;
const json = (value: unknown): string => fence('json', layOut(shortened(value)));

/** What was sent, as one would send it. */
function sent(exchange: Exchange): string {
  const { method, path, headers, request } = exchange;
  const body = request === undefined ? undefined : layOut(shortened(request));
  const open = headers['countersign-signature'] === undefined;
  if (open && method === 'GET') return fence('sh', `curl -sS ${address}${path}`);
  if (open && body !== undefined && !body.includes("'")) {
    const type = "-H 'content-type: application/json'";
    return fence('sh', `curl -sS ${address}${path} ${type} -d '${body}'`);
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${shorten(value)}`);
  const head = [`${method} ${path} HTTP/1.1`, ...lines].join('\n');
  return fence('http', body === undefined ? head : `${head}\n\n${body}`);
}

function answered({ status, answer, answerHeaders }: Exchange): string {
  if (typeof answer !== 'string') return json(answer);
  const head = Object.entries(answerHeaders ?? {}).map(([name, value]) => `${name}: ${value}`);
  return fence('http', [`HTTP/1.1 ${status} OK`, ...head, '', answer.trimEnd()].join('\n'));
}

interface Signed {
  readonly type: string;
  readonly bytes: string;
}

/** Every signed record in the examples, the grants in headers among them. */
function recordsIn(value: unknown): Signed[] {
  if (typeof value !== 'object' || value === null) return [];
  const grant = (value as Record<string, unknown>)[httpHeaders.grant];
  if (typeof grant === 'string') return recordsIn(JSON.parse(Buffer.from(grant, 'base64url').toString()));
  const { type, bytes } = value as Partial<Signed>;
  if (typeof type === 'string' && typeof bytes === 'string') return [{ type, bytes }];
  return Object.values(value).flatMap(recordsIn);
}

/** What the first record of a type in the examples says; `kind` is one that its content must have. */
function record(examples: Examples, type: string, kind?: string): string {
  for (const found of recordsIn(examples)) {
    if (found.type !== type) continue;
    const content = JSON.parse(Buffer.from(found.bytes, 'base64url').toString()) as Record<string, unknown>;
    const kindOf = content['kind'] ?? (content['result'] as { kind?: string } | undefined)?.kind;
    if (kind === undefined || kindOf === kind) return fence('json', layOut(shortened(content)));
  }
  throw new TypeError(`the introduction names a record ${type} ${kind ?? ''}, of which there is none`);
}

const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^a-z0-9_ -]/g, '')
    .replaceAll(' ', '-');
const link = (heading: string): string => `[\`${heading}\`](#${anchor(heading)})`;

/** A schema in a few words. */
function typeOf(schema: JsonSchema): string {
  const { $ref, allOf, oneOf, anyOf, type, enum: values, const: only, pattern, items } = schema;
  if (typeof $ref === 'string') return link($ref.slice(componentPath.length));
  if (Array.isArray(allOf)) return (allOf as JsonSchema[]).map(typeOf).join(' and ');
  const union = (oneOf ?? anyOf) as JsonSchema[] | undefined;
  if (union !== undefined) return union.map(typeOf).join(' or ');
  if (only !== undefined) return `\`${JSON.stringify(only)}\``;
  if (Array.isArray(values)) return values.map((value) => `\`${JSON.stringify(value)}\``).join(', ');
  if (type === 'array') {
    const { minItems, maxItems } = schema as { minItems?: number; maxItems?: number };
    const bounds = maxItems === undefined ? '' : `, ${minItems ?? 0} to ${maxItems}`;
    return `list of ${typeOf((items ?? {}) as JsonSchema)}${bounds}`;
  }
  if (type === 'object') {
    const fields = Object.keys(schema.properties ?? {}).map((name) => `\`${name}\``);
    return fields.length === 0 ? 'object' : `{ ${fields.join(', ')} }`;
  }
  const hex = typeof pattern === 'string' ? /^\^0x\[0-9a-f\]\{(\d+)(?:,(\d+))?\}\$$/.exec(pattern) : null;
  if (hex) {
    const [least, most] = [Number(hex[1]) / 2, Number(hex[2] ?? hex[1]) / 2];
    return `0x-hex of ${least === most ? least : `${least} to ${most}`} bytes`;
  }
  if (typeof pattern === 'string') return `string matching \`${pattern.replaceAll('|', '\\|')}\``;
  if (type === 'integer') {
    const { minimum, maximum } = schema as { minimum?: number; maximum?: number };
    if (maximum !== undefined) return `integer, ${minimum ?? 0} to ${maximum}`;
    return minimum === undefined ? 'integer' : `integer, at least ${minimum}`;
  }
  return typeof type === 'string' ? type : 'anything';
}

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');

function fieldRows(schema: JsonSchema, prefix = ''): string[][] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
    const optional = (schema.required ?? []).includes(name) ? '' : ' (optional)';
    const row = [`\`${prefix}${name}\`${optional}`, typeOf(property), property.description ?? ''];
    // What stands in a list of objects without a name of their own is shown in place.
    const items = property['items'] as JsonSchema | undefined;
    const below = property.properties !== undefined ? property : items;
    const mark = property.properties !== undefined ? '.' : '[].';
    return [row, ...(below?.properties === undefined ? [] : fieldRows(below, `${prefix}${name}${mark}`))];
  });
}

const fieldTable = (schema: JsonSchema): string => table(['field', 'type', 'meaning'], fieldRows(schema));

function component(name: string, schema: JsonSchema): string {
  const words = schema.description ?? '';
  const branches = schema['oneOf'] as JsonSchema[] | undefined;
  const body =
    branches !== undefined && schema.properties === undefined
      ? branches.map(fieldTable).join('\n\nor\n\n')
      : schema.properties !== undefined
        ? fieldTable(schema)
        : `A ${typeOf(schema)}.`.replace('A `', 'One of `');
  return `### ${name}\n\n${words}\n\n${body}`;
}

function methodSection(method: OpenRpcMethod, exchange: Exchange | undefined): string {
  const params = method.params.map((param) => [
    `\`${param.name}\`${param.required ? '' : ' (optional)'}`,
    typeOf(param.schema),
    param.description ?? '',
  ]);
  const errors = method.errors.map(({ $ref }) => `\`${$ref.slice($ref.lastIndexOf('/') + 1)}\``);
  const { schema, description } = method.result;
  const result = schema.properties === undefined ? `${description} ${typeOf(schema)}.` : description;
  return [
    `### ${method.name}`,
    `${method.summary}.`,
    method.description,
    `Access: \`${method['x-access']}\`.`,
    params.length === 0 ? 'No parameters.' : table(['parameter', 'type', 'meaning'], params),
    `**Result.** ${result}`,
    ...(schema.properties === undefined ? [] : [fieldTable(schema)]),
    `**Errors.** ${errors.join(', ')}.`,
    ...(exchange === undefined
      ? []
      : [`**Example.** ${method.examples[0]?.description ?? ''}`.trim(), sent(exchange), answered(exchange)]),
  ].join('\n\n');
}

/** The errors, in the order of their codes. */
function errorTable(document: OpenRpcDocument): string {
  const rows = Object.entries(document.components.errors).map(([name, { code, message }]) => [
    String(code),
    `\`${name}\``,
    String(httpStatusOf[name as RpcErrorName]),
    message,
  ]);
  return table(['code', '`data.code`', 'HTTP', 'meaning'], rows);
}

/**
 * The guide. In the introduction, `{{sent NAME}}` and `{{answered NAME}}` stand for one of the examples' other exchanges,
 * `{{record TYPE KIND}}` for the content of a record, `{{errors}}` for the table of errors.
 *
 * @throws {TypeError} for a name that is none
 */
export function rpcMarkdown(document: OpenRpcDocument, examples: Examples, introduction: string): string {
  const filled = introduction.replaceAll(
    /\{\{(\w+)(?: ([\w.]+))?(?: (\w+))?\}\}/g,
    (_, what: string, name: string | undefined, kind: string | undefined) => {
      if (what === 'errors') return errorTable(document);
      if (what === 'record') return record(examples, name ?? '', kind);
      const exchange = name === undefined ? undefined : examples.others[name];
      if (exchange === undefined) throw new TypeError(`the introduction names ${name}, which is no exchange`);
      return what === 'sent' ? sent(exchange) : answered(exchange);
    },
  );
  const methods = document.methods.map((method) => methodSection(method, examples.methods[method.name]));
  const schemas = Object.entries(document.components.schemas).map(([name, schema]) =>
    component(name, schema),
  );
  const contents = table(
    ['method', 'access', 'what for'],
    document.methods.map((method) => [link(method.name), `\`${method['x-access']}\``, method.summary]),
  );
  return [filled.trim(), '## Methods', contents, ...methods, '## Types', ...schemas].join('\n\n');
}
