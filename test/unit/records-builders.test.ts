import assert from 'node:assert/strict';
import {
  buildDecision,
  buildGenesis,
  buildKeyRequest,
  buildRosterDraft,
  buildSignRequest,
} from '../../client/records.ts';
import {
  VerificationError,
  type VerificationErrorCode,
  verifyKeyView,
  verifySignatures,
} from '../../client/verify.ts';
import { authorize, defaultRequestLifetime, maxRequestLifetime } from '../../protocol/authorize.ts';
import { messagePayload } from '../../protocol/payloads/message.ts';
import { decision } from '../../protocol/records/decision.ts';
import {
  createRecord,
  type Envelope,
  readContent,
  RecordError,
  verifyRecord,
} from '../../protocol/records/envelope.ts';
import { timeOf } from '../../protocol/records/fields.ts';
import { keyringRoster, openKeyring } from '../../protocol/records/keyring-roster.ts';
import { request } from '../../protocol/records/request.ts';
import { workspaceGenesis } from '../../protocol/records/workspace-genesis.ts';
import {
  alice,
  bob,
  certificate,
  evidenceFor,
  fulfilledView,
  key,
  keyring,
  keyView,
  networkId,
  now,
  parties,
  roster,
  signatureOf,
  signerOf,
  signRequest,
  workspace,
} from '../support/signed-world.ts';

const mallory = signerOf('mallory');
const zeros = (length: number) => new Uint8Array(length);
const message = messagePayload(new TextEncoder().encode('pay'));
const isRecordError = (code: RecordError['code'], words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof RecordError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, words);
  return true;
};

describe('record builders', () => {
  it('build the same bytes from the same clock and randomness, and others with fresh randomness', () => {
    const options = { networkId, now, workspace, items: [{ keyId: key.id, payload: message }] };
    const fixed = { ...options, random: zeros };
    assert.deepEqual(buildSignRequest(fixed, alice), buildSignRequest(fixed, alice));
    assert.notEqual(buildSignRequest(options, alice).id, buildSignRequest(options, alice).id);
    const { content } = readContent(request, buildSignRequest(fixed, alice).envelope, networkId);
    assert.equal(content.nonce, `0x${'00'.repeat(16)}`);
  });

  it('use the machine clock when none is given', () => {
    const before = Date.now();
    const options = { networkId, workspace, items: [{ keyId: key.id, payload: message }] };
    const { content } = readContent(request, buildSignRequest(options, alice).envelope, networkId);
    assert.ok(timeOf(content.created) >= before && timeOf(content.created) <= Date.now());
  });

  it('give a genesis the default policies, and refuse one whose signer is no owner', () => {
    const options = {
      networkId,
      now,
      name: 'shop',
      owners: [
        { name: 'alice', credentials: [alice.credential] },
        { name: 'bob', credentials: [bob.credential] },
      ],
      keyrings: [keyring.id],
    };
    const built = buildGenesis(options, alice);
    const { id, content } = verifyRecord(workspaceGenesis, built.envelope, networkId);
    assert.equal(id, built.id);
    assert.deepEqual(content.adminPolicy.rules[0]?.require, { k: 2, of: 'owners' });
    assert.equal(content.signPolicy?.rules[0]?.id, 'any-owner');
    assert.throws(
      () => buildGenesis(options, mallory),
      isRecordError('missing_signature', /not one of its owners/),
    );
  });

  it('give a roster draft its admin signature only, so that every party still has to sign', () => {
    const partyList = parties.map(({ credential }, index) => ({
      name: `p${index}`,
      key: credential,
      addresses: [],
    }));
    const options = { networkId, now, name: 'ring', threshold: 2, parties: partyList };
    const { envelope } = buildRosterDraft(options, mallory);
    assert.deepEqual(
      envelope.signatures.map((entry) => entry.credential),
      [mallory.credential],
    );
    assert.deepEqual(readContent(keyringRoster, envelope, networkId).content.admins, [mallory.credential]);
    assert.throws(
      () => openKeyring(envelope, networkId),
      isRecordError('missing_signature', /has not signed/),
    );
    assert.throws(
      () => buildRosterDraft({ ...options, admins: [alice.credential] }, mallory),
      isRecordError('missing_signature', /none of the admins/),
    );
    assert.throws(
      () => buildRosterDraft({ ...options, threshold: 4 }, mallory),
      isRecordError('malformed', /threshold/),
    );
  });

  it('let requests end after 24 hours at most', () => {
    const base = {
      networkId,
      now,
      workspace,
      keyringId: keyring.id,
      keyType: 'ed25519',
      label: 'cold',
    } as const;
    const lifetime = (lifetimeMs?: number) => {
      const options = lifetimeMs === undefined ? base : { ...base, lifetimeMs };
      const { content } = readContent(request, buildKeyRequest(options, alice).envelope, networkId);
      return timeOf(content.expires) - timeOf(content.created);
    };
    assert.equal(lifetime(), defaultRequestLifetime);
    assert.equal(lifetime(60_000), 60_000);
    assert.equal(lifetime(10 * maxRequestLifetime), maxRequestLifetime);
    assert.throws(() => lifetime(0), isRecordError('malformed', /expires is not after created/));
  });

  it('name the initiator from the credential, and refuse strangers', () => {
    const options = { networkId, now, workspace, items: [{ keyId: key.id, payload: message }] };
    const { content } = readContent(request, buildSignRequest(options, bob).envelope, networkId);
    assert.equal(content.initiator, 'bob');
    assert.throws(
      () => buildSignRequest(options, mallory),
      isRecordError('missing_signature', /no owner of workspace/),
    );
  });

  it('build what authorize accepts: a request and an approval', () => {
    const asked = signRequest('pay');
    const trust = { networkId, now };
    const waiting = authorize(evidenceFor(asked.envelope), trust);
    assert.equal(waiting.verdict, 'waiting');
    const options = {
      networkId,
      now,
      workspace,
      subject: asked.id,
      decisions: [],
      decision: 'approve',
    } as const;
    const approved = buildDecision(options, bob);
    const evidence = { ...evidenceFor(asked.envelope), decisions: [approved.envelope] };
    assert.equal(authorize(evidence, trust).verdict, 'authorised');
    assert.equal(
      authorize(evidence, { networkId, now: now + 3600_000 }).verdict,
      'waiting',
      'it runs out after an hour',
    );
  });
});

