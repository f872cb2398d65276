// Owners who get what they ask for from a network whose processes die: every record is built once and sent until it is
// answered; what was asked for, and what the workspace's stream told meanwhile, is kept for the judge.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { buildDecision, buildKeyRequest, buildSignRequest } from '../../client/records.ts';
import { RpcClientError } from '../../client/rpc-error.ts';
import { type Hex, toHex } from '../../protocol/hex.ts';
import type { KeyType } from '../../protocol/keys/key-type.ts';
import type { Payload } from '../../protocol/payloads/payload.ts';
import { assertFulfilled, isLostRun } from './crash-judge.ts';
import type { LocalNetwork } from './local-network.ts';
import { until } from './until.ts';

/** A key takes all nodes at once, which may not be there before the last kill. */
const finalWithinMs = 240_000;

/** Waits for a call that the coordinator answers at last, however often it dies meanwhile. */
export async function persist<Answer>(call: () => Promise<Answer>): Promise<Answer> {
  let answer: { readonly value: Answer } | undefined;
  let last: unknown;
  await until(
    async () => {
      try {
        answer = { value: await call() };
      } catch (error) {
        if (!(error instanceof RpcClientError)) throw error;
        if (error.code !== 'unreachable' && error.code !== 'timeout') throw error;
        last = error;
        await delay(20);
      }
      return answer !== undefined;
    },
    () => `an answer (${String(last)})`,
    90_000,
  );
  return answer!.value;
}

export class PersistentOwners {
  readonly keys: Hex[] = [];
  /** Key requests that ended refused, because a party had lost its run. */
  readonly lost: Hex[] = [];
  readonly signatures: Hex[] = [];
  /** Events of the workspace by sequence, as an owner has seen them. */
  readonly seen = new Map<number, string>();
  /** Requests in order, since whoever watches for their processes to die has emptied it. */
  underWay: readonly Hex[] = [];
  readonly #net: LocalNetwork;
  readonly #stopping = new AbortController();
  readonly #watch: Promise<void>;

  constructor(net: LocalNetwork) {
    this.#net = net;
    this.#watch = this.#watchEvents();
    this.#watch.catch(() => undefined); // Told by stop.
  }

  async #watchEvents(): Promise<void> {
    const { network, owners } = this.#net;
    const stream = { kind: 'workspace', id: network.workspaceId } as const;
    const { signal } = this.#stopping;
    let last = 0;
    while (!signal.aborted) {
      try {
        for await (const { sequence, event } of owners.carol.client.events(stream, last, { signal })) {
          assert.equal(sequence, last + 1);
          this.seen.set(sequence, JSON.stringify(event));
          last = sequence;
        }
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error;
        await delay(20);
      }
    }
  }

  /** Asks for a key and waits for its end. Returns whether it was made; `mayBeLost`: whether it need not be. */
  async makeKey(mayBeLost: () => boolean, keyType: KeyType = 'ed25519'): Promise<boolean> {
    const { network, owners, workspace } = this.#net;
    const { networkId, keyringId } = network;
    const { signer, client } = owners.alice;
    const label = `key-${this.keys.length + this.lost.length + 1}`;
    const options = { networkId, workspace, keyringId, keyType, label } as const;
    const { id, envelope } = buildKeyRequest(options, signer);
    this.underWay = [...this.underWay, id];
    const view = await persist(() => client.call('key_request', { request: envelope }));
    assert.equal(view.requestId, id);
    const final = await this.#net.final(id, finalWithinMs);
    const lost = isLostRun(final) && mayBeLost();
    if (!lost) assertFulfilled(this.#net, final);
    (lost ? this.lost : this.keys).push(id);
    return !lost;
  }

  /** Asks for a signature by the first key, has it approved, and waits until it is there. */
  async sign(): Promise<void> {
    const data = toHex(new TextEncoder().encode(`message ${this.signatures.length + 1}`));
    await this.signWith(this.keys[0]!, { kind: 'message', data });
  }

  /** One request of all payloads. Returns its id. */
  async signWith(keyId: Hex, ...payloads: readonly Payload[]): Promise<Hex> {
    const { network, owners, workspace } = this.#net;
    const { networkId } = network;
    const { alice, bob } = owners;
    const items = payloads.map((payload) => ({ keyId, payload }));
    const { id, envelope } = buildSignRequest({ networkId, workspace, items }, alice.signer);
    this.underWay = [...this.underWay, id];
    this.signatures.push(id);
    const asked = await persist(() => alice.client.call('sign_request', { request: envelope }));
    assert.equal(asked.requestId, id);
    const about = { networkId, workspace, subject: id, decision: 'approve', decisions: [] } as const;
    const decision = buildDecision(about, bob.signer).envelope;
    const view = await persist(() => bob.client.call('action_decide', { decision }));
    assert.equal(view.decisions.length, 1);
    assertFulfilled(this.#net, await this.#net.final(id, finalWithinMs));
    return id;
  }

  /** Ends the watch. Throws what it found wrong. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#watch;
  }
}
