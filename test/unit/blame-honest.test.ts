// Nobody honest can be blamed: an enemy with every other party's key, and all messages of all sessions, makes bundles of
// whatever it has. Each is refused under its name. Then: a true bundle altered anywhere never blames anybody else.
import assert from 'node:assert/strict';
import { encode } from 'cborg';
import { toHex } from '../../protocol/hex.ts';
import { decodePayload } from '../../protocol/payloads/payload.ts';
import { encodeCanonical } from '../../protocol/records/canonical.ts';
import { attemptIdOf } from '../../node/sessions/attempt.ts';
import { MessageKind } from '../../node/mpc/rounds.ts';
import {
  type BlameBundle,
  decodeBundle,
  type FaultCode,
  frameText,
} from '../../node/sessions/blame/bundle.ts';
import { BlameError, type BlameErrorCode } from '../../node/sessions/blame/error.ts';
import { verifyBlame } from '../../node/sessions/blame/verify.ts';
import {
  decodeFrame,
  encodeFrame,
  type Frame,
  type FrameOf,
  type MessageType,
} from '../../node/sessions/wire.ts';
import { scene } from '../support/attack-scene.ts';
import { CheatingDealer, cheatInRounds, requestKey } from '../support/cheats.ts';
import { createWorld, messagePayload, networkId, seedOf } from '../support/fixture.ts';
import { flip } from '../support/key-generation-runs.ts';
import { Attacker, framesSent, KeyedNetwork } from '../support/session-attacker.ts';
import { makeKey } from '../support/world-key.ts';

/** The bundle that an enemy would make of these frames. */
function accusing(
  net: KeyedNetwork,
  accused: string,
  code: FaultCode,
  frames: readonly Uint8Array[],
  changes: Partial<BlameBundle> = {},
): BlameBundle {
  const first = decodeFrame(frames[0]!);
  const propose = first.type === 'start' ? decodeFrame(first.content.propose) : first;
  assert(propose.type === 'propose');
  const { message } = decodePayload(messagePayload('hello'), {
    keyType: 'ed25519',
    publicKey: Buffer.from(net.key.publicKey.slice(2), 'hex'),
  });
  const inRounds = frames.length > 1 && decodeFrame(frames[1]!).type === 'round';
  const isKey = propose.content.purpose === 'generate';
  return {
    type: 'countersign.blame',
    version: 1,
    networkId,
    roster: net.world.keyring.envelope,
    accused,
    code,
    requestId: propose.content.requestId,
    attemptId: attemptIdOf(propose.content, networkId),
    frames: frames.map(frameText),
    ...(inRounds && isKey && { generating: { keyType: 'ed25519' } }),
    ...((inRounds || code === 'malformed_point') &&
      !isKey && {
        signing: {
          item: 0,
          message: toHex(message),
          key: { request: net.entry.request, certificate: [...net.entry.certificate] },
        },
      }),
    ...changes,
  };
}

function refused(bundle: BlameBundle, code: BlameErrorCode, words?: RegExp): void {
  assert.throws(
    () => verifyBlame(encodeCanonical(bundle)),
    (error: unknown) => {
      assert.ok(error instanceof BlameError, String(error));
      assert.equal(error.code, code, error.message);
      if (words) assert.match(error.message, words);
      return true;
    },
  );
}

/**
 * The frames prove no fault of their honest signer, whatever is claimed: the claim is only compared with what a replay has
 * found, so one claim stands for all others; `malformed_point` is the one that brings a key to a START.
 */
function neverBlamed(net: KeyedNetwork, accused: string, frames: readonly Uint8Array[]): void {
  for (const code of ['invalid_share', 'malformed_point'] as const)
    assert.throws(
      () => verifyBlame(encodeCanonical(accusing(net, accused, code, frames))),
      (error: unknown) => {
        assert.ok(error instanceof BlameError, String(error));
        assert.doesNotMatch(error.message, /it proves the fault/);
        return true;
      },
    );
}

/** What left a party, each message once. */
function sentBy<Type extends MessageType>(net: KeyedNetwork, party: string, type: Type): FrameOf<Type>[] {
  const frames = framesSent(net, party, type).map(({ frame }) => frame);
  return [...new Map(frames.map((frame) => [frame.body.join(), frame])).values()];
}

const bytesOf = (frame: Frame | undefined): Uint8Array => {
  assert(frame);
  return frame.bytes;
};

/** Another spelling of the same signed frame: its fields in another order. */
function respelt(frame: Frame): Uint8Array {
  const parts = new Map<string, unknown>([
    ['s', frame.signature],
    ['b', frame.body],
    ['t', frame.type],
  ]);
  const bytes = encode(parts, { mapSorter: () => 0 });
  assert.notDeepEqual(bytes, frame.bytes);
  assert.deepEqual(decodeFrame(bytes).body, frame.body);
  return bytes;
}

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

