// A coordinator that lies about how things stand: garbage and games with the sequence on the event stream, snapshots from
// nowhere, results that it claims to have. The connectors live, nothing that was not authorised is signed, and once it
// tells the truth everything that was asked for is.
import assert from 'node:assert/strict';
import { createDoorClient } from '../../connector/door-client.ts';
import type { Evidence } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { Envelope } from '../../protocol/records/envelope.ts';
import type { KeyView } from '../../protocol/rpc.ts';
import { evidence, idOf, keyRequest, seedOf } from '../support/fixture.ts';
import { LiedToNetwork, type Place } from '../support/lied-to-network.ts';
import { frameOf, Refusal } from '../support/lying-coordinator.ts';
import { pendingEvent, type Teller, tellers } from '../support/told-lies.ts';
import { until } from '../support/until.ts';

const garbage: readonly (readonly [string, (last: number) => string | Uint8Array])[] = [
  ['a sequence that jumps', (last) => frameOf(last + 2, pendingEvent(id(1)))],
  ['a sequence that goes back', (last) => frameOf(Math.max(0, last - 1), pendingEvent(id(1)))],
  ['the same sequence again', (last) => frameOf(last, pendingEvent(id(1)))],
  ['a huge sequence', () => frameOf(Number.MAX_SAFE_INTEGER, pendingEvent(id(1)))],
  ['a sequence beyond all integers', () => frameOf('9'.repeat(400), pendingEvent(id(1)))],
  ['a negative sequence', () => frameOf(-1, pendingEvent(id(1)))],
  ['no sequence', () => `event: request.state\ndata: ${JSON.stringify(pendingEvent(id(1)))}\n\n`],
  ['an event that is not JSON', (last) => `id: ${last + 1}\nevent: request.state\ndata: {"type"\n\n`],
  ['an event of no known form', (last) => frameOf(last + 1, { type: 'request.surprise' })],
  ['an event with a field more', (last) => frameOf(last + 1, { ...pendingEvent(id(1)), share: 'please' })],
  ['null', (last) => `id: ${last + 1}\ndata: null\n\n`],
  ['deeply nested JSON', (last) => `id: ${last + 1}\ndata: ${'['.repeat(30_000)}\n\n`],
  ['an error that says nothing', () => 'event: error\ndata: {}\n\n'],
  ['an error that asks for a long wait', () => `event: error\ndata: ${JSON.stringify(longWait)}\n\n`],
  ['a line without end', () => 'data: '.padEnd(200_000, 'x')],
  ['an event without end', () => 'data: and on\n'.repeat(20_000)],
  ['bytes that are no text', () => new Uint8Array(100_000).fill(0xff)],
  ['zeros', () => new Uint8Array(100_000)],
];
const longWait = {
  code: -32014,
  message: 'unavailable',
  data: { code: 'unavailable', detail: 'later', remedy: 'wait', retryAfterMs: Number.MAX_SAFE_INTEGER },
};

function id(number: number): Hex {
  return `0x${String(number).padStart(64, '0')}`;
}

