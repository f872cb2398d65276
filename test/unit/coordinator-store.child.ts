// Commits in a loop and prints the number of each acknowledged commit, until it is killed or the disk takes no more. Then
// prints the error codes of that commit, of the next one and of a read ("none"), and closes.
import '../../node/runtime.ts';
import { LevelStore } from '../../coordinator/store/level.ts';
import type { StoreError } from '../../coordinator/store/store.ts';

const store = await LevelStore.open({ folder: process.argv[2] ?? '' });
const commit = (number: number): Promise<unknown> =>
  store.commit({
    put: [{ key: `k/${number}`, value: { number, text: 'some text' } }],
    append: [{ stream: 's', event: number }],
  });
const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'none',
    (error: unknown) => (error as StoreError).code,
  );

let first = 'none';
for (let number = 1; first === 'none' && number <= 10_000; number++) {
  first = await codeOf(commit(number));
  if (first === 'none') process.stdout.write(`${number}\n`);
}
process.stdout.write(`${first} ${await codeOf(commit(0))} ${await codeOf(store.get('k/1'))}\n`);
await store.close();
