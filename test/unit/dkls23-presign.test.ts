// Presigning: what honest members get, and every check against one who is not.
import assert from 'node:assert/strict';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { Abort, type AbortCode } from '../../node/mpc/abort.ts';
import { chunkSize, multiplyLength } from '../../node/mpc/dkls23/presign-messages.ts';
import type { MultiplyItem } from '../../node/mpc/dkls23/presign-messages.ts';
import type { Presignature } from '../../node/mpc/dkls23/presignature.ts';
import { Presigning, type PresigningOptions } from '../../node/mpc/dkls23/presigning.ts';
import { SecretMultiple } from '../../node/mpc/dkls23/secret-multiple.ts';
import { secp256k1Group as group } from '../../node/mpc/group.ts';
import type { Machine, PartyIndex } from '../../node/mpc/machine.ts';
import { randomScalar } from '../../node/mpc/random.ts';
import { presignKinds } from '../../node/mpc/rounds.ts';
import { throwsAbort } from '../support/assert-abort.ts';
import { type Cheat, CheatingPresigner } from '../support/dkls23-cheat.ts';
import {
  dealtSetup,
  dealtSetups,
  digestOf,
  ecdsaShares,
  keyOf,
  presignaturesOf,
  presigningOptions,
  runPresigning,
  runSigning,
  type Shares,
  signingOptions,
  wholeKey,
} from '../support/dkls23-parties.ts';
import { seedOf } from '../support/fixture.ts';
import { type NetworkOptions, type NetworkResult, runNetwork, seededRandom } from '../support/mpc-network.ts';

type Made = readonly Presignature[];
const { Fn } = secp256k1.Point;
const shares = ecdsaShares(3, 2);

/** What the members' secrets add up to. */
function opened(presignatures: Iterable<Presignature>): { phi: bigint; u: bigint; v: bigint } {
  const sums = [0n, 0n, 0n];
  for (const { secrets } of presignatures)
    for (const at of [0, 1, 2])
      sums[at] = Fn.add(sums[at]!, Fn.fromBytes(secrets.subarray(32 * at, 32 * at + 32)));
  const [phi, u, v] = sums as [bigint, bigint, bigint];
  return { phi, u, v };
}

/** sum u = k phi and R = k G; sum v = x phi. */
function assertRelations(presignatures: readonly Presignature[], key: bigint): void {
  const { phi, u, v } = opened(presignatures);
  const k = Fn.div(u, phi);
  assert.equal(v, Fn.mul(key, phi));
  for (const { nonce } of presignatures)
    assert.deepEqual(nonce, secp256k1.Point.BASE.multiply(k).toBytes(true));
}

/** The last of the set cheats. */
function cheated(
  cheat: Cheat,
  set: readonly PartyIndex[] = [1, 2],
  of: Shares = shares,
  network: NetworkOptions = {},
): NetworkResult<Made> {
  const options = presigningOptions(set, of);
  const machines = [...options].map(([self, each]): [PartyIndex, Machine<Made>] => [
    self,
    self === set.at(-1) ? new CheatingPresigner(each, cheat) : new Presigning(each),
  ]);
  return runNetwork(new Map(machines), network);
}

function assertAbort(
  abort: Abort | undefined,
  code: AbortCode,
  { culprit, ban }: { culprit?: PartyIndex; ban?: boolean } = {},
): void {
  assert.ok(abort instanceof Abort, 'nothing was noticed');
  assert.equal(abort.code, code, abort.message);
  assert.equal(abort.culprit, culprit);
  assert.equal(abort.ban ?? false, ban ?? false);
}

