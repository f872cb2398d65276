// The log of a workspace: every kind of change replayed, and what nobody can open. Signatures are real.
import assert from 'node:assert/strict';
import { defaultAdminPolicy, type Policy } from '../../protocol/policy/schema.ts';
import { addSignature, type Envelope, RecordError } from '../../protocol/records/envelope.ts';
import type { Change } from '../../protocol/records/workspace-change.ts';
import {
  appendChange,
  judgeChange,
  logAt,
  openChange,
  openWorkspace,
  type Workspace,
} from '../../protocol/records/workspace.ts';
import { alonePolicy, hour, idOf, networkId, start } from '../support/fixture.ts';
import {
  after,
  anyId,
  begin,
  decide,
  namesIn,
  principal,
  propose,
  refuses,
  signerNamed,
} from '../support/log-world.ts';

const first = begin();
const freeze: Change = { kind: 'freeze' };
const policyOf = (require: Policy['rules'][number]['require'], more: Partial<Policy> = {}): Policy => ({
  version: 1,
  ...more,
  rules: [{ id: 'one', effect: 'allow', when: { kind: ['workspace.change'] }, require: require! }],
});
const signing = (require: Policy['rules'][number]['require'], more: Partial<Policy> = {}): Policy => ({
  ...policyOf(require, more),
  rules: [{ id: 'one', effect: 'allow', when: { kind: ['message'] }, require: require! }],
});
/** What a decided change cannot be. */
const cannot = (workspace: Workspace, change: Change, words: RegExp): void => {
  const envelope = propose(workspace, change);
  refuses(workspace, [envelope, decide(workspace, envelope, 'bob')], 'malformed', words);
};

