// A coordinator that forges, replays, withholds, reorders and substitutes, before real connectors and nodes on real
// sockets. After every lie: no ACCEPT, START or ROUND about the request left any node. What is told honestly is signed.
import assert from 'node:assert/strict';
import type { Evidence } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { Envelope, Signer } from '../../protocol/records/envelope.ts';
import type { KeyView } from '../../protocol/rpc.ts';
import {
  approve,
  createWorld,
  evidence,
  hour,
  idOf,
  keyRequest,
  messagePayload,
  reject,
  signerOf,
  signRequest,
  type World,
} from '../support/fixture.ts';
import { aliceAndBob, LiedToNetwork } from '../support/lied-to-network.ts';
import { anyOwner, workspaceBeside } from '../support/other-workspace.ts';
import { type Outcome, pendingEvent, type Teller, tellers } from '../support/told-lies.ts';
import { until } from '../support/until.ts';

describe('a lying coordinator', function () {
  this.timeout(300_000);
  let network: LiedToNetwork;
  let world: World;
  let mallorys: World;
  let strict: World;
  let key: KeyView;
  let mallorysKey: KeyView;
  let strictKey: KeyView;
  let told: readonly Teller[];
  let keys: Evidence['keys'];
  const mallory = signerOf('mallory');
  const strangers: [string, Signer][] = [
    ['a stranger', signerOf('stranger')],
    ['the coordinator itself', signerOf('the coordinator')],
    ['an owner of another workspace', mallory],
    ['a party', signerOf('world', 'party', 1)],
    ['another owner', signerOf('world', 'owner', 'carol')],
  ];

  const entry = ({ request, certificate }: KeyView): Evidence['keys'][number] => ({ request, certificate });
  const item = (keyId: Hex, text: string) => ({ keyId, payload: messagePayload(text) });
  const soon = () => ({ created: Date.now() });
  const proof = (request: Envelope, parts: Partial<Evidence> = {}): Evidence =>
    evidence(world, request, { keys, ...parts });
  const approved = (request: Envelope): Evidence =>
    proof(request, { decisions: [network.approval(idOf(request), 'bob')] });

  async function tell(held: Evidence, which: readonly Teller[] = told): Promise<Outcome> {
    const id = idOf(held.request);
    const said = await Promise.all(which.map((teller) => teller.tell(id, held, AbortSignal.timeout(20_000))));
    for (const each of said) assert.equal(each.code, said[0]!.code, each.detail);
    return said[0]!;
  }

  async function refuses(held: Evidence, code: string, words: RegExp, which = told): Promise<void> {
    const said = await tell(held, which);
    assert.equal(said.code, code, said.detail);
    assert.match(said.detail, words);
    assert.deepEqual(network.sharesOf(idOf(held.request)), []);
    assert.deepEqual(network.proposalsOf(idOf(held.request)), []);
  }

  /** Told the truth, everybody signs. */
  async function signs(held: Evidence): Promise<void> {
    await tell(held);
    await network.final(idOf(held.request), 'fulfilled');
  }

  before(async () => {
    network = await LiedToNetwork.start();
    ({ world } = network);
    mallorys = workspaceBeside(world, { mallory });
    strict = workspaceBeside(
      world,
      { alice: world.owners['alice']! },
      {
        version: 1,
        rules: [{ id: 'no-messages', effect: 'deny', when: { kind: ['message'] } }, ...anyOwner.rules],
      },
    );
    const clients = { mallory: network.owner('mallory', undefined, mallorys), alice: network.owner('alice') };
    const make = async (owner: 'mallory' | 'alice', of: World): Promise<KeyView> => {
      const client = clients[owner];
      if (of !== world) await client.call('workspace_create', { genesis: of.genesis });
      const request = keyRequest(of, soon());
      await client.call('key_request', { request });
      await until(
        async () => (await client.call('sign_get', { requestId: idOf(request) })).state === 'fulfilled',
        'the key is made',
        90_000,
      );
      return client.call('key_get', { keyId: idOf(request) });
    };
    [key, mallorysKey, strictKey] = [
      await make('alice', world),
      await make('mallory', mallorys),
      await make('alice', strict),
    ];
    keys = [entry(key)];
    told = await tellers(network);
  });

  after(async () => network?.stop());

  describe('forges', () => {
    for (const [who, signer] of strangers) {
      it(`requests and approvals signed by ${who}: none counts`, async () => {
        const forged = signRequest(world, [item(key.keyId, `pay ${who}`)], { ...soon(), signer });
        await refuses(approved(forged), 'bad_evidence', /not signed by its initiator alice/);
        const asked = network.asks(key.keyId, `pay ${who} too`);
        const decisions = [network.approval(idOf(asked), 'bob', { signer })];
        await refuses(
          proof(asked, { decisions }),
          'waiting',
          /awaits bob; .*signed by somebody else than bob/,
        );
      });
    }

    it('a request of an initiator who is no owner', async () => {
      const options = { ...soon(), initiator: 'mallory', signer: mallory };
      const forged = signRequest(world, [item(key.keyId, 'pay mallory')], options);
      await refuses(approved(forged), 'bad_evidence', /not signed by its initiator mallory/);
    });

    it('the approval of an owner whom the policy does not ask', async () => {
      const asked = network.asks(key.keyId, 'pay carol');
      const decisions = [network.approval(idOf(asked), 'carol')];
      await refuses(proof(asked, { decisions }), 'waiting', /1 of 2 approvals and awaits bob$/);
    });
  });

  describe('replays', () => {
    it('the approval of another request', async () => {
      const asked = network.asks(key.keyId, 'pay twice');
      const other = network.asks(key.keyId, 'pay once');
      const decisions = approved(other).decisions;
      await refuses(proof(asked, { decisions }), 'waiting', /awaits bob; .*is about 0x/);
    });

    it('a request that has its result: the stored one comes, and nobody signs again', async () => {
      const held = approved(network.asks(key.keyId, 'pay the rent'));
      await network.submit(held.request, ...held.decisions);
      await signs(held);
      const id = idOf(held.request);
      // Only what was there before may still be on its way.
      const left = network.sharesOf(id).length;
      const stored = () =>
        network.places.map(({ nodeLog }) => nodeLog.filter((line) => isResult(line, id)).length);
      await until(() => stored().every((count) => count === 1), 'every node has its result');
      for (let again = 0; again < 3; again += 1) assert.equal((await tell(held)).code, 'done');
      assert.equal(network.sharesOf(id).length, left);
      assert.deepEqual(stored(), [1, 1, 1]);
    });

    it('an approval that its approver has taken back, also to a node that only its peers have told so', async () => {
      const asked = network.asks(key.keyId, 'pay in anger');
      const id = idOf(asked);
      const approval = network.approval(id, 'bob');
      const rejection = reject(world, id, 'bob', { seq: 2 });
      const [one, two, three] = told as [Teller, Teller, Teller];
      const whole = proof(asked, { decisions: [approval, rejection] });
      await refuses(whole, 'approvers', /bob rejected/, [one, two]);
      await refuses(proof(asked, { decisions: [rejection, approval] }), 'approvers', /bob rejected/, [one]);
      await refuses(proof(asked, { decisions: [approval] }), 'approvers', /bob rejected/, [one, two]);
      // Split view: the third is shown the approval alone. The others tell it of the rejection, before it asks them or after.
      await until(
        async () => (await tell(proof(asked, { decisions: [approval] }), [three])).code === 'approvers',
        'the third hears of the rejection from its peers',
        20_000,
      );
      await refusesAfterProposal(whole, [three]);
      assert.deepEqual(network.sharesOf(id), []);
    });

    it('duplicates and reorders events: each node has one result', async () => {
      const held = approved(network.asks(key.keyId, 'pay the wages'));
      const id = await network.submit(held.request, ...held.decisions);
      for (const { place } of told) {
        const decided = {
          type: 'request.decision',
          requestId: id,
          decisionId: idOf(held.decisions[0]!),
          principal: 'bob',
          decision: 'approve',
          at: new Date().toISOString(),
        } as const;
        for (const event of [decided, pendingEvent(id), { ...pendingEvent(id), state: 'fulfilled' as const }])
          for (let copies = 0; copies < 3; copies += 1) place.view.tell(event);
      }
      await signs(held);
      await until(
        () => network.places.every(({ nodeLog }) => nodeLog.some((line) => isResult(line, id))),
        'every node has a result',
      );
      const results = network.places.flatMap(({ nodeLog }) => nodeLog.filter((line) => isResult(line, id)));
      assert.equal(results.length, 3);
    });
  });

  const isResult = (line: { event: string; fields: Readonly<Record<string, unknown>> }, id: Hex): boolean =>
    line.event === 'result.stored' && line.fields['requestId'] === id;

  async function refusesAfterProposal(held: Evidence, which: readonly Teller[]): Promise<void> {
    assert.equal((await tell(held, which)).code, 'approvers');
  }

  describe('withholds', () => {
    it('an approval from two of three: the third brings it to them', async () => {
      const held = approved(network.asks(key.keyId, 'pay the tax'));
      await network.submit(held.request, ...held.decisions);
      const [one, two, three] = told as [Teller, Teller, Teller];
      await refuses({ ...held, decisions: [] }, 'waiting', /awaits bob/, [one, two]);
      await tell(held, [three]);
      await network.final(idOf(held.request), 'fulfilled');
    });

    it('a request from one connector: its node hears of it from its peers', async () => {
      const held = approved(network.asks(key.keyId, 'pay the bill'));
      const id = await network.submit(held.request, ...held.decisions);
      await tell(held, told.slice(0, 2));
      await network.final(id, 'fulfilled');
      await until(
        () => network.places[2]!.nodeLog.some((line) => isResult(line, id)),
        'the third has its result',
        20_000,
      );
    });

    it("the key's certificate, or a part of it", async () => {
      const held = approved(network.asks(key.keyId, 'pay the doctor'));
      await network.submit(held.request, ...held.decisions);
      const certificates: [Envelope[], RegExp][] = [
        [[], /no result of/],
        [key.certificate.slice(1), /no result of/],
        [key.certificate.slice(0, 2), /no result of/],
        [[key.certificate[0]!, key.certificate[0]!, key.certificate[0]!], /no result of/],
        [mallorysKey.certificate, /about another key/],
        [[...key.certificate.slice(0, 2), mallorysKey.certificate[2]!], /about another key/],
      ];
      for (const [certificate, words] of certificates) {
        await refuses({ ...held, keys: [{ request: key.request, certificate }] }, 'bad_evidence', words);
      }
      await refuses({ ...held, keys: [] }, 'bad_evidence', /no certificate of key/);
      await refuses({ ...held, keys: [entry(mallorysKey)] }, 'bad_evidence', /no certificate of key/);
      await signs(held);
    });
  });

  describe('substitutes', () => {
    it('a request that approvers still decide on for one that the parties may sign', async () => {
      const asked = network.asks(key.keyId, 'pay on a nod');
      await network.submit(asked);
      await refuses(proof(asked), 'waiting', /1 of 2 approvals and awaits bob/);
      const held = approved(asked);
      await network.owner('bob').call('action_decide', { decision: held.decisions[0]! });
      await signs(held);
    });

    it('an allowed request for one that the policy denies', async () => {
      const asked = signRequest(strict, [item(strictKey.keyId, 'words')], soon());
      const held = evidence(strict, asked, { keys: [entry(strictKey)] });
      await refuses(held, 'done', /policy_denied: rule no-messages denies message/);
    });

    it("another workspace's key for one of the asking workspace's, alone and beside it", async () => {
      const [own, victims] = [item(mallorysKey.keyId, 'mine'), item(key.keyId, 'yours')];
      for (const items of [[victims], [own, victims], [victims, own]]) {
        const asked = signRequest(mallorys, items, soon());
        const held = evidence(mallorys, asked, { keys: [entry(mallorysKey), entry(key)] });
        await refuses(held, 'done', /wrong_key: item \d: key \S+ belongs to workspace/);
      }
    });

    it('a workspace with fewer owners, or an easier policy: it is another workspace', async () => {
      const { alice, bob, carol } = world.owners as Record<'alice' | 'bob' | 'carol', Signer>;
      const held = approved(network.asks(key.keyId, 'pay for less'));
      const copies = [
        workspaceBeside(world, { carol, alice, bob }, anyOwner),
        workspaceBeside(world, { carol, alice }, anyOwner),
        workspaceBeside(world, { alice, bob }, aliceAndBob),
      ];
      for (const copy of copies) {
        assert.notEqual(copy.workspace.id, world.workspace.id);
        await refuses({ ...held, log: [copy.genesis] }, 'bad_evidence', /the log is of workspace/);
        const [initiator] = Object.keys(copy.owners) as [string];
        const asked = signRequest(copy, [item(key.keyId, 'pay for less')], { ...soon(), initiator });
        const decisions = initiator === 'alice' ? [approveIn(copy, asked, 'bob')] : [];
        const forged = evidence(copy, asked, { decisions, keys });
        await refuses(forged, 'done', /wrong_key: .*belongs to workspace/);
      }
      await refuses(
        { ...held, log: [world.genesis, copies[0]!.genesis] },
        'bad_evidence',
        /a workspace.change record belongs here/,
      );
    });

    it('another keyring, and requests to it', async () => {
      const foreign = createWorld({ name: 'foreign' });
      const held = approved(network.asks(key.keyId, 'pay elsewhere'));
      await refuses(
        { ...held, roster: foreign.keyring.envelope },
        'bad_evidence',
        /the roster is of keyring/,
      );
      const asked = evidence(foreign, keyRequest(foreign, soon()));
      await refuses(asked, 'bad_evidence', /the roster is of keyring/);
      await refuses({ ...asked, roster: world.keyring.envelope }, 'bad_evidence', /the request is to/);
    });

    it('times: approvals that ran out, requests that ended or are not made yet', async () => {
      const asked = network.asks(key.keyId, 'pay late');
      const decisions = [approve(world, idOf(asked), 'bob', { expires: Date.now() - 1 })];
      await refuses(proof(asked, { decisions }), 'waiting', /awaits bob; the approval of bob ran out/);
      const at = (created: number) =>
        signRequest(world, [item(key.keyId, 'pay at another time')], { created });
      await refuses(approved(at(Date.now() - 2 * hour)), 'done', /expired: ended at/);
      await refuses(approved(at(Date.now() + hour)), 'too_early', /check the clocks/);
    });
  });

  function approveIn(copy: World, asked: Envelope, name: string): Envelope {
    return approve(copy, idOf(asked), name, { expires: Date.now() + hour });
  }
});
