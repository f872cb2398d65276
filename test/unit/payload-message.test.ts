// Messages: the envelope against a naive second encoding of the specification
// (https://github.com/solana-foundation/SRFCs/discussions/3), and texts made to deceive.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  getCompiledTransactionMessageDecoder,
  getOffchainMessageEnvelopeDecoder,
  verifyOffchainMessageEnvelope,
} from '@solana/kit';
import { schnorr } from '@noble/curves/secp256k1.js';
import { base58 } from '@scure/base';
import fc from 'fast-check';
import { fromHex, toHex } from '../../protocol/hex.ts';
import { publicKeyOf, sign } from '../../protocol/keys/ed25519.ts';
import { maxMessageBytes } from '../../protocol/payloads/message.ts';
import {
  type PayloadErrorCode,
  PayloadError,
  type PayloadKey,
  assemble,
  decodePayload,
} from '../../protocol/payloads/payload.ts';
import { parsePayloadFile } from '../../protocol/payloads/read.ts';
import { parseSolanaMessage } from '../../protocol/payloads/solana-message.ts';
import { transferMessage } from '../../protocol/payloads/solana-transfer.ts';

const seed = new Uint8Array(32).fill(7);
const key: PayloadKey = { keyType: 'ed25519', publicKey: publicKeyOf(seed) };
const utf8 = (text: string) => new TextEncoder().encode(text);
const payloadOf = (data: Uint8Array) => ({ kind: 'message' as const, data: toHex(data) });
const decode = (text: string) => decodePayload(payloadOf(utf8(text)), key);

const domain = Buffer.alloc(32);
domain.write('countersign/v1/message', 'latin1');

function naiveEnvelope(text: string): Uint8Array {
  const body = Buffer.from(text, 'utf8');
  const printable = [...body].every((byte) => byte >= 0x20 && byte <= 0x7e);
  return Uint8Array.from([
    0xff,
    ...Buffer.from('solana offchain', 'latin1'),
    0,
    ...domain,
    printable ? 0 : 1,
    1,
    ...key.publicKey,
    body.length & 0xff,
    body.length >> 8,
    ...body,
  ]);
}

function throwsCode(code: PayloadErrorCode, action: () => unknown): void {
  assert.throws(action, (error) => error instanceof PayloadError && error.code === code);
}

