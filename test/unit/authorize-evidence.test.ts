// What a request's evidence must hold beside decisions: log, roster, keys with their certificates, items.
import assert from 'node:assert/strict';
import { base58 } from '@scure/base';
import { type Evidence, verifyKey } from '../../protocol/authorize.ts';
import { fromHex, toHex } from '../../protocol/hex.ts';
import { CertificateError, verifyCertificate } from '../../protocol/keys/certificate.ts';
import { transferMessage } from '../../protocol/payloads/solana-transfer.ts';
import { createRecord, type Envelope, RecordError } from '../../protocol/records/envelope.ts';
import { keyringRoster, openKeyring } from '../../protocol/records/keyring-roster.ts';
import type { KeyResult } from '../../protocol/records/party-result.ts';
import {
  approve,
  createWorld,
  evidence,
  idOf,
  keyRequest,
  networkId,
  resultBy,
  signerOf,
  signRequest,
  start,
} from '../support/fixture.ts';
import {
  approval,
  authorised,
  foreign,
  judge,
  judgeRequest,
  key,
  mallory,
  otherWorkspace,
  payload,
  refused,
  request,
  requestId,
  requestWith,
  waiting,
  whole,
  world,
} from '../support/judged-world.ts';
import { keyResultOf, makeKey, refusedBy, type WorldKey } from '../support/world-key.ts';

const otherKey = makeKey(world, 'other');
const foreignKey = makeKey(foreign);
const three = world.parties[2]!;

describe('evidence: the log', () => {
  it('must be of the workspace that the request names', () => {
    refused(judge({ log: [foreign.genesis] }), 'bad_evidence', false, /the log is of workspace/);
    const renamed = otherWorkspace({ name: 'another' });
    refused(judge({ log: [renamed.genesis] }), 'bad_evidence', false);
    refused(
      judge({ log: [world.genesis, world.genesis] }),
      'bad_evidence',
      false,
      /a workspace.change record belongs here/,
    );
    refused(judge({ log: [request] }), 'bad_evidence', false);
    refused(judge({ log: [{ ...world.genesis, signatures: [] }] }), 'bad_evidence', false, /nobody signed/);
  });

  it('must have the head at which the request was made', () => {
    const heads = [
      { seq: 1, id: world.workspace.id },
      { seq: 0, id: foreign.workspace.id },
      { seq: 5, id: requestId },
    ];
    for (const logHead of heads) {
      refused(judgeRequest(requestWith({ logHead })), 'stale_log_head', false, /another state/);
    }
    authorised(judgeRequest(requestWith({})));
  });
});

describe('evidence: the roster', () => {
  it('must be of the keyring that the verifier trusts', () => {
    refused(judge({ roster: foreign.keyring.envelope }), 'bad_evidence', false, /the roster is of keyring/);
    refused(judge({}, { keyringId: foreign.keyring.id }), 'bad_evidence', false);
    refused(judge({ roster: world.genesis }), 'bad_evidence', false);
    const [, ...parties] = world.keyring.envelope.signatures;
    const roster = { ...world.keyring.envelope, signatures: parties };
    refused(judge({ roster }), 'bad_evidence', false, /no admin has signed/);
    const unsigned = {
      ...world.keyring.envelope,
      signatures: world.keyring.envelope.signatures.slice(0, -1),
    };
    refused(judge({ roster: unsigned }), 'bad_evidence', false, /has not signed/);
  });

  it('of another keyring is no reason for a final refusal of a key request, whoever brings it', () => {
    // A node of the other keyring gets a request that is not to it: it has nothing to say about it, ever.
    const asked = keyRequest(foreign);
    const wrong = evidence(foreign, asked, { roster: world.keyring.envelope });
    refused(judge(wrong), 'bad_evidence', false, /the roster is of keyring/);
    refused(judge({ ...wrong, roster: foreign.keyring.envelope }), 'bad_evidence', false);
    authorised(judge({ ...wrong, roster: foreign.keyring.envelope }, { keyringId: foreign.keyring.id }));
  });

  it('must serve the workspace, which must list the keyring', () => {
    const unlisted = otherWorkspace({ keyrings: [foreign.keyring.id] });
    const makes = makeKey(unlisted);
    const asked = signRequest(unlisted, [{ keyId: makes.id, payload }]);
    refused(judge({ log: [unlisted.genesis], request: asked, keys: [makes.entry] }), 'not_served', true);
    const served = (serves: 'open' | `0x${string}`[]) => {
      const roster = createRecord(
        keyringRoster,
        { ...world.keyring.roster, serves },
        signerOf('world', 'admin'),
        ...world.parties,
      );
      const keyring = openKeyring(roster, networkId);
      const ring = { ...world, keyring };
      const workspace = { ...otherWorkspace({ keyrings: [keyring.id] }), keyring };
      return { ring, keyring, workspace };
    };
    // Which workspaces it serves is part of the roster, so that a keyring with another list is another keyring.
    const { keyring, workspace } = served([foreign.workspace.id]);
    const alone = keyRequest(workspace);
    const parts: Partial<Evidence> = {
      log: [workspace.genesis],
      roster: keyring.envelope,
      request: alone,
      decisions: [],
      keys: [],
    };
    refused(judge(parts, { keyringId: keyring.id }), 'not_served', true);
    const open = served('open');
    const asks = keyRequest(open.workspace);
    const openParts = {
      ...parts,
      log: [open.workspace.genesis],
      roster: open.keyring.envelope,
      request: asks,
    };
    authorised(judge(openParts, { keyringId: open.keyring.id }));
  });
});

