// For what is done in turns of the event loop.

/** Resolves after so many turns. */
export async function turnsOfLoop(count: number): Promise<void> {
  for (let index = 0; index < count; index++) await new Promise((resolve) => setImmediate(resolve));
}
