// Logs and parents' logs of evidence with garbage in them: nothing but a refusal comes of it, and nothing is authorised that
// was not asked and approved.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { authorize, evidenceSchema } from '../../protocol/authorize.ts';
import { createRecord, type Envelope, RecordError } from '../../protocol/records/envelope.ts';
import { workspaceChange } from '../../protocol/records/workspace-change.ts';
import { extendWorkspace, openWorkspace } from '../../protocol/records/workspace.ts';
import { networkId, start } from '../support/fixture.ts';
import { ask, beginIn, judgeIn, keyIn, messages, worldOf } from '../support/judged-logs.ts';
import { after, anyId, begin, decide, principal, propose, signerNamed } from '../support/log-world.ts';
import { sampleOf, signedAnew } from '../support/record-samples.ts';

const first = begin();
const garbage = fc.oneof(
  fc.constantFrom<unknown>(
    '',
    0,
    -1,
    2 ** 53 - 1,
    true,
    [],
    {},
    'constructor',
    '__proto__',
    anyId(5),
    'alice',
  ),
  fc.jsonValue({ maxDepth: 3 }),
  fc.record({
    kind: fc.constantFrom('owner.add', 'freeze', 'resolve', 'policy.admin', 'policy.key', 'x'),
    owner: fc.jsonValue(),
    policy: fc.jsonValue(),
  }),
);

describe('garbage in a workspace log', () => {
  it('in any field of a change, whoever signs it, is refused as what it is', () => {
    const seen = new Map<string, number>();
    const names = ['workspace.change, owner', 'workspace.change, policy', 'workspace.change, resolve'];
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.nat(), garbage, (name, where, value) => {
        const sample = sampleOf(name);
        const content = structuredClone(sample.content) as Record<string, unknown>;
        const at = [content, content['change'] as Record<string, unknown>][where % 2]!;
        const keys = Object.keys(at);
        at[keys[(where >> 1) % keys.length]!] = value;
        let envelope: Envelope;
        try {
          envelope = signedAnew(sample, content);
        } catch {
          return; // It has no canonical bytes: no envelope can hold it.
        }
        const extend = (): unknown => extendWorkspace(first, [envelope], networkId);
        assert.throws(extend, (error) => {
          assert.ok(error instanceof RecordError, String(error));
          seen.set(error.code, (seen.get(error.code) ?? 0) + 1);
          return true;
        });
      }),
      { numRuns: 1000, seed: 1 },
    );
    assert.ok((seen.get('malformed') ?? 0) > 300, JSON.stringify([...seen]));
  });

  it('that fits the schema leaves the log open to nothing but record errors', () => {
    // Right in form, wrong in what it names: such as nobody who reads a schema would notice.
    const policies = ['constructor', 'owners', 'ops'].map((of) => ({
      version: 1,
      groups: { ops: ['bob'] },
      rules: [{ id: 'one', effect: 'allow', when: { kind: ['workspace.change'] }, require: { k: 1, of } }],
    }));
    let built = 0;
    for (const policy of policies) {
      const change = { kind: 'policy.admin', policy };
      try {
        propose(first, change as never);
        built += 1;
        const next = after(first, change as never);
        assert.ok(openWorkspace(next.log, networkId));
        assert.ok(extendWorkspace(next, [], networkId));
      } catch (error) {
        assert.ok(error instanceof RecordError, String(error));
      }
    }
    assert.equal(built, 2);
    assert.throws(() => createRecord(workspaceChange, {} as never), RecordError);
  });
});

describe('garbage in the logs of evidence', () => {
  const alone = beginIn({
    owners: ['carol', 'dave', 'erin'].map((name) => principal(name)),
    signPolicy: messages(2),
  });
  const child = beginIn({ parent: alone.id });
  const parent = after(
    alone,
    { kind: 'child.add', workspaceId: child.id },
    { by: 'dave', approvals: ['erin'] },
  );
  const grown = after(child, { kind: 'keyring.add', keyringId: anyId(2) });
  const key = keyIn(child);
  const request = ask({ workspace: grown, parent, key });
  const world = worldOf(grown);
  const evidence = {
    log: grown.log,
    parentLog: parent.log,
    roster: world.keyring.envelope,
    request,
    decisions: [decide(grown, request, 'dave'), decide(grown, request, 'erin')],
    keys: [key.entry],
  };
  const trust = { networkId, now: start + 1000 };
  const stray = [
    ...grown.log,
    ...parent.log,
    request,
    propose(grown, { kind: 'freeze' }),
    propose(parent, { kind: 'freeze' }, { by: 'dave' }),
    decide(grown, request, 'mallory', { signer: signerNamed('mallory') }),
  ];

  it('never throws, and authorises only by the logs at whose heads it was asked', () => {
    assert.equal(authorize(evidenceSchema.parse(evidence), trust).verdict, 'authorised');
    assert.equal(
      judgeIn({ workspace: grown, parent, key, approvals: [signerNamed('dave'), signerNamed('erin')] })
        .verdict,
      'authorised',
    );
    const seen = new Map<string, number>();
    const change = fc.record({
      part: fc.constantFrom('log' as const, 'parentLog' as const),
      how: fc.nat({ max: 4 }),
      at: fc.nat(),
      other: fc.nat(),
      letter: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const spoilt = structuredClone(evidence) as {
          log: Envelope[];
          parentLog: Envelope[];
        } & typeof evidence;
        for (const { part, how, at, other, letter } of changes) {
          const list = spoilt[part];
          const index = at % list.length;
          const one = list[index];
          if (how === 0) list.splice(index, 1);
          else if (how === 1) list.splice(index, 0, structuredClone(stray[other % stray.length]!));
          else if (how === 2 && one !== undefined)
            list[index] = structuredClone(stray[other % stray.length]!);
          else if (one !== undefined && how === 3) {
            const place = other % one.bytes.length;
            one.bytes = one.bytes.slice(0, place) + 'AZaz09-_'[letter % 8]! + one.bytes.slice(place + 1);
          } else if (one?.signatures[0] !== undefined) {
            const { signature } = one.signatures[0];
            const place = 2 + (other % 128);
            one.signatures[0].signature =
              `${signature.slice(0, place)}${(letter % 16).toString(16)}${signature.slice(place + 1)}` as `0x${string}`;
          }
        }
        const parsed = evidenceSchema.safeParse(spoilt);
        if (!parsed.success) return;
        const verdict = authorize(parsed.data, trust);
        seen.set(verdict.verdict, (seen.get(verdict.verdict) ?? 0) + 1);
        if (verdict.verdict === 'refused') return;
        const { workspace, parent: above } = verdict.authorisation;
        assert.deepEqual(workspace.head, grown.head);
        assert.deepEqual(above?.head, parent.head);
        assert.deepEqual([workspace.owners, above?.owners], [grown.owners, parent.owners]);
      }),
      { numRuns: 600, seed: 2 },
    );
    assert.ok(
      (seen.get('refused') ?? 0) > 100 && (seen.get('authorised') ?? 0) > 5,
      JSON.stringify([...seen]),
    );
  });
});
