// Every secret of a local network: read from the sealed files and stores of processes that do not run, and from the random
// values that its processes drew (test/support/record-random.mjs).
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { openIdentity } from '../../client/identity/identity.ts';
import { openSealedFile } from '../../client/identity/sealed-file.ts';
import { nodePaths } from '../../node/config.ts';
import { ciphersuiteOf } from '../../node/mpc/frost/ciphersuite.ts';
import { loadKeyPackage, type StoredKey } from '../../node/mpc/frost/key-package.ts';
import { sessionStore } from '../../node/sessions/storage.ts';
import { fromHex, type Hex } from '../../protocol/hex.ts';
import { tapTweak } from '../../protocol/keys/taproot.ts';
import { encodeCanonical } from '../../protocol/records/canonical.ts';
import { envelopeSchema } from '../../protocol/records/envelope.ts';
import { openKeyring } from '../../protocol/records/keyring-roster.ts';
import { withNodeStore } from './crash-judge.ts';
import type { LocalNetwork } from './local-network.ts';
import type { Secret } from './secret-search.ts';

async function identitySecrets(net: LocalNetwork): Promise<Secret[]> {
  const { layout } = net;
  const identities = join(layout.home, 'identities');
  const paths = [
    ...(await readdir(identities)).map((file) => join(identities, file)),
    ...layout.parties.flatMap(({ nodeDir, connectorDir }) => [
      nodePaths(nodeDir).identity,
      join(connectorDir, 'identity.json'),
    ]),
  ];
  const open = async (path: string): Promise<Secret> => {
    const { seed } = await openIdentity(path, layout.passphrase);
    return { name: `seed of ${path}`, bytes: seed };
  };
  return Promise.all(paths.filter((path) => path.endsWith('.json')).map(open));
}

/** The storage key of a node, and the keys of its epochs that are sealed under it. */
async function storageSecrets(net: LocalNetwork, nodeDir: string): Promise<Secret[]> {
  const path = join(nodeDir, 'storage.key');
  const { passphrase } = net.layout;
  const { plaintext } = await openSealedFile(path, { kind: 'node-storage', passphrase });
  const { epochs } = nodePaths(nodeDir);
  const files = (await readdir(epochs)).filter((file) => file.endsWith('.key'));
  const keys = files.map(async (file) => {
    const { format, keyringId, epoch, sealed } = JSON.parse(await readFile(join(epochs, file), 'utf8')) as {
      format: string;
      keyringId: string;
      epoch: unknown;
      sealed: { nonce: Hex; ciphertext: Hex };
    };
    const context = encodeCanonical({ purpose: format, keyringId, epoch });
    const cipher = xchacha20poly1305(plaintext, fromHex(sealed.nonce), context);
    return { name: `epoch key ${file}`, bytes: cipher.decrypt(fromHex(sealed.ciphertext)) };
  });
  return [{ name: `storage key of ${nodeDir}`, bytes: plaintext }, ...(await Promise.all(keys))];
}

/** A node's shares of these keys. */
async function sharesOf(net: LocalNetwork, node: string, keys: readonly Hex[]): Promise<StoredKey[]> {
  const { nodeDir } = net.layout.parties.find((party) => party.node === node)!;
  const { key: self } = net.network.members.find((member) => member.node === node)!;
  const text = await readFile(nodePaths(nodeDir).roster, 'utf8');
  const { roster } = openKeyring(envelopeSchema.parse(JSON.parse(text)), net.network.networkId);
  return withNodeStore(net, node, async (store) => {
    const opened = sessionStore(store, roster, self);
    const found = await Promise.all(keys.map((key) => opened.keyOf(key)));
    return found.map((key) => key!.share);
  });
}

/** The random values that processes drew, of the lengths that only secrets have: 32 bytes and 64. */
async function drawnSecrets(folder: string): Promise<(Secret & { readonly from: string })[]> {
  const files = await readdir(folder);
  const drawn = await Promise.all(
    files.map(async (file) => {
      const lines = (await readFile(join(folder, file), 'utf8')).trim().split('\n');
      return lines.map((line) => line.split(' ') as [from: string, hex: string]);
    }),
  );
  return drawn
    .flat()
    .filter(([, hex]) => hex.length === 64 || hex.length === 128)
    .map(([from, hex], index) => ({ name: `random value ${index}`, bytes: Buffer.from(hex, 'hex'), from }));
}

/** What a party signs with: its share, as it is, and as it is under a Taproot output. */
function packagesOf(share: StoredKey) {
  const plain = loadKeyPackage(share);
  if (share.keyType === 'ed25519') return [plain];
  return [plain, loadKeyPackage(share, tapTweak(share.publicKey.slice(1)))];
}

/**
 * Every secret of a network whose nodes do not run; `keys` are active, `drawn` is the folder of its random values. Nonces
 * are made of a drawn value and a share (RFC 9591, 4.1), so that of all pairs some are the real ones; coefficients of key
 * generation are drawn values reduced.
 */
export async function secretsOf(net: LocalNetwork, keys: readonly Hex[], drawn: string): Promise<Secret[]> {
  const random = await drawnSecrets(drawn);
  const secrets: Secret[] = [...(await identitySecrets(net)), ...random];
  // What signing and key generation draw.
  const own = random.filter(({ from }) => from === 'node').map(({ bytes }) => bytes);
  secrets.push({ name: 'passphrase', bytes: Buffer.from(net.layout.passphrase) });
  secrets.push({ name: 'passphrase, decoded', bytes: Buffer.from(net.layout.passphrase, 'hex') });
  for (const { node, nodeDir } of net.layout.parties) {
    secrets.push(...(await storageSecrets(net, nodeDir)));
    for (const share of await sharesOf(net, node, keys)) {
      const { group } = ciphersuiteOf(share.keyType);
      const about = `${share.keyType} at ${node}`;
      secrets.push({ name: `share of ${about}`, bytes: share.signingShare });
      for (const { secret, suite } of packagesOf(share)) {
        secrets.push({ name: `share of ${about} as it signs`, bytes: secret.signingShare });
        for (const bytes of own.filter(({ length }) => length === 32)) {
          const { nonces } = suite.frost.commit(secret, () => Uint8Array.from(bytes));
          secrets.push({ name: `nonce of ${about}`, bytes: nonces.hiding });
        }
      }
      for (const bytes of own.filter(({ length }) => length === 64)) {
        const coefficient = group.encodeScalar(group.reduceScalar(bytes));
        secrets.push({ name: `coefficient of ${about}`, bytes: coefficient });
      }
    }
  }
  return secrets;
}
