// The transfer builder against a naive encoder.
import assert from 'node:assert/strict';
import { base58 } from '@scure/base';
import { publicKeyOf } from '../../protocol/keys/ed25519.ts';
import { type PayloadErrorCode, PayloadError } from '../../protocol/payloads/payload.ts';
import { transferMessage } from '../../protocol/payloads/solana-transfer.ts';
import { encode } from '../reference/solana-message.ts';

const systemProgram = '11111111111111111111111111111111';
const own = base58.encode(publicKeyOf(new Uint8Array(32).fill(7)));
const addressOf = (fill: number) => base58.encode(new Uint8Array(32).fill(fill));
const recipient = addressOf(9);
const blockhash = addressOf(33);

const littleEndian = (value: bigint, bytes: number) =>
  Array.from({ length: bytes }, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn));

function throwsCode(code: PayloadErrorCode, action: () => unknown): void {
  assert.throws(
    action,
    (error) => error instanceof PayloadError && error.code === code && error.message.length > 10,
  );
}

describe('Solana transfer message', () => {
  it('builds transfers that a naive encoder builds too', () => {
    const amount = 2n ** 64n - 1n;
    assert.deepEqual(
      transferMessage({ from: own, to: recipient, lamports: amount, recentBlockhash: blockhash }),
      encode({
        version: 'legacy',
        header: [1, 0, 1],
        accounts: [own, recipient, systemProgram],
        blockhash,
        instructions: [{ program: 2, accounts: [0, 1], data: [2, 0, 0, 0, ...littleEndian(amount, 8)] }],
      }),
    );
  });

  it('names an account once when sender and recipient are one', () => {
    const toSelf = transferMessage({ from: own, to: own, lamports: 1n, recentBlockhash: blockhash });
    assert.deepEqual(
      toSelf,
      encode({
        version: 'legacy',
        header: [1, 0, 1],
        accounts: [own, systemProgram],
        blockhash,
        instructions: [{ program: 1, accounts: [0, 0], data: [2, 0, 0, 0, ...littleEndian(1n, 8)] }],
      }),
    );
  });

  it('refuses to build a transfer from wrong arguments', () => {
    const good = { from: own, to: recipient, lamports: 1n, recentBlockhash: blockhash };
    const wrong = [
      ...['', 'not base58 0OIl', addressOf(1).slice(0, 20), `${own}1`].flatMap((text) => [
        { from: text },
        { to: text },
        { recentBlockhash: text },
      ]),
      ...[-1n, 0n, 2n ** 64n].map((lamports) => ({ lamports })),
      { from: systemProgram },
      { to: systemProgram },
    ];
    for (const change of wrong) throwsCode('invalid_argument', () => transferMessage({ ...good, ...change }));
  });
});
