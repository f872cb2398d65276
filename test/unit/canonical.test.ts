import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  CanonicalError,
  type CanonicalValue,
  decodeCanonical,
  encodeCanonical,
} from '../../protocol/records/canonical.ts';

const limit = 10_000;
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (value: unknown): string => new TextDecoder().decode(encodeCanonical(value));
const decode = (text: string): unknown => decodeCanonical(bytesOf(text), limit);

function refuses(code: CanonicalError['code'], work: () => unknown, what: string): void {
  assert.throws(
    work,
    (error) => {
      assert.ok(error instanceof CanonicalError, `${what}: ${String(error)}`);
      assert.equal(error.code, code, what);
      assert.match(error.message, /: [a-z]/, 'says what to do');
      return true;
    },
    what,
  );
}

describe('canonical bytes', () => {
  it('orders keys by UTF-16 code units, as RFC 8785 section 3.2.3', () => {
    // The RFC's own example, without its value types that records do not have. U+1F600 is D83D DE00 in UTF-16 and so
    // comes before U+FB33, though its code point is larger.
    const value = {
      '€': 'Euro Sign',
      '\r': 'Carriage Return',
      דּ: 'Hebrew Letter Dalet With Dagesh',
      '1': 'One',
      '😀': 'Emoji: Grinning Face',
      '\u0080': 'Control',
      ö: 'Latin Small Letter O With Diaeresis',
    };
    assert.equal(
      textOf(value),
      '{"\\r":"Carriage Return","1":"One","\u0080":"Control","ö":"Latin Small Letter O With Diaeresis",' +
        '"€":"Euro Sign","😀":"Emoji: Grinning Face","\ufb33":"Hebrew Letter Dalet With Dagesh"}',
    );
    assert.deepEqual(decode(textOf(value)), value);
  });

  it('does not order integer-like keys as JavaScript does', () => {
    assert.equal(textOf({ b: 1, 10: 2, 9: 3 }), '{"10":2,"9":3,"b":1}');
    assert.deepEqual(decode('{"10":2,"9":3,"b":1}'), { 9: 3, 10: 2, b: 1 });
    refuses('not_canonical', () => decode('{"9":3,"10":2,"b":1}'), 'numeric order');
  });

  it('escapes what RFC 8785 escapes, and nothing else', () => {
    assert.equal(
      textOf('\u0000\u0008\t\n\u000b\f\r\u001f"\\/\u007f\u2028é😀'),
      '"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f\\"\\\\/\u007f\u2028é😀"',
    );
  });

  const valid: [string, unknown][] = [
    ['{}', {}],
    ['[]', []],
    ['""', ''],
    ['true', true],
    ['0', 0],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
    ['[[],{},"",false,0]', [[], {}, '', false, 0]],
    ['{"":{"a":[1]}}', { '': { a: [1] } }],
  ];
  for (const [text, value] of valid) {
    it(`writes and reads ${text}`, () => {
      assert.equal(textOf(value), text);
      assert.deepEqual(decode(text), value);
    });
  }

  it('leaves out fields that are undefined', () => {
    assert.equal(textOf({ a: undefined, b: { c: undefined } }), '{"b":{}}');
  });

  const circular: unknown[] = [];
  circular.push(circular);
  class Amount {
    readonly value = 1;
  }
  const unwritable: [string, CanonicalError['code'], unknown][] = [
    ['a float', 'not_allowed', 1.5],
    ['minus zero', 'not_allowed', -0],
    ['a negative integer', 'not_allowed', -1],
    ['2^53', 'not_allowed', 2 ** 53],
    ['NaN', 'not_allowed', NaN],
    ['infinity', 'not_allowed', Infinity],
    ['null', 'not_allowed', null],
    ['null in an object', 'not_allowed', { a: null }],
    ['undefined', 'not_allowed', undefined],
    ['undefined in a list', 'not_allowed', [undefined]],
    ['a hole in a list', 'not_allowed', Object.assign([], { 1: 1 })],
    ['a bigint', 'not_allowed', 1n],
    ['a function', 'not_allowed', () => 1],
    ['a symbol', 'not_allowed', Symbol('a')],
    ['a lone high surrogate', 'not_allowed', 'a\ud800'],
    ['a lone low surrogate', 'not_allowed', '\udc00a'],
    ['a lone surrogate in a key', 'not_allowed', { '\ud800': 1 }],
    ['bytes', 'not_allowed', new Uint8Array(2)],
    ['a date', 'not_allowed', new Date(0)],
    ['a map', 'not_allowed', new Map([['a', 1]])],
    ['an instance of a class', 'not_allowed', new Amount()],
    ['inherited fields', 'not_allowed', Object.create({ a: 1 })],
    ['a circle', 'too_deep', circular],
  ];
  for (const [what, code, value] of unwritable) {
    it(`does not write ${what}`, () => refuses(code, () => encodeCanonical(value), what));
  }

  const unreadable: [string, CanonicalError['code'], string][] = [
    ['nothing', 'not_json', ''],
    ['a float', 'not_allowed', '{"a":1.5}'],
    ['an integer written as a float', 'not_canonical', '{"a":1.0}'],
    ['an exponent', 'not_canonical', '{"a":1e3}'],
    ['minus zero', 'not_allowed', '[-0]'],
    ['a negative integer', 'not_allowed', '[-1]'],
    ['a leading zero', 'not_json', '[01]'],
    ['a plus sign', 'not_json', '[+1]'],
    ['2^53', 'not_allowed', '[9007199254740992]'],
    ['2^53 + 1', 'not_allowed', '[9007199254740993]'],
    ['a number that rounds to an allowed one', 'not_canonical', '[9007199254740990.6]'],
    ['infinity', 'not_allowed', '[1e999]'],
    ['null', 'not_allowed', '{"a":null}'],
    ['a lone surrogate by escape', 'not_allowed', '["\\ud800"]'],
    ['a lone surrogate in a key', 'not_allowed', '{"\\udc00":1}'],
    ['a surrogate pair by escape', 'not_canonical', '["\\ud83d\\ude00"]'],
    ['an escaped letter', 'not_canonical', '["\\u0041"]'],
    ['an escaped slash', 'not_canonical', '["\\/"]'],
    ['an upper-case escape', 'not_canonical', '["\\u001F"]'],
    ['a long escape where a short one exists', 'not_canonical', '["\\u000a"]'],
    ['a duplicate key', 'not_canonical', '{"a":1,"a":1}'],
    ['a duplicate key by escape', 'not_canonical', '{"\\u0061":2,"a":1}'],
    ['a duplicate __proto__', 'not_canonical', '{"__proto__":1,"__proto__":1}'],
    ['keys out of order', 'not_canonical', '{"b":1,"a":1}'],
    ['a space', 'not_canonical', '{"a": 1}'],
    ['a leading line end', 'not_canonical', '\n{}'],
    ['a trailing space', 'not_canonical', '{} '],
    ['a trailing line end', 'not_canonical', '{}\n'],
    ['trailing bytes', 'not_json', '{}{}'],
    ['a trailing zero byte', 'not_json', '{}\0'],
    ['a trailing comma', 'not_json', '[1,]'],
    ['a comment', 'not_json', '{}//'],
    ['a byte order mark', 'not_json', '\ufeff{}'],
    ['single quotes', 'not_json', "{'a':1}"],
    ['nesting without end', 'too_deep', '['.repeat(5000) + ']'.repeat(5000)],
  ];
  for (const [what, code, text] of unreadable) {
    it(`does not read ${what}`, () => refuses(code, () => decode(text), what));
  }

  it('keeps __proto__ an ordinary key', () => {
    const value = decode('{"__proto__":{"admin":true},"a":1}') as Record<string, unknown>;
    assert.deepEqual(Object.keys(value), ['__proto__', 'a']);
    assert.equal(Object.getPrototypeOf(value), Object.prototype);
    assert.equal(value['admin'], undefined);
    assert.equal(textOf(value), '{"__proto__":{"admin":true},"a":1}');
  });

  const invalidUtf8: [string, number[]][] = [
    ['a stray continuation byte', [0x22, 0x80, 0x22]],
    ['an overlong slash', [0x22, 0xc0, 0xaf, 0x22]],
    ['an encoded surrogate', [0x22, 0xed, 0xa0, 0x80, 0x22]],
    ['a code point above U+10FFFF', [0x22, 0xf4, 0x90, 0x80, 0x80, 0x22]],
    ['a cut sequence', [0x22, 0xe2, 0x82]],
  ];
  for (const [what, bytes] of invalidUtf8) {
    it(`does not read ${what}`, () =>
      refuses('not_utf8', () => decodeCanonical(Uint8Array.from(bytes), limit), what));
  }

  it('reads to its limits and not beyond', () => {
    const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
    assert.equal(textOf(decode(nested(25))), nested(25));
    refuses('too_deep', () => decode(nested(26)), 'nesting');
    assert.equal(decodeCanonical(bytesOf('"abcd"'), 6), 'abcd');
    refuses('too_large', () => decodeCanonical(bytesOf('"abcde"'), 6), 'size');
    refuses('too_large', () => decodeCanonical(bytesOf('"éé"'), 5), 'size in bytes');
  });
});

