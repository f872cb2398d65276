// Delays and limits in the coordinator's service: what waits goes on when its time comes, whoever looks or nobody, and what was
// taken from a limit is counted once.
import assert from 'node:assert/strict';
import { base58 } from '@scure/base';
import { fromHex, toHex } from '../../protocol/hex.ts';
import { transferMessage } from '../../protocol/payloads/solana-transfer.ts';
import type { Payload } from '../../protocol/payloads/payload.ts';
import type { Policy } from '../../protocol/policy/schema.ts';
import { authorize } from '../../protocol/authorize.ts';
import { payload } from '../support/coordinated.ts';
import {
  approve,
  createWorld,
  hour,
  idOf,
  networkId,
  reject,
  signRequest,
  start,
} from '../support/fixture.ts';
import { ServiceWorld, stores, submitted, withService } from '../support/service-world.ts';
import { signatureBy, signedBy, type WorldKey } from '../support/world-key.ts';

const keys: Policy['rules'][number] = {
  id: 'keys',
  effect: 'allow',
  when: { kind: ['key.request'] },
  require: { k: 1, of: 'owners' },
};
const delayed: Policy = {
  version: 1,
  rules: [
    keys,
    {
      id: 'slow',
      effect: 'allow',
      when: { kind: ['message'] },
      require: { k: 2, of: 'owners' },
      delay: '10m',
    },
  ],
};
const limited: Policy = {
  version: 1,
  rules: [
    keys,
    {
      id: 'small',
      effect: 'allow',
      when: { kind: ['solana.transaction'], asset: ['SOL'] },
      require: { k: 1, of: 'owners' },
      limit: { amount: '1000000', per: '1h', scope: 'workspace' },
    },
  ],
};
const minute = 60_000;

