// Nobody honest can be blamed: an enemy with every other party's key, and all messages of all sessions, makes bundles of
// whatever it has. Each is refused under its name.
import assert from 'node:assert/strict';
import { encodeCanonical } from '../../protocol/records/canonical.ts';
import { attemptIdOf } from '../../node/sessions/attempt.ts';
import { MessageKind } from '../../node/mpc/rounds.ts';
import { type BlameBundle } from '../../node/sessions/blame/bundle.ts';
import type { BlameError } from '../../node/sessions/blame/error.ts';
import { verifyBlame } from '../../node/sessions/blame/verify.ts';
import { decodeFrame, encodeFrame, type FrameOf } from '../../node/sessions/wire.ts';
import { scene } from '../support/attack-scene.ts';
import { requestKey } from '../support/cheats.ts';
import { createWorld, networkId, seedOf } from '../support/fixture.ts';
import { KeyedNetwork } from '../support/session-attacker.ts';
import { makeKey } from '../support/world-key.ts';
import { accusing, refused, neverBlamed, sentBy, bytesOf, respelt } from '../support/false-accusations.ts';

describe('blame: nobody honest can be blamed, in signing', () => {
  let net: KeyedNetwork;
  let starts: FrameOf<'start'>[];
  let party: string;
  let rounds: FrameOf<'round'>[];
  let proposes: FrameOf<'propose'>[];

  // Two requests of one key, signed by honest parties that all lead first in turn.
  before(async () => {
    net = await KeyedNetwork.create(3, 2);
    await net.bootAll();
    party = net.node(0).party.credential;
    for (let turn = 0; turn < 2; turn++) {
      const { id, full } = net.messageLedBy(0);
      await net.submit(full, [0, 1, 2]);
      await net.signedBy(id, [0, 1, 2]);
    }
    starts = sentBy(net, party, 'start');
    proposes = sentBy(net, party, 'propose');
    rounds = sentBy(net, party, 'round');
    assert.deepEqual([starts.length, proposes.length, rounds.length], [2, 2, 2]);
  });
  after(() => net.stop());

  it('by what it did: every combination of up to three of its messages', () => {
    const all = [
      ...proposes,
      ...starts,
      ...rounds,
      ...sentBy(net, net.node(1).party.credential, 'accept').slice(0, 1),
    ];
    const first = all.filter(({ type }) => type === 'propose' || type === 'start');
    for (const one of first) {
      neverBlamed(net, party, [one.bytes]);
      for (const two of all) neverBlamed(net, party, [one.bytes, two.bytes]);
    }
    for (const start of starts)
      for (const one of rounds)
        for (const two of rounds) neverBlamed(net, party, [start.bytes, one.bytes, two.bytes]);
  });

  it('by its true share', () => {
    refused(
      accusing(net, party, 'invalid_share', [starts[0]!.bytes, rounds[0]!.bytes]),
      'not_proven',
      /is right/,
    );
  });

  it('by messages of another session or request', () => {
    refused(accusing(net, party, 'invalid_share', [starts[0]!.bytes, rounds[1]!.bytes]), 'wrong_session');
    refused(
      accusing(net, party, 'equivocation', [starts[0]!.bytes, rounds[0]!.bytes, rounds[1]!.bytes]),
      'wrong_session',
    );
    refused(
      accusing(net, party, 'leader_equivocated', [starts[0]!.bytes, starts[1]!.bytes]),
      'wrong_session',
    );
    refused(
      accusing(net, party, 'leader_equivocated', [proposes[0]!.bytes, proposes[1]!.bytes]),
      'wrong_session',
    );
  });

  it('by a PROPOSE, a START or a share sent twice, or spelt twice', () => {
    for (const frame of [proposes[0]!, starts[0]!])
      for (const other of [frame.bytes, respelt(frame)])
        refused(accusing(net, party, 'leader_equivocated', [frame.bytes, other]), 'not_proven', /the same/);
    const [share] = rounds;
    for (const other of [share!.bytes, respelt(share!)])
      refused(
        accusing(net, party, 'equivocation', [starts[0]!.bytes, share!.bytes, other]),
        'not_proven',
        /the same message twice/,
      );
  });

  it("by another party's share, or one that is signed by somebody else", () => {
    const other = net.nodes
      .map((node) => node.party.credential)
      .find((each) => each !== party && sentBy(net, each, 'round').length > 0)!;
    const [share] = sentBy(net, other, 'round');
    const start = starts.find(({ bytes }) => {
      try {
        verifyBlame(encodeCanonical(accusing(net, other, 'invalid_share', [bytes, share!.bytes])));
        return false;
      } catch (error) {
        return /is right/.test((error as BlameError).message);
      }
    })!;
    refused(accusing(net, party, 'invalid_share', [start.bytes, share!.bytes]), 'bad_frame', /bad_signature/);
    const outside = net.nodes
      .map((node) => node.party.credential)
      .find((each) => each !== party && each !== other)!;
    refused(
      accusing(net, outside, 'invalid_share', [start.bytes, share!.bytes]),
      'not_proven',
      /not in the set/,
    );
  });

  it('by a share judged for another message, item, key or certificate', () => {
    const frames = [starts[0]!.bytes, rounds[0]!.bytes];
    const honest = accusing(net, party, 'invalid_share', frames);
    const { signing } = honest;
    assert(signing);
    const foreign = makeKey(createWorld({ name: 'foreign' }));
    const same = makeKey(net.world, 'same keyring');
    const changes: [NonNullable<BlameBundle['signing']>, RegExp][] = [
      [{ ...signing, message: '0x00' }, /not this message/],
      [{ ...signing, item: 1 }, /not this message/],
      [
        { ...signing, key: { request: foreign.request, certificate: [...foreign.certificate] } },
        /not proven/,
      ],
      [
        { ...signing, key: { request: same.request, certificate: [...same.certificate] } },
        /not this message/,
      ],
      // The certificate of another key under this one's request: the accused has not signed that.
      [{ ...signing, key: { ...signing.key, certificate: [...same.certificate] } }, /not proven/],
      [{ ...signing, key: { ...signing.key, certificate: signing.key.certificate.slice(1) } }, /not proven/],
    ];
    for (const [change, words] of changes) refused({ ...honest, signing: change }, 'bad_context', words);
    const { signing: _, ...bare } = honest;
    refused(bare, 'malformed');
    refused({ ...honest, generating: { keyType: 'ed25519' } }, 'malformed');
  });

  it('in another keyring, or as somebody who is no party', () => {
    const bundle = accusing(net, party, 'invalid_share', [starts[0]!.bytes, rounds[0]!.bytes]);
    const elsewhere = createWorld({ name: 'elsewhere' });
    refused({ ...bundle, roster: elsewhere.keyring.envelope }, 'not_a_party');
    refused({ ...bundle, networkId: 'other-network' }, 'bad_roster');
    refused(
      { ...bundle, roster: { ...bundle.roster, signatures: bundle.roster.signatures.slice(0, -1) } },
      'bad_roster',
    );
    refused({ ...bundle, accused: elsewhere.parties[0]!.credential }, 'not_a_party');
  });
});