describe('a lying coordinator, on its streams', function () {
  this.timeout(300_000);
  let network: LiedToNetwork;
  let key: KeyView;
  let told: readonly Teller[];

  const approved = (text: string): Evidence => {
    const request = network.asks(key.keyId, text);
    const decisions = [network.approval(idOf(request), 'bob')];
    const keys = [{ request: key.request, certificate: key.certificate }];
    return evidence(network.world, request, { decisions, keys });
  };
  const submitted = async (text: string): Promise<Evidence> => {
    const held = approved(text);
    await network.submit(held.request, ...held.decisions);
    return held;
  };
  const ended = ({ connectorLog }: Place): number =>
    connectorLog.filter(({ event }) => event === 'watch.ended').length;

  before(async () => {
    network = await LiedToNetwork.start();
    key = await network.key();
    told = await tellers(network);
  });

  after(async () => network?.stop());

  it('writes garbage: the connector leaves the stream, comes back, and forwards what is pending', async () => {
    const [teller] = told as [Teller];
    const { view } = teller.place;
    for (const [what, frame] of garbage) {
      const before = ended(teller.place);
      const opened = view.cursors.length;
      view.write(frame(view.last));
      // What says nothing wrong yet says nothing at all: only its end does.
      if (what === 'zeros') view.cut();
      await until(() => ended(teller.place) > before, `${what}: the stream is left`, 20_000);
      if (what === 'an error that asks for a long wait') await restartConnector(teller.place);
      await until(
        () => view.cursors.length > opened && view.watchers === 1,
        `${what}: it comes back`,
        20_000,
      );
    }
    const held = await submitted('pay after garbage');
    await teller.tell(idOf(held.request), held, AbortSignal.timeout(20_000));
    await network.final(idOf(held.request), 'fulfilled');
  });

  /** As an operator does who will not wait for as long as a coordinator asks. */
  async function restartConnector(place: Place): Promise<void> {
    await place.connector.stop();
    await network.startConnectors([place]);
  }

  it('tells without pause of requests that do not exist: memory and door are left alone', async () => {
    const [teller] = told as [Teller];
    const { view } = teller.place;
    const calls = view.calls.length;
    for (let number = 1; number <= 100; number += 1) view.tell(pendingEvent(id(number)));
    await until(
      () => view.calls.filter(({ method }) => method === 'connector_pending').length >= 100,
      'each is asked for',
      20_000,
    );
    assert.ok(view.calls.length > calls);
    const about = new Set(Array.from({ length: 100 }, (_, number) => id(number + 1)));
    const known = network.places.flatMap(({ nodeLog }) =>
      nodeLog.filter(({ fields }) => about.has(fields['requestId'] as Hex)),
    );
    assert.deepEqual(known, []);
    const held = await submitted('pay after noise');
    await teller.tell(idOf(held.request), held, AbortSignal.timeout(20_000));
    await network.final(idOf(held.request), 'fulfilled');
  });

  it('shows records that are no records: refused, and nobody falls over', async () => {
    const [teller] = told as [Teller];
    const held = approved('pay nobody');
    const noRecord = { ...held.request, bytes: 'A' };
    const first = await teller.tell(
      idOf(held.request),
      { ...held, request: noRecord },
      AbortSignal.timeout(20_000),
    );
    assert.equal(first.code, 'wrong_evidence');
    // A connector that lies as well asks its node at the door itself.
    const { place } = teller;
    const door = createDoorClient({
      privateSeed: place.connectorSeed,
      nodeAddress: place.node.addresses()[0]!,
    });
    await door.start();
    try {
      const ask = async (request: unknown): Promise<unknown> => {
        const bytes = new TextEncoder().encode(JSON.stringify(request));
        const answer = await door.request(bytes, { signal: AbortSignal.timeout(20_000) });
        return JSON.parse(new TextDecoder().decode(answer));
      };
      for (const [what, wrong, code] of malformed(held)) {
        const answer = await ask({ method: 'deliver', evidence: wrong }).catch((error: unknown) => ({
          error,
        }));
        assert.equal((answer as { error?: { code: string } }).error?.code, code, what);
      }
    } finally {
      await door.stop();
    }
    assert.deepEqual(network.sharesOf(idOf(held.request)), []);
  });

  it('a stranger to the door is not let in, whatever it brings', async () => {
    const { node } = network.places[0]!;
    const door = createDoorClient({ privateSeed: seedOf('stranger'), nodeAddress: node.addresses()[0]! });
    await door.start();
    try {
      const bytes = new TextEncoder().encode(JSON.stringify({ method: 'status' }));
      await assert.rejects(door.request(bytes, { signal: AbortSignal.timeout(20_000) }), (error) =>
        ['not_admitted', 'unreachable', 'interrupted'].includes((error as { code: string }).code),
      );
    } finally {
      await door.stop();
    }
  });

  it('puts keys that are none beside a key request: they are left out, and the key is made', async () => {
    const request = keyRequest(network.world, { label: 'beside garbage', created: Date.now() });
    await network.owner('alice').call('key_request', { request });
    const garbageKeys = [{ request: { ...request, bytes: 'A' }, certificate: [] }];
    const held = evidence(network.world, request, { keys: garbageKeys });
    for (let again = 0; again < 2; again += 1) {
      const said = await Promise.all(
        told.map((teller) => teller.tell(idOf(request), held, AbortSignal.timeout(20_000))),
      );
      for (const { code } of said) assert.match(code, /^(authorised|started|done)$/);
      if (again === 0) await network.final(idOf(request), 'fulfilled');
    }
  });

  it('gives a snapshot a position from nowhere: told honestly, nothing is missed', async () => {
    const held = await submitted('pay from nowhere');
    for (const { place } of told) {
      const { view } = place;
      view.answer = async ({ method }, honest) =>
        method === 'connector_pending' ? { cursor: Number.MAX_SAFE_INTEGER, items: [] } : honest();
      view.write('id: x\ndata: x\n\n');
    }
    await until(
      () => network.places.every(({ view }) => view.cursors.at(-1) === Number.MAX_SAFE_INTEGER),
      'all believe it',
      20_000,
    );
    assert.deepEqual(network.sharesOf(idOf(held.request)), []);
    for (const { view } of network.places) view.beHonest();
    await network.final(idOf(held.request), 'fulfilled');
    told = await tellers(network);
  });

  it('claims to have counted results, or to want none: they come again, and count', async () => {
    for (const place of network.places) await place.connector.stop();
    for (const { view } of network.places) view.beHonest();
    let claims = 0;
    for (const [index, { view }] of network.places.entries()) {
      view.answer = async ({ method, params }, honest) => {
        if (method !== 'connector_submitResult') return honest();
        claims += 1;
        if (index === 1) throw new Refusal('conflicting_result');
        const requestId = subjects.get((params as { result: Envelope }).result.bytes) ?? id(0);
        return { requestId, state: 'fulfilled', votes: { have: 3, need: 2, refused: 0 }, counted: true };
      };
    }
    const subjects = new Map<string, Hex>();
    await network.startConnectors(network.places, 300);
    const held = await submitted('pay and be paid');
    const requestId = idOf(held.request);
    await until(() => claims >= 3, 'the results are handed in', 20_000);
    const client = network.owner('alice');
    assert.equal((await client.call('sign_get', { requestId })).votes.have, 0);
    // The streams stay as they are, and no event tells of the request again.
    for (const { view } of network.places) view.answer = undefined;
    const view = await network.final(requestId, 'fulfilled');
    assert.ok(view.votes.have >= 2);
  });
});

