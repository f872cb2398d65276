// Transactions built, signed and assembled here, run by the real Solana runtime (litesvm).
import assert from 'node:assert/strict';
import { base58 } from '@scure/base';
import { createSolanaChain } from '../../cli/testnet/solana-chain.ts';
import { fromHex, toHex } from '../../protocol/hex.ts';
import { publicKeyOf, sign } from '../../protocol/keys/ed25519.ts';
import { addressesOf } from '../../protocol/keys/key-type.ts';
import type { SolanaTransactionFacts } from '../../protocol/payloads/facts.ts';
import { type PayloadKey, assemble, decodePayload } from '../../protocol/payloads/payload.ts';
import { transferMessage } from '../../protocol/payloads/solana-transfer.ts';

const sol = 1_000_000_000n;
const seed = new Uint8Array(32).fill(7);
const key: PayloadKey = { keyType: 'ed25519', publicKey: publicKeyOf(seed) };
const from = addressesOf('ed25519', key.publicKey)[0]!.address;
const to = base58.encode(publicKeyOf(new Uint8Array(32).fill(8)));

function wireOf(message: Uint8Array): Uint8Array {
  const payload = { kind: 'solana.transaction' as const, message: toHex(message) };
  const { message: signed } = decodePayload(payload, key);
  const { transaction, missing } = assemble(payload, key, sign(seed, signed));
  assert.deepEqual(missing, []);
  return fromHex(transaction!);
}

async function fundedChain() {
  const chain = await createSolanaChain();
  chain.airdrop(from, 10n * sol);
  const build = (lamports: bigint) =>
    transferMessage({ from, to, lamports, recentBlockhash: chain.latestBlockhash() });
  return { chain, build };
}

describe('Solana runtime', () => {
  it('executes an assembled transfer: the balances move by what the facts say', async () => {
    const { chain, build } = await fundedChain();
    const message = build(2n * sol);
    const facts = decodePayload({ kind: 'solana.transaction', message: toHex(message) }, key)
      .facts as SolanaTransactionFacts;
    const wire = wireOf(message);
    const result = chain.execute(wire);
    assert.ok(result.ok, result.logs.join('\n'));
    assert.equal(result.signature, base58.encode(wire.subarray(1, 65)));
    assert.equal(result.fee?.toString(), facts.maximumFee);
    assert.equal(chain.balance(to).toString(), facts.transfers[0]!.amount);
    assert.equal(chain.balance(from), 8n * sol - BigInt(facts.maximumFee));
  });

  it('executes a transaction once', async () => {
    const { chain, build } = await fundedChain();
    const wire = wireOf(build(sol));
    assert.equal(chain.execute(wire).ok, true);
    const again = chain.execute(wire);
    assert.equal(again.ok, false);
    assert.equal(!again.ok && again.reason, 'AlreadyProcessed');
    assert.equal(chain.balance(to), sol);
  });

  it('rejects a signature or message that was tampered with, and nothing moves', async () => {
    const { chain, build } = await fundedChain();
    const wire = wireOf(build(sol));
    const amountOffset = wire.length - 8;
    for (const offset of [1, 40, amountOffset]) {
      const tampered = wire.slice();
      tampered[offset]! ^= 1;
      const result = chain.execute(tampered);
      assert.equal(result.ok, false);
      assert.equal(!result.ok && result.reason, 'SignatureFailure', `byte ${offset}`);
    }
    assert.equal(chain.balance(to), 0n);
    assert.equal(chain.balance(from), 10n * sol);
  });

  it('says why a transaction fails', async () => {
    const { chain, build } = await fundedChain();
    const result = chain.execute(wireOf(build(11n * sol)));
    assert.equal(result.ok, false);
    assert.match(result.ok ? '' : result.reason, /InstructionError/);
    assert.ok(result.logs.some((line) => line.includes('insufficient lamports')));
    for (const garbage of [new Uint8Array(), new Uint8Array(10), new Uint8Array(300).fill(0xff)]) {
      assert.equal(chain.execute(garbage).ok, false);
    }
    const unsigned = wireOf(build(sol)).fill(0, 1, 65);
    assert.equal(chain.execute(unsigned).ok, false);
  });

  it('refuses airdrops that leave no account, and addresses that are none', async () => {
    const { chain } = await fundedChain();
    assert.throws(() => chain.airdrop(to, 1n), { name: 'SolanaChainError', code: 'airdrop_failed' });
    assert.throws(() => chain.balance('nobody'), { name: 'SolanaChainError', code: 'invalid_address' });
    assert.equal(chain.balance(to), 0n);
  });

  it('says what to do where the VM is not installed', async () => {
    const missing = createSolanaChain(() => Promise.reject(new Error('Cannot find native binding')));
    await assert.rejects(missing, { name: 'SolanaChainError', code: 'not_installed', message: /npm ci/ });
  });
});
