// The states of a request and what moves it from one to the next (protocol, section 4): submission, decisions and time.
// What party results do stands in state-machine-results.test.ts.
import assert from 'node:assert/strict';
import { evidenceOf } from '../../coordinator/state/request.ts';
import { requestView } from '../../coordinator/state/views.ts';
import { evidenceSchema, maxClockAhead, defaultRequestLifetime } from '../../protocol/authorize.ts';
import { requestViewSchema } from '../../protocol/rpc.ts';
import { Coordinated, payload, refusesCommand, Signing } from '../support/coordinated.ts';
import {
  alonePolicy,
  approve,
  createWorld,
  hour,
  keyRequest,
  reject,
  signerOf,
  signRequest,
  start,
} from '../support/fixture.ts';
import { otherWorkspace } from '../support/judged-world.ts';
import { makeKey } from '../support/world-key.ts';

const world = createWorld();
const key = makeKey(world);
const mallory = signerOf('mallory');
const partial = (options = {}): Signing => new Signing(world, key, options);
const pending = (options = {}): Signing => {
  const signing = partial(options);
  signing.decide(approve(world, signing.id, 'bob', { expires: start + 48 * hour }));
  assert.equal(signing.request.state, 'pending');
  return signing;
};
const by = (signing: Coordinated, principal: string, options = {}) =>
  approve(signing.world, signing.id, principal, options);
const against = (signing: Coordinated, principal: string, options = {}) =>
  reject(signing.world, signing.id, principal, options);

describe('a new request', () => {
  it('is partial while its policy needs approvers', () => {
    const signing = partial();
    assert.equal(signing.request.state, 'partial');
    assert.deepEqual(signing.happened, ['partial']);
    assert.equal(signing.request.pinned, undefined);
    assert.deepEqual(signing.request.keyIds, [key.id]);
  });

  it('is pending at once when its policy is satisfied, with the roster pinned', () => {
    const asked = new Coordinated(world, keyRequest(world), []);
    assert.equal(asked.request.state, 'pending');
    assert.deepEqual(asked.happened, ['pending']);
    assert.deepEqual(asked.request.pinned, {
      epoch: { roster: 1, run: 0 },
      threshold: 2,
      parties: world.parties.map((party) => party.credential),
    });
  });

  const submit = (envelope = signRequest(world, [{ keyId: key.id, payload }]), now = start): Coordinated =>
    new Coordinated(world, envelope, [key], now);

  it('is refused with the reason, and leaves nothing', () => {
    const items = [{ keyId: key.id, payload }];
    const theirs = makeKey(createWorld({ name: 'neighbour' }));
    refusesCommand(
      'bad_signature',
      () => submit({ ...signRequest(world, items), signatures: [] }),
      /nobody signed/,
    );
    refusesCommand(
      'bad_signature',
      () => submit(signRequest(world, items, { signer: mallory })),
      /not signed by/,
    );
    refusesCommand(
      'bad_signature',
      () => submit(signRequest(world, [{ keyId: theirs.id, payload }])),
      /no certificate/,
    );
    const bytes = { kind: 'message' as const, data: '0xff' as const };
    refusesCommand(
      'invalid_params',
      () => submit(signRequest(world, [{ keyId: key.id, payload: bytes }])),
      /UTF-8/,
    );
    const keysOnly = createWorld({
      name: 'keys only',
      signPolicy: {
        version: 1,
        rules: [
          { id: 'a', effect: 'allow', when: { kind: ['key.request'] }, require: { k: 1, of: 'owners' } },
        ],
      },
    });
    refusesCommand(
      'policy_denied',
      () => new Signing(keysOnly, makeKey(keysOnly)),
      /no rule allows this message/,
    );
  });

  it("with another workspace's key beside an own one is refused", () => {
    // Both workspaces use one keyring, so that the certificates of both keys hold.
    const neighbour = otherWorkspace({ name: 'neighbour' });
    const theirs = makeKey(neighbour, 'theirs');
    for (const keyIds of [
      [key.id, theirs.id],
      [theirs.id, key.id],
    ]) {
      const asked = signRequest(
        world,
        keyIds.map((keyId) => ({ keyId, payload })),
      );
      refusesCommand('forbidden', () => new Coordinated(world, asked, [key, theirs]), /belongs to workspace/);
    }
  });

  it('is at most five minutes old and five minutes ahead', () => {
    assert.equal(submit(undefined, start + maxClockAhead).request.state, 'partial');
    assert.equal(submit(undefined, start - maxClockAhead).request.state, 'partial');
    refusesCommand('expired', () => submit(undefined, start + maxClockAhead + 1), /more than 5 minutes ago/);
    refusesCommand('expired', () => submit(undefined, start - maxClockAhead - 1), /check the clocks/);
    const over = signRequest(world, [{ keyId: key.id, payload }], { expires: start + 10 });
    refusesCommand('expired', () => submit(over, start + 10), /ended at/);
  });

  it('cannot stretch its life beyond 24 hours', () => {
    const long = partial({ expires: start + 1000 * hour });
    assert.equal(long.request.expires, start + defaultRequestLifetime);
    assert.equal(long.expire(start + defaultRequestLifetime - 1).request.state, 'partial');
    assert.equal(long.expire(start + defaultRequestLifetime).request.reason?.code, 'approval_timeout');
    assert.equal(partial({ expires: start + 2 * hour }).request.expires, start + 2 * hour);
  });
});

