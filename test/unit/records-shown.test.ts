// What wallets show of records: everything that decides who may sign and who is paid, the same in every version, and
// computed once however many wallets signed.
import assert from 'node:assert/strict';
import { typedDataOf } from '../../client/owner-signatures.ts';
import { toHex } from '../../protocol/hex.ts';
import type { Policy } from '../../protocol/policy/schema.ts';
import { walletDigestOf } from '../../protocol/records/eip712.ts';
import {
  createRecord,
  type RecordType,
  signedRecord,
  verifyRecord,
} from '../../protocol/records/envelope.ts';
import { decision } from '../../protocol/records/decision.ts';
import { request } from '../../protocol/records/request.ts';
import { type Change, workspaceChange } from '../../protocol/records/workspace-change.ts';
import { workspaceGenesis } from '../../protocol/records/workspace-genesis.ts';
import { networkId, seedOf } from '../support/fixture.ts';
import { alice, sampleOf } from '../support/record-samples.ts';
import { WalletSigner } from '../support/wallet-signer.ts';

const hash = (name: string) => toHex(seedOf('shown', name));
const mint = 'EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v';
const policy: Policy = {
  version: 1,
  groups: { ops: ['alice', 'bob'] },
  lists: { payroll: [mint] },
  assets: { USDC: { chain: 'solana', address: mint, decimals: 6 } },
  rules: [
    {
      id: 'pay',
      effect: 'allow',
      when: { asset: ['USDC'], to: { in: 'payroll' }, amount: { lte: '500' } },
      require: { k: 2, of: 'ops' },
    },
  ],
};
const lines = [
  'rules[0].effect: allow',
  'rules[0].id: pay',
  'rules[0].require.k: 2',
  'rules[0].require.of: ops',
  'rules[0].when.amount.lte: 500',
  'rules[0].when.asset[0]: USDC',
  'rules[0].when.to.in: payroll',
  'groups.ops[0]: alice',
  'groups.ops[1]: bob',
  'assets.USDC.address: EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v',
  'assets.USDC.chain: solana',
  'assets.USDC.decimals: 6',
  'lists.payroll[0]: EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v',
  'version: 1',
];

function shown<Content extends { networkId: string }>(kind: RecordType<Content>, content: object) {
  return typedDataOf(createRecord(kind, content as Content, alice), networkId).message;
}

const changeOf = (change: Change) => ({
  networkId,
  workspaceId: hash('workspace'),
  seq: 1,
  prev: hash('workspace'),
  initiator: 'alice',
  change,
  created: '2030-01-31T12:00:00.000Z',
  expires: '2030-01-31T13:00:00.000Z',
  nonce: toHex(seedOf('shown', 'nonce').subarray(0, 16)),
});

describe('what wallets show of records', () => {
  const genesis = sampleOf('workspace.genesis').content;
  const key = sampleOf('request, derived key').content;

  it('is the whole of every policy that a record brings in: who approves, who is paid, and in what', () => {
    assert.deepEqual(shown(workspaceGenesis, { ...genesis, signPolicy: policy })['signPolicy'], lines);
    assert.deepEqual(shown(workspaceGenesis, genesis)['adminPolicy'], [
      'rules[0].effect: allow',
      'rules[0].id: majority',
      'rules[0].require.k: 2',
      'rules[0].require.of: owners',
      'rules[0].when.kind[0]: workspace.change',
      'version: 1',
    ]);
    assert.deepEqual(shown(workspaceChange, changeOf({ kind: 'policy.sign', policy }))['policy'], lines);
    const keyId = hash('key');
    const ofKey = shown(workspaceChange, changeOf({ kind: 'policy.key', keyId, policy }));
    assert.deepEqual([ofKey['key'], ofKey['policy']], [keyId, lines]);
    assert.deepEqual(shown(request, { ...key, policy })['policy'], lines);
  });

  it('says where no policy is given, and nothing of one where there is none', () => {
    const { signPolicy: _, ...child } = { ...genesis, parent: hash('parent') } as Record<string, unknown>;
    assert.deepEqual(shown(workspaceGenesis, child)['signPolicy'], ['that of the parent workspace']);
    assert.deepEqual(shown(workspaceChange, changeOf({ kind: 'policy.sign' }))['policy'], [
      'none of its own',
    ]);
    assert.equal(shown(request, key)['policy'], undefined);
  });

  // What wallets signed is made again from the record, by later versions too: these never change.
  it('is the same in every version', () => {
    const digestOf = <Content extends { networkId: string }>(kind: RecordType<Content>, content: object) =>
      toHex(walletDigestOf(signedRecord(kind, hash('record'), content as Content)));
    assert.deepEqual(
      {
        genesis: digestOf(workspaceGenesis, { ...genesis, signPolicy: policy }),
        policy: digestOf(workspaceChange, changeOf({ kind: 'policy.sign', policy })),
        freeze: digestOf(workspaceChange, changeOf({ kind: 'freeze' })),
        key: digestOf(request, { ...key, policy }),
        sign: digestOf(request, sampleOf('request, sign').content),
        approve: digestOf(decision, sampleOf('decision, approve').content),
        about: digestOf(decision, sampleOf('decision, approve, about').content),
        reject: digestOf(decision, sampleOf('decision, reject').content),
      },
      {
        genesis: '0x20c252fb3d60c4df95b6cd8f20a349715706fa136342aa2405a6c6336dbc8336',
        policy: '0x49cb50721dea37ad34b086688219761c0e50938e1bad3645039c76bc5939da3d',
        freeze: '0x28595c030f0b2799a5a2c471001918a998d9d061340c38a17a073075cf16de43',
        key: '0xcd755979840bbaf37a05ac9e345c96563e3f2b1a08bc3b7a8d4852b7c29f4dcf',
        sign: '0x3bb30a2d9cc87c8b1b81f6d9ed74b18a5286e88f6bc60969f5a18155ef66335e',
        approve: '0x4314fef5f740fc9ca351d470e8f52aa8e0e412f33295decda782fdf444cc39bc',
        about: '0x003da58157aa3eb93cfa5459e0ab50e5ef3abd5a33178c82d288bee8fbd1f699',
        reject: '0xda33e30e5d872e6a650f6551b8c834719de97fbee0705eb722676bebec0c002e',
      },
    );
  });

  it('is made once, however many wallets signed', () => {
    const { envelope } = sampleOf('decision, approve');
    const wallets = [1, 2, 3, 4].map((name) => new WalletSigner('shown', name));
    const signed = wallets.reduce((to, wallet) => wallet.signRecord(to, networkId), envelope);
    let made = 0;
    const counting: typeof decision = {
      ...decision,
      readable: (content) => {
        made += 1;
        return decision.readable!(content);
      },
    };
    const { signedBy } = verifyRecord(counting, signed, networkId);
    assert.deepEqual(
      signedBy.slice(-4),
      wallets.map(({ credential }) => credential),
    );
    assert.equal(made, 1);
  });
});
