// Judging again: whatever decisions there are and whatever time it is, `reconsider` says what `authorize` says.
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { authorize, type Evidence, reconsider } from '../../protocol/authorize.ts';
import type { Envelope } from '../../protocol/records/envelope.ts';
import { approve, hour, idOf, keyRequest, reject, start } from '../support/fixture.ts';
import { mallory, requestId, trust, whole, world } from '../support/judged-world.ts';

const established = authorize(whole, trust);

describe('reconsider', () => {
  it('equals authorize for the same request, log, roster and keys', () => {
    assert.equal(established.verdict, 'authorised');
    const { authorisation } = established;
    const expires = [start + 1000, start + 20 * 60_000, start + hour];
    const decision = fc
      .record({
        principal: fc.constantFrom('alice', 'bob', 'carol'),
        approves: fc.boolean(),
        seq: fc.integer({ min: 1, max: 3 }),
        expires: fc.constantFrom(...expires),
        by: fc.constantFrom('itself', 'mallory'),
      })
      .map(({ principal, approves, seq, by, ...times }): Envelope => {
        const signer = by === 'mallory' ? { signer: mallory } : {};
        return approves
          ? approve(world, requestId, principal, { seq, ...times, ...signer })
          : reject(world, requestId, principal, { seq, ...signer });
      });
    const seen = new Map<string, number>();
    fc.assert(
      fc.property(
        fc.array(decision, { maxLength: 4 }),
        fc.constantFrom(-10 * 60_000, 0, 1000, 30 * 60_000, hour, 48 * hour),
        (decisions, later) => {
          const evidence: Evidence = { ...whole, decisions };
          const then = { ...trust, now: start + later };
          const verdict = authorize(evidence, then);
          assert.deepEqual(reconsider(authorisation, evidence, then), verdict);
          const name = verdict.verdict === 'refused' ? verdict.reason : verdict.verdict;
          seen.set(name, (seen.get(name) ?? 0) + 1);
        },
      ),
      { numRuns: 200, seed: 7 },
    );
    for (const name of ['authorised', 'waiting', 'cancelled', 'expired', 'too_early'])
      assert.ok(seen.has(name), `${name} among ${[...seen.keys()].join(', ')}`);
  });

  it('never throws, whatever stands among the decisions', () => {
    assert.equal(established.verdict, 'authorised');
    const foreign = approve(world, idOf(keyRequest(world)), 'bob');
    const verdict = reconsider(
      established.authorisation,
      { ...whole, decisions: [whole.request, foreign] },
      trust,
    );
    assert.ok(verdict.verdict === 'waiting' && verdict.ignored.length === 2);
  });
});