describe('evidence: keys', () => {
  const certified = (certificate: readonly Envelope[], asked = key.request): Evidence['keys'] => [
    { request: asked, certificate: [...certificate] },
  ];
  const { result } = key;
  const by = (party: typeof mallory, changed: Partial<KeyResult>) =>
    resultBy(world, party, key.id, { ...result, ...changed });
  const all = (changed: Partial<KeyResult>) => world.parties.map((party) => by(party, changed));
  const [a, b, c] = key.certificate as [Envelope, Envelope, Envelope];
  const elsewhere = { ...world, keyring: { ...world.keyring, epoch: { roster: 1, run: 1 } } };
  const foreignRing = { ...world, keyring: foreign.keyring };
  const spoilt: [string, readonly Envelope[], CertificateError['code'] | 'record'][] = [
    ['nothing', [], 'incomplete'],
    ['t - 1 results', [a], 'incomplete'],
    ['t results, one of n missing', [a, b], 'incomplete'],
    ['one result n times', [a, a, a], 'incomplete'],
    ['an outsider in the place of a party', [a, b, resultBy(world, mallory, key.id, result)], 'outsider'],
    ['an outsider beside all parties', [a, b, c, resultBy(world, mallory, key.id, result)], 'outsider'],
    [
      'a party of another keyring',
      [a, b, resultBy(foreign, foreign.parties[0]!, key.id, result)],
      'outsider',
    ],
    ['another public key', [a, b, by(three, keyResultOf(2, 'x'))], 'unequal'],
    ['another chain code', [a, b, by(three, { chainCode: `0x${'00'.repeat(32)}` })], 'unequal'],
    ['another transcript', [a, b, by(three, { transcript: `0x${'00'.repeat(32)}` })], 'unequal'],
    [
      'other commitments',
      [a, b, by(three, { commitments: [result.publicKey, result.publicKey] })],
      'unequal',
    ],
    ['the results of another key', otherKey.certificate, 'wrong_subject'],
    ['a result about another key', [a, b, resultBy(world, three, otherKey.id, result)], 'wrong_subject'],
    ['a result of another epoch', [a, b, resultBy(elsewhere, three, key.id, result)], 'wrong_subject'],
    ['a result for another keyring', [a, b, resultBy(foreignRing, three, key.id, result)], 'wrong_subject'],
    ['a refusal', [a, b, refusedBy(world, three, key.id)], 'wrong_subject'],
    ['too many commitments', all({ commitments: [...result.commitments, result.publicKey] }), 'bad_key'],
    ['commitments of another key', all({ commitments: keyResultOf(2, 'x').commitments }), 'bad_key'],
    ['commitments in another order', all({ commitments: result.commitments.toReversed() }), 'bad_key'],
    ['a result without signature', [a, b, { ...c, signatures: [] }], 'record'],
    ['a result signed by another party', [a, b, { ...c, signatures: b.signatures }], 'record'],
    [
      'an altered result',
      [a, b, { ...c, bytes: by(three, { chainCode: result.transcript }).bytes }],
      'record',
    ],
  ];
  for (const [what, certificate, code] of spoilt) {
    it(`are not proven by a certificate with ${what}`, () => {
      refused(judge({ keys: certified(certificate) }), 'bad_evidence', false);
      assert.throws(
        () => verifyCertificate(certificate, world.keyring, key.id, networkId),
        (error) =>
          code === 'record'
            ? error instanceof RecordError
            : error instanceof CertificateError && error.code === code,
      );
    });
  }

  it('of fewer commitments than the threshold are no keys', () => {
    const five = createWorld({ name: 'five', parties: 5, threshold: 3 });
    const asked = keyRequest(five);
    const results = five.parties.map((party) => resultBy(five, party, idOf(asked), result));
    assert.throws(
      () => verifyCertificate(results, five.keyring, idOf(asked), networkId),
      (error) => error instanceof CertificateError && /2 commitments, the threshold is 3/.test(error.message),
    );
    const whole = makeKey(five, 'five', asked);
    assert.equal(
      verifyCertificate(whole.certificate, five.keyring, whole.id, networkId).publicKey,
      whole.publicKey,
    );
  });

  it('with a degenerate public key or commitment are no keys', () => {
    const degenerate: [string, `0x${string}`][] = [
      ['the identity', `0x01${'00'.repeat(31)}`],
      ['order 4', `0x${'00'.repeat(32)}`],
      ['order 8', '0xc7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'],
      ['no point', `0x02${'00'.repeat(31)}`],
      ['33 bytes', `${result.publicKey}00`],
    ];
    for (const [what, point] of degenerate) {
      for (const changed of [
        { publicKey: point, commitments: [point, result.commitments[1]!] },
        { commitments: [result.publicKey, point] },
      ]) {
        refused(judge({ keys: certified(all(changed)) }), 'bad_evidence', false, new RegExp(point));
        assert.throws(
          () => verifyCertificate(all(changed), world.keyring, key.id, networkId),
          (error) => error instanceof CertificateError && error.code === 'bad_key',
          what,
        );
      }
    }
  });

  it('must be those that the request names', () => {
    refused(judge({ keys: [] }), 'bad_evidence', false, /item 0: no certificate of key/);
    refused(judge({ keys: [otherKey.entry] }), 'bad_evidence', false, /item 0/);
    authorised(judge({ keys: [otherKey.entry, key.entry] }));
    refused(
      judge({ keys: [{ request, certificate: [...key.certificate] }] }),
      'bad_evidence',
      false,
      /no key request|not a key request/,
    );
    refused(judge({ keys: [{ ...key.entry, request: otherKey.request }] }), 'bad_evidence', false);
  });

  it('of another keyring are refused', () => {
    refused(judge({ keys: [foreignKey.entry] }), 'bad_evidence', false, /is not a key request to keyring/);
    refused(judge({ keys: [key.entry, foreignKey.entry] }), 'bad_evidence', false);
    assert.throws(() => verifyKey(foreignKey.entry, world.keyring, networkId));
    assert.equal(verifyKey(key.entry, world.keyring, networkId).publicKey, key.publicKey);
  });

  describe('of another workspace, served by the same keyring', () => {
    const neighbour = otherWorkspace({ name: 'neighbour' });
    const theirs: WorldKey = makeKey(neighbour, 'theirs');
    const entries = [key.entry, theirs.entry];
    for (const [what, keyIds] of [
      ['alone', [theirs.id]],
      ['beside an own one', [key.id, theirs.id]],
      ['before an own one', [theirs.id, key.id]],
    ] as const) {
      it(`${what} is refused for good`, () => {
        const asked = signRequest(
          world,
          keyIds.map((keyId) => ({ keyId, payload })),
        );
        const item = keyIds.indexOf(theirs.id);
        refused(
          judgeRequest(asked, { keys: entries }),
          'wrong_key',
          true,
          new RegExp(`item ${item}: .* workspace ${neighbour.workspace.id}`),
        );
      });
    }
  });
});