const canonicalValue = fc.letrec<{ value: CanonicalValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.string({ unit: 'binary' }),
    fc.maxSafeNat(),
    fc.boolean(),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.oneof(fc.string({ unit: 'binary' }), fc.constant('__proto__')), tie('value'), {
      maxKeys: 4,
      noNullPrototype: true,
    }),
  ),
})).value;

/** The same value with the keys of every object inserted in reverse. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).toReversed();
  return Object.fromEntries(entries.map(([key, each]) => [key, reversed(each)]));
}

describe('canonical bytes of any value', () => {
  it('read back as the value, whatever order its keys were made in', () => {
    fc.assert(
      fc.property(canonicalValue, (value) => {
        const bytes = encodeCanonical(value);
        assert.deepEqual(encodeCanonical(reversed(value)), bytes);
        assert.deepEqual(encodeCanonical(decodeCanonical(bytes, 1_000_000)), bytes);
        assert.deepEqual(decodeCanonical(bytes, 1_000_000), value);
      }),
      { numRuns: 300 },
    );
  });

  it('are its only bytes: any change is refused or is another value', () => {
    const edit = fc.record({
      at: fc.nat(),
      remove: fc.nat({ max: 2 }),
      insert: fc.string({ unit: 'binary', maxLength: 2 }),
    });
    fc.assert(
      fc.property(canonicalValue, edit, (value, { at, remove, insert }) => {
        const text = textOf(value);
        const index = at % (text.length + 1);
        const other = text.slice(0, index) + insert + text.slice(index + remove);
        fc.pre(other !== text && other.isWellFormed());
        let read: unknown;
        try {
          read = decode(other);
        } catch (error) {
          assert.ok(error instanceof CanonicalError);
          return;
        }
        assert.equal(textOf(read), other);
      }),
      { numRuns: 1000 },
    );
  });
});
