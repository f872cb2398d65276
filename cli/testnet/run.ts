// A whole network on this machine, with one real signature: brought up, shown at work, and taken down again without a
// process or a temporary folder left behind.
import { rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { possibleControlPaths } from '../../node/control-path.ts';
import type { CommandContext } from '../context.ts';
import { CliError } from '../errors.ts';
import { bootstrap, newNetworkId, owners, type TestNetwork } from './bootstrap.ts';
import { bitcoinDemo } from './demo-bitcoin.ts';
import { evmDemo } from './demo-evm.ts';
import { solanaDemo } from './demo-solana.ts';
import { taprootDemo } from './demo-taproot.ts';
import type { ProvenKey } from '../../client/verify.ts';
import {
  checkCertificate,
  type Demo,
  type Demonstrated,
  earlierKey,
  makeKey,
  type PreparedDemo,
} from './demonstration.ts';
import { EventFeed } from './event-feed.ts';
import { lockTestnet, readMark, requireNobodyLeft, requireSame, writeMark } from './folder.ts';
import { createLayout, type Layout } from './layout.ts';
import { LogTails } from './log-tail.ts';
import { createNarration, type Narration } from './narration.ts';
import { cleanEnvironment, peopleContext } from './operators.ts';
import { Processes } from './processes.ts';
import type { Stage } from './requests.ts';
import { describeUp } from './up.ts';

/** What a testnet can show, by the name of its option. */
const demos = { solana: solanaDemo, taproot: taprootDemo, evm: evmDemo, bitcoin: bitcoinDemo } as const;
type DemoName = keyof typeof demos;
/** What is shown: one of them, or each in its turn. */
export type DemoChoice = DemoName | 'all';

export interface TestnetOptions {
  readonly parties: number;
  readonly threshold: number;
  /** How many nodes are killed once the key exists. */
  readonly stop: number;
  /** Ends after one verified run. */
  readonly once: boolean;
  readonly json: boolean;
  readonly demo: DemoChoice;
  readonly dir?: string | undefined;
  /** How long the parties may take for a request. */
  readonly waitSeconds: number;
}

const endingSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Milliseconds after which a signal is another one. */
const againAfterMs = 500;

/** Everything of one testnet while it runs. */
interface Run {
  readonly context: CommandContext;
  readonly options: TestnetOptions;
  readonly networkId: string;
  /** Whether the folder holds an earlier run's network. */
  readonly resumed: boolean;
  readonly layout: Layout;
  readonly narration: Narration;
  readonly processes: Processes;
  readonly tails: LogTails;
  readonly stopping: AbortController;
  readonly shown: readonly Demo[];
  /** Whether it is there to be tried: then the loss of a process is no failure of the run. */
  up: boolean;
}

/** Why a testnet was told to end. */
class Interrupted extends CliError {
  constructor(by: string) {
    super('failed', `stopped by ${by} before the run was complete`, 'run it again');
  }
}

async function startNetwork(run: Run, people: CommandContext): Promise<TestNetwork> {
  const { layout, narration, options, processes, tails, stopping } = run;
  const { parties, threshold } = options;
  const { networkId } = run;
  narration.say(`Countersign test network ${networkId}: ${parties} parties, ${threshold} of them sign`);
  const verb = run.resumed ? 'Continuing with' : 'Starting';
  narration.say(`${verb} a coordinator, ${parties} nodes and ${parties} connectors in ${layout.root}`);
  narration.tell('testnet', { networkId, folder: layout.root, parties, threshold, resumed: run.resumed });
  let up = 0;
  const network = await narration.during(
    () => `${up} of ${1 + 2 * parties} processes listen`,
    bootstrap(
      {
        people,
        layout,
        threshold,
        processes,
        abort: (error) => stopping.abort(error),
        onStarted: async ({ name, pid, log }) => {
          up += 1;
          await tails.add(name, log);
          narration.tell('process', { process: name, pid, log });
        },
      },
      networkId,
    ),
  );
  const { keyringId, workspaceId, coordinator } = network;
  narration.say('', `Keyring    ${keyringId}  of ${network.members.map(({ name }) => name).join(', ')}`);
  narration.say(`Workspace  ${workspaceId}  of ${owners.join(', ')}; two of them approve a transaction`);
  narration.tell('network', { networkId, coordinator, keyringId, workspaceId });
  return network;
}

async function demonstrate(run: Run, people: CommandContext, network: TestNetwork): Promise<Demonstrated> {
  const { narration, options, processes, tails, shown } = run;
  const { waitSeconds, stop, parties } = options;
  const stage: Stage = { people, network, feed: new EventFeed(tails), narration, waitSeconds };
  const keys = [];
  for (const demo of shown) keys.push((await earlierKey(stage, demo.label)) ?? (await makeKey(stage, demo)));
  for (const { node } of network.members.slice(parties - stop)) {
    const killed = processes.list().find(({ name }) => name === node);
    await processes.kill(node);
    narration.say('', `${node} is killed (process ${killed?.pid})`);
    narration.tell('killed', { process: node, pid: killed?.pid });
  }
  let first: Demonstrated | undefined;
  for (const [place, demo] of shown.entries()) {
    const key = keys[place] as ProvenKey;
    const requestId = await demo.sign(stage, key, parties - stop);
    await checkCertificate(stage, key.key.id);
    first ??= { key, requestId };
  }
  return first as Demonstrated;
}

/** Waits until the testnet is told to end. Throws what ended it otherwise. */
async function untilStopped(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) {
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  }
  if (!(signal.reason instanceof Interrupted)) throw signal.reason;
}

