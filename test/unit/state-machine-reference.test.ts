// The coordinator against a second, deliberately naive writing of its state machine (test/reference/request-states.ts):
// thousands of generated sequences of commands, over memory and over a store on disk that is closed and opened again. After
// every command both must say the same of it, and of every request: state, reason, votes, signatures, events.
import assert from 'node:assert/strict';
import crypto, { type KeyObject, type PrivateKeyInput, randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { RpcError } from '../../coordinator/rpc/error.ts';
import type { StoredRequest } from '../../coordinator/state/request.ts';
import { LevelStore } from '../../coordinator/store/level.ts';
import { MemoryStore } from '../../coordinator/store/memory.ts';
import type { Store } from '../../coordinator/store/store.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { Policy } from '../../protocol/policy/schema.ts';
import type { Envelope, Signer } from '../../protocol/records/envelope.ts';
import type { PartyResult } from '../../protocol/records/party-result.ts';
import type { CoordinatorEvent } from '../../protocol/rpc.ts';
import {
  type ReferenceAnswer,
  referenceCreate,
  referenceDecide,
  type ReferenceEvent,
  type ReferenceNetwork,
  type ReferenceRequest,
  referenceResult,
  referenceStale,
  type ReferenceRule,
  referenceTime,
  referenceVotes,
} from '../reference/request-states.ts';
import { proposed, withdraw, worldNow } from '../support/changes.ts';
import { payload } from '../support/coordinated.ts';
import {
  approve,
  createWorld,
  idOf,
  keyRequest,
  reject,
  resultBy,
  signerOf,
  signRequest,
  start,
  type World,
} from '../support/fixture.ts';
import { ServiceWorld } from '../support/service-world.ts';
import { keyResultOf, makeKey, otherSignatureBy, signatureBy, type WorldKey } from '../support/world-key.ts';

const minute = 60_000;
const owners = ['alice', 'bob', 'carol', 'dave'];

interface Setting {
  readonly t: number;
  readonly n: number;
  readonly rules: { readonly sign: ReferenceRule; readonly key: ReferenceRule };
}
const anyone: ReferenceRule = { k: 1, of: owners };
const settings: readonly Setting[] = [
  { t: 2, n: 3, rules: { sign: { k: 2, of: owners }, key: anyone } },
  {
    t: 2,
    n: 2,
    rules: {
      sign: { k: 2, of: ['alice', 'bob', 'carol'], reject: { k: 1, of: ['carol', 'dave'] } },
      key: { k: 3, of: owners },
    },
  },
  { t: 2, n: 3, rules: { sign: { k: 2, of: owners, delay: 10 * minute }, key: anyone } },
  {
    t: 3,
    n: 4,
    rules: { sign: anyone, key: { k: 2, of: ['bob', 'carol'], reject: { k: 2, of: ['alice', 'dave'] } } },
  },
];

function policyOf({ rules }: Setting): Policy {
  const rule = (
    id: string,
    kind: 'message' | 'key.request',
    { k, of, reject: against, delay }: ReferenceRule,
  ) => ({
    id,
    effect: 'allow' as const,
    when: { kind: [kind] },
    require: { k, of: [...of] },
    ...(against && { reject: { k: against.k, of: [...against.of] } }),
    ...(delay !== undefined && { delay: `${delay / minute}m` }),
  });
  return {
    version: 1,
    rules: [rule('sign', 'message', rules.sign), rule('key', 'key.request', rules.key)],
  } as Policy;
}

const who = fc.constantFrom(...owners);
/** Mostly as it should be: what is wrong once in a while is wrong in the midst of what is right. */
const signedBy = fc.oneof(
  { weight: 12, arbitrary: fc.constant('own') },
  { weight: 1, arbitrary: fc.constantFrom('outsider', 'other owner') },
);
/** Which request: its number among those of the run, modulo how many there are. */
const which = fc.constantFrom(0, 0, 0, 0, 1, 2);
const create = fc.record({
  do: fc.constant('create' as const),
  kind: fc.constantFrom('sign' as const, 'sign' as const, 'key' as const, 'change' as const),
  initiator: who,
  age: fc.constantFrom(0, 0, 0, 0, 4, 6, -4, -6),
  life: fc.constantFrom(30, 60, 60, 26 * 60, 1),
  signer: signedBy,
});
const decide = fc.record({
  do: fc.constant('decide' as const),
  which,
  principal: who,
  decision: fc.constantFrom(
    'approve' as const,
    'approve' as const,
    'approve' as const,
    'approve' as const,
    'reject' as const,
    'withdraw' as const,
  ),
  seq: fc.integer({ min: 1, max: 4 }),
  life: fc.constantFrom(5, 20, 90, 90, 90, 0),
  signer: signedBy,
});
const result = fc.record({
  do: fc.constant('result' as const),
  which,
  party: fc.nat(3),
  kind: fc.oneof(
    { weight: 8, arbitrary: fc.constant('right') },
    {
      weight: 5,
      arbitrary: fc.constantFrom('other', 'refusal', 'refusal', 'other refusal', 'of the other kind'),
    },
  ),
  fault: fc.oneof(
    { weight: 12, arbitrary: fc.constant('none') },
    { weight: 3, arbitrary: fc.constantFrom('outsider', 'epoch', 'forged', 'invalid') },
  ),
});
const time = fc.record({
  do: fc.constant('time' as const),
  minutes: fc.constantFrom(1, 6, 25, 61),
  sweep: fc.boolean(),
});
/** A change with the approvals that it takes: by itself chance would hardly ever bring them together. */
const change = fc.record({
  do: fc.constant('change' as const),
  initiator: fc.nat(3),
  approvals: fc.constantFrom(1, 2, 2, 3),
});
const again = fc.record({ do: fc.constant('again' as const), back: fc.nat(3) });
const restart = fc.record({ do: fc.constant('restart' as const) });
const command = fc.oneof(
  { weight: 2, arbitrary: create },
  { weight: 6, arbitrary: decide },
  { weight: 10, arbitrary: result },
  { weight: 2, arbitrary: time },
  { weight: 1, arbitrary: change },
  { weight: 1, arbitrary: again },
  { weight: 1, arbitrary: restart },
);
type Command = typeof command extends fc.Arbitrary<infer Value> ? Value : never;
/** A request with the record that made it, on both sides. */
interface Pair {
  readonly id: Hex;
  readonly reference: ReferenceRequest;
  /** As it was when it was made. */
  readonly world: World;
  ended?: string;
}

const mallory = signerOf('mallory');

/** Both machines, side by side. Runs follow one another on one store: each makes requests of its own. */
class Twins {
  readonly setting: Setting;
  readonly network: ReferenceNetwork;
  world: World;
  at!: ServiceWorld;
  key!: WorldKey;
  #pairs: Pair[] = [];
  #sent: (() => Promise<void>)[] = [];
  #cursor = 0;
  readonly #reopen: () => Promise<Store>;
  readonly counts: Record<string, number> = {};

  constructor(setting: Setting, reopen: () => Promise<Store>) {
    this.setting = setting;
    const { t, n, rules } = setting;
    this.world = createWorld({
      name: `twins ${t}/${n} ${rules.sign.delay ?? 0}`,
      threshold: t,
      parties: n,
      owners,
      signPolicy: policyOf(setting),
    });
    const parties = this.world.parties.map((party) => party.credential);
    this.network = {
      owners,
      parties,
      threshold: t,
      // A majority of four, as a workspace's admin policy is unless it says otherwise.
      rules: structuredClone({ ...rules, change: { k: 3, of: owners } }) as ReferenceNetwork['rules'],
      head: 0,
    };
    this.#reopen = reopen;
  }

  async open(): Promise<void> {
    const now = this.at?.now ?? start;
    await this.at?.service.stop();
    this.at = new ServiceWorld(this.world, await this.#reopen());
    this.at.now = now;
  }

  async begin(): Promise<void> {
    await this.open();
    await this.at.register();
    const request = keyRequest(this.world, { label: 'treasury' });
    await this.at.call('key_request', { request });
    for (const owner of owners.slice(1)) {
      await this.at
        .call('action_decide', { decision: approve(this.world, idOf(request), owner) })
        .catch(() => undefined);
    }
    const made = keyResultOf(this.setting.t, 'twins');
    const certificate = this.world.parties.map((party) => resultBy(this.world, party, idOf(request), made));
    for (const [index, each] of certificate.entries()) await this.at.submit(index, each);
    this.key = makeKey(this.world, 'twins', request);
    assert.equal((await this.at.call('key_get', { keyId: this.key.id }, this.at.owner())).state, 'fulfilled');
  }

  async run(commands: readonly Command[]): Promise<void> {
    this.#pairs = [];
    this.#sent = [];
    this.#cursor = await this.at.store.last(this.#stream);
    // A request to begin with, so that there is something to decide.
    const kind = commands.length % 3 === 0 ? 'key' : 'sign';
    const first: Command = { do: 'create', kind, initiator: 'alice', age: 0, life: 60, signer: 'own' };
    for (const each of [first, ...commands]) {
      await this.#do(each);
      await this.#compare();
    }
    for (const pair of this.#pairs) await this.#compareView(pair);
  }

  async #do(each: Command): Promise<void> {
    this.counts[each.do] = (this.counts[each.do] ?? 0) + 1;
    switch (each.do) {
      case 'create':
        return await this.#create(each);
      case 'decide':
        return await this.#decide(each);
      case 'result':
        return await this.#result(each);
      case 'time':
        this.at.now += each.minutes * minute;
        for (const { reference } of this.#pairs) referenceTime(this.network, reference, this.at.now);
        // Without the sweep whoever looks at a request ends it.
        if (each.sweep) await this.at.service.sweep();
        return;
      case 'change':
        return await this.#change(each);
      case 'again':
        return await this.#sent.at(-1 - each.back)?.();
      case 'restart':
        return await this.open();
    }
  }

  /** Sends to both sides, and again later when told so. */
  async #send(real: () => Promise<unknown>, reference: () => ReferenceAnswer): Promise<void> {
    const both = async (): Promise<void> => {
      const { wrong } = reference();
      for (const pair of this.#pairs) referenceStale(this.network, pair.reference);
      let code = 'accepted';
      try {
        await real();
      } catch (error) {
        assert.ok(error instanceof RpcError, String(error));
        code = error.name;
      }
      this.counts[code] = (this.counts[code] ?? 0) + 1;
      if (wrong.length === 0) assert.equal(code, 'accepted');
      else assert.ok(wrong.includes(code), `${code}: the reference says ${wrong.join(' or ')}`);
      if (this.network.head !== this.world.workspace.head.seq)
        this.world = await worldNow(this.at, this.world);
      assert.equal(this.network.head, this.world.workspace.head.seq);
    };
    this.#sent.push(both);
    await both();
  }

  #signer(kind: string, principal: string): Signer {
    if (kind === 'own') return this.world.owners[principal]!;
    if (kind === 'outsider') return mallory;
    return this.world.owners[owners[(owners.indexOf(principal) + 1) % owners.length]!]!;
  }

  async #create({ kind, initiator, age, life, signer }: Extract<Command, { do: 'create' }>): Promise<void> {
    const created = this.at.now - age * minute;
    const expires = created + life * minute;
    const options = { initiator, created, expires, signer: this.#signer(signer, initiator) };
    const { world } = this;
    const request = {
      key: () => keyRequest(world, options),
      sign: () => signRequest(world, [{ keyId: this.key.id, payload }], options),
      // The key's policy becomes what the workspace's is: the change changes nothing else.
      change: () =>
        proposed(world, { kind: 'policy.key', keyId: this.key.id, policy: policyOf(this.setting) }, options),
    }[kind]();
    const id = idOf(request);
    const head = this.network.head;
    await this.#send(
      async () => {
        if (kind === 'change') await this.at.call('workspace_propose', { change: request });
        else await this.at.call(`${kind}_request`, { request });
      },
      () => {
        // The same record again changes nothing.
        if (this.#pairs.some((pair) => pair.id === id)) return { wrong: [] };
        const told = referenceCreate(
          this.network,
          { kind, initiator, head, created, expires, signed: signer === 'own' },
          this.at.now,
        );
        if (told.request) this.#pairs.push({ id, reference: told.request, world });
        return told;
      },
    );
  }

  async #change({ initiator, approvals }: Extract<Command, { do: 'change' }>): Promise<void> {
    const [own, ...others] = owners.map((_, index) => owners[(initiator + index) % owners.length]!);
    const life = 60;
    await this.#create({ do: 'create', kind: 'change', initiator: own!, age: 0, life, signer: 'own' });
    const made = this.#pairs.length - 1;
    for (const principal of others.slice(0, approvals))
      await this.#decide({
        do: 'decide',
        which: made,
        principal,
        decision: 'approve',
        seq: 1,
        life,
        signer: 'own',
      });
  }

  #pair(index: number): Pair | undefined {
    return this.#pairs[index % Math.max(1, this.#pairs.length)];
  }

  async #decide({
    which: index,
    principal,
    decision,
    seq,
    life,
    signer,
  }: Omit<Extract<Command, { do: 'decide' }>, 'which' | 'life'> & {
    readonly which: number;
    readonly life: number;
  }): Promise<void> {
    const pair = this.#pair(index);
    if (pair === undefined) return;
    const expires = this.at.now + life * minute;
    const options = { seq, expires, signer: this.#signer(signer, principal) };
    // Mostly made at the head at which it was asked for.
    const world = seq === 4 ? this.world : pair.world;
    const head = world.workspace.head.seq;
    const record = { approve, reject, withdraw }[decision](world, pair.id, principal, options);
    await this.#send(
      () => this.at.call('action_decide', { decision: record }),
      () =>
        referenceDecide(
          this.network,
          pair.reference,
          { principal, decision, seq, expires, head, signed: signer === 'own' },
          this.at.now,
        ),
    );
  }

  async #result({
    which: index,
    party: number,
    kind,
    fault,
  }: Extract<Command, { do: 'result' }>): Promise<void> {
    const pair = this.#pair(index);
    if (pair === undefined || pair.reference.kind === 'change') return;
    const partyIndex = number % this.setting.n;
    const party = this.world.parties[partyIndex]!;
    const content = this.#content(kind, pair.reference.kind, fault === 'invalid');
    const isRefusal = content.kind === 'refusal';
    const { keyring } = this.world;
    const elsewhere = { ...this.world, keyring: { ...keyring, epoch: { roster: 1, run: 1 } } };
    const envelopes: Record<string, () => Envelope> = {
      outsider: () => resultBy(this.world, mallory, pair.id, content),
      epoch: () => resultBy(elsewhere, party, pair.id, content),
      forged: () => {
        const right = resultBy(this.world, party, pair.id, content);
        const wrong = resultBy(this.world, party, this.key.id, content);
        return { ...right, signatures: wrong.signatures };
      },
    };
    const envelope = (envelopes[fault] ?? (() => resultBy(this.world, party, pair.id, content)))();
    const caller = this.at.connector(partyIndex);
    const outsider = { ...caller, grant: { ...caller.grant!, party: mallory.credential } };
    const faults: Record<string, string> = { epoch: 'invalid_params', forged: 'bad_signature' };
    const invalid =
      fault === 'invalid' && !isRefusal && (content.kind === 'key') === (pair.reference.kind === 'key');
    const wrong = faults[fault] ?? (invalid ? 'bad_signature' : undefined);
    await this.#send(
      () =>
        this.at.call(
          'connector_submitResult',
          { result: envelope },
          fault === 'outsider' ? outsider : caller,
        ),
      () =>
        referenceResult(this.network, pair.reference, {
          party: fault === 'outsider' ? mallory.credential : party.credential,
          result: { kind: content.kind, value: JSON.stringify(content) },
          ...(wrong !== undefined && { fault: wrong }),
        }),
    );
  }

  readonly #contents = new Map<string, PartyResult['result']>();

  /** What a party says: made once, because it is the same each time. */
  #content(kind: string, wanted: 'sign' | 'key', invalid: boolean): PartyResult['result'] {
    const name = `${kind} ${wanted} ${invalid}`;
    const content = this.#contents.get(name) ?? this.#newContent(kind, wanted, invalid);
    this.#contents.set(name, content);
    return content;
  }

  #newContent(kind: string, wanted: 'sign' | 'key', invalid: boolean): PartyResult['result'] {
    if (kind === 'refusal' || kind === 'other refusal') {
      return { kind: 'refusal', code: 'not_authorised', reason: kind };
    }
    const asKey = (wanted === 'key') !== (kind === 'of the other kind');
    if (asKey) {
      const key = keyResultOf(this.setting.t, kind === 'other' ? 'another' : 'new');
      return invalid ? { ...key, commitments: key.commitments.toReversed() } : key;
    }
    const signature = kind === 'other' ? otherSignatureBy(this.key, payload) : signatureBy(this.key, payload);
    return { kind: 'signatures', signatures: [invalid ? `0x${'11'.repeat(64)}` : signature] };
  }

  /** Everything that is stored and was told of the run's requests. */
  async #compare(): Promise<void> {
    for (const { id, reference } of this.#pairs) {
      const stored = await this.#stored(id);
      // Nobody has looked at it since its time was over, or its workspace changed.
      if (reference.state === stored.state) continue;
      if (reference.kind === 'change') await this.at.call('change_get', { changeId: id }, this.at.owner());
      else await this.at.call('sign_get', { requestId: id }, this.at.owner());
    }
    const events = (await this.at.store.read(this.#stream, this.#cursor, 1000)).map(
      ({ event }) => event as unknown as CoordinatorEvent,
    );
    for (const pair of this.#pairs) {
      const { id, reference } = pair;
      const stored = await this.#stored(id);
      const { state, reason, decisions, signatures, pinned } = stored;
      const results = reference.kind === 'change' ? [] : stored.results;
      assert.equal(state, reference.state);
      assert.equal(reason?.code, reference.reason);
      assert.equal(decisions.length, reference.decisions.length);
      assert.equal(results.length, reference.results.length);
      assert.equal(pinned !== undefined, reference.wasPending);
      const published =
        reference.published === undefined
          ? undefined
          : (JSON.parse(reference.published) as { signatures: Hex[] }).signatures;
      assert.deepEqual(signatures, published);
      assert.deepEqual(events.filter((event) => subjectOf(event) === id).map(told), reference.events);
      this.#checkInvariants(pair, stored);
    }
  }

  #checkInvariants(pair: Pair, stored: StoredRequest): void {
    const { reference } = pair;
    const { t, n } = this.setting;
    const parties = reference.results.map((each) => each.party);
    assert.equal(new Set(parties).size, parties.length, 'a party counts once');
    const { have } = referenceVotes(this.network, reference);
    if (reference.kind === 'change') return;
    if (stored.state === 'fulfilled') assert.ok(have >= (stored.kind === 'key' ? n : t));
    if (stored.state === 'partial') assert.equal(stored.results.length, 0);
    const ended = JSON.stringify([stored.state, stored.reason, stored.signatures]);
    if (pair.ended !== undefined) assert.equal(ended, pair.ended, 'what is final stays as it is');
    if (stored.state === 'fulfilled' || stored.state === 'rejected') pair.ended = ended;
  }

  async #stored(id: Hex): Promise<StoredRequest> {
    const found = (await this.at.store.get(`request/${id}`)) ?? (await this.at.store.get(`change/${id}`));
    return found?.value as unknown as StoredRequest;
  }

  get #stream(): string {
    return `workspaces/${this.world.workspace.id}`;
  }

  /** What an owner is shown. */
  async #compareView({ id, reference }: Pair): Promise<void> {
    const name = `${reference.kind} ${reference.state} ${reference.reason ?? ''}`.trim();
    this.counts[name] = (this.counts[name] ?? 0) + 1;
    if (reference.kind === 'change') {
      const { view: change } = await this.at.call('change_get', { changeId: id }, this.at.owner());
      assert.deepEqual([change.state, change.reason?.code], [reference.state, reference.reason]);
      return;
    }
    const view = await this.at.call('sign_get', { requestId: id }, this.at.owner());
    assert.equal(view.state, reference.state);
    assert.deepEqual(view.votes, referenceVotes(this.network, reference));
    assert.equal(
      view.mayHaveBeenSigned,
      reference.kind === 'sign' && reference.wasPending && reference.state === 'rejected',
    );
    assert.equal(view.signatures !== undefined, reference.kind === 'sign' && reference.state === 'fulfilled');
  }
}