describe('message payload', () => {
  it('decodes a text', () => {
    const { kind, message, facts, summary } = decode('I own this account.');
    assert.equal(kind, 'message');
    assert.deepEqual(message, naiveEnvelope('I own this account.'));
    assert.deepEqual(facts, {
      kind: 'message',
      envelope: 'solana.offchain',
      applicationDomain: base58.encode(domain),
      text: 'I own this account.',
    });
    assert.deepEqual(summary, [
      'Message of 19 bytes, signed as a Solana off-chain message: it is no transaction',
      '> I own this account.',
    ]);
  });

  it('agrees with the naive encoding on generated texts', () => {
    const text = fc.oneof(
      fc.string({ minLength: 1, maxLength: 300 }),
      fc.string({ minLength: 1, maxLength: 200, unit: 'binary' }),
    );
    fc.assert(
      fc.property(text, (value) => {
        const { message, facts } = decode(value);
        assert.deepEqual(message, naiveEnvelope(value));
        assert.equal((facts as { text: string }).text, value);
      }),
      { numRuns: 300 },
    );
  });

  it('keeps a byte order mark and zero bytes: they are part of what is signed', () => {
    for (const text of ['\ufeffhello', 'a\0b\0']) assert.deepEqual(decode(text).message, naiveEnvelope(text));
  });

  it('signs nothing that could be a transaction', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (data) => {
        let message: Uint8Array;
        try {
          ({ message } = decodePayload(payloadOf(data), key));
        } catch (error) {
          assert.ok(error instanceof PayloadError);
          assert.equal(error.code, 'not_text');
          assert.equal(
            Buffer.from(data).equals(Buffer.from(Buffer.from(data).toString('utf8'), 'utf8')),
            false,
          );
          return;
        }
        assert.equal(message[0], 0xff);
        assert.throws(() => parseSolanaMessage(message), { code: 'unsupported_version' });
        assert.throws(() => getCompiledTransactionMessageDecoder().decode(message));
      }),
    );
  });

  it('signs a transaction that is text only as a text, which no part of the network takes for a transaction', () => {
    // A transfer between addresses of ASCII bytes, with a durable nonce or without: every byte of it is a character.
    const [payer, payee, account, hash] = [0x41, 0x42, 0x43, 0x44].map((fill) =>
      base58.encode(new Uint8Array(32).fill(fill)),
    ) as [string, string, string, string];
    const nonce = { account, authority: payer, value: hash };
    const wanted = { from: payer, to: payee, lamports: 0x21n };
    const brief = transferMessage({ ...wanted, recentBlockhash: hash });
    assert.ok(brief.every((byte) => byte < 0x80));
    for (const transaction of [brief, transferMessage({ ...wanted, nonce })]) {
      parseSolanaMessage(transaction);
      let signed: Uint8Array;
      try {
        ({ message: signed } = decodePayload(payloadOf(transaction), key));
      } catch (error) {
        // The sysvar's address is no text.
        assert.equal((error as PayloadError).code, 'not_text');
        assert.notEqual(transaction, brief);
        continue;
      }
      assert.deepEqual(signed.subarray(85), transaction);
      assert.throws(() => parseSolanaMessage(signed), { code: 'unsupported_version' });
      assert.throws(() => getCompiledTransactionMessageDecoder().decode(signed));
      const envelope = { kind: 'solana.transaction' as const, message: toHex(signed) };
      throwsCode('unsupported_version', () => decodePayload(envelope, key));
    }
  });

  it('takes 1 to 1147 bytes, which make an envelope of at most 1232', () => {
    assert.equal(decode('x'.repeat(maxMessageBytes)).message.length, 1232);
    assert.equal(decode('\n'.repeat(maxMessageBytes)).message.length, 1232);
    throwsCode('invalid_payload', () => decode('x'.repeat(maxMessageBytes + 1)));
    throwsCode('invalid_payload', () => decode(''));
    throwsCode('too_large', () => parsePayloadFile(utf8('x'.repeat(maxMessageBytes + 1)), 'message'));
    throwsCode('empty_message', () => parsePayloadFile(new Uint8Array(), 'message'));
  });

  it('refuses bytes that are not UTF-8', () => {
    const wrong = [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0x61, 0xe2, 0x82]];
    for (const bytes of wrong) {
      throwsCode('not_text', () => decodePayload(payloadOf(Uint8Array.from(bytes)), key));
      throwsCode('not_text', () => parsePayloadFile(Uint8Array.from(bytes), 'message'));
    }
  });

  it('shows a person nothing that a terminal would act on, hide or reorder', () => {
    const { summary } = decode(
      'pay\u001b[2K 5\r\nto \u202eecilA\u202c\u200b\u3164\u2028 \\u{1b} \t\u{e0041}é漢',
    );
    assert.deepEqual(summary.slice(1), [
      '> pay\\u{1b}[2K 5\\u{d}',
      '> to \\u{202e}ecilA\\u{202c}\\u{200b}\\u{3164}\\u{2028} \\\\u{1b} \\u{9}\\u{e0041}é漢',
    ]);
  });

  it('shows two texts as the same only if they are the same', () => {
    const unit = fc.constantFrom('\\', 'u', '{', '1', 'b', '}', '\u001b', '\n', '\u200b');
    const text = fc.string({ unit, minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(text, text, (one, other) => {
        const same = decode(one).summary.slice(1).join('\n') === decode(other).summary.slice(1).join('\n');
        assert.equal(same, one === other);
      }),
      { numRuns: 500 },
    );
  });

  it('binds the message to the key', () => {
    const other = { ...key, publicKey: publicKeyOf(new Uint8Array(32).fill(8)) };
    assert.notDeepEqual(decodePayload(payloadOf(utf8('hi')), other).message, decode('hi').message);
    throwsCode('wrong_key', () =>
      decodePayload(payloadOf(utf8('hi')), { ...key, publicKey: new Uint8Array(31) }),
    );
    throwsCode('wrong_key', () =>
      decodePayload(payloadOf(utf8('hi')), { ...key, keyType: 'secp256k1' as typeof key.keyType }),
    );
  });

  it('assembles an envelope that another implementation verifies', async () => {
    const payload = payloadOf(utf8('grüezi'));
    const assembled = assemble(payload, key, sign(seed, decodePayload(payload, key).message));
    assert.equal(assembled.encoding, 'solana.offchain');
    assert.equal(assembled.transaction, undefined);
    const envelope = getOffchainMessageEnvelopeDecoder().decode(fromHex(assembled.envelope!));
    await verifyOffchainMessageEnvelope(envelope);
    assert.deepEqual(new Uint8Array(envelope.content), naiveEnvelope('grüezi'));
    throwsCode('bad_signature', () => assemble(payload, key, sign(seed, utf8('grüezi'))));
  });

  it('of a Taproot key is a BIP340 hash of the text, under a tag that is none of Bitcoin’s', () => {
    const secret = new Uint8Array(32).fill(5);
    const taproot: PayloadKey = { keyType: 'taproot_secp256k1', publicKey: schnorr.getPublicKey(secret) };
    const payload = payloadOf(utf8('grüezi\u001b'));
    const decoded = decodePayload(payload, taproot);
    const sha256 = (...parts: Uint8Array[]): Buffer =>
      createHash('sha256').update(Buffer.concat(parts)).digest();
    const tag = sha256(utf8('countersign/v1/message'));
    assert.deepEqual(Buffer.from(decoded.message), sha256(tag, tag, utf8('grüezi\u001b')));
    assert.deepEqual(decoded.publicKey, taproot.publicKey);
    assert.equal(decoded.tweak, undefined, 'the key itself signs');
    assert.deepEqual(decoded.facts, {
      kind: 'message',
      envelope: 'bip340.tagged',
      tag: 'countersign/v1/message',
      text: 'grüezi\u001b',
    });
    assert.deepEqual(decoded.summary, [
      'Message of 8 bytes, signed as a BIP340 hash with tag countersign/v1/message: it is no transaction',
      '> grüezi\\u{1b}',
    ]);
    const signature = schnorr.sign(decoded.message, secret);
    assert.deepEqual(assemble(payload, taproot, signature), {
      encoding: 'bip340.tagged',
      text: 'grüezi\u001b',
    });
    throwsCode('bad_signature', () =>
      assemble(payload, taproot, schnorr.sign(sha256(utf8('grüezi')), secret)),
    );
    throwsCode('wrong_key', () =>
      decodePayload(payload, { ...taproot, publicKey: Uint8Array.of(2, ...taproot.publicKey) }),
    );
    throwsCode('not_text', () => decodePayload(payloadOf(Uint8Array.of(0xff)), taproot));
  });

  it('reads a file that is the message', () => {
    assert.deepEqual(
      parsePayloadFile(utf8('{"not":"a payload"}\n'), 'message'),
      payloadOf(utf8('{"not":"a payload"}\n')),
    );
    assert.deepEqual(parsePayloadFile(utf8('{"kind":"message","data":"0x6869"}')), payloadOf(utf8('hi')));
  });
});