for (const [name, open] of Object.entries(stores)) {
  describe(`a delay over ${name}`, () => {
    const world = () => createWorld({ name: 'delayed', signPolicy: delayed });
    const withDelay = (work: (at: ServiceWorld) => Promise<void>) => (): Promise<void> =>
      withService(open, work, world());

    it(
      'keeps what is approved, until the sweep after it',
      withDelay(async (at) => {
        const key = await at.key();
        const requestId = idOf(await submitted(at, key));
        const decision = approve(at.world, requestId, 'bob');
        const view = await at.call('action_decide', { decision });
        assert.equal(view.state, 'partial');
        assert.deepEqual(view.missing, []);
        assert.deepEqual(view.holds, [
          {
            rule: 'slow',
            hold: 'delay',
            until: new Date(start + 10 * minute).toISOString(),
            detail: `not before ${new Date(start + 10 * minute).toISOString()}`,
          },
        ]);
        await at.refuses(
          'wrong_state',
          'connector_submitResult',
          { result: signedBy(at.world, at.party(0), requestId, [signatureBy(key, payload)]) },
          at.connector(0),
        );
        at.now = start + 10 * minute - 1;
        await at.service.sweep();
        const stored = async () =>
          ((await at.store.get(`request/${requestId}`))!.value as { state: string }).state;
        assert.equal(await stored(), 'partial');
        at.now += 1;
        // After a restart, by what is in the store alone.
        const next = new ServiceWorld(at.world, at.store);
        next.now = at.now;
        await next.service.sweep();
        assert.equal(await stored(), 'pending');
        assert.deepEqual(await at.store.scan('due/', undefined, 10), []);
        await next.service.stop();
        await at.sign(0, key, requestId);
        assert.equal((await at.sign(1, key, requestId)).state, 'fulfilled');
      }),
    );

    it(
      'is over for whoever asks, and takes results then, before the sweep',
      withDelay(async (at) => {
        const key = await at.key();
        const requestId = idOf(await submitted(at, key));
        await at.call('action_decide', { decision: approve(at.world, requestId, 'bob') });
        at.now = start + 10 * minute;
        assert.equal((await at.sign(0, key, requestId)).state, 'pending');
        const states = (await at.events('keyrings')).filter((event) => event['requestId'] === requestId);
        assert.deepEqual(
          states.map(({ type, state }) => state ?? type),
          ['partial', 'request.decision', 'pending', 'request.result'],
        );
      }),
    );

    it(
      'ends with an owner who says no, and needs approvals that still hold',
      withDelay(async (at) => {
        const key = await at.key();
        const requestId = idOf(await submitted(at, key));
        const short = approve(at.world, requestId, 'bob', { expires: start + 5 * minute });
        await at.call('action_decide', { decision: short });
        at.now = start + 11 * minute;
        await at.service.sweep();
        const view = await at.call('sign_get', { requestId }, at.owner());
        assert.deepEqual([view.state, view.missing?.[0]?.from], ['partial', ['bob', 'carol']]);
        assert.equal(view.holds, undefined);
        for (const owner of ['bob', 'carol'])
          await at.call('action_decide', { decision: reject(at.world, requestId, owner, { seq: 2 }) });
        assert.equal((await at.call('sign_get', { requestId }, at.owner())).reason?.code, 'approvers');
        assert.deepEqual(await at.store.scan('due/', undefined, 10), []);
      }),
    );

    it(
      'is told to the parties: what waits for it is in the snapshot, with its evidence',
      withDelay(async (at) => {
        const key = await at.key();
        const requestId = idOf(await submitted(at, key));
        const keyringId = at.world.keyring.id;
        for (const params of [{ keyringId }, { keyringId, requestIds: [requestId] }]) {
          const { items } = await at.call('connector_pending', params, at.connector(0));
          assert.deepEqual(
            items.map((item) => [item.requestId, item.state]),
            [[requestId, 'partial']],
          );
          const verdict = authorize(items[0]!.evidence, { networkId, now: at.now });
          assert.equal(verdict.verdict, 'waiting');
        }
        at.now = start + 25 * hour;
        await at.service.sweep();
        assert.deepEqual((await at.call('connector_pending', { keyringId }, at.connector(0))).items, []);
        assert.deepEqual(await at.store.scan('open/', undefined, 10), []);
      }),
    );
  });

  describe(`a limit over ${name}`, () => {
    const address = (fill: number) => base58.encode(new Uint8Array(32).fill(fill));
    const transfer = (key: WorldKey, lamports: bigint): Payload => ({
      kind: 'solana.transaction',
      message: toHex(
        transferMessage({
          from: base58.encode(fromHex(key.publicKey)),
          to: address(9),
          lamports,
          recentBlockhash: address(33),
        }),
      ),
    });
    const ask = async (at: ServiceWorld, key: WorldKey, lamports: bigint) => {
      const request = signRequest(at.world, [{ keyId: key.id, payload: transfer(key, lamports) }], {
        created: at.now,
        expires: at.now + 6 * hour,
      });
      return at.call('sign_request', { request });
    };

    it('holds what is more than it has left, and lets it go on when it has', () =>
      withService(
        open,
        async (at) => {
          const key = await at.key();
          const first = await ask(at, key, 600_000n);
          assert.equal(first.state, 'pending');
          at.now += minute;
          const second = await ask(at, key, 500_000n);
          assert.deepEqual([second.state, second.missing], ['partial', []]);
          assert.equal(second.holds?.[0]?.hold, 'limit');
          assert.equal(second.holds?.[0]?.until, new Date(start + hour).toISOString());
          assert.equal((await ask(at, key, 100_000n)).state, 'pending', 'what fits is not held up');
          await at.refuses(
            'policy_denied',
            'sign_request',
            {
              request: signRequest(at.world, [{ keyId: key.id, payload: transfer(key, 2_000_000n) }], {
                created: at.now,
              }),
            },
            {},
            /limit .*at most/,
          );

          at.now = start + hour - 1;
          await at.service.sweep();
          const view = async () => at.call('sign_get', { requestId: second.requestId }, at.owner());
          assert.equal((await view()).state, 'partial');
          at.now += 1;
          await at.service.sweep();
          assert.equal((await view()).state, 'pending');
          // Nothing was signed, but may have been: it counts in its window.
          const third = await ask(at, key, 600_000n);
          assert.equal(third.state, 'partial');
        },
        createWorld({ name: 'limited', signPolicy: limited }),
      ));

    it('counts what may have been signed once, and nothing else', () =>
      withService(
        open,
        async (at) => {
          const key = await at.key();
          await ask(at, key, 900_000n);
          const waits = await ask(at, key, 900_000n);
          const cancel = reject(at.world, waits.requestId, 'alice');
          await at.call('action_decide', { decision: cancel });
          const debits = await at.store.scan(`debit/${at.world.workspace.id}/`, undefined, 10);
          assert.equal(debits.length, 1);
          // Long after, what nobody counts any more is forgotten.
          at.now += 40 * 24 * hour;
          assert.equal((await ask(at, key, 900_000n)).state, 'pending');
          assert.equal((await at.store.scan('debit/', undefined, 10)).length, 1);
        },
        createWorld({ name: 'limited', signPolicy: limited }),
      ));

    it('is not overdrawn by requests that come at once', () =>
      withService(
        open,
        async (at) => {
          const key = await at.key();
          const views = await Promise.all(
            Array.from({ length: 6 }, (_, index) => ask(at, key, 300_000n + BigInt(index))),
          );
          assert.equal(views.filter(({ state }) => state === 'pending').length, 3);
        },
        createWorld({ name: 'limited', signPolicy: limited }),
      ));
  });
}