describe('a partial request', () => {
  it('becomes pending with the approval that was missing', () => {
    const signing = partial();
    signing.decide(by(signing, 'bob'));
    assert.equal(signing.request.state, 'pending');
    assert.deepEqual(signing.happened, ['partial', 'decision', 'pending']);
    assert.equal(signing.request.pinned?.threshold, 2);
  });

  it('stays partial while the policy is not met', () => {
    const three = createWorld({
      name: 'three',
      signPolicy: { version: 1, rules: [{ ...alonePolicy.rules[0]!, require: { k: 3, of: 'owners' } }] },
    });
    const asked = new Coordinated(three, keyRequest(three), []);
    asked
      .decide(by(asked, 'bob'))
      .decide(by(asked, 'bob', { seq: 2 }))
      .decide(by(asked, 'alice'));
    assert.deepEqual(asked.happened, ['partial', 'decision', 'decision', 'decision']);
    assert.equal(asked.request.state, 'partial');
    assert.equal(asked.decide(by(asked, 'carol')).request.state, 'pending');
  });

  it('is rejected by approvers once its policy can no longer be met', () => {
    const signing = partial();
    signing.decide(against(signing, 'bob'));
    assert.equal(signing.request.state, 'partial');
    signing.decide(against(signing, 'carol'));
    assert.equal(signing.request.state, 'rejected');
    assert.equal(signing.request.reason?.code, 'approvers');
    assert.deepEqual(signing.happened, ['partial', 'decision', 'decision', 'rejected']);
    assert.equal(signing.request.pinned, undefined);
  });

  it('is cancelled by its initiator, in the group or not', () => {
    const signing = partial();
    signing.decide(against(signing, 'alice'));
    assert.equal(signing.request.reason?.code, 'cancelled');
    const bobs = createWorld({
      name: 'bobs',
      signPolicy: { version: 1, rules: [{ ...alonePolicy.rules[0]!, require: { k: 1, of: ['bob'] } }] },
    });
    const asked = new Coordinated(bobs, keyRequest(bobs), []);
    asked.unchangedBy('forbidden', () => asked.decide(by(asked, 'alice')), /no approver/);
    asked.unchangedBy('forbidden', () => asked.decide(against(asked, 'carol')), /no approver/);
    assert.equal(asked.decide(against(asked, 'alice')).request.reason?.code, 'cancelled');
  });

  it('takes a decision again with a higher seq, and only then', () => {
    const signing = partial();
    signing.decide(against(signing, 'bob', { seq: 3 }));
    for (const seq of [1, 2, 3]) {
      signing.unchangedBy(
        'wrong_state',
        () => signing.decide(by(signing, 'bob', { seq })),
        /has made decision 3/,
      );
    }
    assert.equal(signing.decide(by(signing, 'bob', { seq: 4 })).request.state, 'pending');
  });

  it('does not change by the same decision again', () => {
    const signing = partial();
    const rejected = against(signing, 'bob');
    signing.decide(rejected);
    const before = signing.request;
    assert.doesNotThrow(() => signing.decide(rejected).decide(structuredClone(rejected)));
    assert.equal(signing.request, before);
    assert.deepEqual(signing.happened, ['partial', 'decision']);
    // Who does not sign it does not send it again: the answer shows the request.
    signing.unchangedBy('bad_signature', () => signing.decide({ ...rejected, signatures: [] }));
    const forged = {
      ...rejected,
      signatures: [{ ...rejected.signatures[0]!, credential: mallory.credential }],
    };
    signing.unchangedBy('bad_signature', () => signing.decide(forged));
  });

  it('takes no decision of anybody else, nor about anything else', () => {
    const signing = partial();
    const other = partial();
    const foreign = createWorld({ name: 'foreign' });
    const change = (code: Parameters<typeof refusesCommand>[0], envelope: ReturnType<typeof approve>) =>
      signing.unchangedBy(code, () => signing.decide(envelope));
    change('bad_signature', by(signing, 'bob', { signer: mallory }));
    change('bad_signature', against(signing, 'bob', { signer: mallory }));
    change('bad_signature', by(signing, 'bob', { signer: world.owners['carol'] }));
    change('bad_signature', by(other, 'bob'));
    change('stale_log_head', approve(foreign, signing.id, 'bob'));
    change('bad_signature', approve(world, signing.id, 'mallory', { signer: mallory }));
    change('expired', by(signing, 'bob', { expires: signing.now }));
    change('invalid_params', key.request);
  });

  it('takes only so many decisions of one principal, and can be cancelled all the same', () => {
    const signing = partial();
    for (let seq = 1; seq <= 20; seq++) signing.decide(against(signing, 'bob', { seq }));
    signing.unchangedBy(
      'wrong_state',
      () => signing.decide(by(signing, 'bob', { seq: 21 })),
      /decided 20 times/,
    );
    for (let seq = 1; seq <= 20; seq++) signing.decide(by(signing, 'alice', { seq }));
    signing.unchangedBy(
      'wrong_state',
      () => signing.decide(by(signing, 'alice', { seq: 21 })),
      /decided 20 times/,
    );
    assert.doesNotThrow(() => signing.decide(against(signing, 'alice', { seq: 21 })));
    assert.equal(signing.request.reason?.code, 'cancelled');
  });

  it('gives nodes the decisions that count, however often approvers decide', () => {
    const names = Array.from({ length: 25 }, (_, index) => `owner-${index}`);
    const many = createWorld({
      name: 'many',
      owners: names,
      signPolicy: {
        version: 1,
        rules: [
          { ...alonePolicy.rules[0]!, require: { k: 25, of: 'owners' }, reject: { k: 25, of: 'owners' } },
        ],
      },
    });
    const asked = new Coordinated(many, keyRequest(many), []);
    // As the state machine stores them, one after the other.
    const decisions = names.slice(1).flatMap((name) => {
      return Array.from({ length: 17 }, (_, index) => against(asked, name, { seq: index + 1 }));
    });
    const evidence = evidenceSchema.parse(evidenceOf({ ...asked.request, decisions }, asked.context));
    assert.deepEqual(
      evidence.decisions,
      names.slice(1).map((name) => against(asked, name, { seq: 17 })),
    );
  });

  it('takes no results', () => {
    const signing = partial();
    for (const result of [signing.signature(0), signing.refusal(0)]) {
      signing.unchangedBy('wrong_state', () => signing.result(result), /awaits its approvers/);
    }
  });

  it('counts approvals that run, not those that ran out meanwhile', () => {
    const three = createWorld({
      name: 'three again',
      signPolicy: { version: 1, rules: [{ ...alonePolicy.rules[0]!, require: { k: 3, of: 'owners' } }] },
    });
    const asked = new Coordinated(three, keyRequest(three), []);
    asked.decide(by(asked, 'bob', { expires: asked.now + 10 }));
    asked.now += 10;
    assert.equal(asked.decide(by(asked, 'carol')).request.state, 'partial');
    assert.deepEqual(requestView(asked.request, asked.context, asked.now).missing?.[0]?.from, ['bob']);
    assert.equal(asked.decide(by(asked, 'bob', { seq: 2 })).request.state, 'pending');
  });
});

