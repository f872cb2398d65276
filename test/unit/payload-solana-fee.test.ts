// What a Solana transaction can cost its fee payer, and the compute budget instructions that say so.
import assert from 'node:assert/strict';
import { toHex } from '../../protocol/hex.ts';
import { maximumFee, readInstruction } from '../../protocol/payloads/solana-instruction.ts';

const computeBudget = 'ComputeBudget111111111111111111111111111111';

const littleEndian = (value: bigint, bytes: number) =>
  Array.from({ length: bytes }, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn));
const read = (data: readonly number[], program = computeBudget) =>
  readInstruction(program, [], Uint8Array.from(data));
const price = (microLamports: bigint) => read([3, ...littleEndian(microLamports, 8)]);
const limit = (units: bigint) => read([2, ...littleEndian(units, 4)]);

describe('Solana fees', () => {
  it('are 5000 lamports a signature without a priority fee', () => {
    assert.equal(maximumFee(1, []), 5000n);
    assert.equal(maximumFee(3, [limit(1_400_000n)]), 15_000n);
  });

  it('count the signatures that native programs check', () => {
    for (const program of [
      'Ed25519SigVerify111111111111111111111111111',
      'KeccakSecp256k11111111111111111111111111111',
      'Secp256r1SigVerify1111111111111111111111111',
    ]) {
      assert.equal(
        maximumFee(1, [read([3, 0], program), read([], program), read([255], program)]),
        259n * 5000n,
      );
    }
    assert.equal(maximumFee(1, [read([3, 0], '11111111111111111111111111111111')]), 5000n);
  });

  it('add price times limit, rounded up', () => {
    assert.equal(maximumFee(1, [limit(300n), price(1_000_000n)]), 5300n);
    assert.equal(maximumFee(1, [limit(300n), price(1_000_001n)]), 5301n);
    assert.equal(maximumFee(1, [limit(0n), price(1_000_001n)]), 5000n);
  });

  it('assume the most units there can be when no limit, or a larger one, is set', () => {
    assert.equal(maximumFee(1, [price(1_000_000n)]), 1_405_000n);
    assert.equal(maximumFee(1, [price(1_000_000n), limit(2_000_000n)]), 1_405_000n);
    assert.equal(maximumFee(1, [price(2n ** 64n - 1n)]), 25_825_441_703_193_377_261n);
  });

  it('take the worst of instructions that contradict each other', () => {
    assert.equal(maximumFee(1, [price(5_000_000n), limit(10n), price(1_000_000n), limit(20n)]), 5100n);
  });

  // The compute budget's instructions are read with borsh's `try_from_slice_unchecked`: bytes after them do no harm there.
  it('count a price that more bytes follow, which the network takes and this does not understand', () => {
    const dear = read([3, ...littleEndian(5_000_000_000_000n, 8), 0]);
    assert.equal(dear.name, undefined);
    assert.equal(maximumFee(1, [dear]), 5000n + 7_000_000_000_000n);
    assert.equal(maximumFee(1, [dear, read([2, ...littleEndian(300n, 4), 1, 2])]), 5000n + 1_500_000_000n);
    const cheap = price(1_000_000n);
    assert.equal(maximumFee(1, [cheap, dear, limit(300n)]), 5000n + 1_500_000_000n);
    // Shorter ones the network refuses, and those of other programs are others' affair.
    assert.equal(maximumFee(1, [read([3, ...littleEndian(5_000_000_000_000n, 7)])]), 5000n);
    const elsewhere = read(
      [3, ...littleEndian(5_000_000_000_000n, 8), 0],
      '11111111111111111111111111111111',
    );
    assert.equal(maximumFee(1, [elsewhere]), 5000n);
  });

  it('come from instructions of exactly the known layouts', () => {
    const layouts: [name: string, data: number[], value: string][] = [
      ['computeBudget.requestHeapFrame', [1, 0, 0, 4, 0], '262144'],
      ['computeBudget.setComputeUnitLimit', [2, 0x40, 0x0d, 3, 0], '200000'],
      ['computeBudget.setComputeUnitPrice', [3, 1, 0, 0, 0, 0, 0, 0, 1], '72057594037927937'],
      ['computeBudget.setLoadedAccountsDataSizeLimit', [4, 1, 0, 0, 0], '1'],
    ];
    for (const [name, data, value] of layouts) {
      const expected = {
        program: computeBudget,
        accounts: [],
        data: toHex(Uint8Array.from(data)),
        name,
        value,
      };
      assert.deepEqual(read(data), expected);
      for (const other of [data.slice(0, -1), [...data, 0]]) assert.equal(read(other).name, undefined, name);
    }
    for (const data of [[], [0, 0, 0, 0, 0, 0, 0, 0, 0], [5, 0, 0, 0, 0]])
      assert.equal(read(data).name, undefined);
  });
});
