// The OpenRPC document (spec.open-rpc.org) of the coordinator: generated from the schemas that check its calls, with an
// example of each method that was run against a real coordinator (examples.json).
import * as z from 'zod';
import { type Access, errorCodes, type MethodName, methods, type RpcErrorName } from '../rpc.ts';
import { httpHeaders, timestampTolerance } from '../signed-http.ts';
import { type JsonSchema, jsonSchemas } from './schemas.ts';
import { accessWords, commonErrors, errorWords, methodWords, signatureErrors } from './words.ts';

/** One HTTP exchange, as it was: the examples of methods, and those that the guide shows. */
export const exchangeSchema = z.strictObject({
  method: z.enum(['GET', 'POST', 'OPTIONS']),
  path: z.string(),
  headers: z.record(z.string(), z.string()),
  request: z.unknown().optional(),
  status: z.int(),
  answerHeaders: z.record(z.string(), z.string()).optional(),
  answer: z.unknown(),
});
export type Exchange = z.infer<typeof exchangeSchema>;

export const examplesSchema = z.strictObject({
  methods: z.record(z.string(), exchangeSchema),
  others: z.record(z.string(), exchangeSchema),
});
export type Examples = z.infer<typeof examplesSchema>;

interface Reference {
  readonly $ref: string;
}

export interface OpenRpcMethod {
  readonly name: string;
  readonly summary: string;
  readonly description: string;
  readonly tags: readonly Reference[];
  readonly paramStructure: 'by-name';
  readonly params: readonly {
    readonly name: string;
    readonly description?: string;
    readonly required: boolean;
    readonly schema: JsonSchema;
  }[];
  readonly result: { readonly name: string; readonly description: string; readonly schema: JsonSchema };
  readonly errors: readonly Reference[];
  readonly examples: readonly {
    readonly name: string;
    readonly description?: string;
    readonly params: readonly { readonly name: string; readonly value: unknown }[];
    readonly result: { readonly name: string; readonly value: unknown };
  }[];
  /** Who may call it. */
  readonly 'x-access': Access;
}

export interface OpenRpcDocument {
  readonly openrpc: '1.3.2';
  readonly info: {
    readonly title: string;
    readonly description: string;
    readonly version: string;
    readonly license: { readonly name: string; readonly url: string };
  };
  readonly methods: readonly OpenRpcMethod[];
  readonly components: {
    readonly schemas: Readonly<Record<string, JsonSchema>>;
    readonly errors: Readonly<
      Record<
        string,
        { readonly code: number; readonly message: string; readonly data: { readonly code: string } }
      >
    >;
    readonly tags: Readonly<Record<string, { readonly name: string; readonly description: string }>>;
  };
}

const description = `JSON-RPC 2.0 by HTTP POST to \`/v1/rpc\`, parameters by name, single calls or batches.

Mutations carry signed records. The id of a record is its idempotency key: the same bytes have the same effect once, and the
same answer.

Methods with access \`signed\` or \`connector\` want a signed HTTP request: the headers \`${httpHeaders.credential}\`
(\`ed25519:0x<public key>\`), \`${httpHeaders.timestamp}\` (RFC 3339 with milliseconds, within ${timestampTolerance / 1000} s of the
coordinator's clock), \`${httpHeaders.nonce}\` (0x-hex of 16 fresh bytes) and \`${httpHeaders.signature}\` (0x-hex of 64 bytes).
Connectors send \`${httpHeaders.grant}\` too: the JSON of their party's \`connector.grant\` record, base64url without padding.
With len(x) the length of x in bytes (u32, big endian) before x itself, the signature is over

    "countersign/v1/http" 0x00 SHA-256( len("countersign/v1/http") len(networkId) len(HTTP method)
                                        len(path with query) len(timestamp) len(SHA-256(body)) len(nonce bytes) )

Errors have \`data\` (component \`ErrorData\`): \`code\`, a stable name; \`detail\`, what was wrong; \`remedy\`, what to do.

Events: \`GET /v1/keyrings/<id>/events\` (connectors) and \`GET /v1/workspaces/<id>/events\` (owners), signed, as server-sent
events with the component \`Event\` as data; \`Last-Event-ID\` resumes. Health: \`GET /health/live\`, \`GET /health/ready\`.`;

/** A call and its answer; undefined for an exchange that was none. */
function pairing(name: MethodName, exchange: Exchange | undefined): OpenRpcMethod['examples'] {
  const call = exchange?.request as { params?: Record<string, unknown> } | undefined;
  const answer = exchange?.answer as { result?: unknown } | undefined;
  if (call === undefined || answer?.result === undefined) return [];
  const params = Object.entries(call.params ?? {}).map(([param, value]) => ({ name: param, value }));
  const shortened = name === 'rpc.discover' && { description: 'Without what this document already is.' };
  return [{ name: 'example', ...shortened, params, result: { name: 'result', value: answer.result } }];
}

/** Errors that a method may answer with, in the order of their codes. */
function errorsOf(name: MethodName): RpcErrorName[] {
  const signed = methods[name].access === 'open' ? [] : signatureErrors;
  const has = new Set<RpcErrorName>([...commonErrors, ...signed, ...methodWords[name].errors]);
  return (Object.keys(errorCodes) as RpcErrorName[]).filter((code) => has.has(code));
}

/** The document. `version` is that of the software. */
export function openRpcDocument(version: string, examples: Examples): OpenRpcDocument {
  const schemas = jsonSchemas();
  const describeMethod = (name: MethodName): OpenRpcMethod => {
    const { summary, access } = methods[name];
    const words = methodWords[name];
    const { properties = {}, required = [] } = schemas.params[name];
    const params = Object.entries(properties).map(([param, { description: about, ...schema }]) => {
      const [only, ...others] = (schema['allOf'] as JsonSchema[] | undefined) ?? [];
      const alone = only !== undefined && others.length === 0;
      return {
        name: param,
        ...(about !== undefined && { description: about }),
        required: required.includes(param),
        schema: alone ? only : (schema as JsonSchema),
      };
    });
    // What must be given comes first.
    const ordered = [
      ...params.filter((param) => param.required),
      ...params.filter((param) => !param.required),
    ];
    return {
      name,
      summary,
      description: `${words.description} ${accessWords[access]}`,
      tags: [{ $ref: `#/components/tags/${access}` }],
      paramStructure: 'by-name',
      params: ordered,
      result: { name: 'result', description: words.result, schema: schemas.results[name] },
      errors: errorsOf(name).map((code) => ({ $ref: `#/components/errors/${code}` })),
      examples: pairing(name, examples.methods[name]),
      'x-access': access,
    };
  };
  return {
    openrpc: '1.3.2',
    info: {
      title: 'Countersign coordinator',
      description,
      version,
      license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
    },
    methods: (Object.keys(methods) as MethodName[]).map(describeMethod),
    components: {
      schemas: schemas.components,
      errors: Object.fromEntries(
        Object.entries(errorCodes).map(([code, number]) => [
          code,
          { code: number, message: errorWords[code as RpcErrorName], data: { code } },
        ]),
      ),
      tags: Object.fromEntries(
        Object.entries(accessWords).map(([access, words]) => [access, { name: access, description: words }]),
      ),
    },
  };
}
