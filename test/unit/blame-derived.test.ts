// Faults in signing by derived keys: proven to anybody, with the parent's certificate beside the child's.
import assert from 'node:assert/strict';
import { concatBytes } from '@noble/hashes/utils.js';
import { decodeBundle } from '../../node/sessions/blame/bundle.ts';
import { verifyBlame } from '../../node/sessions/blame/verify.ts';
import { fromHex } from '../../protocol/hex.ts';
import { KeyProofs } from '../../protocol/key-proofs.ts';
import type { ParentKey } from '../../protocol/keys/derivation.ts';
import { encodeCanonical } from '../../protocol/records/canonical.ts';
import { keyedNetwork, keyTypes, spendBy } from '../support/attack-scene.ts';
import { assertProven, cheatInRounds } from '../support/cheats.ts';
import { accusing, bytesOf, neverBlamed, refused, sentBy } from '../support/false-accusations.ts';
import { messagePayload, networkId } from '../support/fixture.ts';
import { flip } from '../support/key-generation-runs.ts';
import type { KeyedNetwork } from '../support/session-attacker.ts';
import { makeChild } from '../support/world-key.ts';

/** A network whose requests are for a derived key. */
async function derivedNetwork(keyType: (typeof keyTypes)[number]): Promise<KeyedNetwork> {
  const net = await keyedNetwork(3, 2, keyType);
  await net.bootAll();
  await net.derive('m/0/7');
  const spends = keyType === 'ed25519' ? [] : [spendBy(fromHex(net.key.publicKey))];
  net.payloads = [messagePayload('hello'), ...spends];
  return net;
}

/** The parent of the network's key, with what its parties certified. */
function parentOf(net: KeyedNetwork): ParentKey {
  const { key, result } = new KeyProofs([], net.world.keyring, networkId).prove(net.parent!);
  return { id: key.id, result };
}

/** Whose faults in the rounds are proven to others. */
const frostTypes = keyTypes.filter((keyType) => keyType !== 'ecdsa_secp256k1');

for (const keyType of frostTypes)
  describe(`blame: signing by derived keys, ${keyType}`, () => {
    it('a bad share is proven, with the parent, and with nothing else in its place', async () => {
      const net = await derivedNetwork(keyType);
      const last = net.payloads.length - 1;
      const at = 33 + 32 * last;
      cheatInRounds(net, 1, (message) =>
        concatBytes(
          message.subarray(0, at),
          flip(message.slice(at, at + 32), keyType === 'ed25519' ? 0 : 31),
          message.subarray(at + 32),
        ),
      );
      const { id, full } = net.messageLedBy(1);
      await net.submit(full, [0, 1, 2]);
      await net.signedBy(id, [0, 2]);
      const witnesses = [0, 2].filter((index) => net.node(index).blamed.length > 0);
      const { bytes } = assertProven(net, witnesses, 'invalid_share', 1);
      const { bundle } = decodeBundle(bytes);
      const { signing } = bundle;
      assert.equal(signing?.item, last);
      assert.deepEqual(
        [signing?.key.request, signing?.parent?.request],
        [net.entry.request, net.parent!.request],
      );
      assert.equal(verifyBlame(bytes).code, 'invalid_share');
      const { parent, ...orphan } = signing!;
      refused({ ...bundle, signing: orphan }, 'bad_context', /no certificate of parent key/);
      const cut = { ...parent!, certificate: parent!.certificate.slice(1) };
      refused({ ...bundle, signing: { ...signing!, parent: cut } }, 'bad_context', /no result of/);
      const twice = { ...parent!, certificate: [...parent!.certificate, parent!.certificate[0]!] };
      refused(
        { ...bundle, signing: { ...signing!, parent: twice } },
        'bad_context',
        /one key result of each/,
      );
      refused(
        { ...bundle, signing: { ...signing!, parent: signing!.key } },
        'bad_context',
        /no certificate of/,
      );
      // The key is the parent: then it is another attempt's.
      refused(
        { ...bundle, signing: { ...orphan, key: parent! } },
        'bad_context',
        /not this message under this/,
      );
      refused({ ...bundle, signing: { ...signing!, key: parent! } }, 'bad_context', /has no parent/);
      await net.stop();
    });

    it('what honest parties sent is never blamed, whatever child it is held against', async () => {
      const net = await derivedNetwork(keyType);
      const { id, full } = net.messageLedBy(0);
      await net.submit(full, [0, 1, 2]);
      await net.signedBy(id, [0, 1, 2]);
      for (const index of [0, 1, 2]) assert.deepEqual(net.node(index).blamed, []);
      const leader = net.node(0).party.credential;
      const start = bytesOf(sentBy(net, leader, 'start')[0]);
      const round = bytesOf(sentBy(net, leader, 'round')[0]);
      neverBlamed(net, leader, [start, round]);
      const bundle = accusing(net, leader, 'invalid_share', [start, round]);
      refused(bundle, 'not_proven', /is right/);
      // A certificate of another point for the same child, as if all had signed it.
      const proven = parentOf(net);
      const lie = makeChild(
        net.world,
        proven,
        'm/0/7',
        { chainCode: proven.result.chainCode },
        net.entry.request,
      );
      const key = { request: net.entry.request, certificate: [...lie.certificate] };
      const lied = { ...bundle, signing: { ...bundle.signing!, key } };
      refused(lied, 'bad_context', /is not what m\/0\/7 of key/);
      assert.throws(() => verifyBlame(encodeCanonical(lied)));
      await net.stop();
    });
  });