describe('a workspace log: each kind of change', () => {
  it('adds and removes owners', () => {
    const more = after(first, { kind: 'owner.add', owner: principal('dave', 'first', 'second') });
    assert.deepEqual(namesIn(more), ['alice', 'bob', 'carol', 'dave']);
    assert.deepEqual(more.head, { seq: 1, id: more.chain[1] });
    const less = after(more, { kind: 'owner.remove', owner: 'carol' });
    assert.deepEqual(namesIn(less), ['alice', 'bob', 'dave']);
    // Who was removed returns, with another key or with the same.
    for (const which of ['first', 'second']) {
      const back = after(less, { kind: 'owner.add', owner: principal('carol', which) });
      assert.deepEqual(namesIn(back), ['alice', 'bob', 'dave', 'carol']);
    }
    cannot(first, { kind: 'owner.add', owner: principal('alice', 'second') }, /an owner alice already/);
    cannot(first, { kind: 'owner.remove', owner: 'dave' }, /no owner dave/);
  });

  it('keeps the last owner', () => {
    const alone = begin({ owners: [principal('alice')], adminPolicy: defaultAdminPolicy(1) });
    refuses(alone, [propose(alone, { kind: 'owner.remove', owner: 'alice' })], 'malformed', /the last owner/);
  });

  it('adds and removes credentials, once each, and keeps the last one', () => {
    const { credential } = signerNamed('bob', 'second');
    const more = after(first, { kind: 'credential.add', owner: 'bob', credential });
    assert.deepEqual(more.owners[1], principal('bob', 'first', 'second'));
    const less = after(
      more,
      { kind: 'credential.remove', owner: 'bob', credential: signerNamed('bob').credential },
      { approvals: ['carol'] },
    );
    assert.deepEqual(less.owners[1], principal('bob', 'second'));
    const alone = propose(less, { kind: 'credential.remove', owner: 'bob', credential });
    refuses(less, [alone, decide(less, alone, 'carol')], 'malformed', /the last credential of bob/);
    const none = propose(first, { kind: 'credential.remove', owner: 'bob', credential });
    refuses(first, [none, decide(first, none, 'bob')], 'malformed', /bob has no credential/);
    cannot(first, { kind: 'credential.add', owner: 'dave', credential }, /no owner dave/);
    for (const owner of ['alice', 'bob'])
      cannot(
        first,
        { kind: 'credential.add', owner, credential: signerNamed('carol').credential },
        /a credential may occur once/,
      );
    const owner = { name: 'dave', credentials: [signerNamed('carol').credential] };
    cannot(first, { kind: 'owner.add', owner }, /a credential may occur once/);
    const twice = { name: 'dave', credentials: [credential, credential] };
    cannot(first, { kind: 'owner.add', owner: twice }, /a credential may occur once/);
  });

  it('moves a credential from one owner to another in two changes, and what it decided before stays of the first', () => {
    const { credential } = signerNamed('bob', 'second');
    const more = after(first, { kind: 'credential.add', owner: 'bob', credential });
    const less = after(more, { kind: 'credential.remove', owner: 'bob', credential });
    const moved = after(less, { kind: 'credential.add', owner: 'carol', credential });
    assert.deepEqual(moved.owners[2]?.credentials.at(-1), credential);
    const change = propose(moved, freeze, {
      content: { change: { kind: 'keyring.add', keyringId: anyId(2) } },
    });
    const asBob = decide(moved, change, 'bob', { signer: signerNamed('bob', 'second') });
    refuses(moved, [change, asBob], 'malformed', /not decided/);
    const asCarol = decide(moved, change, 'carol', { signer: signerNamed('bob', 'second') });
    assert.equal(openWorkspace([...moved.log, change, asCarol], networkId).head.seq, 4);
  });

  it('adds and removes keyrings, and keeps the last one', () => {
    const more = after(first, { kind: 'keyring.add', keyringId: anyId(2) });
    assert.deepEqual(more.keyrings, [anyId(1), anyId(2)]);
    assert.deepEqual(after(more, { kind: 'keyring.remove', keyringId: anyId(1) }).keyrings, [anyId(2)]);
    cannot(first, { kind: 'keyring.add', keyringId: anyId(1) }, /is used already/);
    cannot(first, { kind: 'keyring.remove', keyringId: anyId(2) }, /is not used/);
    cannot(first, { kind: 'keyring.remove', keyringId: anyId(1) }, /the last keyring/);
  });

  it('exchanges policies, those of single keys too, and takes these away', () => {
    const policy = signing({ k: 2, of: 'owners' });
    assert.deepEqual(after(first, { kind: 'policy.sign', policy }).signPolicy, policy);
    const own = after(first, { kind: 'policy.key', keyId: anyId(7), policy });
    assert.deepEqual([...own.keyPolicies], [[anyId(7), policy]]);
    assert.equal(after(own, { kind: 'policy.key', keyId: anyId(7) }).keyPolicies.size, 0);
    assert.equal(own.keyPolicies.size, 1, 'the state before is what it was');
    cannot(first, { kind: 'policy.key', keyId: anyId(7) }, /has no policy of its own/);
    cannot(first, { kind: 'policy.sign' }, /only a child workspace/);
    const child = begin({ parent: anyId(9) });
    const independent = after(child, { kind: 'policy.sign', policy });
    assert.deepEqual(independent.signPolicy, policy);
    assert.equal('signPolicy' in after(independent, { kind: 'policy.sign' }), false);
  });

  it('disables and enables keys, names and drops children, freezes and unfreezes', () => {
    const off = after(first, { kind: 'key.disable', keyId: anyId(7) });
    assert.deepEqual([...off.disabledKeys], [anyId(7)]);
    assert.equal(after(off, { kind: 'key.enable', keyId: anyId(7) }).disabledKeys.size, 0);
    cannot(off, { kind: 'key.disable', keyId: anyId(7) }, /is disabled already/);
    cannot(first, { kind: 'key.enable', keyId: anyId(7) }, /is not disabled/);
    const parent = after(first, { kind: 'child.add', workspaceId: anyId(8) });
    assert.deepEqual([...parent.children], [anyId(8)]);
    assert.equal(after(parent, { kind: 'child.remove', workspaceId: anyId(8) }).children.size, 0);
    cannot(parent, { kind: 'child.add', workspaceId: anyId(8) }, /is a child already/);
    cannot(first, { kind: 'child.remove', workspaceId: anyId(8) }, /is no child/);
    cannot(first, { kind: 'child.add', workspaceId: first.id }, /no child of itself/);
    cannot(
      begin({ parent: anyId(9) }),
      { kind: 'child.add', workspaceId: anyId(8) },
      /no children of its own/,
    );
    cannot(first, { kind: 'unfreeze' }, /is not frozen/);
    // One owner alone freezes; a majority changes what is frozen, and unfreezes it.
    const frozen = after(first, freeze, { approvals: [] });
    assert.ok(frozen.frozen);
    cannot(frozen, freeze, /is frozen already/);
    const less = after(frozen, { kind: 'owner.remove', owner: 'carol' });
    assert.ok(less.frozen && less.owners.length === 2);
    refuses(less, [propose(less, { kind: 'unfreeze' })], 'malformed', /not decided/);
    assert.equal(after(less, { kind: 'unfreeze' }).frozen, false);
  });

  it('has room for so many of each and no more', () => {
    const many = (count: number): string[] => Array.from({ length: count }, (_, at) => anyId(at));
    const full = begin({ keyrings: many(20) as `0x${string}`[] });
    cannot(full, { kind: 'keyring.add', keyringId: anyId(99) }, /at most 20 keyrings/);
    const credentials = ['first', 'second', 'third', ...many(7)].map(
      (which) => signerNamed('bob', which).credential,
    );
    const rich = begin({ owners: [principal('alice'), { name: 'bob', credentials }, principal('carol')] });
    cannot(
      rich,
      { kind: 'credential.add', owner: 'bob', credential: signerNamed('dave').credential },
      /bob has at most 10 credentials/,
    );
  });
});

