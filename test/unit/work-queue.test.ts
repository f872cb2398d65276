// The work queue alone: classes, turns within a level, fairness between sources, bounds.
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { WorkError } from '../../node/work/error.ts';
import { type WorkClass, workClasses, WorkQueue } from '../../node/work/queue.ts';

function drain(queue: WorkQueue<string>, eligible?: (item: string) => boolean): string[] {
  const taken: string[] = [];
  for (let item = queue.take(eligible); item !== undefined; item = queue.take(eligible)) taken.push(item);
  return taken;
}

describe('work queue', () => {
  it('signing first, evidence and key generation in turns, presigning last', () => {
    const queue = new WorkQueue<string>(10);
    for (const workClass of [...workClasses].toReversed())
      for (const count of [1, 2, 3]) queue.push(workClass, 'one', `${workClass} ${count}`);
    assert.deepEqual(queue.depths(), { signing: 3, evidence: 3, 'key-generation': 3, presigning: 3 });
    const order =
      'signing 1, signing 2, signing 3, evidence 1, key-generation 1, evidence 2, key-generation 2, ';
    const rest = 'evidence 3, key-generation 3, presigning 1, presigning 2, presigning 3';
    assert.equal(drain(queue).join(', '), order + rest);
    assert.deepEqual(queue.depths(), { signing: 0, evidence: 0, 'key-generation': 0, presigning: 0 });
  });

  it('a peer that floods waits for itself alone', () => {
    const queue = new WorkQueue<string>(1000);
    for (let count = 0; count < 1000; count++) queue.push('evidence', 'mallory', 'flood');
    queue.push('key-generation', 'request', 'key');
    queue.push('evidence', 'alice', 'alice');
    queue.push('evidence', 'bob', 'bob');
    const first = Array.from({ length: 5 }, () => queue.take());
    assert.deepEqual(first, ['flood', 'key', 'alice', 'bob', 'flood']);
  });

  it('each source and class has a bound of its own', () => {
    const queue = new WorkQueue<string>(2);
    const push = (workClass: WorkClass, source: string): void => queue.push(workClass, source, source);
    push('evidence', 'mallory');
    push('evidence', 'mallory');
    assert.throws(
      () => push('evidence', 'mallory'),
      (error) => error instanceof WorkError && error.code === 'busy' && /mallory has 2/.test(error.message),
    );
    push('evidence', 'alice');
    push('signing', 'mallory');
    queue.take(() => true);
    assert.equal(queue.depths().evidence, 3);
    drain(queue);
    push('evidence', 'mallory');
  });

  it('what is put back comes first of its source, after the others', () => {
    const queue = new WorkQueue<string>(1);
    queue.push('signing', 'long', 'long 2');
    queue.push('signing', 'short', 'short');
    // Beyond the bound: it was admitted before.
    queue.putBack('signing', 'long', 'long 1');
    queue.putBack('signing', 'other', 'other');
    assert.deepEqual(drain(queue), ['long 1', 'short', 'other', 'long 2']);
  });

  it('passes over what is not eligible, with all that stands behind it of the same source', () => {
    const queue = new WorkQueue<string>(10);
    queue.push('signing', 'a', 'elsewhere');
    queue.push('signing', 'a', 'after it');
    queue.push('presigning', 'b', 'anywhere');
    const here = (item: string): boolean => item !== 'elsewhere';
    assert.deepEqual(drain(queue, here), ['anywhere']);
    assert.deepEqual(drain(queue), ['elsewhere', 'after it']);
  });

  it('removes what is unwanted, and nothing else', () => {
    const queue = new WorkQueue<string>(10);
    for (const item of ['a', 'b', 'c']) queue.push('evidence', 'one', item);
    queue.push('signing', 'two', 'b');
    assert.deepEqual(queue.remove((item) => item === 'b').toSorted(), ['b', 'b']);
    assert.deepEqual(drain(queue), ['a', 'c']);
  });

  it('loses nothing, keeps each source in order, and never takes a lower level first', () => {
    const pushes = fc.array(fc.tuple(fc.constantFrom(...workClasses), fc.constantFrom('a', 'b', 'c')), {
      maxLength: 60,
    });
    const level = { signing: 0, evidence: 1, 'key-generation': 1, presigning: 2 };
    fc.assert(
      fc.property(pushes, (all) => {
        const queue = new WorkQueue<{ workClass: WorkClass; source: string; at: number }>(100);
        for (const [at, [workClass, source]] of all.entries())
          queue.push(workClass, source, { workClass, source, at });
        const taken = all.map(() => queue.take()!);
        assert.equal(queue.take(), undefined);
        assert.equal(new Set(taken.map(({ at }) => at)).size, all.length);
        for (const [index, item] of taken.entries()) {
          for (const later of taken.slice(index + 1)) {
            assert.ok(level[item.workClass] <= level[later.workClass]);
            if (item.workClass === later.workClass && item.source === later.source)
              assert.ok(item.at < later.at);
          }
        }
      }),
    );
  });
});
