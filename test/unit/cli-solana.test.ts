// The command line with Solana transfers: what it builds from options, what it says of how long they are good, and the
// warning of a nonce that is used twice. docs/solana.md: the commands it shows work.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { base58, base64 } from '@scure/base';
import { toHex, type Hex } from '../../protocol/hex.ts';
import { addressesOf } from '../../protocol/keys/key-type.ts';
import { publicKeyOf } from '../../protocol/keys/ed25519.ts';
import { associatedTokenAccount } from '../../protocol/payloads/solana-address.ts';
import { transferMessage } from '../../protocol/payloads/solana-transfer.ts';
import { CliNetwork } from '../support/cli-network.ts';
import type { CliResult } from '../support/cli-run.ts';
import { startLyingProxy } from '../support/lying-proxy.ts';
import { WholeTaprootKey } from '../support/whole-taproot-key.ts';
import { parse } from '../reference/solana-message.ts';

const policy = `version: 1
rules:
  - { id: any, effect: allow, when: { kind: [key.request, solana.transaction, message] }, require: { k: 1, of: owners } }
`;
const seeds = [77, 78].map((fill) => new Uint8Array(32).fill(fill));
const [own, second] = seeds.map((seed) => addressesOf('ed25519', publicKeyOf(seed))[0]!.address) as [
  string,
  string,
];
const to = addressesOf('ed25519', publicKeyOf(new Uint8Array(32).fill(79)))[0]!.address;
const addressOf = (fill: number) => base58.encode(new Uint8Array(32).fill(fill));
const mint = addressOf(21);
const nonceAccount = addressOf(22);
const nonce = addressOf(23);
const durable = `--nonce-account ${nonceAccount} --nonce ${nonce}`;

