// Two entries of one place in a workspace's log: how logs stand to each other, and how owners say which entry stands.
import assert from 'node:assert/strict';
import type { Envelope } from '../../protocol/records/envelope.ts';
import type { Change } from '../../protocol/records/workspace-change.ts';
import { compareLogs, joinLogs, type LogRelation, weighLogs } from '../../protocol/records/log-relation.ts';
import {
  extendWorkspace,
  judgeChange,
  openChange,
  openWorkspace,
  type Workspace,
} from '../../protocol/records/workspace.ts';
import { defaultAdminPolicy } from '../../protocol/policy/schema.ts';
import type { Hex } from '../../protocol/hex.ts';
import { networkId, start } from '../support/fixture.ts';
import {
  after,
  anyId,
  begin,
  decide,
  principal,
  propose,
  refuses,
  signerNamed,
} from '../support/log-world.ts';

const ring = (byte: number): Change => ({ kind: 'keyring.add', keyringId: anyId(byte) });
const first = begin();
const common = after(first, ring(2));
const left = after(common, ring(3));
const right = after(common, ring(4));
const entries = (of: Workspace, from: Workspace): readonly Envelope[] => of.log.slice(from.log.length);
/** What owners decided of which entry stands. */
const resolve = (stands: Hex, at = common, approvals = ['bob']): Envelope[] => {
  const envelope = propose(at, { kind: 'resolve', stands });
  return [envelope, ...approvals.map((name) => decide(at, envelope, name))];
};
const open = (...log: readonly Envelope[]): Workspace => openWorkspace(log, networkId);
const leftStands = open(...common.log, ...resolve(left.head.id), ...entries(left, common));
const rightStands = open(...common.log, ...resolve(right.head.id), ...entries(right, common));

describe('a fork of a workspace log', () => {
  const relations: [string, Workspace, Workspace, LogRelation['relation']][] = [
    ['itself', left, left, 'same'],
    ['the same with other decisions', left, after(common, ring(3)), 'fork'],
    ['one that goes on from it', common, left, 'newer'],
    ['one it goes on from', left, common, 'older'],
    ['its genesis alone', left, first, 'older'],
    ['another entry in the same place', left, right, 'fork'],
    ['another entry, and more after it', left, after(after(right, ring(5)), ring(6)), 'fork'],
    ['another entry before its last ones', after(after(left, ring(5)), ring(6)), right, 'fork'],
    ['one that says that its own entry stands', left, rightStands, 'newer'],
    ['one that goes on after it said so', after(left, ring(5)), after(rightStands, ring(6)), 'newer'],
    ['one without what it says stands', rightStands, left, 'older'],
    ['a longer one without what it says stands', rightStands, after(after(left, ring(5)), ring(6)), 'older'],
    ['one in which another entry stands', rightStands, leftStands, 'fork'],
    ['one that says that what it has stands', left, leftStands, 'newer'],
    ['one that does not say so any more', leftStands, left, 'older'],
    ['one that says what comes next', common, open(...common.log, ...resolve(left.head.id)), 'newer'],
    ['one that went where it does not go', open(...common.log, ...resolve(left.head.id)), right, 'older'],
    ['one that went where it goes', open(...common.log, ...resolve(left.head.id)), left, 'newer'],
    [
      'one that says it went astray, without the entry that stands',
      right,
      open(...common.log, ...resolve(left.head.id)),
      'older',
    ],
    [
      'a shorter one that says what it goes on with',
      left,
      open(...common.log, ...resolve(left.head.id)),
      'newer',
    ],
    ['a longer one that does not say so any more', leftStands, after(left, ring(5)), 'newer'],
    [
      'one that says it must go elsewhere',
      open(...common.log, ...resolve(left.head.id)),
      rightStands,
      'fork',
    ],
    [
      'one that ends there, and says it must go elsewhere',
      open(...common.log, ...resolve(left.head.id)),
      open(...common.log, ...resolve(right.head.id)),
      'fork',
    ],
  ];
  for (const [what, known, received, relation] of relations) {
    it(`is told, or not, from ${what}: ${relation}`, () => {
      assert.equal(compareLogs(known, received).relation, relation);
    });
  }

  it('is told with the head before it and both entries', () => {
    const deep = after(after(right, ring(5)), ring(6));
    assert.deepEqual(compareLogs(left, deep), {
      relation: 'fork',
      common: common.head,
      known: left.head.id,
      received: right.head.id,
    });
    const early = after(first, ring(9));
    assert.deepEqual(compareLogs(deep, early), {
      relation: 'fork',
      common: first.head,
      known: common.head.id,
      received: early.head.id,
    });
  });

  it('is ended for whoever joins what logs say, however they came', () => {
    const deep = after(left, ring(5));
    const said = open(...common.log, ...resolve(left.head.id));
    const earlier = open(...first.log, ...resolve(common.head.id, first), ...entries(deep, first));
    const all = [
      [deep, leftStands],
      [deep, said],
      [earlier, said],
      [deep, open(...earlier.log.slice(0, -entries(deep, common).length), ...resolve(left.head.id))],
    ] as const;
    for (const [ahead, other] of all) {
      const joined = joinLogs(ahead, other, networkId);
      const replayed = open(...joined.log);
      assert.deepEqual(replayed.chain, deep.chain);
      assert.deepEqual([replayed.head, replayed.resolved], [joined.head, joined.resolved]);
      assert.equal(joined.resolved.get(common.head.id), left.head.id);
      assert.equal(compareLogs(joined, right).relation, 'older');
      assert.equal(compareLogs(joined, other).relation, 'older');
    }
    assert.equal(joinLogs(earlier, said, networkId).resolved.size, 2);
    assert.deepEqual(joinLogs(deep, common, networkId).log, deep.log);
    // What was said of a place where it does not go any more is of no use.
    assert.equal(joinLogs(rightStands, after(after(left, ring(5)), ring(6)), networkId).resolved.size, 1);
  });

  it('is none between two workspaces', () => {
    assert.throws(() => compareLogs(left, begin()), /is none of workspace/);
  });
});

