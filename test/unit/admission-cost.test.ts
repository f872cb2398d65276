// What parties may make each other do, in messages as large as they really are: honest ones presign faster than processors
// give without ever waiting for their budget, and the same messages as a flood wait.
import assert from 'node:assert/strict';
import { Admission, costOfFrame, costOfReading, defaultAdmission } from '../../node/sessions/admission.ts';
import { decodeFrame, encodeFrame, maxPooledItems } from '../../node/sessions/wire.ts';
import { ecdsaShares, presigningOptions, runPresigning } from '../support/dkls23-parties.ts';
import { createWorld, networkId } from '../support/fixture.ts';
import { VirtualClock } from '../support/session-world.ts';

const turnsOfLoop = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
};

describe('admission: the cost of presigning', () => {
  const seconds = 10;
  /** A presignature takes a party about 20 ms of a processor: more than two processors of this node do of one peer's. */
  const honest = 100;
  let costs: number[];

  before(() => {
    const world = createWorld({ parties: 3, threshold: 2 });
    const [signer] = world.parties;
    const wire = { networkId, keyringId: world.keyring.id };
    const options = presigningOptions([1, 2], ecdsaShares(3, 2), { count: maxPooledItems });
    const rounds = runPresigning(options).delivered.filter(({ to }) => to === 1);
    assert.ok(rounds.some(({ bytes }) => bytes.length > 100_000));
    costs = rounds.map(({ bytes: message }) => {
      const content = { attemptId: '00'.repeat(32), sid: new Uint8Array(32), message };
      const bytes = encodeFrame('round', content, wire, signer!);
      return costOfReading(bytes) + costOfFrame(decodeFrame(bytes));
    });
  });

  /** The most messages that rest at once while a peer sends what so many presignatures a second take. */
  async function rested(perSecond: number): Promise<number> {
    const clock = new VirtualClock();
    const admission = new Admission(clock, defaultAdmission);
    const batchMs = (1000 * maxPooledItems) / perSecond;
    let most = 0;
    for (let sent = 0; sent < seconds * 1000; sent += batchMs) {
      const due = clock.now() + batchMs;
      clock.after(batchMs, () => undefined);
      for (const cost of costs) void admission.turn('peer', cost).catch(() => undefined);
      await turnsOfLoop(2 * costs.length);
      most = Math.max(most, admission.resting);
      while (clock.step(due)) await turnsOfLoop(2);
    }
    admission.stop();
    return most;
  }

  it('leaves honest parties what processors give', async () => {
    assert.equal(await rested(honest), 0);
  });

  it('holds back a flood of the same messages', async () => {
    assert.ok((await rested(10 * honest)) > 100);
  });
});
