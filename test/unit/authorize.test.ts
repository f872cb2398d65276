import assert from 'node:assert/strict';
import { defaultAdminPolicy } from '../../protocol/policy/schema.ts';
import { authorize, maxClockAhead, defaultRequestLifetime } from '../../protocol/authorize.ts';
import type { Policy } from '../../protocol/policy/schema.ts';
import { decision } from '../../protocol/records/decision.ts';
import { addSignature, createRecord, type Envelope } from '../../protocol/records/envelope.ts';
import { timestamp } from '../../protocol/records/fields.ts';
import {
  approve,
  hour,
  idOf,
  keyRequest,
  networkId,
  reject,
  signerOf,
  signRequest,
  start,
} from '../support/fixture.ts';
import {
  approval,
  authorised,
  foreign,
  judge,
  judgeRequest,
  key,
  mallory,
  otherWorkspace,
  payload,
  refused,
  request,
  requestId,
  requestWith,
  trust,
  waiting,
  whole,
  world,
} from '../support/judged-world.ts';
import { makeKey } from '../support/world-key.ts';

describe('authorize', () => {
  it('authorises what its approvers approved, and says what that is', () => {
    const verdict = judge();
    authorised(verdict);
    assert.ok(verdict.verdict === 'authorised');
    const { authorisation } = verdict;
    assert.equal(authorisation.requestId, requestId);
    assert.equal(authorisation.expires, start + hour);
    assert.equal(authorisation.workspace.id, world.workspace.id);
    assert.equal(authorisation.keyring.id, world.keyring.id);
    const [item] = authorisation.items;
    assert.equal(item?.key.publicKey, key.publicKey);
    assert.equal(item?.payload.facts.kind, 'message');
  });

  it('authorises a key request without any keys', () => {
    const asked = keyRequest(world);
    const verdict = judge({ request: asked, decisions: [], keys: [] });
    authorised(verdict);
    assert.ok(verdict.verdict === 'authorised' && verdict.authorisation.items.length === 0);
  });

  it('judges a roster alone when it is told to trust no keyring', () => {
    const { keyringId: _, ...untold } = trust;
    assert.equal(authorize(whole, untold).verdict, 'authorised');
  });

  it('says who is missing while approvals are', () => {
    const verdict = judge({ decisions: [] });
    waiting(verdict, ['bob', 'carol']);
    assert.ok(verdict.verdict === 'waiting');
    assert.deepEqual(verdict.missing[0]?.have, ['alice']);
    assert.equal(verdict.missing[0]?.need, 2);
  });

  describe('decisions', () => {
    const bobsSecond = signerOf('bob', 'second');
    const twoKeys = otherWorkspace({
      owners: [
        { name: 'alice', credentials: [world.owners['alice']!.credential] },
        { name: 'bob', credentials: [world.owners['bob']!.credential, bobsSecond.credential] },
        { name: 'carol', credentials: [world.owners['carol']!.credential] },
      ],
      signPolicy: {
        version: 1,
        rules: [
          {
            id: 'all',
            effect: 'allow',
            when: { kind: ['message', 'key.request'] },
            require: { k: 3, of: 'owners' },
          },
        ],
      },
    });
    const asked = keyRequest(twoKeys);
    const id = idOf(asked);
    const ofTwo = (...decisions: Envelope[]) =>
      judge({ log: [twoKeys.genesis], request: asked, keys: [], decisions });

    it('count once a principal, whichever of its credentials signed', () => {
      const first = approve(twoKeys, id, 'bob');
      const second = approve(twoKeys, id, 'bob', { seq: 2, signer: bobsSecond });
      waiting(ofTwo(first, second), ['carol']);
      waiting(ofTwo(second, first), ['carol']);
      authorised(ofTwo(first, second, approve(twoKeys, id, 'carol')));
      // One record signed with both of its credentials is one decision too.
      waiting(ofTwo(addSignature(first, networkId, bobsSecond)), ['carol']);
    });

    it('of a later seq prevail, whatever the order in which they come', () => {
      const approved = approve(twoKeys, id, 'bob', { seq: 1 });
      const rejected = reject(twoKeys, id, 'bob', { seq: 2 });
      const again = approve(twoKeys, id, 'bob', { seq: 3 });
      const carol = approve(twoKeys, id, 'carol');
      for (const decisions of [
        [approved, rejected, carol],
        [rejected, approved, carol],
        [carol, rejected, approved],
      ]) {
        refused(ofTwo(...decisions), 'approvers', false, /bob rejected/);
        authorised(ofTwo(...decisions, again));
        authorised(ofTwo(again, ...decisions));
      }
    });

    it('that contradict each other under one seq: the rejection counts', () => {
      const approved = approve(twoKeys, id, 'bob', { seq: 4 });
      const rejected = reject(twoKeys, id, 'bob', { seq: 4 });
      const carol = approve(twoKeys, id, 'carol');
      refused(ofTwo(approved, rejected, carol), 'approvers', false);
      refused(ofTwo(rejected, approved, carol), 'approvers', false);
    });

    it('that contradict each other under one seq: the approval that runs out first counts', () => {
      const short = approve(twoKeys, id, 'bob', { expires: start + 500 });
      const long = approve(twoKeys, id, 'bob', { expires: start + hour });
      const carol = approve(twoKeys, id, 'carol');
      waiting(ofTwo(short, long, carol), ['bob'], 1);
      waiting(ofTwo(long, short, carol), ['bob'], 1);
    });

    it('run out at their end, to the millisecond', () => {
      const brief = approve(world, requestId, 'bob', { expires: trust.now + 1 });
      authorised(judge({ decisions: [brief] }));
      const verdict = judge({ decisions: [brief] }, { now: trust.now + 1 });
      waiting(verdict, ['bob', 'carol'], 1);
      assert.match(
        verdict.verdict === 'waiting' ? verdict.ignored[0]! : '',
        /the approval of bob ran out at 2030/,
      );
      // An earlier approval that still runs does not come back for it.
      const earlier = approve(world, requestId, 'bob', { seq: 1 });
      const later = approve(world, requestId, 'bob', { seq: 2, expires: trust.now });
      waiting(judge({ decisions: [earlier, later] }), ['bob', 'carol'], 1);
      // A rejection never runs out.
      const verdictLater = judge({
        decisions: [reject(world, requestId, 'bob'), reject(world, requestId, 'carol')],
      });
      refused(verdictLater, 'approvers', false);
    });

    it('of the initiator: its request is its approval, and its rejection cancels', () => {
      waiting(judge({ decisions: [approve(world, requestId, 'alice')] }), ['bob', 'carol']);
      refused(
        judge({ decisions: [approval, reject(world, requestId, 'alice')] }),
        'cancelled',
        false,
        /alice/,
      );
      const back = approve(world, requestId, 'alice', { seq: 2 });
      authorised(judge({ decisions: [approval, reject(world, requestId, 'alice'), back] }));
      // What runs out is the approval beside the request, not the request.
      const brief = approve(world, requestId, 'alice', { expires: start });
      authorised(judge({ decisions: [approval, brief] }), 1);
    });

    it('of an initiator outside the group do not count for it', () => {
      const others: Policy = {
        version: 1,
        rules: [
          {
            id: 'a',
            effect: 'allow',
            when: { kind: ['key.request'] },
            require: { k: 1, of: ['bob', 'carol'] },
          },
        ],
      };
      const group = otherWorkspace({ signPolicy: others });
      const asks = keyRequest(group);
      const of = (...decisions: Envelope[]) =>
        judge({ log: [group.genesis], request: asks, keys: [], decisions });
      waiting(of(), ['bob', 'carol']);
      waiting(of(approve(group, idOf(asks), 'alice')), ['bob', 'carol']);
      authorised(of(approve(group, idOf(asks), 'carol')));
      refused(
        of(approve(group, idOf(asks), 'carol'), reject(group, idOf(asks), 'alice')),
        'cancelled',
        false,
      );
    });

    const otherRequest = signRequest(world, [{ keyId: key.id, payload }]);
    const decided = (change: Record<string, unknown>, ...signers: (typeof mallory)[]): Envelope => {
      const content = {
        networkId,
        subject: requestId,
        principal: 'bob',
        seq: 1,
        logHead: world.workspace.head,
        decision: 'approve',
        expires: timestamp(start + hour),
        ...change,
      };
      return createRecord(decision, content as never, ...signers);
    };
    const bob = world.owners['bob']!;
    const garbage: [string, Envelope, RegExp][] = [
      ['about another request', approve(world, idOf(otherRequest), 'bob'), /is about 0x/],
      ['of an outsider', decided({ principal: 'mallory' }, mallory), /mallory is no owner/],
      ["of an outsider under an owner's name", decided({}, mallory), /signed by somebody else than bob/],
      [
        "of an owner under another's name",
        decided({}, world.owners['carol']!),
        /signed by somebody else than bob/,
      ],
      ['with an outsider signature beside', decided({}, bob, mallory), /signed by somebody else than bob/],
      [
        'with two owners’ signatures',
        decided({}, bob, world.owners['carol']!),
        /signed by somebody else than bob/,
      ],
      ['without signature', { ...approval, signatures: [] }, /nobody signed/],
      ['altered', { ...approval, bytes: decided({ seq: 2 }, bob).bytes }, /does not verify/],
      ['of another network', decided({ networkId: 'other-network' }, bob), /made for network other-network/],
      ['at another log head', decided({ logHead: { seq: 1, id: world.workspace.id } }, bob), /another state/],
      ['at the head of another log', decided({ logHead: foreign.workspace.head }, bob), /another state/],
      ['of another type', keyRequest(world), /request record/],
      ['that is no record', { type: 'decision', bytes: 'AAAA', signatures: [] }, /not JSON/],
    ];
    for (const [what, envelope, words] of garbage) {
      it(`${what} are ignored and named`, () => {
        const verdict = judge({ decisions: [envelope] });
        waiting(verdict, ['bob', 'carol'], 1);
        assert.match(verdict.verdict === 'waiting' ? verdict.ignored[0]! : '', words);
        // Nor does it spoil those that count.
        authorised(judge({ decisions: [envelope, approve(world, requestId, 'carol')] }), 1);
      });
    }

    it('of an owner whom the workspace no longer has do not count', () => {
      const smaller = otherWorkspace({
        owners: world.workspace.owners.filter((owner) => owner.name !== 'bob'),
        adminPolicy: defaultAdminPolicy(2),
      });
      const asks = signRequest(smaller, [{ keyId: key.id, payload }]);
      const makes = makeKey(smaller);
      const own = signRequest(smaller, [{ keyId: makes.id, payload }]);
      const parts = { log: [smaller.genesis], keys: [makes.entry] };
      const byBob = approve(smaller, idOf(own), 'bob', { signer: bob });
      waiting(judge({ ...parts, request: own, decisions: [byBob] }), ['carol'], 1);
      refused(judge({ ...parts, request: asks, keys: [key.entry] }), 'wrong_key', true);
    });
  });

  describe('time', () => {
    it('a request ends at its end, and 24 hours after it was made at the latest', () => {
      authorised(judge({}, { now: start + hour - 1 }), 0);
      refused(judge({}, { now: start + hour }), 'expired', true, /2030-01-01T01:00:00.000Z/);
      const stretched = signRequest(world, [{ keyId: key.id, payload }], {
        expires: start + 400 * 24 * hour,
      });
      const decisions = [approve(world, idOf(stretched), 'bob', { expires: start + 300 * 24 * hour })];
      const last = start + defaultRequestLifetime - 1;
      authorised(judge({ request: stretched, decisions }, { now: last }));
      refused(judge({ request: stretched, decisions }, { now: last + 1 }), 'expired', true);
      const verdict = judge({ request: stretched, decisions });
      assert.equal(verdict.verdict === 'authorised' && verdict.authorisation.expires, last + 1);
    });

    it('a request that is over and was never approved is over', () => {
      refused(judge({ decisions: [] }, { now: start + hour }), 'expired', true);
    });

    it('a request is made at most five minutes ahead of the clock', () => {
      authorised(judge({}, { now: start - maxClockAhead }));
      refused(judge({}, { now: start - maxClockAhead - 1 }), 'too_early', false, /check the clocks/);
    });
  });

  describe('who asks', () => {
    const asked = [{ keyId: key.id, payload }];
    const { alice, bob } = world.owners as Record<string, typeof mallory>;
    const cases: [string, Envelope][] = [
      ['an outsider under its own name', requestWith({ initiator: 'mallory' }, mallory)],
      ['an outsider under the name of an owner', requestWith({}, mallory)],
      ['an owner under the name of another', requestWith({}, bob)],
      ['two owners in one name', addSignature(requestWith({}, alice), networkId, bob!)],
      ['an outsider beside the initiator', addSignature(requestWith({}, alice), networkId, mallory)],
      ['an owner of another workspace', signRequest(world, asked, { signer: foreign.owners['alice']! })],
      ['nobody', { ...request, signatures: [] }],
    ];
    for (const [what, envelope] of cases) {
      it(`${what}: refused, and nothing is known about the request`, () => {
        const verdict = judgeRequest(envelope);
        refused(verdict, 'bad_evidence', false);
        assert.equal(verdict.verdict === 'refused' ? verdict.requestId : '', undefined);
      });
    }

    it('a request altered under its signature is refused', () => {
      refused(
        judge({ request: { ...request, bytes: requestWith({}).bytes } }),
        'bad_evidence',
        false,
        /does not verify/,
      );
    });

    it('a refusal names the request once its initiator is proven', () => {
      const verdict = judge({ roster: foreign.keyring.envelope });
      refused(verdict, 'bad_evidence', false);
      assert.equal(verdict.verdict === 'refused' ? verdict.requestId : '', requestId);
    });
  });
});