describe('a log beside known entries, by those who once were owners', () => {
  const addOwner = (name: string): Change => ({ kind: 'owner.add', owner: principal(name) });
  const alone = begin({ owners: [principal('alice')], adminPolicy: defaultAdminPolicy(1) });
  const grown = after(after(alone, addOwner('bob'), { approvals: [] }), addOwner('carol'), { approvals: [] });
  const without = after(grown, { kind: 'owner.remove', owner: 'alice' }, { approvals: [] });
  const beside = after(alone, ring(7), { approvals: [] });
  const rewound = open(...alone.log, ...resolve(beside.head.id, alone, []), ...entries(beside, alone));
  const weigh = (known: Workspace, received: Workspace): string =>
    weighLogs(known, received, networkId).relation;

  it('counts for nothing when none of them is an owner any more, whatever they say', () => {
    assert.equal(compareLogs(without, rewound).relation, 'newer');
    assert.equal(weigh(without, rewound), 'older');
    assert.equal(weigh(without, beside), 'older');
  });

  it('is a fork while one of them is, who cannot take back alone what others joined', () => {
    assert.equal(weigh(grown, rewound), 'fork');
    assert.equal(weigh(grown, beside), 'fork');
    assert.equal(weigh(after(alone, ring(8), { approvals: [] }), rewound), 'newer');
  });

  it('counts for nothing by a credential that was taken from its owner', () => {
    const second = signerNamed('bob', 'second').credential;
    const rotated = after(
      after(common, { kind: 'credential.add', owner: 'bob', credential: second }),
      { kind: 'credential.remove', owner: 'bob', credential: signerNamed('bob').credential },
      { approvals: ['carol'] },
    );
    assert.equal(compareLogs(rotated, left).relation, 'fork');
    assert.equal(weigh(rotated, left), 'older');
    assert.equal(weigh(after(after(common, ring(5)), ring(6)), left), 'fork');
  });

  it('leaves what is known only with the entry that stands', () => {
    assert.equal(weigh(right, open(...common.log, ...resolve(anyId(9)))), 'older');
    assert.equal(weigh(right, open(...common.log, ...resolve(left.head.id))), 'older');
    assert.equal(weigh(right, leftStands), 'newer');
  });

  it('is weighed without regard to what is no decision', () => {
    const junk = { type: 'decision', bytes: 'AA', signatures: [] } as unknown as Envelope;
    assert.equal(weigh(right, open(...left.log, junk)), 'fork');
  });
});

describe('which entry of a fork stands', () => {
  it('is said before it, in no place of the chain', () => {
    assert.deepEqual(rightStands.chain, right.chain);
    assert.deepEqual(rightStands.head, right.head);
    assert.deepEqual([...rightStands.resolved], [[common.head.id, right.head.id]]);
    assert.deepEqual(rightStands.keyrings, right.keyrings);
    const stepwise = extendWorkspace(
      extendWorkspace(common, resolve(right.head.id), networkId),
      entries(right, common),
      networkId,
    );
    assert.deepEqual(stepwise.head, right.head);
  });

  it('binds whoever has heard it', () => {
    refuses(
      common,
      [...resolve(right.head.id), ...entries(left, common)],
      'malformed',
      /said that .* stands/,
    );
    refuses(common, [...resolve(anyId(5)), ...entries(left, common)], 'malformed', /said that .* stands/);
    // Also in the next place it may be said, and nothing of before binds there.
    const later = after(rightStands, ring(5));
    const again = open(
      ...rightStands.log,
      ...resolve(later.head.id, rightStands),
      ...entries(later, rightStands),
    );
    assert.equal(again.resolved.size, 2);
  });

  it('is said once', () => {
    const twice = [...resolve(right.head.id), ...resolve(left.head.id)];
    refuses(common, twice, 'malformed', /two entries say which entry 2 stands/);
    refuses(common, [...resolve(right.head.id), ...resolve(right.head.id)], 'malformed', /two entries say/);
  });

  it('is said where the fork is', () => {
    refuses(right, resolve(right.head.id, common), 'malformed', /does not follow the head/);
    refuses(first, resolve(right.head.id, common), 'malformed', /does not follow the head/);
  });

  it('takes a majority of the owners, whatever the admin policy says', () => {
    const adminPolicy = { ...defaultAdminPolicy(1) };
    const easy = begin({ adminPolicy });
    const stands = after(easy, ring(2), { approvals: [] });
    const alone = resolve(stands.head.id, easy, []);
    refuses(easy, alone, 'malformed', /was not decided/);
    const opened = openChange(easy, alone[0]!, networkId);
    const { judged } = judgeChange(easy, opened, [], networkId, start);
    assert.ok(judged.verdict === 'waiting');
    assert.deepEqual(judged.missing, [
      { rule: 'majority of owners', need: 2, have: ['alice'], from: ['bob', 'carol'] },
    ]);
    assert.equal(
      openWorkspace([...easy.log, ...resolve(stands.head.id, easy), ...entries(stands, easy)], networkId)
        .resolved.size,
      1,
    );
  });

  it('takes what the admin policy wants, whatever a majority says', () => {
    const adminPolicy = defaultAdminPolicy(5);
    const strict = begin({ adminPolicy });
    refuses(strict, resolve(anyId(5), strict), 'malformed', /was not decided/);
    assert.equal(
      openWorkspace([...strict.log, ...resolve(anyId(5), strict, ['bob', 'carol'])], networkId).resolved.size,
      1,
    );
  });
});
