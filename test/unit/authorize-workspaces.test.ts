// What the state of a workspace, and of its parent, means for a request: judged from real logs.
import { buildKeyRequest } from '../../client/records.ts';
import type { Policy } from '../../protocol/policy/schema.ts';
import type { Envelope } from '../../protocol/records/envelope.ts';
import type { Change } from '../../protocol/records/workspace-change.ts';
import type { Workspace } from '../../protocol/records/workspace.ts';
import { networkId, start } from '../support/fixture.ts';
import { authorised, refused, waiting } from '../support/judged-world.ts';
import { ask, beginIn, judgeIn, keyIn, messages, worldOf } from '../support/judged-logs.ts';
import { after, anyId, principal, signerNamed } from '../support/log-world.ts';
import { makeChild } from '../support/world-key.ts';

const alice = signerNamed('alice');
const bob = signerNamed('bob');
const carol = signerNamed('carol');
const dave = signerNamed('dave');
const erin = signerNamed('erin');
const { id: keyringId } = worldOf(beginIn()).keyring;
const deny = { id: 'mute', effect: 'deny' as const, when: { kind: ['message' as const] } };

const askForKey = (workspace: Workspace, policy?: Policy): Envelope =>
  buildKeyRequest(
    {
      networkId,
      now: start,
      workspace,
      keyringId,
      keyType: 'ed25519',
      label: 'own',
      ...(policy && { policy }),
    },
    alice,
  ).envelope;

describe('a request in a workspace with a log', () => {
  const workspace = beginIn({ signPolicy: messages(2) });
  const key = keyIn(workspace);

  it('is judged at the head at which it was made, by the owners and the policy there', () => {
    authorised(judgeIn({ workspace, key, approvals: [bob] }));
    const less = after(workspace, { kind: 'owner.remove', owner: 'carol' });
    waiting(judgeIn({ workspace: less, key }), ['bob']);
    authorised(judgeIn({ workspace: less, key, approvals: [bob] }));
    const stricter = after(less, { kind: 'policy.sign', policy: messages(1, ['bob']) });
    waiting(judgeIn({ workspace: stricter, key }), ['bob']);
    const old = ask({ workspace, key });
    refused(judgeIn({ workspace: less, key, request: old }), 'stale_log_head', false);
  });

  it('is refused while it is frozen, for signatures and for keys', () => {
    const frozen = after(workspace, { kind: 'freeze' }, { approvals: [] });
    refused(judgeIn({ workspace: frozen, key, approvals: [bob] }), 'frozen', true, /is frozen by its owners/);
    const request = askForKey(frozen);
    refused(judgeIn({ workspace: frozen, key, request, parts: () => ({ keys: [] }) }), 'frozen', true);
    authorised(judgeIn({ workspace: after(frozen, { kind: 'unfreeze' }), key, approvals: [bob] }));
  });

  it('is refused by a key that is disabled, or derived from one', () => {
    const derived = makeChild(worldOf(workspace), key);
    const off = after(workspace, { kind: 'key.disable', keyId: key.id });
    refused(judgeIn({ workspace: off, key, approvals: [bob] }), 'key_disabled', true);
    const parts = () => ({ keys: [derived.entry, key.entry] });
    authorised(judgeIn({ workspace, key: derived, approvals: [bob], parts }));
    refused(judgeIn({ workspace: off, key: derived, approvals: [bob], parts }), 'key_disabled', true);
    const lone = after(workspace, { kind: 'key.disable', keyId: derived.id });
    refused(judgeIn({ workspace: lone, key: derived, approvals: [bob], parts }), 'key_disabled', true);
    authorised(judgeIn({ workspace: lone, key, approvals: [bob], parts }));
    authorised(
      judgeIn({ workspace: after(off, { kind: 'key.enable', keyId: key.id }), key, approvals: [bob] }),
    );
  });

  it('is under its own policy of the key: the log’s, else that of its request, else that of the key it is derived from', () => {
    const own = keyIn(workspace, 'own', askForKey(workspace, messages(1, ['carol'])));
    waiting(judgeIn({ workspace, key: own, approvals: [bob] }), ['carol']);
    authorised(judgeIn({ workspace, key: own, approvals: [carol] }));
    const derived = makeChild(worldOf(workspace), own);
    const parts = () => ({ keys: [derived.entry, own.entry] });
    waiting(judgeIn({ workspace, key: derived, approvals: [bob], parts }), ['carol']);
    const changed = after(workspace, { kind: 'policy.key', keyId: own.id, policy: messages(1, ['bob']) });
    waiting(judgeIn({ workspace: changed, key: own, approvals: [carol] }), ['bob']);
    waiting(judgeIn({ workspace: changed, key: derived, approvals: [carol], parts }), ['bob']);
    const back = after(changed, { kind: 'policy.key', keyId: own.id });
    waiting(judgeIn({ workspace: back, key: own, approvals: [bob] }), ['carol']);
    const single = after(changed, { kind: 'policy.key', keyId: derived.id, policy: messages(1) });
    authorised(judgeIn({ workspace: single, key: derived, parts }));
    waiting(judgeIn({ workspace: single, key: own }), ['bob']);
  });

  it('for a key is refused when nobody could ever meet the policy it brings', () => {
    const request = askForKey(workspace, messages(1, ['dave']));
    const parts = () => ({ keys: [] });
    refused(judgeIn({ workspace, key, request, approvals: [bob], parts }), 'bad_payload', true, /names dave/);
  });

  it('cannot allow by a key’s policy what the workspace denies', () => {
    const mute = after(workspace, { kind: 'policy.sign', policy: messages(1, 'owners', [deny]) });
    const own = after(mute, { kind: 'policy.key', keyId: key.id, policy: messages(1) });
    refused(judgeIn({ workspace: own, key }), 'policy_denied', true, /rule mute denies/);
  });

  it('names no parent', () => {
    const parts = () => ({ parentLog: [...workspace.log] });
    refused(judgeIn({ workspace, key, approvals: [bob], parts }), 'bad_evidence', false, /has no parent/);
    const request = ask({ workspace, parent: workspace, key });
    refused(judgeIn({ workspace, key, request, approvals: [bob] }), 'bad_evidence', false, /has no parent/);
  });
});

