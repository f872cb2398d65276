// Every field of every record that a request's evidence holds, altered one at a time and told to real connectors and nodes
// by a lying coordinator: under the old signatures, and signed anew by whoever lies. Nothing leaves a node, no journal says
// `started`, the node's reason is the right one; and then the same requests, told honestly, are signed.
import assert from 'node:assert/strict';
import type { Hex } from '../../protocol/hex.ts';
import { changeWorkspace } from '../support/altered-change.ts';
import { liesAbout, type Lie } from '../support/altered-evidence.ts';
import { type AlteredScene, alteredScene, fieldsIn } from '../support/altered-scene.ts';
import { fieldsOf } from '../support/alterations.ts';
import { idOf } from '../support/fixture.ts';
import { LiedToNetwork } from '../support/lied-to-network.ts';
import { type Teller, tellers } from '../support/told-lies.ts';

describe('records altered by the coordinator, field by field', function () {
  this.timeout(1_200_000);
  let network: LiedToNetwork;
  let scene: AlteredScene;
  const lies: Lie[] = [];
  const wrong: string[] = [];

  before(async () => {
    network = await LiedToNetwork.start();
    const key = await network.key();
    const beside = await changeWorkspace(network);
    const told = await tellers(network);
    scene = await alteredScene(network, key, beside);
    for (const [altered, whole] of scene.records) {
      const about = [...liesAbout(altered, whole, scene.forgers)];
      lies.push(...about);
      const fields = fieldsOf(fieldsIn(altered));
      const variants = new Set(about.map(({ alteration }) => `${alteration.path} ${alteration.how}`)).size;
      process.stdout.write(
        `      ${altered.record}: ${fields} fields, ${variants} alterations, ${about.length} lies\n`,
      );
    }
    process.stdout.write(`      ${lies.length} lies\n`);
    await Promise.all(told.map((teller, place) => tellAll(teller, lies, place)));
  });

  after(async () => network?.stop());

  /** Each connector is told every third lie; those about different records at the same time. */
  async function tellAll(teller: Teller, all: readonly Lie[], place: number): Promise<void> {
    const own = all.filter((_, index) => index % network.places.length === place);
    const lanes = new Map<Hex, Lie[]>();
    for (const lie of own) lanes.set(lie.requestId, [...(lanes.get(lie.requestId) ?? []), lie]);
    const queue = [...lanes.values()];
    const work = async (): Promise<void> => {
      for (let lane = queue.pop(); lane !== undefined; lane = queue.pop()) {
        for (const lie of lane) await judge(teller, lie);
      }
    };
    await Promise.all(Array.from({ length: 6 }, work));
  }

  async function judge(teller: Teller, lie: Lie): Promise<void> {
    const { code, detail } = await teller.tell(lie.requestId, lie.evidence, AbortSignal.timeout(120_000));
    const right = code === lie.code && lie.words.every((words) => words.test(detail));
    if (right) return;
    const { path, how } = lie.alteration;
    wrong.push(
      `${lie.record} ${path || '(whole)'} ${how} by ${lie.by}: ${code}: ${detail}\n  not ${lie.code} ${lie.words.join(' ')}`,
    );
  }

  it('are each refused, or not counted, for what is wrong with them', () => {
    assert.ok(lies.length > 2000, `${lies.length} lies`);
    assert.deepEqual(wrong.slice(0, 20), [], `${wrong.length} wrong`);
  });

  it('make no share leave any node', () => {
    const told = new Set(lies.map(({ requestId }) => requestId));
    assert.deepEqual(
      network.left.filter(({ type, requestId }) => type !== 'reached' && told.has(requestId as never)),
      [],
    );
    for (const requestId of told) assert.deepEqual(network.sharesOf(requestId), []);
  });

  it('make no journal say `started`', async () => {
    const told = [...new Set(lies.map(({ requestId }) => requestId))];
    const journals = await network.journals(told);
    const stored = new Set(told.filter((_, index) => journals.some((states) => states[index] !== undefined)));
    assert.ok(journals.flat().every((state) => state === undefined || state === 'stored'));
    // Of what does not prove itself nothing is kept.
    assert.deepEqual(
      [scene.whole, scene.decided, scene.asked, scene.changed].map(({ request }) =>
        stored.has(idOf(request)),
      ),
      [false, true, false, false],
    );
  });

  it('block nothing: told honestly, the same requests are signed', async () => {
    for (const { view } of network.places) view.beHonest();
    await network.startNodes();
    await network.startConnectors();
    for (const { request } of [scene.whole, scene.decided, scene.asked, scene.changed]) {
      await network.final(idOf(request), 'fulfilled');
    }
  });
});
