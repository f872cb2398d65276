// A coordinator as those who depend on it see it: reachable, of this network, its clock, its version.
import { createClient } from '../../client/rpc-client.ts';
import { oneLine, RpcClientError } from '../../client/rpc-error.ts';
import type { Hex } from '../../protocol/hex.ts';
import { checkClock } from './clock.ts';
import type { Findings } from './findings.ts';
import type { Machine } from './machine.ts';

export interface RemoteCoordinator {
  readonly url: string;
  readonly networkId: string;
  /** A keyring that it should have registered. */
  readonly keyringId?: Hex | undefined;
}

/** Errors of the client itself, in its own words. */
const own: ReadonlySet<string> = new Set(['unreachable', 'timeout', 'bad_response']);

/** Whether what goes to an address can be read on the way. */
function isPlain(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === 'http:' && !/^(localhost|127\.[0-9.]+|\[::1\])$/.test(hostname);
}

export async function checkCoordinator(
  findings: Findings,
  machine: Machine,
  { url, networkId, keyringId }: RemoteCoordinator,
): Promise<void> {
  const { now, signal, patienceMs: timeoutMs, version } = machine;
  if (isPlain(url)) findings.wrong('coordinator_insecure', `${url} is not encrypted`);
  const failed = (error: unknown): void => {
    signal.throwIfAborted();
    if (!(error instanceof RpcClientError)) throw error;
    // What to do is never taken from whoever answered: it may be anybody.
    if (own.has(error.code)) findings.wrong('coordinator_unreachable', error.detail, error.remedy);
    else
      findings.wrong(
        'coordinator_unreachable',
        `${url} answers ${error.code}, in its words: ${error.detail}`,
      );
  };
  try {
    const client = createClient({ url, networkId, now, timeoutMs });
    const asked = performance.now();
    const network = await client.call('network_get', {}, { signal });
    const roundTripMs = performance.now() - asked;
    if (network.networkId !== networkId) {
      findings.wrong('coordinator_wrong_network', `${url} serves ${network.networkId}, not ${networkId}`);
      return;
    }
    findings.ok('coordinator', `${url} answers, for ${networkId}`);
    checkClock(
      findings,
      "the coordinator's clock",
      Date.parse(network.time) + roundTripMs / 2 - now(),
      roundTripMs,
    );
    if (network.version === version) findings.ok('version', `the coordinator runs ${version}`);
    else
      findings.wrong(
        'coordinator_version',
        `the coordinator runs ${oneLine(network.version)}, this is ${version}`,
      );
    if (keyringId === undefined) return;
    try {
      await client.call('keyring_get', { keyringId }, { signal });
      findings.ok('coordinator', `keyring ${keyringId.slice(0, 14)} is registered there`);
    } catch (error) {
      if (!(error instanceof RpcClientError && error.code === 'not_found')) throw error;
      findings.wrong('keyring_unregistered', `${url} does not know keyring ${keyringId}`);
    }
  } catch (error) {
    failed(error);
  }
}
