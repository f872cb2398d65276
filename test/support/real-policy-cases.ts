// Generated policies about payloads as they really are, for processes whose clocks nobody sets: whatever depends on time holds,
// or does not, for as long as a test may run. Amounts are made to fit those of the payloads that are drawn here.
import { Transaction } from '@scure/btc-signer';
import { encodeFunctionData, parseAbi, serializeTransaction } from 'viem/utils';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import { outputKeyOf } from '../../protocol/keys/taproot.ts';
import { taprootScript } from '../../protocol/payloads/bitcoin-transaction.ts';
import type { Payload } from '../../protocol/payloads/payload.ts';
import { transferMessage } from '../../protocol/payloads/solana-transfer.ts';
import { policySchema } from '../../protocol/policy/schema.ts';
import type { KeyView } from '../../protocol/rpc.ts';
import {
  type RefBounds,
  type RefFacts,
  type RefHours,
  type RefPolicy,
  type RefRule,
  referenceWithin,
} from '../reference/policy.ts';
import { bitcoin, type Draw, drawHours, drawPolicy, evm, solana } from './policy-cases.ts';
import { messagePayload } from './fixture.ts';

const minute = 60_000;
/** How long no clock may matter to a drawn policy: far longer than any test runs. */
const steadyMs = 60 * minute;
/** A thousand base units are one of each asset. */
const decimals = 3;
const amounts = [1000n, 1000n, 5000n, 5000n, 90_000n];
const recipients = [solana.friend, solana.mint];
const receivers = [evm.friend, evm.other] as Hex[];
const erc20 = parseAbi(['function transfer(address to, uint256 amount)', 'function burn(uint256 amount)']);

/** What could be known of every kind of item, for rules that are about some of them. */
const examples: readonly RefFacts[] = [
  { kind: 'message', understood: true, movements: [] },
  { kind: 'evm.message', understood: true, movements: [] },
  { kind: 'key.request', understood: true, movements: [] },
  {
    kind: 'solana.transaction',
    chain: 'solana',
    understood: true,
    movements: [{ chain: 'solana', address: 'native', to: [solana.friend], amount: 5000n }],
    fee: 5000n,
    programs: ['11111111111111111111111111111111'],
  },
  {
    kind: 'bitcoin.psbt',
    chain: 'bitcoin',
    understood: true,
    movements: [{ chain: 'bitcoin', address: 'native', to: [bitcoin.friend], amount: 5000n }],
    fee: 5000n,
    outputs: 1,
  },
  ...['native', evm.token].map((address): RefFacts => {
    const chain = 'eip155:1';
    const movements = [{ chain, address, to: [evm.friend], amount: 5000n }];
    const call = address === 'native' ? {} : { called: evm.token, selector: '0xa9059cbb' };
    return { kind: 'evm.transaction', chain, understood: true, movements, fee: 2100n, ...call };
  }),
];

/** Whether the hours hold, or not, from `from` on for as long as a test may run. */
function isSteady(hours: RefHours, from: number): boolean {
  const first = referenceWithin(hours, from);
  // Hours begin and end with whole minutes.
  for (let time = from - (from % minute); time <= from + steadyMs; time += minute)
    if (time > from && referenceWithin(hours, time) !== first) return false;
  return true;
}

function steadyHours(draw: Draw, drawn: RefHours, now: number): RefHours {
  let hours = drawn;
  while (!isSteady(hours, now)) hours = drawHours(draw);
  return hours;
}

const inThousands = (bounds: RefBounds): RefBounds =>
  Object.fromEntries(Object.entries(bounds).map(([bound, value]) => [bound, `${String(value)}000`]));

/**
 * The rule, with nothing in it that may come out otherwise in a moment. `areOld`: of requests made some minutes ago, for which
 * a rule of one minute is over for sure; of new ones it cannot be told.
 */
function steadyRule(draw: Draw, rule: RefRule, now: number, areOld: boolean): RefRule {
  const { limit, delay, ttl, when, ...rest } = rule;
  const { fee, ...conditions } = when ?? {};
  const hours = conditions.hours ?? (draw.chance(15) ? drawHours(draw) : undefined);
  const about = {
    ...conditions,
    ...(fee && { fee: inThousands(fee) }),
    ...(hours && { hours: steadyHours(draw, hours, now) }),
  };
  const isOver = areOld && rest.effect === 'allow' && draw.chance(80);
  const waits = delay !== undefined && !isOver;
  const lives = isOver ? '1m' : waits ? '7d' : ttl === '1m' && !areOld ? '1h' : ttl;
  return {
    ...rest,
    ...(Object.keys(about).length > 0 && { when: about }),
    ...(waits && { delay: '2d' }),
    ...(lives !== undefined && { ttl: lives }),
    ...(limit && { limit: { ...limit, per: limit.per === '1m' ? '24h' : limit.per } }),
  };
}

/** Rules of one asset each, with little room: a few transfers fit, and those after them wait. */
function tightRules(draw: Draw, prefix: string): RefRule[] {
  return ['LAMP', 'COIN', 'USDC', 'ETH'].map((asset): RefRule => {
    const limit = {
      amount: draw.of(['15', '22', '22.5', '40']),
      per: draw.of(['1h', '24h', '7d']),
      scope: draw.of(['key', 'workspace'] as const),
    };
    const require = { k: draw.of([1, 1, 2]), of: 'owners' };
    return {
      id: `${prefix}${asset.toLowerCase()}`,
      effect: 'allow',
      when: { asset: [asset] },
      require,
      limit,
    };
  });
}

export interface RealPolicyOptions {
  readonly now: number;
  /** Its requests were made some minutes ago. */
  readonly areOld?: boolean;
  /** It is about limits, and nothing else. */
  readonly isTight?: boolean;
}

