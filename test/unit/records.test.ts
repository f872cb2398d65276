import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ed25519 } from '@noble/curves/ed25519.js';
import { base64urlnopad } from '@scure/base';
import { toHex } from '../../protocol/hex.ts';
import { encodeCanonical } from '../../protocol/records/canonical.ts';
import {
  addSignature,
  createRecord,
  type Envelope,
  envelopeId,
  envelopeSchema,
  maxRecordBytes,
  readContent,
  recordId,
  signingBytes,
  verifyRecord,
} from '../../protocol/records/envelope.ts';
import { networkId, signerOf } from '../support/fixture.ts';
import {
  alice,
  refuses,
  type Sample,
  sampleOf,
  samples,
  signedAnew,
  verify,
  withContent,
} from '../support/record-samples.ts';

const outsider = signerOf('outsider');

/** Who must have signed, as the record itself tells: parties their rosters, grants and results. */
function requiredSigners({ content }: Sample): readonly string[] {
  const {
    parties = [],
    party,
    change,
  } = content as {
    parties?: { key: string }[];
    party?: string;
    change?: { owner?: { credentials?: string[] } };
  };
  const brought = change?.owner?.credentials ?? [];
  return [...parties.map(({ key }) => key), ...(party === undefined ? [] : [party]), ...brought];
}

interface Change {
  readonly what: string;
  readonly content: unknown;
}

/** The content with one thing changed: every value altered, every field removed, a field added to every object. */
function changesOf(value: unknown, path = ''): Change[] {
  if (typeof value === 'string') {
    const last = value.at(-1) ?? '';
    const other =
      last === '0' ? '1' : last === 'Z' ? '0Z' : last === 'a' ? 'b' : /[0-9a-f]/.test(last) ? '0' : 'a';
    return [
      { what: `${path} altered`, content: value.slice(0, -1) + other },
      { what: `${path} longer`, content: `${value}0` },
      { what: `${path} emptied`, content: '' },
      {
        what: `${path} in upper case`,
        content: value.toUpperCase() === value ? `x${value}` : value.toUpperCase(),
      },
      { what: `${path} another type`, content: 7 },
    ];
  }
  if (typeof value === 'number') {
    return [
      { what: `${path} increased`, content: value + 1 },
      { what: `${path} another type`, content: String(value) },
    ];
  }
  if (typeof value === 'boolean') return [{ what: `${path} the contrary`, content: !value }];
  if (Array.isArray(value)) {
    const inner = value.flatMap((item, index) =>
      changesOf(item, `${path}/${index}`).map(({ what, content }) => ({
        what,
        content: value.with(index, content),
      })),
    );
    return [
      ...inner,
      { what: `${path} without its last`, content: value.slice(0, -1) },
      { what: `${path} with its first twice`, content: [value[0], ...value] },
      { what: `${path} another type`, content: {} },
      ...(value.length > 1 ? [{ what: `${path} reversed`, content: value.toReversed() }] : []),
    ];
  }
  const fields = value as Record<string, unknown>;
  const inner = Object.entries(fields).flatMap(([key, field]) => {
    const { [key]: _, ...others } = fields;
    const changed = changesOf(field, `${path}/${key}`).map(({ what, content }) => ({
      what,
      content: { ...fields, [key]: content },
    }));
    return [...changed, { what: `${path}/${key} removed`, content: others }];
  });
  const withProto = JSON.parse(`{"__proto__":{"a":1},${JSON.stringify(fields).slice(1)}`) as unknown;
  return [
    ...inner,
    { what: `${path} with a field more`, content: { ...fields, extra: 'x' } },
    { what: `${path} with __proto__`, content: withProto },
  ];
}

