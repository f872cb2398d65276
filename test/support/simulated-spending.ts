// Transfers under a limit in a simulated network, and what must hold of them whoever crashes and whoever lies. The window is
// longer than a simulation: whatever is signed in one is signed within one window.
import assert from 'node:assert/strict';
import type { Evidence } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { Policy } from '../../protocol/policy/schema.ts';
import { changed, transferLedBy, transfers } from './changed-network.ts';
import type { Chance } from './chance.ts';
import type { World } from './fixture.ts';
import type { KeyedNetwork } from './session-attacker.ts';
import type { SimulatedNode } from './session-world.ts';

/** Lamports. */
const limit = 100_000n;
/** Of every transfer. */
const fee = 5000n;
/** Of the larger two no honest party may begin both. */
const amounts = [55_000n, 50_000n, 30_000n, 15_000n];

function limited(): Policy {
  const spending = transfers({ limit: { amount: String(limit), per: '24h', scope: 'workspace' } });
  return {
    ...spending,
    rules: [
      ...spending.rules,
      { id: 'keys', effect: 'allow', when: { kind: ['key.request'] }, require: { k: 1, of: 'owners' } },
    ],
  };
}

const sumOf = (values: Iterable<bigint>): bigint => [...values].reduce((sum, value) => sum + value, 0n);

export class SimulatedSpending {
  /** Its workspace has the limit, in the newest entry of its log. */
  readonly world: World;
  /** What can leave in all: L (n - f) / (q - f), as docs/policy.md has it. */
  readonly most: bigint;
  readonly #net: KeyedNetwork;
  /** What each transfer takes. */
  readonly #takes = new Map<Hex, bigint>();
  /** By honest party: transfers of which something has left it. */
  readonly #begun = new Map<string, Set<Hex>>();

  constructor(
    net: KeyedNetwork,
    { parties, threshold, liars }: { parties: number; threshold: number; liars: number },
  ) {
    const change = { kind: 'policy.sign' as const, policy: limited() };
    this.#net = net;
    this.world = { ...net.world, workspace: changed(net, net.world.workspace, change) };
    this.most = (limit * BigInt(parties - liars)) / BigInt(threshold - liars);
  }

  /** A transfer that one owner may ask for alone. */
  transfer(chance: Chance): { readonly id: Hex; readonly full: Evidence } {
    const lamports = chance.of(amounts);
    const leader = chance.below(this.#net.nodes.length);
    const made = transferLedBy(this.#net, this.world.workspace, lamports, leader);
    this.#takes.set(made.id, lamports + fee);
    return made;
  }

  /** Something of the rounds leaves an honest party: what it takes is on its disk, and it begins no more than the limit. */
  leaves({ party, store }: SimulatedNode, requestId: Hex): void {
    const takes = this.#takes.get(requestId);
    if (takes === undefined) return;
    const debits = store.debited.get(requestId)?.debits ?? [];
    assert.equal(sumOf(debits.map(({ amount }) => amount)), takes, 'took part before its debit was durable');
    const begun = this.#begun.get(party.credential) ?? new Set();
    this.#begun.set(party.credential, begun.add(requestId));
    const sum = sumOf([...begun].map((id) => this.#takes.get(id)!));
    assert(sum <= limit, `a party began ${sum} of a limit of ${limit}`);
  }

  /** What is signed, as anybody knows it, the party that lies too. Asserts that it is not more than may leave. */
  signed(): bigint {
    const isSigned = (id: Hex): boolean =>
      this.#net.nodes.some(({ store }) => {
        const result = store.finished.get(id);
        return result !== undefined && store.kindOf(result) === 'signatures';
      });
    const sum = sumOf([...this.#takes].flatMap(([id, takes]) => (isSigned(id) ? [takes] : [])));
    assert(sum <= this.most, `${sum} were signed, at most ${this.most} may be`);
    return sum;
  }
}