describe('a workspace log: owners whom a policy needs', () => {
  const remove: Change = { kind: 'owner.remove', owner: 'carol' };
  const needs: [string, Parameters<typeof begin>[0]][] = [
    [
      'the admin policy by a count',
      {
        adminPolicy: policyOf({
          any: [
            { k: 3, of: 'owners' },
            { k: 2, of: ['alice', 'bob'] },
          ],
        }),
      },
    ],
    [
      'the admin policy by a group',
      { adminPolicy: policyOf({ k: 2, of: 'ops' }, { groups: { ops: ['alice', 'bob', 'carol'] } }) },
    ],
    ['the admin policy by a list', { adminPolicy: policyOf({ k: 2, of: ['alice', 'bob', 'carol'] }) }],
    ['the sign policy by a count', { signPolicy: signing({ k: 3, of: 'owners' }) }],
    [
      'the sign policy by a group',
      { signPolicy: signing({ k: 1, of: 'ops' }, { groups: { ops: ['carol', 'bob'] } }) },
    ],
    [
      'the sign policy by a list',
      {
        signPolicy: signing({
          all: [
            { k: 1, of: 'owners' },
            { k: 1, of: ['carol'] },
          ],
        }),
      },
    ],
    [
      'the admin policy by leaving out whoever asks',
      {
        adminPolicy: policyOf({
          any: [
            { k: 2, of: 'owners', excludeInitiator: true },
            { k: 2, of: ['alice', 'bob'] },
          ],
        }),
      },
    ],
  ];
  for (const [what, content] of needs) {
    it(`cannot leave while ${what} needs them`, () => {
      cannot(begin(content), remove, /could not be met.*change the policy first/);
    });
  }

  it('cannot leave while the policy of a key needs them, and can after it is changed', () => {
    const policy = signing({ k: 1, of: ['carol'] });
    const bound = after(first, { kind: 'policy.key', keyId: anyId(7), policy });
    cannot(bound, remove, /the policy of key 0x07.* could not be met/);
    const loose = after(bound, {
      kind: 'policy.key',
      keyId: anyId(7),
      policy: signing({ k: 1, of: ['bob'] }),
    });
    assert.deepEqual(namesIn(after(loose, remove)), ['alice', 'bob']);
  });

  it('must be there when a policy names them', () => {
    cannot(
      first,
      { kind: 'policy.sign', policy: signing({ k: 1, of: ['dave'] }) },
      /names dave, who is not an owner/,
    );
    cannot(first, { kind: 'policy.admin', policy: policyOf({ k: 4, of: 'owners' }) }, /wants 4 of 3 owners/);
    const blocked = policyOf({ k: 3, of: 'owners', excludeInitiator: true });
    cannot(first, { kind: 'policy.admin', policy: blocked }, /the initiator does not count/);
    assert.throws(
      () =>
        propose(first, {
          kind: 'policy.admin',
          policy: policyOf({ k: 1, of: 'constructor' }, { groups: { ops: ['bob'] } }),
        }),
      /there is no group constructor/,
    );
  });
});

