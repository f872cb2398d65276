// `rpc.discover` and docs/rpc.md: they are what the code says, hold to OpenRPC's own schema, and show what a coordinator
// really answers.
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import * as openRpcPackage from '@open-rpc/meta-schema';
import { Ajv, type ValidateFunction } from 'ajv';
import { createClient } from '../../client/mod.ts';
import { httpStatusOf } from '../../coordinator/rpc/error.ts';
import type { Caller, Handlers } from '../../coordinator/rpc/handlers.ts';
import { answerBody, readBody, type RpcResponse } from '../../coordinator/rpc/json-rpc.ts';
import { createRpcServer } from '../../coordinator/rpc/server.ts';
import { type Examples, type OpenRpcDocument, openRpcDocument } from '../../protocol/openrpc/document.ts';
import type { JsonSchema } from '../../protocol/openrpc/schemas.ts';
import {
  commonErrors,
  fieldWords,
  methodWords,
  signatureErrors,
  transportErrors,
} from '../../protocol/openrpc/words.ts';
import {
  errorCodes,
  eventSchema,
  type MethodName,
  methods,
  type RpcErrorName,
  type Access,
} from '../../protocol/rpc.ts';
import type { Envelope } from '../../protocol/records/envelope.ts';
import { httpHeaders, verifyHttp } from '../../protocol/signed-http.ts';
import { type Generated, generateRpc } from '../documents/rpc.ts';
import { createWorld, networkId } from '../support/fixture.ts';
import { ServiceWorld, stores } from '../support/service-world.ts';

/** OpenRPC's own schema, which the package's types leave out. */
const metaSchema = (openRpcPackage as unknown as { readonly openrpcDocument: object }).openrpcDocument;
const names = Object.keys(methods) as MethodName[];
const accesses: readonly Access[] = ['open', 'signed', 'connector'];

/** The schema of JSON Schema to which OpenRPC's refers by an address of its own: draft 7. */
const schemaOfSchemas = {
  allOf: [{ $ref: 'http://json-schema.org/draft-07/schema#' }],
  definitions: {
    // What a reference object may hold.
    JSONSchemaObject: { properties: { $ref: { type: 'string', format: 'uri-reference' } } },
  },
};

const formats = {
  uri: (text: string) => URL.canParse(text),
  'uri-reference': (text: string) => URL.canParse(text, 'https://base.example/'),
  regex: (text: string) => new RegExp(text, 'u') instanceof RegExp,
};

const explain = (validate: ValidateFunction): string => JSON.stringify(validate.errors?.slice(0, 5), null, 1);