describe('decision builder', () => {
  const asked = signRequest('pay');
  const base = { networkId, now, workspace, subject: asked.id } as const;
  const seqOf = (envelope: Envelope) => readContent(decision, envelope, networkId).content.seq;
  const decide = (decisions: readonly Envelope[], signer = bob) =>
    buildDecision({ ...base, decisions, decision: 'approve' }, signer).envelope;
  const forged = (
    content: { seq: number; principal?: string; subject?: typeof asked.id },
    signer = mallory,
  ) =>
    createRecord(
      decision,
      {
        networkId,
        subject: asked.id,
        principal: 'bob',
        logHead: workspace.head,
        decision: 'reject',
        ...content,
      },
      signer,
    );

  it('counts from 1, and on from the highest of the same principal', () => {
    const first = decide([]);
    assert.equal(seqOf(first), 1);
    const second = decide([first, decide([], alice)]);
    assert.equal(seqOf(second), 2);
    assert.equal(seqOf(decide([second, first])), 3);
    assert.equal(seqOf(decide([second, first], alice)), 1);
  });

  it('is not driven up by decisions that the principal did not sign, or that are about something else', () => {
    const highest = Number.MAX_SAFE_INTEGER;
    const broken = {
      ...decide([]),
      signatures: [{ credential: bob.credential, signature: `0x${'11'.repeat(64)}` as const }],
    };
    const decisions = [
      forged({ seq: highest }),
      forged({ seq: highest }, alice),
      forged({ seq: 50, subject: key.id }, bob),
      { ...decide([]), type: 'request' },
      broken,
    ];
    assert.equal(seqOf(decide(decisions)), 1);
    assert.equal(seqOf(decide([...decisions, forged({ seq: 7 }, bob)])), 8);
  });

  it('carries a reason with a rejection, and no end', () => {
    const built = buildDecision({ ...base, decisions: [], decision: 'reject', reason: 'not today' }, bob);
    const { content } = readContent(decision, built.envelope, networkId);
    assert.equal(content.decision === 'reject' && content.reason, 'not today');
    assert.equal('expires' in content, false);
    assert.throws(
      () => buildDecision({ ...base, decisions: [], decision: 'approve' }, mallory),
      isRecordError('missing_signature', /no owner/),
    );
  });
});

