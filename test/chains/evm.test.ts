// Transactions built, signed and assembled here, mined by a real Ethereum node (anvil).
import assert from 'node:assert/strict';
import type { TransactionSerializable } from 'viem';
import { encodeFunctionData, parseAbi, serializeTransaction } from 'viem/utils';
import { anvilProgram, type EvmChain, startEvmChain } from '../../cli/testnet/evm-chain.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { EvmTransactionFacts } from '../../protocol/payloads/facts.ts';
import { assemble, decodePayload, type Payload } from '../../protocol/payloads/payload.ts';
import { WholeEcdsaKey } from '../support/whole-ecdsa-key.ts';

const key = new WholeEcdsaKey(7);
const to = '0x3535353535353535353535353535353535353535';
const ether = 10n ** 18n;
const gwei = 10n ** 9n;

function signed(fields: TransactionSerializable): { facts: EvmTransactionFacts; raw: Hex; hash: Hex } {
  const payload: Payload = { kind: 'evm.transaction', transaction: serializeTransaction(fields) };
  const { facts, message } = decodePayload(payload, key.evm);
  const { transaction, transactionHash } = assemble(payload, key.evm, key.sign(message));
  return { facts: facts as EvmTransactionFacts, raw: transaction!, hash: transactionHash! };
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('an Ethereum node', function () {
  this.timeout(120_000);
  let chain: EvmChain;
  before(async () => {
    chain = await startEvmChain();
    await chain.fund(key.address, 10n * ether);
  });
  after(async () => {
    await chain?.stop();
    assert.equal(isRunning(chain.pid), false);
  });

  it('mines a transfer of each type: balances move by what the facts say', async () => {
    const prices = { maxFeePerGas: 20n * gwei, maxPriorityFeePerGas: gwei };
    for (const fields of [
      { type: 'eip1559', ...prices },
      { type: 'eip2930', gasPrice: 20n * gwei, accessList: [{ address: to, storageKeys: [] }] },
      { type: 'legacy', gasPrice: 20n * gwei },
    ] as const) {
      const before = { from: await chain.balance(key.address), to: await chain.balance(to) };
      const nonce = await chain.nonce(key.address);
      const { facts, raw, hash } = signed({
        ...fields,
        chainId: chain.chainId,
        nonce,
        gas: 30_000n,
        to,
        value: ether,
      });
      const mined = await chain.send(raw);
      assert.deepEqual([mined.ok, mined.hash, mined.from], [true, hash, key.address.toLowerCase()]);
      const fee = mined.gasUsed * mined.gasPrice;
      assert.ok(fee <= BigInt(facts.maximumFee));
      assert.equal((await chain.balance(to)) - before.to, BigInt(facts.transfers[0]!.amount));
      assert.equal(before.from - (await chain.balance(key.address)), ether + fee);
      assert.equal(await chain.nonce(key.address), nonce + 1);
    }
  });

  it('creates a contract where the facts say, and takes a call of it', async () => {
    const common = {
      type: 'eip1559',
      chainId: chain.chainId,
      maxFeePerGas: 20n * gwei,
      gas: 100_000n,
    } as const;
    // Code that returns one byte of code, 0x00 (stop): PUSH1 1, PUSH1 0, RETURN.
    const made = signed({ ...common, nonce: await chain.nonce(key.address), data: '0x60016000f3' });
    assert.equal((await chain.send(made.raw)).ok, true);
    const contract = made.facts.creates!;
    await chain.fund(contract, 1n);
    const data = encodeFunctionData({
      abi: parseAbi(['function transfer(address,uint256)']),
      functionName: 'transfer',
      args: [to, 5n],
    });
    const called = signed({ ...common, nonce: await chain.nonce(key.address), to: contract, data });
    assert.equal(called.facts.call?.name, 'erc20.transfer');
    assert.equal((await chain.send(called.raw)).ok, true);
    // The bytes do not tell whether it is a token: this one moved nothing, as its summary warns.
    assert.equal(await chain.balance(contract), 1n);
  });

  it('refuses what was altered, sent twice, or is of another chain', async () => {
    const nonce = await chain.nonce(key.address);
    const fields = {
      type: 'eip1559',
      chainId: chain.chainId,
      nonce,
      gas: 21_000n,
      maxFeePerGas: 20n * gwei,
      to,
      value: 1n,
    } as const;
    const other = signed({ ...fields, chainId: 1 });
    await assert.rejects(chain.send(other.raw), { name: 'EvmChainError', code: 'refused' });
    const good = signed(fields);
    const altered = `${good.raw.slice(0, -1)}${good.raw.endsWith('0') ? '1' : '0'}` as Hex;
    await assert.rejects(chain.send(altered), { code: 'refused' });
    assert.equal((await chain.send(good.raw)).ok, true);
    await assert.rejects(chain.send(good.raw), { code: 'refused' });
  });

  it('is said to be missing where it is not installed, and to have ended where it did', async () => {
    assert.throws(
      () =>
        anvilProgram(() => {
          throw new Error('not there');
        }),
      { name: 'EvmChainError', code: 'not_installed' },
    );
    await assert.rejects(startEvmChain('/nowhere/anvil'), { name: 'EvmChainError', code: 'not_started' });
    await assert.rejects(startEvmChain(process.execPath), { code: 'not_started' });
  });
});
