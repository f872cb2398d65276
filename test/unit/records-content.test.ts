// What no record can say, whoever signs it; whose signatures each needs; and the keys that records introduce.
import { ed25519 } from '@noble/curves/ed25519.js';
import assert from 'node:assert/strict';
import { connectorGrant } from '../../protocol/records/connector-grant.ts';
import {
  createRecord,
  credentialOf,
  type Envelope,
  envelopeId,
  type Signer,
  verifyRecord,
} from '../../protocol/records/envelope.ts';
import { openKeyring } from '../../protocol/records/keyring-roster.ts';
import { openWorkspace } from '../../protocol/records/workspace.ts';
import { networkId, signerOf } from '../support/fixture.ts';
import {
  admin,
  alice,
  bob,
  parties,
  refuses,
  type Sample,
  sampleOf,
  signedAnew,
  verify,
} from '../support/record-samples.ts';

const outsider = signerOf('outsider');

describe('keys that records introduce', () => {
  const hex = (text: string): Uint8Array => Buffer.from(text, 'hex');
  const torsion = ed25519.Point.fromBytes(
    hex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'),
  );
  const point = ed25519.Point.BASE.multiply(12_345n);
  const degenerate: [string, Uint8Array][] = [
    ['the identity', ed25519.Point.ZERO.toBytes()],
    ['order 2', hex('ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f')],
    ['order 4', hex('00'.repeat(32))],
    ['order 8', torsion.toBytes()],
    ['mixed order', point.add(torsion).toBytes()],
    [
      'another spelling of the identity',
      hex(`eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f`),
    ],
    ['no point', hex(`02${'00'.repeat(31)}`)],
  ];

  for (const [what, key] of degenerate) {
    const credential = credentialOf(key);
    it(`are refused when they are of ${what}`, () => {
      const genesis = sampleOf('workspace.genesis');
      const roster = sampleOf('keyring.roster');
      const [first, ...others] = (roster.content as unknown as { parties: { key: string }[] }).parties;
      const owners = [
        { name: 'alice', credentials: [alice.credential] },
        { name: 'bob', credentials: [bob.credential, credential] },
      ];
      const spoilt: [Sample, Envelope][] = [
        [genesis, signedAnew(genesis, { ...genesis.content, owners })],
        [roster, signedAnew(roster, { ...roster.content, admins: [admin.credential, credential] })],
        [
          roster,
          signedAnew(roster, { ...roster.content, parties: [{ ...first, key: credential }, ...others] }),
        ],
        [
          sampleOf('connector.grant'),
          signedAnew(sampleOf('connector.grant'), {
            ...sampleOf('connector.grant').content,
            connector: credential,
          }),
        ],
      ];
      for (const [sample, envelope] of spoilt) {
        // Twice: that it was looked at before must not make it good.
        for (const _ of [1, 2]) refuses('bad_key', () => verify(sample, envelope), new RegExp(credential));
      }
    });
  }
});

describe('who signs what', () => {
  const roster = sampleOf('keyring.roster');
  const genesis = sampleOf('workspace.genesis');
  const signedBy = (sample: Sample, ...signers: Signer[]) =>
    signedAnew({ ...sample, signers }, sample.content);

  it('a roster: every party and an admin', () => {
    assert.equal(openKeyring(roster.envelope, networkId).id, envelopeId(roster.envelope, networkId));
    refuses('missing_signature', () => openKeyring(signedBy(roster, ...parties), networkId), /no admin/);
    refuses(
      'missing_signature',
      () => openKeyring(signedBy(roster, ...parties, outsider), networkId),
      /no admin/,
    );
    for (const absent of parties) {
      const present = parties.filter((party) => party !== absent);
      const words = new RegExp(absent.credential);
      refuses('missing_signature', () => openKeyring(signedBy(roster, admin, ...present), networkId), words);
    }
  });

  it('a genesis: owners of it, and nobody else', () => {
    assert.equal(
      openWorkspace([genesis.envelope], networkId).head.id,
      envelopeId(genesis.envelope, networkId),
    );
    openWorkspace([signedBy(genesis, bob, alice)], networkId);
    refuses('missing_signature', () => openWorkspace([signedBy(genesis, outsider)], networkId));
    refuses('missing_signature', () => openWorkspace([signedBy(genesis, alice, outsider)], networkId));
  });

  it('a log that cannot be replayed is refused', () => {
    refuses('malformed', () => openWorkspace([], networkId), /empty/);
    refuses(
      'malformed',
      () => openWorkspace([genesis.envelope, genesis.envelope], networkId),
      /a workspace.change record belongs here/,
    );
    refuses('malformed', () => openWorkspace([roster.envelope], networkId));
  });

  it('a grant: its party', () => {
    const grant = sampleOf('connector.grant');
    refuses('missing_signature', () =>
      verifyRecord(connectorGrant, signedBy(grant, outsider) as never, networkId),
    );
  });
});

