// A real node that is killed when what a request takes from a limit is durable, before anything of the signing rounds has left
// it: it counts once, whoever signs later, and what does not fit beside it is held back.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { type Client, createClient } from '../../client/rpc-client.ts';
import type { Evidence } from '../../protocol/authorize.ts';
import { type Hex, toHex } from '../../protocol/hex.ts';
import { transferMessage } from '../../protocol/payloads/solana-transfer.ts';
import type { Policy } from '../../protocol/policy/schema.ts';
import type { Envelope } from '../../protocol/records/envelope.ts';
import { openKeyring } from '../../protocol/records/keyring-roster.ts';
import type { KeyView } from '../../protocol/rpc.ts';
import { transfers } from '../support/changed-network.ts';
import { withNodeStore } from '../support/crash-judge.ts';
import { CrashNetwork } from '../support/crash-network.ts';
import {
  createWorld,
  evidence,
  idOf,
  keyRequest,
  networkId,
  signRequest,
  type World,
} from '../support/fixture.ts';
import { workspaceBeside } from '../support/other-workspace.ts';
import { OwnDoor } from '../support/own-door.ts';

const limit = { amount: '100000', per: '24h', scope: 'key' as const };
const spending = transfers({ limit });
const policy: Policy = {
  ...spending,
  rules: [
    ...spending.rules,
    { id: 'keys', effect: 'allow', when: { kind: ['key.request'] }, require: { k: 1, of: 'owners' } },
  ],
};
/** Of every transfer. */
const fee = 5000n;

interface Left {
  readonly point: string;
  readonly state: string | undefined;
  /** Requests with what they take, as they stand on the disk. */
  readonly debits: readonly (readonly [string, readonly bigint[]])[];
}

describe('a node that is killed between a debit and the first message of the rounds', function () {
  this.timeout(400_000);
  let crash: CrashNetwork;
  let world: World;
  let alice: Client;
  let key: KeyView;
  let door: OwnDoor | undefined;
  const left: Left[] = [];

  before(async () => {
    crash = await CrashNetwork.start({ networkId });
    const { net } = crash;
    const roster = JSON.parse(await readFile(net.layout.signedRoster, 'utf8')) as Envelope;
    const base = { ...createWorld(), keyring: openKeyring(roster, networkId) };
    world = workspaceBeside(base, base.owners, policy, 'limited');
    alice = createClient({ url: net.network.coordinator, networkId, signer: world.owners['alice']! });
    await alice.call('workspace_create', { genesis: world.genesis });
    const request = keyRequest(world, { created: Date.now() });
    await alice.call('key_request', { request });
    assert.equal((await net.final(idOf(request), 120_000, alice)).state, 'fulfilled');
    key = await alice.call('key_get', { keyId: idOf(request) });
  });

  after(async () => {
    await door?.stop();
    await crash?.stop();
  });

  /** A transfer of so many lamports, with its evidence. */
  function transfer(lamports: bigint): { id: Hex; full: Evidence } {
    const from = key.addresses[0]!.address;
    const message = transferMessage({ from, to: from, lamports, recentBlockhash: from });
    const payload = { kind: 'solana.transaction' as const, message: toHex(message) };
    const request = signRequest(world, [{ keyId: key.keyId, payload }], { created: Date.now() });
    const entry = { request: key.request, certificate: key.certificate };
    return { id: idOf(request), full: evidence(world, request, { keys: [entry] }) };
  }

  const debitsOf = (node: string): Promise<Left['debits']> =>
    withNodeStore(crash.net, node, async (store) =>
      (await store.debits(Date.now())).map(
        ({ requestId, debits }) => [requestId, debits.map(({ amount }) => amount)] as const,
      ),
    );

  /** What node-1 has logged about a request, or node-2, under an event's name. */
  const logged = async (node: string, event: string, id: Hex) =>
    (await crash.net.log(node)).filter((line) => line.event === event && line.fields['requestId'] === id);

  it('has counted once what it takes, and the limit holds', async () => {
    const { net } = crash;
    // Only the other two can sign from now on: without the one that dies nothing is signed.
    for (const name of ['node-3', 'node-1']) await net.kill(name);
    const first = transfer(55_000n);
    const inspect = async (_: string, point: string): Promise<void> => {
      const debits = await debitsOf('node-1');
      const state = await withNodeStore(net, 'node-1', async (store) => (await store.job(first.id))?.state);
      left.push({ point, state, debits });
      // Alone it finds what it left, and nobody signs.
      if (point.endsWith(':after')) await net.kill('node-2');
    };
    const dead = crash.dieAt('node-1', ['node.job.started:before', 'node.job.started:after'], inspect);
    dead.catch(() => undefined); // Awaited below.
    await alice.call('sign_request', { request: first.full.request });
    await dead;
    assert.deepEqual(left, [
      { point: 'node.job.started:before', state: 'stored', debits: [] },
      { point: 'node.job.started:after', state: 'started', debits: [[first.id, [55_000n + fee]]] },
    ]);
    assert.deepEqual(
      await logged('node-1', 'session.proposed', first.id),
      [],
      'proposed before it was durable',
    );
    assert.deepEqual(await logged('node-2', 'session.started', first.id), [], 'something of it has left');

    door = await OwnDoor.open(net, 'node-1');
    const second = transfer(55_000n);
    const used = /^rule transfers: 60000 of 100000 SOL are used, this takes 60000$/;
    const alone = await door.deliver(second.full);
    assert.equal(alone.code, 'waiting');
    assert.match(alone.detail, used);

    await net.restart('node-2');
    const { state, votes } = await net.final(first.id, 120_000, alice);
    assert.deepEqual([state, votes.have], ['fulfilled', 2]);
    // The other one may have told it the signature before it had put that together.
    const [attempt] = await logged('node-1', 'session.started', first.id);
    assert.ok(attempt, 'node-1 was not in the next attempt');

    // Started again it was not counted again; what fits beside it is signed, and nothing more.
    const still = await door.deliver(second.full);
    assert.equal(still.code, 'waiting');
    assert.match(still.detail, used);
    const third = transfer(35_000n);
    await alice.call('sign_request', { request: third.full.request });
    assert.equal((await net.final(third.id, 120_000, alice)).state, 'fulfilled');
    const full = await door.deliver(transfer(1n).full);
    assert.equal(full.code, 'waiting');
    assert.match(full.detail, /^rule transfers: 100000 of 100000 SOL are used, this takes 5001$/);

    await net.kill('node-1');
    const amounts = new Map(await debitsOf('node-1'));
    assert.deepEqual(
      amounts,
      new Map([
        [first.id, [60_000n]],
        [third.id, [40_000n]],
      ]),
    );
  });
});
