// Taproot keys, PSBTs and receipts at the command line, against a real coordinator in this process. What comes out is
// checked by a second Bitcoin library, and by an independent implementation of Bitcoin's rules.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { base64 } from '@scure/base';
import { p2tr, p2wpkh, Transaction } from '@scure/btc-signer';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { initEccLib, Psbt } from 'bitcoinjs-lib';
import * as ecc from 'tiny-secp256k1';
import { bitcoinRules } from '../../cli/testnet/bitcoin-rules.ts';
import { fromHex } from '../../protocol/hex.ts';
import { CliNetwork } from '../support/cli-network.ts';
import type { CliResult, Json } from '../support/cli-run.ts';
import { startLyingProxy } from '../support/lying-proxy.ts';
import { WholeTaprootKey } from '../support/whole-taproot-key.ts';

initEccLib(ecc);

const policy = `version: 1
rules:
  - { id: any, effect: allow, when: { kind: [key.request, bitcoin.psbt, message] }, require: { k: 1, of: owners } }
`;

const ours = new WholeTaprootKey(7);
const theirs = new WholeTaprootKey(11);
const foreign = p2wpkh(secp256k1.getPublicKey(new Uint8Array(32).fill(9)));
const edSeed = new Uint8Array(32).fill(77);

interface Coin {
  readonly script: Uint8Array;
  readonly amount: bigint;
}
const ourCoins: readonly Coin[] = [
  { script: ours.script, amount: 150_000n },
  { script: ours.script, amount: 1_000_000n },
];
const foreignCoin: Coin = { script: foreign.script, amount: 40_000n };

/** A PSBT that spends these coins to somebody else, but for a fee. */
function psbtOf(coins: readonly Coin[]): Uint8Array {
  const transaction = new Transaction();
  for (const [index, witnessUtxo] of coins.entries())
    transaction.addInput({ txid: new Uint8Array(32).fill(index + 1), index, witnessUtxo });
  const total = coins.reduce((sum, { amount }) => sum + amount, 0n);
  transaction.addOutput({ script: theirs.script, amount: total - 1000n });
  return transaction.toPSBT();
}

