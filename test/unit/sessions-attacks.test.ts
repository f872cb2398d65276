// Messages that only a dishonest party sends, one after the other: each is refused under its name, nothing is stored or
// signed because of it, and the honest parties still fulfil the request.
import assert from 'node:assert/strict';
import type { SessionErrorCode } from '../../node/sessions/error.ts';
import { attemptIdOf, checkPropose } from '../../node/sessions/attempt.ts';
import { decodeFrame, encodeFrame, type FrameOf, type Propose } from '../../node/sessions/wire.ts';
import {
  assertFulfilled,
  assertRefused,
  codesAt,
  keyedNetwork,
  keyTypes,
  type Scene,
  scene,
  stranger,
} from '../support/attack-scene.ts';
import { createWorld, networkId, seedOf } from '../support/fixture.ts';
import { Attacker, framesSent, type KeyedNetwork } from '../support/session-attacker.ts';

for (const keyType of keyTypes)
  describe(`sessions: PROPOSE, ${keyType}`, () => {
    const network = async (): Promise<KeyedNetwork> => await keyedNetwork(3, 2, keyType);
    const cases: [string, SessionErrorCode, (scene: Scene) => Uint8Array | Promise<Uint8Array>][] = [
      [
        'of a stranger, passed on',
        'wrong_sender',
        ({ attacker, full }) => {
          const { propose } = attacker.attempt(full, 1, { leader: stranger.credential });
          return encodeFrame('propose', propose, attacker.wire, stranger);
        },
      ],
      [
        'of another party, passed on',
        'wrong_sender',
        ({ attacker, full, net }) =>
          attacker.attempt(full, 1, { leader: net.node(1).party.credential }).frame,
      ],
      [
        'for another keyring',
        'wrong_keyring',
        ({ attacker, full }) =>
          attacker.attempt(full, 1, { keyringId: createWorld({ name: 'other' }).keyring.id }).frame,
      ],
      [
        'for another epoch',
        'wrong_keyring',
        ({ attacker, full }) => attacker.attempt(full, 1, { epoch: { roster: 1, run: 1 } }).frame,
      ],
      [
        'signed for another keyring',
        'bad_signature',
        ({ attacker, full }) => {
          const { propose } = attacker.attempt(full);
          const keyringId = createWorld({ name: 'other' }).keyring.id;
          return attacker.encode('propose', propose, { networkId, keyringId });
        },
      ],
      [
        'signed for another network',
        'bad_signature',
        ({ attacker, full }) => {
          const { propose } = attacker.attempt(full);
          return attacker.encode('propose', propose, { ...attacker.wire, networkId: 'other-network' });
        },
      ],
      [
        'with an order that leaves a party out',
        'stranger',
        ({ attacker, full, net }) => {
          const order = net.world.parties.map((party) => party.credential);
          return attacker.attempt(full, 1, { order: [...order.slice(1), stranger.credential] }).frame;
        },
      ],
      [
        'with a counter that does not fit the id',
        'malformed_message',
        ({ attacker, full }) => attacker.attempt(full, 2 ** 32 + 1).frame,
      ],
    ];
    for (const [name, code, make] of cases)
      it(`${name}: ${code}`, async () => {
        const scenery = await scene(3, 2, network);
        const { net, attacker } = scenery;
        await net.deliver(attacker.signer.credential, 0, await make(scenery));
        assertRefused(scenery, code);
        assert.deepEqual(framesSent(net, net.node(0).party.credential, 'accept'), []);
        await assertFulfilled(scenery);
      });

    it('from somebody who is no party: stranger', async () => {
      const scenery = await scene(3, 2, network);
      const { attacker, full, net } = scenery;
      await net.deliver(stranger.credential, 0, attacker.attempt(full).frame);
      assertRefused(scenery, 'stranger');
      await assertFulfilled(scenery);
    });

    it('of another payload, in any item, or of one more: declined, and the leader is named', async () => {
      type Digests = readonly Uint8Array[];
      const declines = async (shown: (own: Digests) => Digests): Promise<void> => {
        const scenery = await scene(3, 2, network);
        const { attacker, full, net, id } = scenery;
        const { credential } = attacker.signer;
        const digests = [...shown(attacker.attempt(full).propose.digests)];
        await net.deliver(credential, 0, attacker.attempt(full, 1, { digests }).frame);
        await net.until(() => attacker.received.some(({ frame }) => frame.type === 'decline'));
        const { frame } = attacker.received.find((each) => each.frame.type === 'decline') ?? {};
        assert(frame?.type === 'decline');
        const { attemptId, reason } = frame.content;
        assert.equal(reason, 'digests');
        assert.deepEqual(net.logged(0, 'session.incident'), [
          { requestId: id, attemptId, code: 'digests', culprit: credential },
        ]);
        await assertFulfilled(scenery);
      };
      const other = seedOf('other payload');
      const { payloads } = await network();
      for (const item of payloads.keys())
        await assert.doesNotReject(
          declines((own) => own.map((digest, at) => (at === item ? other : digest))),
        );
      await assert.doesNotReject(declines((own) => [...own, other]));
    });

    it('under another log head: declined', async () => {
      const scenery = await scene(3, 2, network);
      const { attacker, full, net } = scenery;
      const logHead = { seq: 1, id: net.key.id };
      await net.deliver(attacker.signer.credential, 0, attacker.attempt(full, 1, { logHead }).frame);
      const [declined] = framesSent(net, net.node(0).party.credential, 'decline');
      assert.equal(declined?.frame.content.reason, 'log_head');
      await assertFulfilled(scenery);
    });

    it('of a stranger cannot stand in a START either', async () => {
      const { attacker, full, net } = await scene(3, 2, network);
      const { propose } = attacker.attempt(full, 1, { leader: stranger.credential });
      const frame = decodeFrame(
        encodeFrame('propose', propose, attacker.wire, stranger),
      ) as FrameOf<'propose'>;
      assert.throws(
        () => checkPropose(frame, net.world.keyring, attacker.wire),
        (error: { code?: string }) => error.code === 'stranger',
      );
      await net.stop();
    });

    it('has an id of its own for whatever it is about', async () => {
      const { attacker, full, net } = await scene(3, 2, network);
      const { propose } = attacker.attempt(full);
      const others: Partial<Propose>[] = [
        { purpose: 'generate' },
        { requestId: net.key.id },
        { keyringId: net.key.id },
        { epoch: { roster: 1, run: 1 } },
        { leader: stranger.credential },
        { boot: '0b'.repeat(16) },
        { counter: 2 },
        { digests: [seedOf('other payload')] },
        { digests: [...propose.digests, ...propose.digests] },
      ];
      const ids = others.map((change) => attemptIdOf({ ...propose, ...change }, networkId));
      const all = [attemptIdOf(propose, networkId), attemptIdOf(propose, 'other-network'), ...ids];
      assert.equal(new Set(all).size, others.length + 2);
      await net.stop();
    });

    it('twice: accepted once, also after its attempt has ended', async () => {
      const scenery = await scene(3, 2, network);
      const { attacker, full, net, id } = scenery;
      const attempt = attacker.attempt(full, 2);
      const accepts = (): number => framesSent(net, net.node(0).party.credential, 'accept').length;
      const { credential } = attacker.signer;
      for (let copy = 0; copy < 2; copy++) await net.deliver(credential, 0, attempt.frame);
      assert.equal(accepts(), 1);
      await net.deliver(credential, 0, attacker.abort(attempt.attemptId, id));
      net.clock.after(1000, () => undefined);
      net.intercept = (sent) => (decodeFrame(sent.bytes).type === 'propose' ? undefined : sent.bytes);
      await net.pass(1000);
      await net.deliver(credential, 0, attempt.frame);
      await net.deliver(credential, 0, attacker.attempt(full, 1).frame);
      assert.equal(accepts(), 1, 'neither again nor an older one');
      net.intercept = (sent) => sent.bytes;
      await assertFulfilled(scenery);
    });

    it('of an earlier process of the leader does not end the attempt that runs', async () => {
      const scenery = await scene(3, 2, network);
      const { attacker, full, net } = scenery;
      const { credential } = attacker.signer;
      const attempt = attacker.attempt(full);
      await net.deliver(credential, 0, attempt.frame);
      await net.deliver(credential, 0, attacker.attempt(full, 7, { boot: '0b'.repeat(16) }).frame);
      assert.equal(framesSent(net, net.node(0).party.credential, 'accept').length, 1);
      const [declined] = framesSent(net, net.node(0).party.credential, 'decline');
      assert.equal(declined?.frame.content.reason, 'busy');
      assert.deepEqual(codesAt(net), []);
      await assertFulfilled(scenery);
    });
  });

