// What the coordinator says of policies: what is wrong with one, what it means in words, and what it would say of a request.
import assert from 'node:assert/strict';
import { defaultPolicy } from '../../protocol/policy/schema.ts';
import { readContent } from '../../protocol/records/envelope.ts';
import { request as requestRecord } from '../../protocol/records/request.ts';
import { changed } from '../support/changes.ts';
import { payload } from '../support/coordinated.ts';
import { createWorld, idOf, networkId, signRequest, start } from '../support/fixture.ts';
import { asked, stores, withService } from '../support/service-world.ts';

const open = stores['memory']!;

describe('policy_validate', () => {
  it('tells where each complaint is, and of a good policy what it says', () =>
    withService(open, async (at) => {
      const validate = (policy: Record<string, unknown>, more = {}) =>
        at.call('policy_validate', { policy, ...more });
      assert.deepEqual(await validate(defaultPolicy), {
        complaints: [],
        lines: [
          'any-owner: allow solana.transaction, bitcoin.psbt, evm.transaction, key.request, approved by 1 of all owners',
        ],
        warnings: [],
      });
      const rule = defaultPolicy.rules[0]!;
      const bad = { ...defaultPolicy, rules: [{ ...rule, require: { k: 1, of: 'nobody' } }] };
      assert.deepEqual(await validate(bad), {
        complaints: [{ path: ['rules', 0, 'require'], message: 'there is no group nobody' }],
        lines: [],
        warnings: [],
      });
      assert.equal((await validate({ nonsense: true })).complaints.length > 1, true);
      const { complaints } = await validate(defaultPolicy, { admin: true });
      assert.match(complaints[0]!.message, /workspace.change alone/);
      const many = { ...defaultPolicy, rules: [{ ...rule, require: { k: 3, of: 'owners' } }] };
      const unmet = await validate(many, { owners: ['alice', 'bob'] });
      assert.deepEqual(unmet.complaints, [{ path: [], message: 'rule any-owner wants 3 of 2 owners' }]);
      const alone = await validate(defaultPolicy, { owners: ['alice', 'bob'] });
      assert.match(alone.warnings[0]!, /one owner alone/);
    }));
});

describe('policy_explain', () => {
  it('tells of the policies in force, nearest first, to owners alone', () =>
    withService(open, async (at) => {
      const key = await at.key();
      const workspaceId = at.world.workspace.id;
      const levels = async (params = {}) =>
        (await at.call('policy_explain', { workspaceId, ...params }, at.owner())).policies.map(
          ({ level }) => level,
        );
      assert.deepEqual(await levels(), ['workspace', 'admin']);
      assert.deepEqual(await levels({ keyId: key.id }), ['workspace', 'admin']);
      await changed(at, { kind: 'policy.key', keyId: key.id, policy: defaultPolicy });
      const { policies } = await at.call('policy_explain', { workspaceId, keyId: key.id }, at.owner());
      assert.deepEqual(
        policies.map(({ level }) => level),
        ['key', 'workspace', 'admin'],
      );
      assert.match(policies[0]!.lines[0]!, /^any-owner: allow/);
      assert.match(policies[0]!.warnings[0]!, /one owner alone/);
      await at.refuses('forbidden', 'policy_explain', { workspaceId }, at.connector(0));
      await at.refuses(
        'not_found',
        'policy_explain',
        { workspaceId, keyId: idOf(at.world.genesis) },
        at.owner(),
      );
    }));
});

describe('policy_simulate', () => {
  it('says what the rules would, of a request that nobody signed', () =>
    withService(open, async (at) => {
      const key = await at.key();
      const workspaceId = at.world.workspace.id;
      const { content } = readContent(requestRecord, asked(at, key), networkId);
      const simulate = (params: object) => at.call('policy_simulate', { workspaceId, ...params }, at.owner());
      const waiting = await simulate({ request: content });
      assert.equal(waiting.verdict, 'waiting');
      assert.deepEqual(waiting.missing[0]?.from, ['bob', 'carol']);
      assert.deepEqual(waiting.items[0]?.rules, ['spend']);
      assert.equal(waiting.items[0]?.mismatches[0]?.rule, 'keys');
      assert.equal(waiting.expires, new Date(start + 3600_000).toISOString());
      const satisfied = await simulate({ request: content, approvals: ['carol'] });
      assert.deepEqual([satisfied.verdict, satisfied.missing], ['satisfied', []]);
      const own = await simulate({ request: content, approvals: ['alice', 'mallory'] });
      assert.equal(own.verdict, 'waiting');

      const request = asked(at, key);
      await at.call('sign_request', { request });
      assert.deepEqual(
        (await simulate({ requestId: idOf(request), approvals: ['bob'] })).verdict,
        'satisfied',
      );
      assert.deepEqual(await at.store.scan('debit/', undefined, 10), []);

      const digest = { ...content, items: [{ keyId: key.id, payload: { kind: 'message', data: '0x00' } }] };
      assert.equal((await simulate({ request: digest })).verdict, 'waiting');
      const refused = await simulate({ request: { ...content, initiator: 'mallory' } });
      assert.deepEqual([refused.verdict, refused.reason], ['refused', 'bad_evidence']);
      const call = (params: object) => ({ workspaceId, ...params });
      const refuses = (code: 'invalid_params' | 'not_found', params: object, words: RegExp) =>
        at.refuses(code, 'policy_simulate', call(params), at.owner(), words);
      await refuses('invalid_params', {}, /either/);
      await refuses('invalid_params', { request: content, requestId: idOf(request) }, /either/);
      await refuses('invalid_params', { request: { ...content, items: [] } }, /items/);
      const other = createWorld({ name: 'other' });
      await refuses(
        'invalid_params',
        { request: { ...content, workspaceId: other.workspace.id } },
        /of workspace/,
      );
      await at.refuses('forbidden', 'policy_simulate', call({ request: content }), at.connector(0));
    }));

  it('says that a frozen workspace signs nothing, and what no rule allows', () =>
    withService(
      open,
      async (at) => {
        const key = await at.key();
        const workspaceId = at.world.workspace.id;
        const request = signRequest(at.world, [{ keyId: key.id, payload }]);
        const { content } = readContent(requestRecord, request, networkId);
        const denied = await at.call('policy_simulate', { workspaceId, request: content }, at.owner());
        assert.deepEqual([denied.verdict, denied.reason], ['refused', 'policy_denied']);
        assert.match(denied.detail ?? '', /no rule allows this message/);
        assert.deepEqual(denied.items[0]?.mismatches[0]?.condition, 'kind');
        await changed(at, { kind: 'freeze' });
        const frozen = await at.call('policy_simulate', { workspaceId, request: content }, at.owner());
        assert.deepEqual([frozen.verdict, frozen.reason], ['refused', 'frozen']);
      },
      createWorld({ name: 'denied', signPolicy: defaultPolicy }),
    ));
});
