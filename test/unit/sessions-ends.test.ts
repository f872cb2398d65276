// What a node makes of being told how a request has ended that it still holds open: of a receipt, what it proves; of a mere
// word, nothing.
import assert from 'node:assert/strict';
import type { Evidence } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import { type Receipt, verifyReceipt } from '../../protocol/receipt.ts';
import { createRecord, type Envelope, type Signer } from '../../protocol/records/envelope.ts';
import { type PartyResult, partyResult } from '../../protocol/records/party-result.ts';
import { changed, transferLedBy, transfers } from '../support/changed-network.ts';
import { approve, hour, networkId, reject, signerOf } from '../support/fixture.ts';
import { framesSent, KeyedNetwork } from '../support/session-attacker.ts';
import { turnsOfLoop } from '../support/turns-of-loop.ts';

const minute = 60_000;
const source = 'connector';

/** What a coordinator hands out of a request that the first two parties have signed. */
function receiptOf(net: KeyedNetwork, id: Hex, full: Evidence): Receipt {
  const results = [0, 1].map((index) => net.node(index).store.finished.get(id)!);
  const result = net.resultAt(0, id);
  assert(result?.kind === 'signatures');
  return {
    type: 'countersign.receipt',
    version: 1,
    networkId,
    evidence: full,
    results,
    signatures: [...result.signatures] as Hex[],
  };
}

interface Scene {
  readonly net: KeyedNetwork;
  readonly id: Hex;
  /** With everybody's approvals. */
  readonly full: Evidence;
  readonly receipt: Receipt;
}

/** The third party has heard of a request without approvals, and was away when the others signed it; it is back, alone. */
async function signedWhileAway(make?: (net: KeyedNetwork) => { id: Hex; full: Evidence }): Promise<Scene> {
  const net = await KeyedNetwork.create(3, 2);
  await net.boot(2);
  const { id, full } = make?.(net) ?? net.messageLedBy(0);
  await net.node(2).sessions.submit({ ...full, decisions: [] });
  net.kill(2);
  for (const index of [0, 1]) await net.boot(index);
  await net.submit(full, [0, 1]);
  await net.until(() => [0, 1].every((index) => net.node(index).store.finished.has(id)), 60_000, 'both');
  const receipt = receiptOf(net, id, full);
  for (const index of [0, 1]) net.kill(index);
  await net.boot(2);
  return { net, id, full, receipt };
}

/** The result of a party, with these signatures. */
function resultBy(net: KeyedNetwork, signer: Signer, subject: Hex, signatures: Hex[]): Envelope {
  const { id: keyringId, epoch } = net.world.keyring;
  const result: PartyResult['result'] = { kind: 'signatures', signatures };
  return createRecord(
    partyResult,
    { networkId, subject, keyringId, epoch, party: signer.credential, result },
    signer,
  );
}

