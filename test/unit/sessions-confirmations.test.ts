// Confirmations of a generated key: only true ones of all parties make it active, and no two attempts share them out.
import assert from 'node:assert/strict';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import type { Hex } from '../../protocol/hex.ts';
import { addSignature, readContent } from '../../protocol/records/envelope.ts';
import { partyResult } from '../../protocol/records/party-result.ts';
import { MessageKind } from '../../node/mpc/rounds.ts';
import { attemptIdOf, leaderOrder } from '../../node/sessions/attempt.ts';
import { keyDigest } from '../../node/sessions/purpose.ts';
import { decodeFrame, encodeFrame, type Propose } from '../../node/sessions/wire.ts';
import {
  createWorld,
  evidence,
  idOf,
  keyRequest,
  networkId,
  resultBy,
  signerOf,
} from '../support/fixture.ts';
import { SessionWorld } from '../support/session-world.ts';

describe('sessions: confirmations of a key', () => {
  it('that are forged, of an outsider, of another key or epoch are refused, and the key becomes active', async () => {
    const net = new SessionWorld(createWorld({ name: 'confirmations' }));
    await net.bootAll();
    const request = keyRequest(net.world, { created: net.clock.now() });
    const id = idOf(request);
    const [first, second] = net.nodes;
    assert(first && second);
    net.intercept = (sent) =>
      sent.from === second.party.credential && decodeFrame(sent.bytes).type === 'confirm'
        ? undefined
        : sent.bytes;
    for (const node of net.nodes) await node.sessions.submit(evidence(net.world, request));
    await net.until(() => net.nodes.every((node) => node.store.pending.has(id)));
    await net.pass(100);
    assert(!first.store.active.has(id));
    const true2 = second.store.pending.get(id)?.confirmation;
    assert(true2);
    const { result } = readContent(partyResult, true2, networkId).content;
    assert(result.kind === 'key');
    const other = { ...result, chainCode: `0x${'11'.repeat(32)}` as Hex };
    const elsewhere = createWorld({ name: 'elsewhere' });
    const nextEpoch = { ...net.world, keyring: { ...net.world.keyring, epoch: { roster: 1, run: 1 } } };
    const sign = (message: Uint8Array): Uint8Array => signerOf('x').sign(message);
    const cases: [string, typeof true2][] = [
      [
        'bad_signature',
        {
          ...true2,
          signatures: true2.signatures.map((each) => ({ ...each, signature: `0x${'00'.repeat(64)}` as Hex })),
        },
      ],
      ['bad_signature', resultBy(net.world, { ...second.party, sign }, id, result)],
      ['stranger', resultBy(net.world, signerOf('outsider'), id, result)],
      ['wrong_keyring', resultBy(elsewhere, second.party, id, result)],
      ['wrong_keyring', resultBy(nextEpoch, second.party, id, result)],
      ['malformed_message', 'no record' as unknown as typeof true2],
      ['wrong_keyring', resultBy(net.world, second.party, idOf(keyRequest(net.world)), result)],
      [
        'wrong_keyring',
        resultBy(net.world, second.party, id, { kind: 'refusal', code: 'expired', reason: '' }),
      ],
    ];
    const wire = { networkId, keyringId: net.world.keyring.id };
    const confirm = async (envelope: typeof true2): Promise<void> => {
      const content = { requestId: id, confirmations: [utf8ToBytes(JSON.stringify(envelope))], want: false };
      await first.sessions.receive(
        second.party.credential,
        encodeFrame('confirm', content, wire, second.party),
      );
    };
    const codes = (event: string): unknown[] =>
      first.logged.flatMap((line) => (line.event === event ? [line.fields['code']] : []));
    for (const [code, envelope] of cases) {
      const before = codes('session.message_rejected');
      await confirm(envelope);
      assert(!first.store.active.has(id));
      assert.deepEqual(codes('session.message_rejected'), [...before, code]);
    }
    await confirm(resultBy(net.world, second.party, id, other));
    const incident = first.logged.findLast((line) => line.event === 'session.incident')?.fields;
    assert.equal(incident?.['code'], 'unequal_confirmation');
    assert.equal(incident?.['party'], second.party.credential);
    assert(!('culprit' in (incident ?? {})), 'two unequal confirmations do not say who is wrong');
    assert(!first.store.active.has(id));
    // The true one counts, also with a signature that somebody added on the way.
    await confirm(addSignature(true2, networkId, signerOf('stranger')));
    assert.equal(first.store.active.has(id), true, 'the key is active');
    assert.deepEqual(
      first.store.active.get(id)?.certificate.find((each) => each.bytes === true2.bytes),
      true2,
    );
    await net.stop();
  });

  it('of two attempts at once cannot be split: a second leader is told to wait', async () => {
    const world = createWorld({ name: 'two attempts' });
    const net = new SessionWorld(world);
    await net.bootAll();
    const request = keyRequest(world, { created: net.clock.now() });
    const declined: string[] = [];
    const attempts: string[] = [];
    const order = leaderOrder(
      world.parties.map((party) => party.credential),
      idOf(request),
    );
    const late = (to: string, from: string, bytes: Uint8Array, ms: number): undefined => {
      const receiver = net.nodes.find((node) => node.party.credential === to);
      net.clock.after(ms, () => void receiver?.sessions.receive(from, bytes));
    };
    net.intercept = ({ from, to, bytes }) => {
      const frame = decodeFrame(bytes);
      if (frame.type === 'decline') declined.push(frame.content.reason);
      if (frame.type === 'propose') {
        const attemptId = attemptIdOf(frame.content, networkId);
        if (!attempts.includes(attemptId)) attempts.push(attemptId);
        // The first leader's PROPOSE is slow to the second, which proposes itself meanwhile.
        if (from !== order[0] || to === order[2]) return bytes;
        return to === undefined ? undefined : late(to, from, bytes, 1501);
      }
      // If both ran, the first leader would finish the second attempt first, and the second leader the first.
      const isReveal = frame.type === 'round' && frame.content.message[0] === MessageKind.dkgReveal;
      const turn = isReveal ? attempts.indexOf(frame.content.attemptId) : -1;
      return to !== undefined && turn >= 0 && to === order[turn] ? late(to, from, bytes, 300) : bytes;
    };
    for (const node of net.nodes) await node.sessions.submit(evidence(world, request));
    await net.until(() => net.nodes.every((node) => node.store.active.has(idOf(request))));
    assert(attempts.length > 1, 'two parties proposed');
    assert(declined.includes('busy'));
    await net.stop();
  });

  it('withheld, another attempt forced, then released: one key at most, from one confirmation each', async () => {
    const net = new SessionWorld(createWorld({ name: 'withheld' }));
    await net.bootAll();
    const created = net.clock.now();
    const request = keyRequest(net.world, { created });
    const id = idOf(request);
    const [first, second, cheat] = net.nodes;
    assert(first && second && cheat);
    const honest = [first, second];
    const { credential } = cheat.party;
    // Its confirmation stays with it, however it is asked.
    net.intercept = ({ from, bytes }) =>
      from === credential && decodeFrame(bytes).type === 'confirm' ? undefined : bytes;
    for (const node of net.nodes) await node.sessions.submit(evidence(net.world, request));
    await net.until(() => net.nodes.every((node) => node.store.pending.has(id)));
    await net.pass(100);
    const confirmed = honest.map((node) => node.store.pending.get(id)?.confirmation.bytes);
    const wire = { networkId, keyringId: net.world.keyring.id };
    const propose: Propose = {
      purpose: 'generate',
      requestId: id,
      keyringId: net.world.keyring.id,
      epoch: net.world.keyring.epoch,
      leader: credential,
      boot: cheat.boot,
      counter: 1000,
      digests: [keyDigest(id, 'ed25519')],
      logHead: net.world.workspace.head,
      commitment: new Uint8Array(32),
      order: net.world.parties.map((party) => party.credential),
    };
    const force = async (counter: number): Promise<void> => {
      const frame = encodeFrame('propose', { ...propose, counter }, wire, cheat.party);
      for (const node of honest) await node.sessions.receive(credential, frame);
      await net.settle();
      const forced = attemptIdOf({ ...propose, counter }, networkId);
      const accepts = net.sent.map(({ bytes }) => decodeFrame(bytes)).filter(({ type }) => type === 'accept');
      assert(!accepts.some((each) => each.type === 'accept' && each.content.attemptId === forced));
    };
    await force(1000);
    // What a party has confirmed outlives its process.
    net.kill(0);
    await net.boot(0);
    await force(1001);
    for (const node of honest) assert(!node.store.active.has(id), 'not without all confirmations');
    net.intercept = (sent) => sent.bytes;
    await net.until(() => net.nodes.every((node) => node.store.active.has(id)), 60_000, 'the key');
    assert.deepEqual(
      honest.map((node) => node.store.pending.get(id)?.confirmation.bytes),
      confirmed,
      'the one confirmation it made',
    );
    const keys = net.nodes.map((node) => String(node.store.active.get(id)?.share.publicKey));
    assert.equal(new Set(keys).size, 1);
    await net.stop();
  });
});