/** What an event is about. */
function subjectOf(event: CoordinatorEvent): Hex | undefined {
  if ('requestId' in event) return event.requestId;
  return 'changeId' in event ? event.changeId : undefined;
}

function told(event: CoordinatorEvent): ReferenceEvent {
  switch (event.type) {
    case 'change.state':
    case 'request.state':
      return { what: 'state', state: event.state, ...(event.reason && { reason: event.reason.code }) };
    case 'change.decision':
    case 'request.decision':
      return { what: 'decision', principal: event.principal, decision: event.decision };
    case 'request.result': {
      const { party, result: kind, votes } = event;
      return { what: 'result', party, kind, have: votes.have, refused: votes.refused };
    }
    case 'workspace.head':
      throw new TypeError('it is about no request and no change');
  }
}

describe('state machine, against a second writing of it', function () {
  this.timeout(600_000);

  // The same question has the same answer: roster, log and certificate are verified again with every command, and asking
  // anew each time would make ten times fewer sequences. Verification itself has tests of its own.
  const { verify, createPrivateKey } = crypto;
  before(() => {
    const answers = new Map<string, boolean>();
    const remembering = (...[algorithm, data, key, signature]: Parameters<typeof verify>): boolean => {
      const parsed = (key as KeyObject).export({ format: 'jwk' }).x;
      const question = `${parsed} ${Buffer.from(data as Uint8Array).toString('latin1')} ${Buffer.from(signature as Uint8Array).toString('latin1')}`;
      const answer = answers.get(question) ?? verify(algorithm, data, key, signature);
      answers.set(question, answer);
      return answer;
    };
    const keys = new Map<string, KeyObject>();
    const remembered = (...[input]: Parameters<typeof createPrivateKey>): KeyObject => {
      const name = Buffer.from((input as PrivateKeyInput).key).toString('latin1');
      const key = keys.get(name) ?? createPrivateKey(input);
      keys.set(name, key);
      return key;
    };
    Object.assign(crypto, { verify: remembering, createPrivateKey: remembered });
    syncBuiltinESMExports();
  });
  after(() => {
    Object.assign(crypto, { verify, createPrivateKey });
    syncBuiltinESMExports();
  });
  const seed = Number(process.env.RANDOM_SEED ?? randomInt(2 ** 31));
  const runs = Number(process.env.STATE_RUNS ?? 800);

  async function compare(setting: Setting, numRuns: number, reopen: () => Promise<Store>): Promise<void> {
    const twins = new Twins(setting, reopen);
    await twins.begin();
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(command, { maxLength: 14, size: 'max' }), (commands) =>
          twins.run(commands),
        ),
        { numRuns, seed, endOnFailure: false },
      );
    } finally {
      await twins.at.service.stop();
    }
    process.stdout.write(`      RANDOM_SEED=${seed}, ${numRuns} runs: ${JSON.stringify(twins.counts)}\n`);
  }

  for (const setting of settings) {
    const delayed = setting.rules.sign.delay === undefined ? '' : ', delayed';
    const name = `${setting.t} of ${setting.n}${delayed}`;
    it(`is the same over memory, ${name}`, async () => {
      const store = new MemoryStore();
      await compare(setting, Math.ceil(runs / settings.length), async () => store);
      await store.close();
    });
  }

  it('is the same over a store on disk that is closed and opened again', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-twins-'));
    let store: LevelStore | undefined;
    try {
      await compare(settings[0]!, Math.ceil(runs / 10), async () => {
        await store?.close();
        store = await LevelStore.open({ folder });
        return store;
      });
    } finally {
      await store?.close();
      await rm(folder, { recursive: true, force: true });
    }
  });
});
