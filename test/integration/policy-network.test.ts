// Generated policies at a real coordinator and at real nodes' doors: what each makes of the same signed request and decisions is
// what a naive reading of docs/policy.md says. Payloads are real, and each key's facts are read from their bytes.
import assert from 'node:assert/strict';
import { Transaction } from '@scure/btc-signer';
import type { Evidence } from '../../protocol/authorize.ts';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import { outputKeyOf } from '../../protocol/keys/taproot.ts';
import { taprootScript } from '../../protocol/payloads/bitcoin-transaction.ts';
import { decodePayload, type Payload } from '../../protocol/payloads/payload.ts';
import { transferMessage } from '../../protocol/payloads/solana-transfer.ts';
import { keyRequestFacts, policyFacts } from '../../protocol/policy/facts.ts';
import { policySchema } from '../../protocol/policy/schema.ts';
import type { Envelope } from '../../protocol/records/envelope.ts';
import type { KeyView } from '../../protocol/rpc.ts';
import {
  type RefDecision,
  type RefItem,
  referencePositions,
  type RefFacts,
  type RefPolicy,
  type RefRule,
  type RefVerdict,
  referenceVerdict,
} from '../reference/policy.ts';
import {
  createWorld,
  hour,
  idOf,
  keyRequest,
  messagePayload,
  signRequest,
  type World,
} from '../support/fixture.ts';
import { decisionOf } from '../support/changes.ts';
import { plainVerdict } from '../support/judged-situation.ts';
import { LiedToNetwork } from '../support/lied-to-network.ts';
import { workspaceBeside } from '../support/other-workspace.ts';
import { Draw, drawPolicy, people } from '../support/policy-cases.ts';
import { type Teller, tellers } from '../support/told-lies.ts';

const seed = Number(process.env['RANDOM_SEED'] ?? Math.floor(Math.random() * 0x1_0000_0000));
const cases = 200;
const workspaces = 5;

interface HeldKey {
  readonly world: World;
  readonly policy: RefPolicy;
  /** Its own, if it has one. */
  readonly own?: RefPolicy;
  readonly view: KeyView;
}

interface Case {
  readonly world: World;
  readonly request: Envelope;
  readonly items: RefItem[];
  readonly keys: Evidence['keys'];
  readonly kind: 'key' | 'sign';
}

/** A verdict and who is missing, in one form. */
const plain = ({ verdict, missing }: Pick<RefVerdict, 'verdict' | 'missing'>): unknown =>
  plainVerdict({ verdict, missing, holds: [] });

/** False of a coordinator's answer that somebody has no say. */
function notAnApprover(error: { code?: unknown }): false {
  assert.equal(error.code, 'forbidden');
  return false;
}

/** A PSBT that spends a made-up coin of the key: one output to somebody, the rest back. */
function spend(publicKey: Hex, amount: bigint, fee: bigint): Hex {
  const script = taprootScript(outputKeyOf(fromHex(publicKey)));
  const spending = new Transaction();
  const witnessUtxo = { script, amount: 1_000_000n };
  spending.addInput({ txid: new Uint8Array(32).fill(7), index: 0, witnessUtxo });
  spending.addOutputAddress('bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4', amount);
  spending.addOutput({ script, amount: 1_000_000n - amount - fee });
  return toHex(spending.toPSBT());
}

