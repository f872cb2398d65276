// A pair setup that one side has kept and the other not, having been killed at that very moment: the two make it anew, sign,
// and it costs one incident a side at most.
import assert from 'node:assert/strict';
import { dealtSetup } from '../support/dkls23-parties.ts';
import { ecdsaNetwork } from '../support/ecdsa-scene.ts';

describe('sessions: a pair setup that one side alone has kept', function () {
  this.timeout(300_000);

  // Party 1 has lost its setup, and makes it anew with party 0, which has the old one.
  for (const [victim, incidents] of [
    [1, [0, 0]],
    [0, [1, 1]],
  ] as const)
    for (const when of ['before', 'after'] as const)
      it(`party ${victim} killed ${when} it wrote it down: made anew, at little cost`, async () => {
        const net = await ecdsaNetwork(2, 2);
        const [first, second] = [net.node(0), net.node(1)];
        delete second.pairs.kept(first.party.credential).setup;
        let killed = false;
        const { pairs } = net.node(victim);
        const other = net.node(1 - victim).party.credential;
        const { before } = pairs;
        pairs.before = async (what, about) => {
          await before(what, about);
          if (what !== 'adopt' || about !== other || killed) return;
          killed = true;
          if (when === 'after') return void net.clock.after(0, () => net.kill(victim));
          net.kill(victim);
          throw new Error('killed');
        };
        await net.bootAll();
        await net.until(() => killed, 60_000, 'the kill');
        await net.pass(1000);
        if (net.node(victim).alive) net.kill(victim);
        await net.boot(victim);
        const { id, full } = net.messageLedBy(0, 1);
        await net.submit(full, [0, 1]);
        await net.signedBy(id, [0, 1]);
        for (const at of [0, 1]) {
          const of = net.node(1 - at).party.credential;
          const view = net.node(at).gate?.states().get(of);
          assert.equal(view?.state, 'ready');
          assert.ok(view.incidents <= incidents[at]!, `${view.incidents} incidents of party ${at}`);
        }
        await net.stop();
      });

  it('the older one on the other side: kept for the moment, then made anew', async () => {
    const net = await ecdsaNetwork(2, 2);
    await net.bootAll();
    const [first, second] = [net.node(0), net.node(1)];
    await first.gate!.adopt(second.party.credential, dealtSetup(1, 2, 'another'));
    const { id, full } = net.messageLedBy(0, 1);
    await net.submit(full, [0, 1]);
    await net.signedBy(id, [0, 1]);
    const count = (at: number): number | undefined =>
      net
        .node(at)
        .gate?.states()
        .get(net.node(1 - at).party.credential)?.incidents;
    assert.ok(count(0)! <= 1 && count(1)! <= 1, `${count(0)}, ${count(1)}`);
    await net.stop();
  });
});