describe('countersign, with Bitcoin and receipts', function () {
  this.timeout(60_000);
  let net: CliNetwork;
  let files = 0;

  function fails(result: CliResult, exitCode: number, words: RegExp): void {
    assert.equal(result.exitCode, exitCode, result.stderr);
    assert.match(result.error, /^countersign: .+: .+/);
    assert.match(result.error, words);
  }

  /** A file with this in it. */
  const file = (contents: Uint8Array | string, name = `file-${(files += 1)}`): Promise<string> =>
    net.world.write(name, contents);
  /** A path at which nothing stands. */
  const free = (): string => net.world.path(`free-${(files += 1)}`);

  before(async () => {
    net = await CliNetwork.start(policy);
    const { keyId } = await net.json('key request --label payroll --type ed25519');
    await net.parties.answer(keyId, edSeed);
    const vault = await net.json('key request --label vault --type taproot_secp256k1');
    assert.equal(vault.state, 'pending');
    await net.parties.answer(vault.keyId, ours);
  });
  after(() => net?.stop());

  /** Asks for signatures of a PSBT, lets the parties make them, and returns what the request shows. */
  async function signed(psbt: Uint8Array | string): Promise<{ id: string; shown: CliResult; out: string }> {
    const asked = await net.json(`sign --key vault --payload ${await file(psbt)}`);
    await net.parties.answer(asked.requestId, ours, 2);
    const out = free();
    const shown = await net.run(`request show ${asked.requestId} --wait 30 --json --out ${out}`);
    assert.equal(shown.exitCode, 0, shown.stderr);
    return { id: asked.requestId, shown, out: await readFile(out, 'utf8') };
  }

  it('makes a Taproot key, with the address that a second library derives', async () => {
    const key = await net.json('key verify vault');
    assert.equal(key.keyType, 'taproot_secp256k1');
    const { address } = p2tr(ours.publicKey);
    assert.deepEqual(
      key.addresses
        .map((entry: { address: string }) => entry.address)
        .filter((text: string) => text === address),
      [address],
    );
    assert.match(
      (await net.run('key list')).stdout,
      new RegExp(`vault +taproot_secp256k1 +fulfilled +.*${address}`),
    );
    fails(
      await net.run('key request --label x --type secp256k1'),
      2,
      /Allowed choices are ed25519, taproot_secp256k1, ecdsa_secp256k1, bitcoin_secp256k1: see countersign key request --help/,
    );
  });

  it('signs every input that is the key’s, of a PSBT in bytes and in base64: out comes what a node takes', async () => {
    const psbt = psbtOf(ourCoins);
    for (const form of [
      psbt,
      `${base64.encode(psbt)}\n`,
      base64.encode(psbt).replaceAll(/(.{60})/g, '$1\n'),
    ]) {
      const { shown, out } = await signed(form);
      const { items } = JSON.parse(shown.stdout);
      assert.equal(items.length, 2);
      assert.match(out, /^[0-9a-f]+\n$/);
      const raw = fromHex(`0x${out.trim()}`);
      assert.equal(bitcoinRules().refusalOf(raw, ourCoins), undefined);
      for (const item of items) assert.deepEqual([item.transaction, item.missing], [out.trim(), []]);
    }
  });

  it('shows once what the transaction does, before it asks', async () => {
    const { stderr } = await net.run(`sign --key vault --payload ${await file(psbtOf(ourCoins))}`);
    assert.equal(stderr.match(/Input 1 of the same transaction: 0\.01000000 BTC/g)?.length, 1, stderr);
    assert.match(stderr, /^Fee: 0\.00001000 BTC$/m);
    const action = await net.json('request show ' + /request (0x[0-9a-f]+)/.exec(stderr)![1]!);
    assert.equal(action.state, 'pending');
  });

  it('gives a PSBT back where another’s signature is missing, with the key’s own in it', async () => {
    const { shown, out } = await signed(psbtOf([ourCoins[0]!, foreignCoin, ourCoins[1]!]));
    const { items } = JSON.parse(shown.stdout);
    assert.equal(items.length, 2);
    assert.equal(items[0].transaction, undefined);
    assert.equal(items[0].missing.length, 1);
    assert.match(out, /^[A-Za-z0-9+/=]+\n$/);
    const { inputs } = Psbt.fromBase64(out.trim()).data;
    assert.deepEqual(
      inputs.map(({ tapKeySig }) => tapKeySig?.length),
      [64, undefined, 64],
    );
    // The others sign, and the whole is what Bitcoin takes.
    const whole = Transaction.fromPSBT(base64.decode(out.trim()));
    whole.signIdx(new Uint8Array(32).fill(9), 1);
    whole.finalize();
    assert.equal(
      bitcoinRules().refusalOf(whole.extract(), [ourCoins[0]!, foreignCoin, ourCoins[1]!]),
      undefined,
    );
    const { stdout } = await net.run(`request show ${JSON.parse(shown.stdout).requestId}`);
    assert.match(stdout, /signed PSBT +cHNidP8/);
    assert.match(stdout, /still missing +signatures of /);
  });

  it('asks for nothing when a PSBT is not the key’s, or none', async () => {
    const before = (await net.json('key list')).length;
    const psbt = psbtOf(ourCoins);
    const sign = async (contents: Uint8Array | string, key = 'vault', more = ''): Promise<CliResult> =>
      await net.run(`sign --key ${key} --payload ${await file(contents)}${more}`);
    fails(await sign(psbtOf([foreignCoin])), 2, /no input of the PSBT spends a coin of this key/);
    fails(
      await sign(psbt, 'payroll'),
      2,
      /needs a key of type taproot_secp256k1 or bitcoin_secp256k1, this is ed25519/,
    );
    fails(await sign(psbt.slice(0, -4)), 2, /PSBT/);
    fails(await sign(base64.encode(psbt).slice(0, -6)), 2, /file-/);

    fails(await sign(psbt, 'vault', ' --kind solana.transaction'), 2, /file-/);
    fails(await sign('hello\n', 'vault', ' --kind bitcoin.psbt'), 2, /file-/);
    fails(await sign(new Uint8Array(200 * 1024).fill(0x70)), 2, /bytes, no payload needs more/);
    assert.equal((await net.json('key list')).length, before);
    assert.deepEqual(await net.json('action list'), []);
  });

  describe('a receipt', () => {
    let id: string;
    let path: string;
    let verify: string;
    before(async () => {
      ({ id } = await signed(psbtOf(ourCoins)));
      path = free();
      const got = await net.json(`receipt get ${id.slice(0, 14)} --out ${path}`);
      assert.deepEqual([got.file, got.requestId, got.verified], [path, id, true]);
      verify = `receipt verify ${path} --workspace ${net.workspaceId}`;
    });

    it('is verified without coordinator, profile or passphrase', async () => {
      const options = { environment: { COUNTERSIGN_HOME: net.world.path('nowhere') }, passphrase: undefined };
      const proof = await net.json(verify, options);
      assert.deepEqual(
        [proof.verified, proof.requestId, proof.approvedBy, proof.timeChecked],
        [true, id, ['alice'], false],
      );
      assert.equal(proof.parties.length, 2);
      assert.equal(proof.items.length, 2);
      const { stdout } = await net.run(verify, options);
      assert.match(stdout, /verdict +everything in the receipt holds/);
      assert.match(stdout, /not checked +time/);
    });

    it('proves a key as well', async () => {
      const out = free();
      const { keyId } = await net.json('key show vault');
      await net.json(`receipt get ${keyId} --out ${out}`);
      const { key } = await net.json(`receipt verify ${out} --workspace ${net.workspaceId}`);
      assert.deepEqual(key.keyType, 'taproot_secp256k1');
    });

    it('is refused with the part of it that does not hold', async () => {
      const other = `0x${'ab'.repeat(32)}`;
      fails(
        await net.run(`receipt verify ${path} --workspace ${other}`),
        1,
        /workspace.*: do not rely on this receipt/,
      );
      const receipt = JSON.parse(await readFile(path, 'utf8'));
      receipt.evidence.request.signatures[0].signature = `0x${'00'.repeat(64)}`;
      const altered = await file(JSON.stringify(receipt));
      fails(
        await net.run(`receipt verify ${altered} --workspace ${net.workspaceId}`),
        1,
        /request.*: do not rely on/,
      );
    });

    it('is told from what is none, in one line', async () => {
      for (const contents of [
        '',
        '{',
        '[]',
        'null',
        '{"type":"countersign.receipt"}',
        '\u0000\u0001',
        'x'.repeat(9 << 20),
      ]) {
        const some = await file(contents);
        fails(await net.run(`receipt verify ${some} --workspace ${net.workspaceId}`), 2, /receipt/);
      }
      fails(await net.run(`receipt verify ${free()} --workspace ${net.workspaceId}`), 1, /does not exist/);
      fails(
        await net.run(`receipt verify ${net.world.folder} --workspace ${net.workspaceId}`),
        1,
        /is a folder/,
      );
      fails(
        await net.run(`receipt verify /dev/zero --workspace ${net.workspaceId}`),
        2,
        /has more bytes, a receipt at most \d+: name another file/,
      );
      fails(
        await net.run(`receipt verify ${path} --workspace 0x12`),
        2,
        /0x12 is not a workspace id: give the whole/,
      );
      fails(
        await net.run(`receipt verify ${path}`),
        2,
        /--workspace <id>' not specified: see countersign receipt verify/,
      );
    });

    it('is not written over something, nor fetched when it could not be', async () => {
      const before = await readFile(path, 'utf8');
      fails(await net.run(`receipt get ${id} --out ${path}`), 1, /already exists: name another with --out/);
      assert.equal(await readFile(path, 'utf8'), before);
      fails(
        await net.run(`receipt get ${id} --out ${net.world.path('no', 'such', 'x.json')}`),
        2,
        /no folder .*such/,
      );
      const proxy = await startLyingProxy(() => net.coordinator.url);
      try {
        fails(
          await net.run(`receipt get ${id} --out ${path} --coordinator ${proxy.url}`),
          1,
          /already exists/,
        );
        assert.deepEqual(proxy.calls, []);
      } finally {
        await proxy.stop();
      }
      fails(await net.run(`receipt get 0x${'00'.repeat(32)} --out ${free()}`), 1, /there is no request/);
      fails(await net.run(`receipt get 0xdead --out ${free()}`), 2, /no request "0xdead"/);
      const open = await net.json(`sign --key vault --payload ${await file(psbtOf(ourCoins))}`);
      const out = free();
      fails(await net.run(`receipt get ${open.requestId} --out ${out}`), 4, /fulfilled/);
      await assert.rejects(readFile(out), { code: 'ENOENT' });
    });
  });

  it('believes no receipt that it did not verify, nor one of something else: nothing is written', async () => {
    const { id } = await signed(psbtOf(ourCoins));
    const other = (await net.json('key show vault')).keyId;
    const proxy = await startLyingProxy(() => net.coordinator.url);
    try {
      const get = async (lie: (result: Json) => unknown): Promise<CliResult> => {
        proxy.lie = (method, result) => (method === 'receipt_get' ? lie(structuredClone(result)) : result);
        const out = free();
        const got = await net.run(`receipt get ${id} --out ${out} --coordinator ${proxy.url}`);
        if (got.exitCode !== 0) await assert.rejects(readFile(out), { code: 'ENOENT' });
        return got;
      };
      assert.equal((await get((result) => result)).exitCode, 0, 'an honest answer (control)');
      const path = free();
      await net.json(`receipt get ${other} --out ${path}`);
      const sound = JSON.parse(await readFile(path, 'utf8'));
      fails(await get(() => ({ receipt: sound })), 1, /a receipt of 0x.* when asked for .*: do not use/);
      fails(
        await get((result) => {
          result.receipt.results.pop();
          return result;
        }),
        1,
        /results: of 1 parties, 2 are needed/,
      );
      fails(
        await get((result) => {
          result.receipt.signatures[0] = `0x${'00'.repeat(64)}`;
          return result;
        }),
        1,
        /signatures: the signature of item 0 is not valid/,
      );
    } finally {
      await proxy.stop();
    }
  });

  describe('--out', () => {
    it('is checked before anything is asked for', async () => {
      const payload = await file(psbtOf(ourCoins));
      const count = async (): Promise<number> => (await net.json('key list')).length;
      const before = await count();
      const taken = await file('mine');
      const sign = `sign --key vault --payload ${payload} --wait 5`;
      fails(await net.run(`${sign} --out ${taken}`), 1, /already exists/);
      fails(await net.run(`${sign} --out ${net.world.path('none', 'x')}`), 2, /no folder .*none/);
      fails(await net.run(`${sign} --out ${taken}/x`), 1, /is no folder/);
      fails(await net.run(`sign --key vault --payload ${payload} --out ${free()}`), 2, /without --wait/);
      assert.equal(await count(), before);
    });

    it('holds a message’s envelope, in base64', async () => {
      const asked = await net.json(`sign --key payroll --kind message --payload ${await file('paid')}`);
      await net.parties.answer(asked.requestId, edSeed, 2);
      const out = free();
      const shown = await net.json(`request show ${asked.requestId} --wait 30 --out ${out}`);
      assert.equal(
        (await readFile(out, 'utf8')).trim(),
        shown.items[0].envelope ?? shown.items[0].signature.slice(2),
      );
    });
  });
});
