// Derived keys at the coordinator: what may be asked for, evidence that has the parent in it, views and receipts that prove
// the derivation.
import assert from 'node:assert/strict';
import { VerificationError, verifyKeyView } from '../../client/verify.ts';
import { decodeReceipt, encodeReceipt, ReceiptError, verifyReceipt } from '../../protocol/receipt.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { Envelope } from '../../protocol/records/envelope.ts';
import type { KeyResult } from '../../protocol/records/party-result.ts';
import type { KeyView } from '../../protocol/rpc.ts';
import { payload } from '../support/coordinated.ts';
import {
  approve,
  createWorld,
  idOf,
  keyRequest,
  networkId,
  resultBy,
  signRequest,
} from '../support/fixture.ts';
import { ServiceWorld, stores, submitted, withService } from '../support/service-world.ts';
import { keyResultOf, makeChild, signatureByChild, signedBy, type WorldKey } from '../support/world-key.ts';

const path = 'm/0/7';
type Child = ReturnType<typeof makeChild>;

/** A key derived from this one, asked for and confirmed by all parties. */
async function derived(at: ServiceWorld, parent: WorldKey, by = path): Promise<Child> {
  const origin = { parent: parent.id, path: by };
  const request = keyRequest(at.world, { created: at.now, origin, label: by });
  assert.equal((await at.call('key_request', { request })).state, 'pending');
  const child = makeChild(at.world, parent, by, {}, request);
  for (const [index, result] of child.certificate.entries()) await at.submit(index, result);
  return child;
}

async function signedByChild(at: ServiceWorld, parent: WorldKey, child: Child): Promise<Hex> {
  const request = signRequest(at.world, [{ keyId: child.id, payload }], { created: at.now });
  const id = idOf(request);
  await at.call('sign_request', { request });
  await at.call('action_decide', { decision: approve(at.world, id, 'bob') });
  const signature = signatureByChild(parent, path, payload);
  for (const index of [0, 1]) await at.submit(index, signedBy(at.world, at.party(index), id, [signature]));
  return id;
}

const asked = (at: ServiceWorld, parent: Hex, more = {}): Envelope =>
  keyRequest(at.world, { created: at.now, origin: { parent, path }, ...more });