describe('evidence: items', () => {
  it('must be decodable, each of them', () => {
    const bad = requestWith({
      items: [
        { keyId: key.id, payload },
        { keyId: key.id, payload: { kind: 'message', data: '0xff' } },
      ],
    });
    refused(judgeRequest(bad), 'bad_payload', true, /item 1: a message must be UTF-8/);
    const empty = requestWith({
      items: [{ keyId: key.id, payload: { kind: 'solana.transaction', message: '0x00' } }],
    });
    refused(judgeRequest(empty), 'bad_payload', true, /item 0/);
  });

  it('are each judged by the policy', () => {
    const denying = otherWorkspace({
      signPolicy: {
        version: 1,
        rules: [
          { id: 'spend', effect: 'allow', require: { k: 1, of: 'owners' } },
          { id: 'keys', effect: 'allow', when: { kind: ['key.request'] }, require: { k: 1, of: 'owners' } },
        ],
      },
    });
    const makes = makeKey(denying);
    const asked = signRequest(denying, [{ keyId: makes.id, payload }]);
    const parts = { log: [denying.genesis], request: asked, keys: [makes.entry], decisions: [] };
    refused(judge(parts), 'policy_denied', true, /no rule allows this message/);
    // No approval changes a denial, nor does the time.
    const decisions = ['alice', 'bob', 'carol'].map((name) => approve(denying, idOf(asked), name));
    refused(judge({ ...parts, decisions }), 'policy_denied', true);
    refused(judge({ ...parts, decisions }, { now: start + 1e12 }), 'policy_denied', true);
  });

  it('are each judged by the policy, wherever they stand among others', () => {
    const transactions = otherWorkspace({
      signPolicy: {
        version: 1,
        rules: [
          {
            id: 'spend',
            effect: 'allow',
            when: { kind: ['solana.transaction', 'key.request'] },
            require: { k: 1, of: 'owners' },
          },
        ],
      },
    });
    const { id: keyId, publicKey, entry } = makeKey(transactions);
    const message = transferMessage({
      from: base58.encode(fromHex(publicKey)),
      to: base58.encode(new Uint8Array(32).fill(7)),
      lamports: 1n,
      recentBlockhash: base58.encode(new Uint8Array(32).fill(8)),
    });
    const transfer = { keyId, payload: { kind: 'solana.transaction' as const, message: toHex(message) } };
    const note = { keyId, payload };
    const ask = (items: Parameters<typeof signRequest>[1]) =>
      judge({
        log: [transactions.genesis],
        request: signRequest(transactions, items),
        keys: [entry],
        decisions: [],
      });
    authorised(ask([transfer, transfer]));
    for (const items of [
      [note, transfer],
      [transfer, note],
    ]) {
      refused(ask(items), 'policy_denied', true, /no rule allows this message/);
    }
  });

  it('are all there, in their order', () => {
    const texts = ['first', 'second', 'third'];
    const items = texts.map((text) => ({
      keyId: text === 'second' ? otherKey.id : key.id,
      payload: { kind: 'message' as const, data: `0x${Buffer.from(text).toString('hex')}` as const },
    }));
    const asked = signRequest(world, items);
    const verdict = judgeRequest(asked, { keys: [otherKey.entry, key.entry] });
    authorised(verdict);
    assert.ok(verdict.verdict === 'authorised');
    assert.deepEqual(
      verdict.authorisation.items.map((item) => [
        item.key.id,
        item.payload.facts.kind === 'message' && item.payload.facts.text,
      ]),
      items.map(({ keyId }, index) => [keyId, texts[index]]),
    );
  });
});

describe('evidence of another network', () => {
  it('proves nothing here', () => {
    const verdict = judge({}, { networkId: 'other-network' });
    refused(verdict, 'bad_evidence', false, /made for network test-network/);
  });

  it('of another world of the same names proves nothing for this one', () => {
    const twin = createWorld({ name: 'twin' });
    const twinKey = makeKey(twin);
    const asked = signRequest(twin, [{ keyId: twinKey.id, payload }]);
    const theirs = evidence(twin, asked, {
      decisions: [approve(twin, idOf(asked), 'bob')],
      keys: [twinKey.entry],
    });
    authorised(judge(theirs, { keyringId: twin.keyring.id }));
    for (const part of ['log', 'roster', 'request', 'keys'] as const) {
      const mixed = { ...whole, [part]: theirs[part] };
      refused(judge(mixed), 'bad_evidence', false);
    }
    waiting(judge({ decisions: theirs.decisions }), ['bob', 'carol'], 1);
    assert.equal(approval.signatures.length, 1);
  });
});
