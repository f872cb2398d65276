// Evidence spoilt at random: authorize never throws, and authorises nothing but what its approvers approved.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { authorize, type Evidence, evidenceSchema, type Verdict } from '../../protocol/authorize.ts';
import { toHex } from '../../protocol/hex.ts';
import type { Envelope } from '../../protocol/records/envelope.ts';
import { approve, evidence, hour, idOf, keyRequest, reject, signRequest, start } from '../support/fixture.ts';
import { foreign, key, mallory, payload, request, trust, whole, world } from '../support/judged-world.ts';
import { makeKey, signedBy } from '../support/world-key.ts';

const otherKey = makeKey(world, 'other');
const foreignKey = makeKey(foreign);
const otherRequest = signRequest(world, [{ keyId: otherKey.id, payload }]);
const foreignRequest = signRequest(foreign, [{ keyId: foreignKey.id, payload }]);
const keyAsked = keyRequest(world);
const approvalsOf = (asked: Envelope): Envelope[] => [
  approve(world, idOf(asked), 'bob'),
  approve(world, idOf(asked), 'carol', { expires: start + 2 * hour }),
];

/** What owners of the world asked for, with the approvals without which each must not be authorised. */
const asked = [
  { request, approvals: [...whole.decisions, ...approvalsOf(request)] },
  { request: otherRequest, approvals: approvalsOf(otherRequest) },
  // For these their initiator is enough.
  ...[keyAsked, key.request, otherKey.request].map((each) => ({ request: each, approvals: [] })),
];
/** Real records that belong elsewhere: replayed, of other requests, of another workspace and keyring. */
const pool: readonly Envelope[] = [
  ...asked.flatMap((each) => [each.request, ...each.approvals]),
  foreignRequest,
  approve(foreign, idOf(foreignRequest), 'bob'),
  approve(foreign, idOf(request), 'bob'),
  approve(world, idOf(request), 'bob', { signer: mallory }),
  approve(world, idOf(request), 'bob', { expires: start }),
  reject(world, idOf(request), 'carol'),
  signRequest(world, [{ keyId: key.id, payload }], { signer: mallory }),
  world.genesis,
  foreign.genesis,
  world.keyring.envelope,
  foreign.keyring.envelope,
  ...key.certificate,
  ...otherKey.certificate,
  ...foreignKey.certificate,
  foreignKey.request,
  signedBy(world, world.parties[0]!, idOf(request), [toHex(new Uint8Array(64))]),
];

type Path = readonly (string | number)[];

function pathsOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([name, each]) => pathsOf(each, [...path, name]))];
}

function at(value: unknown, path: Path): unknown {
  return path.reduce((each: unknown, name) => (each as Record<string, unknown> | undefined)?.[name], value);
}

function isEnvelope(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'bytes' in value;
}

const hex = '0123456789abcdef';
const base64url = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

interface Spoil {
  readonly where: number;
  readonly how: number;
  readonly with: number;
}

/** Spoils one place of the evidence: a letter of a text, an element of a list, or a whole record for a real other one. */
function spoil(from: Evidence, { where, how, with: other }: Spoil): Evidence {
  const copy = structuredClone(from);
  const paths = pathsOf(copy).slice(1);
  const path = paths[where % paths.length]!;
  const parent = at(copy, path.slice(0, -1)) as Record<string | number, unknown>;
  const name = path.at(-1)!;
  const value = parent[name];
  if (typeof value === 'string') {
    const letters = value.includes('0x') ? hex : base64url;
    const index = how % Math.max(value.length, 1);
    parent[name] = value.slice(0, index) + letters[other % letters.length]! + value.slice(index + 1);
  } else if (Array.isArray(value)) {
    const source = value.some(isEnvelope) || name === 'decisions' || name === 'log' ? pool : value;
    const insert = source.length > 0 && how % 3 > 0 ? [structuredClone(source[other % source.length])] : [];
    value.splice(where % (value.length + 1), how % 2, ...insert);
  } else if (isEnvelope(value)) {
    parent[name] = structuredClone(pool[other % pool.length]);
  } else if (Array.isArray(parent)) {
    parent.splice(Number(name), 1);
  }
  return copy;
}

const spoils = fc.array(fc.record({ where: fc.nat(), how: fc.nat(), with: fc.nat() }), {
  minLength: 1,
  maxLength: 4,
});
/** Everything in an envelope that means something: the order of its signatures does not. */
const text = ({ type, bytes, signatures }: Envelope): string =>
  JSON.stringify([type, bytes, signatures.map((entry) => JSON.stringify(entry)).toSorted()]);

/** Whether the evidence holds, to the letter, an approval that the request with this id needs. */
function holdsApproval(spoilt: Evidence, requestId: string): boolean {
  const found = asked.find((each) => idOf(each.request) === requestId);
  if (found === undefined) return false;
  const needed = new Set(found.approvals.map(text));
  return needed.size === 0 || spoilt.decisions.some((envelope) => needed.has(text(envelope)));
}