const fails = (code: VerificationErrorCode, check: () => unknown) =>
  assert.throws(check, (error: unknown) => {
    assert.ok(error instanceof VerificationError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  });

describe('verifyKeyView', () => {
  const expected = { networkId, keyringId: keyring.id, workspaceId: workspace.id };

  it('proves a key and computes its addresses', () => {
    const proven = verifyKeyView(keyView, expected);
    assert.deepEqual(proven.key, key);
    assert.deepEqual(proven.addresses, keyView.addresses);
    assert.equal(proven.keyring.id, keyring.id);
  });

  it('refuses another keyring, workspace or network than expected', () => {
    fails('wrong_keyring', () => verifyKeyView(keyView, { ...expected, keyringId: key.id }));
    fails('wrong_workspace', () => verifyKeyView(keyView, { ...expected, workspaceId: key.id }));
    fails('unproven', () => verifyKeyView(keyView, { ...expected, networkId: 'mainnet' }));
  });

  it('refuses an incomplete or unsigned certificate, and a key that is not made', () => {
    fails('unproven', () => verifyKeyView({ ...keyView, certificate: certificate.slice(1) }, expected));
    const [first, ...others] = certificate as [Envelope, ...Envelope[]];
    const unsigned = { ...first, signatures: [] };
    fails('unproven', () => verifyKeyView({ ...keyView, certificate: [unsigned, ...others] }, expected));
    fails('unproven', () => verifyKeyView({ ...keyView, roster: { ...roster, signatures: [] } }, expected));
    fails('not_ready', () => verifyKeyView({ ...keyView, certificate: [], state: 'pending' }, expected));
  });

  it('refuses every claim of the coordinator that differs from the records', () => {
    const other = `0x${'ab'.repeat(32)}` as const;
    const claims = [
      { keyId: other },
      { workspaceId: other },
      { keyringId: other },
      { publicKey: other },
      { label: 'cold wallet' },
      { addresses: [{ chain: 'solana', address: 'Attacker1111111111111111111111111111111111' }] },
    ];
    for (const claim of claims)
      fails('claims_differ', () => verifyKeyView({ ...keyView, ...claim }, expected));
  });
});

describe('verifySignatures', () => {
  const asked = signRequest('pay');
  const view = fulfilledView(asked, [signatureOf('pay')]);
  const expected = { networkId, requestId: asked.id };

  it('proves signatures over messages that it computes itself', () => {
    const [proven, ...more] = verifySignatures(view, [key], expected);
    assert.equal(more.length, 0);
    assert.equal(proven?.signature, signatureOf('pay'));
    assert.equal(proven?.payload.facts.kind === 'message' && proven.payload.facts.text, 'pay');
    assert.equal(proven?.assembled.encoding, 'solana.offchain');
  });

  it('refuses signatures of other bytes, too few, none, and keys that are not known', () => {
    fails('bad_signature', () =>
      verifySignatures(fulfilledView(asked, [signatureOf('pay!')]), [key], expected),
    );
    fails('claims_differ', () => verifySignatures({ ...view, signatures: [] }, [key], expected));
    const { signatures: _, ...without } = view;
    fails('not_ready', () => verifySignatures({ ...without, state: 'pending' }, [key], expected));
    fails('unknown_key', () => verifySignatures(view, [], expected));
  });

  it('refuses another request, whether the view admits it or not', () => {
    const other = signRequest('pay mallory');
    const swapped = { ...fulfilledView(other, [signatureOf('pay mallory')]), requestId: asked.id };
    fails('wrong_request', () => verifySignatures(swapped, [key], expected));
    fails('claims_differ', () => verifySignatures(swapped, [key], { networkId }));
    fails('wrong_request', () =>
      verifySignatures({ ...view, request: keyView.request, requestId: key.id }, [key], { networkId }),
    );
  });
});