describe('blame: a true bundle, altered', () => {
  const bundles = new Map<string, { bytes: Uint8Array; accused: string; code: string }>();
  before(async () => {
    const signing = await KeyedNetwork.create(3, 2);
    await signing.bootAll();
    cheatInRounds(signing, 1, (message) => flip(message, message.length - 32));
    const { id, full } = signing.messageLedBy(1);
    await signing.submit(full, [0, 1, 2]);
    await signing.signedBy(id, [0, 2]);
    await signing.stop();
    const dealing = await KeyedNetwork.create(3, 2);
    const dealer = CheatingDealer.of(dealing, 2, {
      reveal: (_, reveal) => ({ ...reveal, share: flip(reveal.share, 0) }),
    });
    assert(dealer.attacker instanceof Attacker);
    for (const index of [0, 1]) await dealing.boot(index);
    await requestKey(dealing, [0, 1]);
    await dealing.until(() => dealing.nodes.some((node) => node.blamed.length > 0), 60_000, 'a proof');
    await dealing.stop();
    for (const net of [signing, dealing])
      for (const file of net.nodes.flatMap((node) => node.blamed).slice(0, 1)) bundles.set(file.code, file);
    assert.deepEqual([...bundles.keys()], ['invalid_share', 'invalid_dealt_share']);
  });

  /** Altered copies of a value, each in one leaf, with where. */
  function* alterations(value: unknown, path: string): Generator<[string, unknown]> {
    if (typeof value === 'string') {
      // Every byte field at its ends and, of the long ones, along the way.
      const step = Math.max(1, Math.floor(value.length / 12));
      for (let at = 0; at < value.length; at += step) {
        const other = value[at] === 'a' ? 'b' : 'a';
        yield [`${path}[${at}]`, value.slice(0, at) + other + value.slice(at + 1)];
      }
      yield [`${path} cut`, value.slice(0, -1)];
    } else if (typeof value === 'number') {
      yield [path, value + 1];
    } else if (Array.isArray(value)) {
      for (const [index, item] of value.entries()) {
        for (const [where, other] of alterations(item, `${path}.${index}`))
          yield [where, value.with(index, other)];
        yield [`${path}.${index} left out`, value.toSpliced(index, 1)];
        yield [`${path}.${index} twice`, value.toSpliced(index, 0, item)];
      }
      yield [`${path} reversed`, value.toReversed()];
    } else {
      const object = value as Record<string, unknown>;
      for (const [key, item] of Object.entries(object)) {
        for (const [where, other] of alterations(item, `${path}.${key}`))
          yield [where, { ...object, [key]: other }];
        const { [key]: _, ...rest } = object;
        yield [`${path}.${key} left out`, rest];
      }
    }
  }

  for (const code of ['invalid_share', 'invalid_dealt_share'])
    it(`${code}: in any one field, it blames nobody else`, () => {
      const { bytes, accused } = bundles.get(code)!;
      assert.equal(verifyBlame(bytes).accused, accused);
      let count = 0;
      const still: string[] = [];
      for (const [where, altered] of alterations(decodeBundle(bytes).bundle, 'bundle')) {
        count++;
        try {
          const verdict = verifyBlame(encodeCanonical(altered));
          assert.deepEqual([verdict.accused, verdict.code], [accused, code], where);
          still.push(where);
        } catch (error) {
          assert.ok(error instanceof BlameError, `${where}: ${String(error)}`);
        }
      }
      assert.ok(count > 200, String(count));
      // In which order confirmations or signatures stand does not matter: nothing else may be left.
      for (const where of still) assert.match(where, /certificate reversed|signatures reversed/);
    });

  it('is no bundle in another spelling, cut short, or with anything behind it', () => {
    const { bytes } = bundles.get('invalid_share')!;
    const text = new TextDecoder().decode(bytes);
    const spellings = [
      `${text}\n\n`,
      ` ${text}`,
      text.slice(0, -1),
      JSON.stringify(JSON.parse(text), undefined, 1),
      text.replace('{', '{"extra":1,'),
      text.replace('"version":1', '"version":2'),
      '',
      '[]',
      '\u0000',
    ];
    for (const spelling of spellings)
      assert.throws(
        () => verifyBlame(new TextEncoder().encode(spelling)),
        (error: unknown) => error instanceof BlameError && error.code === 'malformed',
        spelling.slice(0, 20),
      );
    assert.equal(verifyBlame(new TextEncoder().encode(`${text}\n`)).code, 'invalid_share');
  });

  it('is of no use with another keyring pinned', () => {
    const { bytes } = bundles.get('invalid_share')!;
    const other = createWorld({ name: 'pinned' }).keyring.id;
    assert.throws(
      () => verifyBlame(bytes, { keyringId: other }),
      (error: unknown) => error instanceof BlameError && error.code === 'wrong_keyring',
    );
  });
});
