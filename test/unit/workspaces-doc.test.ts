// docs/workspaces.md, followed to the letter by owners in one process, with a coordinator and parties that answer.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { CliNetwork } from '../support/cli-network.ts';
import { stepsOf } from '../support/guide.ts';

const policy = `version: 1
rules:
  - { id: all, effect: allow, when: { kind: [message, key.request] }, require: { k: 2, of: owners } }
`;

describe('docs/workspaces.md', function () {
  this.timeout(60_000);
  let net: CliNetwork;
  let guide: string;
  const said: string[] = [];

  before(async () => {
    guide = await readFile(fileURLToPath(new URL('../../docs/workspaces.md', import.meta.url)), 'utf8');
    net = await CliNetwork.start(policy);
    const { keyId } = await net.json('key request --label payroll --type ed25519');
    await net.json(`action approve ${keyId} --as bob --yes`);
    await net.parties.answer(keyId, new Uint8Array(32).fill(7));
    for (const name of ['carol', 'dora', 'bob2']) await net.json(`identity new ${name}`);
  });
  after(() => net?.stop());

  it('works as it is written', async () => {
    const credential = async (name: string): Promise<string> =>
      (await net.json(`identity show ${name}`)).credential;
    const values: Record<string, string> = {
      DORA: await credential('dora'),
      BOB: await credential('bob2'),
      CAROL: await credential('carol'),
      KEYRING: net.keyringId,
      PARENT: net.workspaceId,
    };
    for (const [, name, text] of guide.matchAll(/^```yaml (\S+)\n([\s\S]*?)^```$/gm))
      await net.world.write(name!, text!);
    const steps = stepsOf(guide.replaceAll(/^```yaml [\s\S]*?^```$/gm, ''));
    let commands = 0;
    for (const step of steps) {
      assert.equal(step.kind, 'run');
      if (step.kind !== 'run') continue;
      for (const line of step.script.trim().split('\n')) {
        const words = line
          .replaceAll(/\$([A-Z]+)/g, (_, name: string) => values[name] ?? assert.fail(`no value of ${name}`))
          .split(' ')
          .map((word) => (/\.(json|yaml|audit|csv)$/.test(word) ? net.world.path(word) : word));
        assert.equal(words.shift(), 'countersign', line);
        const { exitCode, stdout, stderr } = await net.world.run(words, {
          typed: 'y\n',
          environment: { COUNTERSIGN_AS: step.role },
        });
        assert.equal(exitCode, 0, `${line}\n${stderr}`);
        said.push(stdout);
        commands += 1;
        const [, change] = /^change +(0x[0-9a-f]{64})$/m.exec(stdout) ?? [];
        const [, request] = /^(?:key|request) +(0x[0-9a-f]{64})$/m.exec(stdout) ?? [];
        if (change !== undefined) values.CHANGE = change;
        if (request !== undefined) values.REQUEST = request;
        if (line.includes('workspace create')) values.CHILD = /^id +(0x[0-9a-f]{64})$/m.exec(stdout)![1]!;
      }
    }
    assert.ok(commands > 35, String(commands));
  });

  it('has the effect that it says', async () => {
    const shown = await net.json('workspace show');
    assert.equal(shown.frozen, false);
    assert.deepEqual(shown.disabledKeys, []);
    assert.equal(shown.children.length, 1);
    assert.equal(shown.adminPolicy.rules[0].id, 'stop');
    const bob = shown.owners.find(({ name }: { name: string }) => name === 'bob');
    assert.deepEqual(bob.credentials, [(await net.json('identity show bob2')).credential]);
    assert.equal(said.filter((text) => /verdict +everything in the file holds/.test(text)).length, 2);
  });
});