describe('a request in a child workspace', () => {
  const alone = beginIn({
    owners: ['carol', 'dave', 'erin'].map((name) => principal(name)),
    signPolicy: messages(2),
  });
  const raised = (of: Workspace, change: Change) => after(of, change, { by: 'dave', approvals: ['erin'] });
  const child = beginIn({
    parent: alone.id,
    owners: ['alice', 'bob', 'carol'].map((name) => principal(name)),
  });
  const parent = raised(alone, { kind: 'child.add', workspaceId: child.id });
  const key = keyIn(child);
  const own = after(child, { kind: 'policy.sign', policy: messages(1) });

  it('without a policy of its own is decided by the owners of its parent, under the parent’s', () => {
    waiting(judgeIn({ workspace: child, parent, key }), ['carol', 'dave', 'erin']);
    waiting(judgeIn({ workspace: child, parent, key, approvals: [bob, dave] }), ['carol', 'erin']);
    authorised(judgeIn({ workspace: child, parent, key, approvals: [dave, erin] }));
    // Who is an owner of both asks, and has approved.
    authorised(judgeIn({ workspace: child, parent, key, by: carol, approvals: [dave] }));
    const stricter = raised(parent, { kind: 'policy.sign', policy: messages(3) });
    waiting(judgeIn({ workspace: child, parent: stricter, key, approvals: [dave, erin] }), ['carol']);
  });

  it('with a policy of its own is decided by its owners, and denied what its parent denies', () => {
    authorised(judgeIn({ workspace: own, parent, key }));
    const two = after(child, { kind: 'policy.sign', policy: messages(2) });
    waiting(judgeIn({ workspace: two, parent, key }), ['bob', 'carol']);
    const mute = raised(parent, { kind: 'policy.sign', policy: messages(2, 'owners', [deny]) });
    refused(judgeIn({ workspace: own, parent: mute, key }), 'policy_denied', true, /rule mute denies/);
  });

  it('is refused while either is frozen', () => {
    const frozen = raised(parent, { kind: 'freeze' });
    refused(judgeIn({ workspace: own, parent: frozen, key }), 'frozen', true);
    refused(judgeIn({ workspace: after(own, { kind: 'freeze' }), parent, key }), 'frozen', true);
  });

  it('needs its parent’s log, at the head that it names, which names it', () => {
    const request = ask({ workspace: own, parent, key });
    refused(
      judgeIn({ workspace: own, key, request }),
      'bad_evidence',
      false,
      /the log of parent workspace .* is missing/,
    );
    refused(
      judgeIn({ workspace: own, parent: beginIn(), key, request }),
      'bad_evidence',
      false,
      /the parent is/,
    );
    const later = raised(parent, { kind: 'child.add', workspaceId: anyId(8) });
    refused(
      judgeIn({ workspace: own, parent: later, key, request }),
      'stale_log_head',
      false,
      /parent workspace/,
    );
    const headless = ask({ workspace: own, key });
    refused(
      judgeIn({ workspace: own, parent, key, request: headless }),
      'stale_log_head',
      false,
      /parent workspace/,
    );
    refused(judgeIn({ workspace: own, parent: alone, key }), 'not_served', true, /does not name/);
    const dropped = raised(parent, { kind: 'child.remove', workspaceId: child.id });
    refused(judgeIn({ workspace: own, parent: dropped, key }), 'not_served', true, /does not name/);
    const forged = () => ({ parentLog: parent.log.slice(0, 2) });
    refused(judgeIn({ workspace: own, parent, key, parts: forged }), 'bad_evidence', false, /not decided/);
  });

  it('has no parent that is itself a child', () => {
    const middle = beginIn({ parent: alone.id });
    const lowest = beginIn({ parent: middle.id });
    refused(
      judgeIn({ workspace: lowest, parent: middle, key: keyIn(lowest) }),
      'not_served',
      true,
      /does not name/,
    );
  });

  it('is refused where one name, or one key, is of two people', () => {
    const odd = /is not the same in workspace/;
    const other = { name: 'dave', credentials: principal('dave', 'second').credentials };
    const sameName = after(own, { kind: 'owner.add', owner: other });
    refused(judgeIn({ workspace: sameName, parent, key }), 'not_served', true, odd);
    const renamed = after(own, { kind: 'owner.add', owner: { ...principal('dave'), name: 'mallory' } });
    refused(judgeIn({ workspace: renamed, parent, key }), 'not_served', true, odd);
    authorised(
      judgeIn({ workspace: after(own, { kind: 'owner.add', owner: principal('dave') }), parent, key }),
    );
  });

  it('gives nobody the voice of an owner of its parent, whose policy it is under', () => {
    const { credential } = signerNamed('carol', 'second');
    const change: Change = { kind: 'credential.add', owner: 'carol', credential };
    const stolen = after(child, change);
    const second = signerNamed('carol', 'second');
    refused(judgeIn({ workspace: stolen, parent, key, by: second, approvals: [dave] }), 'not_served', true);
    // Under its own policy it may have what keys of carol it likes.
    authorised(judgeIn({ workspace: after(own, change), parent, key, by: second }));
    const known = raised(parent, { ...change });
    authorised(judgeIn({ workspace: stolen, parent: known, key, by: second, approvals: [dave] }));
    authorised(judgeIn({ workspace: child, parent: known, key, approvals: [dave, second] }));
  });
});