/** Brings it up and shows it at work; without `--once` stays until told to end. */
async function work(run: Run): Promise<void> {
  const { context, options, layout, stopping, narration, processes, tails } = run;
  const { signal } = stopping;
  const people = peopleContext(context, layout, signal);
  const network = await startNetwork(run, people);
  let made: Demonstrated | undefined;
  try {
    made = await demonstrate(run, people, network);
  } catch (error) {
    // With too few nodes nothing is signed: what there is can still be looked at.
    const expected = error instanceof CliError && error.code === 'waiting' && !options.once;
    if (!expected) throw error;
    context.stderr.write(`countersign: ${error.message}\n`);
  }
  await tails.close();
  if (options.once) {
    narration.say('', 'Every step was seen, and every signature verified.');
    narration.tell('verified', { networkId: network.networkId });
    return;
  }
  run.up = true;
  const [demo] = run.shown as [Demo];
  describeUp({ narration, layout, network, demo, made, daemons: processes.list() });
  await untilStopped(signal);
  const folder = layout.temporary ? 'its folder is removed' : `its folder stays: ${layout.root}`;
  narration.say('', `Stopping; ${folder}`);
}

/** Removes what is outside of the folder too: the control sockets of nodes that were killed. */
async function removeTraces({ layout }: Run): Promise<void> {
  for (const { nodeDir } of layout.parties) {
    const paths = await possibleControlPaths(nodeDir).catch(() => []);
    for (const path of paths) await rm(path, { force: true });
  }
  if (layout.temporary) await rm(layout.root, { recursive: true, force: true, maxRetries: 5 });
}

/**
 * Runs a testnet until it is told to end, or with `once` until one signature was made and everything about it verified.
 * Throws CliError and what its parts throw, in every case after all its processes have ended. The folder it made for
 * itself is only kept after a failure that nobody asked for, for its logs.
 */
export async function runTestnet(context: CommandContext, options: TestnetOptions): Promise<void> {
  if (options.dir === undefined) return await runIn(context, options, newNetworkId(), false);
  // Before anything is made or changed: whose folder it is, again once nobody else can take it.
  await readMark(options.dir);
  const unlock = await lockTestnet(options.dir);
  try {
    const found = await readMark(options.dir);
    if (found) requireSame(options.dir, found, options);
    const { parties, threshold } = options;
    const mark = found ?? { networkId: newNetworkId(), parties, threshold };
    if (!found) await writeMark(options.dir, mark);
    await runIn(context, options, mark.networkId, found !== undefined);
  } finally {
    await unlock();
  }
}

async function runIn(
  context: CommandContext,
  options: TestnetOptions,
  networkId: string,
  resumed: boolean,
): Promise<void> {
  const narration = createNarration(context, options.json);
  // Before anything is made: a machine without the chain's part is told at once.
  const names = options.demo === 'all' ? (Object.keys(demos) as DemoName[]) : [options.demo];
  const prepared: PreparedDemo[] = [];
  for (const name of names) prepared.push(await demos[name]());
  const layout = await createLayout(options.dir, options.parties);
  const shown = prepared.map((demo) => demo(layout));
  if (resumed) await requireNobodyLeft(layout, context.signal);
  const stopping = new AbortController();
  const { signal } = stopping;
  const processes = new Processes({
    pidFolder: layout.pidFolder,
    environment: cleanEnvironment(context.environment),
    onLoss: (error) => {
      if (run.up) context.stderr.write(`countersign: ${error.message}\n`);
      else stopping.abort(error);
    },
  });
  const tails = new LogTails();
  const run: Run = {
    context,
    options,
    networkId,
    resumed,
    layout,
    narration,
    processes,
    tails,
    stopping,
    shown,
    up: false,
  };
  let toldAt: number | undefined;
  const onSignal = (name: string): void => {
    // Who asks again does not want to wait for an orderly end. One Ctrl-C may come twice: from the terminal, and from npm.
    if (toldAt !== undefined && context.now() - toldAt > againAfterMs) processes.killAll();
    toldAt ??= context.now();
    stopping.abort(new Interrupted(name));
  };
  const onAbort = (): void => stopping.abort(new Interrupted('its caller'));
  const onExit = (): void => {
    if (layout.temporary) rmSync(layout.root, { recursive: true, force: true });
  };
  for (const name of endingSignals) process.on(name, onSignal);
  process.on('exit', onExit);
  context.signal.addEventListener('abort', onAbort, { once: true });
  if (context.signal.aborted) onAbort();
  let keep = false;
  try {
    await work(run);
  } catch (error) {
    // What ended the run, rather than what that made of the work under way.
    const cause: unknown = signal.aborted ? signal.reason : error;
    keep = !(cause instanceof Interrupted || (cause instanceof CliError && cause.code === 'waiting'));
    throw cause;
  } finally {
    await processes.stopAll();
    await tails.close();
    if (keep) context.stderr.write(`The logs are kept in ${layout.root}\n`);
    else await removeTraces(run);
    process.off('exit', onExit);
    for (const name of endingSignals) process.off(name, onSignal);
    context.signal.removeEventListener('abort', onAbort);
  }
}
