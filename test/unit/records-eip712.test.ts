// Ethereum wallets as credentials: what they show is made of the record, what libraries sign is accepted, and nothing else.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { concatBytes } from '@noble/curves/utils.js';
import { recoverAddressTyped } from 'micro-eth-signer';
import { hashTypedData, recoverTypedDataAddress, type TypedDataDefinition } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { typedDataOf, walletCredential, withWalletSignature } from '../../client/owner-signatures.ts';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import { encodeCanonical } from '../../protocol/records/canonical.ts';
import { typedDataOfRecord } from '../../protocol/records/eip712.ts';
import {
  createRecord,
  type Envelope,
  envelopeSchema,
  signedRecord,
  verifyRecord,
} from '../../protocol/records/envelope.ts';
import { ownerRecordOf } from '../../protocol/records/owner-records.ts';
import { typedDataDigest } from '../../protocol/payloads/evm-typed-data.ts';
import { checkTypedData } from '../../protocol/payloads/typed-data.ts';
import { networkId } from '../support/fixture.ts';
import { refuses, type Sample, sampleOf, samples, verify, withContent } from '../support/record-samples.ts';
import { WalletSigner } from '../support/wallet-signer.ts';

const wallet = new WalletSigner('one');
const sample = sampleOf('decision, approve');
const draft: Envelope = { ...sample.envelope, signatures: [] };
const ownerTypes = ['workspace.genesis', 'workspace.change', 'request', 'decision'];
const ownerSamples = samples.filter(({ kind }) => ownerTypes.includes(kind.type));
const definitionOf = (of: Envelope) => typedDataOf(of, networkId) as unknown as TypedDataDefinition;
const messageOf = (name: string) => typedDataOf(sampleOf(name).envelope, networkId).message;

function signedBy(signature: string, credential = wallet.credential): Envelope {
  return { ...draft, signatures: [{ credential, signature: signature as Hex }] };
}

/** The record of this sample by a wallet that is shown something else than the record. */
function shownElse(of: Sample, change: (data: Record<string, Record<string, unknown>>) => void): Envelope {
  const data = structuredClone(typedDataOf(of.envelope, networkId)) as never;
  change(data);
  const { credential } = wallet;
  return { ...of.envelope, signatures: [{ credential, signature: wallet.signTypedData(data) }] };
}