describe('records', () => {
  const vectors = JSON.parse(readFileSync(new URL('../vectors/records.json', import.meta.url), 'utf8')) as {
    readonly name: string;
    readonly id: string;
    readonly envelope: Envelope;
  }[];

  it('have frozen known answers for every type', () => {
    // A change here makes every record that exists unreadable: it needs a new version, not a new vector.
    assert.deepEqual(
      samples.map(({ name, envelope }) => ({ name, id: envelopeId(envelope, networkId), envelope })),
      vectors,
    );
  });

  it('are identified and signed over the bytes that the specification names', () => {
    const prefixed = (part: Uint8Array) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(part.length);
      return Buffer.concat([length, part]);
    };
    for (const { kind, content, envelope } of samples) {
      const parts = [`countersign/v1/${kind.type}`, networkId].map((text) => Buffer.from(text));
      const hash = createHash('sha256');
      for (const part of [...parts, encodeCanonical(content)]) hash.update(prefixed(part));
      const digest = hash.digest();
      assert.equal(envelopeId(envelope, networkId), `0x${digest.toString('hex')}`);
      const message = Buffer.concat([Buffer.from(`countersign/v1/${kind.type}\0`), digest]);
      assert.deepEqual(Buffer.from(signingBytes(kind.type, toHex(digest))), message);
      for (const { credential, signature } of envelope.signatures) {
        const valid = ed25519.verify(
          Buffer.from(signature.slice(2), 'hex'),
          message,
          Buffer.from(credential.slice(10), 'hex'),
        );
        assert.ok(valid, `${kind.type} ${credential}`);
      }
    }
  });

  for (const sample of samples) {
    const { name, kind, content, envelope } = sample;
    describe(name, () => {
      it('verifies, with its id, content and signers', () => {
        const verified = verify(sample, envelopeSchema.parse(envelope));
        assert.equal(verified.id, envelopeId(envelope, networkId));
        assert.deepEqual(verified.content, content);
        assert.deepEqual(
          verified.signedBy,
          sample.signers.map((signer) => signer.credential),
        );
      });

      it('is another record, or none, with anything in it changed', () => {
        const changes = changesOf(content);
        assert.ok(changes.length > 20);
        for (const { what, content: changed } of changes) {
          const altered = withContent(envelope, changed);
          assert.notEqual(envelopeId(altered, networkId), envelopeId(envelope, networkId), what);
          refuses(['malformed', 'wrong_network', 'bad_signature', 'bad_key'], () => verify(sample, altered));
        }
      });

      it('knows no other field, whoever signs it', () => {
        const unknown = changesOf(content).filter(({ what }) => /with (a field more|__proto__)$/.test(what));
        assert.ok(unknown.length >= 2);
        for (const { content: changed } of unknown) {
          refuses('malformed', () => verify(sample, signedAnew(sample, changed)));
        }
      });

      it('is not valid on another network', () => {
        const elsewhere = { ...content, networkId: 'other-network' };
        refuses('wrong_network', () => verifyRecord(kind, envelope, 'other-network'));
        refuses('wrong_network', () => verify(sample, withContent(envelope, elsewhere)));
        // Nor do its signatures carry over to a record that names the other network.
        refuses('bad_signature', () => verifyRecord(kind, withContent(envelope, elsewhere), 'other-network'));
      });

      it('is not a record of another type', () => {
        for (const other of samples) {
          if (other.kind === kind) continue;
          refuses('malformed', () => verifyRecord(other.kind, envelope, networkId), /belongs here/);
          const renamed = { ...envelope, type: other.kind.type };
          refuses('malformed', () => verifyRecord(kind, renamed, networkId), /belongs here/);
          refuses(['malformed', 'bad_signature'], () => verifyRecord(other.kind, renamed, networkId));
          assert.notEqual(envelopeId(renamed, networkId), envelopeId(envelope, networkId));
        }
      });

      it('needs every signature that it must have, and every one that it has', () => {
        refuses('missing_signature', () => verify(sample, { ...envelope, signatures: [] }));
        for (const [index, entry] of envelope.signatures.entries()) {
          const flipped = entry.signature.slice(0, -2) + (entry.signature.endsWith('0f') ? '0e' : '0f');
          const replaced = (changed: typeof entry) => ({
            ...envelope,
            signatures: envelope.signatures.with(index, changed),
          });
          refuses('bad_signature', () =>
            verify(sample, replaced({ ...entry, signature: flipped as typeof entry.signature })),
          );
          refuses('bad_signature', () =>
            verify(sample, replaced({ ...entry, credential: outsider.credential })),
          );
        }
        for (const required of requiredSigners(sample)) {
          const others = envelope.signatures.filter(({ credential }) => credential !== required);
          const without = addSignature({ ...envelope, signatures: others }, networkId, outsider);
          refuses('missing_signature', () => verify(sample, without));
        }
        const more = addSignature(envelope, networkId, outsider);
        assert.equal(verify(sample, more).signedBy.length, envelope.signatures.length + 1);
        const wrong = { credential: outsider.credential, signature: envelope.signatures[0]!.signature };
        refuses('bad_signature', () =>
          verify(sample, { ...envelope, signatures: [...envelope.signatures, wrong] }),
        );
        const [first] = envelope.signatures;
        refuses(
          'malformed',
          () => verify(sample, { ...envelope, signatures: [...envelope.signatures, first!] }),
          /signed twice/,
        );
      });

      it('has one text of its bytes', () => {
        const { bytes } = envelope;
        const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
        // Whatever the last letter's unused bits are: no other letter may stand for the same bytes.
        const lasts = alphabet
          .split('')
          .map((letter) => bytes.slice(0, -1) + letter)
          .filter((text) => text !== bytes);
        const texts = [
          ...lasts,
          `${bytes}A`,
          `${bytes}AA`,
          `${bytes}=`,
          `${bytes}==`,
          `${bytes}\n`,
          ` ${bytes}`,
        ];
        for (const text of texts) {
          const other = { ...envelope, bytes: text };
          if (/^[\w-]+$/.test(text)) envelopeSchema.parse(other);
          else assert.ok(!envelopeSchema.safeParse(other).success, JSON.stringify(text.slice(-3)));
          refuses(['malformed', 'bad_signature'], () => verify(sample, other));
        }
      });

      it('is written and read by one encoding only', () => {
        const text = new TextDecoder().decode(encodeCanonical(content));
        for (const other of [`${text} `, ` ${text}`, text.replace(':', ': '), `\ufeff${text}`, `${text}{}`]) {
          const altered = { ...envelope, bytes: base64urlnopad.encode(new TextEncoder().encode(other)) };
          refuses('malformed', () => readContent(kind, altered, networkId));
        }
      });
    });
  }

  it('leave lengths ambiguous nowhere in their id', () => {
    const bytes = new Uint8Array([1]);
    assert.notEqual(recordId('ab', 'c', bytes), recordId('a', 'bc', bytes));
    assert.notEqual(recordId('a', 'bcd', bytes), recordId('a', 'bc', new Uint8Array([0x64, 1])));
  });

  it('are refused above their size, when made and when read', () => {
    const { kind, envelope } = sampleOf('request, sign');
    const large = {
      ...envelope,
      bytes: base64urlnopad.encode(new Uint8Array(maxRecordBytes + 1).fill(0x20)),
    };
    refuses('malformed', () => readContent(kind, large, networkId), /the limit is 262144/);
    assert.ok(!envelopeSchema.safeParse({ ...envelope, bytes: 'A'.repeat(349_527) }).success);
    const item = {
      keyId: `0x${'00'.repeat(32)}`,
      payload: { kind: 'message', data: `0x${'61'.repeat(1147)}` },
    };
    const items = Array.from({ length: 51 }, () => item);
    refuses('malformed', () =>
      createRecord(kind, { ...sampleOf('request, sign').content, items } as never, alice),
    );
    // Every field within its bounds, and the whole too large.
    const genesis = sampleOf('workspace.genesis');
    const names = Array.from({ length: 100 }, (_, index) => `owner-${index}`.padEnd(40, 'x'));
    const rules = Array.from({ length: 50 }, (_, index) => ({
      id: `rule-${index}`,
      effect: 'allow',
      require: { k: 1, of: names },
    }));
    const owners = names.map((name) => ({ name, credentials: [signerOf(name).credential] }));
    const huge = {
      ...genesis.content,
      owners,
      signPolicy: { version: 1, rules },
      adminPolicy: { version: 1, rules },
    };
    refuses('malformed', () => createRecord(genesis.kind, huge as never, alice), /the limit is 262144/);
  });

  it('take no more than 256 signatures, each of 64 bytes', () => {
    const { envelope } = sampleOf('request, key');
    const [entry] = envelope.signatures;
    const signatures = (count: number) => Array.from({ length: count }, () => entry!);
    assert.ok(envelopeSchema.safeParse({ ...envelope, signatures: signatures(256) }).success);
    assert.ok(!envelopeSchema.safeParse({ ...envelope, signatures: signatures(257) }).success);
    for (const signature of [
      entry!.signature.slice(0, -2),
      `${entry!.signature}00`,
      entry!.signature.toUpperCase(),
    ]) {
      assert.ok(!envelopeSchema.safeParse({ ...envelope, signatures: [{ ...entry!, signature }] }).success);
    }
  });

  it('keep a signature that is there when it is added again', () => {
    const { envelope } = sampleOf('request, key');
    assert.equal(addSignature(envelope, networkId, alice), envelope);
  });
});
