// Derived keys on the command line, against a coordinator in this process.
import assert from 'node:assert/strict';
import { HDKey } from '@scure/bip32';
import { p2tr } from '@scure/btc-signer';
import type { CliResult } from '../support/cli-run.ts';
import { CliNetwork } from '../support/cli-network.ts';
import { WholeTaprootKey } from '../support/whole-taproot-key.ts';

const policy = `version: 1
rules:
  - id: all
    effect: allow
    when: { kind: [message, key.request, bitcoin.psbt] }
    require: { k: 1, of: owners }
`;
const seed = new Uint8Array(32).fill(7);

function fails(result: CliResult, exitCode: number, words: RegExp): void {
  assert.equal(result.exitCode, exitCode, result.stdout + result.stderr);
  assert.match(result.error, words);
  assert.doesNotMatch(result.stderr, /\n {4}at /, 'no stack');
}

describe('countersign: derived keys', () => {
  let net: CliNetwork;
  let payroll: string;
  let vault: string;
  const whole = new WholeTaprootKey(7);

  before(async () => {
    net = await CliNetwork.start(policy);
    payroll = (await net.json('key request --label payroll --type ed25519')).keyId;
    await net.parties.answer(payroll as `0x${string}`, seed);
    vault = (await net.json('key request --label vault --type taproot_secp256k1')).keyId;
    await net.parties.answer(vault as `0x${string}`, whole);
  });
  after(() => net?.stop());

  async function derived(words: string): Promise<string> {
    const asked = await net.json(`key request ${words}`);
    await net.parties.derive(asked.keyId);
    return asked.keyId;
  }

  it('are asked for by label and path, listed and verified', async () => {
    assert.doesNotMatch((await net.run('key list')).stdout, /DERIVED/);
    const asked = await net.json('key request --label seven --parent payroll --path m/0/7');
    assert.equal(asked.state, 'pending');
    assert.deepEqual([asked.parent, asked.path], [payroll, 'm/0/7']);
    const list = async () => (await net.run('key list')).stdout;
    const row = (state: string) => new RegExp(`seven +ed25519 +${state} +m/0/7 of ${payroll.slice(0, 14)}`);
    assert.match(await list(), row('pending'));
    assert.match(
      (await net.run('key show seven')).stdout,
      new RegExp(`derived +m/0/7 of ${payroll}\\n.*state +pending`),
    );
    await net.parties.derive(asked.keyId);
    assert.match(await list(), row('fulfilled'));
    assert.match(await list(), /^ID +LABEL +TYPE +STATE +DERIVED +ADDRESS\n/);
    const listed = (await net.json('key list')).find((key: { label: string }) => key.label === 'seven');
    assert.deepEqual([listed.parent, listed.path, listed.verified], [payroll, 'm/0/7', true]);
    const verified = await net.run('key verify seven');
    assert.equal(verified.exitCode, 0, verified.stderr);
    assert.match(verified.stdout, new RegExp(`derived +m/0/7 of key ${payroll}`));
    assert.match(verified.stdout, /certificate .*it is what the parent's certificate and the path give/);
    assert.ok(verified.stdout.includes(listed.addresses[0].address));
    assert.doesNotMatch((await net.run('key verify payroll')).stdout, /derived|path give/);
  });

  it('of Taproot have the address that two other libraries derive', async () => {
    const id = await derived('--label sub --parent vault --path m/1/2');
    const { addresses, keyType } = await net.json(`key verify ${id}`);
    assert.equal(keyType, 'taproot_secp256k1');
    const child = new HDKey({ publicKey: whole.point, chainCode: new Uint8Array(32) }).derive('m/1/2');
    const { address } = p2tr(child.publicKey!.subarray(1));
    assert.ok(addresses.some((entry: { address: string }) => entry.address === address));
  });

  it('wait until they are made, and show what they are', async () => {
    const asked = await net.json('key request --label waited --parent payroll --path m/5');
    const action = await net.run(`action show ${asked.keyId}`);
    assert.equal(action.exitCode, 0, action.stderr);
    assert.match(action.stdout, new RegExp(`derived by m/5 from key "payroll" \\(${payroll}\\)`));
    const shown = await net.json(`action show ${asked.keyId}`);
    assert.deepEqual([shown.parent, shown.path], [payroll, 'm/5']);
    const waiting = net.run(`request show ${asked.keyId} --wait 30`);
    await net.parties.derive(asked.keyId);
    const done = await waiting;
    assert.equal(done.exitCode, 0, done.stderr);
    assert.match(done.stdout, /derived +m\/5 of key/);
    const { publicKey } = await net.json('key show waited');
    const out = net.world.path('receipt.json');
    assert.equal((await net.run(`receipt get ${asked.keyId} --out ${out}`)).exitCode, 0);
    const verify = `receipt verify ${out} --workspace ${net.workspaceId}`;
    assert.match((await net.run(verify)).stdout, new RegExp(`derived +m/5 of key ${payroll}`));
    assert.equal((await net.json(verify)).key.path, 'm/5');
    assert.ok(action.stdout.includes(publicKey), 'the approver saw the key that came of it');
  });

  it('sign requests of theirs are proven with their parent', async () => {
    await derived('--label signer --parent payroll --path m/6');
    const text = await net.world.write('text', 'hello');
    const asked = await net.json(`sign --key signer --kind message --payload ${text}`);
    const shown = await net.run(`action show ${asked.requestId}`);
    assert.equal(shown.exitCode, 0, shown.stderr);
    const { addresses } = await net.json('key verify signer');
    assert.match(shown.stdout, new RegExp(`Signed by key "signer" \\(${addresses[0].address}\\)`));
  });

  it('that cannot be are refused before anything is signed', async () => {
    const count = async (): Promise<number> => (await net.json('key list')).length;
    const before = await count();
    const refused: [string, RegExp][] = [
      ['--label x --parent payroll', /--parent is given without --path: give both/],
      ['--label x --path m/0', /--path is given without --parent: give both/],
      ['--label x', /no --type is given: give one, or --parent and --path/],
      [`--label x --parent payroll --path m/0'`, /0' is a hardened index/],
      ['--label x --parent payroll --path m/2147483648', /not below 2147483648/],
      ['--label x --parent payroll --path m/00', /leading zeros/],
      ['--label x --parent payroll --path m/0/0/0/0/0/0/0/0/0/0/0', /at most 10 indices/],
      ['--label x --parent payroll --path 0/7', /begins with m/],
      ['--label x --parent payroll --path m/0 --type taproot_secp256k1', /is of type ed25519, not taproot/],
      ['--label x --parent nothing --path m/0', /no key "nothing"/],
      [
        '--label x --parent seven --path m/3',
        new RegExp(
          `itself derived, by m/0/7 from ${payroll}: derive from its root: --parent ${payroll} --path m/0/7/3`,
        ),
      ],
    ];
    for (const [words, error] of refused) fails(await net.run(`key request ${words}`), 2, error);
    assert.equal(await count(), before);
    const unmade = await net.json('key request --label unmade --type ed25519');
    fails(
      await net.run(`key request --label x --parent ${unmade.keyId} --path m/0`),
      4,
      /no certificate yet/,
    );
  });

  it('a coordinator that shows another parent is found out', async () => {
    const { fetch } = globalThis;
    globalThis.fetch = async (input, init) => {
      const response = await fetch(input, init);
      const text = await response.text();
      const told = text.replaceAll(`"parent":"${payroll}"`, `"parent":"${vault}"`);
      return new Response(told, { status: response.status, headers: response.headers });
    };
    try {
      fails(await net.run('key verify seven'), 1, /coordinator's parent is not the one its records prove/);
    } finally {
      globalThis.fetch = fetch;
    }
  });
});