for (const keyType of keyTypes)
  describe(`sessions: ACCEPT, ${keyType}`, () => {
    it('of another party, passed on: wrong_sender', async () => {
      const net = await keyedNetwork(3, 2, keyType);
      const attacker = new Attacker(net, 2);
      for (const index of [0, 1]) await net.boot(index);
      const { id, full } = net.messageLedBy(0, 1, 2);
      const member = net.node(1).party.credential;
      net.intercept = (sent) => {
        if (sent.from !== member || decodeFrame(sent.bytes).type !== 'accept') return sent.bytes;
        attacker.send(0, sent.bytes);
        return undefined;
      };
      await net.submit(full, [0, 1]);
      const scenery = { net, attacker, honest: [0, 1], id, full };
      const codes = (): unknown[] => codesAt(net).map(({ code }) => code);
      await net.until(() => codes().includes('wrong_sender'));
      assert.deepEqual(net.logged(0, 'session.started'), []);
      net.intercept = (sent) => sent.bytes;
      await assertFulfilled(scenery);
    });
  });

for (const keyType of keyTypes)
  describe(`sessions: ROUND and ABORT, ${keyType}`, () => {
    /** Party 1 leads, party 0 is with it; rounds between the two are held back. Party 2 is the attacker, an outsider. */
    async function running() {
      const net = await keyedNetwork(3, 2, keyType);
      const attacker = new Attacker(net, 2);
      for (const index of [0, 1]) await net.boot(index);
      const { id, full } = net.messageLedBy(1, 0, 2);
      const held: FrameOf<'round'>[] = [];
      net.intercept = (sent) => {
        const frame = decodeFrame(sent.bytes);
        if (frame.type !== 'round' || sent.to !== net.node(0).party.credential) return sent.bytes;
        held.push(frame);
        return undefined;
      };
      for (const index of [0, 1]) await net.node(index).sessions.submit(full);
      await net.until(() => held.length > 0 && net.logged(0, 'session.started').length > 0);
      const round = held[0];
      assert(round);
      return { net, attacker, honest: [0, 1], id, full, round };
    }
    const finish = async (scenery: Scene & { round: FrameOf<'round'> }): Promise<void> => {
      const { net, round, id, honest } = scenery;
      assert(!net.node(0).store.finished.has(id));
      net.intercept = (sent) => sent.bytes;
      await net.deliver(net.node(1).party.credential, 0, round.bytes);
      await net.until(() => net.logged(0, 'session.signed').length > 0);
      assert.equal(net.logged(0, 'session.started').length, 1, 'the attempt was not disturbed');
      await net.signedBy(id, honest);
      await net.stop();
    };

    it('of somebody outside the set is dropped', async () => {
      const scenery = await running();
      const { net, attacker, round } = scenery;
      await net.deliver(attacker.signer.credential, 0, attacker.encode('round', round.content));
      assert.deepEqual(codesAt(net), []);
      await finish(scenery);
    });

    it('of another session is answered with the START, once', async () => {
      const scenery = await running();
      const { net, attacker, round } = scenery;
      const member = net.node(1).party;
      const other = { ...round.content, sid: seedOf('other session') };
      const shown = (): number =>
        framesSent(net, net.node(0).party.credential, 'start').filter(({ to }) => to === member.credential)
          .length;
      for (let copy = 0; copy < 3; copy++)
        await net.deliver(member.credential, 0, encodeFrame('round', other, attacker.wire, member));
      assert.equal(shown(), 1);
      assert.deepEqual(codesAt(net), []);
      await finish(scenery);
    });

    it("under another party's name: bad_signature", async () => {
      const scenery = await running();
      const { net, attacker, round } = scenery;
      await net.deliver(net.node(1).party.credential, 0, attacker.encode('round', round.content));
      assertRefused(scenery, 'bad_signature');
      await finish(scenery);
    });

    it('of an attempt that is not running changes nothing', async () => {
      const scenery = await running();
      const { net, round } = scenery;
      const member = net.node(1).party;
      const unknown = { ...round.content, attemptId: '00'.repeat(32) };
      await net.deliver(member.credential, 0, encodeFrame('round', unknown, scenery.attacker.wire, member));
      assert.deepEqual(codesAt(net), []);
      await finish(scenery);
    });

    it('ABORT of somebody outside the set is ignored', async () => {
      const scenery = await running();
      const { net, attacker, round, id } = scenery;
      const culprit = net.node(1).party.credential;
      const abort = {
        attemptId: round.content.attemptId,
        requestId: id,
        code: 'invalid_share',
        awaited: [],
        culprit,
      };
      await net.deliver(attacker.signer.credential, 0, attacker.encode('abort', abort));
      assert.deepEqual(codesAt(net), []);
      await finish(scenery);
    });

    it('ABORT of a member ends the attempt, but its accusation is not believed', async () => {
      const scenery = await running();
      const { net, round, id, attacker } = scenery;
      const member = net.node(1).party;
      const { attemptId } = round.content;
      const abort = {
        attemptId,
        requestId: id,
        code: 'invalid_share',
        awaited: [],
        culprit: net.node(0).party.credential,
      };
      await net.deliver(member.credential, 0, encodeFrame('abort', abort, attacker.wire, member));
      assert.deepEqual(codesAt(net), [{ code: 'aborted_by_peer', culprit: undefined }]);
      net.intercept = (sent) => sent.bytes;
      await net.signedBy(id, [0, 1]);
      await net.stop();
    });
  });
