// The other parties of a keyring, from this node: by the channels of a running node, and by asking who answers at their
// addresses.
import * as z from 'zod';
import { judgeClocks } from '../../node/clocks.ts';
import { NetworkError } from '../../node/network/network-error.ts';
import { probePeer, type ProbeOutcome } from '../../node/network/probe.ts';
import type { Party } from '../../protocol/records/keyring-roster.ts';
import type { Findings } from './findings.ts';
import type { Machine } from './machine.ts';

/** What a running node says, as far as it is used here: it may be of another version. */
export const runningSchema = z.looseObject({
  pid: z.int(),
  version: z.string().optional(),
  state: z.string(),
  paused: z.object({ since: z.string(), reason: z.string().optional() }).optional(),
  addresses: z.array(z.string()),
  blame: z.number().optional(),
  peers: z.array(
    z.looseObject({
      name: z.string(),
      key: z.string(),
      up: z.boolean(),
      wentBack: z.boolean().optional(),
      bootCounter: z.number().optional(),
      highestBoot: z.number().optional(),
      lastDial: z.looseObject({ failures: z.number(), error: z.string() }).optional(),
      clock: z.object({ aheadMs: z.number(), roundTripMs: z.number() }).optional(),
    }),
  ),
});
export type Running = z.output<typeof runningSchema>;

interface Asked {
  readonly party: Party;
  readonly addresses: readonly string[];
  readonly outcome: ProbeOutcome | undefined;
}

/** The best that any of a party's addresses gives; undefined when it has none. */
async function ask(
  { signal, patienceMs }: Machine,
  party: Party,
  addresses: readonly string[],
): Promise<Asked> {
  const outcomes = await Promise.all(
    addresses.map(async (address): Promise<ProbeOutcome> => {
      try {
        return await probePeer({ address, credential: party.key, timeoutMs: patienceMs, signal });
      } catch (error) {
        if (!(error instanceof NetworkError)) throw error;
        return { is: 'unreachable', reason: error.message };
      }
    }),
  );
  const best = (['proven', 'other', 'unreachable'] as const)
    .map((is) => outcomes.find((outcome) => outcome.is === is))
    .find((outcome) => outcome !== undefined);
  return { party, addresses, outcome: best };
}

export interface PeerCheck {
  /** All parties of the roster, this one included. */
  readonly parties: readonly Party[];
  /** This party's key. */
  readonly self: string;
  readonly threshold: number;
  /** By party name or party key; they replace those of the roster. */
  readonly configured: Readonly<Record<string, readonly string[]>>;
  /** Undefined when this node does not run. */
  readonly running: Running | undefined;
}

export async function checkPeers(findings: Findings, machine: Machine, check: PeerCheck): Promise<void> {
  const { parties, self, threshold, configured, running } = check;
  const asked = await Promise.all(
    parties.map((party) => {
      const own = party.key === self;
      const addresses = own
        ? party.addresses
        : (configured[party.name] ?? configured[party.key] ?? party.addresses);
      return ask(machine, party, addresses);
    }),
  );
  let here = 1;
  for (const peer of asked) {
    if (peer.party.key === self) tellOwn(findings, peer, running);
    else if (tellPeer(findings, peer, running)) here += 1;
  }
  if (here < threshold) {
    const found = `${here} of ${parties.length} parties are here, this one included, and signing takes ${threshold}`;
    findings.wrong('peers_too_few', found);
  } else findings.ok('peer', `${here} of ${parties.length} parties are here, signing takes ${threshold}`);
  if (running !== undefined) checkPeerClocks(findings, running);
}

/** Whether the other parties can come to this node at the addresses that the roster gives them. */
function tellOwn(
  findings: Findings,
  { party, addresses, outcome }: Asked,
  running: Running | undefined,
): void {
  if (running === undefined || outcome === undefined) return;
  const where = addresses.join(' ');
  if (outcome.is === 'proven') findings.ok('peer', `this node answers at its announced address ${where}`);
  else {
    const how = outcome.is === 'other' ? `somebody else (${outcome.peerId}) answers` : outcome.reason;
    findings.wrong('announced_unreachable', `${party.name} at ${where}, asked from this machine: ${how}`);
  }
}

/** Whether the peer is there. */
function tellPeer(findings: Findings, peer: Asked, running: Running | undefined): boolean {
  const { party, addresses, outcome } = peer;
  const known = running?.peers.find(({ key }) => key === party.key);
  const where = addresses.join(' ');
  if (known?.wentBack === true) {
    const before =
      known.bootCounter === known.highestBoot
        ? 'another start of it had that number'
        : `it was at ${known.highestBoot} before`;
    const found = `${party.name} shows boot ${known.bootCounter}, ${before}`;
    findings.wrong('peer_went_back', found);
  }
  if (outcome?.is === 'other') {
    findings.wrong(
      'peer_wrong_identity',
      `${party.name}: at ${where} answers ${outcome.peerId}, whose key is not the roster's`,
    );
    return known?.up === true;
  }
  if (outcome === undefined && known?.up !== true) {
    findings.wrong('peer_no_address', `${party.name}: neither roster nor configuration names an address`);
    return false;
  }
  if (known?.up === true) {
    if (outcome === undefined || outcome.is === 'proven') {
      const both = outcome === undefined ? ', by its own connection' : ', and answers at its address';
      findings.ok('peer', `${party.name} is connected${both}`);
    } else
      findings.wrong(
        'peer_one_way',
        `${party.name} is connected, but not to be reached at ${where}: ${outcome.reason}`,
      );
    return true;
  }
  if (outcome?.is === 'proven') {
    if (running === undefined) findings.ok('peer', `${party.name} answers at ${where} with the roster's key`);
    else {
      const why = known?.lastDial === undefined ? '' : ` (${known.lastDial.error})`;
      findings.wrong(
        'peer_no_channel',
        `${party.name} answers at ${where}, but there is no channel to it${why}`,
      );
    }
    return running === undefined;
  }
  findings.wrong('peer_unreachable', `${party.name} at ${where}: ${outcome?.reason ?? 'no address'}`);
  return false;
}

function checkPeerClocks(findings: Findings, { peers }: Running): void {
  const measured = peers.flatMap(({ key, up, clock }) =>
    up && clock !== undefined ? [{ party: key, ...clock }] : [],
  );
  if (measured.length === 0) {
    findings.wrong('clock_unchecked', "no peer's clock has been measured yet");
    return;
  }
  const judged = judgeClocks(measured);
  const seconds = (ms: number): string =>
    `${Math.round(Math.abs(ms) / 1000)} s ${ms > 0 ? 'ahead' : 'behind'}`;
  const { own } = judged;
  if (own !== undefined)
    findings.wrong('clock_wrong', `this machine's clock is ${seconds(-own)} of most peers'`);
  for (const { party, aheadMs } of judged.peers) {
    const name = peers.find(({ key }) => key === party)?.name ?? party;
    findings.wrong('clock_peer_differs', `${name}'s clock is ${seconds(aheadMs)}`);
  }
  if (own === undefined && judged.peers.length === 0) {
    findings.ok('clock', `this machine's clock agrees with ${measured.length} peers'`);
  }
}
