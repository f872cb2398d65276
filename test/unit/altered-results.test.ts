// Every field altered of what passes between nodes, connectors, coordinator and owners: party results handed to the
// coordinator, grants presented to coordinator, node and connector, and views shown to an owner.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verifyKeyView, verifySignatures, VerificationError } from '../../client/verify.ts';
import { openGrant } from '../../connector/config.ts';
import { ConnectorError } from '../../connector/connector-error.ts';
import { Authenticator } from '../../coordinator/rpc/authenticate.ts';
import { RpcError } from '../../coordinator/rpc/error.ts';
import { defaultLimits } from '../../coordinator/rpc/limits.ts';
import { Grants } from '../../node/grants.ts';
import { addSignature, type Envelope, type Signer } from '../../protocol/records/envelope.ts';
import type { ConnectorGrant } from '../../protocol/records/connector-grant.ts';
import { methods, type RpcErrorName } from '../../protocol/rpc.ts';
import { signHttp } from '../../protocol/signed-http.ts';
import { contentOf, withContent } from '../support/altered-evidence.ts';
import { type Alteration, alterationsOf, type Swaps } from '../support/alterations.ts';
import {
  approve,
  grantFor,
  hour,
  idOf,
  keyRequest,
  networkId,
  resultBy,
  signerOf,
  start,
} from '../support/fixture.ts';
import { payload } from '../support/coordinated.ts';
import { type ServiceWorld, stores, submitted, withService } from '../support/service-world.ts';
import { keyResultOf, refusedBy, signatureBy, signedBy } from '../support/world-key.ts';

const stranger = signerOf('stranger');
const otherId = `0x${'5a'.repeat(32)}`;
const otherPoint = stranger.credential.slice('ed25519:'.length);
const run = (work: (at: ServiceWorld) => Promise<void>) => () => withService(stores['memory']!, work);

const swaps: Swaps = (path, value) => {
  if (path === 'networkId') return ['other-network'];
  if (path === 'party' || path === 'connector')
    return [stranger.credential, signerOf('world', 'party', 1).credential];
  if (path === 'epoch.roster') return [2];
  if (path === 'epoch.run') return [1];
  if (/^result\.(publicKey|commitments\.\d)$/.test(path)) return [otherPoint];
  if (path === 'expires') return [new Date(Date.parse(String(value)) + hour).toISOString()];
  return typeof value === 'string' && /^0x[0-9a-f]{64}$/.test(value) ? [otherId] : [];
};

/** An alteration of a record under each of these hands. */
function* forged(envelope: Envelope, hands: readonly (readonly [string, Signer])[]) {
  for (const alteration of alterationsOf(contentOf(envelope), swaps)) {
    const kept = withContent(envelope, alteration.content);
    yield { alteration, by: 'nobody', signer: undefined, envelope: kept };
    for (const [by, signer] of hands) {
      const bare = { ...kept, signatures: [] };
      yield { alteration, by, signer, envelope: addSignature(bare, networkId, signer) };
    }
  }
}

const isForm = (code: RpcErrorName): boolean => code === 'invalid_params';