/** Evidence whose records are not even that, with what a node says to it. */
function malformed(held: Evidence): [string, unknown, string][] {
  const { request } = held;
  const [signature] = request.signatures as [Envelope['signatures'][number]];
  const with_ = (changes: object): unknown => ({ ...held, request: { ...request, ...changes } });
  return [
    ['bytes that are no base64url', with_({ bytes: 'A' }), 'bad_evidence'],
    ['bytes with trailing bits', with_({ bytes: 'AB' }), 'bad_evidence'],
    ['bytes that are no record', with_({ bytes: 'AAAA' }), 'bad_evidence'],
    ['bytes with a character of another alphabet', with_({ bytes: `${request.bytes}+` }), 'malformed'],
    ['no bytes', with_({ bytes: '' }), 'malformed'],
    ['another type', with_({ type: 'decision' }), 'bad_evidence'],
    ['a type of no record', with_({ type: 'DECISION!' }), 'malformed'],
    ['no signature', with_({ signatures: [] }), 'bad_evidence'],
    ['a signature twice', with_({ signatures: [signature, signature] }), 'bad_evidence'],
    ['a short signature', with_({ signatures: [{ ...signature, signature: '0x00' }] }), 'malformed'],
    [
      'a signature of another',
      with_({ signatures: [{ ...signature, credential: otherCredential }] }),
      'bad_evidence',
    ],
    ['a credential of no kind', with_({ signatures: [{ ...signature, credential: 'rsa:1' }] }), 'malformed'],
    ['a field more', with_({ digest: '0x00' }), 'malformed'],
    ['no log', { ...held, log: [] }, 'malformed'],
    ['no roster', { ...held, roster: undefined }, 'malformed'],
    ['a verdict beside it', { ...held, verdict: 'authorised' }, 'malformed'],
    ['too many decisions', { ...held, decisions: Array(401).fill(held.decisions[0]) }, 'malformed'],
    ['nothing', {}, 'malformed'],
    ['null', null, 'malformed'],
  ];
}

const otherCredential = `ed25519:0x${'11'.repeat(32)}`;
