// Works like a node, in a loop, and prints the number of each job that is wholly acknowledged, until it is killed.
import '../../node/runtime.ts';
import { NodeStore } from '../../node/store/node-store.ts';
import { keyCase, openOptions } from './node-store.case.ts';

const store = await NodeStore.open(openOptions(process.argv[2] ?? ''));
await store.nextBoot();
for (let number = 1; number <= 10_000; number++) {
  const { pending, certificate } = keyCase(number);
  await store.putJob(pending.requestId, { number });
  await store.markStarted(pending.requestId);
  await store.putPendingShare(pending);
  await store.finishJob(pending.requestId, pending.confirmation);
  await store.activateKey(pending.requestId, certificate);
  process.stdout.write(`${number}\n`);
}
