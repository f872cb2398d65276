// Generated policies in processes of the build: what the coordinator, and a node asked at its door, make of the same signed
// request and decisions is what a naive reading of docs/policy.md says. Payloads are real, and each key's facts are read from
// their bytes. Some of the requests are signed, and count in the limits of those after them.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { type Client, createClient } from '../../client/rpc-client.ts';
import type { Evidence } from '../../protocol/authorize.ts';
import { fromHex, type Hex } from '../../protocol/hex.ts';
import { decodePayload } from '../../protocol/payloads/payload.ts';
import { keyRequestFacts, policyFacts } from '../../protocol/policy/facts.ts';
import { policySchema } from '../../protocol/policy/schema.ts';
import type { Envelope } from '../../protocol/records/envelope.ts';
import { openKeyring } from '../../protocol/records/keyring-roster.ts';
import type { KeyView } from '../../protocol/rpc.ts';
import {
  debitsOf,
  type RefDecision,
  type RefItem,
  referencePositions,
  type RefFacts,
  type RefPolicy,
  type RefSituation,
  type RefVerdict,
  referenceVerdict,
} from '../reference/policy.ts';
import { decisionOf } from '../support/changes.ts';
import {
  createWorld,
  evidence,
  hour,
  idOf,
  keyRequest,
  networkId,
  signRequest,
  type World,
} from '../support/fixture.ts';
import { plainVerdict } from '../support/judged-situation.ts';
import { LocalNetwork } from '../support/local-network.ts';
import { workspaceBeside } from '../support/other-workspace.ts';
import { OwnDoor } from '../support/own-door.ts';
import { Draw, people } from '../support/policy-cases.ts';
import { drawPayload, drawRealPolicy } from '../support/real-policy-cases.ts';
import { until } from '../support/until.ts';

const seed = Number(process.env['RANDOM_SEED'] ?? Math.floor(Math.random() * 0x1_0000_0000));
/** In a workspace whose requests are signed, and in others while two parties of three are away. */
const signedCases = 40;
const otherCases = 160;
/** How many more are drawn until all that is to be seen was: by far more than it takes. */
const furtherCases = 400;
const keyTypes = ['ed25519', 'taproot_secp256k1', 'ecdsa_secp256k1'] as const;
const minute = 60_000;
const verdicts = ['satisfied', 'waiting', 'rejected', 'denied', 'over'];
const held = ['delay', 'hours', 'limit'].map((hold) => `held by ${hold}`);

interface Tried {
  readonly world: World;
  readonly policy: RefPolicy;
  readonly areOld: boolean;
  readonly keys: HeldKey[];
  /** What left by requests that were signed, as the node knows it, and by those that are pending, as the coordinator does. */
  readonly spent: Ledger;
  readonly promised: Ledger;
}

type Ledger = NonNullable<RefSituation['ledger']>['entries'];

interface HeldKey {
  /** Its own policy, if it has one. */
  readonly own?: RefPolicy;
  readonly view: KeyView;
}

interface Case {
  readonly request: Envelope;
  readonly created: number;
  readonly items: RefItem[];
  readonly keys: Evidence['keys'];
  readonly kind: 'key' | 'sign';
}

const level = (policy: RefPolicy): RefItem['levels'][number] => ({ policy, owners: [...people] });

/** Rules that a node names as waiting, with how many approvals each has of how many, or without. */
function namedIn(detail: string): string[] {
  const named = detail.split('; ').flatMap((words) => {
    const [, rule, have, need] = /^rule (\S+) has (\d+) of (\d+) approvals/.exec(words) ?? [];
    const [, held] = /^rule ([^ :]+): /.exec(words) ?? [];
    return rule !== undefined ? [`${rule} ${have}/${need}`] : held !== undefined ? [held] : [];
  });
  return [...new Set(named)].toSorted();
}

const namedBy = ({ missing, holds }: RefVerdict): string[] => {
  const wanted = missing.map(({ rule, need, have }) => `${rule} ${have.length}/${need}`);
  return [...new Set([...wanted, ...holds.map(({ rule }) => rule)])].toSorted();
};

/** False of a coordinator's answer that somebody has no say. */
function notAnApprover(error: { code?: unknown }): false {
  assert.equal(error.code, 'forbidden');
  return false;
}

