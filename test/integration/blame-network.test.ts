// A signer that cheats over real libp2p hosts: the honest ones sign without it, each has the proof in its folder, and the
// built command agrees with the proof, and with none of ten altered copies of it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BlameFolder } from '../../node/blame-folder.ts';
import { createNetwork, type Network } from '../../node/network/network.ts';
import { leaderOrder } from '../../node/sessions/attempt.ts';
import { type BlameBundle, decodeBundle, frameBytes, frameText } from '../../node/sessions/blame/bundle.ts';
import { defaultTiming } from '../../node/sessions/context.ts';
import { bootId, Sessions } from '../../node/sessions/sessions.ts';
import { decodeFrame, encodeFrame } from '../../node/sessions/wire.ts';
import { inlineWork } from '../../node/work/inline.ts';
import { fromHex, type Hex } from '../../protocol/hex.ts';
import { verifySignature } from '../../protocol/keys/key-type.ts';
import { decodePayload } from '../../protocol/payloads/payload.ts';
import { encodeCanonical } from '../../protocol/records/canonical.ts';
import { type Envelope, readContent } from '../../protocol/records/envelope.ts';
import { formatEpoch } from '../../protocol/records/fields.ts';
import { partyResult } from '../../protocol/records/party-result.ts';
import {
  approve,
  createWorld,
  evidence,
  hour,
  idOf,
  keyRequest,
  messagePayload,
  networkId,
  seedOf,
  signRequest,
  type World,
} from '../support/fixture.ts';
import { MemorySessionStore } from '../support/session-world.ts';
import { until } from '../support/until.ts';

const main = new URL('../../dist/cli/main.js', import.meta.url).pathname;
const run = promisify(execFile);

interface Host {
  readonly network: Network;
  readonly sessions: Sessions;
  readonly store: MemorySessionStore;
  readonly folder: string;
}

/** Hosts of all parties, connected; what `cheat` sends in the rounds of signing is spoilt once it is told to. */
async function startHosts(
  world: World,
  dir: string,
  cheat: number,
  isCheating: () => boolean,
): Promise<Host[]> {
  const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length));
  const wire = { networkId, keyringId: world.keyring.id };
  const hosts: Host[] = [];
  for (const [index, signer] of world.parties.entries()) {
    const store = new MemorySessionStore();
    const folder = join(dir, `party-${index}`);
    const blame = new BlameFolder({ folder, log: () => undefined });
    await blame.load();
    const link: { sessions?: Sessions } = {};
    const network = createNetwork({
      networkId,
      keyringId: world.keyring.id,
      epoch: formatEpoch(world.keyring.epoch),
      privateSeed: seedOf('world', 'party', index),
      parties: world.keyring.roster.parties.map(({ key }) => ({ key, addresses: [] })),
      listen: ['/ip4/127.0.0.1/tcp/0'],
      bootCounter: 1,
      grants: () => [],
      onMessage: async ({ from, bytes }) => link.sessions?.receive(from, bytes),
      onPeer: ({ peer, up, bootId: boot }) => link.sessions?.peer(peer, up, boot),
      onDoorRequest: async () => new Uint8Array(),
      log: () => undefined,
    });
    const spoil = (bytes: Uint8Array): Uint8Array => {
      const frame = decodeFrame(bytes);
      if (index !== cheat || !isCheating() || frame.type !== 'round') return bytes;
      const message = frame.content.message.slice();
      message[40]! ^= 1;
      return encodeFrame('round', { ...frame.content, message }, wire, signer);
    };
    const sessions = new Sessions(
      {
        networkId,
        keyring: world.keyring,
        signer,
        boot: bootId(random),
        transport: {
          send: (party, bytes) => network.send(party, spoil(bytes)),
          publish: (bytes) => network.publish(bytes),
          up: () => new Set(network.peers().flatMap((peer) => (peer.up ? [peer.key] : []))),
        },
        store,
        clock: {
          now: Date.now,
          after(ms, call) {
            const timer = setTimeout(call, ms);
            return () => clearTimeout(timer);
          },
        },
        random,
        work: inlineWork(random),
        timing: defaultTiming,
        log: () => undefined,
        blame,
        streamCopies: true,
      },
      () => undefined,
    );
    link.sessions = sessions;
    hosts.push({ network, sessions, store, folder });
  }
  for (const { network } of hosts) await network.start();
  for (const { network } of hosts)
    for (const [index, other] of hosts.entries())
      if (other.network !== network)
        network.setAddresses(world.parties[index]!.credential, other.network.addresses());
  const connected = (): boolean => hosts.every(({ network }) => network.peers().every(({ up }) => up));
  await until(connected, 'all are connected', 30_000);
  return hosts;
}

/** A request whose first leader is the cheat: it is surely in the first set. */
function ledBy(world: World, keyId: Hex, leader: number): Envelope {
  for (;;) {
    const created = Date.now();
    const items = [{ keyId, payload: messagePayload('paid') }];
    const request = signRequest(world, items, { created, expires: created + hour });
    const parties = world.parties.map((party) => party.credential);
    if (leaderOrder(parties, idOf(request))[0] === parties[leader]) return request;
  }
}

/** Runs the built command. */
async function verify(...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { HOME: _, ...environment } = process.env;
  try {
    const done = await run(process.execPath, [main, 'blame', 'verify', ...argv], { env: environment });
    return { code: 0, ...done };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, stdout, stderr };
  }
}

