// Who may call what of the coordinator's methods, and what they take, over every embedded store.
import assert from 'node:assert/strict';
import { RpcError } from '../../coordinator/rpc/error.ts';
import type { Caller } from '../../coordinator/rpc/handlers.ts';
import { createRecord } from '../../protocol/records/envelope.ts';
import { partyResult } from '../../protocol/records/party-result.ts';
import { payload } from '../support/coordinated.ts';
import {
  approve,
  createWorld,
  idOf,
  keyRequest,
  networkId,
  resultBy,
  signerOf,
  signRequest,
} from '../support/fixture.ts';
import { ServiceWorld, stores, submitted, withService } from '../support/service-world.ts';
import { keyResultOf, signatureBy, signedBy } from '../support/world-key.ts';

const stranger: Caller = { credential: signerOf('stranger').credential };
const foreign = createWorld({ name: 'foreign' });
for (const [name, open] of Object.entries(stores)) {
  const run = (work: (at: ServiceWorld) => Promise<void>) => () => withService(open, work);

  describe(`coordinator service over ${name}: access`, () => {
    it(
      'shows a workspace to its owners alone',
      run(async (at) => {
        const key = await at.key();
        const requestId = idOf(await submitted(at, key));
        const workspaceId = at.world.workspace.id;
        const noOwner: Caller[] = [
          stranger,
          { credential: foreign.owners['alice']!.credential },
          { credential: at.party(0).credential },
          at.connector(0, foreign),
        ];
        for (const caller of noOwner) {
          await at.refuses('forbidden', 'workspace_get', { workspaceId }, caller, /is no owner/);
          await at.refuses('forbidden', 'key_list', { workspaceId }, caller);
          await at.refuses('forbidden', 'sign_list', { workspaceId }, caller);
          await at.refuses('forbidden', 'action_list', { workspaceId }, caller);
          await at.refuses('forbidden', 'key_get', { keyId: key.id }, caller);
          await at.refuses('forbidden', 'sign_get', { requestId }, caller);
          await at.refuses('forbidden', 'sign_wait', { requestId, timeoutMs: 0 }, caller);
          await at.refuses('forbidden', 'action_get', { requestId }, caller);
          await assert.rejects(at.service.mayRead({ kind: 'workspace', id: workspaceId }, caller), RpcError);
          assert.deepEqual((await at.call('workspace_list', {}, caller)).items, []);
        }
        await at.refuses('forbidden', 'workspace_get', { workspaceId }, {}, /nobody signed/);
        await at.refuses('forbidden', 'workspace_list', {}, {}, /nobody signed/);
        for (const owner of ['alice', 'bob', 'carol'].map((each) => at.owner(each))) {
          assert.equal((await at.call('workspace_get', { workspaceId }, owner)).workspaceId, workspaceId);
          assert.equal((await at.call('workspace_list', {}, owner)).items.length, 1);
          assert.equal((await at.call('sign_get', { requestId }, owner)).requestId, requestId);
          await at.service.mayRead({ kind: 'workspace', id: workspaceId }, owner);
        }
      }),
    );

    it(
      'serves connectors of the keyring alone, each for its own party',
      run(async (at) => {
        const key = await at.key();
        const request = await submitted(at, key);
        await at.call('action_decide', { decision: approve(at.world, idOf(request), 'bob') });
        const keyringId = at.world.keyring.id;
        const { grant } = at.connector(0);
        const noConnector: Caller[] = [
          {},
          stranger,
          at.owner(),
          at.connector(0, foreign),
          { ...at.connector(0), grant: { ...grant!, party: signerOf('mallory').credential } },
          { ...at.connector(0), grant: { ...grant!, keyringId: foreign.keyring.id } },
        ];
        const result = signedBy(at.world, at.party(0), idOf(request), [signatureBy(key, payload)]);
        for (const caller of noConnector) {
          await at.refuses('forbidden', 'connector_pending', { keyringId }, caller, /no grant/);
          await at.refuses('forbidden', 'connector_heartbeat', { keyringId, nodeUp: true }, caller);
          await at.refuses('forbidden', 'connector_submitResult', { result }, caller);
          await assert.rejects(at.service.mayRead({ kind: 'keyring', id: keyringId }, caller), RpcError);
        }
        await at.refuses('forbidden', 'connector_submitResult', { result }, at.connector(1), /speaks for/);
        await at.service.mayRead({ kind: 'keyring', id: keyringId }, at.connector(1));
        // What its keyring works on a connector may read; another workspace's requests it may not.
        assert.equal(
          (await at.call('sign_get', { requestId: idOf(request) }, at.connector(2))).state,
          'pending',
        );
        assert.equal((await at.call('sign_get', { requestId: idOf(request) }, at.owner())).votes.have, 0);
      }),
    );

    it(
      'takes results for what they are worth',
      run(async (at) => {
        const key = await at.key();
        const request = await submitted(at, key);
        const id = idOf(request);
        const good = signedBy(at.world, at.party(0), id, [signatureBy(key, payload)]);
        await at.refuses(
          'wrong_state',
          'connector_submitResult',
          { result: good },
          at.connector(0),
          /awaits/,
        );
        await at.call('action_decide', { decision: approve(at.world, id, 'bob') });
        const bad = signedBy(at.world, at.party(0), id, [`0x${'11'.repeat(64)}`]);
        await at.refuses('bad_signature', 'connector_submitResult', { result: bad }, at.connector(0));
        const forged = createRecord(
          { ...partyResult, signers: () => [] },
          partyContent(at, id),
          signerOf('mallory'),
        );
        await at.refuses('bad_signature', 'connector_submitResult', { result: forged }, at.connector(0));
        await at.refuses('invalid_params', 'connector_submitResult', { result: request }, at.connector(0));
        const unknown = resultBy(at.world, at.party(0), foreign.workspace.id, keyResultOf(2, 'x'));
        await at.refuses('not_found', 'connector_submitResult', { result: unknown }, at.connector(0));
        await at.sign(0, key, id);
        await assert.rejects(
          at.refuse(0, id),
          (error) => error instanceof RpcError && error.name === 'conflicting_result',
        );
        assert.deepEqual((await at.sign(1, key, id)).votes, { have: 2, need: 2, refused: 0 });
      }),
    );

    it('registers only for whom its list names', () =>
      withService(open, async (at) => {
        const other = createWorld({ name: 'other' });
        const { admins } = other.keyring.roster;
        const listed = (allowlist: readonly string[]) =>
          new ServiceWorld(other, at.store, { create: { allowlist } });
        const closed = listed([other.owners['bob']!.credential, other.parties[0]!.credential]);
        await closed.refuses(
          'forbidden',
          'keyring_create',
          { roster: other.keyring.envelope },
          {},
          /on its list/,
        );
        await closed.refuses('forbidden', 'workspace_create', { genesis: other.genesis }, {}, /on its list/);
        await closed.refuses('not_found', 'keyring_get', { keyringId: other.keyring.id });
        const listening = listed([...admins, other.owners['alice']!.credential]);
        await listening.register();
        const unsigned = { ...other.genesis, signatures: [] };
        await listening.refuses('forbidden', 'workspace_create', { genesis: unsigned }, {}, /on its list/);
        // A name on the list is not enough: its signature is verified.
        const forged = [
          { ...other.genesis.signatures[0]!, signature: other.keyring.envelope.signatures[0]!.signature },
        ];
        const bad = { ...other.genesis, signatures: forged };
        await listening.refuses('bad_signature', 'workspace_create', { genesis: bad }, {}, /does not verify/);
        // Whoever may create nothing may use what is there.
        const { keyringId } = await closed.call('keyring_get', { keyringId: other.keyring.id });
        assert.equal(keyringId, other.keyring.id);
        assert.equal((await closed.call('key_request', { request: keyRequest(other) })).state, 'pending');
      }));

    it(
      'refuses requests for what is not there or not ready',
      run(async (at) => {
        const key = await at.key();
        const { world } = at;
        const request = await submitted(at, key);
        await at.refuses('invalid_params', 'key_request', { request }, {}, /a sign request/);
        await at.refuses(
          'invalid_params',
          'sign_request',
          { request: keyRequest(world) },
          {},
          /a key request/,
        );
        await at.refuses('invalid_params', 'sign_request', { request: world.genesis });
        await at.refuses(
          'not_found',
          'key_request',
          { request: keyRequest(foreign) },
          {},
          /no (keyring|workspace)/,
        );
        const unmade = keyRequest(world);
        const of = (...keyIds: `0x${string}`[]) =>
          signRequest(
            world,
            keyIds.map((keyId) => ({ keyId, payload })),
          );
        await at.refuses(
          'not_found',
          'sign_request',
          { request: of(idOf(unmade)) },
          {},
          /there is no request/,
        );
        await at.call('key_request', { request: unmade });
        await at.refuses('wrong_state', 'sign_request', { request: of(idOf(unmade)) }, {}, /is pending/);
        await at.refuses('not_found', 'sign_request', { request: of(idOf(request)) }, {}, /is no key/);
        await at.refuses('not_found', 'key_get', { keyId: idOf(request) }, at.owner(), /no key/);
        await at.refuses('not_found', 'sign_get', { requestId: foreign.workspace.id }, at.owner());
        await at.refuses('not_found', 'action_decide', {
          decision: approve(world, foreign.workspace.id, 'bob'),
        });
        // A key of another keyring beside an own one.
        const neighbour = new ServiceWorld(foreign, at.store);
        const theirs = await (await neighbour.register()).key('theirs');
        // Nor does a connector get evidence of another keyring's requests, whichever it names.
        const snapshot = await at.call(
          'connector_pending',
          { keyringId: world.keyring.id, requestIds: [theirs.id, idOf(unmade)] },
          at.connector(0),
        );
        assert.deepEqual(
          snapshot.items.map(({ requestId }) => requestId),
          [idOf(unmade)],
        );
        await at.refuses(
          'invalid_params',
          'sign_request',
          { request: of(key.id, theirs.id) },
          {},
          /several keyrings/,
        );
        await at.refuses(
          'wrong_state',
          'sign_request',
          { request: of(theirs.id) },
          {},
          /do not name each other/,
        );
      }),
    );
  });
}

function partyContent(at: ServiceWorld, subject: `0x${string}`) {
  const { id: keyringId, epoch } = at.world.keyring;
  const result = { kind: 'refusal' as const, code: 'expired' as const, reason: '' };
  return { networkId, subject, keyringId, epoch, party: at.party(0).credential, result };
}
