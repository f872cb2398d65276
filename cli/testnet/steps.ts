// The twelve steps of the process, told from what happened: an event of a process's own log, or a coordinator's answer
// to a client. Pure: observations in, steps out.
import type { Hex } from '../../protocol/hex.ts';
import { recordIdSchema } from '../../protocol/records/fields.ts';
import type { Observation } from './log-tail.ts';

export const lastStep = 12;

/** Of a key request only a few steps are shown, by these names. */
export type KeyStage = 'key.asked' | 'key.confirmed' | 'key.fulfilled';

/** A step as it happened in one process. */
export interface Step {
  readonly step: number | KeyStage;
  /** In words. */
  readonly title: string;
  readonly process: string;
  /** The record that is the step's proof: the request, a decision, or a party's result. */
  readonly recordId: Hex;
  readonly record: 'request' | 'decision' | 'result';
  readonly requestId: Hex;
  /** RFC 3339. */
  readonly at: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** The request whose steps are wanted. */
export interface Subject {
  readonly requestId: Hex;
  /** Names of the parties by their credentials. */
  readonly names: ReadonlyMap<string, string>;
}

type Fields = Observation['fields'];
type Told = Pick<Step, 'step' | 'title'> &
  Partial<Pick<Step, 'detail'>> & { readonly decisionId?: unknown; readonly resultId?: unknown };

function asId(value: unknown): Hex | undefined {
  const parsed = recordIdSchema.safeParse(value);
  return parsed.success ? parsed.data : undefined;
}

function votesIn(fields: Fields): { readonly have: number; readonly need: number } {
  const { have, need } = (fields.votes ?? {}) as Record<string, unknown>;
  return { have: Number(have), need: Number(need) };
}

function nameIn(names: Subject['names'], credential: unknown): string {
  return names.get(String(credential)) ?? String(credential);
}

/** `bob`, or `one of bob, carol`. */
function listed(names: readonly string[], needed: number): string {
  return needed < names.length ? `${needed === 1 ? 'one' : needed} of ${names.join(', ')}` : names.join(', ');
}

function stateStep({ state, reason }: Fields): Told | undefined {
  switch (state) {
    case 'partial':
      return { step: 2, title: 'the coordinator stores the request: partial' };
    case 'pending':
      return { step: 4, title: 'the policy is satisfied: pending' };
    case 'fulfilled':
      return { step: 11, title: 'the threshold is met: fulfilled' };
    case 'rejected':
      return { step: 11, title: 'the threshold can no longer be met: rejected', detail: { reason } };
    default:
      return undefined;
  }
}

/** What an event means for a sign request. */
function told({ event, fields }: Observation, { names }: Subject): Told | undefined {
  switch (event) {
    case 'client.asked':
      return { step: 1, title: `${String(fields.owner)} asks for a signature` };
    case 'client.waits': {
      const { have, need, missing } = fields;
      const names = Array.isArray(missing) ? missing.map(String) : [];
      const title = `approvals: ${Number(have)} of ${Number(need)}, missing ${listed(names, Number(need) - Number(have))}`;
      return { step: 2, title, detail: { have, need, missing: names } };
    }
    case 'request.state':
      return stateStep(fields);
    case 'request.decision': {
      const { principal, decision, decisionId } = fields;
      const verb = decision === 'approve' ? 'approves' : 'rejects';
      return { step: 3, title: `${String(principal)} ${verb}`, detail: { principal, decision }, decisionId };
    }
    case 'request.seen':
      // A connector also hears of a request that still awaits its approvers; it is not the parties' business yet.
      if (fields.state !== 'pending') return undefined;
      return { step: 5, title: 'the connector sees the pending request' };
    case 'request.forwarded':
      if (fields.nodeState === 'waiting') return undefined;
      return { step: 6, title: 'the connector forwards it, with the evidence, to its node' };
    case 'session.signed': {
      const set = Array.isArray(fields.set) ? fields.set.map((party) => nameIn(names, party)) : [];
      const detail = { attemptId: fields.attemptId, set };
      return { step: 7, title: `the node signs together with its peers: ${set.join(', ')}`, detail };
    }
    case 'result.received':
      return { step: 8, title: 'the node hands over its own signed result', resultId: fields.resultId };
    case 'result.submitted':
      return { step: 9, title: 'the connector submits the result', resultId: fields.resultId };
    case 'request.result': {
      const { have, need } = votesIn(fields);
      const party = nameIn(names, fields.party);
      const count = have <= need ? `${have} of ${need}` : `${have}, ${need} suffice`;
      const title = `the coordinator verifies the result of ${party}: ${count}`;
      return { step: 10, title, detail: { party, have, need }, resultId: fields.resultId };
    }
    case 'client.fetched':
      return { step: 12, title: `${String(fields.owner)} fetches the signature and verifies it` };
    default:
      return undefined;
  }
}

/** What an event means for a key request. */
function toldOfKey({ event, fields }: Observation): Told | undefined {
  if (event === 'client.asked') {
    return { step: 'key.asked', title: `${String(fields.owner)} asks for key "${String(fields.label)}"` };
  }
  // The key result is the confirmation: signed after the node stored its share.
  if (event === 'result.stored' && fields.kind === 'key') {
    return { step: 'key.confirmed', title: 'the node confirms its share', resultId: fields.resultId };
  }
  if (event === 'client.fetched') {
    const { address, publicKey, parties } = fields;
    const title = `the key is made: ${String(address)}`;
    return { step: 'key.fulfilled', title, detail: { address, publicKey, parties, verified: true } };
  }
  return undefined;
}

function stepFrom(observation: Observation, subject: Subject, kind: 'key' | 'sign'): Step | undefined {
  const { process, at, fields } = observation;
  const { requestId } = subject;
  if (fields.requestId !== requestId) return undefined;
  const found = kind === 'key' ? toldOfKey(observation) : told(observation, subject);
  if (found === undefined) return undefined;
  const { step, title, detail = {} } = found;
  const of = 'decisionId' in found ? 'decision' : 'resultId' in found ? 'result' : 'request';
  const recordId = of === 'request' ? requestId : asId(of === 'decision' ? found.decisionId : found.resultId);
  // A step without its record would prove nothing.
  return recordId && { step, title, process, recordId, record: of, requestId, at, detail };
}

/** The step of a sign request that an observation is; undefined when it is none, or about another request. */
export function signStep(observation: Observation, subject: Subject): Step | undefined {
  return stepFrom(observation, subject, 'sign');
}

/** The stage of a key request that an observation is. */
export function keyStage(observation: Observation, subject: Subject): Step | undefined {
  return stepFrom(observation, subject, 'key');
}

/**
 * Puts steps in order: logs of several processes are read side by side, so a step may come before the one that led to
 * it. It is held back until each step before it was seen. Repetitions, by other parties, follow as they come.
 */
export class StepOrder {
  readonly #seen = new Map<number, number>();
  readonly #known = new Set<string>();
  #held: Step[] = [];

  /** Steps that can be told now. What the same process says again of the same record is left out. */
  add(step: Step): Step[] {
    const name = `${step.step}/${step.process}/${step.recordId}/${step.title}`;
    if (this.#known.has(name)) return [];
    this.#known.add(name);
    this.#held.push(step);
    const released: Step[] = [];
    for (;;) {
      const next = this.#held.find((held) => this.#isDue(held));
      if (next === undefined) return released;
      this.#held = this.#held.filter((held) => held !== next);
      if (typeof next.step === 'number') this.#seen.set(next.step, this.count(next.step) + 1);
      released.push(next);
    }
  }

  #isDue({ step }: Step): boolean {
    if (typeof step !== 'number') return true;
    return Array.from({ length: step - 1 }, (_, index) => index + 1).every((earlier) =>
      this.#seen.has(earlier),
    );
  }

  /** In how many processes a step was seen. */
  count(step: number): number {
    return this.#seen.get(step) ?? 0;
  }

  /** Steps that were not seen. */
  missing(): number[] {
    return Array.from({ length: lastStep }, (_, index) => index + 1).filter((step) => !this.#seen.has(step));
  }
}
