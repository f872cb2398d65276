// The forms in which payloads arrive: inside records, and in files that people made.
import assert from 'node:assert/strict';
import { base58, base64 } from '@scure/base';
import fc from 'fast-check';
import { toHex } from '../../protocol/hex.ts';
import { publicKeyOf } from '../../protocol/keys/ed25519.ts';
import {
  type PayloadErrorCode,
  PayloadError,
  decodePayload,
  parsePayload,
} from '../../protocol/payloads/payload.ts';
import { parsePayloadFile } from '../../protocol/payloads/read.ts';
import { transferMessage } from '../../protocol/payloads/solana-transfer.ts';
import { encode } from '../reference/solana-message.ts';

const publicKey = publicKeyOf(new Uint8Array(32).fill(7));
const addressOf = (fill: number) => base58.encode(new Uint8Array(32).fill(fill));
const [own, recipient, programAddress, blockhash] = [
  base58.encode(publicKey),
  addressOf(9),
  addressOf(11),
  addressOf(33),
];
const transfer = transferMessage({ from: own, to: recipient, lamports: 1n, recentBlockhash: blockhash });
const payloadOf = (message: Uint8Array) => ({ kind: 'solana.transaction' as const, message: toHex(message) });

function throwsCode(code: PayloadErrorCode, action: () => unknown): void {
  assert.throws(
    action,
    (error) => error instanceof PayloadError && error.code === code && error.message.length > 10,
  );
}

describe('payload schema and files', () => {
  const text = (value: string) => new TextEncoder().encode(value);
  const wire = (message: Uint8Array, count: number, fill = 0) =>
    Uint8Array.from([count, ...new Uint8Array(64 * count).fill(fill), ...message]);

  it('takes exactly the known forms', () => {
    assert.deepEqual(parsePayload(payloadOf(transfer)), payloadOf(transfer));
    const wrong = [
      undefined,
      null,
      'text',
      {},
      { kind: 'digest', message: '0x00' },
      { ...payloadOf(transfer), extra: 1 },
      { kind: 'solana.transaction' },
      { kind: 'solana.transaction', message: '' },
      { kind: 'solana.transaction', message: '0x' },
      { kind: 'solana.transaction', message: '0xABCD' },
      { kind: 'solana.transaction', message: '0xabc' },
    ];
    for (const value of wrong) throwsCode('invalid_payload', () => parsePayload(value));
    throwsCode('invalid_payload', () =>
      decodePayload({ kind: 'digest', message: '0x00' } as never, { keyType: 'ed25519', publicKey }),
    );
  });

  it('reads JSON, a wire transaction and a message', () => {
    const expected = payloadOf(transfer);
    const files = [
      `${JSON.stringify(expected, null, 2)}\n`,
      base64.encode(transfer),
      `${base64.encode(wire(transfer, 1)).replace(/(.{76})/g, '$1\r\n')}\n`,
    ];
    for (const file of files) {
      assert.deepEqual(parsePayloadFile(text(file)), expected);
      assert.deepEqual(parsePayloadFile(text(file), 'solana.transaction'), expected);
    }
    const two = encode({
      version: 0,
      header: [2, 1, 1],
      accounts: [recipient, own, programAddress],
      blockhash,
      instructions: [{ program: 2, accounts: [1], data: [1] }],
    });
    assert.deepEqual(parsePayloadFile(text(base64.encode(wire(two, 2)))), payloadOf(two));
  });

  it('says what is wrong with any other file', () => {
    const cases: [PayloadErrorCode, Uint8Array][] = [
      ['unreadable', text('')],
      ['unreadable', text(' \n')],
      ['unreadable', text('pay Bob')],
      ['unreadable', text('{"kind":')],
      ['unreadable', Uint8Array.of(0xff, 0xfe)],
      ['unreadable', text(base64.encode(text('hello world, this is no transaction')))],
      ['unreadable', text(base64.encode(wire(transfer, 2)))],
      ['already_signed', text(base64.encode(wire(transfer, 1, 1)))],
      ['unreadable', text(base64.encode(Uint8Array.from([...transfer, 0])))],
      ['unsupported_version', text(base64.encode(Uint8Array.from([0x81, ...transfer])))],
      ['invalid_payload', text('{"kind":"digest","message":"0x00"}')],
      ['malformed_transaction', text('{"kind":"solana.transaction","message":"0x00"}')],
      ['not_text', text('{"kind":"message","data":"0xff"}')],
      ['too_large', new Uint8Array(20_000).fill(65)],
    ];
    for (const [code, file] of cases) throwsCode(code, () => parsePayloadFile(file));
    const messageJson = text('{"kind":"message","data":"0x6869"}');
    throwsCode('unreadable', () => parsePayloadFile(messageJson, 'solana.transaction'));
  });

  it('throws nothing but PayloadError, whatever the file', () => {
    const file = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ maxLength: 300 }).map((bytes) => text(base64.encode(bytes))),
      fc.json().map(text),
    );
    fc.assert(
      fc.property(file, (bytes) => {
        assert.throws(() => parsePayloadFile(bytes), PayloadError);
      }),
    );
  });
});
