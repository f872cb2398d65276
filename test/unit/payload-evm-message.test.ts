// Payload kind evm.message: the digest of a second library, what people see, and that it is never a transaction.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { eip191Signer } from 'micro-eth-signer';
import { serializeTransaction } from 'viem/utils';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import { maxEvmMessageBytes } from '../../protocol/payloads/evm-message.ts';
import type { EvmMessageFacts } from '../../protocol/payloads/facts.ts';
import { assemble, decodePayload, type Payload, PayloadError } from '../../protocol/payloads/payload.ts';
import { parsePayloadFile } from '../../protocol/payloads/read.ts';
import { WholeEcdsaKey } from '../support/whole-ecdsa-key.ts';

const key = new WholeEcdsaKey(7);
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const payloadOf = (data: Uint8Array): Payload => ({ kind: 'evm.message', data: toHex(data) });
const decode = (data: Uint8Array) => decodePayload(payloadOf(data), key.evm);

describe('payload: evm.message', () => {
  it('is hashed and signed as a second library has it, bytes as well as text', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (data) => {
        const { message, publicKey } = decode(data);
        assert.deepEqual(publicKey, key.publicKey);
        assert.equal(toHex(message), eip191Signer.getHash(data));
        const { evmSignature } = assemble(payloadOf(data), key.evm, key.sign(message));
        assert.equal(eip191Signer.recoverAddress(evmSignature!.bytes, data), key.address);
        assert.ok(evmSignature!.v === 27 || evmSignature!.v === 28);
      }),
      { numRuns: 60 },
    );
  });

  it('is no transaction, even when its bytes are one: what is hashed begins with 0x19', () => {
    const transaction = serializeTransaction({
      type: 'eip1559',
      chainId: 1,
      to: '0x3535353535353535353535353535353535353535',
      value: 1n,
    });
    const asTransaction = decodePayload(
      {
        kind: 'evm.transaction',
        transaction: serializeTransaction({ chainId: 1, gas: 1n, gasPrice: 1n, to: key.address }),
      },
      key.evm,
    );
    assert.equal(asTransaction.kind, 'evm.transaction');
    const bytes = fromHex(transaction);
    const { message } = decode(bytes);
    assert.notDeepEqual(message, keccak_256(bytes));
    const prefixed = Uint8Array.of(...utf8(`\u0019Ethereum Signed Message:\n${bytes.length}`), ...bytes);
    assert.deepEqual(message, keccak_256(prefixed));
    // And what begins so is read as no transaction, nor is it the beginning of typed data (0x1901).
    assert.equal(prefixed[0], 0x19);
    assert.notEqual(prefixed[1], 0x01);
    assert.throws(() => decodePayload({ kind: 'evm.transaction', transaction: toHex(prefixed) }, key.evm), {
      name: 'PayloadError',
      code: 'unsupported_version',
    });
  });

  it('cannot be read as another one whose length and bytes are written together', () => {
    // "1" + 10 bytes and "11" + ...: the length of one is no beginning of the other's content.
    const digests = [utf8('1'), utf8('11'), utf8('0123456789'), utf8('00123456789')].map((data) =>
      toHex(decode(data).message),
    );
    assert.equal(new Set(digests).size, digests.length);
  });

  it('is shown as it is: text so that no terminal acts on it, other bytes in hex', () => {
    const { facts, summary } = decode(utf8('pay\u001b[2J\u202e Bob\\\nnow'));
    assert.equal((facts as EvmMessageFacts).text, 'pay\u001b[2J\u202e Bob\\\nnow');
    assert.deepEqual(summary, [
      'Message of 19 bytes, signed as wallets sign them (EIP-191): it is no transaction',
      '> pay\\u{1b}[2J\\u{202e} Bob\\\\',
      '> now',
    ]);
    const raw = decode(Uint8Array.of(0xff, 0xfe));
    assert.equal((raw.facts as EvmMessageFacts).text, undefined);
    assert.deepEqual(raw.summary.slice(1), ['NOT TEXT: its bytes are', '> 0xfffe']);
    const hash = /smart accounts take a signed hash as the order/;
    assert.match(decode(new Uint8Array(32).fill(0xff)).summary.join('\n'), hash);
    assert.match(decode(utf8('a'.repeat(32))).summary.join('\n'), hash);
    assert.doesNotMatch(decode(utf8('a'.repeat(33))).summary.join('\n'), hash);
  });

  it('has a size, and a key of its type', () => {
    decode(new Uint8Array(maxEvmMessageBytes).fill(1));
    for (const length of [0, maxEvmMessageBytes + 1])
      assert.throws(() => decode(new Uint8Array(length)), { code: 'invalid_payload' });
    const payload = payloadOf(utf8('hello'));
    for (const wrong of [
      key.bitcoin,
      { keyType: 'ed25519', publicKey: new Uint8Array(32).fill(1) },
      { keyType: 'taproot_secp256k1', publicKey: key.publicKey.slice(1) },
    ] as const)
      assert.throws(() => decodePayload(payload, wrong), { name: 'PayloadError', code: 'wrong_key' });
    // The other messages are not for ECDSA keys: nothing says that what they hash is no transaction.
    for (const ecdsa of [key.evm, key.bitcoin])
      assert.throws(() => decodePayload({ kind: 'message', data: '0x6869' }, ecdsa), {
        name: 'PayloadError',
        code: 'wrong_key',
      });
  });

  it('is read from a file as it stands there', () => {
    assert.deepEqual(parsePayloadFile(utf8('{"a": 1}\n'), 'evm.message'), payloadOf(utf8('{"a": 1}\n')));
    for (const [code, bytes] of [
      ['empty_message', new Uint8Array()],
      ['too_large', new Uint8Array(maxEvmMessageBytes + 1)],
    ] as const)
      assert.throws(() => parsePayloadFile(bytes, 'evm.message'), { name: 'PayloadError', code });
    const json = utf8(JSON.stringify(payloadOf(utf8('hi'))));
    assert.deepEqual(parsePayloadFile(json), payloadOf(utf8('hi')));
    const asTransaction = (text: string): unknown => parsePayloadFile(utf8(text));
    const transaction = serializeTransaction({ chainId: 1, gas: 1n, gasPrice: 1n, to: key.address }) as Hex;
    for (const text of [
      transaction,
      `${transaction.toUpperCase().replace('0X', '0x')}\n`,
      transaction.replaceAll(/(.{40})/g, '$1\n'),
    ])
      assert.deepEqual(asTransaction(text), { kind: 'evm.transaction', transaction });
    assert.throws(() => asTransaction('0x'), { code: 'malformed_transaction' });
    assert.throws(() => asTransaction(`${transaction}00`), { code: 'not_canonical' });
    assert.throws(() => asTransaction('0x1'), { code: 'unreadable' });
    assert.throws(() => parsePayloadFile(utf8(transaction), 'solana.transaction'), PayloadError);
  });
});