describe('blame over libp2p', function () {
  this.timeout(120_000);

  it('a bad share: signed without the cheat, recorded, and verified by the command alone', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'countersign-blame-network-'));
    const world = createWorld();
    const cheat = 1;
    let cheating = false;
    const hosts = await startHosts(world, dir, cheat, () => cheating);
    try {
      const request = keyRequest(world, { created: Date.now(), expires: Date.now() + hour });
      const keyId = idOf(request);
      await Promise.all(hosts.map(({ sessions }) => sessions.submit(evidence(world, request))));
      const active = (): boolean => hosts.every(({ store }) => store.active.has(keyId));
      await until(active, 'the key is active everywhere', 30_000);
      const key = { request, certificate: [...hosts[0]!.store.active.get(keyId)!.certificate] };
      cheating = true;
      const signing = ledBy(world, keyId, cheat);
      const id = idOf(signing);
      const decisions = [approve(world, id, 'bob', { expires: Date.now() + hour })];
      const full = evidence(world, signing, { keys: [key], decisions });
      await Promise.all(hosts.map(({ sessions }) => sessions.submit(full)));
      const honest = [hosts[0]!, hosts[2]!];
      await until(() => honest.every(({ store }) => store.finished.has(id)), 'the signature', 60_000);
      for (const { store } of honest) {
        const { result } = readContent(partyResult, store.finished.get(id)!, networkId).content;
        assert(result.kind === 'signatures');
        const publicKey = store.active.get(keyId)!.share.publicKey;
        const { message } = decodePayload(messagePayload('paid'), { keyType: 'ed25519', publicKey });
        assert.ok(verifySignature('ed25519', publicKey, message, fromHex(result.signatures[0]!)));
      }
      const files = async (): Promise<string[]> => {
        const found: string[] = [];
        for (const { folder } of honest)
          for (const name of await readdir(folder).catch(() => []))
            if (name.endsWith('.json')) found.push(join(folder, name));
        return found;
      };
      await until(async () => (await files()).length > 0, 'a bundle', 10_000);
      const [path] = await files();
      const proven = await verify(path!, '--keyring', world.keyring.id, '--json');
      assert.equal(proven.code, 0, proven.stderr);
      const verdict = JSON.parse(proven.stdout) as Record<string, unknown>;
      assert.deepEqual(
        [verdict['proven'], verdict['code'], verdict['accused'], verdict['requestId'], verdict['keyringId']],
        [true, 'invalid_share', world.parties[cheat]!.credential, id, world.keyring.id],
      );
      await refusesAltered(world, dir, await readFile(path!), cheat);
    } finally {
      for (const { sessions } of hosts) await sessions.stop();
      for (const { network } of hosts) await network.stop();
      await rm(dir, { recursive: true, force: true });
    }
  });

  async function refusesAltered(world: World, dir: string, bytes: Uint8Array, cheat: number): Promise<void> {
    const { bundle } = decodeBundle(bytes);
    const { signing } = bundle;
    assert(signing);
    const flipped = (index: number): BlameBundle => {
      const frame = frameBytes(bundle.frames[index]!).slice();
      frame[frame.length - 1]! ^= 1;
      return { ...bundle, frames: bundle.frames.with(index, frameText(frame)) };
    };
    const elsewhere = createWorld({ name: 'elsewhere' });
    const other = world.parties[(cheat + 1) % 3]!.credential;
    const altered: [string, number, RegExp, Uint8Array | BlameBundle][] = [
      ['accuses another party', 1, /has not signed|not in the set/, { ...bundle, accused: other }],
      [
        'claims another fault',
        1,
        /proves the fault invalid_share, but claims malformed_share/,
        { ...bundle, code: 'malformed_share' },
      ],
      ['claims another attempt', 1, /but claims 0{64}/, { ...bundle, attemptId: '0'.repeat(64) }],
      ['a flipped bit in the START', 1, /bad_signature|malformed_message|not a session message/, flipped(0)],
      ['a flipped bit in the share', 1, /bad_signature|malformed_message|not a session message/, flipped(1)],
      [
        'without the share',
        1,
        /with a key|as it must be|valid points/,
        { ...bundle, frames: bundle.frames.slice(0, 1) },
      ],
      [
        'another message',
        1,
        /is not this message under this key/,
        { ...bundle, signing: { ...signing, message: '0x00' } },
      ],
      ['another roster', 1, /no party of keyring/, { ...bundle, roster: elsewhere.keyring.envelope }],
      [
        'a certificate that lacks a party',
        1,
        /the key is not proven/,
        {
          ...bundle,
          signing: { ...signing, key: { ...signing.key, certificate: signing.key.certificate.slice(1) } },
        },
      ],
      ['cut short', 2, /not a blame bundle/, bytes.subarray(0, -10)],
    ];
    assert.equal(altered.length, 10);
    const path = join(dir, 'altered.json');
    for (const [what, code, words, copy] of altered) {
      await writeFile(path, copy instanceof Uint8Array ? copy : encodeCanonical(copy));
      const result = await verify(path);
      assert.equal(result.code, code, `${what}: ${result.stderr}`);
      assert.match(result.stderr, words, what);
      assert.equal(result.stdout, '', what);
    }
    await writeFile(path, bytes);
    const pinned = await verify(path, '--keyring', elsewhere.keyring.id);
    assert.equal(pinned.code, 1);
    assert.match(pinned.stderr, /made in keyring/);
    const plain = await verify(path);
    assert.equal(plain.code, 0, plain.stderr);
    assert.match(plain.stdout, /compare its id, or give it with --keyring/);
    assert.ok(plain.stdout.includes(world.keyring.id));
  }
});