describe('a party result with a field altered', () => {
  /** Which codes a coordinator may give; the party itself may say about itself what it likes. */
  function allowed({ path, how }: Alteration, by: string): readonly RpcErrorName[] {
    if (path === 'networkId') return ['invalid_params'];
    if (how === 'wrong type' || (how === 'added' && path === '')) return ['invalid_params', 'not_found'];
    // The coordinator looks for the request, and whose connector it is, before it verifies anything.
    if (path === 'subject') return ['not_found', 'invalid_params'];
    if (path === 'party' && how !== 'removed') return ['forbidden'];
    if (by === 'nobody' || by === 'a stranger' || by === 'another party') {
      return how === 'swapped' ? ['bad_signature'] : ['bad_signature', 'invalid_params'];
    }
    if (path.startsWith('keyringId') || path.startsWith('epoch')) return ['invalid_params'];
    return ['bad_signature', 'invalid_params'];
  }

  for (const [kind, make] of [
    ['signatures', (at, key, id) => signedBy(at.world, at.party(0), id, [signatureBy(key, payload)])],
    ['a refusal', (at, _, id) => refusedBy(at.world, at.party(0), id)],
  ] as [
    string,
    (at: ServiceWorld, key: Parameters<typeof signatureBy>[0], id: ReturnType<typeof idOf>) => Envelope,
  ][]) {
    it(
      `of ${kind} is refused, and counts for nothing`,
      run(async (at) => {
        const key = await at.key();
        const requestId = idOf(await submitted(at, key));
        await at.call('action_decide', { decision: approve(at.world, requestId, 'bob') });
        const honest = make(at, key, requestId);
        const before = await at.call('sign_get', { requestId }, at.owner());
        const events = (await at.events('keyrings')).length;
        const hands = [
          ['a stranger', stranger],
          ['another party', at.party(1)],
          ['the party itself', at.party(0)],
        ] as const;
        let count = 0;
        for (const { alteration, by, envelope } of forged(honest, hands)) {
          // What a party says of its own reasons is its own affair.
          const own =
            by === 'the party itself' && alteration.path.startsWith('result') && kind === 'a refusal';
          if (own) continue;
          count += 1;
          await assert.rejects(at.submit(0, envelope), (error) => {
            const what = `${alteration.path} ${alteration.how} by ${by}: ${String(error)}`;
            assert.ok(error instanceof RpcError, what);
            assert.ok(allowed(alteration, by).includes(error.name), `${error.name}: ${what}`);
            return true;
          });
        }
        assert.ok(count > 90, `${count} altered results`);
        assert.deepEqual(await at.call('sign_get', { requestId }, at.owner()), before);
        assert.equal((await at.events('keyrings')).length, events);
        for (const index of [0, 1]) await at.sign(index, key, requestId);
        assert.equal((await at.call('sign_get', { requestId }, at.owner())).state, 'fulfilled');
      }),
    );
  }

  it(
    'of a key is refused unless its own party signed it',
    run(async (at) => {
      const { world } = at;
      const request = keyRequest(world, { created: at.now });
      await at.call('key_request', { request });
      const honest = resultBy(world, at.party(0), idOf(request), keyResultOf(2, 'altered'));
      let count = 0;
      const hands = [
        ['a stranger', stranger],
        ['another party', at.party(1)],
      ] as const;
      for (const { alteration, by, envelope } of forged(honest, hands)) {
        count += 1;
        await assert.rejects(at.submit(0, envelope), (error) => {
          const what = `${alteration.path} ${alteration.how} by ${by}: ${String(error)}`;
          assert.ok(error instanceof RpcError && allowed(alteration, by).includes(error.name), what);
          return true;
        });
      }
      assert.ok(count > 100, `${count} altered results`);
      const view = await at.call('key_get', { keyId: idOf(request) }, at.owner());
      assert.equal(view.state, 'pending');
      assert.deepEqual(view.certificate, []);
    }),
  );
});

