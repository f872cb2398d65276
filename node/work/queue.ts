// What waits for a worker, and what comes first: online signing, then evidence and key generation in turns, presigning
// last. Signing and key generation come from requests that this node authorised itself; evidence comes from anybody in
// the roster, so it must neither wait behind every key nor keep keys waiting. Within a class sources take turns, each
// with a bounded number of items: one that sends much waits for itself alone.
import { WorkError } from './error.ts';

export const workClasses = ['signing', 'evidence', 'key-generation', 'presigning'] as const;
export type WorkClass = (typeof workClasses)[number];

/** Classes of one level take turns; a level waits for all before it. */
const levels: readonly (readonly WorkClass[])[] = [
  ['signing'],
  ['evidence', 'key-generation'],
  ['presigning'],
];

/** Items of one class by source, the source whose turn it is first. */
type Sources<Item> = Map<string, Item[]>;

export class WorkQueue<Item> {
  readonly #limit: number;
  readonly #classes: Record<WorkClass, Sources<Item>> = {
    signing: new Map(),
    evidence: new Map(),
    'key-generation': new Map(),
    presigning: new Map(),
  };
  /** Of each level, the classes in the order of their turns. */
  readonly #turns = levels.map((classes) => [...classes]);

  /** `limit`: items of one class that one source may have waiting. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Throws WorkError `busy` when the source has as much waiting in this class as it may. */
  push(workClass: WorkClass, source: string, item: Item): void {
    const sources = this.#classes[workClass];
    const waiting = sources.get(source) ?? [];
    if (waiting.length >= this.#limit) {
      throw new WorkError('busy', `${source} has ${waiting.length} tasks of ${workClass} waiting: try later`);
    }
    waiting.push(item);
    sources.set(source, waiting);
  }

  /** Puts back an item that was taken and is not done: first of its source, whose turn comes after the others'. */
  putBack(workClass: WorkClass, source: string, item: Item): void {
    const sources = this.#classes[workClass];
    sources.set(source, [item, ...(sources.get(source) ?? [])]);
  }

  /** Removes and returns what comes first among the eligible; of one source only its oldest is looked at. */
  take(eligible: (item: Item) => boolean = () => true): Item | undefined {
    for (const classes of this.#turns) {
      for (const workClass of classes) {
        const item = this.#takeOf(this.#classes[workClass], eligible);
        if (item === undefined) continue;
        classes.push(...classes.splice(classes.indexOf(workClass), 1));
        return item;
      }
    }
    return undefined;
  }

  #takeOf(sources: Sources<Item>, eligible: (item: Item) => boolean): Item | undefined {
    for (const [source, waiting] of sources) {
      const [first] = waiting;
      if (first === undefined || !eligible(first)) continue;
      waiting.shift();
      // To the end: it is the others' turn.
      sources.delete(source);
      if (waiting.length > 0) sources.set(source, waiting);
      return first;
    }
    return undefined;
  }

  /** Removes all for which `unwanted` holds, and returns them. */
  remove(unwanted: (item: Item) => boolean): readonly Item[] {
    const removed: Item[] = [];
    for (const sources of Object.values(this.#classes)) {
      for (const [source, waiting] of sources) {
        const kept = waiting.filter((item) => !unwanted(item));
        removed.push(...waiting.filter((item) => !kept.includes(item)));
        if (kept.length > 0) sources.set(source, kept);
        else sources.delete(source);
      }
    }
    return removed;
  }

  /** How much waits in each class. */
  depths(): Record<WorkClass, number> {
    const depth = (sources: Sources<Item>): number =>
      [...sources.values()].reduce((sum, waiting) => sum + waiting.length, 0);
    const entries = workClasses.map((workClass) => [workClass, depth(this.#classes[workClass])]);
    return Object.fromEntries(entries) as Record<WorkClass, number>;
  }
}
