// Requests to Taproot keys, of which some items are signed by the key itself and another by the key tweaked: all of it is
// bound in the attempt, and what a party does wrong in either item is proven to anybody, in the form that signed.
import assert from 'node:assert/strict';
import { concatBytes } from '@noble/hashes/utils.js';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import { tapTweak } from '../../protocol/keys/taproot.ts';
import { encodeCanonical } from '../../protocol/records/canonical.ts';
import { authorize } from '../../protocol/authorize.ts';
import { signDigests } from '../../node/sessions/purpose.ts';
import { decodeBundle } from '../../node/sessions/blame/bundle.ts';
import type { FaultCode } from '../../node/sessions/blame/bundle.ts';
import { verifyBlame } from '../../node/sessions/blame/verify.ts';
import { keyedNetwork, scene } from '../support/attack-scene.ts';
import { assertBadNoncesProven, assertProven, cheatInRounds } from '../support/cheats.ts';
import { accusing, neverBlamed, refused, sentBy } from '../support/false-accusations.ts';
import { networkId, seedOf } from '../support/fixture.ts';
import { flip } from '../support/key-generation-runs.ts';
import type { KeyedNetwork } from '../support/session-attacker.ts';
import { encodeAny, schemes } from '../support/signing-schemes.ts';

const taproot = schemes.find(({ keyType }) => keyType === 'taproot_secp256k1')!;

const network = async (parties: number, threshold: number): Promise<KeyedNetwork> =>
  await keyedNetwork(parties, threshold, 'taproot_secp256k1');

/** The message with another share at the place of one item. */
const withShare = (message: Uint8Array, item: number, share: Uint8Array): Uint8Array => {
  const at = 33 + 32 * item;
  return concatBytes(message.subarray(0, at), share, message.subarray(at + 32));
};

describe('blame: signing by Taproot keys', () => {
  for (const [parties, threshold] of [
    [3, 2],
    [5, 3],
  ] as const)
    it(`${threshold} of ${parties} sign messages by the key and a spend by its output key`, async () => {
      const net = await network(parties, threshold);
      await net.bootAll();
      const { id, full } = net.messageLedBy(0);
      const all = [...net.nodes.keys()];
      await net.submit(full, all);
      await net.signedBy(id, all);
      for (const index of all) assert.deepEqual(net.node(index).blamed, []);
      await net.stop();
    });

  it('the same request for a second time gives another R to every item', async () => {
    const net = await network(3, 2);
    await net.bootAll();
    const all = [0, 1, 2];
    const nonces = new Set<string>();
    for (const _ of [1, 2]) {
      const { id, full } = net.messageLedBy(0);
      await net.submit(full, all);
      await net.signedBy(id, all);
      const result = net.resultAt(0, id);
      assert(result?.kind === 'signatures');
      for (const signature of result.signatures) nonces.add(signature.slice(0, 66));
    }
    assert.equal(nonces.size, 2 * net.payloads.length);
    await net.stop();
  });

  const wrong: [FaultCode, string, (message: Uint8Array, item: number) => Uint8Array][] = [
    [
      'invalid_share',
      'a share of something else',
      (message, item) => withShare(message, item, flip(message.slice(33 + 32 * item, 65 + 32 * item), 31)),
    ],
    [
      'malformed_share',
      '0xff bytes',
      (message, item) => withShare(message, item, new Uint8Array(32).fill(0xff)),
    ],
    [
      'malformed_share',
      'the order of the group',
      (message, item) => withShare(message, item, encodeAny(taproot.group, taproot.group.order)),
    ],
    ['malformed_message', 'a share too few', (message) => message.subarray(0, 97)],
  ];
  for (const [code, what, alter] of wrong)
    for (const item of [0, 1, 2])
      it(`item ${item}: ${what}: ${code}, and the next attempt without the culprit signs`, async () => {
        const net = await network(3, 2);
        await net.bootAll();
        const { id, full } = net.messageLedBy(1);
        cheatInRounds(net, 1, (message) => alter(message, item));
        await net.submit(full, [0, 1, 2]);
        await net.signedBy(id, [0, 2]);
        const witnesses = [0, 2].filter((index) => net.node(index).blamed.length > 0);
        const { bytes } = assertProven(net, witnesses, code, 1);
        const { signing } = decodeBundle(bytes).bundle;
        if (code === 'invalid_share') {
          assert.equal(signing?.item, item);
          const tweak = toHex(tapTweak(fromHex(net.key.publicKey)));
          assert.equal(signing?.tweak, item === 1 ? tweak : undefined);
        }
        assert.deepEqual(net.node(1).blamed, [], 'nobody honest is blamed');
        await net.stop();
      });

  for (const [name, bad] of taproot.badPoints)
    it(`a nonce commitment that is ${name}: malformed_point, from its own ACCEPT`, async () => {
      const attacked = await scene(4, 3, async () => await network(4, 3));
      await assertBadNoncesProven(attacked, bad);
      await attacked.net.stop();
    });
});

