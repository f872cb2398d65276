// Decisions that say what they are about: they count when that is what the request or the change is, at every verifier, and a
// wallet's approval counts in no other way.
import assert from 'node:assert/strict';
import { buildDecision, type DecisionOptions } from '../../client/records.ts';
import { authorize, type Evidence } from '../../protocol/authorize.ts';
import { aboutOf } from '../../protocol/records/about.ts';
import { decision as decisionRecord } from '../../protocol/records/decision.ts';
import { createRecord, type Envelope, readContent } from '../../protocol/records/envelope.ts';
import { request as requestRecord } from '../../protocol/records/request.ts';
import { judgeChange, openChange, openWorkspace } from '../../protocol/records/workspace.ts';
import { typedDataOf } from '../../client/owner-signatures.ts';
import { type ReceiptProof, verifyReceipt } from '../../protocol/receipt.ts';
import { proposed } from '../support/changes.ts';
import {
  approve,
  createWorld,
  evidence,
  hour,
  idOf,
  keyRequest,
  messagePayload,
  networkId,
  signRequest,
  start,
} from '../support/fixture.ts';
import { PasskeySigner } from '../support/passkey-signer.ts';
import { refuses } from '../support/record-samples.ts';
import { type ServiceWorld, stores, withService } from '../support/service-world.ts';
import { SessionWorld } from '../support/session-world.ts';
import { WalletSigner } from '../support/wallet-signer.ts';
import { makeKey, signatureBy, signedBy } from '../support/world-key.ts';

const wallet = new WalletSigner('about');
const passkey = new PasskeySigner('about');
const world = createWorld({
  name: 'about',
  credentials: { bob: [wallet.credential], carol: [passkey.credential] },
  signPolicy: {
    version: 1,
    rules: [
      {
        id: 'both',
        effect: 'allow',
        when: { kind: ['message', 'key.request'] },
        require: { k: 2, of: 'owners' },
      },
    ],
  },
});
const { workspace } = world;
const asked = keyRequest(world, { label: 'treasury' });
const other = keyRequest(world, { label: 'another' });
const trust = { networkId, now: start, keyringId: world.keyring.id };
const base = { networkId, now: start, workspace, decisions: [] } as const;
const byWallet = { credential: wallet.credential };

const draft = (
  subject: Envelope | `0x${string}`,
  author = byWallet,
  decided: Pick<DecisionOptions, 'decision'> = { decision: 'approve' },
): Envelope => buildDecision({ ...base, subject, ...decided } as DecisionOptions, author).envelope;
const signed = (subject: Envelope): Envelope => wallet.signRecord(draft(subject), networkId);

/** A decision of bob's on a subject, whatever it says of it, by his wallet. */
function saying(
  subject: Envelope,
  about: readonly string[] | undefined,
  decided: object = { decision: 'approve', expires: new Date(start + hour).toISOString() },
): Envelope {
  const content = {
    networkId,
    subject: idOf(subject),
    principal: 'bob',
    seq: 1,
    logHead: workspace.head,
    ...decided,
    ...(about && { about: [...about] }),
  };
  return wallet.signRecord(createRecord(decisionRecord, content as never), networkId);
}

const aboutRequest = (envelope: Envelope): readonly string[] =>
  aboutOf(requestRecord, readContent(requestRecord, envelope, networkId).content);
const rightly = aboutRequest(asked);
/** What a wallet may have been shown instead, each of which another signature makes valid. */
const wrongly: Readonly<Record<string, readonly string[] | undefined>> = {
  'nothing at all': undefined,
  'another request': aboutRequest(other),
  'one line changed': rightly.with(3, 'label: another'),
  'one line less': rightly.slice(0, -1),
  'one line more': [...rightly, 'and nothing else'],
  'in another order': rightly.toReversed(),
};

const judged = (full: Evidence) => {
  const verdict = authorize(full, trust);
  return [verdict.verdict, verdict.verdict === 'refused' ? [] : verdict.ignored] as const;
};