describe('time', () => {
  it('ends a partial request as approval_timeout, a pending one as mpc_timeout, and no other', () => {
    const end = start + hour;
    const waiting = partial();
    assert.equal(waiting.expire(end - 1).request.state, 'partial');
    assert.equal(waiting.expire(end).request.reason?.code, 'approval_timeout');
    const going = pending();
    assert.equal(going.expire(end - 1).request.state, 'pending');
    assert.equal(going.expire(end).request.reason?.code, 'mpc_timeout');
    assert.deepEqual(going.happened, ['partial', 'decision', 'pending', 'rejected']);
    for (const over of [waiting, going]) {
      const { request } = over;
      assert.equal(over.expire(end + hour).request, request);
      over.unchangedBy('wrong_state', () => over.decide(by(over, 'carol')));
    }
  });

  it('does not undo what was fulfilled', () => {
    const signing = pending();
    signing.sign(0);
    signing.sign(1);
    assert.equal(signing.expire(start + 100 * hour).request.state, 'fulfilled');
  });

  it('that goes back does not make a stored request unreadable', () => {
    const ahead = signRequest(world, [{ keyId: key.id, payload }], { created: start + maxClockAhead });
    const asked = new Coordinated(world, ahead, [key], start);
    // The clock was corrected by ten minutes after the request was stored.
    const view = requestView(asked.request, asked.context, start - 2 * maxClockAhead);
    assert.equal(view.state, 'partial');
    assert.equal(requestView(asked.request, asked.context, start + 100 * hour).state, 'partial');
  });
});

