// `rpc.discover` and docs/rpc.md: they are what the code says, hold to OpenRPC's own schema, and show what a coordinator
// really answers.
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import * as openRpcPackage from '@open-rpc/meta-schema';
import { Ajv, type ValidateFunction } from 'ajv';
import { createClient } from '../../client/mod.ts';
import { httpStatusOf } from '../../coordinator/rpc/error.ts';
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

function resolve(document: unknown, reference: string): unknown {
  let value = document;
  for (const part of reference.slice(2).split('/'))
    value = (value as Record<string, unknown> | undefined)?.[part];
  return value;
}
