// What a testnet says: lines for people, calm and aligned, or with `--json` one object a line. Nothing is coloured.
import type { CommandContext } from '../context.ts';
import { shortId } from '../output.ts';
import { printable, printableJson } from '../printable.ts';
import type { Step } from './steps.ts';

/** Milliseconds after which something that still goes on is worth a line, and between two such lines. */
const progressMs = 2000;

const titleWidth = 66;
const recordWidth = 24;

export interface Narration {
  /** Lines for people. */
  say(...lines: readonly string[]): void;
  /** An event for programs. */
  tell(event: string, fields: Readonly<Record<string, unknown>>): void;
  /** A step, for both. */
  step(step: Step): void;
  /** Says every few seconds, while `work` goes on, what goes on. */
  during<Value>(what: () => string, work: Promise<Value>): Promise<Value>;
}

/** The part of a step's line before its title: its number, or nothing in a repetition. */
function mark(step: Step['step'], last: Step['step'] | undefined): string {
  if (step === last || typeof step !== 'number') return '  ';
  return String(step).padStart(2);
}

function humanLine(step: Step, last: Step['step'] | undefined): string {
  const { title, record, recordId, process } = step;
  const proof = `${record} ${shortId(recordId)}`;
  return `  ${mark(step.step, last)}  ${title.padEnd(titleWidth)}  ${proof.padEnd(recordWidth)}  ${process}`;
}

export function createNarration({ stdout, stderr, now }: CommandContext, json: boolean): Narration {
  let last: Step['step'] | undefined;
  const say = (...lines: readonly string[]): void => {
    if (!json) for (const line of lines) stdout.write(`${printable(line).trimEnd()}\n`);
  };
  const tell = (event: string, fields: Readonly<Record<string, unknown>>): void => {
    if (json) stdout.write(`${printableJson({ event, ...fields })}\n`);
  };
  return {
    say,
    tell,
    step(step) {
      const { detail, ...fields } = step;
      tell('step', { ...fields, ...detail });
      say(humanLine(step, last));
      last = step.step;
    },
    async during(what, work) {
      const began = now();
      const timer = setInterval(() => {
        if (!json) stderr.write(`      ... ${printable(what())}, ${Math.round((now() - began) / 1000)} s\n`);
      }, progressMs);
      try {
        return await work;
      } finally {
        clearInterval(timer);
      }
    },
  };
}