describe('DKLs23 presigning', function () {
  this.timeout(60_000);

  for (const [set, t, n] of [
    [[1, 2], 2, 3],
    [[3, 1], 2, 3],
    [[2, 3, 5], 3, 5],
    [[1, 3, 4, 8, 9], 5, 9],
  ] as const) {
    it(`gives ${set.join(', ')} of ${t}/${n} shares of k phi and x phi, and R = k G`, () => {
      const of = ecdsaShares(n, t);
      const { outputs, aborts } = runPresigning(presigningOptions(set, of));
      assert.deepEqual([...aborts.values()], []);
      assert.equal(outputs.size, t);
      const made = [...outputs.values()].map(([one]) => one!);
      assertRelations(made, wholeKey(of, set));
      for (const each of made) {
        assert.deepEqual(each.id, seedOf('presigning/id/0'));
        assert.deepEqual(each.set, set.toSorted());
        assert.deepEqual(each.publicKey, of.get(1)!.publicKey);
      }
    });
  }

  it('makes several in chunks, no value of one in another', () => {
    const count = chunkSize + 1;
    const { outputs } = runPresigning(presigningOptions([1, 2], shares, { count }));
    const all = [...outputs.values()];
    for (let at = 0; at < count; at++)
      assertRelations(
        all.map((made) => made[at]!),
        wholeKey(shares, [1, 2]),
      );
    const values = all
      .flat()
      .flatMap(({ nonce, secrets }) => [
        Buffer.from(nonce).toString('hex'),
        ...[0, 1, 2].map((at) => Buffer.from(secrets.subarray(32 * at, 32 * at + 32)).toString('hex')),
      ]);
    assert.equal(new Set(values).size, count * (1 + 2 * 3));
  });

  it('sends no message of 256 KiB, whatever the set', () => {
    for (const size of [2, 64]) assert.ok(33 + multiplyLength(chunkSize, size) < 256 * 1024);
  });

  it('overwrites the setups at its end, however it ends', () => {
    const left = (options: PresigningOptions): boolean =>
      [...options.setups.values()].some(({ secrets }) => secrets.some((byte) => byte !== 0));
    const finished = presigningOptions([1, 2], shares);
    runPresigning(finished);
    assert.deepEqual([...finished.values()].map(left), [false, false]);
    const destroyed = presigningOptions([1, 2], shares).get(1)!;
    const machine = new Presigning(destroyed);
    machine.start();
    assert.ok(left(destroyed));
    machine.destroy();
    assert.ok(!left(destroyed));
    const refused = { ...presigningOptions([1, 2], shares).get(1)!, ids: [] };
    assert.throws(() => new Presigning(refused), throwsAbort('item_count'));
    assert.ok(!left(refused));
  });

  describe('refuses to start with', () => {
    const cases: [string, AbortCode, (options: PresigningOptions) => Partial<PresigningOptions>][] = [
      ['a short session id', 'invalid_session', () => ({ sid: new Uint8Array(31) })],
      ['no id', 'item_count', () => ({ ids: [] })],
      ['nine ids', 'item_count', () => ({ ids: Array.from({ length: 9 }, (_, at) => seedOf(at)) })],
      ['a short id', 'presignature_id', () => ({ ids: [new Uint8Array(31)] })],
      ['an id twice', 'presignature_id', () => ({ ids: [seedOf(1), seedOf(1)] })],
      [
        'a set above the threshold',
        'set_size',
        () => ({ set: [1, 2, 3], setups: dealtSetups(1, [1, 2, 3]) }),
      ],
      ['a set below the threshold', 'set_size', () => ({ set: [1], setups: new Map() })],
      ['a member twice', 'duplicate_member', () => ({ set: [1, 2, 2] })],
      ['a set of others', 'self_not_in_set', () => ({ set: [2, 3] })],
      ['a stranger', 'stranger_in_set', () => ({ set: [1, 77], setups: dealtSetups(1, [1, 77]) })],
      ["another party's key", 'key_mismatch', () => ({ key: keyOf(shares, 2) })],
      ['no setup', 'missing_setup', () => ({ setups: new Map() })],
      [
        "a stranger's setup",
        'stranger_in_set',
        ({ setups }) => ({ setups: new Map([...setups, [3, dealtSetup(1, 3)]]) }),
      ],
      [
        "another's setup under its name",
        'stranger_in_set',
        () => ({ setups: new Map([[2, dealtSetup(1, 3)]]) }),
      ],
      [
        'a setup of another party',
        'malformed_setup',
        () => ({ setups: new Map([[2, { ...dealtSetup(3, 2) }]]) }),
      ],
    ];
    for (const [what, code, spoil] of cases)
      it(what, () => {
        const good = presigningOptions([1, 2], shares).get(1)!;
        const options = { ...good, ...spoil(good) };
        assert.throws(() => new Presigning(options), throwsAbort(code));
        for (const { secrets } of options.setups.values()) assert.ok(secrets.every((byte) => byte === 0));
      });
  });

  describe('against a member that', () => {
    it('follows the rules (a control: the cheat can)', () => {
      for (const [set, of] of [
        [[1, 2], shares],
        [[1, 2, 3], ecdsaShares(5, 3)],
      ] as const) {
        const { outputs, aborts } = cheated({}, set, of);
        assert.deepEqual([...aborts.values()], []);
        assertRelations(
          [...outputs.values()].map(([one]) => one!),
          wholeKey(of, set),
        );
      }
    });

    const inputs: [string, Cheat['inputs']][] = [
      ['another k', (k, sk) => [Fn.add(k, 1n), sk]],
      ['the negative of k', (k, sk) => [Fn.neg(k), sk]],
      ['k = 0', (_, sk) => [0n, sk]],
      ['another sk', (k, sk) => [k, Fn.add(sk, 1n)]],
      ['the negative of sk', (k, sk) => [k, Fn.neg(sk)]],
      ['k and sk exchanged', (k, sk) => [sk, k]],
    ];
    for (const [what, other] of inputs)
      it(`multiplies ${what}: inconsistent_inputs, banned`, () => {
        const { aborts, outputs } = cheated({ inputs: other! });
        assertAbort(aborts.get(1), 'inconsistent_inputs', { culprit: 2, ban: true });
        assert.equal(outputs.get(1), undefined);
      });

    it('multiplies another k with one of two only: that one bans it, and the other is told nothing', () => {
      const of = ecdsaShares(5, 3);
      const { aborts } = cheated(
        { inputs: (k, sk, peer) => (peer === 1 ? [Fn.add(k, 1n), sk] : [k, sk]) },
        [1, 2, 4],
        of,
      );
      assertAbort(aborts.get(1), 'inconsistent_inputs', { culprit: 4, ban: true });
      assert.equal(aborts.get(2), undefined);
    });

    it('hides the negative of k behind a Gamma of the other sign: still caught', () => {
      // x(chi R) would agree with x of the right side: the second multiple tells them apart.
      const { aborts } = cheated({
        inputs: (k, sk) => [Fn.neg(k), sk],
        multiply: (item) => ({
          ...item,
          gammaU: group.encodePoint(group.identity.subtract(group.decodePoint(item.gammaU))),
        }),
      });
      assertAbort(aborts.get(1), 'inconsistent_inputs', { culprit: 2, ban: true });
    });

    it('multiplies another key consistently: public_key_mismatch, nobody named', () => {
      const { aborts } = cheated({ addedToShare: 1n });
      assertAbort(aborts.get(1), 'public_key_mismatch');
    });

    it('makes the sum of nonces vanish, if it could know them: identity_nonce', () => {
      const k = randomScalar(group, seededRandom('presigning/1'));
      const { aborts } = cheated({ k: Fn.neg(k) });
      assertAbort(aborts.get(1), 'identity_nonce');
    });

    it('opens another R than it committed to: opening_mismatch, named', () => {
      const { aborts } = cheated({ multiply: (item) => ({ ...item, salt: seedOf('another salt') }) });
      assertAbort(aborts.get(1), 'opening_mismatch', { culprit: 2 });
    });

    it('commits to two different openings: echo_mismatch, nobody named', () => {
      const of = ecdsaShares(5, 3);
      const { aborts, outputs } = cheated({ salt: (peer) => seedOf('salt', peer) }, [1, 2, 3], of);
      for (const honest of [1, 2]) {
        assertAbort(aborts.get(honest), 'echo_mismatch');
        assert.equal(outputs.get(honest), undefined);
      }
    });

    it('echoes something else: echo_mismatch, nobody named', () => {
      const { aborts } = cheated({ echo: ([first]) => [first!, seedOf('another')] });
      assertAbort(aborts.get(1), 'echo_mismatch');
    });

    it('lies about psi: presigning ends, and nothing but an invalid signature comes of it', () => {
      for (const [set, of] of [
        [[1, 2], shares],
        [[1, 2, 3], ecdsaShares(5, 3)],
      ] as const) {
        const psi = (item: MultiplyItem): Uint8Array =>
          group.encodeScalar(Fn.add(group.decodeScalar(item.psi), 1n));
        const presigned = cheated({ multiply: (item) => ({ ...item, psi: psi(item) }) }, set, of);
        assert.deepEqual([...presigned.aborts.values()], []);
        const wanted = { shares: of, digest: digestOf('x'), presignatures: presignaturesOf(presigned) };
        const { aborts, outputs } = runSigning(signingOptions(set, [wanted]));
        assert.equal(outputs.size, 0);
        for (const self of set) assertAbort(aborts.get(self), 'invalid_signature');
      }
    });

    const badPoint = Uint8Array.of(2, ...new Uint8Array(31), 5);
    const points: (keyof MultiplyItem)[] = ['nonce', 'gammaU', 'gammaV', 'publicShare'];
    for (const field of points) {
      it(`sends another point as ${field}: inconsistent_inputs, banned`, () => {
        const other = group.encodePoint(group.multiplyBase(5n));
        const { aborts } = cheated({ multiply: (item) => ({ ...item, [field]: other }) });
        assertAbort(aborts.get(1), 'inconsistent_inputs', { culprit: 2, ban: true });
      });
      for (const [what, bytes] of [
        ['no point', badPoint],
        ['the identity', new Uint8Array(33)],
      ] as const)
        it(`sends ${what} as ${field}: malformed_point, named`, () => {
          const { aborts } = cheated({ multiply: (item) => ({ ...item, [field]: bytes }) });
          assertAbort(aborts.get(1), 'malformed_point', { culprit: 2 });
        });
    }

    it('sends a psi above the order: malformed_scalar, named', () => {
      const psi = new Uint8Array(32).fill(0xff);
      const { aborts } = cheated({ multiply: (item) => ({ ...item, psi }) });
      assertAbort(aborts.get(1), 'malformed_scalar', { culprit: 2 });
    });

    const tail = (at: number) => (item: MultiplyItem) => ({
      ...item,
      response: item.response.with(item.response.length + at, item.response.at(at)! ^ 1),
    });
    for (const [what, multiply] of [
      ['the masked values', tail(-65)],
      ['eta', tail(-33)],
      ['the hash of mu', tail(-1)],
    ] as const)
      it(`alters ${what}: product_check, banned`, () => {
        const { aborts } = cheated({ multiply });
        assertAbort(aborts.get(1), 'product_check', { culprit: 2, ban: true });
      });

    it('covers a failed check with other faults: the ban comes first', () => {
      const cover: Partial<MultiplyItem> = {
        nonce: new Uint8Array(33),
        salt: seedOf('x'),
        gammaU: new Uint8Array(33),
        psi: new Uint8Array(32).fill(0xff),
      };
      const product = cheated({ multiply: (item) => ({ ...tail(-1)(item), ...cover }) });
      assertAbort(product.aborts.get(1), 'product_check', { culprit: 2, ban: true });
      const inconsistent = cheated({
        inputs: (k, sk) => [k, Fn.add(sk, 1n)],
        multiply: (item) => ({ ...item, salt: seedOf('x') }),
        echo: () => [seedOf(1), seedOf(2)],
      });
      assertAbort(inconsistent.aborts.get(1), 'inconsistent_inputs', { culprit: 2, ban: true });
    });
  });

  describe('messages', () => {
    const { commit, multiply } = presignKinds(0);
    /** What party 1 makes of what party 2 sends in a run of two chunks, altered on the way. */
    const altered = (
      kind: number,
      alter: (bytes: Uint8Array) => Uint8Array,
      options = presigningOptions([1, 2], shares, { count: 2 }),
    ): NetworkResult<Made> =>
      runPresigning(options, {
        alter: (envelope) =>
          envelope.from === 2 && envelope.bytes[0] === kind
            ? [{ ...envelope, bytes: alter(envelope.bytes) }]
            : [envelope],
      });
    const flipped = (at: number) => (bytes: Uint8Array) => bytes.with(at, bytes.at(at)! ^ 1);

    for (const [name, kind] of [
      ['commit', commit],
      ['multiply', multiply],
    ] as const) {
      for (const [what, alter] of [
        ['truncated', (bytes: Uint8Array) => bytes.slice(0, -1)],
        ['extended', (bytes: Uint8Array) => Uint8Array.of(...bytes, 0)],
        ['empty', (bytes: Uint8Array) => bytes.slice(0, 33)],
      ] as const)
        it(`${name}, ${what}: malformed_message, named`, () =>
          assertAbort(altered(kind, alter).aborts.get(1), 'malformed_message', { culprit: 2 }));

      it(`${name} of another kind: unknown_message, named`, () =>
        assertAbort(altered(kind, flipped(0)).aborts.get(1), 'unknown_message', { culprit: 2 }));

      it(`${name} of another session: dropped`, () => {
        const { aborts, outputs } = altered(kind, flipped(1));
        assert.equal(aborts.get(1), undefined);
        assert.equal(outputs.get(1), undefined);
      });

      it(`${name} of another setup: setup_mismatch before any check, nobody named or banned`, () => {
        const spoilt = (bytes: Uint8Array): Uint8Array =>
          bytes.map((byte, at) => (at < 33 ? byte : byte ^ 1));
        assertAbort(altered(kind, spoilt).aborts.get(1), 'setup_mismatch');
      });
    }

    it('two that lost each other find out by the setup ids', () => {
      const options = presigningOptions([1, 2], shares);
      options.set(2, { ...options.get(2)!, setups: dealtSetups(2, [1, 2], 'another setup') });
      const { aborts } = runPresigning(options);
      for (const self of [1, 2]) assertAbort(aborts.get(self), 'setup_mismatch');
    });

    it('rows of the second item altered: transfer_check, banned, and no answer leaves', () => {
      const { aborts, delivered } = altered(commit, flipped(-1));
      assertAbort(aborts.get(1), 'transfer_check', { culprit: 2, ban: true });
      assert.ok(delivered.every(({ from, bytes }) => from !== 1 || bytes[0] === commit));
    });

    it('the commitment altered: opening_mismatch, named', () => {
      // Its sender would notice by the echo, so it must have sent its opening before it got that.
      const [first, second] = [...presigningOptions([1, 2], shares).values()].map(
        (each) => new Presigning(each),
      );
      const [mine] = first!.start().messages;
      const [theirs] = second!.start().messages;
      first!.receive(2, flipped(33 + 32)(theirs!.bytes));
      const [opening] = second!.receive(1, mine!.bytes).messages;
      assert.throws(() => first!.receive(2, opening!.bytes), throwsAbort('opening_mismatch', 2));
    });

    it('the echo altered: echo_mismatch, nobody named', () =>
      assertAbort(altered(multiply, flipped(-1)).aborts.get(1), 'echo_mismatch'));

    it('a message twice, another message, a stranger, an early one', () => {
      const options = presigningOptions([1, 2, 3], ecdsaShares(5, 3));
      const started = (): Presigning => {
        const machine = new Presigning(presigningOptions([1, 2, 3], ecdsaShares(5, 3)).get(1)!);
        machine.start();
        return machine;
      };
      const second = new Presigning(options.get(2)!);
      const bytes = second.start().messages.find(({ to }) => to === 1)!.bytes;
      const twice = started();
      twice.receive(2, bytes);
      assert.throws(() => twice.receive(2, bytes), throwsAbort('duplicate_message'));
      const other = started();
      other.receive(2, bytes);
      assert.throws(() => other.receive(2, flipped(70)(bytes)), throwsAbort('equivocation', 2));
      assert.throws(() => started().receive(4, bytes), throwsAbort('not_a_member'));
      assert.throws(
        () => started().receive(2, Uint8Array.of(commit + 1, ...bytes.subarray(1))),
        throwsAbort('unknown_message', 2),
      );
    });

    it('of the next round are held until it begins', () => {
      const set = [1, 2, 3];
      const of = ecdsaShares(5, 3);
      // Party 3's commitment reaches party 1 last of all.
      const late: { from: number; to: number; bytes: Uint8Array }[] = [];
      const machines = [...presigningOptions(set, of)].map(
        ([self, each]) => [self, new Presigning(each)] as const,
      );
      const { outputs } = runNetwork<Made>(new Map(machines), {
        alter: (envelope) => {
          if (envelope.from !== 3 || envelope.to !== 1) return [envelope];
          late.push(envelope);
          return [];
        },
      });
      assert.equal(outputs.size, 0);
      const first = machines[0]![1];
      assert.deepEqual(first.awaited(), [3]);
      const answers = first.receive(3, late[0]!.bytes).messages;
      assert.deepEqual(new Set(answers.map(({ to }) => to)), new Set([2, 3]));
      assert.deepEqual(first.awaited(), [3]);
    });
  });

  it('pauses between items and counterparties', () => {
    const machine = new Presigning(presigningOptions([1, 2, 3], ecdsaShares(5, 3), { count: 2 }).get(1)!);
    let pauses = 0;
    for (const slices = machine.startInSlices(); !slices.next().done;) pauses++;
    assert.equal(pauses, 4);
  });

  it('tells a secret multiple from every other point', () => {
    const point = group.multiplyBase(7n);
    const times = (scalar: bigint) => group.multiplyBase(Fn.create(7n * scalar));
    for (const scalar of [0n, 1n, 2n, Fn.create(-1n), Fn.create(-2n), 1n << 255n]) {
      const secret = new SecretMultiple(scalar);
      assert.ok(secret.relates(point, times(scalar)), `${scalar}`);
      assert.ok(!secret.relates(point, times(scalar + 1n)));
      assert.ok(!secret.relates(point, point.add(times(scalar + 5n))));
      if (scalar !== 0n) assert.ok(!secret.relates(point, times(-scalar)));
      if (scalar !== 0n) assert.ok(!secret.relates(point, group.identity));
      // What agrees in the second multiple only.
      if (scalar !== Fn.create(-1n)) assert.ok(!secret.relates(point, times(-scalar - 2n)));
    }
  });
});
