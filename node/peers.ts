// The other parties as an operator sees them in `node status`: connection, clock, and boot counter against the highest one
// that this node remembers.
import { timestamp } from '../protocol/records/fields.ts';
import type { ClockJudgement, MeasuredClock } from './clocks.ts';
import type { PeerStatus } from './network/network.ts';
import { type PeerBoot, wentBack } from './store/peer-boots.ts';

/** Times are RFC 3339, UTC. */
export interface NodePeer {
  readonly name: string;
  /** The party's credential. */
  readonly key: string;
  readonly up: boolean;
  /** Since when it is up, or down: from this node's start, if it was never up. */
  readonly since: string;
  readonly bootId?: string;
  /** As the peer last said. */
  readonly bootCounter?: number;
  /** The highest that it ever showed to this node. */
  readonly highestBoot?: number;
  /** It shows a lower boot counter than before, or the same one for another start: it runs on an old copy of its folder. */
  readonly wentBack?: boolean;
  readonly lastDial?: { readonly at: string; readonly failures: number; readonly error: string };
  readonly clock?: { readonly aheadMs: number; readonly roundTripMs: number };
  readonly queuedBytes: number;
}

export function nodePeer(status: PeerStatus, name: string, highest: PeerBoot | undefined): NodePeer {
  const { key, up, since, downSince, bootId, bootCounter, lastDial, clock, queuedBytes } = status;
  const back =
    bootCounter !== undefined && highest !== undefined && wentBack({ counter: bootCounter, bootId }, highest);
  return {
    name,
    key,
    up,
    since: timestamp(since ?? downSince ?? 0),
    ...(bootId !== undefined && { bootId }),
    ...(bootCounter !== undefined && { bootCounter }),
    ...(highest !== undefined && { highestBoot: highest.counter }),
    ...(back && { wentBack: true }),
    ...(lastDial && {
      lastDial: { at: timestamp(lastDial.at), failures: lastDial.failures, error: lastDial.reason },
    }),
    ...(clock && { clock }),
    queuedBytes,
  };
}

/** Clocks of the peers that are up. */
export function measuredClocks(peers: readonly PeerStatus[]): readonly MeasuredClock[] {
  return peers.flatMap(({ key, clock }) => (clock === undefined ? [] : [{ party: key, ...clock }]));
}

/** What is wrong with clocks, a line each, with names for credentials. */
export function clockWarnings(
  { own, peers }: ClockJudgement,
  nameOf: (party: string) => string,
): readonly string[] {
  const seconds = (ms: number): string =>
    `${Math.min(Math.round(Math.abs(ms) / 1000), 1_000_000_000)} s ${ms > 0 ? 'ahead' : 'behind'}`;
  const lines =
    own === undefined ? [] : [`your clock differs from most peers': it is about ${seconds(-own)}`];
  const against = own === undefined ? '' : ' of most';
  return [
    ...lines,
    ...peers.map(
      ({ party, aheadMs }) =>
        `peer ${nameOf(party)}'s clock differs: it is about ${seconds(aheadMs)}${against}`,
    ),
  ];
}