describe('a workspace log: what does not belong', () => {
  const change: Change = { kind: 'keyring.add', keyringId: anyId(2) };
  const second = after(first, change);

  it('is a change of another place in the chain, or of another workspace', () => {
    const approved = (content: object, workspace = first): Envelope[] => {
      const envelope = propose(workspace, change, { content });
      return [envelope, decide(first, envelope, 'bob')];
    };
    refuses(first, approved({ seq: 2 }), 'malformed', /does not follow the head/);
    refuses(first, approved({ prev: second.head.id }), 'malformed', /does not follow the head/);
    refuses(second, second.log.slice(1), 'malformed', /does not follow the head/);
    const other = begin();
    refuses(first, approved({ workspaceId: other.id }), 'malformed', /is of workspace/);
    refuses(first, after(other, change).log.slice(1), 'malformed', /is of workspace/);
    refuses(first, [first.log[0]!], 'malformed', /workspace.change record belongs here/);
    const [envelope, approval] = approved({});
    refuses(first, [approval!, envelope!], 'malformed', /this is a decision record/);
  });

  it('is a change that nobody proposed who may', () => {
    const by = (signers: Parameters<typeof propose>[2]): Envelope[] => {
      const envelope = propose(first, change, signers);
      return [envelope, decide(first, envelope, 'bob'), decide(first, envelope, 'carol')];
    };
    const words = /not signed by its initiator/;
    refuses(first, by({ signers: [signerNamed('bob')] }), 'missing_signature', words);
    refuses(first, by({ signers: [signerNamed('alice'), signerNamed('bob')] }), 'missing_signature', words);
    refuses(
      first,
      by({ signers: [signerNamed('alice'), signerNamed('mallory')] }),
      'missing_signature',
      words,
    );
    refuses(first, by({ by: 'mallory' }), 'missing_signature', words);
    refuses(first, by({ signers: [signerNamed('alice', 'second')] }), 'missing_signature', words);
    refuses(first, by({ signers: [] }), 'missing_signature', /nobody signed/);
  });

  it('is a key that has not agreed to be brought in, or that signs in the place of who proposes', () => {
    const owner = principal('dave', 'first', 'second');
    const [one, two] = [signerNamed('dave'), signerNamed('dave', 'second')];
    const add: Change = { kind: 'owner.add', owner };
    for (const signers of [[signerNamed('alice')], [signerNamed('alice'), one]]) {
      const envelope = propose(first, add, { signers });
      refuses(first, [envelope, decide(first, envelope, 'bob')], 'missing_signature', /has not signed/);
    }
    const unasked = propose(first, add, { signers: [one, two] });
    refuses(
      first,
      [unasked, decide(first, unasked, 'bob')],
      'missing_signature',
      /not signed by its initiator/,
    );
    const { credential } = one;
    const key = propose(first, { kind: 'credential.add', owner: 'alice', credential }, { signers: [one] });
    refuses(first, [key, decide(first, key, 'bob')], 'missing_signature', /not signed by its initiator/);
    const signed = addSignature(
      addSignature(propose(first, add, { signers: [signerNamed('alice')] }), networkId, one),
      networkId,
      two,
    );
    assert.equal(
      openWorkspace(appendChange(first.log, signed, [decide(first, signed, 'bob')]), networkId).owners.length,
      4,
    );
  });

  it('is a degenerate key', () => {
    const credential = `ed25519:0x01${'00'.repeat(31)}`;
    const envelope = propose(
      first,
      { kind: 'credential.add', owner: 'alice', credential },
      { signers: [signerNamed('alice')] },
    );
    refuses(first, [envelope, decide(first, envelope, 'bob')], 'bad_key', /ed25519/);
  });
});

