// The requests of a testnet's demonstration: asked for and approved as owners do, each followed from log to log until
// the coordinator calls it final.
import { setTimeout as delay } from 'node:timers/promises';
import type { BuiltRecord } from '../../client/records.ts';
import { buildDecision } from '../../client/records.ts';
import type { Hex } from '../../protocol/hex.ts';
import { asRequest, type RequestView } from '../../protocol/rpc.ts';
import { approvable, fetchAction } from '../action.ts';
import type { CommandContext } from '../context.ts';
import { CliError } from '../errors.ts';
import { shortId } from '../output.ts';
import { isFinal, mayPass, requireFulfilled } from '../requests.ts';
import { inWorkspace, type WorkspaceSession } from '../session.ts';
import type { TestNetwork } from './bootstrap.ts';
import type { EventFeed } from './event-feed.ts';
import type { Observation } from './log-tail.ts';
import type { Narration } from './narration.ts';
import { keyStage, signStep, type Step, StepOrder } from './steps.ts';

export interface Stage {
  readonly people: CommandContext;
  readonly network: TestNetwork;
  readonly feed: EventFeed;
  readonly narration: Narration;
  /** How long the parties may take for a request. */
  readonly waitSeconds: number;
}

/** Longest single question to the coordinator, and pause after one that failed; in milliseconds. */
const oneWaitMs = 2000;
const pauseMs = 200;

/** Follows one request: tells its steps, and keeps who is awaited. */
export class Followed {
  readonly order = new StepOrder();
  readonly requestId: Hex;
  readonly #stage: Stage;
  readonly #names: ReadonlyMap<string, string>;
  /** Parties that each node says it misses. */
  readonly #awaited = new Map<string, readonly string[]>();
  readonly #stop: () => void;

  constructor(stage: Stage, requestId: Hex, kind: 'key' | 'sign') {
    this.#stage = stage;
    this.requestId = requestId;
    this.#names = new Map(stage.network.members.map((member) => [member.key, member.name]));
    const toStep = kind === 'key' ? keyStage : signStep;
    this.#stop = stage.feed.listen((observation) => {
      this.#noteAwaited(observation);
      const step: Step | undefined = toStep(observation, { requestId, names: this.#names });
      if (step) for (const told of this.order.add(step)) stage.narration.step(told);
    });
  }

  #noteAwaited({ process, event, fields }: Observation): void {
    if (fields.requestId !== this.requestId || !Array.isArray(fields.awaited)) return;
    const names = fields.awaited.map((party) => this.#names.get(String(party)) ?? String(party));
    if (event === 'session.awaits_parties') this.#awaited.set(process, names);
    // What an attempt missed says less than what a node misses before it even begins.
    else if (event === 'session.aborted' && !this.#awaited.has(process)) this.#awaited.set(process, names);
  }

  /** Names of the parties that are missed, sorted. */
  awaited(): string[] {
    return [...new Set([...this.#awaited.values()].flat())].toSorted();
  }

  /** What an owner's client was answered. */
  clientSaw(owner: string, event: string, fields: Readonly<Record<string, unknown>>): void {
    const at = new Date(this.#stage.people.now()).toISOString();
    const { requestId } = this;
    this.#stage.feed.push({
      process: `client ${owner}`,
      event,
      at,
      fields: { owner, ...fields, requestId },
    });
  }

  end(): void {
    this.#stop();
  }

  /**
   * Waits until the parties have answered. Returns the fulfilled request. Throws CliError `waiting` naming the parties
   * that are awaited once their time is over, `rejected` when it ended that way.
   */
  async fulfilled({ client }: WorkspaceSession, first: RequestView): Promise<RequestView> {
    const { feed, people, waitSeconds } = this.#stage;
    const end = people.now() + waitSeconds * 1000;
    let view = first;
    while (!isFinal(view)) {
      const left = end - people.now();
      if (left <= 0) break;
      const timeoutMs = Math.ceil(Math.min(left, oneWaitMs));
      const { requestId } = this;
      const waited = client.call('sign_wait', { requestId, timeoutMs }, { signal: people.signal });
      let answered = false;
      const done = waited.finally(() => (answered = true));
      done.catch(() => undefined);
      await feed.until(() => answered, Infinity, people.signal);
      try {
        view = await waited;
      } catch (error) {
        // It is asked again for as long as there is time: a process that ended by itself ends this one.
        if (!mayPass(error)) throw error;
        await delay(pauseMs, undefined, { signal: people.signal });
      }
    }
    await feed.poll();
    if (isFinal(view)) {
      requireFulfilled(view);
      return view;
    }
    const names = this.awaited();
    const { have, need } = view.votes;
    const who = names.length === 0 ? 'parties that no node names' : names.join(', ');
    throw new CliError(
      'waiting',
      `awaiting ${who}: request ${shortId(this.requestId)} is ${view.state} after ${waitSeconds} s, ` +
        `${have} of ${need} results`,
      'stop fewer nodes with --stop, or wait longer with --wait',
    );
  }
}

/** Sends an owner's request, and follows it from here. */
export async function ask(
  stage: Stage,
  { client, identity }: WorkspaceSession,
  kind: 'key' | 'sign',
  { id, envelope }: BuiltRecord,
  told: Readonly<Record<string, unknown>>,
): Promise<{ readonly followed: Followed; readonly view: RequestView }> {
  const followed = new Followed(stage, id, kind);
  try {
    const method = kind === 'key' ? 'key_request' : 'sign_request';
    const view = await client.call(method, { request: envelope }, { signal: stage.people.signal });
    followed.clientSaw(identity, 'client.asked', { ...told, state: view.state });
    await stage.feed.poll();
    for (const { rule, have, need, from } of view.missing ?? []) {
      followed.clientSaw(identity, 'client.waits', { rule, have: have.length, need, missing: from });
    }
    return { followed, view };
  } catch (error) {
    followed.end();
    throw error;
  }
}

/** An owner judges an action from the signed bytes, and approves it. */
export async function approve({ people }: Stage, as: string, requestId: Hex): Promise<RequestView> {
  return await inWorkspace(people, { as }, async (session) => {
    const action = await fetchAction(people, session, requestId);
    approvable(action);
    const { workspace, evidence } = action;
    const { envelope } = buildDecision(
      {
        networkId: session.networkId,
        workspace,
        subject: requestId,
        decisions: evidence.decisions,
        decision: 'approve',
        now: people.now(),
      },
      session.signer,
    );
    const { client } = session;
    return asRequest(await client.call('action_decide', { decision: envelope }, { signal: people.signal }));
  });
}