describe(`generated policies in processes (RANDOM_SEED=${seed})`, function () {
  this.timeout(900_000);
  const draw = new Draw(seed);
  const { owners } = createWorld({ name: 'world', owners: people });
  let net: LocalNetwork;
  let door: OwnDoor;
  let tight: Tried;
  let others: Tried[];
  const counts = new Map<string, number>();
  const seen = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1);

  const clientOf = (name: string): Client =>
    createClient({ url: net.network.coordinator, networkId, signer: owners[name]! });

  before(async () => {
    net = await LocalNetwork.start(3, 2, { networkId, settings: { presignatures: 0, workers: 1 } });
    const roster = JSON.parse(await readFile(net.layout.signedRoster, 'utf8')) as Envelope;
    const base: World = { ...createWorld({ owners: people }), keyring: openKeyring(roster, networkId) };
    tight = await workspace(base, 'tight', { isTight: true });
    others = [
      await workspace(base, 'other'),
      await workspace(base, 'another'),
      await workspace(base, 'old', { areOld: true }),
    ];
    await Promise.all([tight, ...others].map(makeKeys));
    await net.pairsReady();
    door = await OwnDoor.open(net, 'node-1');
    // From now on the node hears of requests at the test's door, or from the other nodes.
    for (const { connector } of net.layout.parties) await net.kill(connector);
  });

  after(async () => {
    await door?.stop();
    await net?.stop();
  });

  async function workspace(
    base: World,
    name: string,
    options: { readonly areOld?: boolean; readonly isTight?: boolean } = {},
  ): Promise<Tried> {
    const policy = drawRealPolicy(draw, `${name}-`, { now: Date.now(), ...options });
    const world = workspaceBeside(base, owners, policySchema.parse(policy), name);
    await clientOf('alice').call('workspace_create', { genesis: world.genesis });
    return { world, policy, areOld: options.areOld ?? false, keys: [], spent: [], promised: [] };
  }

  /** One of each type, some with a policy of their own. */
  async function makeKeys(tried: Tried): Promise<void> {
    const { world, areOld, keys } = tried;
    const client = clientOf('alice');
    const asked = keyTypes.map((keyType) => {
      const own =
        tried !== tight && draw.chance(35)
          ? drawRealPolicy(draw, `${keyType.slice(0, 2)}-`, { now: Date.now(), areOld })
          : undefined;
      const more = own && { policy: policySchema.parse(own), label: 'with a policy of its own' };
      return { own, request: keyRequest(world, { keyType, created: Date.now(), ...more }) };
    });
    for (const { own, request } of asked) {
      await client.call('key_request', { request });
      const isMade = async (): Promise<boolean> =>
        (await client.call('sign_wait', { requestId: idOf(request), timeoutMs: 5000 })).state === 'fulfilled';
      await until(isMade, `key ${idOf(request)}`, 120_000);
      const view = await client.call('key_get', { keyId: idOf(request) });
      keys.push({ view, ...(own && { own }) });
    }
  }

  function caseOf({ world, policy, areOld, keys }: Tried, number: number, initiator: string): Case {
    const created = Date.now() - (areOld ? 2 * minute : 0);
    if (draw.chance(10)) {
      const request = keyRequest(world, { initiator, created, label: `case ${number}` });
      const items = [{ levels: [level(policy)], facts: keyRequestFacts as RefFacts }];
      return { request, created, items, keys: [], kind: 'key' };
    }
    const { own, view } = draw.of(keys);
    const payloads = Array.from({ length: draw.of([1, 1, 2]) }, (_, index) =>
      drawPayload(draw, view, 10 * number + index),
    );
    const items = payloads.map((payload): RefItem => {
      const key = { keyType: view.keyType, publicKey: fromHex(view.publicKey!) };
      const facts = policyFacts(decodePayload(payload, key).facts) as RefFacts;
      return { levels: [...(own ? [level(own)] : []), level(policy)], facts, keyId: view.keyId };
    });
    const asked = payloads.map((payload) => ({ keyId: view.keyId, payload }));
    const request = signRequest(world, asked, { initiator, created });
    const entry = { request: view.request, certificate: view.certificate };
    return { request, created, items, keys: [entry], kind: 'sign' };
  }

  /** Until the node has the signatures: then it has counted what they move. */
  async function untilSigned(full: Evidence, requestId: Hex): Promise<void> {
    let last = '';
    const isDone = async (): Promise<boolean> => {
      const { code, detail } = await door.deliver(full);
      last = `${code} ${detail}`;
      return code === 'done';
    };
    await until(isDone, () => `${requestId} signed: ${last}`, 60_000);
  }

  async function tryOne(tried: Tried, number: number, isSigned: boolean): Promise<void> {
    const { world, promised, spent } = tried;
    const initiator = draw.of(people);
    const { request, created, items, keys, kind } = caseOf(tried, number, initiator);
    const requestId = idOf(request);
    const made: RefDecision[] = [];
    /** For whom it counts what left. */
    const expected = (entries: Ledger, tell?: typeof seen): RefVerdict => {
      const now = Date.now();
      const standing = referencePositions(initiator, 'ed25519', made, now);
      const moment = { requestId, now, created, firstSeen: now, ledger: { entries } };
      return referenceVerdict({ items, initiator, ...standing, ...moment }, tell);
    };
    const debits = items.flatMap(debitsOf).map((debit) => ({ ...debit, requestId, at: Date.now() }));
    const what = (): string => `case ${number} of ${seed}: ${JSON.stringify(made)}`;
    const client = clientOf(initiator);
    const method = kind === 'key' ? 'key_request' : 'sign_request';
    const first = expected(promised).verdict;
    if (first === 'denied' || first === 'over' || first === 'rejected') {
      // Some can never have the approvals that a rule wants: nobody but the initiator may give one of them.
      const code = { denied: 'policy_denied', over: 'expired', rejected: 'wrong_state' }[first];
      await assert.rejects(
        async () => client.call(method, { request }),
        (error: { code?: unknown }) => error.code === code,
        what(),
      );
    } else {
      await client.call(method, { request });
      // The next one decides for as long as anything is open.
      for (const principal of draw.some(people, 0)) {
        if (principal === initiator || expected(promised).verdict !== 'waiting') continue;
        const decision = draw.of(['approve', 'approve', 'approve', 'reject'] as const);
        const expires = decision === 'approve' ? { expires: Date.now() + hour } : {};
        const next = { principal, seq: 1, decision, credential: 'ed25519', ...expires };
        const before = plainVerdict(expected(promised));
        made.push(next);
        const taken = await clientOf(principal)
          .call('action_decide', { decision: decisionOf(world, requestId, next) })
          .then(() => true, notAnApprover);
        if (taken) continue;
        // Who is no approver changes nothing.
        seen('no approver');
        assert.deepEqual(plainVerdict(expected(promised)), before, what());
        made.pop();
      }
      const view = await client.call('sign_get', { requestId });
      const verdict = expected(promised);
      const state = { satisfied: 'pending', waiting: 'partial', rejected: 'rejected', over: '', denied: '' };
      assert.equal(view.state, state[verdict.verdict], what());
      if (verdict.verdict === 'rejected') assert.equal(view.reason?.code, 'approvers', what());
      if (verdict.verdict === 'waiting') {
        const { missing = [], holds = [] } = view;
        const told = { verdict: 'waiting', missing: [...missing], holds } as RefVerdict;
        assert.deepEqual(plainVerdict(told), plainVerdict(verdict), what());
      }
      if (verdict.verdict === 'satisfied') promised.push(...debits);
    }
    const full = (await door.evidence(requestId)) ?? evidence(world, request, { keys });
    assert.equal(full.decisions.length, made.length, what());
    const own = expected(spent, seen);
    const { code, detail } = await door.deliver(full);
    const outcome = `${code} ${detail}`.trimEnd();
    // What can never become allowed is done at the node: with a refusal.
    const wanted = {
      satisfied: /^authorised$/,
      waiting: /^waiting( |$)/,
      rejected: /^approvers /,
      denied: /^done policy_denied: /,
      over: /^done expired: /,
    };
    assert.match(outcome, wanted[own.verdict], `${what()} ${own.verdict}, not ${outcome}`);
    if (own.verdict === 'waiting') assert.deepEqual(namedIn(detail), namedBy(own), `${what()} ${detail}`);
    for (const { facts } of items) seen(`${facts.kind} ${own.verdict}`);
    seen(own.verdict);
    if (!isSigned || own.verdict !== 'satisfied') return;
    await untilSigned(full, requestId);
    spent.push(...debits);
  }

  /** So many of them, and more until each of these was seen. */
  async function tryMany(least: number, seenFor: readonly string[], one: () => Promise<void>): Promise<void> {
    const isSeen = (): boolean => seenFor.every((what) => counts.has(what));
    for (let tried = 0; tried < least || (!isSeen() && tried < least + furtherCases); tried++) await one();
  }

  let number = 0;

  it(`agree on ${signedCases} requests of which those that may be are signed`, async () => {
    await tryMany(signedCases, ['held by limit'], async () => tryOne(tight, number++, true));
  });

  it(`agree on ${otherCases} requests that nobody signs`, async () => {
    // One party alone starts nothing, so that nothing leaves.
    for (const name of ['node-2', 'node-3']) await net.kill(name);
    await tryMany(otherCases, [...verdicts, ...held], async () => tryOne(draw.of(others), number++, false));
  });

  it('have seen every verdict, all that can hold a rule, and every chain', () => {
    const told = [...counts].map(([what, count]) => `${what}: ${count}`).toSorted();
    process.stdout.write(`      ${told.join(', ')}\n`);
    assert.deepEqual(
      [...verdicts, ...held].filter((what) => !counts.has(what)),
      [],
    );
    for (const kind of ['evm.transaction', 'solana.transaction', 'bitcoin.psbt']) {
      const cases = [...counts].flatMap(([what, count]) => (what.startsWith(`${kind} `) ? [count] : []));
      assert.ok(cases.reduce((sum, count) => sum + count, 0) >= 10, kind);
    }
  });
});
