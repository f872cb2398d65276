// Derived keys in evidence: what may be asked for, and that no certificate of one is believed without its parent.
import assert from 'node:assert/strict';
import { verifyKey } from '../../protocol/authorize.ts';
import { type Hex, toHex } from '../../protocol/hex.ts';
import { derivedResult } from '../../protocol/keys/derivation.ts';
import { publicKeyOf } from '../../protocol/keys/ed25519.ts';
import { keyTypeSchema } from '../../protocol/keys/key-type.ts';
import type { Envelope } from '../../protocol/records/envelope.ts';
import { createRecord, readContent, RecordError, verifyRecord } from '../../protocol/records/envelope.ts';
import type { KeyResult } from '../../protocol/records/party-result.ts';
import { request as requestRecord } from '../../protocol/records/request.ts';
import { judgeEvidence } from '../../node/work/evidence.ts';
import {
  approve,
  createWorld,
  evidence,
  idOf,
  keyRequest,
  networkId,
  seedOf,
  signRequest,
} from '../support/fixture.ts';
import {
  authorised,
  foreign,
  judge,
  key,
  otherWorkspace,
  payload,
  refused,
  trust,
  world,
} from '../support/judged-world.ts';
import { makeChild, makeKey } from '../support/world-key.ts';

const path = 'm/0/7';
const child = makeChild(world, key, path);
const origin = { parent: key.id, path };

/** Judges a request for a key derived from the world's, with these keys beside it. */
const asks = (request: Envelope, keys = [key.entry]) => judge({ request, decisions: [], keys });
const asked = (more: Parameters<typeof keyRequest>[1] = {}): Envelope =>
  keyRequest(world, { origin, ...more });

/** Judges a request for signatures by these keys, with these entries. */
function signs(keyIds: readonly Hex[], keys: readonly (typeof key.entry)[]) {
  const request = signRequest(
    world,
    keyIds.map((keyId) => ({ keyId, payload })),
  );
  return judge({ request, decisions: [approve(world, idOf(request), 'bob')], keys: [...keys] });
}

describe('authorize: requests for derived keys', () => {
  it('are authorised with their parent, and say which one key can come of them', () => {
    const request = asked();
    const verdict = asks(request);
    authorised(verdict);
    assert.ok(verdict.verdict === 'authorised');
    const { derived } = verdict.authorisation;
    assert.equal(derived?.parent.key.id, key.id);
    assert.equal(derived?.path, path);
    assert.deepEqual(derived?.result, derivedResult({ id: key.id, result: key.result }, path).result);
  });

  it('of a generated key say nothing of a parent', () => {
    const verdict = asks(keyRequest(world), []);
    assert.ok(verdict.verdict === 'authorised' && verdict.authorisation.derived === undefined);
  });

  it('need the parent, with the certificate of all its parties', () => {
    const { certificate } = key;
    refused(asks(asked(), []), 'bad_evidence', false, /no certificate of parent key/);
    refused(
      asks(asked(), [makeKey(world, 'other').entry]),
      'bad_evidence',
      false,
      /no certificate of parent/,
    );
    const cut = { ...key.entry, certificate: certificate.slice(1) };
    refused(asks(asked(), [cut]), 'bad_evidence', false, /no result of/);
    const others = { ...key.entry, certificate: [...makeKey(world, 'other').certificate] };
    refused(asks(asked(), [others]), 'bad_evidence', false, /another key, keyring or epoch/);
  });

  it('have beside them nothing that is not proven', () => {
    const cut = { ...key.entry, certificate: key.certificate.slice(1) };
    refused(asks(asked(), [key.entry, cut]), 'bad_evidence', false, /no result of/);
    const merged = judgeEvidence({
      held: undefined,
      received: evidence(world, asked(), { keys: [key.entry, makeKey(world, 'unasked').entry] }),
      trust,
    });
    assert.deepEqual(merged.evidence.keys, [key.entry], 'the parent is kept, and nothing else');
  });

  it('of a parent of another workspace are refused for ever', () => {
    const theirs = otherWorkspace({ name: 'theirs' });
    const parent = makeKey(theirs, 'theirs');
    const request = asked({ origin: { parent: parent.id, path } });
    refused(asks(request, [parent.entry]), 'wrong_parent', true, /belongs to workspace/);
  });

  it('of a parent of another keyring are refused for ever', () => {
    const other = createWorld({ name: 'other keyring' });
    const between = { ...world, keyring: other.keyring, parties: other.parties };
    const parent = makeKey(between, 'elsewhere');
    const request = asked({ origin: { parent: parent.id, path } });
    refused(asks(request, [parent.entry]), 'wrong_parent', true, /is a key of keyring/);
    const foreigners = makeKey(foreign);
    refused(
      asks(asked({ origin: { parent: foreigners.id, path } }), [foreigners.entry]),
      'wrong_parent',
      true,
    );
  });

  for (const keyType of keyTypeSchema.options.filter((type) => type !== 'ed25519'))
    it(`of type ${keyType} are not derived from an ed25519 key`, () => {
      refused(asks(asked({ keyType })), 'wrong_parent', true, /is of type ed25519/);
    });

  it('of what is no key are refused for ever', () => {
    const request = signRequest(world, [{ keyId: key.id, payload }]);
    const parent = { request, certificate: [...key.certificate] };
    refused(
      asks(asked({ origin: { parent: idOf(request), path } }), [parent]),
      'wrong_parent',
      true,
      /no key/,
    );
  });

  it('of a derived parent are told the longer path from the root', () => {
    const request = asked({ origin: { parent: child.id, path: 'm/3/4' } });
    for (const keys of [[child.entry], [child.entry, key.entry]])
      refused(
        asks(request, keys),
        'parent_is_derived',
        true,
        new RegExp(`ask for m/0/7/3/4 from its root ${key.id}`),
      );
    authorised(asks(asked({ origin: { parent: key.id, path: 'm/0/7/3/4' } })));
  });
});

