// What a simulation counts of past requests, and what it fetches for that.
import assert from 'node:assert/strict';
import type { CommandContext } from '../../cli/context.ts';
import type { WorkspaceSession } from '../../cli/session.ts';
import { History, replay } from '../../cli/simulation.ts';
import type { Evidence } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { Workspace } from '../../protocol/records/workspace.ts';
import { timestamp } from '../../protocol/records/fields.ts';
import type { RequestView } from '../../protocol/rpc.ts';
import { changed, transferLedBy, transfers } from '../support/changed-network.ts';
import { approve, hour, networkId } from '../support/fixture.ts';
import { KeyedNetwork } from '../support/session-attacker.ts';

const day = 24 * hour;
const policy = transfers({
  limit: { amount: '100000', per: '24h', scope: 'key' },
  require: { k: 1, of: 'owners' },
});

describe('the history that a simulation counts', () => {
  let net: KeyedNetwork;
  let workspace: Workspace;
  /** When the requests are made. */
  let made: number;
  let listed: RequestView[];
  let evidences: Map<Hex, Evidence>;
  let calls: string[];
  let history: History;

  before(async () => {
    net = await KeyedNetwork.create(3, 2);
    workspace = changed(net, net.world.workspace, { kind: 'policy.sign', policy });
  });

  beforeEach(() => {
    made = net.clock.now();
    [listed, evidences, calls] = [[], new Map(), []];
    const call = async (method: string, { requestId }: { requestId?: Hex }): Promise<unknown> => {
      calls.push(requestId === undefined ? method : `${method} ${requestId}`);
      if (method === 'sign_list') return { items: listed };
      return {
        view: listed.find((view) => view.requestId === requestId),
        evidence: evidences.get(requestId!),
      };
    };
    const session = { client: { call }, networkId, workspaceId: workspace.id } as unknown as WorkspaceSession;
    const context = { signal: new AbortController().signal } as unknown as CommandContext;
    history = new History(context, session);
  });

  /** A request that was made at `made`, and is as it is since `updated`. */
  function add(
    lamports: bigint,
    updated: number,
    state: RequestView['state'] = 'fulfilled',
    maybe = false,
  ): Hex {
    const { id, full } = transferLedBy(net, workspace, lamports, 0);
    evidences.set(id, { ...full, decisions: [approve({ ...net.world, workspace }, id, 'bob', {})] });
    const times = { created: timestamp(made), updated: timestamp(updated) };
    listed.push({ requestId: id, kind: 'sign', state, mayHaveBeenSigned: maybe, ...times } as RequestView);
    return id;
  }

  it('counts what was signed in a window, though it was asked for before it', async () => {
    const now = made + 2 * day;
    const inside = add(1n, now - hour);
    const doubtful = add(2n, now - hour, 'rejected', true);
    add(3n, now - 25 * hour); // Signed before the window.
    add(4n, now - hour, 'rejected');
    add(5n, now + 1); // Signed afterwards.
    const taken = await history.takenBetween(now - day, now);
    assert.deepEqual(
      taken.map(({ requestId, at }) => [requestId, at]),
      [inside, doubtful].map((id) => [id, now - hour]),
    );
    assert.deepEqual(
      calls,
      ['sign_list', `action_get ${inside}`, `action_get ${doubtful}`],
      'nothing is fetched that does not count',
    );
  });

  it('of one request is what the limits of its policy look back at, and nothing where there are none', async () => {
    const now = made + hour / 2;
    const earlier = add(40_000n, now - hour);
    add(50_000n, now - 2 * day);
    const id = add(70_000n, now);
    const request = (await history.request(id))!;
    assert.deepEqual(calls, [`action_get ${id}`]);
    const { limit: _, ...rule } = policy.rules[0]!;
    const unlimited = { ...policy, rules: [rule, ...policy.rules.slice(1)] } as typeof policy;
    assert.equal((await replay(request, unlimited, networkId, history)).verdict, 'satisfied');
    assert.deepEqual(calls, [`action_get ${id}`]);
    const limited = await replay(request, undefined, networkId, history);
    assert(limited.verdict === 'waiting', JSON.stringify(limited));
    assert.match(limited.holds[0]!.detail, /^45000 of 100000 SOL are used/);
    assert.deepEqual(calls, [`action_get ${id}`, 'sign_list', `action_get ${earlier}`]);
  });

  it('has no requests of another workspace', async () => {
    const id = add(1n, made);
    evidences.set(id, net.messageLedBy(0).full);
    assert.equal(await history.request(id), undefined);
    const other = net.messageLedBy(0);
    evidences.set(other.id, other.full);
    listed.push({ ...listed[0]!, requestId: other.id });
    const session = {
      client: { call: async () => ({ view: listed[1], evidence: other.full }) },
      networkId,
      workspaceId: `0x${'ab'.repeat(32)}`,
    } as unknown as WorkspaceSession;
    const strange = new History(
      { signal: new AbortController().signal } as unknown as CommandContext,
      session,
    );
    assert.equal(await strange.request(other.id), undefined);
  });
});
