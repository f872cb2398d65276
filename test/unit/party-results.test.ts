// One party's result against what a request asks for: every code by which it counts for nothing, for keys of both types.
import assert from 'node:assert/strict';
import { Transaction } from '@scure/btc-signer';
import { authorize, type Authorisation } from '../../protocol/authorize.ts';
import { type Hex, toHex } from '../../protocol/hex.ts';
import {
  checkPartyResult,
  checkSignatures,
  type PartyResultErrorCode,
  verifyPartyResult,
} from '../../protocol/party-results.ts';
import type { PartyResult } from '../../protocol/records/party-result.ts';
import {
  approve,
  createWorld,
  evidence,
  idOf,
  keyRequest,
  messagePayload,
  networkId,
  resultBy,
  signerOf,
  signRequest,
  start,
  twoOfThreeAnyChain,
} from '../support/fixture.ts';
import { WholeTaprootKey } from '../support/whole-taproot-key.ts';
import { keyResultOf, makeChild, makeKey, signatureBy } from '../support/world-key.ts';

const world = createWorld({ signPolicy: twoOfThreeAnyChain });
const [first] = world.parties;

function authorised(request: ReturnType<typeof keyRequest>, keys = [] as never[]): Authorisation {
  const decisions = [approve(world, idOf(request), 'bob')];
  const verdict = authorize(evidence(world, request, { keys, decisions }), { networkId, now: start });
  assert.equal(verdict.verdict, 'authorised', verdict.verdict === 'refused' ? verdict.detail : '');
  return (verdict as Extract<typeof verdict, { verdict: 'authorised' }>).authorisation;
}

const key = makeKey(world);
const text = messagePayload('hello');
const signing = authorised(signRequest(world, [{ keyId: key.id, payload: text }]), [key.entry] as never[]);
const making = authorised(keyRequest(world, { keyType: 'taproot_secp256k1', label: 'vault' }));
const content = (result: PartyResult['result']): PartyResult => ({
  networkId,
  subject: signing.requestId,
  keyringId: world.keyring.id,
  epoch: world.keyring.epoch,
  party: first!.credential,
  result,
});
const signatures = (...list: Hex[]): PartyResult['result'] => ({ kind: 'signatures', signatures: list });
const good = signatureBy(key, text);

/** A Taproot key held in one hand, certified by the world's parties as its own. */
const whole = new WholeTaprootKey(7);
const taproot = {
  ...keyResultOf(2, 'Taproot'),
  keyType: 'taproot_secp256k1' as const,
  publicKey: toHex(whole.publicKey),
  commitments: [toHex(whole.point), toHex(new WholeTaprootKey(11).point)],
};

function refuses(code: PartyResultErrorCode, check: () => unknown, what?: string): void {
  assert.throws(check, { name: 'PartyResultError', code }, what);
}

describe('party results', () => {
  it('of a derived key are the one that its parent and path give, to the last field', () => {
    const child = makeChild(world, key, 'm/0/7');
    const deriving = authorised(child.request, [key.entry] as never[]);
    checkPartyResult(content(child.result), deriving);
    const point = child.result.commitments[0]!;
    for (const lie of [
      makeChild(world, key, 'm/0/8').result,
      key.result,
      { ...child.result, chainCode: key.result.chainCode },
      { ...child.result, transcript: key.result.transcript },
      { ...child.result, commitments: [point, point] },
    ])
      refuses('not_derived', () => checkPartyResult(content(lie), deriving));
    checkPartyResult(content({ kind: 'refusal', code: 'expired', reason: '' }), deriving);
  });

  it('are of parties of the keyring, about this request, keyring and epoch', () => {
    const sound = resultBy(world, first!, signing.requestId, signatures(good));
    assert.equal(verifyPartyResult(sound, signing, networkId).content.party, first!.credential);
    const stranger = resultBy(world, signerOf('stranger'), signing.requestId, signatures(good));
    refuses('outsider', () => verifyPartyResult(stranger, signing, networkId));
    const other = createWorld({ name: 'elsewhere' });
    for (const elsewhere of [
      resultBy(world, first!, making.requestId, signatures(good)),
      resultBy({ ...world, keyring: other.keyring }, first!, signing.requestId, signatures(good)),
    ])
      refuses('wrong_subject', () => verifyPartyResult(elsewhere, signing, networkId));
  });

  it('are of the kind, and the type of key, that is asked for', () => {
    refuses('wrong_kind', () => checkPartyResult(content(taproot), signing));
    refuses('wrong_kind', () => checkPartyResult(content(signatures(good)), making));
    refuses('wrong_kind', () => checkPartyResult(content(keyResultOf(2, 'ed25519')), making));
    checkPartyResult(content(taproot), making);
    checkPartyResult(content({ kind: 'refusal', code: 'expired', reason: '' }), signing);
  });

  it('hold a key of this keyring', () => {
    const [constant, ...rest] = taproot.commitments;
    refuses('bad_key', () => checkPartyResult(content({ ...taproot, commitments: rest }), making));
    const xOnly = [`0x${constant!.slice(4)}` as Hex, ...rest];
    refuses('bad_key', () => checkPartyResult(content({ ...taproot, commitments: xOnly }), making));
    refuses('bad_key', () => checkPartyResult(content({ ...taproot, publicKey: constant! }), making));
  });

  it('hold a valid signature for each item', () => {
    checkPartyResult(content(signatures(good)), signing);
    refuses('item_count', () => checkPartyResult(content(signatures(good, good)), signing));
    for (const bad of [
      `0x${'00'.repeat(64)}`,
      `${good}00`,
      signatureBy(makeKey(world, 'another'), text),
    ] as Hex[])
      refuses('bad_signature', () => checkPartyResult(content(signatures(bad)), signing), bad);
  });

  it('of a Taproot key are signed under its output key for a spend, under the key for a message, never the reverse', () => {
    const request = keyRequest(world, { keyType: 'taproot_secp256k1', label: 'vault' });
    const certificate = world.parties.map((party) => resultBy(world, party, idOf(request), taproot));
    const transaction = new Transaction();
    const witnessUtxo = { script: whole.script, amount: 1000n };
    transaction.addInput({ txid: new Uint8Array(32).fill(1), index: 0, witnessUtxo });
    transaction.addOutput({ script: whole.script, amount: 900n });
    const psbt = toHex(transaction.toPSBT());
    const payloads = [{ kind: 'bitcoin.psbt', psbt, input: 0 } as const, text];
    const items = payloads.map((payload) => ({ keyId: idOf(request), payload }));
    const opened = authorised(signRequest(world, items), [{ request, certificate }] as never[]).items;
    const messages = opened.map(({ payload }) => payload.message);
    const underOutput = messages.map((message) => toHex(whole.sign(message)));
    const underKey = messages.map((message) => toHex(whole.signUntweaked(message)));
    assert.doesNotThrow(() => checkSignatures([underOutput[0]!, underKey[1]!], opened));
    for (const list of [
      underOutput,
      underKey,
      [underKey[0]!, underOutput[1]!],
      [underOutput[1]!, underKey[0]!],
      [underOutput[0]!, `${underKey[1]!}01` as Hex],
    ])
      refuses('bad_signature', () => checkSignatures(list, opened));
  });
});