describe('an attempt by Taproot keys', () => {
  it('is about the tweak as well', async () => {
    const net = await network(3, 2);
    const { full } = net.messageLedBy(0);
    const verdict = authorize(full, { networkId, now: net.clock.now() });
    assert(verdict.verdict === 'authorised');
    const { authorisation } = verdict;
    const [plain, spend] = authorisation.items;
    assert.equal(plain!.payload.tweak, undefined);
    assert.deepEqual(spend!.payload.tweak, tapTweak(fromHex(net.key.publicKey)));
    const { tweak: _, ...bare } = spend!.payload;
    const [digest] = signDigests({ ...authorisation, items: [spend!] });
    const [without] = signDigests({ ...authorisation, items: [{ ...spend!, payload: bare }] });
    assert.notDeepEqual(without, digest);
    await net.stop();
  });
});

describe('blame: nobody honest can be blamed, in signing by Taproot keys', () => {
  let net: KeyedNetwork;
  let party: string;
  let frames: Uint8Array[];
  before(async () => {
    net = await network(3, 2);
    await net.bootAll();
    party = net.node(0).party.credential;
    const { id, full } = net.messageLedBy(0);
    await net.submit(full, [0, 1, 2]);
    await net.signedBy(id, [0, 1, 2]);
    const [start] = sentBy(net, party, 'start');
    const [share] = sentBy(net, party, 'round');
    frames = [start!.bytes, share!.bytes];
  });
  after(() => net?.stop());

  it('by its true share, in either form', () => {
    for (const item of [0, 1, 2])
      refused(accusing(net, party, 'invalid_share', frames, {}, item), 'not_proven', /is right/);
    neverBlamed(net, party, frames);
    neverBlamed(net, party, frames.slice(0, 1));
  });

  it('by a share judged in another form than the attempt is about', () => {
    const other = toHex(seedOf('another tweak'));
    for (const item of [0, 1, 2]) {
      const honest = accusing(net, party, 'invalid_share', frames, {}, item);
      const { tweak, ...signing } = honest.signing!;
      const tweaks: (Hex | undefined)[] = [undefined, toHex(tapTweak(fromHex(net.key.publicKey))), other];
      for (const each of tweaks.filter((value) => value !== tweak))
        refused(
          { ...honest, signing: { ...signing, ...(each && { tweak: each }) } },
          'bad_context',
          /not this message under this key/,
        );
      // The message and the tweak cannot be shifted against each other.
      const shifted = { ...signing, message: `${signing.message}${(tweak ?? other).slice(2)}` as Hex };
      refused({ ...honest, signing: shifted }, 'bad_context', /not this message/);
      for (const length of [31, 33])
        assert.throws(
          () =>
            verifyBlame(
              encodeCanonical({
                ...honest,
                signing: { ...signing, tweak: toHex(new Uint8Array(length).fill(1)) },
              }),
            ),
          { code: 'malformed' },
        );
      refused(
        { ...honest, signing: { ...signing, tweak: toHex(new Uint8Array(32).fill(0xff)) } },
        'bad_context',
        /not proven/,
      );
    }
  });
});
