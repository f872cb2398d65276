// A worker for tests of the pool: it answers a task with the text in it, or does the harm that the text names.
import '../../node/runtime.ts';
import { parentPort } from 'node:worker_threads';
import { failureOf, type FromWorker, type ToWorker } from '../../node/work/messages.ts';

const port = parentPort;
const answer = (message: FromWorker): void => port?.postMessage(message);

port?.on('message', (message: ToWorker) => {
  if ('stop' in message) return port.close();
  if ('destroy' in message) return undefined;
  const { id, task } = message;
  const what = task.task === 'receive' ? Buffer.from(task.bytes).toString() : task.task;
  switch (what) {
    case 'exit':
      return process.exit(7);
    case 'throw':
      throw new RangeError('secret');
    case 'hang':
      for (;;);
    case 'fail':
      return answer({ id, failure: failureOf(new RangeError('secret')) });
    default:
      return answer({ id, value: what });
  }
});
answer({ ready: true });
