// Whom a node admits at its door: whoever has a grant of this very party, for this keyring, that has not run out.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Grants } from '../../node/grants.ts';
import { connectorGrant } from '../../protocol/records/connector-grant.ts';
import { createRecord, ed25519Signer, type Envelope, type Signer } from '../../protocol/records/envelope.ts';
import { timestamp } from '../../protocol/records/fields.ts';

const signer = (byte: number): Signer => ed25519Signer(new Uint8Array(32).fill(byte));
const party = signer(1);
const otherParty = signer(2);
const connector = signer(3);
const otherConnector = signer(4);
const start = Date.parse('2030-01-01T00:00:00.000Z');
const keyringId = `0x${'ab'.repeat(32)}` as const;
const content = {
  networkId: 'local-grants',
  keyringId,
  party: party.credential,
  connector: connector.credential,
  expires: timestamp(start + 1000),
};
const grant = createRecord(connectorGrant, content, party);

describe('grants of connectors', () => {
  let folder = '';
  let now = start;
  let logged: [string, Record<string, unknown>][] = [];
  let grants: Grants;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'grants-'));
    now = start;
    logged = [];
    grants = new Grants({
      folder,
      networkId: content.networkId,
      keyringId,
      party: party.credential,
      now: () => now,
      log: (event, fields) => void logged.push([event, fields]),
    });
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const put = (name: string, value: unknown): Promise<void> =>
    writeFile(join(folder, name), typeof value === 'string' ? value : JSON.stringify(value));

  it('admit nobody without a folder, nor before it was read', async () => {
    await put('one.json', grant);
    assert.deepEqual(grants.current(), []);
    await rm(folder, { recursive: true });
    assert.equal(await grants.load(), 0);
    assert.deepEqual(grants.current(), []);
  });

  it('admit until their end, to the millisecond', async () => {
    await put('one.json', grant);
    assert.equal(await grants.load(), 1);
    now = start + 999;
    assert.deepEqual(grants.current(), [connector.credential]);
    now = start + 1000;
    assert.deepEqual(grants.current(), []);
  });

  it('admit no longer once they were taken away', async () => {
    await put('one.json', grant);
    await put(
      'two.json',
      createRecord(connectorGrant, { ...content, connector: otherConnector.credential }, party),
    );
    assert.equal(await grants.load(), 2);
    await rm(join(folder, 'one.json'));
    assert.equal(await grants.load(), 1);
    assert.deepEqual(grants.current(), [otherConnector.credential]);
  });

  const otherParties = createRecord(connectorGrant, { ...content, party: otherParty.credential }, otherParty);
  for (const [what, value] of [
    ['of another party', otherParties],
    [
      'to another keyring',
      createRecord(connectorGrant, { ...content, keyringId: `0x${'cd'.repeat(32)}` }, party),
    ],
    ['of another network', createRecord(connectorGrant, { ...content, networkId: 'local-other' }, party)],
    ['that its party has not signed', createRecord(connectorGrant, content, otherParty)],
    ['that nobody has signed', { ...grant, signatures: [] }],
    ['with a signature of other bytes', { ...grant, signatures: otherParties.signatures }],
    ['that is another record', { ...grant, type: 'party.result' }],
    ['that is no record', '{"type":'],
  ] satisfies [string, Envelope | string][]) {
    it(`${what}: left out and named, and the others hold`, async () => {
      await put('bad.json', value);
      await put('good.json', grant);
      assert.equal(await grants.load(), 1);
      assert.deepEqual(grants.current(), [connector.credential]);
      assert.deepEqual(
        logged.map(([event, { file }]) => [event, file]),
        [['grant.ignored', 'bad.json']],
      );
    });
  }
});