for (const [name, open] of Object.entries(stores)) {
  const run = (work: (at: ServiceWorld) => Promise<void>) => () => withService(open, work);

  describe(`coordinator service over ${name}: derived keys`, () => {
    it(
      'gives the parties the parent as evidence, and shows parent and path',
      run(async (at) => {
        const parent = await at.key();
        const request = asked(at, parent.id);
        await at.call('key_request', { request });
        const pending = { keyringId: at.world.keyring.id };
        const { items } = await at.call('connector_pending', pending, at.connector(0));
        assert.deepEqual(items[0]?.evidence.keys, [parent.entry]);
        const waiting = await at.call('key_get', { keyId: idOf(request) }, at.owner());
        assert.deepEqual([waiting.parent, waiting.path, waiting.state], [parent.id, path, 'pending']);
        const child = await derived(at, parent, 'm/1');
        const view = await at.call('key_get', { keyId: child.id }, at.owner());
        assert.deepEqual([view.parent, view.path, view.state], [parent.id, 'm/1', 'fulfilled']);
        assert.deepEqual(view.parentKey, parent.entry);
        assert.equal(view.publicKey, child.publicKey);
        assert.equal(verifyKeyView(view, { networkId }).key.origin?.path, 'm/1');
        const { items: listed } = await at.call(
          'key_list',
          { workspaceId: at.world.workspace.id },
          at.owner(),
        );
        assert.deepEqual(new Set(listed.map((each) => each.path)), new Set([undefined, path, 'm/1']));
        const generated = await at.call('key_get', { keyId: parent.id }, at.owner());
        assert.ok(!('parent' in generated) && !('path' in generated) && !('parentKey' in generated));
      }),
    );

    it(
      'refuses what cannot be derived, when it is asked for',
      run(async (at) => {
        const parent = await at.key();
        const child = await derived(at, parent);
        const refuses = (code: Parameters<ServiceWorld['refuses']>[0], request: Envelope, words: RegExp) =>
          at.refuses(code, 'key_request', { request }, {}, words);
        await refuses(
          'invalid_params',
          asked(at, child.id),
          /itself derived: ask for m\/0\/7\/0\/7 from its root/,
        );
        await refuses('not_found', asked(at, `0x${'00'.repeat(32)}`), /there is no request/);
        const unmade = keyRequest(at.world, { created: at.now });
        await at.call('key_request', { request: unmade });
        await refuses('wrong_state', asked(at, idOf(unmade)), /is pending/);
        await refuses('not_found', asked(at, idOf(await submitted(at, parent))), /is no key/);
        await refuses(
          'forbidden',
          asked(at, parent.id, { keyType: 'bitcoin_secp256k1' }),
          /is of type ed25519/,
        );
        const theirs = new ServiceWorld(createWorld({ name: 'theirs' }), at.store);
        const foreign = await (await theirs.register()).key('theirs');
        await refuses('forbidden', asked(at, foreign.id), /belongs to workspace/);
        const { items } = await at.call('key_list', { workspaceId: at.world.workspace.id }, at.owner());
        assert.equal(items.length, 3, 'nothing of it was stored');
      }),
    );

    it(
      'counts the one true result alone',
      run(async (at) => {
        const parent = await at.key();
        const request = asked(at, parent.id);
        const id = idOf(request);
        await at.call('key_request', { request });
        const { result } = makeChild(at.world, parent, path, {}, request);
        const lies: KeyResult[] = [
          keyResultOf(2, 'other'),
          parent.result,
          { ...result, chainCode: parent.result.chainCode },
          makeChild(at.world, parent, 'm/0/8').result,
        ];
        for (const lie of lies)
          for (const index of [0, 1, 2])
            await at.refuses(
              'bad_signature',
              'connector_submitResult',
              { result: resultBy(at.world, at.party(index), id, lie) },
              at.connector(index),
              /not the key that m\/0\/7 of key/,
            );
        for (const index of [0, 1, 2])
          await at.submit(index, resultBy(at.world, at.party(index), id, result));
        assert.equal((await at.call('key_get', { keyId: id }, at.owner())).state, 'fulfilled');
      }),
    );

    it(
      'puts the parent into the evidence and the receipt of what a child signs',
      run(async (at) => {
        const parent = await at.key();
        const child = await derived(at, parent);
        const id = await signedByChild(at, parent, child);
        const { evidence } = await at.call('action_get', { requestId: id }, at.owner());
        assert.deepEqual(evidence.keys, [child.entry, parent.entry]);
        const { receipt } = await at.call('receipt_get', { requestId: id }, at.owner());
        const trusted = { workspaceId: at.world.workspace.id };
        const read = decodeReceipt(encodeReceipt(receipt));
        assert.deepEqual(verifyReceipt(read, trusted).items[0]?.key.origin, { parent: parent.id, path });
        const bad = (keys: typeof evidence.keys, words: RegExp): void =>
          assert.throws(
            () => verifyReceipt({ ...read, evidence: { ...evidence, keys } }, trusted),
            (error: unknown) => {
              assert.ok(error instanceof ReceiptError, String(error));
              assert.equal(error.code, 'keys');
              assert.match(error.message, words);
              return true;
            },
          );
        bad([child.entry], /no certificate of parent key/);
        bad([parent.entry], /is missing|not one that an item names/);
        bad([child.entry, parent.entry, parent.entry], /nor the parent of one, once/);
        const sibling = await derived(at, parent, 'm/9');
        bad([child.entry, parent.entry, sibling.entry], /nor the parent of one, once/);
        const liar = makeChild(at.world, parent, path, { chainCode: parent.result.chainCode }, child.request);
        bad([liar.entry, parent.entry], /is not what m\/0\/7 of key/);
      }),
    );

    it(
      'makes a receipt of a derived key that proves the derivation',
      run(async (at) => {
        const parent = await at.key();
        const child = await derived(at, parent);
        const { receipt } = await at.call('receipt_get', { requestId: child.id }, at.owner());
        const trusted = { workspaceId: at.world.workspace.id };
        const proof = verifyReceipt(receipt, trusted);
        assert.equal(proof.key?.publicKey, child.publicKey);
        const { evidence } = receipt;
        assert.throws(() => verifyReceipt({ ...receipt, evidence: { ...evidence, keys: [] } }, trusted), {
          name: 'ReceiptError',
          code: 'keys',
        });
        const lie = makeChild(at.world, parent, path, { chainCode: parent.result.chainCode }, child.request);
        assert.throws(() => verifyReceipt({ ...receipt, results: [...lie.certificate] }, trusted), {
          name: 'ReceiptError',
          code: 'results',
        });
      }),
    );
  });
}

describe('a view of a derived key', () => {
  const lies: [
    string,
    (view: KeyView, parent: WorldKey, at: ServiceWorld) => Partial<KeyView>,
    string,
    RegExp,
  ][] = [
    ['no parent', () => ({ parentKey: undefined }) as never, 'unproven', /no certificate of parent key/],
    [
      'another parent',
      (_, parent, at) => ({ parentKey: makeChild(at.world, parent, 'm/5').entry }),
      'unproven',
      /no certificate of parent key/,
    ],
    [
      'a certificate of another point',
      (view, parent, at) => ({
        certificate: [
          ...makeChild(at.world, parent, path, { chainCode: parent.result.chainCode }, view.request)
            .certificate,
        ],
      }),
      'unproven',
      /is not what m\/0\/7 of key/,
    ],
    ['another path', () => ({ path: 'm/0/8' }), 'claims_differ', /coordinator's path/],
    ['another parent id', (view) => ({ parent: view.keyId }), 'claims_differ', /coordinator's parent/],
    [
      'another address',
      () => ({ addresses: [{ chain: 'solana', address: 'x' }] }),
      'claims_differ',
      /addresses/,
    ],
  ];
  for (const [what, change, code, words] of lies)
    it(`with ${what} is refused by the client`, () =>
      withService(stores['memory']!, async (at) => {
        const parent = await at.key();
        const child = await derived(at, parent);
        const view = await at.call('key_get', { keyId: child.id }, at.owner());
        verifyKeyView(view, { networkId });
        const changed = Object.entries({ ...view, ...change(view, parent, at) });
        const told = Object.fromEntries(changed.filter(([, value]) => value !== undefined)) as KeyView;
        assert.throws(
          () => verifyKeyView(told, { networkId }),
          (error: unknown) => {
            assert.ok(error instanceof VerificationError, String(error));
            assert.equal(error.code, code);
            assert.match(error.message, words);
            return true;
          },
        );
      }));
});
