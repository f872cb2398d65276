// Taproot keys in a running network: items under the key itself and under its output key in one request, and a party that
// cheats in one of them. What its bundle proves depends on the tweak, to which its own ACCEPT is bound.
import assert from 'node:assert/strict';
import { concatBytes } from '@noble/hashes/utils.js';
import { Transaction } from '@scure/btc-signer';
import { decodeBundle, type BlameBundle, encodeBundle } from '../../node/sessions/blame/bundle.ts';
import type { BlameError } from '../../node/sessions/blame/error.ts';
import { verifyBlame } from '../../node/sessions/blame/verify.ts';
import { signDigests } from '../../node/sessions/purpose.ts';
import { authorize } from '../../protocol/authorize.ts';
import { fromHex, toHex } from '../../protocol/hex.ts';
import { outputKeyOf, tapTweak } from '../../protocol/keys/taproot.ts';
import { taprootScript } from '../../protocol/payloads/bitcoin-transaction.ts';
import type { Payload } from '../../protocol/payloads/payload.ts';
import { assertProven, cheatInRounds } from '../support/cheats.ts';
import { messagePayload, networkId } from '../support/fixture.ts';
import { flip } from '../support/key-generation-runs.ts';
import { KeyedNetwork } from '../support/session-attacker.ts';

/** An input of the key, a message, and another input: tweaked, not tweaked, tweaked. */
function payloadsFor(net: KeyedNetwork): Payload[] {
  const script = taprootScript(outputKeyOf(fromHex(net.key.publicKey)));
  const transaction = new Transaction();
  for (const index of [0, 1])
    transaction.addInput({
      txid: new Uint8Array(32).fill(7),
      index,
      witnessUtxo: { script, amount: 1000n },
    });
  transaction.addOutput({ script, amount: 1900n });
  const psbt = toHex(transaction.toPSBT());
  return [
    { kind: 'bitcoin.psbt', psbt, input: 0 },
    messagePayload('hello'),
    { kind: 'bitcoin.psbt', psbt, input: 1 },
  ];
}

/** A share of 32 bytes for each item stands behind 33 bytes of kind and session id. */
function alterShare(message: Uint8Array, item: number): Uint8Array {
  const at = 33 + 32 * item;
  const end = at + 32;
  return concatBytes(message.subarray(0, at), flip(message.subarray(at, end), 31), message.subarray(end));
}

describe('blame: Taproot keys', () => {
  it('three items are signed at once, some under the key, some under its output key', async () => {
    const net = await KeyedNetwork.create(3, 2, { keyType: 'taproot_secp256k1' });
    await net.bootAll();
    const { id, full } = net.requestLedBy(payloadsFor(net), 0);
    await net.submit(full, [0, 1, 2]);
    await net.signedBy(id, [0, 1, 2]);
    assert.deepEqual(
      [0, 1, 2].flatMap((index) => net.node(index).blamed),
      [],
    );
    await net.stop();
  });

  it('a tweak is part of what an attempt is about', async () => {
    const net = await KeyedNetwork.create(3, 2, { keyType: 'taproot_secp256k1' });
    const { full } = net.requestLedBy(payloadsFor(net), 0);
    const verdict = authorize(full, { networkId, now: net.clock.now() });
    assert.equal(verdict.verdict, 'authorised');
    const { authorisation } = verdict as Extract<typeof verdict, { verdict: 'authorised' }>;
    const { items } = authorisation;
    assert.deepEqual(items[0]!.payload.tweak, tapTweak(fromHex(net.key.publicKey)));
    assert.equal(items[1]!.payload.tweak, undefined);
    const digests = signDigests(authorisation);
    const { tweak: _, ...bare } = items[0]!.payload;
    const [without] = signDigests({ ...authorisation, items: [{ ...items[0]!, payload: bare }] });
    assert.notDeepEqual(without, digests[0]);
  });

  for (const [item, what] of [
    [2, 'a spend'],
    [1, 'a message'],
  ] as const)
    it(`a wrong share for ${what} is proven with the tweak that it was made for, and with no other`, async () => {
      const net = await KeyedNetwork.create(3, 2, { keyType: 'taproot_secp256k1' });
      await net.bootAll();
      const cheat = 1;
      const { id, full } = net.requestLedBy(payloadsFor(net), cheat);
      cheatInRounds(net, cheat, (message) => alterShare(message, item));
      await net.submit(full, [0, 1, 2]);
      await net.signedBy(id, [0, 2]);
      const witnesses = [0, 2].filter((index) => net.node(index).blamed.length > 0);
      assert.ok(witnesses.length > 0, 'somebody has the proof');
      const file = assertProven(net, witnesses, 'invalid_share', cheat);
      const { bundle } = decodeBundle(file.bytes);
      const { signing } = bundle;
      const tweak = toHex(tapTweak(fromHex(net.key.publicKey)));
      assert.equal(signing?.item, item);
      assert.equal(signing.tweak, item === 2 ? tweak : undefined);

      const { tweak: __, ...untweaked } = signing;
      const others: BlameBundle['signing'][] = [
        item === 2 ? untweaked : { ...signing, tweak },
        { ...signing, tweak: `0x${'00'.repeat(31)}01` },
        { ...signing, tweak: `0x${'ff'.repeat(32)}` },
        { ...signing, item: 0 },
      ];
      for (const other of others)
        assert.throws(
          () =>
            verifyBlame(encodeBundle({ ...bundle, signing: other! }), { keyringId: net.world.keyring.id }),
          (error: BlameError) => error.name === 'BlameError' && error.code === 'bad_context',
        );
      await net.stop();
    });
});
