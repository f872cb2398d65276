// Whom a member of a presigning names, and bans, when another one alters anything that it sends, in whatever order the
// messages come: that one or nobody, never the third, and never because of something unexpected.
import assert from 'node:assert/strict';
import { Abort, type AbortCode } from '../../node/mpc/abort.ts';
import {
  commitLength,
  digestLength,
  multiplyLength,
  saltLength,
} from '../../node/mpc/dkls23/presign-messages.ts';
import { Presigning } from '../../node/mpc/dkls23/presigning.ts';
import { productRequestLength, productResponseLength } from '../../node/mpc/dkls23/product.ts';
import { presignKinds } from '../../node/mpc/rounds.ts';
import { Chance, seedFromEnvironment } from '../support/chance.ts';
import { ecdsaShares, presigningOptions, runPresigning } from '../support/dkls23-parties.ts';

const set = [1, 2, 3];
const { commit, multiply } = presignKinds(0);
const headerLength = 1 + 32;
const bans: readonly AbortCode[] = ['transfer_check', 'product_check', 'inconsistent_inputs'];

/** Fields of a message of one item, in order: bytes, and what altering one may come to; undefined: nothing here. */
type Field = readonly [name: string, bytes: number, codes: readonly (AbortCode | undefined)[]];
const point = ['malformed_point', 'inconsistent_inputs'] as const;
const commitFields: readonly Field[] = [
  ['setup id', 32, ['setup_mismatch']],
  ['commitment', digestLength, ['opening_mismatch', 'echo_mismatch']],
  ['u', 128 * 80, ['transfer_check']],
  ['x', 16, ['transfer_check']],
  ['T', 128 * 16, ['transfer_check']],
];
const multiplyFields: readonly Field[] = [
  ['setup id', 32, ['setup_mismatch']],
  ['R', 33, point],
  ['salt', saltLength, ['opening_mismatch']],
  ['at', productResponseLength - 64, ['product_check', 'malformed_scalar']],
  ['eta', 32, ['product_check', 'malformed_scalar']],
  ['H(mu)', 32, ['product_check']],
  ['Gamma_u', 33, point],
  ['Gamma_v', 33, point],
  ['psi', 32, [undefined, 'malformed_scalar']],
  ['pk', 33, point],
  ['echo', set.length * digestLength, ['echo_mismatch']],
];
const named: readonly AbortCode[] = [...bans, ...point, 'opening_mismatch', 'malformed_scalar'];

/** Who sent it, and of which round; in the order in which party 1 gets them. */
type Order = readonly (readonly [from: 2 | 3, kind: number])[];
const orders: readonly Order[] = [
  [
    [3, commit],
    [2, commit],
    [3, multiply],
    [2, multiply],
  ],
  [
    [2, commit],
    [3, commit],
    [2, multiply],
    [3, multiply],
  ],
  // Party 3 is ahead of party 2: its second message waits.
  [
    [3, commit],
    [3, multiply],
    [2, commit],
    [2, multiply],
  ],
  [
    [2, commit],
    [2, multiply],
    [3, commit],
    [3, multiply],
  ],
];

describe('DKLs23 presigning: whom it names', function () {
  this.timeout(120_000);
  const shares = ecdsaShares(5, 3);
  const recorded = new Map<string, Uint8Array>();

  before(() => {
    const { aborts, delivered } = runPresigning(presigningOptions(set, shares));
    assert.equal(aborts.size, 0);
    for (const { from, to, bytes } of delivered)
      if (to === 1) recorded.set(`${from} ${bytes[0]}`, bytes.slice());
  });

  /** What party 1 ends with. */
  function ending(order: Order, alter: (from: number, bytes: Uint8Array) => Uint8Array): Abort | undefined {
    const machine = new Presigning(presigningOptions(set, shares).get(1)!);
    machine.start();
    try {
      for (const [from, kind] of order)
        machine.receive(from, alter(from, recorded.get(`${from} ${kind}`)!.slice()));
      return undefined;
    } catch (error) {
      assert.ok(error instanceof Abort, String(error));
      return error;
    } finally {
      machine.destroy();
    }
  }

  it('nobody, in any order, when nothing was altered', () => {
    for (const order of orders)
      assert.equal(
        ending(order, (_, bytes) => bytes),
        undefined,
      );
  });

  for (const [kind, fields, length] of [
    [commit, commitFields, commitLength(1)],
    [multiply, multiplyFields, multiplyLength(1, set.length)],
  ] as const) {
    let start = headerLength;
    for (const [name, bytes, codes] of fields) {
      const at = start;
      start += bytes;
      it(`${name} of ${kind === commit ? 'commit' : 'multiply'}: ${codes.map((code) => code ?? 'nothing').join(' or ')}`, () => {
        const chance = new Chance(seedFromEnvironment());
        for (const order of orders) {
          const place = chance.of([at, at + bytes - 1, at + chance.below(bytes)]);
          const change = 1 + chance.below(255);
          const abort = ending(order, (from, message) => {
            if (from === 3 && message[0] === kind) message[place]! ^= change;
            return message;
          });
          const told = `byte ${place} ^ ${change}: ${abort?.message}`;
          assert.ok(codes.includes(abort?.code), told);
          assert.equal(abort?.culprit, abort && named.includes(abort.code) ? 3 : undefined, told);
          assert.equal(abort?.ban ?? false, abort !== undefined && bans.includes(abort.code), told);
        }
      });
    }
    it(`the fields are all of a ${kind === commit ? 'commit' : 'multiply'}`, () =>
      assert.equal(start, headerLength + length));
  }

  it('a request has u, x and T', () => assert.equal(productRequestLength, 128 * 80 + 16 + 128 * 16));
});