describe('records signed by Ethereum wallets', () => {
  for (const { name, kind, envelope, content } of ownerSamples) {
    it(`${name}: as two libraries sign and recover it`, async () => {
      // Whom a change brings in has signed it with a key of its own.
      const others = envelope.signatures.filter(({ credential }) =>
        kind.signers(content).includes(credential),
      );
      const unsigned = { ...envelope, signatures: others };
      const data = definitionOf(unsigned);
      const byViem = await privateKeyToAccount(wallet.privateKey).signTypedData(data);
      assert.equal(wallet.signTypedData(typedDataOf(unsigned, networkId)), byViem);
      const signed = withWalletSignature(unsigned, networkId, wallet.address, byViem);
      const { id, signedBy: signers } = verifyRecord(kind, envelopeSchema.parse(signed), networkId);
      assert.deepEqual(signers, [...others.map(({ credential }) => credential), wallet.credential]);
      const record = typedDataOfRecord(signedRecord(kind, id, content));
      assert.equal(toHex(typedDataDigest(record)), hashTypedData(data));
      assert.equal(await recoverTypedDataAddress({ ...data, signature: byViem } as never), wallet.address);
      assert.equal(recoverAddressTyped(byViem, data as never), wallet.address);
    });

    it(`${name}: shows every field that it signs, and the record's id`, () => {
      const { types, primaryType, domain, message } = typedDataOf(envelope, networkId);
      const { EIP712Domain, ...others } = types;
      // Held to the rules for typed data that keys sign: all that is shown is signed, and the other way about.
      checkTypedData({ types: others, primaryType, domain, message });
      assert.deepEqual(
        EIP712Domain?.map((field) => field.name),
        ['name', 'version', 'salt'],
      );
      assert.equal(message['record'], verify({ kind } as Sample, envelope).id);
      assert.equal(message['network'], networkId);
      assert.equal(Object.keys(message).at(-1), 'record');
    });
  }

  it('show what people can read', () => {
    const workspace = (sampleOf('request, sign').content as unknown as { workspaceId: string }).workspaceId;
    const { record: _, ...asked } = messageOf('request, sign');
    const { items } = sampleOf('request, sign').content as unknown as { items: { keyId: string }[] };
    assert.deepEqual(asked, {
      action: 'Ask for 2 signatures',
      workspace,
      initiator: 'alice',
      items: items.flatMap(({ keyId }, index) => [
        `${index + 1}. message by key ${keyId}: 2 bytes, no transaction`,
        `${index + 1}. text: ${['hi', 'ho'][index]}`,
      ]),
      until: '2030-01-31T13:00:00.000Z',
      network: networkId,
    });
    const { subject } = sample.content as unknown as { subject: string };
    assert.deepEqual(Object.entries(messageOf('decision, approve')).slice(0, 4), [
      ['action', `Approve the action ${subject}`],
      ['principal', 'bob'],
      ['seq', '1'],
      ['until', '2030-01-31T13:00:00.000Z'],
    ]);
    assert.deepEqual(Object.entries(messageOf('decision, approve, about')).slice(0, 3), [
      ['action', `Approve the action ${subject}`],
      ['about', ['Ask for 1 signature', 'items: 1. message by key 0x00: 2 bytes, no transaction']],
      ['principal', 'bob'],
    ]);
    assert.deepEqual(Object.entries(messageOf('decision, reject')).slice(0, 4), [
      ['action', `Reject the action ${subject}`],
      ['principal', 'bob'],
      ['seq', '1'],
      ['reason', 'Unknown recipient'],
    ]);
    const made = messageOf('workspace.genesis');
    assert.deepEqual([made['action'], made['name']], ['Make a workspace', 'Treasury']);
    assert.match((made['owners'] as string[])[1]!, /^bob: ed25519:0x\w{64}, ed25519:0x\w{64}$/);
    assert.ok((made['adminPolicy'] as string[]).includes('rules[0].id: majority'));
    assert.ok((made['signPolicy'] as string[]).includes('rules[1].require.of[0]: alice'));
    assert.deepEqual(
      ['action', 'label', 'derived'].map((field) => messageOf('request, derived key')[field]),
      [
        'Ask for a new key of type ed25519',
        'Customer 7',
        `m/0/7 from key ${(sampleOf('request, derived key').content as unknown as { parent: string }).parent}`,
      ],
    );
  });

  it('show all that is in a record whose type says nothing', () => {
    const { type, schema } = sample.kind;
    const silent = { type, schema, signers: () => [] };
    const { readable } = signedRecord(silent, `0x${'00'.repeat(32)}`, sample.content);
    assert.deepEqual(readable(), {
      action: 'Sign a decision record',
      content: [
        'decision: approve',
        'expires: 2030-01-31T13:00:00.000Z',
        `logHead.id: ${(sample.content as unknown as { logHead: { id: string } }).logHead.id}`,
        'logHead.seq: 0',
        `networkId: ${networkId}`,
        'principal: bob',
        'seq: 1',
        `subject: ${(sample.content as unknown as { subject: string }).subject}`,
      ],
    });
    const nested = { networkId, list: [], none: {}, rules: [{ id: 'a' }, { id: 'b', on: true }] };
    assert.deepEqual(signedRecord(silent, '0x', nested).readable()['content'], [
      'list: none',
      `networkId: ${networkId}`,
      'none: nothing',
      'rules[0].id: a',
      'rules[1].id: b',
      'rules[1].on: true',
    ]);
  });

  it('are bound to the network by a salt that anybody can compute', () => {
    const hash = createHash('sha256');
    for (const text of ['countersign/v1/eip712', networkId]) {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(text.length);
      hash.update(length).update(text);
    }
    const { domain } = typedDataOf(draft, networkId);
    const salt = `0x${hash.digest('hex')}`;
    assert.deepEqual(domain, { name: 'Countersign', version: '1', salt });
  });

  it('are refused by another account', () => {
    const { signatures } = wallet.signRecord(draft, networkId);
    const other = new WalletSigner('two').credential;
    refuses(
      'bad_signature',
      () => verify(sample, signedBy(signatures[0]!.signature, other)),
      /made it, or something/,
    );
  });

  it('are refused when something else than the record was shown', () => {
    const changes: readonly ((data: Record<string, Record<string, unknown>>) => void)[] = [
      ({ message }) => (message!['action'] = 'Approve the action 0x00'),
      ({ message }) => (message!['principal'] = 'alice'),
      ({ message }) => (message!['until'] = '2040-01-31T13:00:00.000Z'),
      ({ message }) => (message!['network'] = 'other-network'),
      ({ message }) => (message!['record'] = `0x${'00'.repeat(32)}`),
      ({ domain }) => (domain!['salt'] = typedDataOf(otherNetwork(sample), 'other-network').domain['salt']),
      ({ domain }) => (domain!['name'] = 'Countersigns'),
      ({ domain }) => (domain!['version'] = '2'),
      ({ domain, types }) => {
        domain!['chainId'] = 1;
        (types!['EIP712Domain'] as object[]).splice(2, 0, { name: 'chainId', type: 'uint256' });
      },
      ({ types, message }) => {
        // The record's id alone, and nothing that a person could read.
        types!['Decision'] = [{ name: 'record', type: 'bytes32' }];
        for (const field of Object.keys(message!)) if (field !== 'record') delete message![field];
      },
      ({ types, message }) => {
        types!['Decision'] = [...(types!['Decision'] as object[]), { name: 'note', type: 'string' }];
        message!['note'] = 'more';
      },
      ({ types }) => (types!['Decision'] = (types!['Decision'] as object[]).toReversed()),
    ];
    assert.ok(
      verify(
        sample,
        shownElse(sample, () => undefined),
      ),
    );
    for (const change of changes)
      refuses('bad_signature', () => verify(sample, shownElse(sample, change)), /something else than this/);
  });

  /** The same on another network. */
  function otherNetwork(of: Sample): Envelope {
    return withContent(of.envelope, { ...of.content, networkId: 'other-network' });
  }

  it('are refused on another record, on another network, and as another type', () => {
    const { signatures } = wallet.signRecord(draft, networkId);
    const other = sampleOf('decision, reject');
    refuses('bad_signature', () => verify(other, { ...other.envelope, signatures }));
    const elsewhere = { ...otherNetwork(sample), signatures };
    refuses('bad_signature', () => verifyRecord(sample.kind, elsewhere, 'other-network'));
    const lookalike = { ...sample.kind, type: 'decisions' };
    const renamed = { ...draft, type: 'decisions', signatures };
    refuses('bad_signature', () => verifyRecord(lookalike, renamed, networkId));
  });

  it('are refused when signed as text, or as the bytes that ed25519 keys sign', async () => {
    const account = privateKeyToAccount(wallet.privateKey);
    const { id, message } = signedRecord(sample.kind, verify(sample, sample.envelope).id, sample.content);
    for (const text of [{ raw: id }, { raw: toHex(message) }, id]) {
      const signature = await account.signMessage({ message: text });
      refuses('bad_signature', () => verify(sample, signedBy(signature)));
    }
  });

  it('have one form: s low, v 27 or 28', () => {
    const good = wallet.signTypedData(typedDataOf(draft, networkId));
    const bytes = fromHex(good);
    const v = bytes[64]!;
    const { r, s } = secp256k1.Signature.fromBytes(bytes.subarray(0, 64), 'compact');
    const high = new secp256k1.Signature(r, secp256k1.Point.Fn.neg(s)).toBytes('compact');
    const flipped = 55 - v;
    refuses(
      'bad_signature',
      () => verify(sample, signedBy(toHex(concatBytes(high, Uint8Array.of(flipped))))),
      /upper half/,
    );
    for (const other of [v - 27, 29, 30, 35, 36, 37, 38, 255, 26])
      refuses('bad_signature', () => verify(sample, signedBy(toHex(bytes.with(64, other)))), /not 27 or 28/);
    refuses('bad_signature', () => verify(sample, signedBy(toHex(bytes.with(64, flipped)))), /made it, or/);
    const zero = new Uint8Array(65).fill(27);
    for (const [start, end] of [
      [0, 32],
      [32, 64],
      [0, 64],
    ]) {
      refuses(
        'bad_signature',
        () => verify(sample, signedBy(toHex(zero.fill(0, start, end)))),
        /out of range/,
      );
      zero.fill(27);
    }
    const order = toHex(bytes.fill(0xff, 0, 32));
    refuses('bad_signature', () => verify(sample, signedBy(order)), /out of range/);
  });

  it('have one length, which the envelope tells before anything else', () => {
    const good = wallet.signTypedData(typedDataOf(draft, networkId));
    for (const other of [good.slice(0, -2), `${good}00`, '0x', good.slice(2), good.toUpperCase()])
      assert.ok(!envelopeSchema.safeParse(signedBy(other)).success, other.slice(0, 10));
    refuses('bad_signature', () => verify(sample, signedBy(good.slice(0, -2))), /has 64 bytes/);
    refuses('bad_signature', () => verify(sample, signedBy(`${good}00`)), /has 66 bytes/);
    // What contracts take for a signature (ERC-1271, ERC-6492) is of any length: none is taken here.
    assert.ok(!envelopeSchema.safeParse(signedBy(`${good}${'6492'.repeat(16)}`)).success);
  });

  it('are refused with any byte changed, and for random bytes, with no other error', () => {
    const good = fromHex(wallet.signTypedData(typedDataOf(draft, networkId)));
    for (let at = 0; at < good.length; at += 1)
      refuses('bad_signature', () => verify(sample, signedBy(toHex(good.with(at, good[at]! ^ 1)))));
    for (let round = 0; round < 50; round += 1) {
      const random = createHash('sha512').update(`garbage ${round}`).digest();
      refuses('bad_signature', () =>
        verify(sample, signedBy(toHex(concatBytes(random, Uint8Array.of(27 + (round % 2)))))),
      );
    }
  });

  it('are taken from wallets as they write them, and no other', () => {
    const good = wallet.signTypedData(typedDataOf(draft, networkId));
    const signed = wallet.signRecord(draft, networkId);
    const v = Number.parseInt(good.slice(-2), 16);
    for (const written of [good, good.toUpperCase().replace('0X', '0x'), `${good.slice(0, -2)}0${v - 27}`])
      assert.deepEqual(withWalletSignature(draft, networkId, wallet.address, written), signed);
    const lower = wallet.address.toLowerCase();
    assert.deepEqual(withWalletSignature(draft, networkId, lower, good), signed);
    assert.equal(withWalletSignature(signed, networkId, lower, good), signed);
    const two = new WalletSigner('two').address;
    refuses('bad_signature', () => withWalletSignature(draft, networkId, two, good), /made it, or/);
    refuses(
      'bad_signature',
      () => withWalletSignature(draft, networkId, lower, `${good}00`),
      /not of the form/,
    );
    // A checksum that is wrong in one letter.
    const mistyped = wallet.address.replace(/[A-F]/, (letter) => letter.toLowerCase());
    for (const wrong of [mistyped, `${lower}00`, lower.slice(2), 'name.eth', ''])
      assert.throws(() => walletCredential(wrong), TypeError);
  });

  it('are asked for on records that owners sign alone', () => {
    for (const { kind, envelope } of samples) {
      if (ownerTypes.includes(kind.type)) assert.equal(ownerRecordOf(envelope).type, kind.type);
      else refuses('malformed', () => typedDataOf(envelope, networkId), /owners do not sign such records/);
    }
    refuses('wrong_network', () => typedDataOf(draft, 'other-network'));
    assert.deepEqual(
      createRecord(sample.kind, sample.content).bytes,
      Buffer.from(encodeCanonical(sample.content)).toString('base64url'),
    );
  });
});
