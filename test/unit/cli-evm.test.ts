// The command line with ECDSA keys: addresses, payloads in the forms people have them, signed forms, and the warning of a
// nonce that is used twice. What comes out is checked by a second library.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { eip191Signer, recoverAddressTyped, Transaction as SecondTransaction } from 'micro-eth-signer';
import { p2wpkh, Transaction } from '@scure/btc-signer';
import { base64 } from '@scure/base';
import { serializeTransaction } from 'viem/utils';
import { bitcoinRules } from '../../cli/testnet/bitcoin-rules.ts';
import { fromHex, type Hex } from '../../protocol/hex.ts';
import { CliNetwork } from '../support/cli-network.ts';
import type { CliResult } from '../support/cli-run.ts';
import { startLyingProxy } from '../support/lying-proxy.ts';
import { WholeEcdsaKey } from '../support/whole-ecdsa-key.ts';

const policy = `version: 1
rules:
  - { id: any, effect: allow, when: { kind: [key.request, bitcoin.psbt, evm.transaction, evm.message, evm.typedData] },
      require: { k: 1, of: owners } }
`;
const ours = new WholeEcdsaKey(7);
const others = new WholeEcdsaKey(11);
const to = '0x3535353535353535353535353535353535353535';

function unsigned(nonce: number, chainId = 1): Hex {
  return serializeTransaction({
    type: 'eip1559',
    chainId,
    nonce,
    gas: 21_000n,
    maxFeePerGas: 2n,
    to,
    value: 7n,
  });
}

