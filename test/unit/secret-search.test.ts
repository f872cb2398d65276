// The search for secrets finds them in every form, and nothing where there is none.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { findSecrets, formsOf } from '../support/secret-search.ts';

describe('the search for secrets', () => {
  const bytes = randomBytes(32);
  const secret = { name: 'share', bytes };
  const foundIn = (text: string): number => findSecrets([secret], new Map([['log', text]])).length;

  it('finds every form, planted in a line', () => {
    const planted: Record<string, string> = {
      hex: `{"a":"0x${bytes.toString('hex')}"}`,
      'upper-case hex': bytes.toString('hex').toUpperCase(),
      'reversed hex': Buffer.from(bytes.toReversed()).toString('hex'),
      decimal: `n: ${BigInt(`0x${bytes.toString('hex')}`)}`,
      'little-endian decimal': `n: ${BigInt(`0x${Buffer.from(bytes.toReversed()).toString('hex')}`)}`,
      buffer: JSON.stringify(bytes),
      array: JSON.stringify(new Uint8Array(bytes)),
      inspected: `[ ${[...bytes].join(', ')} ]`,
    };
    for (const before of [0, 1, 2, 3, 4, 5]) {
      for (const after of [0, 1, 2]) {
        const whole = Buffer.concat([randomBytes(before), bytes, randomBytes(after)]);
        planted[`base64 ${before} ${after}`] = whole.toString('base64');
        planted[`base64url ${before} ${after}`] = whole.toString('base64url');
        planted[`hex ${before} ${after}`] = whole.toString('hex');
      }
    }
    for (const [name, text] of Object.entries(planted))
      assert.ok(foundIn(`{"event":"x","v":"${text}"}\n`) > 0, name);
  });

  it('finds a passphrase as it is typed', () => {
    const phrase = { name: 'passphrase', bytes: Buffer.from('correct horse battery') };
    const found = findSecrets([phrase], new Map([['log', 'wrong: correct horse battery!']]));
    assert.deepEqual(found, [{ secret: 'passphrase', form: 'text', source: 'log' }]);
  });

  it('finds nothing in what only looks like it', () => {
    const other = randomBytes(32);
    const texts = [...formsOf(other).values(), bytes.subarray(0, 31).toString('hex'), ''];
    for (const text of texts) assert.equal(foundIn(text), 0);
    assert.throws(() => findSecrets([{ name: 'short', bytes: new Uint8Array(4) }], new Map()), RangeError);
  });
});