describe('authorize: records of derived keys', () => {
  const { content } = readContent(requestRecord, asked(), networkId);
  const made = (change: Record<string, unknown>): Envelope =>
    createRecord(requestRecord, { ...content, ...change } as never, world.owners['alice']!);
  const malformed = (change: Record<string, unknown>, words: RegExp): void => {
    assert.throws(
      () => verifyRecord(requestRecord, made(change), networkId),
      (error: unknown) => {
        assert.ok(error instanceof RecordError, String(error));
        assert.equal(error.code, 'malformed');
        assert.match(error.message, words);
        return true;
      },
    );
  };

  for (const [bad, words] of [
    ["m/0'", /hardened/],
    ['m/2147483648', /not below 2147483648/],
    ['m/0/07', /leading zeros/],
    [`m${'/1'.repeat(11)}`, /at most 10/],
    ['m', /at least one index/],
    ['0/7', /begins with m/],
  ] as const)
    it(`refuse the path ${bad}`, () => malformed({ path: bad }, words));

  it('have a parent and a path, or neither', () => {
    const { parent: _, ...orphan } = content as typeof content & { parent: Hex };
    const { path: __, ...pathless } = content as typeof content & { path: string };
    for (const half of [orphan, pathless])
      assert.throws(
        () => createRecord(requestRecord, half as never, world.owners['alice']!),
        /both a parent and a path/,
      );
  });

  it('of requests to sign name no parent', () =>
    malformed({ kind: 'sign', items: [{ keyId: key.id, payload }] }, /./));
});

describe('authorize: certificates of derived keys', () => {
  it('prove them with their parent, in whatever order', () => {
    authorised(signs([child.id], [child.entry, key.entry]));
    authorised(signs([child.id], [key.entry, child.entry]));
    authorised(signs([child.id, key.id], [child.entry, key.entry]));
    const verified = verifyKey(child.entry, world.keyring, networkId, [key.entry]);
    assert.deepEqual(verified.origin, origin);
    assert.equal(verified.publicKey, child.publicKey);
  });

  it('prove nothing without it', () => {
    refused(signs([child.id], [child.entry]), 'bad_evidence', false, /no certificate of parent key/);
    assert.throws(() => verifyKey(child.entry, world.keyring, networkId), /no certificate of parent key/);
    const cut = { ...key.entry, certificate: key.certificate.slice(1) };
    refused(signs([child.id], [child.entry, cut]), 'bad_evidence', false, /no result of/);
  });

  const other = toHex(publicKeyOf(seedOf('another point')));
  const ofOtherPath = derivedResult({ id: key.id, result: key.result }, 'm/0/8').result;
  const otherParent = makeKey(world, 'other');
  const ofOtherParent = derivedResult({ id: otherParent.id, result: otherParent.result }, path).result;
  const lies: [string, Partial<KeyResult>][] = [
    ['another point', { publicKey: other, commitments: [other, ...child.result.commitments.slice(1)] }],
    ['its parent itself', key.result],
    ['what another path gives', ofOtherPath],
    ['what another parent gives', ofOtherParent],
    ['another chain code', { chainCode: key.result.chainCode }],
    ['another vector', { commitments: [child.result.commitments[0]!, other] }],
    ['another transcript', { transcript: key.result.transcript }],
  ];
  for (const [what, lie] of lies)
    it(`that all parties signed, of ${what}, are refused`, () => {
      const liar = makeChild(world, key, path, lie);
      refused(signs([liar.id], [liar.entry, key.entry]), 'bad_evidence', false, /is not what m\/0\/7 of key/);
      assert.throws(
        () => verifyKey(liar.entry, world.keyring, networkId, [key.entry]),
        /is not what m\/0\/7 of key .*: do not use this key/,
      );
    });

  it('of a child of another workspace, or of a child, are refused', () => {
    const theirs = otherWorkspace({ name: 'theirs' });
    const stolen = makeChild(world, key, path, {}, keyRequest(theirs, { origin, label: 'stolen' }));
    refused(signs([stolen.id], [stolen.entry, key.entry]), 'wrong_parent', true, /belongs to workspace/);
    const grandchild = makeChild(world, child, 'm/1');
    refused(
      signs([grandchild.id], [grandchild.entry, child.entry, key.entry]),
      'parent_is_derived',
      true,
      /ask for m\/0\/7\/1 from its root/,
    );
  });
});