describe('countersign, with Ethereum and ECDSA keys on Bitcoin', function () {
  this.timeout(120_000);
  let net: CliNetwork;
  let files = 0;
  const file = (contents: Uint8Array | string): Promise<string> =>
    net.world.write(`file-${(files += 1)}`, contents);
  const free = (): string => net.world.path(`free-${(files += 1)}`);

  before(async () => {
    net = await CliNetwork.start(policy);
    for (const [label, type, key] of [
      ['treasury', 'ecdsa_secp256k1', ours],
      ['second', 'ecdsa_secp256k1', others],
      ['vault', 'bitcoin_secp256k1', ours],
    ] as const) {
      const { keyId } = await net.json(`key request --label ${label} --type ${type}`);
      await net.parties.answer(keyId, key);
    }
  });
  after(() => net?.stop());

  async function ask(contents: Uint8Array | string, more = '', key = 'treasury'): Promise<CliResult> {
    return await net.run(`sign --key ${key} --payload ${await file(contents)}${more}`);
  }
  /** Asks, lets the parties answer, and returns what the request shows and writes. */
  async function signed(contents: Uint8Array | string, more = '', key = 'treasury') {
    const { stdout, stderr } = await ask(contents, `${more} --json`, key);
    assert.notEqual(stdout, '', stderr);
    const { requestId } = JSON.parse(stdout);
    await net.parties.answer(requestId, ours, 2);
    const out = free();
    const { items } = await net.json(`request show ${requestId} --wait 30 --out ${out}`);
    return { items, stderr, out: (await readFile(out, 'utf8')).trim(), requestId: requestId as Hex };
  }
  /** Ends what is open, so that no test sees another's. */
  async function close(id: string, key = ours): Promise<void> {
    await net.parties.answer(id as Hex, key, 2);
  }

  it('makes keys with the addresses that other libraries derive', async () => {
    const list = (await net.run('key list')).stdout;
    assert.match(list, new RegExp(`treasury +ecdsa_secp256k1 +fulfilled +${ours.address}\n`));
    const { address } = p2wpkh(ours.publicKey);
    assert.match(list, new RegExp(`vault +bitcoin_secp256k1 +fulfilled +${address} tb1q.+ bcrt1q`));
    const shown = (await net.run('key show treasury')).stdout;
    assert.match(shown, new RegExp(`address +${ours.address} \\(ethereum\\)`));
  });

  it('signs a transaction given in hex, and gives it back as networks take it', async () => {
    const transaction = unsigned(100);
    for (const form of [`${transaction}\n`, JSON.stringify({ kind: 'evm.transaction', transaction })]) {
      const { items, out, stderr } = await signed(form);
      assert.match(stderr, /^EVM transaction \(EIP-1559\) on chain 1 \(Ethereum\)$/m);
      assert.match(stderr, /^Sends 0\.000000000000000007 ETH \(7 wei\) to 0x3535/m);
      const read = SecondTransaction.fromHex(out);
      assert.equal(read.sender, ours.address);
      assert.equal(items[0].transaction, out);
      assert.equal(items[0].transactionHash, read.hash);
      assert.equal(items[0].encoding, 'evm.transaction');
    }
  });

  it('signs messages and typed data, and gives r, s and v', async () => {
    const message = await signed('Pay Bob\n', ' --kind evm.message');
    assert.equal(eip191Signer.recoverAddress(message.out, 'Pay Bob\n'), ours.address);
    const { r, s, v, bytes } = message.items[0].evmSignature;
    assert.equal(bytes, `${r}${s.slice(2)}${v.toString(16)}`);
    const types = {
      Pay: [
        { name: 'to', type: 'address' },
        { name: 'amount', type: 'uint256' },
      ],
    };
    const data = {
      types,
      primaryType: 'Pay',
      domain: { name: 'Bank', chainId: 1 },
      message: { to, amount: 5 },
    };
    const typed = await signed(JSON.stringify(data));
    assert.match(typed.stderr, /^Typed data \(EIP-712\) of type Pay/m);
    assert.match(typed.stderr, /^ {2}amount: 5$/m);
    const domainTypes = [
      { name: 'name', type: 'string' },
      { name: 'chainId', type: 'uint256' },
    ];
    assert.equal(
      recoverAddressTyped(typed.out, {
        types: { ...types, EIP712Domain: domainTypes },
        primaryType: 'Pay',
        domain: { name: 'Bank', chainId: 1n },
        message: { to, amount: 5n },
      }),
      ours.address,
    );
    const { stdout } = await net.run(`request show ${typed.requestId}`);
    assert.match(stdout, new RegExp(`r, s and v +${typed.out}`));
  });

  it('signs a PSBT whose coins are the key’s, and gives the transaction', async () => {
    const coin = { script: ours.script, amount: 90_000n };
    const before = new Transaction({ disableScriptCheck: true, allowUnknownInputs: true });
    before.addOutput(coin);
    before.addInput({ txid: new Uint8Array(32).fill(1), index: 0, finalScriptSig: Uint8Array.of(0x51) });
    const spend = new Transaction();
    spend.addInput({ txid: before.id, index: 0, nonWitnessUtxo: before.toBytes(true, false) });
    spend.addOutput({ script: others.script, amount: 89_000n });
    const { items, out, stderr } = await signed(base64.encode(spend.toPSBT()), '', 'vault');
    assert.match(stderr, /^Fee: 0\.00001000 BTC$/m);
    assert.equal(bitcoinRules().refusalOf(fromHex(`0x${out}`), [coin]), undefined);
    assert.deepEqual(items[0].missing, []);
    const lying = new Transaction();
    lying.addInput({ txid: before.id, index: 0, witnessUtxo: coin });
    lying.addOutput({ script: others.script, amount: 89_000n });
    const refused = await ask(lying.toPSBT(), '', 'vault');
    assert.equal(refused.exitCode, 2);
    assert.match(refused.error, /nothing proves the amount of input 0/);
  });

  it('asks for nothing when the payload is none of the key’s', async () => {
    for (const [contents, words, more, key] of [
      [`${unsigned(1)}00`, /more|trailing|bytes/i, '', 'treasury'],
      ['0x03c0', /type 3/, '', 'treasury'],
      [unsigned(1), /needs a key of type ecdsa_secp256k1, this is bitcoin_secp256k1/, '', 'vault'],
      ['hello', /needs a key of type ed25519/, ' --kind message', 'treasury'],
      [new Uint8Array(17_000).fill(65), /at most 16384/, ' --kind evm.message', 'treasury'],
      ['{"types":{},"primaryType":"A","domain":{"name":"x"},"message":{}}', /primary type A/, '', 'treasury'],
    ] as const) {
      const { exitCode, error } = await ask(contents, more, key);
      assert.notEqual(exitCode, 0);
      assert.match(error, words);
    }
    assert.deepEqual(await net.json('action list'), []);
  });

  describe('a nonce that is used twice', () => {
    const warned = /WARNING.* uses nonce 5 of the same key on eip155:1 as well: only one/;

    it('is told when it is asked for again, and wherever the request is shown', async () => {
      const first = JSON.parse((await ask(unsigned(5), ' --json')).stdout).requestId as string;
      assert.doesNotMatch((await net.run(`request show ${first}`)).stdout, /WARNING/);
      const again = await ask(unsigned(5), ' --json');
      assert.match(again.stderr, warned);
      assert.match(again.stderr, new RegExp(`request ${first}, which is open`));
      const { requestId: second, warnings } = JSON.parse(again.stdout);
      assert.equal(warnings.length, 1);
      for (const [shown, other] of [
        [first, second],
        [second, first],
      ]) {
        for (const command of ['request show', 'action show']) {
          const { stdout } = await net.run(`${command} ${shown}`);
          assert.match(stdout, warned, command);
          assert.ok(stdout.includes(`request ${other}, which is open`), command);
          const { warnings: inJson } = await net.json(`${command} ${shown}`);
          assert.equal(inJson.length, 1);
        }
      }
      // It is over with the other request.
      await close(first);
      assert.doesNotMatch((await net.run(`request show ${second}`)).stdout, /WARNING/);
      await close(second);
    });

    it('is not told of another chain, another nonce, or another key', async () => {
      const { stdout } = await ask(unsigned(5), ' --json');
      const ids = [JSON.parse(stdout).requestId as string];
      for (const [transaction, key] of [
        [unsigned(6), 'treasury'],
        [unsigned(5, 10), 'treasury'],
        [unsigned(5), 'second'],
      ] as const) {
        const other = await ask(transaction, ' --json', key);
        assert.doesNotMatch(other.stderr, /WARNING/);
        ids.push(JSON.parse(other.stdout).requestId);
      }
      for (const [index, id] of ids.entries()) await close(id, index === 3 ? others : ours);
    });

    it('is told from signed bytes alone: a coordinator can hide it, and not make it up', async () => {
      const first = JSON.parse((await ask(unsigned(5), ' --json')).stdout).requestId as string;
      const proxy = await startLyingProxy(() => net.coordinator.url);
      try {
        const via = ` --json --coordinator ${proxy.url}`;
        proxy.lie = (method, result) => {
          if (method !== 'sign_list') return result;
          const lie = structuredClone(result);
          for (const view of lie.items) view.requestId = `0x${'ab'.repeat(32)}`;
          return lie;
        };
        const told = await ask(unsigned(5), via);
        assert.equal(told.exitCode, 0, told.stderr);
        assert.doesNotMatch(told.stderr, /WARNING/);
        proxy.lie = (_, result) => result;
        assert.match((await ask(unsigned(5), via)).stderr, warned);
      } finally {
        await proxy.stop();
      }
      assert.match((await net.run(`request show ${first}`)).stdout, warned);
    });
  });
});