describe('rpc.discover', () => {
  let document: OpenRpcDocument;
  let examples: Examples;
  let files: readonly Generated[];

  before(async () => {
    ({ examples, files } = await generateRpc());
    document = openRpcDocument('1.2.3', examples);
  });

  it('is what a coordinator serves to anybody', async () => {
    const { store, close } = await stores['memory']!();
    const at = new ServiceWorld(createWorld(), store);
    const server = createRpcServer({
      networkId,
      service: at.service,
      store,
      now: () => at.now,
      log: () => undefined,
      host: '127.0.0.1',
      port: 0,
    });
    try {
      const { url } = await server.listen();
      const served = await createClient({ url, networkId }).call('rpc.discover', {});
      assert.deepEqual(served, JSON.parse(JSON.stringify(document)));
    } finally {
      await server.close();
      await at.service.stop();
      await close();
    }
  });

  it('is valid by the schema of OpenRPC', () => {
    const ajv = new Ajv({ strict: false, formats });
    // OpenRPC's schema spells the address in two ways.
    for (const address of ['https://meta.json-schema.tools', 'https://meta.json-schema.tools/'])
      ajv.addSchema(schemaOfSchemas, address);
    const validate = ajv.compile({ ...metaSchema, $schema: 'http://json-schema.org/draft-07/schema#' });
    assert.equal(validate(JSON.parse(JSON.stringify(document))), true, explain(validate));
    // And the schema does refuse what is no OpenRPC.
    assert.equal(validate({ ...document, methods: [{ name: 'x' }] }), false);
    const wrong = { $ref: 5 };
    assert.equal(validate({ ...document, components: { schemas: { Wrong: wrong } } }), false);
  });

  it('has every method, with its access, parameters, result, errors and one example', () => {
    assert.deepEqual(
      document.methods.map(({ name }) => name),
      names,
    );
    for (const method of document.methods) {
      const name = method.name as MethodName;
      assert.equal(method['x-access'], methods[name].access);
      assert.deepEqual(method.tags, [{ $ref: `#/components/tags/${methods[name].access}` }]);
      assert.deepEqual(
        method.params.map((param) => param.name).toSorted(),
        Object.keys(methods[name].params.shape).toSorted(),
      );
      for (const { name: param, required } of method.params) {
        const optional = (
          methods[name].params.shape as Record<string, { safeParse(value: unknown): { success: boolean } }>
        )[param]!.safeParse(undefined).success;
        assert.equal(required, !optional, `${name} ${param}`);
      }
      assert.equal(method.examples.length, 1, name);
      for (const { $ref } of [...method.errors, ...method.tags])
        assert.notEqual(resolve(document, $ref), undefined, $ref);
    }
  });

  it('has every error code with its meaning, and every kind of access', () => {
    for (const [name, code] of Object.entries(errorCodes)) {
      const error = document.components.errors[name];
      assert.deepEqual([error?.code, error?.data.code], [code, name]);
      assert.ok((error?.message.length ?? 0) > 20, name);
    }
    assert.deepEqual(Object.keys(document.components.tags), accesses);
    assert.deepEqual(
      [...new Set(document.methods.map((method) => method['x-access']))].toSorted(),
      accesses.toSorted(),
    );
    // Every error belongs to methods, to the transport, to streams, or is never answered.
    const answered = new Set<string>([
      ...commonErrors,
      ...signatureErrors,
      ...transportErrors,
      ...names.flatMap((name) => methodWords[name].errors),
      'cursor_too_old',
      'idempotency_mismatch',
    ]);
    assert.deepEqual([...answered].toSorted(), Object.keys(errorCodes).toSorted());
  });

  it('lists the errors that the tests of methods meet', async () => {
    const folder = new URL('./', import.meta.url);
    const met = new Set<string>();
    for (const file of await readdir(folder)) {
      if (!file.endsWith('.test.ts')) continue;
      const text = await readFile(new URL(file, folder), 'utf8');
      for (const [, code, name] of text.matchAll(/refuses\(\s*'([a-z_]+)',\s*'([a-zA-Z_.]+)'/g))
        if (name !== undefined && Object.hasOwn(methods, name)) met.add(`${name} ${code}`);
    }
    assert.ok(met.size > 20, `${met.size} pairs of method and error`);
    const listed = new Set(
      document.methods.flatMap(({ name, errors }) =>
        errors.map(({ $ref }) => `${name} ${$ref.split('/').at(-1)}`),
      ),
    );
    assert.deepEqual(
      [...met].filter((pair) => !listed.has(pair)),
      [],
    );
  });

  it('says what every parameter and every field is', () => {
    const used = new Set<string>();
    const check = (schema: JsonSchema, path: string): void => {
      for (const [name, property] of Object.entries(schema.properties ?? {})) {
        assert.ok((property.description ?? '').length > 3, `no words for ${path}.${name}`);
        used.add(property.description!);
        check(property, `${path}.${name}`);
      }
      const { items, oneOf } = schema as { items?: JsonSchema; oneOf?: JsonSchema[] };
      if (items !== undefined) check(items, path);
      for (const branch of oneOf ?? []) check(branch, path);
    };
    for (const [name, schema] of Object.entries(document.components.schemas)) check(schema, name);
    for (const { name, params, result } of document.methods) {
      for (const param of params) {
        assert.ok((param.description ?? '').length > 3, `no words for ${name} ${param.name}`);
        used.add(param.description!);
      }
      check(result.schema, name);
    }
    const unused = Object.entries(fieldWords).filter(([, words]) => !used.has(words));
    assert.deepEqual(unused, [], 'words for fields that there are not');
  });

  it('describes what examples show, by its own JSON schemas', () => {
    const ajv = new Ajv({ strict: false, formats });
    const whole = JSON.parse(JSON.stringify(document)) as OpenRpcDocument;
    ajv.addSchema({ $id: 'https://document.example/', ...whole });
    for (const [index, method] of whole.methods.entries()) {
      const at = `https://document.example/#/methods/${index}`;
      const [example] = method.examples;
      const accepts = (pointer: string, value: unknown): boolean => {
        const validate = ajv.compile({ $ref: at + pointer });
        return validate(value) || assert.fail(`${method.name} ${pointer}: ${explain(validate)}`);
      };
      accepts('/result/schema', example?.result.value);
      for (const { name, value } of example?.params ?? []) {
        const position = method.params.findIndex((param) => param.name === name);
        accepts(`/params/${position}/schema`, value);
      }
    }
    const event = ajv.compile({ $ref: 'https://document.example/#/components/schemas/Event' });
    const data = [...String(examples.others['stream']?.answer).matchAll(/^data: (.*)$/gm)].map((line) =>
      JSON.parse(line[1]!),
    );
    assert.equal(data.length, 2);
    for (const value of data) {
      assert.ok(event(value), explain(event));
      eventSchema.parse(value);
    }
    assert.equal(event({ ...data[0], more: 1 }), false);
  });

  it('accepts of parameters exactly what the server does', async () => {
    const ajv = new Ajv({ strict: false });
    const whole = JSON.parse(JSON.stringify(document)) as OpenRpcDocument;
    ajv.addSchema({ $id: 'https://document.example/', ...whole });
    const reached = names.map((name) => [name, async () => ({ reached: true })] as const);
    const context = {
      handlers: Object.fromEntries(reached) as unknown as Handlers,
      caller: { credential: 'a', grant: {} } as unknown as Caller,
      signal: new AbortController().signal,
      log: () => assert.fail('an internal error'),
    };
    /** The error's name, or `ok` when the handler was reached. */
    const ask = async (method: string, params: string): Promise<string> => {
      const body = `{"jsonrpc":"2.0","id":1,"method":"${method}","params":${params}}`;
      const answer = (await answerBody(readBody(Buffer.from(body), 20), context)) as RpcResponse;
      return 'result' in answer ? 'ok' : answer.error.data.code;
    };
    const envelope = whole.methods.find(({ name }) => name === 'workspace_create')!.examples[0]!.params[0]!
      .value as Envelope;
    const values = [...oddValues(envelope)];
    const told = new Map<string, number>();
    for (const [index, { name, params, examples }] of whole.methods.entries()) {
      const usual = examples[0]!.params.map((param): [string, unknown] => [param.name, param.value]);
      const accepted = new Map(
        params.map((param, at) => [
          param.name,
          ajv.compile({ $ref: `https://document.example/#/methods/${index}/params/${at}/schema` }),
        ]),
      );
      const holds = (given: readonly (readonly [string, unknown])[]): boolean =>
        given.every(([param, value]) => accepted.get(param)?.(value) === true) &&
        params.every((param) => !param.required || given.some(([one]) => one === param.name));
      const agree = async (given: readonly (readonly [string, unknown])[]): Promise<void> => {
        const text = `{${given.map(([param, value]) => `${JSON.stringify(param)}:${JSON.stringify(value)}`).join()}}`;
        const said = await ask(name, text);
        assert.equal(said, holds(given) ? 'ok' : 'invalid_params', `${name} ${text.slice(0, 200)}`);
        told.set(said, (told.get(said) ?? 0) + 1);
      };
      await agree(usual);
      for (const odd of ['more', '__proto__', 'constructor', '']) await agree([...usual, [odd, 1]]);
      for (const { name: param } of params) {
        const others = usual.filter(([one]) => one !== param);
        await agree(others);
        for (const value of values) await agree([...others, [param, value]]);
      }
      for (const positional of ['[]', '[1]', '5', '"a"', 'true'])
        assert.equal(await ask(name, positional), 'invalid_params', name);
    }
    assert.ok(
      (told.get('ok') ?? 0) > 100 && (told.get('invalid_params') ?? 0) > 1000,
      JSON.stringify([...told]),
    );
  });

  it('has signed examples whose signatures verify', () => {
    let signed = 0;
    for (const [name, { method, path, headers, request }] of Object.entries(examples.methods)) {
      const access = methods[name as MethodName].access;
      assert.equal(headers[httpHeaders.signature] !== undefined, access !== 'open', name);
      assert.equal(headers[httpHeaders.grant] !== undefined, access === 'connector', name);
      if (access === 'open') continue;
      const body = new TextEncoder().encode(JSON.stringify(request));
      const now = Date.parse(headers[httpHeaders.timestamp]!);
      verifyHttp({ networkId, method, path, body }, headers, now);
      signed += 1;
    }
    assert.ok(signed > 10);
  });

  it('and docs/rpc.md stand in the repository as they are generated', async () => {
    for (const { file, text } of files) {
      const committed = await readFile(file, 'utf8');
      assert.ok(committed === text, `${file.pathname} is not up to date: run npm run docs:rpc`);
    }
  });

  it('has a document that shows every method, type and error, and cuts nothing without saying so', () => {
    const markdown = files.find(({ file }) => file.pathname.endsWith('rpc.md'))!.text;
    const headings = [...markdown.matchAll(/^### (.+)$/gm)].map((match) => match[1]);
    for (const heading of [...names, ...Object.keys(document.components.schemas)])
      assert.ok(headings.includes(heading), heading);
    for (const [name, code] of Object.entries(errorCodes))
      assert.match(
        markdown,
        new RegExp(`\\| ${code} +\\| \`${name}\` +\\| ${httpStatusOf[name as RpcErrorName]} `),
      );
    const anchors = new Set(
      [...markdown.matchAll(/^#+ (.+)$/gm)].map((match) =>
        match[1]!
          .toLowerCase()
          .replaceAll(/[^a-z0-9_ -]/g, '')
          .replaceAll(' ', '-'),
      ),
    );
    for (const [, target] of markdown.matchAll(/\]\(#([^)]+)\)/g))
      assert.ok(anchors.has(target!), `#${target}`);
    assert.doesNotMatch(markdown, /\{\{|undefined|\[object/);
    const long = [...markdown.matchAll(/[A-Za-z0-9_-]{75,}/g)]
      .map(([run]) => run)
      .filter((run) => /[^-]/.test(run));
    assert.deepEqual(long, []);
    assert.match(markdown, /…\(\d+ characters\)/);
  });
});

/** What parameters are given here: their own kinds at their limits, and everything else. */
function* oddValues(envelope: Envelope): Generator<unknown> {
  yield* [null, true, 0, 1, -1, 1.5, 200, 201, 60_000, 60_001, 2 ** 53 - 1, 1e300, [], {}, [[]], [null]];
  yield* [
    '',
    'x',
    'é'.repeat(300),
    '\u{1f600}'.repeat(300),
    'a'.repeat(300),
    'a'.repeat(301),
    'a\u0000',
    '\ud800',
  ];
  const id = `0x${'a'.repeat(64)}`;
  yield* ['0x', id, id.toUpperCase(), `${id}\n`, `${id}a`, ` ${id}`, 'partial', 'pending\n', 'PENDING'];
  yield* [Array(50).fill(id), Array(51).fill(id), [id, 'x']];
  const { bytes, signatures } = envelope;
  const [signature] = signatures;
  for (const change of [
    { more: 1 },
    { bytes: '' },
    { bytes: `${bytes}=` },
    { bytes: `${bytes}\n` },
    { bytes: 'A'.repeat(349_526) },
    { bytes: 'A'.repeat(349_527) },
    { type: '' },
    { type: 'a'.repeat(40) },
    { type: 'a'.repeat(41) },
    { type: 'A' },
    { signatures: [] },
    { signatures: {} },
    { signatures: Array(256).fill(signature) },
    { signatures: Array(257).fill(signature) },
    { signatures: [{ ...signature, more: 1 }] },
    { signatures: [{ ...signature, signature: `${signature?.signature}00` }] },
    { signatures: [{ ...signature, credential: `${signature?.credential}0` }] },
    { signatures: [{ credential: signature?.credential }] },
  ])
    yield { ...envelope, ...change };
  yield { bytes, signatures };
  yield JSON.parse(`{"__proto__":1,"type":"a","bytes":"A","signatures":[]}`);
}

function resolve(document: unknown, reference: string): unknown {
  let value = document;
  for (const part of reference.slice(2).split('/'))
    value = (value as Record<string, unknown> | undefined)?.[part];
  return value;
}