describe('a workspace log: decisions', () => {
  const change: Change = { kind: 'keyring.add', keyringId: anyId(2) };
  const envelope = propose(first, change);
  const undecided = (...decisions: Envelope[]): void =>
    refuses(first, [envelope, ...decisions], 'malformed', /was not decided by the owners it takes/);

  it('must be as many as the admin policy wants, by owners, of this very change', () => {
    undecided();
    undecided(decide(first, envelope, 'alice'));
    undecided(decide(first, envelope, 'mallory'));
    undecided(decide(first, envelope, 'bob', { signer: signerNamed('carol') }));
    undecided(decide(first, envelope, 'bob', { signer: signerNamed('mallory') }));
    undecided(addSignature(decide(first, envelope, 'bob'), networkId, signerNamed('carol')));
    undecided(decide(first, envelope, 'bob', { decision: 'reject' }));
    undecided(decide(first, envelope, 'bob', { logHead: { seq: 1, id: first.id } }));
    undecided(decide(first, propose(first, change), 'bob'));
    undecided({ ...decide(first, envelope, 'bob'), signatures: [] });
    const { next } = openChange(first, envelope, networkId);
    assert.deepEqual(next.keyrings, [anyId(1), anyId(2)]);
  });

  it('taken back, or followed by a rejection, count no longer, in whatever order they stand', () => {
    const yes = decide(first, envelope, 'bob');
    for (const decision of ['reject', 'withdraw'] as const) {
      const no = decide(first, envelope, 'bob', { decision, seq: 2 });
      undecided(yes, no);
      undecided(no, yes);
      undecided(yes, decide(first, envelope, 'bob', { decision }));
      // Who proposed it takes it back.
      undecided(yes, decide(first, envelope, 'alice', { decision }));
    }
    const all = [
      yes,
      decide(first, envelope, 'carol'),
      decide(first, envelope, 'alice', { decision: 'reject' }),
    ];
    undecided(...all);
    assert.equal(
      openWorkspace(
        [
          ...first.log,
          envelope,
          yes,
          decide(first, envelope, 'carol'),
          decide(first, envelope, 'alice', { decision: 'withdraw' }),
        ],
        networkId,
      ).head.seq,
      1,
    );
  });

  it('that are garbage do no harm', () => {
    const yes = decide(first, envelope, 'bob');
    const garbage = [
      decide(first, envelope, 'mallory', { decision: 'reject' }),
      { ...yes, bytes: 'AAAA' },
      decide(first, propose(first, change), 'bob', { decision: 'reject' }),
      decide(first, envelope, 'carol', { decision: 'reject', signer: signerNamed('mallory') }),
    ];
    const opened = openWorkspace([...first.log, envelope, ...garbage, yes], networkId);
    assert.equal(opened.head.id, idOf(envelope));
    const { positions } = judgeChange(
      first,
      openChange(first, envelope, networkId),
      [...garbage, yes],
      networkId,
      undefined,
    );
    assert.equal(positions.ignored.length, garbage.length);
  });

  it('by who is not yet, or no longer, an owner count for nothing', () => {
    const add = propose(first, { kind: 'owner.add', owner: principal('dave') });
    refuses(first, [add, decide(first, add, 'dave')], 'malformed', /not decided/);
    const less = after(first, { kind: 'owner.remove', owner: 'carol' });
    const later = propose(less, change);
    refuses(less, [later, decide(less, later, 'carol')], 'malformed', /not decided/);
    // What carol may still decide is that she leaves.
    assert.equal(
      after(first, { kind: 'owner.remove', owner: 'carol' }, { approvals: ['carol'] }).owners.length,
      2,
    );
  });

  it('with two credentials of one owner are one voice', () => {
    const more = after(first, {
      kind: 'credential.add',
      owner: 'alice',
      credential: signerNamed('alice', 'second').credential,
    });
    const later = propose(more, change);
    refuses(
      more,
      [later, decide(more, later, 'alice', { signer: signerNamed('alice', 'second') })],
      'malformed',
      /not decided/,
    );
  });

  it('are judged under the policy before the change, never under the one it makes', () => {
    const strict = policyOf({ k: 3, of: 'owners' });
    const stricter = after(first, { kind: 'policy.admin', policy: strict });
    const later = propose(stricter, change);
    const [bob, carol] = ['bob', 'carol'].map((name) => decide(stricter, later, name));
    refuses(stricter, [later, bob!], 'malformed', /not decided/);
    assert.equal(openWorkspace([...stricter.log, later, bob!, carol!], networkId).head.seq, 2);
    const easy = policyOf({ k: 1, of: 'owners' });
    refuses(first, [propose(first, { kind: 'policy.admin', policy: easy })], 'malformed', /not decided/);
    const easier = after(first, { kind: 'policy.admin', policy: easy });
    assert.equal(openWorkspace([...easier.log, propose(easier, change)], networkId).head.seq, 2);
  });

  it('allow nothing that the admin policy denies, whoever agrees', () => {
    const adminPolicy: Policy = {
      ...policyOf({ k: 1, of: 'owners' }),
      rules: [
        ...policyOf({ k: 1, of: 'owners' }).rules,
        { id: 'never', effect: 'deny', when: { change: ['policy.sign'] } },
      ],
    };
    const bound = begin({ adminPolicy });
    const denied = propose(bound, { kind: 'policy.sign', policy: alonePolicy });
    refuses(
      bound,
      [denied, ...['alice', 'bob', 'carol'].map((name) => decide(bound, denied, name))],
      'malformed',
      /allows no policy.sign: rule never/,
    );
    assert.equal(openWorkspace([...bound.log, propose(bound, change)], networkId).head.seq, 1);
  });

  it('before they suffice leave a change open: until it expires, or its initiator cancels it', () => {
    const opened = openChange(first, envelope, networkId);
    const at = (now: number, ...decisions: Envelope[]) =>
      judgeChange(first, opened, decisions, networkId, now).judged;
    const waiting = at(start);
    assert.ok(waiting.verdict === 'waiting');
    assert.deepEqual(waiting.missing, [
      { rule: 'majority', need: 2, have: ['alice'], from: ['bob', 'carol'] },
    ]);
    const yes = decide(first, envelope, 'bob');
    assert.equal(at(start, yes).verdict, 'satisfied');
    assert.equal(at(start + hour - 1, yes).verdict, 'satisfied');
    assert.equal(at(start + hour, yes).verdict, 'over');
    const cancelled = at(start, yes, decide(first, envelope, 'alice', { decision: 'reject' }));
    assert.ok(cancelled.verdict === 'rejected');
    assert.deepEqual([cancelled.reason, cancelled.by], ['cancelled by alice', ['alice']]);
    const no = ['bob', 'carol'].map((name) => decide(first, envelope, name, { decision: 'reject' }));
    assert.equal(at(start, ...no).verdict, 'rejected');
  });
});

