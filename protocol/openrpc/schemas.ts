// JSON Schema (draft 7, as OpenRPC wants it) of everything in rpc.ts: shared schemas as components, with what fields mean.
import * as z from 'zod';
import { evidenceSchema } from '../authorize.ts';
import { keyTypeSchema } from '../keys/key-type.ts';
import { receiptSchema } from '../receipt.ts';
import { envelopeSchema } from '../records/envelope.ts';
import {
  credentialSchema,
  epochSchema,
  logHeadSchema,
  networkIdSchema,
  recordIdSchema,
  timestampSchema,
} from '../records/fields.ts';
import {
  actionViewSchema,
  changeStateSchema,
  changeViewSchema,
  errorDataSchema,
  eventSchema,
  holdSchema,
  keyringViewSchema,
  keyViewSchema,
  type MethodName,
  methods,
  missingSchema,
  policyWordsSchema,
  rejectionCodeSchema,
  requestStateSchema,
  requestViewSchema,
  simulatedItemSchema,
  votesSchema,
  workspaceViewSchema,
} from '../rpc.ts';
import { fieldWords } from './words.ts';

export interface JsonSchema {
  [keyword: string]: unknown;
  description?: string;
  properties?: Record<string, JsonSchema>;
  required?: string[];
}

export const componentPath = '#/components/schemas/';

const components: Readonly<Record<string, readonly [z.ZodType, string]>> = {
  NetworkId: [networkIdSchema, 'Name of a network: nothing signed for one is valid on another.'],
  RecordId: [recordIdSchema, 'SHA-256 of a signed record, and so the id of the thing that it made.'],
  Timestamp: [timestampSchema, 'RFC 3339, UTC, with milliseconds: `2030-01-31T12:00:00.000Z`.'],
  Credential: [credentialSchema, 'A public key that signs.'],
  Envelope: [envelopeSchema, 'A signed record: its exact bytes, and the signatures over its id.'],
  LogHead: [logHeadSchema, "A position in a workspace's log."],
  Epoch: [epochSchema, "A version of a keyring's roster and shares."],
  KeyType: [keyTypeSchema, 'Type of a key.'],
  RequestState: [
    requestStateSchema,
    '`partial`: approvals are missing. `pending`: the parties may sign. The others are final.',
  ],
  RejectionCode: [rejectionCodeSchema, 'Why a request ended `rejected`.'],
  Votes: [votesSchema, 'Results of distinct parties that count, how many it takes, refusals.'],
  Missing: [missingSchema, 'Approvals that a rule of the policy still wants.'],
  Hold: [holdSchema, 'What a rule waits for that nobody has to decide.'],
  Evidence: [evidenceSchema, 'Everything signed that a request needs to be judged.'],
  Receipt: [receiptSchema, 'Everything signed about a fulfilled request.'],
  RequestView: [requestViewSchema, 'How a request stands: derived from records that the reader can verify.'],
  ChangeState: [changeStateSchema, '`partial`: it awaits decisions. `fulfilled`: it is in the log.'],
  ChangeView: [changeViewSchema, 'How a change of a workspace stands.'],
  ActionView: [actionViewSchema, 'A request or a change, told apart by `kind`.'],
  PolicyWords: [policyWordsSchema, 'A policy in force, in words.'],
  SimulatedItem: [simulatedItemSchema, "What a policy's rules say of one item, before anybody has decided."],
  KeyView: [keyViewSchema, 'A key, with what proves it.'],
  WorkspaceView: [workspaceViewSchema, 'A workspace, with its signed log.'],
  KeyringView: [keyringViewSchema, 'A keyring, with its signed roster.'],
  Event: [eventSchema, 'The data of an event of a stream.'],
  ErrorData: [errorDataSchema, '`data` of an error.'],
};

interface Entry {
  readonly id: string;
  readonly description?: string;
}

/** JSON Schema of each component and of `<method> params` and `<method> result`, by these names. */
function generate(): Record<string, JsonSchema> {
  const registry = z.registry<Entry>();
  for (const [id, [schema, description]] of Object.entries(components))
    registry.add(schema, { id, description });
  for (const [name, { params, result }] of Object.entries(methods)) {
    registry.add(params, { id: `${name} params` });
    if (!registry.has(result)) registry.add(result, { id: `${name} result` });
  }
  const { schemas } = z.toJSONSchema(registry, {
    metadata: registry,
    target: 'draft-07',
    uri: (id) => componentPath + id,
    override: ({ jsonSchema }) => {
      // The range of integers that JSON carries exactly goes without saying.
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    },
  });
  return schemas as Record<string, JsonSchema>;
}

/** Words for a field, by its path: `Component.field.field`, then `field` alone. */
function describe(property: JsonSchema, path: string): JsonSchema {
  const words = fieldWords[path] ?? fieldWords[path.slice(path.lastIndexOf('.') + 1)];
  if (words === undefined) return property;
  // Draft 7 ignores what stands beside a reference.
  if (typeof property['$ref'] === 'string') return { description: words, allOf: [property] };
  return { description: words, ...property };
}

/** The schema without what only zod's own form needs, with words for its fields. */
function tidy(schema: JsonSchema, path: string): JsonSchema {
  const tidied = Object.entries(schema).flatMap(([keyword, value]): [string, unknown][] => {
    if (keyword === '$schema' || keyword === '$id' || keyword === 'id') return [];
    if (keyword === 'properties') {
      const properties = Object.entries(value as Record<string, JsonSchema>).map(([name, property]) => {
        const below = `${path}.${name}`;
        return [name, describe(tidy(property, below), below)] as const;
      });
      return [[keyword, Object.fromEntries(properties)]];
    }
    if (keyword === 'items') return [[keyword, tidy(value as JsonSchema, path)]];
    if (keyword === 'oneOf' || keyword === 'anyOf')
      return [[keyword, (value as JsonSchema[]).map((branch) => tidy(branch, branchPath(path, branch)))]];
    return [[keyword, value]];
  });
  const result = Object.fromEntries(tidied) as JsonSchema;
  const [only, ...others] = (result['allOf'] as JsonSchema[] | undefined) ?? [];
  return only !== undefined && others.length === 0 && Object.keys(result).length === 1 ? only : result;
}

/** Branches of a union are told apart by the value of their `type`. */
function branchPath(path: string, branch: JsonSchema): string {
  const type = branch.properties?.['type']?.['const'];
  return typeof type === 'string' ? `${path}.${type}` : path;
}

export interface Schemas {
  readonly components: Readonly<Record<string, JsonSchema>>;
  /** An object schema: one property a parameter. */
  readonly params: Readonly<Record<MethodName, JsonSchema>>;
  readonly results: Readonly<Record<MethodName, JsonSchema>>;
}

export function jsonSchemas(): Schemas {
  const all = generate();
  const names = Object.keys(methods) as MethodName[];
  const nameOf = new Map(Object.entries(components).map(([id, [schema]]) => [schema, id]));
  const result = (name: MethodName): JsonSchema => {
    const component = nameOf.get(methods[name].result);
    return component === undefined
      ? tidy(all[`${name} result`]!, name)
      : { $ref: `${componentPath}${component}` };
  };
  return {
    components: Object.fromEntries(Object.keys(components).map((id) => [id, tidy(all[id]!, id)])),
    params: Object.fromEntries(
      names.map((name) => [name, tidy(all[`${name} params`]!, name)]),
    ) as Schemas['params'],
    results: Object.fromEntries(names.map((name) => [name, result(name)])) as Schemas['results'],
  };
}