describe('countersign, with Solana', function () {
  this.timeout(120_000);
  let net: CliNetwork;
  let files = 0;

  before(async () => {
    net = await CliNetwork.start(policy);
    for (const [index, label] of ['payroll', 'second'].entries()) {
      const { keyId } = await net.json(`key request --label ${label} --type ed25519`);
      await net.parties.answer(keyId, seeds[index]!);
    }
  });
  after(() => net?.stop());

  const ask = (options: string, key = 'payroll'): Promise<CliResult> =>
    net.run(`sign --key ${key} ${options} --json`);
  async function requestOf(result: CliResult): Promise<Hex> {
    assert.equal(result.exitCode, 0, result.stderr);
    return JSON.parse(result.stdout).requestId as Hex;
  }
  /** The message that a request asks to have signed. */
  async function messageOf(requestId: Hex) {
    const { items } = await net.json(`action show ${requestId}`);
    return { facts: items[0].facts, summary: (items[0].summary as string[]).join('\n') };
  }
  const close = async (...ids: Hex[]): Promise<void> => {
    for (const id of ids) await net.parties.answer(id, seeds[0]!, 2);
  };
  async function refused(options: string, words: RegExp, key = 'payroll'): Promise<void> {
    const { exitCode, error } = await ask(options, key);
    assert.equal(exitCode, 2, `${options}: ${error}`);
    assert.match(error, words, options);
  }

  it('builds a transfer with a durable nonce, and has it signed', async () => {
    const asked = await ask(`--transfer 1.5 --to ${to} ${durable}`);
    assert.doesNotMatch(asked.stderr, /WARNING/);
    assert.match(
      asked.stderr,
      new RegExp(`transfer 1\\.5 SOL \\(1500000000 lamports\\) from ${own} .* to ${to}`),
    );
    assert.match(asked.stderr, new RegExp(`Durable nonce: ${nonce} of account ${nonceAccount}`));
    const id = await requestOf(asked);
    const { facts } = await messageOf(id);
    assert.deepEqual(facts.lifetime, { kind: 'durableNonce', nonceAccount, authority: own, nonce });
    assert.deepEqual(facts.transfers, [{ asset: 'SOL', from: own, to, amount: '1500000000' }]);
    assert.equal(facts.understood, true);
    await close(id);
    const out = net.world.path(`signed-${(files += 1)}`);
    await net.json(`request show ${id} --wait 30 --out ${out}`);
    const wire = base64.decode((await readFile(out, 'utf8')).trim());
    assert.equal(parse(wire.subarray(65)).blockhash, nonce);
  });

  it('builds a transfer of tokens between the token accounts of wallets', async () => {
    const asked = await ask(`--transfer 20.5 --token ${mint} --decimals 6 --to ${to} ${durable}`);
    const { facts, summary } = await messageOf(await requestOf(asked));
    assert.equal(facts.understood, true);
    const [from, account] = [own, to].map((wallet) => associatedTokenAccount(wallet, mint)) as [
      string,
      string,
    ];
    assert.equal(facts.transfers.length, 1);
    const { asset, amount, decimals, authority, toOwner } = facts.transfers[0];
    assert.deepEqual(
      {
        asset,
        amount,
        decimals,
        authority,
        toOwner,
        from: facts.transfers[0].from,
        to: facts.transfers[0].to,
      },
      { asset: mint, amount: '20500000', decimals: 6, authority: own, toOwner: to, from, to: account },
    );
    assert.match(summary, new RegExp(`transfer 20\\.5 tokens \\(20500000 base units\\) of mint ${mint}`));
    assert.match(summary, new RegExp(`of wallet ${to}`));
    await close(JSON.parse(asked.stdout).requestId);
  });

  it('names the other signer when another account is the nonce authority', async () => {
    const asked = await ask(`--transfer 1 --to ${to} ${durable} --nonce-authority ${second}`);
    assert.match(asked.stderr, new RegExp(`Also needs the signature of ${second}`));
    const id = await requestOf(asked);
    await close(id);
    const { items } = await net.json(`request show ${id} --wait 30`);
    assert.deepEqual(items[0].missing, [second]);
  });

  it('warns that a transaction with a recent blockhash is dead in a minute', async () => {
    const words =
      /WARNING: the Solana transaction has a recent blockhash, .*about a minute.* use a durable nonce/;
    const built = await ask(`--transfer 1 --to ${to} --blockhash ${nonce}`);
    assert.match(built.stderr, words);
    const { facts } = await messageOf(await requestOf(built));
    assert.deepEqual(facts.lifetime, { kind: 'blockhash', blockhash: nonce });
    const message = transferMessage({ from: own, to, lamports: 7n, recentBlockhash: nonce });
    const file = await net.world.write('short-lived', base64.encode(message));
    const given = await ask(`--payload ${file}`);
    assert.match(given.stderr, words);
    const text = await net.world.write('text', 'hello');
    const other = await ask(`--payload ${text} --kind message`);
    assert.doesNotMatch(other.stderr, /WARNING/);
    for (const result of [built, given, other]) await close(await requestOf(result));
  });

  it('says what a durable nonce is, and how to make one, where none is given', async () => {
    const { exitCode, error } = await ask(`--transfer 1 --to ${to}`);
    assert.equal(exitCode, 2);
    assert.match(error, /value kept by a nonce account/);
    assert.ok(error.includes(`solana create-nonce-account FILE 0.0015 --nonce-authority ${own}`));
    assert.match(error, /--blockhash when all approvals are there at once/);
  });

  it('refuses options that make no transfer, before anything is asked for', async () => {
    const transfer = `--transfer 1 --to ${to}`;
    for (const [options, words] of [
      ['', /nothing to sign.*--payload, or --transfer/],
      [`--payload x ${transfer} ${durable}`, /--payload is for a file/],
      [`--kind message ${transfer} ${durable}`, /--kind is for a file/],
      [`--to ${to}`, /--to belongs to a transfer/],
      [`--payload x --nonce ${nonce}`, /--nonce belongs to a transfer/],
      [`--transfer 1 ${durable}`, /no recipient.*--to/],
      [`${transfer} --nonce ${nonce}`, /--nonce-account is not there/],
      [`${transfer} --nonce-account ${nonceAccount}`, /--nonce is not there/],
      [`${transfer} ${durable} --blockhash ${nonce}`, /--blockhash and --nonce-account are of two kinds/],
      [`${transfer} --nonce-authority ${own} --blockhash ${nonce}`, /--blockhash and --nonce-authority/],
      [`${transfer} ${durable} --token ${mint}`, /how many decimals/],
      [`${transfer} ${durable} --decimals 6`, /those of a token/],
      [`${transfer} ${durable} --token ${mint} --decimals 256`, /0 to 255/],
      [`--transfer 1.0000000001 --to ${to} ${durable}`, /10 decimals, and SOL has 9/],
      [`--transfer 1,5 --to ${to} ${durable}`, /"1,5" is no amount of SOL/],
      [`--transfer -1 --to ${to} ${durable}`, /"-1" is no amount/],
      [`--transfer 1e3 --to ${to} ${durable}`, /"1e3" is no amount/],
      [`--transfer 0 --to ${to} ${durable}`, /cannot transfer 0 lamports/],
      [
        `--transfer 18446744073.709551616 --to ${to} ${durable}`,
        /cannot transfer 18446744073709551616 lamports/,
      ],
      [`--transfer 1 --to nobody ${durable}`, /recipient "nobody"/],
      [`${transfer} --nonce-account nobody --nonce ${nonce}`, /nonce account "nobody"/],
      [`${transfer} --nonce-account ${nonceAccount} --nonce short`, /the nonce "short"/],
      [`${transfer} ${durable} --nonce-authority me`, /nonce authority "me"/],
      [`${transfer} --blockhash x`, /recent blockhash "x"/],
      [`${transfer} ${durable} --token dollars --decimals 6`, /the mint "dollars"/],
      [
        `--transfer 1 --to ${associatedTokenAccount(to, mint)} --token ${mint} --decimals 6 ${durable}`,
        /is no wallet/,
      ],
    ] as const)
      await refused(options.trim() === '' ? '--expires 1h' : options, words);
    assert.deepEqual(await net.json('action list'), []);
  });

  it('refuses to build a transfer for a key of another chain', async () => {
    const { keyId } = await net.json('key request --label vault --type taproot_secp256k1');
    assert.match(keyId, /^0x/);
    await net.parties.answer(keyId, new WholeTaprootKey(5));
    await refused(
      `--transfer 1 --to ${to} ${durable}`,
      /key of type taproot_secp256k1 has no address/,
      'vault',
    );
  });

  it('does what docs/solana.md and docs/commands.md show', async () => {
    await net.world.write(
      'transaction.txt',
      base64.encode(transferMessage({ from: own, to, lamports: 5n, recentBlockhash: nonce })),
    );
    const values: Record<string, string> = {
      TO: to,
      MINT: mint,
      NONCE_ACCOUNT: nonceAccount,
      NONCE: nonce,
      AUTHORITY: second,
      HASH: nonce,
      'transaction.txt': net.world.path('transaction.txt'),
    };
    const shown = [];
    for (const name of ['solana', 'commands']) {
      const text = await readFile(new URL(`../../docs/${name}.md`, import.meta.url), 'utf8');
      const part = name === 'solana' ? text : /^## Solana\n[^]*?(?=^## )/m.exec(text)![0];
      shown.push(...[...part.matchAll(/^ {4}countersign (.+)$/gm)].map(([, words]) => words!));
    }
    assert.equal(shown.length, 7);
    const signatures: Hex[] = [];
    for (const line of shown) {
      // The parties of this test answer only afterwards.
      const words = line.replace(/ --wait --out .*$/, '').split(' ');
      const result = await net.world.run([...words.map((word) => values[word] ?? word), '--json']);
      assert.equal(result.exitCode, 0, `${line}: ${result.stderr}`);
      if (words[0] === 'sign') signatures.push(await requestOf(result));
    }
    assert.equal(signatures.length, 6);
    await close(...signatures);
    for (const id of signatures) assert.equal((await net.json(`request show ${id}`)).state, 'fulfilled');
  });

  describe('a nonce that is used twice', () => {
    const warned = new RegExp(
      `WARNING.* uses nonce ${nonce} of account ${nonceAccount} as well: only one of these`,
    );

    it('is told when it is asked for again, by whichever key, and wherever the request is shown', async () => {
      const first = await requestOf(await ask(`--transfer 1 --to ${to} ${durable}`));
      assert.doesNotMatch((await net.run(`request show ${first}`)).stdout, /WARNING/);
      const again = await ask(`--transfer 2 --to ${to} ${durable}`, 'second');
      assert.match(again.stderr, warned);
      assert.match(again.stderr, new RegExp(`request ${first}, which is open`));
      const other = await requestOf(again);
      for (const [shown, named] of [
        [first, other],
        [other, first],
      ]) {
        for (const command of ['request show', 'action show']) {
          const { stdout } = await net.run(`${command} ${shown}`);
          assert.match(stdout, warned, command);
          assert.ok(stdout.includes(`request ${named}, which is open`), command);
        }
      }
      await close(first);
      assert.doesNotMatch((await net.run(`request show ${other}`)).stdout, /WARNING/);
      await net.parties.answer(other, seeds[1]!, 2);
    });

    it('is not told of another value or account, nor of the same transaction for its other signer', async () => {
      const first = await requestOf(
        await ask(`--transfer 1 --to ${to} ${durable} --nonce-authority ${second}`),
      );
      const message = transferMessage({
        from: own,
        to,
        lamports: 1_000_000_000n,
        nonce: { account: nonceAccount, value: nonce, authority: second },
      });
      const payload = JSON.stringify({ kind: 'solana.transaction', message: toHex(message) });
      const file = await net.world.write('the-same.json', payload);
      const ids: Hex[] = [first];
      for (const [options, key] of [
        [`--payload ${file}`, 'second'],
        [`--transfer 1 --to ${to} --nonce-account ${nonceAccount} --nonce ${addressOf(24)}`, 'payroll'],
        [`--transfer 1 --to ${to} --nonce-account ${addressOf(25)} --nonce ${nonce}`, 'payroll'],
        [`--transfer 1 --to ${to} --blockhash ${nonce}`, 'payroll'],
      ] as const) {
        const result = await ask(options, key);
        assert.doesNotMatch(result.stderr, /only one of these/, options);
        ids.push(await requestOf(result));
      }
      const again = await ask(`--payload ${file}`);
      assert.match(again.stderr, warned);
      ids.push(await requestOf(again));
      for (const [index, id] of ids.entries()) await net.parties.answer(id, seeds[index === 1 ? 1 : 0]!, 2);
    });

    it('is told from signed bytes alone', async () => {
      const first = await requestOf(await ask(`--transfer 1 --to ${to} ${durable}`));
      const proxy = await startLyingProxy(() => net.coordinator.url);
      try {
        proxy.lie = (method, result) => {
          if (method !== 'sign_list') return result;
          const lie = structuredClone(result);
          for (const view of lie.items) view.requestId = `0x${'ab'.repeat(32)}`;
          return lie;
        };
        const told = await ask(`--transfer 2 --to ${to} ${durable} --coordinator ${proxy.url}`);
        assert.doesNotMatch(told.stderr, /WARNING/);
        await close(await requestOf(told), first);
      } finally {
        await proxy.stop();
      }
    });
  });
});