describe('what records cannot say', () => {
  const first = <Item>(items: unknown): Item => (items as Item[])[0]!;
  const with_ = (name: string, change: Record<string, unknown>): [string, Record<string, unknown>] => [
    name,
    change,
  ];
  const { owners } = sampleOf('workspace.genesis').content as unknown as {
    owners: { credentials: string[] }[];
  };
  const { parties: members } = sampleOf('keyring.roster').content as unknown as {
    parties: { key: string }[];
  };
  const { items } = sampleOf('request, sign').content as unknown as { items: unknown[] };
  const policyOf = (rule: unknown) => ({ version: 1, rules: [rule] });
  const spoilt: [string, [string, Record<string, unknown>]][] = [
    ['no owner', with_('workspace.genesis', { owners: [] })],
    [
      'an owner without credentials',
      with_('workspace.genesis', { owners: [{ name: 'alice', credentials: [] }] }),
    ],
    [
      'two owners of one name',
      with_('workspace.genesis', { owners: [owners[0], { ...owners[1], name: 'alice' }] }),
    ],
    [
      'a credential of two owners',
      with_('workspace.genesis', {
        owners: [owners[0], { name: 'bob', credentials: owners[0]!.credentials }],
      }),
    ],
    [
      'a name that another owner has',
      with_('workspace.genesis', {
        owners: [...owners, { ...owners[0], credentials: [outsider.credential] }],
      }),
    ],
    ['no keyring', with_('workspace.genesis', { keyrings: [] })],
    [
      'a policy that more owners must meet than there are',
      with_('workspace.genesis', {
        signPolicy: policyOf({ id: 'a', effect: 'allow', require: { k: 3, of: 'owners' } }),
      }),
    ],
    [
      'a policy that names a stranger',
      with_('workspace.genesis', {
        adminPolicy: policyOf({ id: 'a', effect: 'allow', require: { k: 1, of: ['mallory'] } }),
      }),
    ],
    [
      'a rejection by a stranger',
      with_('workspace.genesis', {
        signPolicy: policyOf({
          id: 'a',
          effect: 'allow',
          require: { k: 1, of: 'owners' },
          reject: { k: 1, of: ['mallory'] },
        }),
      }),
    ],
    ['a name with a line end', with_('workspace.genesis', { name: 'a\nb' })],
    ['a name that turns its direction', with_('workspace.genesis', { name: 'a\u202eb' })],
    ['an invisible name', with_('workspace.genesis', { name: '\u200b' })],
    ['threshold 0', with_('keyring.roster', { threshold: 0 })],
    ['threshold 1', with_('keyring.roster', { threshold: 1 })],
    ['a threshold above the number of parties', with_('keyring.roster', { threshold: 4 })],
    ['one party', with_('keyring.roster', { parties: [first(members)] })],
    [
      'two parties of one name',
      with_('keyring.roster', { parties: members.map((each) => ({ ...each, name: 'a' })) }),
    ],
    [
      'two parties of one key',
      with_('keyring.roster', { parties: members.map((each) => ({ ...each, key: members[0]!.key })) }),
    ],
    ['no admin', with_('keyring.roster', { admins: [] })],
    ['an admin twice', with_('keyring.roster', { admins: [admin.credential, admin.credential] })],
    ['a second epoch', with_('keyring.roster', { epoch: 2 })],
    ['nobody to serve', with_('keyring.roster', { serves: [] })],
    [
      'an address that a terminal would act on',
      with_('keyring.roster', {
        parties: [{ ...members[0], addresses: ['/ip4/\u001b[2J'] }, ...members.slice(1)],
      }),
    ],
    [
      'an address with a space',
      with_('keyring.roster', {
        parties: [{ ...members[0], addresses: ['/ip4/1.1.1.1 /tcp/1'] }, ...members.slice(1)],
      }),
    ],
    ['no items', with_('request, sign', { items: [] })],
    ['51 items', with_('request, sign', { items: Array.from({ length: 51 }, () => items[0]) })],
    ['an end at its beginning', with_('request, sign', { expires: '2030-01-31T12:00:00.000Z' })],
    ['an end before its beginning', with_('request, key', { expires: '2029-01-31T12:00:00.000Z' })],
    [
      'a payload of kind digest',
      with_('request, sign', { items: [{ ...(items[0] as object), payload: { kind: 'digest' } }] }),
    ],
    ['an unknown key type', with_('request, key', { keyType: 'secp256k1' })],
    ['decision 0', with_('decision, approve', { seq: 0 })],
    ['an approval without end', with_('decision, approve', { expires: undefined })],
    ['a rejection with an end', with_('decision, reject', { expires: '2030-01-31T12:00:00.000Z' })],
    ['a decision of another kind', with_('decision, approve', { decision: 'abstain' })],
    ['epoch 0', with_('party.result, refusal', { epoch: { roster: 0, run: 0 } })],
    ['no signatures', with_('party.result, signatures', { result: { kind: 'signatures', signatures: [] } })],
    [
      'a short signature',
      with_('party.result, signatures', { result: { kind: 'signatures', signatures: ['0x00'] } }),
    ],
    ['a refusal without code', with_('party.result, refusal', { result: { kind: 'refusal', reason: 'no' } })],
  ];
  for (const [what, [name, change]] of spoilt) {
    it(`${name}: ${what}`, () => {
      const sample = sampleOf(name);
      const content = { ...sample.content, ...change };
      refuses('malformed', () => createRecord(sample.kind, content, ...sample.signers));
      refuses('malformed', () => verify(sample, signedAnew(sample, content)));
    });
  }

  const notInstants = [
    '2030-01-31T12:00:00Z',
    '2030-01-31T12:00:00.000z',
    '2030-01-31T12:00:00.000+00:00',
    '2030-01-31 12:00:00.000Z',
    '2030-02-30T12:00:00.000Z',
    '2030-01-31T24:00:00.000Z',
    '2030-01-31T12:00:60.000Z',
    '2030-01-31T12:00:00.00Z0',
    1_900_000_000_000,
  ];
  for (const created of notInstants) {
    it(`an instant written as ${created}`, () => {
      const sample = sampleOf('request, key');
      refuses('malformed', () => verify(sample, signedAnew(sample, { ...sample.content, created })));
    });
  }
});
