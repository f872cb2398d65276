// docs/client.md: what it shows is a program, and the program works.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { toHex } from '../../client/mod.ts';
import { decode, example } from '../documents/client-example.ts';
import { clientGuide } from '../documents/client-guide.ts';
import { runNetwork } from '../support/acting-parties.ts';

describe('docs/client.md', () => {
  it('shows the program as it is', async () => {
    const { file, text, blocks } = await clientGuide();
    assert.ok(blocks > 10, `${blocks} blocks`);
    assert.ok(
      (await readFile(file, 'utf8')) === text,
      `${file.pathname} is not up to date: run npm run docs:rpc`,
    );
  });

  it('shows a program that works, with a coordinator over HTTP', async () => {
    const network = await runNetwork();
    try {
      const lines: string[] = [];
      const { key, first, proof, ...rest } = await example(
        network.url,
        network.networkId,
        network.keyringId,
        (line) => lines.push(line),
      );
      assert.equal(rest.network.networkId, network.networkId);
      assert.equal(proof.items[0]?.key.id, key.id);
      assert.deepEqual(proof.signatures, [first?.signature]);
      const said = lines.join('\n');
      assert.match(said, /^ed25519:0x[0-9a-f]{64}\n2 of 3 parties\nsolana: \w+\npartial\n/);
      assert.match(said, /pay bob/);
      assert.match(said, /approved by alice, bob; signed by party-1, party-2/);
      assert.match(said, /\nnot_found: [^;]+; .+$/);
    } finally {
      await network.stop();
    }
  });

  it('decodes what is received', () => {
    const data = toHex(new TextEncoder().encode('pay bob'));
    const publicKey = toHex(new Uint8Array(32).fill(1));
    assert.match(decode({ kind: 'message', data }, 'ed25519', publicKey).join('\n'), /pay bob/);
    assert.throws(() => decode({ kind: 'digest', data }, 'ed25519', publicKey), { code: 'invalid_payload' });
  });
});
