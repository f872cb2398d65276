// What main thread and worker say to each other. One task at a time: a worker gets the next when it has answered.
import { Abort, type AbortCode } from '../mpc/abort.ts';
import type { PartyIndex } from '../mpc/machine.ts';
import { WorkError } from './error.ts';
import type { EvidenceTask } from './evidence.ts';
import type { LogTask } from './log.ts';
import type { PortableOrder } from './machines.ts';

/** `machine`: its number, chosen by the main thread. */
export type WorkerTask =
  | { readonly task: 'judge'; readonly evidence: EvidenceTask }
  | { readonly task: 'replay'; readonly log: LogTask }
  | { readonly task: 'start'; readonly machine: number; readonly order: PortableOrder }
  | {
      readonly task: 'receive';
      readonly machine: number;
      readonly from: PartyIndex;
      readonly bytes: Uint8Array;
    }
  /** Goes on with the machine's step that was interrupted. */
  | { readonly task: 'resume'; readonly machine: number };

export type ToWorker =
  | { readonly id: number; readonly task: WorkerTask }
  /** Takes effect as soon as the worker is done with what it does; not answered. */
  | { readonly destroy: number }
  /** Erase everything and end. */
  | { readonly stop: true };

/** An error as it crosses threads: a class does not. */
export type Failure =
  | {
      readonly kind: 'abort';
      readonly code: AbortCode;
      readonly message: string;
      readonly culprit: PartyIndex | undefined;
      readonly ban: boolean | undefined;
    }
  | { readonly kind: 'failed'; readonly name: string };

export type FromWorker =
  | { readonly ready: true }
  | { readonly id: number; readonly value: unknown }
  /** Not done yet: to be resumed when nothing more urgent waits. */
  | { readonly id: number; readonly interrupted: true }
  | { readonly id: number; readonly failure: Failure };

/** Of an unexpected error only the name leaves the worker: its message may hold anything. */
export function failureOf(error: unknown): Failure {
  if (!(error instanceof Abort)) return { kind: 'failed', name: (error as Error).name };
  const { code, message, culprit, ban } = error;
  return { kind: 'abort', code, message, culprit, ban };
}

export function errorOf(failure: Failure): Abort | WorkError {
  if (failure.kind === 'failed') return new WorkError('failed', `a worker's task threw ${failure.name}`);
  const { code, message, culprit, ban } = failure;
  return new Abort(code, message, { culprit, ban });
}