/** Whatever evidence holds, it is judged. */
function judged(spoilt: Evidence): Verdict {
  const verdicts: Verdict[] = [];
  assert.doesNotThrow(() => verdicts.push(authorize(spoilt, trust)));
  return verdicts[0] as Verdict;
}

describe('authorize on spoilt evidence', () => {
  const sound = evidence(world, request, {
    decisions: [...whole.decisions],
    keys: [key.entry, otherKey.entry],
  });

  it('authorises what is whole', () => {
    assert.equal(authorize(sound, trust).verdict, 'authorised');
  });

  it('never throws, and authorises only what was asked and approved', () => {
    const seen = new Map<string, number>();
    fc.assert(
      fc.property(spoils, (changes) => {
        const spoilt = changes.reduce(spoil, sound);
        const parsed = evidenceSchema.safeParse(spoilt);
        if (!parsed.success) return;
        const verdict = judged(parsed.data);
        seen.set(verdict.verdict, (seen.get(verdict.verdict) ?? 0) + 1);
        if (verdict.verdict !== 'authorised') return;
        const { requestId, items, workspace, keyring } = verdict.authorisation;
        assert.ok(holdsApproval(parsed.data, requestId), 'authorised without the approval');
        assert.equal(
          text(parsed.data.request),
          text(asked.find((each) => idOf(each.request) === requestId)!.request),
        );
        assert.equal(text(parsed.data.log[0]!), text(world.genesis));
        assert.equal(text(parsed.data.roster), text(world.keyring.envelope));
        assert.deepEqual([workspace.id, keyring.id], [world.workspace.id, world.keyring.id]);
        const wanted = new Map([
          [idOf(request), key],
          [idOf(otherRequest), otherKey],
        ]).get(requestId);
        assert.deepEqual(
          items.map((item) => [item.key.id, item.key.publicKey]),
          wanted ? [[wanted.id, wanted.publicKey]] : [],
        );
      }),
      { numRuns: 1500 },
    );
    // The spoiling reaches every verdict: otherwise it would prove little.
    for (const verdict of ['authorised', 'waiting', 'refused']) {
      assert.ok((seen.get(verdict) ?? 0) > 10, `${verdict}: ${seen.get(verdict)}`);
    }
  });

  it('never throws for records whose bytes are anything at all', () => {
    const bytes = fc
      .oneof(
        fc.json(),
        fc.string({ unit: 'binary' }),
        fc.constantFrom('{}', '[]', '{"networkId":"test-network"}'),
      )
      .map((content) => Buffer.from(content).toString('base64url'))
      .filter((content) => content.length > 0);
    const part = fc.constantFrom('log', 'roster', 'request', 'decisions', 'key', 'certificate');
    fc.assert(
      fc.property(part, bytes, (name, content) => {
        const garbage = (envelope: Envelope): Envelope => ({ ...envelope, bytes: content });
        const [first] = sound.keys;
        const spoilt: Evidence = {
          log: name === 'log' ? [garbage(world.genesis)] : sound.log,
          roster: name === 'roster' ? garbage(sound.roster) : sound.roster,
          request: name === 'request' ? garbage(request) : request,
          decisions: name === 'decisions' ? sound.decisions.map(garbage) : sound.decisions,
          keys: [
            {
              request: name === 'key' ? garbage(first!.request) : first!.request,
              certificate: name === 'certificate' ? first!.certificate.map(garbage) : first!.certificate,
            },
          ],
        };
        const { verdict } = judged(evidenceSchema.parse(spoilt));
        assert.equal(verdict, name === 'decisions' ? 'waiting' : 'refused');
      }),
      { numRuns: 300 },
    );
  });

  it('refuses evidence of unbounded size before looking at it', () => {
    const many = (count: number) => Array.from({ length: count }, () => world.genesis);
    assert.ok(!evidenceSchema.safeParse({ ...sound, decisions: many(401) }).success);
    assert.ok(!evidenceSchema.safeParse({ ...sound, log: many(2001) }).success);
    assert.ok(!evidenceSchema.safeParse({ ...sound, log: [] }).success);
    // Fifty items' keys, each derived, and as many parents.
    const keys = (length: number) => Array.from({ length }, () => key.entry);
    assert.ok(evidenceSchema.safeParse({ ...sound, keys: keys(100) }).success);
    assert.ok(!evidenceSchema.safeParse({ ...sound, keys: keys(101) }).success);
    const certificate = many(51);
    assert.ok(!evidenceSchema.safeParse({ ...sound, keys: [{ ...key.entry, certificate }] }).success);
    assert.ok(!evidenceSchema.safeParse({ ...sound, extra: 1 }).success);
  });
});