describe('blame: nobody honest can be blamed, with a leader that cheats', () => {
  async function accepted() {
    const scenery = await scene(4, 3);
    const { attacker, full, net, honest } = scenery;
    const attempt = attacker.attempt(full);
    attacker.toAll(attempt.frame);
    await net.until(() => attacker.accepts(attempt.attemptId).size === honest.length);
    const accepts = honest.map((index) =>
      attacker.accepts(attempt.attemptId).get(net.node(index).party.credential)!,
    );
    return { ...scenery, attempt, accepts };
  }

  it('by answering one START, where the leader has signed another that it never saw', async () => {
    const { net, attacker, attempt, accepts } = await accepted();
    const party = net.node(0).party.credential;
    const shown = attacker.start(attempt, [attempt.accept, accepts[0]!.bytes, accepts[1]!.bytes]);
    const hidden = attacker.start(attempt, [attempt.accept, accepts[1]!.bytes, accepts[0]!.bytes]);
    await net.deliver(attacker.signer.credential, 0, shown);
    const [share] = sentBy(net, party, 'round');
    assert(share);
    for (const frames of [
      [hidden, share.bytes],
      [hidden, share.bytes, share.bytes],
      [shown, hidden, share.bytes],
    ])
      neverBlamed(net, party, frames);
    refused(accusing(net, party, 'invalid_share', [hidden, share.bytes]), 'wrong_session');
    // Not even what is wrong in any session is proven under a START that it does not belong to.
    const { attemptId } = attempt;
    for (const other of [{ sid: seedOf('other') }, { attemptId: '00'.repeat(32) }]) {
      const { sid } = share.content;
      const short = attacker.encode('round', { attemptId, sid, message: new Uint8Array(20), ...other });
      const accused = attacker.signer.credential;
      refused(accusing(net, accused, 'malformed_message', [shown, short]), 'wrong_session');
    }
    await net.stop();
  });

  it('by its shares before and after a restart: two sessions under one attempt id', async () => {
    const { net, attacker, attempt, accepts } = await accepted();
    const party = net.node(0).party.credential;
    const { credential } = attacker.signer;
    const first = attacker.start(attempt, [attempt.accept, accepts[0]!.bytes, accepts[1]!.bytes]);
    await net.deliver(credential, 0, first);
    net.kill(0);
    await net.boot(0);
    // It knows nothing of before, accepts the same PROPOSE anew, and gets another START.
    await net.deliver(credential, 0, attempt.frame);
    await net.until(
      () =>
        sentBy(net, party, 'accept').filter((frame) => frame.content.attemptId === attempt.attemptId)
          .length === 2,
    );
    const again = sentBy(net, party, 'accept').findLast(
      (frame) => frame.content.attemptId === attempt.attemptId,
    )!;
    const second = attacker.start(attempt, [attempt.accept, again.bytes, accepts[1]!.bytes]);
    await net.deliver(credential, 0, second);
    const shares = sentBy(net, party, 'round').filter(
      (frame) => frame.content.attemptId === attempt.attemptId,
    );
    assert.equal(shares.length, 2, 'two sessions, one attempt id');
    const [before, after] = shares as [FrameOf<'round'>, FrameOf<'round'>];
    assert.notDeepEqual(before.content.sid, after.content.sid);
    for (const start of [first, second])
      for (const one of shares) {
        neverBlamed(net, party, [start, one.bytes]);
        for (const two of shares) neverBlamed(net, party, [start, one.bytes, two.bytes]);
      }
    refused(accusing(net, party, 'equivocation', [first, before.bytes, after.bytes]), 'wrong_session');
    // And the leader is guilty of its two STARTs.
    const verdict = verifyBlame(
      encodeCanonical(accusing(net, credential, 'leader_equivocated', [first, second])),
    );
    assert.equal(verdict.accused, credential);
    for (const accept of [accepts[0]!, again])
      refused(accusing(net, party, 'item_count', [attempt.frame, accept.bytes]), 'not_proven');
    await net.stop();
  });

  it('by a START in which its commitments were altered, or that is for another epoch', async () => {
    const { net, attacker, attempt, accepts } = await accepted();
    const party = net.node(0).party.credential;
    const shown = attacker.start(attempt, [attempt.accept, accepts[0]!.bytes, accepts[1]!.bytes]);
    await net.deliver(attacker.signer.credential, 0, shown);
    const [share] = sentBy(net, party, 'round');
    const own = accepts[0]!;
    const nonces = own.content.nonces.map(({ hiding, binding }) => ({ hiding: binding, binding: hiding }));
    const unsigned = { credential: '', sign: () => own.signature! };
    const forged = encodeFrame('accept', { ...own.content, nonces }, attacker.wire, unsigned);
    const altered = attacker.start(attempt, [attempt.accept, forged, accepts[1]!.bytes]);
    refused(accusing(net, party, 'invalid_share', [altered, share!.bytes]), 'bad_frame', /bad_signature/);
    // The leader's own commitments are its to choose: another choice is another session.
    const swapped = attacker.start(attempt, [
      attacker.accept(attempt.attemptId, attempt.propose),
      own.bytes,
      accepts[1]!.bytes,
    ]);
    refused(
      accusing(net, party, 'invalid_share', [swapped, share!.bytes]),
      'bad_frame',
      /commitment_mismatch/,
    );
    const epoch = attacker.encode('propose', { ...attempt.propose, epoch: { roster: 1, run: 1 } });
    const late = attacker.start({ ...attempt, frame: epoch }, [attempt.accept, own.bytes, accepts[1]!.bytes]);
    refused(accusing(net, party, 'invalid_share', [late, share!.bytes]), 'bad_frame', /wrong_keyring/);
    refused(accusing(net, party, 'malformed_point', [shown]), 'not_proven', /valid points/);
    await net.stop();
  });

  it('by what the leader did: the same frames name the leader, and no claim can turn that round', async () => {
    const { net, attacker, attempt, accepts } = await accepted();
    const { credential } = attacker.signer;
    const start = attacker.start(attempt, [attempt.accept, ...accepts.map(bytesOf)]);
    const verdict = verifyBlame(encodeCanonical(accusing(net, credential, 'set_size', [start])));
    assert.equal(verdict.accused, credential);
    refused(accusing(net, net.node(0).party.credential, 'set_size', [start]), 'another_fault');
    refused(accusing(net, credential, 'duplicate_member', [start]), 'another_fault');
    refused(accusing(net, credential, 'set_size', [start], { attemptId: '00'.repeat(32) }), 'another_fault');
    refused(accusing(net, credential, 'set_size', [start], { requestId: net.key.id }), 'another_fault');
    await net.stop();
  });
});

