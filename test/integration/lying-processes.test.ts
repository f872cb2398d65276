// The same lies before real processes: coordinator, nodes and connectors as an operator starts them, each connector behind
// a view of the coordinator that withholds, forges and substitutes.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { base64urlnopad } from '@scure/base';
import { buildDecision } from '../../client/records.ts';
import type { Evidence } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import { contentOf } from '../support/altered-evidence.ts';
import { LocalNetwork } from '../support/local-network.ts';
import { LyingView } from '../support/lying-coordinator.ts';

interface Item {
  requestId: Hex;
  evidence: Evidence;
}

describe('a lying coordinator before real processes', function () {
  this.timeout(240_000);
  let net: LocalNetwork;
  let keyId: Hex;
  const views: LyingView[] = [];
  const indices = [0, 1, 2];

  before(async () => {
    net = await LocalNetwork.start();
    keyId = await net.requestKey();
    assert.equal((await net.final(keyId)).state, 'fulfilled');
    await Promise.all(
      net.layout.parties.map(async ({ connector, connectorDir }) => {
        const view = await LyingView.open(() => net.network.coordinator);
        views.push(view);
        await net.kill(connector);
        const file = join(connectorDir, 'config.yaml');
        const text = await readFile(file, 'utf8');
        assert.ok(text.includes(net.network.coordinator), text);
        await writeFile(file, text.replace(net.network.coordinator, view.url));
        await net.restart(connector);
      }),
    );
  });

  after(async () => {
    for (const view of views) await view.stop();
    await net?.stop();
  });

  /** From now on all connectors are shown every request as `lie` has it, and as pending. */
  function lies(lie: (item: Item) => Item): void {
    for (const view of views) {
      view.answer = async ({ method }, honest) => {
        const result = await honest();
        if (method !== 'connector_pending') return result;
        const items = (result as { items: Item[] }).items.map((item) => ({ ...lie(item), state: 'pending' }));
        return { ...result, items };
      };
    }
  }

  async function nothingBegan(requestId: Hex): Promise<void> {
    for (const index of indices) {
      const lines = await net.log(net.layout.parties[index]!.node);
      const begun = lines.filter(
        ({ event, fields }) =>
          fields['requestId'] === requestId && /^session\.|^result\.|^request\.authorised$/.test(event),
      );
      assert.deepEqual(begun, []);
    }
  }

  /** Waits until all connectors have said such a thing about a request. */
  const said = (requestId: Hex, event: string, words: RegExp): Promise<unknown> =>
    Promise.all(
      net.layout.parties.map(({ connector }) =>
        net.logged(connector, event, requestId, ({ detail }) => words.test(String(detail as string))),
      ),
    );

  it('forges the missing approval and shows the request as pending: nodes wait, and sign when it is real', async () => {
    const forger = net.owners.carol.signer;
    lies((item) => {
      const { envelope } = buildDecision(
        {
          networkId: net.network.networkId,
          workspace: { ...net.workspace, owners: [{ name: 'bob', credentials: [forger.credential] }] },
          subject: item.requestId,
          decision: 'approve',
          decisions: [],
        },
        forger,
      );
      return { ...item, evidence: { ...item.evidence, decisions: [envelope] } };
    });
    const id = await net.requestSignature(keyId, 'pay on a forged word');
    await said(id, 'request.forwarded', /signed by somebody else than bob/);
    await nothingBegan(id);
    for (const view of views) view.beHonest();
    await net.decide(id, 'bob', 'approve');
    assert.equal((await net.final(id)).state, 'fulfilled');
  });

  it('alters what is to be signed: nodes refuse it, and sign what was asked for', async () => {
    const altered = (item: Item): Item => {
      const content = contentOf(item.evidence.request) as { items?: { payload: object }[] };
      if (content.items === undefined) return item;
      const [first] = content.items as [{ payload: object }];
      const items = [{ ...first, payload: { ...first.payload, data: '0x6d616c6c6f7279' } }];
      const bytes = base64urlnopad.encode(new TextEncoder().encode(JSON.stringify({ ...content, items })));
      return { ...item, evidence: { ...item.evidence, request: { ...item.evidence.request, bytes } } };
    };
    lies(altered);
    const id = await net.requestSignature(keyId, 'pay bob');
    await net.decide(id, 'bob', 'approve');
    await said(id, 'request.skipped', /the evidence is of another request/);
    await nothingBegan(id);
    for (const view of views) view.beHonest();
    await Promise.all(
      net.layout.parties.map(async ({ connector }) => {
        await net.kill(connector);
        await net.restart(connector);
      }),
    );
    assert.equal((await net.final(id)).state, 'fulfilled');
  });
});
