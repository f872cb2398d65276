// An owner with an Ethereum wallet at the command line: typed data goes out by a file, its signature comes back, and nothing else
// than what the wallet was shown is sent.
import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { privateKeyToAccount } from 'viem/accounts';
import { CliNetwork } from '../support/cli-network.ts';
import { fails } from '../support/cli-run.ts';
import { WalletSigner } from '../support/wallet-signer.ts';

const policy = `version: 1
rules:
  - { id: keys, effect: allow, when: { kind: [key.request] }, require: { k: 2, of: owners, credential: [eip712, ed25519] } }
`;
const wallet = new WalletSigner('cli');
const account = privateKeyToAccount(wallet.privateKey);

describe('countersign action with a wallet', function () {
  this.timeout(120_000);
  let net: CliNetwork;
  let workspace: string;
  let file: string;

  before(async () => {
    net = await CliNetwork.start(policy);
    const credential = async (name: string): Promise<string> =>
      (await net.json(`identity show ${name}`)).credential;
    const path = await net.world.write('wallets.yaml', policy);
    const made = await net.json(
      `workspace create --name wallets --owner alice=${await credential('alice')} --owner bob=${await credential('bob')} ` +
        `--owner bob=${wallet.credential} --keyring ${net.keyringId} --sign-policy ${path}`,
    );
    workspace = `--workspace ${made.workspaceId}`;
    file = net.world.path('typed.json');
  });
  after(() => net?.stop());
  afterEach(() => rm(file, { force: true }));

  const ask = async (label: string): Promise<string> =>
    (await net.json(`key request --label ${label} --type ed25519 ${workspace}`)).keyId;
  const byWallet = (): string => `${workspace} --as bob --wallet ${wallet.address} --typed-data ${file}`;
  /** As another library signs what stands in the file. */
  const sign = async (): Promise<string> =>
    await account.signTypedData(JSON.parse(await readFile(file, 'utf8')) as never);

  it('approves what the wallet was shown, and sends nothing before it has signed', async () => {
    const id = await ask('one');
    const { stdout } = await net.run(`action approve ${id} ${byWallet()}`);
    assert.match(stdout, /cast wallet sign --data --from-file/);
    const { message } = JSON.parse(await readFile(file, 'utf8')) as { message: { about: string[] } };
    assert.equal(message.about[3], 'label: one');
    assert.equal((await net.json(`action show ${id} ${workspace}`)).verdict, 'waiting');
    const other = new WalletSigner('other').signTypedData(JSON.parse(await readFile(file, 'utf8')) as never);
    // In the words of this command: the coordinator, which would refuse it too, was not asked.
    fails(
      await net.run(`action approve ${id} ${byWallet()} --signature ${other}`),
      1,
      /does not verify: .*from its source again/,
    );
    const { state } = await net.json(`action approve ${id} ${byWallet()} --signature ${await sign()}`);
    assert.equal(state, 'pending');
  });

  it('refuses typed data of another action, and a changed file', async () => {
    const [one, two] = [await ask('two'), await ask('three')];
    await net.json(`action approve ${one} ${byWallet()}`);
    const signature = await sign();
    fails(
      await net.run(`action approve ${two} ${byWallet()} --signature ${signature}`),
      1,
      /is not the typed data of this decision/,
    );
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace('label: two', 'label: six'));
    fails(
      await net.run(`action approve ${one} ${byWallet()} --signature ${signature}`),
      1,
      /is not the typed data/,
    );
    fails(await net.run(`action approve ${one} ${byWallet()}`), 1, /already exists/);
  });

  it('rejects with the reason that was signed, and withdraws', async () => {
    const id = await ask('four');
    await net.json(`action approve ${id} ${byWallet()}`);
    await net.json(`action reject ${id} ${byWallet()}x --reason no`);
    const typed = JSON.parse(await readFile(`${file}x`, 'utf8')) as never;
    const signature = await account.signTypedData(typed);
    const { state } = await net.json(`action reject ${id} ${byWallet()}x --signature ${signature}`);
    assert.equal(state, 'rejected');
    const other = await ask('five');
    await rm(file);
    await net.json(`action withdraw ${other} ${byWallet()}`);
    await net.json(`action withdraw ${other} ${byWallet()} --signature ${await sign()}`);
  });

  it('says what is missing', async () => {
    const id = await ask('six');
    const own = `${workspace} --as bob`;
    fails(await net.run(`action approve ${id} ${own} --wallet ${wallet.address}`), 2, /--typed-data/);
    fails(await net.run(`action approve ${id} ${own} --typed-data ${file} --yes`), 2, /--wallet/);
    fails(await net.run(`action approve ${id} ${own} --wallet 0x12 --typed-data ${file}`), 2, /address/);
    const stranger = new WalletSigner('stranger').address;
    fails(
      await net.run(`action approve ${id} ${own} --wallet ${stranger} --typed-data ${file}`),
      1,
      /is no owner/,
    );
  });
});
