// What the testnet's demonstrations build, signed by a key in one hand and judged by the chains they use.
import assert from 'node:assert/strict';
import { bitcoinRules } from '../../cli/testnet/bitcoin-rules.ts';
import { transferOf } from '../../cli/testnet/demo-evm.ts';
import { spendOf } from '../../cli/testnet/demo-taproot.ts';
import { startEvmChain } from '../../cli/testnet/evm-chain.ts';
import { fromHex } from '../../protocol/hex.ts';
import { inputsOfKey } from '../../protocol/payloads/bitcoin-psbt.ts';
import type { BitcoinPsbtFacts, EvmTransactionFacts } from '../../protocol/payloads/facts.ts';
import { assemble, assembleAll, decodePayload } from '../../protocol/payloads/payload.ts';
import { WholeEcdsaKey } from '../support/whole-ecdsa-key.ts';
import { WholeTaprootKey } from '../support/whole-taproot-key.ts';

const ecdsa = new WholeEcdsaKey(7);
const taproot = new WholeTaprootKey(7);

describe('demonstrations', function () {
  this.timeout(120_000);

  for (const [name, key, script, sign] of [
    ['taproot', taproot.key, taproot.script, (message: Uint8Array) => taproot.sign(message)],
    ['bitcoin', ecdsa.bitcoin, ecdsa.script, (message: Uint8Array) => ecdsa.signDer(message)],
  ] as const)
    it(`${name}: an independent implementation of Bitcoin's rules accepts the spend`, () => {
      const { psbt, spent } = spendOf(script, new WholeEcdsaKey(11).script, 700_000n);
      const items = inputsOfKey(psbt, key).map((input) => {
        const payload = { kind: 'bitcoin.psbt', psbt, input } as const;
        const decoded = decodePayload(payload, key);
        assert.equal((decoded.facts as BitcoinPsbtFacts).fee, '2000');
        return { payload, key, signature: sign(decoded.message) };
      });
      assert.equal(items.length, 2);
      const [assembled] = assembleAll(items);
      assert.equal(bitcoinRules().refusalOf(fromHex(assembled!.transaction!), spent), undefined);
    });

  it('evm: an Ethereum node mines the transfer, and the next one', async () => {
    const chain = await startEvmChain();
    try {
      await chain.fund(ecdsa.address, 10n ** 18n);
      const to = new WholeEcdsaKey(11).address;
      for (const nonce of [0, 1]) {
        const payload = { kind: 'evm.transaction', transaction: transferOf(chain, nonce, to, 5n) } as const;
        const { facts, message } = decodePayload(payload, ecdsa.evm);
        assert.equal((facts as EvmTransactionFacts).understood, true);
        const mined = await chain.send(assemble(payload, ecdsa.evm, ecdsa.sign(message)).transaction!);
        assert.ok(mined.ok);
        assert.ok(mined.gasUsed * mined.gasPrice <= BigInt((facts as EvmTransactionFacts).maximumFee));
        assert.equal(await chain.balance(to), 5n * BigInt(nonce + 1));
      }
    } finally {
      await chain.stop();
    }
  });
});
