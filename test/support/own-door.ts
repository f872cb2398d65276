// A connector that is a test's own: its key is allowed at a real node by the operator's command. It asks the coordinator for
// evidence and the node's door for what the node makes of it, and otherwise does nothing by itself.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Client, createClient } from '../../client/rpc-client.ts';
import { nodeAllowConnector } from '../../cli/commands/node-allow-connector.ts';
import { command } from '../../cli/testnet/operators.ts';
import { createDoorClient, type DoorClient } from '../../connector/door-client.ts';
import { askNode, NodeError } from '../../connector/node-door.ts';
import { nodePaths } from '../../node/config.ts';
import type { Evidence } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import { ed25519Signer, type Envelope } from '../../protocol/records/envelope.ts';
import { seedOf } from './fixture.ts';
import type { LocalNetwork } from './local-network.ts';
import type { Outcome } from './told-lies.ts';

export class OwnDoor {
  readonly #client: Client;
  readonly #door: DoorClient;
  readonly #keyringId: Hex;

  private constructor(client: Client, door: DoorClient, keyringId: Hex) {
    this.#client = client;
    this.#door = door;
    this.#keyringId = keyringId;
  }

  /** Has the operator of a node that runs allow a key, and dials that node. */
  static async open(net: LocalNetwork, node: string): Promise<OwnDoor> {
    const place = net.layout.parties.find((party) => party.node === node);
    if (place === undefined) throw new TypeError(`no node ${node}`);
    const privateSeed = seedOf('own door', node, net.layout.root);
    const signer = ed25519Signer(privateSeed);
    const file = join(net.layout.root, `own-grant-of-${node}.json`);
    await command(net.people, nodeAllowConnector, signer.credential, '--dir', place.nodeDir, '--out', file);
    const grant = JSON.parse(await readFile(file, 'utf8')) as Envelope;
    const ready = JSON.parse(await readFile(nodePaths(place.nodeDir).ready, 'utf8')) as {
      addresses: string[];
    };
    const { coordinator: url, networkId, keyringId } = net.network;
    const door = createDoorClient({ privateSeed, nodeAddress: ready.addresses[0]! });
    await door.start();
    return new OwnDoor(createClient({ url, networkId, signer, grant }), door, keyringId);
  }

  /** What the coordinator hands out about a request; undefined when it has none. */
  async evidence(requestId: Hex): Promise<Evidence | undefined> {
    const { items } = await this.#client.call('connector_pending', {
      keyringId: this.#keyringId,
      requestIds: [requestId],
    });
    return items.find((item) => item.requestId === requestId)?.evidence;
  }

  /** Hands evidence to the node: the code of its refusal, or how the request stands there. */
  async deliver(evidence: Evidence, signal = AbortSignal.timeout(60_000)): Promise<Outcome> {
    try {
      const { state, detail = '' } = await askNode(this.#door, { method: 'deliver', evidence }, signal);
      return { code: state, detail };
    } catch (error) {
      if (!(error instanceof NodeError) || error.code !== 'refused') throw error;
      return { code: error.reason, detail: error.message };
    }
  }

  async stop(): Promise<void> {
    await this.#door.stop();
  }
}
