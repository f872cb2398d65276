// A worker for tests of the pool: it answers a task with the text in it, or does the harm that the text names.
import '../../node/runtime.ts';
import { parentPort } from 'node:worker_threads';
import { Abort } from '../../node/mpc/abort.ts';
import { failureOf, type FromWorker, type ToWorker } from '../../node/work/messages.ts';

const port = parentPort;
/** What a task does once it is resumed. */
let later = '';
const answer = (message: FromWorker): void => port?.postMessage(message);

port?.on('message', (message: ToWorker) => {
  if ('stop' in message) return port.close();
  if ('destroy' in message) return undefined;
  const { id, task } = message;
  const told = task.task === 'receive' ? Buffer.from(task.bytes).toString() : task.task;
  if (told.startsWith('later ')) {
    later = told.slice('later '.length);
    return answer({ id, interrupted: true });
  }
  const what = told === 'resume' ? later : told;
  switch (what) {
    case 'exit':
      return process.exit(7);
    case 'throw':
      throw new RangeError('secret');
    case 'hang':
      for (;;);
    case 'good':
      return answer({ id, value: { messages: [], awaited: [] } });
    case 'ban':
      return answer({
        id,
        failure: failureOf(new Abort('invalid_share', 'a row', { culprit: 2, ban: true })),
      });
    case 'abort':
      return answer({ id, failure: failureOf(new Abort('invalid_share', 'a row', { culprit: 2 })) });
    case 'fail':
      return answer({ id, failure: failureOf(new RangeError('secret')) });
    default:
      return answer({ id, value: what });
  }
});
answer({ ready: true });