describe('sessions: requests that ended while a party was away', () => {
  it('are taken from a receipt, without a word to any party', async () => {
    const { net, id, receipt } = await signedWhileAway();
    const { sessions } = net.node(2);
    assert.deepEqual(await sessions.ends.page(undefined, 10, source), { requestIds: [id], more: false });
    assert.equal(sessions.status()[0]?.waiting.for, 'approvals');
    const before = net.sent.length;
    assert.deepEqual(await sessions.ends.takeReceipt(receipt, source), { requestId: id, state: 'done' });
    const result = net.resultAt(2, id);
    assert(result?.kind === 'signatures');
    assert.deepEqual(result.signatures, receipt.signatures);
    assert.deepEqual(sessions.status(), []);
    assert.deepEqual(net.logged(2, 'session.learned'), [{ requestId: id, peer: source }]);
    assert.deepEqual(await sessions.ends.page(undefined, 10, source), { requestIds: [], more: false });
    assert.equal(framesSent(net, net.node(2).party.credential, 'round').length, 0);
    assert.equal(net.sent.slice(before).filter(({ bytes }) => bytes.length > 0).length, 0);
    assert.deepEqual(await sessions.ends.takeReceipt(receipt, source), { requestId: id, state: 'done' });
    await net.stop();
  });

  it('also when the approvals have run out since, which a receipt does not show', async () => {
    const { net, id, full, receipt } = await signedWhileAway((made) => {
      const { id: requestId, full: all } = made.messageLedBy(0);
      const expires = made.clock.now() + minute;
      return {
        id: requestId,
        full: { ...all, decisions: [approve(made.world, requestId, 'bob', { expires })] },
      };
    });
    net.clock.after(2 * minute, () => undefined);
    await net.pass(2 * minute);
    const { sessions } = net.node(2);
    assert.equal((await sessions.submit(full)).state, 'waiting');
    assert.equal((await sessions.ends.takeReceipt(receipt, source)).state, 'done');
    assert.equal(net.resultAt(2, id)?.kind, 'signatures');
    await net.stop();
  });

  it('count in limits from then on', async () => {
    const { net, id, receipt } = await signedWhileAway((made) => {
      const policy = transfers({ limit: { amount: '100000', per: '24h', scope: 'key' } });
      return transferLedBy(
        made,
        changed(made, made.world.workspace, { kind: 'policy.sign', policy }),
        55_000n,
        0,
      );
    });
    const { store, sessions } = net.node(2);
    assert.equal(store.debited.size, 0);
    assert.equal((await sessions.ends.takeReceipt(receipt, source)).state, 'done');
    assert.equal(store.debited.size, 1);
    assert.equal(net.resultAt(2, id)?.kind, 'signatures');
    await net.stop();
  });

  it('also when another rule would have wanted more approvals', async () => {
    const limit = { amount: '100000', per: '24h', scope: 'key' } as const;
    const { rules, ...policy } = transfers({ limit });
    const large = {
      id: 'large',
      effect: 'allow',
      when: { asset: ['SOL'] },
      require: { k: 2, of: 'owners' },
    } as (typeof rules)[number];
    const { net, id, receipt } = await signedWhileAway((made) => {
      const sign = { ...policy, rules: [...rules, large] };
      const workspace = changed(made, made.world.workspace, { kind: 'policy.sign', policy: sign });
      return transferLedBy(made, workspace, 55_000n, 0);
    });
    assert.equal(verifyReceipt(receipt, { workspaceId: net.world.workspace.id }).requestId, id);
    const { store, sessions } = net.node(2);
    assert.equal((await sessions.ends.takeReceipt(receipt, source)).state, 'done');
    assert.equal(store.debited.size, 1);
    assert.deepEqual(net.logged(2, 'session.incident'), []);
    await net.stop();
  });

  it('and are left alone by a receipt that proves nothing: they can still be signed', async () => {
    const { net, id, full, receipt } = await signedWhileAway();
    const { ends } = net.node(2).sessions;
    const [first, second] = receipt.results as [Envelope, Envelope];
    const zeros: Hex[] = [`0x${'00'.repeat(64)}`];
    const forged = [0, 1].map((index) => resultBy(net, net.node(index).party, id, zeros));
    const other = [0, 1].map((index) =>
      resultBy(net, net.node(index).party, `0x${'ab'.repeat(32)}`, receipt.signatures as Hex[]),
    );
    const stranger = resultBy(net, signerOf('nobody'), id, receipt.signatures as Hex[]);
    const lies: readonly Partial<Receipt>[] = [
      { results: [first] },
      { results: [first, first] },
      { results: [first, stranger] },
      { results: [first, { ...second, signatures: first.signatures }] },
      { results: forged, signatures: zeros },
      { results: other },
      { signatures: zeros },
    ];
    for (const lie of lies) {
      await assert.rejects(ends.takeReceipt({ ...receipt, ...lie }, source), (error: { code?: string }) => {
        assert.equal(error.code, 'bad_receipt');
        return true;
      });
      assert.equal(net.node(2).store.finished.has(id), false, JSON.stringify(lie).slice(0, 80));
      assert(ends.isOpen(id));
    }
    assert.equal(net.node(2).store.debited.size, 0);
    await net.boot(0);
    await net.submit(full, [2]);
    await net.until(() => net.node(2).store.finished.has(id), 60_000, 'what the other party says');
    assert.equal(net.resultAt(2, id)?.kind, 'signatures');
    await net.stop();
  });

  it('raise an incident, and no more, where owners did not authorise what was signed', async () => {
    const { net, id, full, receipt } = await signedWhileAway();
    const { sessions, store } = net.node(2);
    const without = { ...receipt, evidence: { ...full, decisions: [] } };
    assert.equal((await sessions.ends.takeReceipt(without, source)).state, 'open');
    assert.deepEqual(net.logged(2, 'session.incident'), [
      { requestId: id, code: 'unauthorised_result', peer: source },
    ]);
    const rejected = { ...receipt, evidence: { ...full, decisions: [reject(net.world, id, 'alice')] } };
    assert.equal((await sessions.ends.takeReceipt(rejected, source)).state, 'open');
    // Whoever shows less does not make it forget what it has seen.
    assert.equal((await sessions.ends.takeReceipt(receipt, source)).state, 'open');
    assert.equal(net.logged(2, 'session.incident').length, 3);
    assert(!store.finished.has(id));
    assert.equal(sessions.status()[0]?.waiting.for, 'approvals');
    await net.stop();
  });

  it('are not taken up for a receipt when they never were here', async () => {
    const { net, id, receipt } = await signedWhileAway();
    await net.boot(0);
    const alone = await KeyedNetwork.create(3, 2);
    await alone.boot(1);
    const { sessions, store } = alone.node(1);
    assert.deepEqual(await sessions.ends.takeReceipt(receipt, source), { requestId: id, state: 'unknown' });
    assert.deepEqual([store.jobs.size, store.finished.size, sessions.status().length], [0, 0, 0]);
    const garbage = {
      ...receipt,
      evidence: { ...receipt.evidence, request: { ...receipt.evidence.request, bytes: '*' } },
    };
    await assert.rejects(sessions.ends.takeReceipt(garbage, source), { code: 'bad_evidence' });
    await Promise.all([net.stop(), alone.stop()]);
  });

  it('stay as they are when evidence shows an end that nobody signed', async () => {
    const { net, id, full } = await signedWhileAway();
    const { sessions } = net.node(2);
    // A coordinator that calls it rejected has nothing to show but what is here already.
    assert.equal((await sessions.submit({ ...full, decisions: [] })).state, 'waiting');
    assert(sessions.ends.isOpen(id));
    await net.boot(0);
    await net.submit(full, [2]);
    await net.until(() => net.node(2).store.finished.has(id), hour, 'the signature');
    await net.stop();
  });

  it('are named in pages, each once, in order', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.boot(0);
    const made = Array.from({ length: 5 }, () => net.messageLedBy(1));
    for (const { full } of made) await net.node(0).sessions.submit({ ...full, decisions: [] });
    const { ends } = net.node(0).sessions;
    const pages: Hex[][] = [];
    for (let after: Hex | undefined, more = true; more; after = pages.at(-1)?.at(-1)) {
      const page = await ends.page(after, 2, source);
      pages.push(page.requestIds);
      more = page.more;
    }
    assert.deepEqual(
      pages.map(({ length }) => length),
      [2, 2, 1],
    );
    assert.deepEqual(pages.flat(), made.map(({ id }) => id).toSorted());
    await net.stop();
  });

  it('are asked for within what the connector may use, and keep no other waiting', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.boot(0);
    const { sessions } = net.node(0);
    const ids = Array.from({ length: 1000 }, (_, index): Hex => `0x${index.toString(16).padStart(64, '0')}`);
    const asked = Array.from({ length: 1500 }, () => sessions.ends.among(ids, source));
    await turnsOfLoop(1500);
    assert(sessions.resting > 0, 'they ask for more than a source may use at once');
    assert.deepEqual(await sessions.ends.among(ids, 'another'), []);
    await net.stop();
    assert.deepEqual((await Promise.all(asked)).flat(), []);
  });
});
