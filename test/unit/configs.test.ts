// The configuration examples are what the processes accept, whole, and tell the truth about it: every setting of a schema is
// there with a comment, no other is, and each default that a comment states is the schema's.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import * as z from 'zod';
import { connectorConfigSchema, parseConnectorConfig } from '../../connector/config.ts';
import { coordinatorConfigSchema, parseCoordinatorConfig } from '../../coordinator/config.ts';
import { nodeConfigSchema, resolveNodeConfig } from '../../node/config.ts';
import { defaultTiming } from '../../node/sessions/context.ts';

const folder = fileURLToPath(new URL('../../configs/', import.meta.url));

/** As much of a JSON Schema as these have. */
interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly default?: unknown;
}

interface Setting {
  readonly required: boolean;
  readonly fallback: unknown;
}

/** Every key of a schema, nested ones as `limits.bodyBytes`, with what holds when it is left out. */
function settingsOf(schema: Schema, prefix = ''): Map<string, Setting> {
  const found = new Map<string, Setting>();
  for (const [key, inner] of Object.entries(schema.properties ?? {})) {
    const path = `${prefix}${key}`;
    found.set(path, { required: schema.required?.includes(key) === true, fallback: inner.default });
    for (const part of [inner, inner.items ?? {}])
      for (const [below, setting] of settingsOf(part, `${path}.`)) found.set(below, setting);
  }
  for (const branch of schema.anyOf ?? []) {
    for (const [path, setting] of settingsOf(branch, prefix)) found.set(path, setting);
  }
  return found;
}

/** A comment that says nothing begins with "# "; a setting behind a # has no space there, or one for each level and one more. */
const disabled = /^#(?=[a-zA-Z]| {2,}| *- )/;

interface Documented {
  /** The prose right above it. */
  readonly comment: string;
  readonly value: unknown;
}

/** A file with every setting switched on, and each of its keys with its comment. */
function read(text: string): { enabled: string; keys: Map<string, Documented> } {
  const lines = text.split('\n').map((line) => line.replace(disabled, ''));
  const enabled = lines.join('\n');
  const whole: unknown = parse(enabled);
  const keys = new Map<string, Documented>();
  const path: { indent: number; key: string }[] = [];
  let comment: string[] = [];
  for (const line of lines) {
    const [, prose] = /^\s*# (.*)$/.exec(line) ?? [];
    const [, space, key] = /^(\s*(?:- )?)([A-Za-z][\w-]*):( |$)/.exec(line) ?? [];
    if (prose !== undefined) comment.push(prose);
    else if (space !== undefined && key !== undefined) {
      while ((path.at(-1)?.indent ?? -1) >= space.length) path.pop();
      path.push({ indent: space.length, key });
      const names = path.map((part) => part.key);
      const value = names.reduce<unknown>(
        // Of a list: in its first element.
        (at, name) => (Array.isArray(at) ? at[0] : at)[name] as unknown,
        whole,
      );
      keys.set(names.join('.'), { comment: comment.join(' '), value });
      comment = [];
    } else comment = [];
  }
  return { enabled, keys };
}

interface Example {
  readonly name: string;
  readonly schema: z.ZodType;
  readonly check: (value: unknown) => unknown;
  /** Keys that no schema names. */
  readonly free: readonly string[];
  /** Defaults that the schema leaves to the process. */
  readonly defaults: Readonly<Record<string, unknown>>;
}

const examples: readonly Example[] = [
  {
    name: 'coordinator',
    schema: coordinatorConfigSchema,
    check: parseCoordinatorConfig,
    free: [],
    defaults: {},
  },
  {
    name: 'node',
    schema: nodeConfigSchema,
    check: (file: unknown) => resolveNodeConfig({ file, folder }),
    // Names of parties, which the schema does not know.
    free: ['peers.party-2'],
    // What the schema leaves to the node.
    defaults: {
      'timing.proposalDeadlineMs': defaultTiming.proposalDeadline,
      'timing.roundDeadlineMs': defaultTiming.roundDeadline,
      dir: 'the folder of this file.',
      workers: 'one fewer than there are processors, at least one.',
    },
  },
  {
    name: 'connector',
    schema: connectorConfigSchema,
    check: (value: unknown) => parseConnectorConfig(value, 'connector.yaml'),
    free: [],
    defaults: {},
  },
];

for (const { name, schema, check, free, defaults } of examples) {
  describe(`configs/${name}.yaml`, () => {
    let text: string;
    let settings: Map<string, Setting>;

    before(async () => {
      text = await readFile(`${folder}${name}.yaml`, 'utf8');
      settings = settingsOf(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Schema);
      assert(settings.size >= 6, 'the schema has keys');
    });

    it('is accepted as it is, and with every setting switched on', () => {
      check(parse(text));
      check(parse(read(text).enabled));
    });

    it('has every setting of the schema, and no other', () => {
      const there = [...read(text).keys.keys()].filter((path) => !free.includes(path));
      const missing = [...settings.keys()].filter((path) => !there.includes(path));
      const unknown = there.filter((path) => !settings.has(path));
      assert.deepEqual({ missing, unknown }, { missing: [], unknown: [] });
    });

    it('says of each what it means, and its default as it is', () => {
      for (const [path, { comment, value }] of read(text).keys) {
        const setting = settings.get(path);
        if (setting === undefined) continue;
        assert(comment.length > 25, `${path}: say in a comment above it what it means`);
        if (setting.required) {
          assert.match(comment, /Required\.( |$)/, `${path}: end its comment with "Required."`);
          continue;
        }
        const expected = path in defaults ? defaults[path] : setting.fallback;
        const stated = /Default: (.+)$/.exec(comment)?.[1];
        if (expected === undefined) {
          // A group whose members have defaults of their own.
          const members = [...settings.keys()].filter((key) => key.startsWith(`${path}.`));
          assert(members.length > 0 || stated !== undefined, `${path}: state its default`);
          continue;
        }
        const prefaulted = JSON.stringify(expected) === '{}' && stated === undefined;
        if (prefaulted) continue;
        assert(stated !== undefined, `${path}: end its comment with "Default: ${JSON.stringify(expected)}"`);
        const words = typeof expected === 'string' && expected.includes(' ');
        assert.deepEqual(words ? stated : parse(stated), expected, `${path}: its default`);
        // What is commented out shows the default, unless there is nothing to show.
        const shown = JSON.stringify(expected) !== '{}' && !words;
        if (shown) assert.deepEqual(value, expected, `${path}: shows another value than its default`);
      }
    });

    it('is safe as it stands', () => {
      const { host } = (parse(text) as { listen?: { host?: string } }).listen ?? {};
      if (name === 'coordinator') assert.equal(host, '127.0.0.1');
      assert.doesNotMatch(text, /create: *open$/m);
      assert.doesNotMatch(text, /^coordinator: http:/m);
    });
  });
}