describe('a connector grant with a field altered', () => {
  const connector = signerOf('connector', 0);

  it(
    'lets nobody in: not at the coordinator, not at the node, and no connector starts with it',
    run(async ({ world }) => {
      const party = world.parties[0]!;
      const grant = grantFor(world, party, connector, start + hour);
      const hands = [
        ['a stranger', stranger],
        ['another party', world.parties[1]!],
        ['the connector', connector],
      ] as const;
      const root = await mkdtemp(join(tmpdir(), 'countersign-grants-'));
      const folder = join(root, 'grants');
      await mkdir(folder);
      let ignored = 0;
      const { id: keyringId } = world.keyring;
      const grants = new Grants({
        folder,
        networkId,
        keyringId,
        party: party.credential,
        now: () => start,
        log: () => (ignored += 1),
      });
      try {
        const admits = async (envelope: Envelope, name: string): Promise<void> => {
          await writeFile(join(folder, `${name}.json`), JSON.stringify(envelope));
          await grants.load();
        };
        await admits(grant, 'one');
        assert.deepEqual(grants.current(), [connector.credential]);
        let count = 0;
        for (const { alteration, by, signer, envelope } of forged(grant, hands)) {
          count += 1;
          const what = `${alteration.path} ${alteration.how} by ${by}`;
          await admits(envelope, 'one');
          assert.deepEqual(grants.current(), [], what);
          assert.equal(ignored, count, what);
          // Whoever grants in its own name has granted: it lets nobody in at this party.
          const own = (alteration.content as Partial<ConnectorGrant>).party === signer?.credential && signer;
          const accepted = await presented(envelope);
          assert.ok(own ? accepted?.party !== party.credential : accepted === undefined, what);
          const file = join(root, 'grant.json');
          await writeFile(file, JSON.stringify(envelope));
          const opened = openGrant(file, connector.credential, networkId, start);
          if (own) assert.notEqual((await opened).content.party, party.credential, what);
          else
            await assert.rejects(
              opened,
              (error) => error instanceof ConnectorError && error.code === 'bad_grant',
            );
        }
        assert.ok(count > 80, `${count} altered grants`);
        assert.equal((await presented(grant))?.party, party.credential);
      } finally {
        await rm(root, { recursive: true, force: true });
      }
    }),
  );

  let nonces = 0;
  /** As whose connector the coordinator takes a caller with this grant. */
  async function presented(grant: Envelope) {
    const authenticator = new Authenticator({ networkId, now: () => start, limits: defaultLimits });
    const parts = { networkId, method: 'GET', path: '/v1/x', body: new Uint8Array(0) };
    const nonce = new Uint8Array(16);
    new DataView(nonce.buffer).setUint32(0, (nonces += 1));
    const headers = Object.fromEntries(
      Object.entries(signHttp(parts, connector, start, nonce, grant)).map(([name, value]) => [
        name.toLowerCase(),
        value,
      ]),
    );
    try {
      const request = { ...parts, headers, address: 'here', calls: 1 };
      return (await authenticator.authenticate(request)).caller.grant;
    } catch (error) {
      assert.ok(error instanceof RpcError, String(error));
      assert.ok(
        isForm(error.name) || ['bad_signature', 'forbidden', 'expired'].includes(error.name),
        error.name,
      );
      return undefined;
    }
  }
});

describe('what an owner is shown, with a field altered', () => {
  it(
    'is refused, or makes no difference to what the owner takes from it',
    run(async (at) => {
      const key = await at.key();
      const requestId = idOf(await submitted(at, key));
      await at.call('action_decide', { decision: approve(at.world, requestId, 'bob') });
      for (const index of [0, 1]) await at.sign(index, key, requestId);
      const keyView = await at.call('key_get', { keyId: key.id }, at.owner());
      const view = await at.call('sign_get', { requestId }, at.owner());
      const expected = {
        networkId,
        workspaceId: at.world.workspace.id,
        keyringId: at.world.keyring.id,
      };
      const proven = verifyKeyView(keyView, expected);
      const readers = [
        [
          'key_get',
          keyView,
          (shown: never) => {
            const { key: found, addresses, keyring } = verifyKeyView(shown, expected);
            return { found, addresses, keyring: keyring.id };
          },
        ],
        ['sign_get', view, (shown: never) => verifySignatures(shown, [proven.key], { networkId, requestId })],
      ] as const;
      for (const [method, honest, read] of readers) {
        const truth = read(honest as never);
        const counts = { form: 0, refused: 0, equal: 0 };
        for (const { path, how, content } of alterationsOf(honest, viewSwaps)) {
          const parsed = methods[method].result.safeParse(content);
          if (!parsed.success) {
            counts.form += 1;
            continue;
          }
          try {
            assert.deepEqual(read(parsed.data as never), truth, `${method} ${path} ${how}`);
            counts.equal += 1;
          } catch (error) {
            assert.ok(error instanceof VerificationError, `${path} ${how}: ${String(error)}`);
            counts.refused += 1;
          }
        }
        process.stdout.write(`      ${method}: ${JSON.stringify(counts)}\n`);
        assert.ok(counts.refused > 10 && counts.form > 50, JSON.stringify(counts));
      }
    }),
  );

  const viewSwaps: Swaps = (path, value) => {
    if (path === 'signatures.0') return [`0x${'00'.repeat(64)}`];
    return swaps(path, value);
  };
});