describe('a pending request', () => {
  it('takes renewed and further approvals, without another state', () => {
    const signing = pending();
    signing.decide(by(signing, 'bob', { seq: 2, expires: start + 2 * hour })).decide(by(signing, 'carol'));
    assert.deepEqual(signing.happened, ['partial', 'decision', 'pending', 'decision', 'decision']);
    assert.equal(signing.request.decisions.length, 3);
  });

  it('cannot be rejected or cancelled any more: the parties may have signed', () => {
    const signing = pending();
    for (const name of ['alice', 'bob', 'carol']) {
      signing.unchangedBy(
        'wrong_state',
        () => signing.decide(against(signing, name, { seq: 9 })),
        /is pending/,
      );
    }
  });

  it('stays pending when approvals run out, and says whose are wanted again', () => {
    const signing = partial();
    signing.decide(by(signing, 'bob', { expires: signing.now + 10 }));
    assert.equal(requestView(signing.request, signing.context, signing.now).missing, undefined);
    signing.expire(signing.now + 10);
    const view = requestView(signing.request, signing.context, signing.now);
    assert.equal(view.state, 'pending');
    assert.deepEqual(view.missing?.[0]?.from, ['bob', 'carol']);
    signing.decide(by(signing, 'bob', { seq: 2 }));
    assert.equal(requestView(signing.request, signing.context, signing.now).missing, undefined);
  });
});

describe('how a request is shown', () => {
  it('fits the schema in every state', () => {
    const rejected = partial();
    rejected.decide(against(rejected, 'alice'));
    const fulfilled = pending();
    fulfilled.sign(0);
    fulfilled.sign(2);
    const over = pending().expire(start + hour);
    for (const [signing, state, mayHaveBeenSigned] of [
      [partial(), 'partial', false],
      [pending(), 'pending', false],
      [rejected, 'rejected', false],
      [fulfilled, 'fulfilled', false],
      [over, 'rejected', true],
    ] as const) {
      const view = requestViewSchema.parse(requestView(signing.request, signing.context, signing.now));
      assert.equal(view.state, state);
      assert.equal(view.mayHaveBeenSigned, mayHaveBeenSigned);
      assert.equal(view.signatures !== undefined, state === 'fulfilled');
      assert.equal(view.reason !== undefined, state === 'rejected');
    }
  });
});