describe('a workspace log: its parts', () => {
  const second = after(first, { kind: 'keyring.add', keyringId: anyId(2) });
  const third = after(second, { kind: 'owner.remove', owner: 'carol' });

  it('is cut back to any of its heads', () => {
    for (const workspace of [first, second, third])
      assert.deepEqual(logAt(third.log, workspace.head, networkId), workspace.log);
    const resolve = propose(second, { kind: 'resolve', stands: third.head.id });
    const resolved = [
      ...second.log,
      resolve,
      decide(second, resolve, 'bob'),
      ...third.log.slice(second.log.length),
    ];
    assert.deepEqual(logAt(resolved, second.head, networkId), second.log);
    assert.deepEqual(logAt(resolved, third.head, networkId), resolved);
    const strange = [
      { seq: 3, id: third.head.id },
      { seq: 1, id: anyId(4) },
      { seq: 1, id: idOf(resolve) },
      { seq: 2, id: idOf(resolve) },
      { seq: 2, id: idOf(third.log.at(-1)!) },
      { seq: 3, id: idOf(resolve) },
      { seq: 1, id: idOf(third.log.at(-1)!) },
    ];
    for (const head of strange)
      assert.throws(
        () => logAt(resolved, head, networkId),
        (error: unknown) =>
          error instanceof RecordError &&
          error.code === 'malformed' &&
          /is not in this log/.test(error.message),
      );
  });

  it('takes nothing but decisions after a change', () => {
    const change = propose(third, freeze);
    assert.throws(() => appendChange(third.log, change, [change]), /only decisions follow a change/);
    assert.throws(() => openWorkspace([], networkId), /the log is empty/);
  });
});
