// A true blame bundle altered anywhere proves nothing, or the very same fault of the very same party.
import assert from 'node:assert/strict';
import { encodeCanonical } from '../../protocol/records/canonical.ts';
import { decodeBundle } from '../../node/sessions/blame/bundle.ts';
import { BlameError } from '../../node/sessions/blame/error.ts';
import { verifyBlame } from '../../node/sessions/blame/verify.ts';
import { CheatingDealer, cheatInRounds, requestKey } from '../support/cheats.ts';
import { createWorld } from '../support/fixture.ts';
import { flip } from '../support/key-generation-runs.ts';
import { Attacker, KeyedNetwork } from '../support/session-attacker.ts';

describe('blame: a true bundle, altered', () => {
  const bundles = new Map<string, { bytes: Uint8Array; accused: string; code: string }>();
  before(async () => {
    const signing = await KeyedNetwork.create(3, 2);
    await signing.bootAll();
    cheatInRounds(signing, 1, (message) => flip(message, message.length - 32));
    const { id, full } = signing.messageLedBy(1);
    await signing.submit(full, [0, 1, 2]);
    await signing.signedBy(id, [0, 2]);
    await signing.stop();
    const dealing = await KeyedNetwork.create(3, 2);
    const dealer = CheatingDealer.of(dealing, 2, {
      reveal: (_, reveal) => ({ ...reveal, share: flip(reveal.share, 0) }),
    });
    assert(dealer.attacker instanceof Attacker);
    for (const index of [0, 1]) await dealing.boot(index);
    await requestKey(dealing, [0, 1]);
    await dealing.until(() => dealing.nodes.some((node) => node.blamed.length > 0), 60_000, 'a proof');
    await dealing.stop();
    for (const net of [signing, dealing])
      for (const file of net.nodes.flatMap((node) => node.blamed).slice(0, 1)) bundles.set(file.code, file);
    assert.deepEqual([...bundles.keys()], ['invalid_share', 'invalid_dealt_share']);
  });

  /** Altered copies of a value, each in one leaf, with where. */
  function* alterations(value: unknown, path: string): Generator<[string, unknown]> {
    if (typeof value === 'string') {
      // Every byte field at its ends and, of the long ones, along the way.
      const step = Math.max(1, Math.floor(value.length / 12));
      for (let at = 0; at < value.length; at += step) {
        const other = value[at] === 'a' ? 'b' : 'a';
        yield [`${path}[${at}]`, value.slice(0, at) + other + value.slice(at + 1)];
      }
      yield [`${path} cut`, value.slice(0, -1)];
    } else if (typeof value === 'number') {
      yield [path, value + 1];
    } else if (Array.isArray(value)) {
      for (const [index, item] of value.entries()) {
        for (const [where, other] of alterations(item, `${path}.${index}`))
          yield [where, value.with(index, other)];
        yield [`${path}.${index} left out`, value.toSpliced(index, 1)];
        yield [`${path}.${index} twice`, value.toSpliced(index, 0, item)];
      }
      yield [`${path} reversed`, value.toReversed()];
    } else {
      const object = value as Record<string, unknown>;
      for (const [key, item] of Object.entries(object)) {
        for (const [where, other] of alterations(item, `${path}.${key}`))
          yield [where, { ...object, [key]: other }];
        const { [key]: _, ...rest } = object;
        yield [`${path}.${key} left out`, rest];
      }
    }
  }

  for (const code of ['invalid_share', 'invalid_dealt_share'])
    it(`${code}: in any one field, it blames nobody else`, () => {
      const { bytes, accused } = bundles.get(code)!;
      assert.equal(verifyBlame(bytes).accused, accused);
      let count = 0;
      const still: string[] = [];
      for (const [where, altered] of alterations(decodeBundle(bytes).bundle, 'bundle')) {
        count++;
        try {
          const verdict = verifyBlame(encodeCanonical(altered));
          assert.deepEqual([verdict.accused, verdict.code], [accused, code], where);
          still.push(where);
        } catch (error) {
          assert.ok(error instanceof BlameError, `${where}: ${String(error)}`);
        }
      }
      assert.ok(count > 200, String(count));
      // In which order confirmations or signatures stand does not matter: nothing else may be left.
      for (const where of still) assert.match(where, /certificate reversed|signatures reversed/);
    });

  it('is no bundle in another spelling, cut short, or with anything behind it', () => {
    const { bytes } = bundles.get('invalid_share')!;
    const text = new TextDecoder().decode(bytes);
    const spellings = [
      `${text}\n\n`,
      ` ${text}`,
      text.slice(0, -1),
      JSON.stringify(JSON.parse(text), undefined, 1),
      text.replace('{', '{"extra":1,'),
      text.replace('"version":1', '"version":2'),
      '',
      '[]',
      '\u0000',
    ];
    for (const spelling of spellings)
      assert.throws(
        () => verifyBlame(new TextEncoder().encode(spelling)),
        (error: unknown) => error instanceof BlameError && error.code === 'malformed',
        spelling.slice(0, 20),
      );
    assert.equal(verifyBlame(new TextEncoder().encode(`${text}\n`)).code, 'invalid_share');
  });

  it('is of no use with another keyring pinned', () => {
    const { bytes } = bundles.get('invalid_share')!;
    const other = createWorld({ name: 'pinned' }).keyring.id;
    assert.throws(
      () => verifyBlame(bytes, { keyringId: other }),
      (error: unknown) => error instanceof BlameError && error.code === 'wrong_keyring',
    );
  });
});