describe('decisions that say what they are about', () => {
  it('are shown by a wallet with what is decided on, and count', () => {
    const envelope = signed(asked);
    const { message } = typedDataOf(envelope, networkId);
    assert.deepEqual(message['about'], rightly);
    assert.equal(rightly[3], 'label: treasury');
    assert.deepEqual(judged(evidence(world, asked, { decisions: [envelope] })), ['authorised', []]);
    assert.deepEqual(judged(evidence(world, other, { decisions: [envelope] }))[0], 'waiting');
  });

  for (const [name, about] of Object.entries(wrongly))
    it(`do not count where a wallet was shown ${name}`, () => {
      const [verdict, ignored] = judged(evidence(world, asked, { decisions: [saying(asked, about)] }));
      assert.equal(verdict, 'waiting');
      assert.match(
        ignored[0]!,
        /^decision 0: decision: (a wallet approved, and was not shown|says something else of)/,
      );
    });

  it('do not count with lines put in after a wallet has signed', () => {
    const content = readContent(decisionRecord, signed(asked), networkId).content;
    const blind = saying(asked, undefined);
    const { bytes } = createRecord(decisionRecord, content);
    const [verdict, ignored] = judged(evidence(world, asked, { decisions: [{ ...blind, bytes }] }));
    assert.equal(verdict, 'waiting');
    assert.match(ignored[0]!, /does not verify/);
  });

  it('are no other records than before where they say nothing', () => {
    const plain = buildDecision({ ...base, subject: asked, decision: 'approve' }, world.owners['bob']!);
    const byId = buildDecision({ ...base, subject: idOf(asked), decision: 'approve' }, world.owners['bob']!);
    assert.deepEqual(plain, byId);
    assert.deepEqual(plain.envelope, approve(world, idOf(asked), 'bob'));
    assert.equal(judged(evidence(world, asked, { decisions: [plain.envelope] }))[0], 'authorised');
  });

  it('are a passkey’s challenge, which approves without them too', () => {
    const byPasskey = { credential: passkey.credential };
    for (const subject of [asked, idOf(asked)]) {
      const made = draft(subject, byPasskey);
      const { about } = readContent(decisionRecord, made, networkId).content;
      assert.deepEqual(about, subject === asked ? rightly : undefined);
      const decisions = [passkey.signRecord(made, networkId)];
      assert.equal(judged(evidence(world, asked, { decisions }))[0], 'authorised');
    }
    const lying = {
      ...readContent(decisionRecord, draft(asked, byPasskey), networkId).content,
      about: ['a'],
    };
    const decisions = [passkey.signRecord(createRecord(decisionRecord, lying), networkId)];
    assert.equal(judged(evidence(world, asked, { decisions }))[0], 'waiting');
  });

  it('take nothing from a decision that only takes back, whatever they say', () => {
    for (const decision of ['reject', 'withdraw'] as const) {
      const [blind, shown] = [
        draft(idOf(asked), byWallet, { decision }),
        draft(asked, byWallet, { decision }),
      ];
      assert.equal(readContent(decisionRecord, blind, networkId).content.about, undefined);
      assert.deepEqual(readContent(decisionRecord, shown, networkId).content.about, rightly);
      for (const each of [blind, shown]) {
        const decisions = [wallet.signRecord(each, networkId)];
        assert.deepEqual(judged(evidence(world, asked, { decisions })), ['waiting', []]);
      }
      const otherwise = saying(asked, aboutRequest(other), { decision });
      assert.deepEqual(judged(evidence(world, asked, { decisions: [otherwise] })), ['waiting', []]);
    }
  });

  it('are not made for a wallet that would approve an id', () => {
    refuses('wrong_about', () => draft(idOf(asked)), /must be shown what it approves/);
    refuses('malformed', () => draft(world.genesis), /a request record belongs here/);
  });

  it('bring a change into the log, and no other', () => {
    const change = proposed(world, { kind: 'owner.remove', owner: 'carol' });
    const decoy = proposed(world, { kind: 'owner.remove', owner: 'alice' });
    const right = signed(change);
    assert.deepEqual(typedDataOf(right, networkId).message['about'], [
      'Change the workspace: owner.remove',
      `workspace: ${workspace.id}`,
      'owner: carol',
      `entry: 1 after ${workspace.id}`,
      'initiator: alice',
      `until: ${new Date(start + 24 * hour).toISOString()}`,
    ]);
    assert.equal(openWorkspace([world.genesis, change, right], networkId).owners.length, 2);
    const shownElse = readContent(decisionRecord, signed(decoy), networkId).content.about;
    for (const about of [undefined, shownElse]) {
      const wrong = saying(change, about);
      refuses('malformed', () => openWorkspace([world.genesis, change, wrong], networkId), /was not decided/);
      const opened = openChange(workspace, change, networkId);
      const { judged: verdict, positions } = judgeChange(workspace, opened, [wrong], networkId, start);
      assert.equal(verdict.verdict, 'waiting');
      assert.equal(positions.ignored.length, 1);
    }
  });

  const withWorld = (work: (at: ServiceWorld) => Promise<void>) => (): Promise<void> =>
    withService(stores['memory']!, work, world);

  it(
    'are refused by a coordinator as soon as they come, on requests and on changes',
    withWorld(async (at) => {
      const change = proposed(world, { kind: 'owner.remove', owner: 'carol' });
      await at.call('key_request', { request: asked });
      await at.call('workspace_propose', { change });
      for (const about of [undefined, aboutRequest(other)]) {
        const words = about === undefined ? /was not shown what/ : /says something else of/;
        for (const subject of [asked, change])
          await at.refuses('bad_signature', 'action_decide', { decision: saying(subject, about) }, {}, words);
      }
      assert.equal((await at.call('action_decide', { decision: signed(asked) })).state, 'pending');
      assert.equal((await at.call('action_decide', { decision: signed(change) })).state, 'fulfilled');
    }),
  );

  it('make nodes work, and the wrong ones do not', async () => {
    const net = new SessionWorld(world);
    await net.bootAll();
    const { sessions } = net.nodes[0]!;
    const state = async (decision: Envelope) =>
      (await sessions.submit(evidence(world, asked, { decisions: [decision] }))).state;
    for (const about of Object.values(wrongly)) assert.equal(await state(saying(asked, about)), 'waiting');
    assert.equal(await state(signed(asked)), 'authorised');
    await net.stop();
  });

  it('stand in receipts, which do not verify with wrong ones', () => {
    const key = makeKey(world);
    const request = signRequest(world, [{ keyId: key.id, payload: messagePayload('pay bob') }]);
    const prove = (decision: Envelope): ReceiptProof =>
      verifyReceipt(
        {
          type: 'countersign.receipt',
          version: 1,
          networkId,
          evidence: evidence(world, request, { keys: [key.entry], decisions: [decision] }),
          results: world.parties
            .slice(0, 2)
            .map((party) => signedBy(world, party, idOf(request), [signature])),
          signatures: [signature],
        },
        { workspaceId: workspace.id },
      );
    const signature = signatureBy(key, messagePayload('pay bob'));
    assert.ok(prove(signed(request)));
    for (const about of [undefined, rightly])
      assert.throws(() => prove(saying(request, about)), { name: 'ReceiptError', code: 'decisions' });
  });

  it('are compared with lines that are made once for each request', () => {
    const { content } = readContent(requestRecord, asked, networkId);
    assert.equal(aboutOf(requestRecord, content), aboutOf(requestRecord, content));
  });
});
