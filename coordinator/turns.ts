// Work on one thing, one after the other within this process.
export class Turns {
  /** The last work on each thing that is being worked on. */
  readonly #last = new Map<string, Promise<void>>();

  /** Runs `work` once all that came before it for this thing is over. Settles as `work` does. */
  async take<Result>(id: string, work: () => Promise<Result>): Promise<Result> {
    const turn = (this.#last.get(id) ?? Promise.resolve()).then(work);
    const over = turn.then(
      () => undefined,
      () => undefined,
    );
    this.#last.set(id, over);
    try {
      return await turn;
    } finally {
      if (this.#last.get(id) === over) this.#last.delete(id);
    }
  }
}