describe(`generated policies at a real coordinator and real doors (RANDOM_SEED=${seed})`, function () {
  this.timeout(600_000);
  const draw = new Draw(seed);
  const owners = createWorld({ name: 'world', owners: people }).owners;
  let network: LiedToNetwork;
  let told: readonly Teller[];
  const keys: HeldKey[] = [];
  const counts = new Map<string, number>();
  const seen = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1);

  /** What could be known of every kind of item, for rules that are about some of them. */
  const examples: RefFacts[] = [
    { kind: 'message', understood: true, movements: [] },
    { kind: 'key.request', understood: true, movements: [] },
    ...['solana', 'bitcoin'].map((chain): RefFacts => {
      const to = [
        chain === 'solana'
          ? '9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin'
          : 'bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4',
      ];
      const kind = chain === 'solana' ? 'solana.transaction' : 'bitcoin.psbt';
      const movements = [{ chain, address: 'native', to, amount: 5000n }];
      const own = chain === 'solana' ? { programs: ['11111111111111111111111111111111'] } : { outputs: 1 };
      return { kind, chain, understood: true, movements, fee: 5000n, ...own };
    }),
  ];

  /** Without what a verifier's own clock and ledger decide: those are compared in test/unit/policy-reference.test.ts. */
  function timeless(rule: RefRule): RefRule {
    const { limit: _, delay, ttl: __, when, ...rest } = rule;
    const { hours: ___, ...conditions } = when ?? {};
    const about = Object.keys(conditions).length > 0 ? { when: conditions } : {};
    return { ...rest, ...about, ...(delay !== undefined && { delay: '2d', ttl: '7d' }) };
  }

  function policy(prefix: string): RefPolicy {
    const parts = Array.from({ length: 3 }, (_, index) => drawPolicy(draw, `${prefix}${index}`, examples, 8));
    const rules = parts.flatMap((part) => part.rules).map(timeless);
    const groups = { ops: ['alice', 'bob'], risk: ['carol', 'dave'], mixed: ['bob', 'carol'] };
    const known = JSON.parse(JSON.stringify(rules).replaceAll('"erin"', '"dave"')) as RefRule[];
    const fit = known.filter((rule) => {
      const trial = { version: 1, groups, lists: parts[0]!.lists, assets: parts[0]!.assets, rules: [rule] };
      return policySchema.safeParse(trial).success;
    });
    const makesKeys: RefRule = {
      id: 'keys',
      effect: 'allow',
      when: { kind: ['key.request'] },
      require: { k: 1, of: 'owners' },
    };
    const narrow = fit.filter(
      ({ effect, when }) => effect === 'allow' || when?.kind?.includes('key.request') === false,
    );
    return {
      version: 1,
      groups,
      lists: parts[0]!.lists!,
      assets: parts[0]!.assets!,
      rules: [...narrow, makesKeys],
    };
  }

  before(async () => {
    const world = createWorld({ owners: people, signPolicy: policySchema.parse(policy('w')) });
    network = await LiedToNetwork.start(world);
    for (let index = 0; index < workspaces; index++) {
      const ofWorkspace = policy(`w${index}-`);
      const parsed = policySchema.parse(ofWorkspace);
      const beside = workspaceBeside(network.world, owners, parsed, `workspace ${index}`);
      await network.owner('alice').call('workspace_create', { genesis: beside.genesis });
      for (const keyType of ['ed25519', 'taproot_secp256k1'] as const) {
        const own = draw.chance(40) ? policy(`k${index}-`) : undefined;
        const request = askForKey(beside, keyType, own);
        await network.owner('alice', undefined, beside).call('key_request', { request });
        const keyId = idOf(request);
        await network.final(keyId, 'fulfilled', beside);
        const view = await network.owner('alice').call('key_get', { keyId });
        keys.push({ world: beside, policy: ofWorkspace, view, ...(own && { own }) });
      }
    }
    told = await tellers(network);
  });

  after(async () => network?.stop());

  function askForKey(world: World, keyType: KeyView['keyType'], own?: RefPolicy): Envelope {
    const policy = own && policySchema.parse(own);
    return keyRequest(world, {
      keyType,
      created: Date.now(),
      ...(policy && { policy, label: 'with a policy of its own' }),
    });
  }

  function payloadFor({ view }: HeldKey, number: number): Payload {
    if (draw.chance(30)) return messagePayload(`case ${number}`);
    const amount = draw.of([1000n, 5000n, 90_000n]);
    if (view.keyType === 'ed25519') {
      const from = view.addresses[0]!.address;
      const to = draw.of([
        '9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin',
        'EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v',
      ]);
      const recentBlockhash = from;
      const message = transferMessage({ from, to, lamports: amount, recentBlockhash });
      return { kind: 'solana.transaction', message: toHex(message) } as Payload;
    }
    return { kind: 'bitcoin.psbt', psbt: spend(view.publicKey!, amount, BigInt(1000 + number)), input: 0 };
  }

  function caseOf(number: number, initiator: string): Case {
    const held = draw.of(keys);
    const { world, policy: ofWorkspace, own, view } = held;
    const level = (of: RefPolicy): RefItem['levels'][number] => ({ policy: of, owners: [...people] });
    if (draw.chance(15)) {
      const request = keyRequest(world, { initiator, created: Date.now(), label: `case ${number}` });
      const facts = keyRequestFacts as RefFacts;
      return { world, request, items: [{ levels: [level(ofWorkspace)], facts }], keys: [], kind: 'key' };
    }
    const payloads = Array.from({ length: draw.of([1, 1, 2]) }, (_, index) =>
      payloadFor(held, 10 * number + index),
    );
    const items = payloads.map((payload): RefItem => {
      const key = { keyType: view.keyType, publicKey: fromHex(view.publicKey!) };
      const facts = policyFacts(decodePayload(payload, key).facts) as RefFacts;
      return { levels: [...(own ? [level(own)] : []), level(ofWorkspace)], facts, keyId: view.keyId };
    });
    const request = signRequest(
      world,
      payloads.map((payload) => ({ keyId: view.keyId, payload })),
      { initiator, created: Date.now() },
    );
    const entry = { request: view.request, certificate: view.certificate };
    return { world, request, items, keys: [entry], kind: 'sign' };
  }

  it(`agree on ${cases} requests`, async () => {
    for (let number = 0; number < cases; number++) {
      const initiator = draw.of(people);
      const { world, request, items, keys: entries, kind } = caseOf(number, initiator);
      const requestId = idOf(request);
      const made: RefDecision[] = [];
      const expected = (): RefVerdict => {
        const now = Date.now();
        const standing = referencePositions(initiator, 'ed25519', made, now);
        return referenceVerdict({
          items,
          initiator,
          ...standing,
          requestId,
          now,
          created: now,
          firstSeen: now,
        });
      };
      const what = (): string => `case ${number} of ${seed}: ${JSON.stringify(made)}`;
      const client = network.owner(initiator, undefined, world);
      const method = kind === 'key' ? 'key_request' : 'sign_request';
      if (expected().verdict === 'denied') {
        await assert.rejects(
          async () => client.call(method, { request }),
          (error: { code?: unknown }) => error.code === 'policy_denied',
          what(),
        );
      } else {
        await client.call(method, { request });
        // The next one decides for as long as anything is open.
        for (const principal of draw.some(people, 0)) {
          if (principal === initiator || expected().verdict !== 'waiting') continue;
          const decision = draw.of(['approve', 'approve', 'approve', 'reject'] as const);
          const expires = decision === 'approve' ? { expires: Date.now() + hour } : {};
          const next = { principal, seq: 1, decision, credential: 'ed25519', ...expires };
          const before = plain(expected());
          made.push(next);
          const taken = await network
            .owner(principal, undefined, world)
            .call('action_decide', { decision: decisionOf(world, requestId, next) })
            .then(() => true, notAnApprover);
          if (taken) continue;
          // Who is no approver changes nothing.
          seen('no approver');
          assert.deepEqual(plain(expected()), before, what());
          made.pop();
        }
        const view = await client.call('sign_get', { requestId });
        const { verdict, missing } = expected();
        const state = {
          satisfied: 'pending',
          waiting: 'partial',
          rejected: 'rejected',
          over: '',
          denied: '',
        }[verdict];
        assert.equal(view.state, state, what());
        if (verdict === 'rejected') assert.equal(view.reason?.code, 'approvers', what());
        if (verdict === 'waiting') {
          assert.deepEqual(
            plain({ verdict, missing: view.missing ?? [] }),
            plain({ verdict, missing }),
            what(),
          );
        }
      }
      const { verdict } = expected();
      const evidence: Evidence = {
        log: [world.genesis],
        roster: world.keyring.envelope,
        request,
        decisions: made.map((each) => decisionOf(world, requestId, each)),
        keys: entries,
      };
      const { code, detail } = await draw.of(told).tell(requestId, evidence, AbortSignal.timeout(30_000));
      seen(`${verdict} ${code}`);
      // What can never become allowed is done at the node: with a refusal.
      const wanted = {
        satisfied: /^(authorised|started|done)( |$)(?!policy_denied)/,
        waiting: /^waiting( |$)/,
        rejected: /^approvers /,
        denied: /^done policy_denied: /,
        over: /^expired/,
      };
      assert.match(`${code} ${detail}`.trimEnd(), wanted[verdict], `${what()} ${verdict}`);
    }
    process.stdout.write(`      ${[...counts].map(([what, count]) => `${what}: ${count}`).join(', ')}\n`);
    for (const verdict of ['satisfied', 'waiting', 'rejected', 'denied'])
      assert.ok(
        [...counts.keys()].some((what) => what.startsWith(verdict)),
        `${verdict} never`,
      );
  });
});
