// A listener under garbage, in a process of its own, so that its memory can be measured and nothing of the sender's is in
// it: a coordinator or a node, as their commands start them, with its configuration as the first message. It then answers
// every 'measure' with what it uses, and 'stop' by stopping. Run with --expose-gc.
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import type { CoordinatorConfigInput } from '../../coordinator/config.ts';
import type { RpcTiming } from '../../coordinator/rpc/server.ts';
import type { NodeConfig } from '../../node/config.ts';

export type Target =
  | {
      readonly role: 'coordinator';
      readonly config: CoordinatorConfigInput;
      readonly timing: Partial<RpcTiming>;
      /** What its clock says at the start. */
      readonly now: number;
    }
  | {
      readonly role: 'node';
      readonly config: NodeConfig;
      /** Hex. */
      readonly seed: string;
      readonly passphrase: string;
    };

export interface Measure {
  /** Bytes, after garbage collection; `rss` as the system counts it. */
  readonly rss: number;
  readonly heap: number;
  readonly external: number;
  /** Signatures verified, and public keys parsed for it, since the start. */
  readonly verifications: number;
  /** Active sockets, servers, timers, ... by kind. */
  readonly resources: Readonly<Record<string, number>>;
  /** Rejections and exceptions that nobody caught. */
  readonly unhandled: readonly string[];
  /** Internal errors in the log: each would be a 500 or -32603 to somebody. */
  readonly faults: readonly string[];
}

const unhandled: string[] = [];
process.on('unhandledRejection', (reason) => unhandled.push(String((reason as Error)?.stack ?? reason)));
process.on('uncaughtException', (error) => unhandled.push(String(error.stack)));

// Everything that verifies goes through these two: parsing a key costs as much as verifying with it.
let verifications = 0;
const { verify, createPublicKey } = crypto;
Object.assign(crypto, {
  verify: (...parameters: Parameters<typeof verify>) => {
    verifications += 1;
    return verify(...parameters);
  },
  createPublicKey: (...parameters: Parameters<typeof createPublicKey>) => {
    verifications += 1;
    return createPublicKey(...parameters);
  },
});
syncBuiltinESMExports();

const faults: string[] = [];
function log(event: string, fields: Record<string, unknown>): void {
  if (event === 'rpc.internal_error' || event === 'store.error' || event === 'control.failed') {
    faults.push(`${event} ${JSON.stringify(fields)}`);
  }
}

function measure(): Measure {
  globalThis.gc?.();
  const resources: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
  const { rss, heapUsed: heap, external } = process.memoryUsage();
  return { rss, heap, external, verifications, resources, unhandled, faults };
}

async function start(target: Target): Promise<{ readonly at: string; stop(): Promise<void> }> {
  if (target.role === 'coordinator') {
    const { parseCoordinatorConfig } = await import('../../coordinator/config.ts');
    const { startCoordinator } = await import('../../coordinator/main.ts');
    const offset = target.now - Date.now();
    const coordinator = await startCoordinator({
      config: parseCoordinatorConfig(target.config),
      log,
      version: '1.2.3',
      now: () => Date.now() + offset,
      timing: target.timing,
    });
    return { at: coordinator.url, stop: () => coordinator.stop() };
  }
  const { startNode } = await import('../../node/main.ts');
  const { chooseControlPath } = await import('../../node/control-path.ts');
  const { config, passphrase } = target;
  const node = await startNode({ config, seed: Buffer.from(target.seed, 'hex'), passphrase, log });
  return { at: await chooseControlPath(config.dir), stop: () => node.stop() };
}

let stop: (() => Promise<void>) | undefined;
process.on('message', (message: Target | 'measure' | 'stop') => {
  const work = async (): Promise<void> => {
    if (message === 'measure') process.send?.(measure());
    else if (message === 'stop') {
      await stop?.();
      process.disconnect();
    } else {
      const started = await start(message);
      stop = () => started.stop();
      process.send?.({ at: started.at });
    }
  };
  work().catch((error: unknown) => {
    process.stderr.write(`${String((error as Error).stack ?? error)}\n`);
    process.exit(1);
  });
});
process.on('disconnect', () => void stop?.().catch(() => process.exit(1)));