describe('blame: nobody honest can be blamed, in key generation', () => {
  it('by its commitment and its reveals, each for its own receiver, in one session or two', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.bootAll();
    for (let turn = 0; turn < 2; turn++) {
      const { id } = await requestKey(net, [0, 1, 2]);
      await net.until(() => net.nodes.every((node) => node.store.active.has(id)), 60_000, 'the key');
    }
    const starts = net.nodes.flatMap((node) => sentBy(net, node.party.credential, 'start'));
    assert.equal(starts.length, 2);
    for (const { party } of net.nodes) {
      const rounds = sentBy(net, party.credential, 'round');
      assert.equal(rounds.length, 2 * 3, 'a commitment and two reveals each');
      for (const start of starts)
        for (const one of rounds) {
          neverBlamed(net, party.credential, [start.bytes, one.bytes]);
          for (const two of rounds) neverBlamed(net, party.credential, [start.bytes, one.bytes, two.bytes]);
        }
      const [start] = starts;
      const own = rounds.filter(({ content }) => {
        const inner = decodeFrame(start!.content.propose) as FrameOf<'propose'>;
        return content.attemptId === attemptIdOf(inner.content, networkId);
      });
      const commit = own.find(({ content }) => content.message[0] === MessageKind.dkgCommit)!;
      const reveals = own.filter(({ content }) => content.message[0] === MessageKind.dkgReveal);
      for (const reveal of reveals)
        refused(
          accusing(net, party.credential, 'invalid_dealt_share', [start!.bytes, commit.bytes, reveal.bytes]),
          'not_proven',
          /lies on the committed polynomial/,
        );
      refused(
        accusing(net, party.credential, 'equivocation', [start!.bytes, ...reveals.map(bytesOf)]),
        'not_proven',
        /two receivers/,
      );
    }
    await net.stop();
  });
});
