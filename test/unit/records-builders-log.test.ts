// Builders of changes, of child workspaces and of decisions on them.
import assert from 'node:assert/strict';
import {
  buildChange,
  buildDecision,
  buildGenesis,
  buildKeyRequest,
  buildSignRequest,
  defaultApprovalLifetime,
  defaultChangeLifetime,
  longestDelay,
} from '../../client/records.ts';
import { maxRequestLifetime } from '../../protocol/authorize.ts';
import { decision } from '../../protocol/records/decision.ts';
import { addSignature, readContent, RecordError, verifyRecord } from '../../protocol/records/envelope.ts';
import { timeOf } from '../../protocol/records/fields.ts';
import { request } from '../../protocol/records/request.ts';
import { workspaceChange } from '../../protocol/records/workspace-change.ts';
import { appendChange, checkChange, openWorkspace } from '../../protocol/records/workspace.ts';
import { alonePolicy, hour, messagePayload, networkId, start } from '../support/fixture.ts';
import { anyId, begin, namesIn, principal, signerNamed } from '../support/log-world.ts';

const first = begin();
const [alice, bob] = [signerNamed('alice'), signerNamed('bob')];
const base = { networkId, now: start, workspace: first };

describe('builders of changes', () => {
  it('make a change that decisions put into force', () => {
    const change = { kind: 'owner.add', owner: principal('dave') } as const;
    const built = buildChange({ ...base, change }, alice);
    const { content } = readContent(workspaceChange, built.envelope, networkId);
    assert.deepEqual([content.seq, content.prev, content.initiator], [1, first.id, 'alice']);
    assert.equal(timeOf(content.expires), start + defaultChangeLifetime);
    const long = buildChange({ ...base, change, lifetimeMs: 2 * maxRequestLifetime }, alice).envelope;
    assert.equal(
      timeOf(readContent(workspaceChange, long, networkId).content.expires),
      start + maxRequestLifetime,
    );
    const signed = addSignature(built.envelope, networkId, signerNamed('dave'));
    const yes = buildDecision({ ...base, subject: built.id, decisions: [], decision: 'approve' }, bob);
    const next = openWorkspace(appendChange(first.log, signed, [yes.envelope]), networkId);
    assert.deepEqual(namesIn(next), ['alice', 'bob', 'carol', 'dave']);
  });

  it('refuse what no verifier would take', () => {
    const refuses = (work: () => unknown, words: RegExp): void =>
      assert.throws(work, (error) => error instanceof RecordError && words.test(error.message));
    refuses(
      () => buildChange({ ...base, change: { kind: 'unfreeze' } }, alice),
      /unfreeze cannot be: the workspace is not frozen/,
    );
    refuses(
      () => buildChange({ ...base, change: { kind: 'freeze' } }, signerNamed('mallory')),
      /is no owner of workspace/,
    );
    const bound = begin({
      adminPolicy: { ...alonePolicy, rules: [{ ...alonePolicy.rules[0]!, when: { change: ['freeze'] } }] },
    });
    refuses(
      () =>
        buildChange({ ...base, workspace: bound, change: { kind: 'key.disable', keyId: anyId(1) } }, alice),
      /allows no key.disable/,
    );
    refuses(() => checkChange(first, { kind: 'owner.remove', owner: 'mallory' }), /no owner mallory/);
  });

  it('make decisions that take others back, and approvals that outlast a delay', () => {
    const { id, envelope } = buildChange({ ...base, change: { kind: 'freeze' } }, alice);
    assert.ok(envelope);
    const yes = buildDecision(
      { ...base, subject: id, decisions: [], decision: 'approve', delayMs: 5 * hour },
      bob,
    ).envelope;
    const approval = verifyRecord(decision, yes, networkId).content;
    assert.ok(approval.decision === 'approve');
    assert.equal(timeOf(approval.expires), start + 5 * hour + defaultApprovalLifetime);
    const back = buildDecision(
      { ...base, subject: id, decisions: [yes], decision: 'withdraw' },
      bob,
    ).envelope;
    const { content } = verifyRecord(decision, back, networkId);
    assert.deepEqual([content.decision, content.seq, content.principal], ['withdraw', 2, 'bob']);
    const rule = { id: 'a', require: { k: 1, group: 'owners', members: ['bob'] }, ttlMs: hour };
    const items = [
      {
        rules: [
          { ...rule, delayMs: 7 },
          { ...rule, delayMs: 9 },
        ],
        closed: [],
      },
      { rules: [{ ...rule, delayMs: 8 }], closed: [] },
    ];
    assert.equal(longestDelay({ items }), 9);
    assert.equal(longestDelay({ items: [] }), 0);
  });
});

describe('builders in child workspaces', () => {
  const owners = [principal('alice'), principal('bob', 'second')];
  const genesis = buildGenesis(
    { networkId, now: start, name: 'child', owners, keyrings: [anyId(1)], parent: first.id },
    alice,
  );
  const child = openWorkspace([genesis.envelope], networkId);

  it('leave the sign policy to the parent, and name it and its head', () => {
    assert.equal(child.parent, first.id);
    assert.equal('signPolicy' in child, false);
    const options = { networkId, now: start, workspace: child, parent: first };
    const key = buildKeyRequest(
      { ...options, keyringId: anyId(1), keyType: 'ed25519', label: 'a', policy: alonePolicy },
      alice,
    );
    const asked = readContent(request, key.envelope, networkId).content;
    assert.ok(asked.kind === 'key');
    assert.deepEqual([asked.parentHead, asked.policy, asked.parent], [first.head, alonePolicy, undefined]);
    const items = [{ keyId: key.id, payload: messagePayload('a') }];
    const sign = readContent(
      request,
      buildSignRequest({ ...options, items }, alice).envelope,
      networkId,
    ).content;
    assert.deepEqual(sign.parentHead, first.head);
  });

  it('decide as owners of either, after all that they decided with keys of either', () => {
    const options = {
      networkId,
      now: start,
      workspace: child,
      parent: first,
      subject: anyId(3),
      decision: 'approve' as const,
    };
    const one = buildDecision({ ...options, decisions: [] }, bob).envelope;
    const two = buildDecision({ ...options, decisions: [one] }, signerNamed('bob', 'second')).envelope;
    const three = buildDecision({ ...options, decisions: [one, two] }, bob).envelope;
    const made = [one, two, three].map((envelope) => verifyRecord(decision, envelope, networkId).content);
    assert.deepEqual(
      made.map(({ principal: name, seq }) => [name, seq]),
      [
        ['bob', 1],
        ['bob', 2],
        ['bob', 3],
      ],
    );
    assert.deepEqual(made[0]!.logHead, child.head);
    const { content } = verifyRecord(
      decision,
      buildDecision({ ...options, decisions: [] }, signerNamed('carol')).envelope,
      networkId,
    );
    assert.equal(content.principal, 'carol');
    assert.throws(
      () => buildDecision({ ...options, decisions: [] }, signerNamed('mallory')),
      /is no owner of workspace/,
    );
  });
});