const textKinds = ['message', 'evm.message'];

/**
 * Texts of one kind may be signed now, those of the other not before tomorrow or so, and only if everybody agrees, or after a
 * delay. In requests made some minutes ago it is too late for both.
 */
function textRules(draw: Draw, prefix: string, { now, areOld = false }: RealPolicyOptions): RefRule[] {
  const hoursThat = (hold: boolean): RefHours => {
    let hours = steadyHours(draw, drawHours(draw), now);
    while (referenceWithin(hours, now) !== hold) hours = steadyHours(draw, drawHours(draw), now);
    return hours;
  };
  const rules: RefRule[] = [
    {
      id: `${prefix}open`,
      effect: 'allow',
      when: { kind: ['evm.message'], hours: hoursThat(true) },
      require: { k: 2, of: 'owners' },
    },
    {
      id: `${prefix}shut`,
      effect: 'allow',
      when: { kind: ['message'], hours: hoursThat(false) },
      require: { k: 4, of: 'owners' },
    },
  ];
  if (areOld) return rules.map((rule) => ({ ...rule, ttl: '1m' }));
  const later: RefRule = {
    id: `${prefix}later`,
    effect: 'allow',
    when: { kind: ['message'] },
    require: { k: 4, of: 'owners' },
    delay: '2d',
    ttl: '7d',
  };
  return [...rules, later];
}

/**
 * A policy that the program takes, under which any owner may ask for keys, and texts are never denied: what can hold or end
 * a request happens for sure if enough of them are drawn.
 */
export function drawRealPolicy(draw: Draw, prefix: string, options: RealPolicyOptions): RefPolicy {
  const { now, areOld = false, isTight = false } = options;
  const parts = Array.from({ length: 3 }, (_, index) => drawPolicy(draw, `${prefix}${index}`, examples, 8));
  const [{ lists = {}, assets: plain = {} }] = parts as [RefPolicy];
  const groups = { ops: ['alice', 'bob'], risk: ['carol', 'dave'], mixed: ['bob', 'carol'] };
  const scaled = Object.entries(plain).map(([name, asset]) => [name, { ...asset, decimals }]);
  const around = { version: 1 as const, groups, lists, assets: Object.fromEntries(scaled) as typeof plain };
  const drawn = isTight
    ? tightRules(draw, prefix)
    : parts.flatMap(({ rules }) => rules).map((rule) => steadyRule(draw, rule, now, areOld));
  const known = JSON.parse(JSON.stringify(drawn).replaceAll('"erin"', '"dave"')) as RefRule[];
  const fit = known.filter((rule) => policySchema.safeParse({ ...around, rules: [rule] }).success);
  // Keys are made first of all.
  const narrow = fit.filter(
    ({ effect, when }) =>
      effect === 'allow' ||
      (when?.kind !== undefined && !when.kind.some((kind) => ['key.request', ...textKinds].includes(kind))),
  );
  const makesKeys: RefRule = {
    id: 'keys',
    effect: 'allow',
    when: { kind: ['key.request'] },
    require: { k: 1, of: 'owners' },
  };
  return { ...around, rules: [...narrow, ...textRules(draw, prefix, options), makesKeys] };
}

// ---- payloads

/** A PSBT that spends a made-up coin of the key: one output to somebody, the rest back. */
function spend(publicKey: Hex, amount: bigint, fee: bigint): Hex {
  const script = taprootScript(outputKeyOf(fromHex(publicKey)));
  const spending = new Transaction();
  const witnessUtxo = { script, amount: 1_000_000n };
  spending.addInput({ txid: new Uint8Array(32).fill(7), index: 0, witnessUtxo });
  spending.addOutputAddress(bitcoin.friend, amount);
  spending.addOutput({ script, amount: 1_000_000n - amount - fee });
  return toHex(spending.toPSBT());
}

/** A transfer of the coin or of a token, or a call that nobody here understands. */
function evmTransaction(draw: Draw, nonce: number): Hex {
  const fee = { gas: 2100n, maxFeePerGas: 1n, maxPriorityFeePerGas: 1n };
  const base = { type: 'eip1559', chainId: draw.of([1, 1, 1, 10]), nonce, ...fee } as const;
  const amount = draw.of(amounts);
  const what = draw.of(['coin', 'coin', 'token', 'token', 'call']);
  if (what === 'coin') return serializeTransaction({ ...base, to: draw.of(receivers), value: amount });
  const args = [draw.of(receivers), amount] as const;
  const data =
    what === 'token'
      ? encodeFunctionData({ abi: erc20, functionName: 'transfer', args })
      : encodeFunctionData({ abi: erc20, functionName: 'burn', args: [amount] });
  return serializeTransaction({ ...base, to: draw.of([evm.token, evm.token, evm.contract] as Hex[]), data });
}

/** Something for a key to sign, other than that of any other `number`. */
export function drawPayload(draw: Draw, { keyType, publicKey, addresses }: KeyView, number: number): Payload {
  const isText = draw.chance(25);
  if (keyType === 'ecdsa_secp256k1') {
    if (!isText) return { kind: 'evm.transaction', transaction: evmTransaction(draw, number) };
    return { kind: 'evm.message', data: toHex(new TextEncoder().encode(`case ${number}`)) };
  }
  if (isText) return messagePayload(`case ${number}`);
  if (keyType === 'taproot_secp256k1')
    return {
      kind: 'bitcoin.psbt',
      psbt: spend(publicKey!, draw.of(amounts), BigInt(1000 + number)),
      input: 0,
    };
  const from = addresses[0]!.address;
  const to = draw.of(recipients);
  const message = transferMessage({ from, to, lamports: draw.of(amounts), recentBlockhash: from });
  return { kind: 'solana.transaction', message: toHex(message) };
}
