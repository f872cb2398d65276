// The coordinator's methods over every embedded store: the whole way of a request, idempotency, concurrency, time.
import assert from 'node:assert/strict';
import { actionId, eventSchema } from '../../protocol/rpc.ts';
import { addSignature } from '../../protocol/records/envelope.ts';
import { payload } from '../support/coordinated.ts';
import {
  approve,
  createWorld,
  hour,
  idOf,
  keyRequest,
  networkId,
  reject,
  signerOf,
  start,
} from '../support/fixture.ts';
import { asked, type ServiceWorld, stores, withService } from '../support/service-world.ts';
import { until } from '../support/until.ts';
import { makeKey, signatureBy, signedBy, type WorldKey } from '../support/world-key.ts';

/** A sign request that is pending. */
async function pending(at: ServiceWorld, key: WorldKey, options = {}) {
  const request = asked(at, key, options);
  await at.call('sign_request', { request });
  const decision = approve(at.world, idOf(request), 'bob', { expires: at.now + hour });
  assert.equal((await at.call('action_decide', { decision })).state, 'pending');
  return { request, id: idOf(request) };
}

for (const [name, open] of Object.entries(stores)) {
  const run =
    (work: (at: ServiceWorld) => Promise<void>, ...rest: [world?: ReturnType<typeof createWorld>]) =>
    () =>
      withService(open, work, ...rest);

  describe(`coordinator service over ${name}`, () => {
    it(
      'takes a key and a signature the whole way',
      run(async (at) => {
        const { workspace, keyring } = at.world;
        const keyAsked = keyRequest(at.world);
        const keyId = idOf(keyAsked);
        assert.equal((await at.call('key_request', { request: keyAsked })).state, 'pending');
        const snapshot = await at.call('connector_pending', { keyringId: keyring.id }, at.connector(0));
        assert.deepEqual(
          snapshot.items.map((item) => [item.requestId, item.state]),
          [[keyId, 'pending']],
        );
        const key = makeKey(at.world, 'treasury', keyAsked);
        for (const [index, result] of key.certificate.entries()) {
          const answer = await at.submit(index, result);
          assert.deepEqual(answer, {
            requestId: keyId,
            state: index === 2 ? 'fulfilled' : 'pending',
            votes: { have: index + 1, need: 3, refused: 0 },
            counted: true,
          });
        }
        const made = await at.call('key_get', { keyId }, at.owner());
        assert.equal(made.publicKey, key.publicKey);
        assert.deepEqual(made.certificate, key.certificate);
        assert.equal(made.addresses[0]?.chain, 'solana');

        const request = asked(at, key);
        const requestId = idOf(request);
        const stored = await at.call('sign_request', { request });
        assert.equal(stored.state, 'partial');
        assert.deepEqual(stored.missing?.[0]?.from, ['bob', 'carol']);
        const actions = await at.call('action_list', { workspaceId: workspace.id }, at.owner('bob'));
        assert.deepEqual(actions.items.map(actionId), [requestId]);
        const action = await at.call('action_get', { requestId }, at.owner('bob'));
        assert.deepEqual(action.evidence.request, request);
        const decided = await at.call('action_decide', { decision: approve(at.world, requestId, 'bob') });
        assert.equal(decided.state, 'pending');
        assert.equal(
          (await at.call('action_list', { workspaceId: workspace.id }, at.owner())).items.length,
          0,
        );
        const snapshotOfOne = await at.call('connector_pending', { keyringId: keyring.id }, at.connector(1));
        assert.deepEqual(snapshotOfOne.items[0]?.evidence.decisions, [approve(at.world, requestId, 'bob')]);
        assert.equal((await at.sign(0, key, requestId)).state, 'pending');
        assert.equal((await at.sign(2, key, requestId)).state, 'fulfilled');
        assert.equal((await at.sign(1, key, requestId)).counted, true);
        const view = await at.call('sign_get', { requestId }, at.owner('carol'));
        assert.deepEqual(view.signatures, [signatureBy(key, payload)]);
        assert.deepEqual(view.votes, { have: 3, need: 2, refused: 0 });
        assert.equal(
          (await at.call('connector_pending', { keyringId: keyring.id }, at.connector(1))).items.length,
          0,
        );

        const happened = await at.events('workspaces');
        assert.deepEqual(await at.events('keyrings'), happened);
        assert.deepEqual(
          happened
            .map((event) => eventSchema.parse(event))
            .map((event) => ('state' in event ? event.state : event.type)),
          [
            ['pending', 'request.result', 'request.result', 'request.result', 'fulfilled'],
            ['partial', 'request.decision', 'pending'],
            ['request.result', 'request.result', 'fulfilled', 'request.result'],
          ].flat(),
        );
        // The log tells the same, once.
        const logged = at.logged
          .map(({ event }) => event)
          .filter((event) => /^request\.(state|result|decision)$/.test(event));
        assert.deepEqual(
          logged,
          happened.map((event) => event['type']),
        );
      }),
    );

    it(
      'answers the same bytes with the same answer, and changes nothing',
      run(async (at) => {
        const key = await at.key();
        const { world } = at;
        const workspace = await at.call('workspace_create', { genesis: world.genesis });
        assert.deepEqual(await at.call('workspace_create', { genesis: world.genesis }), workspace);
        const keyring = await at.call('keyring_create', { roster: world.keyring.envelope });
        assert.deepEqual(await at.call('keyring_create', { roster: world.keyring.envelope }), keyring);
        const request = asked(at, key);
        const first = await at.call('sign_request', { request });
        assert.deepEqual(await at.call('sign_request', { request }), first);
        const decision = reject(world, idOf(request), 'bob');
        const decided = await at.call('action_decide', { decision });
        assert.deepEqual(await at.call('action_decide', { decision }), decided);
        assert.deepEqual(await at.call('sign_request', { request }), decided);
        const approved = approve(world, idOf(request), 'bob', { seq: 2 });
        await at.call('action_decide', { decision: approved });
        const signed = await at.sign(0, key, idOf(request));
        assert.deepEqual(await at.sign(0, key, idOf(request)), signed);
        const before = (await at.events('workspaces')).length;
        await at.call('key_request', { request: key.request });
        assert.equal((await at.events('workspaces')).length, before);
        assert.equal(
          (await at.call('sign_list', { workspaceId: world.workspace.id }, at.owner())).items.length,
          2,
        );
      }),
    );

    it(
      'answers the same bytes to those who may sign them alone',
      run(async (at) => {
        const key = await at.key();
        const { id, request } = await pending(at, key);
        const outsider = signerOf('outsider');
        const [mine] = request.signatures;
        for (const signatures of [
          [],
          addSignature({ ...request, signatures: [] }, networkId, outsider).signatures,
          addSignature({ ...request, signatures: [] }, networkId, at.world.owners['bob']!).signatures,
          [{ ...mine!, credential: outsider.credential }],
        ]) {
          await at.refuses('bad_signature', 'sign_request', { request: { ...request, signatures } });
        }
        const approval = approve(at.world, id, 'bob', { expires: at.now + hour });
        await at.refuses('bad_signature', 'action_decide', { decision: { ...approval, signatures: [] } });
        const byOutsider = addSignature({ ...approval, signatures: [] }, networkId, outsider);
        await at.refuses('bad_signature', 'action_decide', { decision: byOutsider });
      }),
    );

    it(
      'counts the results of all parties that come at once',
      run(
        async (at) => {
          const key = await at.key();
          for (let round = 0; round < 3; round++) {
            const { id } = await pending(at, key);
            const answers = await Promise.all(
              [0, 1, 2, 3, 4, 0, 1, 2, 3, 4].map((index) => at.sign(index, key, id)),
            );
            assert.ok(answers.every((answer) => answer.counted));
            const view = await at.call('sign_get', { requestId: id }, at.owner());
            assert.equal(view.state, 'fulfilled');
            assert.deepEqual(view.votes, { have: 5, need: 3, refused: 0 });
            const events = (await at.events('keyrings')).filter((event) => event['requestId'] === id);
            assert.equal(events.filter((event) => event['type'] === 'request.result').length, 5);
            assert.equal(events.filter((event) => event['state'] === 'fulfilled').length, 1);
            const votes = events.flatMap((event) =>
              event['votes'] ? [(event['votes'] as { have: number }).have] : [],
            );
            assert.deepEqual(votes, [1, 2, 3, 4, 5]);
          }
          // A key's n results at once, which together fulfil it exactly once.
          const request = keyRequest(at.world);
          await at.call('key_request', { request });
          const other = makeKey(at.world, 'at once', request);
          await Promise.all(other.certificate.map((result, index) => at.submit(index, result)));
          assert.equal((await at.call('key_get', { keyId: other.id }, at.owner())).state, 'fulfilled');
          assert.deepEqual(await at.events('workspaces'), await at.events('keyrings'));
        },
        createWorld({ name: 'five', parties: 5, threshold: 3 }),
      ),
    );

    it(
      'counts twenty decisions that come at once, each once',
      run(
        async (at) => {
          const request = keyRequest(at.world, { initiator: 'owner-0' });
          assert.equal((await at.call('key_request', { request })).state, 'partial');
          const id = idOf(request);
          const owners = Object.keys(at.world.owners);
          const decisions = owners.flatMap((owner) => [
            approve(at.world, id, owner),
            approve(at.world, id, owner),
          ]);
          const views = await Promise.all(
            decisions.map((decision) => at.call('action_decide', { decision })),
          );
          assert.ok(views.some((view) => view.state === 'pending'));
          const view = await at.call('sign_get', { requestId: id }, at.owner('owner-3'));
          assert.equal(view.state, 'pending');
          assert.equal(view.decisions.length, 20);
          const events = await at.events('workspaces');
          assert.equal(events.filter((event) => event['type'] === 'request.decision').length, 20);
          assert.equal(events.filter((event) => event['state'] === 'pending').length, 1);
        },
        createWorld({
          name: 'twenty',
          owners: Array.from({ length: 20 }, (_, index) => `owner-${index}`),
          signPolicy: {
            version: 1,
            rules: [
              {
                id: 'all',
                effect: 'allow',
                when: { kind: ['key.request'] },
                require: { k: 20, of: 'owners' },
              },
            ],
          },
        }),
      ),
    );

    it(
      'takes a request that comes twenty times at once once',
      run(async (at) => {
        const key = await at.key();
        const before = (await at.events('workspaces')).length;
        const request = asked(at, key);
        const answers = await Promise.all(
          Array.from({ length: 20 }, () => at.call('sign_request', { request })),
        );
        for (const answer of answers) assert.deepEqual(answer, answers[0]);
        assert.equal((await at.events('workspaces')).length, before + 1);
        assert.equal(at.logged.filter(({ event }) => event === 'request.received').length, 2);
      }),
    );

    it(
      'ends requests whose time is over, by the sweep and by whoever asks',
      run(async (at) => {
        const key = await at.key();
        const { id: signing } = await pending(at, key);
        const waiting = asked(at, key, { expires: start + 2 * hour });
        await at.call('sign_request', { request: waiting });
        await at.service.sweep();
        assert.equal((await at.call('sign_get', { requestId: signing }, at.owner())).state, 'pending');
        at.now = start + hour;
        await at.service.sweep();
        const events = await at.events('workspaces');
        assert.deepEqual(events.at(-1), {
          type: 'request.state',
          requestId: signing,
          kind: 'sign',
          state: 'rejected',
          at: '2030-01-01T01:00:00.000Z',
          reason: {
            code: 'mpc_timeout',
            detail: 'not signed by enough parties until 2030-01-01T01:00:00.000Z',
          },
        });
        assert.equal(
          (await at.call('connector_pending', { keyringId: at.world.keyring.id }, at.connector(0))).items
            .length,
          0,
        );
        await at.refuses(
          'wrong_state',
          'connector_submitResult',
          {
            result: signedBy(at.world, at.party(0), signing, [signatureBy(key, payload)]),
          },
          at.connector(0),
          /mpc_timeout/,
        );
        at.now = start + 2 * hour;
        // Nobody swept: who decides or reads finds it ended, and it is ended once.
        const decision = approve(at.world, idOf(waiting), 'bob', { expires: at.now + hour });
        await at.refuses('wrong_state', 'action_decide', { decision }, {}, /rejected/);
        const view = await at.call('sign_get', { requestId: idOf(waiting) }, at.owner());
        assert.equal(view.reason?.code, 'approval_timeout');
        await Promise.all([at.service.sweep(), at.service.sweep()]);
        assert.equal(
          (await at.events('workspaces')).filter((event) => event['state'] === 'rejected').length,
          2,
        );
        assert.equal(at.logged.filter(({ fields }) => fields['state'] === 'rejected').length, 2);
      }),
    );

    it('sweeps by itself between start and stop', () =>
      withService(
        open,
        async (at) => {
          const key = await at.key();
          const { id } = await pending(at, key);
          at.now = start + hour;
          at.service.start();
          await until(
            () =>
              at.logged.some(({ fields }) => fields['requestId'] === id && fields['state'] === 'rejected'),
            'the sweep',
          );
          await at.service.stop();
          const { id: later } = await pending(at, key);
          at.now += 2 * hour;
          await new Promise((resolve) => setImmediate(resolve));
          assert.ok(
            !at.logged.some(({ fields }) => fields['requestId'] === later && fields['state'] === 'rejected'),
          );
        },
        createWorld(),
        { sweepIntervalMs: 1 },
      ));
  });
}
