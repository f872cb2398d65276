// The testnet's steps: which event is which step, and in which order they are told.
import assert from 'node:assert/strict';
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { LogTails, type Observation, readLogLine } from '../../cli/testnet/log-tail.ts';
import { keyStage, signStep, type Step, StepOrder, type Subject } from '../../cli/testnet/steps.ts';
import type { Hex } from '../../protocol/hex.ts';

const id = (digit: string): Hex => `0x${digit.repeat(64)}`;
const requestId = id('a');
const party = (digit: string): string => `ed25519:${id(digit)}`;
const subject: Subject = {
  requestId,
  names: new Map([
    [party('1'), 'party-1'],
    [party('2'), 'party-2'],
  ]),
};

function observed(process: string, event: string, fields: Record<string, unknown> = {}): Observation {
  return { process, event, at: '2030-01-01T00:00:00.000Z', fields: { requestId, ...fields } };
}

const votes = { have: 1, need: 2, refused: 0 };
/** Every step once, as its process reports it; then the record that proves it. */
const process: readonly (readonly [Observation, Step['recordId']])[] = [
  [observed('client alice', 'client.asked', { owner: 'alice', state: 'partial' }), requestId],
  [observed('coordinator', 'request.state', { kind: 'sign', state: 'partial' }), requestId],
  [
    observed('coordinator', 'request.decision', {
      decisionId: id('d'),
      principal: 'bob',
      decision: 'approve',
    }),
    id('d'),
  ],
  [observed('coordinator', 'request.state', { kind: 'sign', state: 'pending' }), requestId],
  [observed('connector-1', 'request.seen', { kind: 'sign', state: 'pending' }), requestId],
  [observed('connector-1', 'request.forwarded', { nodeState: 'authorised' }), requestId],
  [observed('node-1', 'session.signed', { attemptId: 'ff', set: [party('1'), party('2')] }), requestId],
  [observed('connector-1', 'result.received', { resultId: id('e') }), id('e')],
  [observed('connector-1', 'result.submitted', { resultId: id('e'), votes, counted: true }), id('e')],
  [observed('coordinator', 'request.result', { resultId: id('e'), party: party('1'), votes }), id('e')],
  [observed('coordinator', 'request.state', { kind: 'sign', state: 'fulfilled' }), requestId],
  [observed('client alice', 'client.fetched', { owner: 'alice' }), requestId],
];
const steps = process.map(([observation]) => signStep(observation, subject)!);

describe('steps of the testnet', () => {
  it('are twelve, each from an event of the process it happens in, with its record', () => {
    for (const [index, [observation, recordId]] of process.entries()) {
      const step = signStep(observation, subject);
      assert.ok(step, observation.event);
      assert.equal(step.step, index + 1);
      assert.equal(step.process, observation.process);
      assert.equal(step.recordId, recordId);
      assert.equal(step.requestId, requestId);
    }
  });

  it('name people and parties', () => {
    const titles = steps.map((step) => step.title);
    assert.match(titles[2]!, /^bob approves$/);
    assert.match(titles[6]!, /party-1, party-2$/);
    assert.match(titles[9]!, /party-1: 1 of 2$/);
  });

  it('tell who is missing while a request is partial', () => {
    const waits = observed('client alice', 'client.waits', { have: 1, need: 2, missing: ['bob', 'carol'] });
    const step = signStep(waits, subject);
    assert.equal(step?.step, 2);
    assert.match(step.title, /1 of 2, missing one of bob, carol$/);
  });

  it('are none of another request, of unknown events, or without their record', () => {
    const [sample] = process[9]!;
    for (const other of [
      { ...sample, fields: { ...sample.fields, requestId: id('b') } },
      { ...sample, fields: { ...sample.fields, resultId: undefined } },
      { ...sample, fields: { ...sample.fields, resultId: 'nonsense' } },
      observed('coordinator', 'request.received', { kind: 'sign' }),
      observed('coordinator', 'request.state', { state: 'odd' }),
      observed('connector-1', 'request.seen', { state: 'partial' }),
      observed('connector-1', 'request.forwarded', { nodeState: 'waiting' }),
      observed('node-1', 'node.started'),
    ]) {
      assert.equal(signStep(other, subject), undefined, JSON.stringify(other));
    }
  });

  it('are told in order, whatever order they are read in, and none is lost', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(steps, { minLength: steps.length }), (shuffled) => {
        const order = new StepOrder();
        const told = shuffled.flatMap((step) => order.add(step));
        assert.deepEqual(
          told.map((step) => step.step),
          [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
        );
        assert.deepEqual(order.missing(), []);
      }),
    );
  });

  it('wait for the step before them', () => {
    const order = new StepOrder();
    for (const step of steps.filter(({ step: number }) => number !== 5)) order.add(step);
    assert.deepEqual(order.missing(), [5, 6, 7, 8, 9, 10, 11, 12]);
    assert.equal(order.add(steps[4]!).length, 8);
  });

  it('of other parties follow as they come; what one process repeats is told once', () => {
    const order = new StepOrder();
    for (const step of steps) order.add(step);
    const other = { ...steps[4]!, process: 'connector-2' };
    assert.deepEqual(order.add(other), [other]);
    assert.deepEqual(order.add(other), []);
    assert.equal(order.count(5), 2);
  });

  it('of a key request are its question, every confirmation, and the key', () => {
    const stages = [
      observed('client alice', 'client.asked', { owner: 'alice', label: 'payroll' }),
      observed('node-2', 'result.stored', { kind: 'key', resultId: id('e') }),
      observed('node-2', 'result.stored', { kind: 'refusal', resultId: id('e') }),
      observed('client alice', 'client.fetched', { owner: 'alice', address: 'So1' }),
    ].map((observation) => keyStage(observation, subject)?.step);
    assert.deepEqual(stages, ['key.asked', 'key.confirmed', undefined, 'key.fulfilled']);
  });
});

describe('logs of the testnet', () => {
  const line = (event: string, time: string): string => `${JSON.stringify({ event, time, pid: 1 })}\n`;

  it('are read line by line: what is no event is passed over', () => {
    const read = readLogLine('node-1', line('node.started', '2030-01-01T00:00:00.000Z'));
    assert.deepEqual(read, {
      process: 'node-1',
      event: 'node.started',
      at: '2030-01-01T00:00:00.000Z',
      fields: { pid: 1 },
    });
    for (const text of [
      '',
      'countersign: no',
      '{',
      'null',
      '[]',
      '{"event":1,"time":"x"}',
      '{"event":"x"}',
    ]) {
      assert.equal(readLogLine('node-1', text), undefined, text);
    }
  });

  it('are told in the order of their times, each line once it is whole', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'countersign-test-'));
    const tails = new LogTails();
    try {
      const paths = ['one', 'two'].map((name) => join(dir, name));
      const [first, second] = paths as [string, string];
      for (const path of paths) await writeFile(path, '');
      await tails.add('one', first);
      await tails.add('two', second);
      assert.deepEqual(await tails.read(), []);
      await appendFile(first, line('b', '2030-01-01T00:00:00.002Z'));
      await appendFile(second, line('a', '2030-01-01T00:00:00.001Z') + 'no event\n');
      const cut = line(`ü${'x'.repeat(200_000)}`, '2030-01-01T00:00:00.003Z');
      await appendFile(second, Buffer.from(cut).subarray(0, 11));
      const events = async (): Promise<string[]> => (await tails.read()).map(({ event }) => event);
      assert.deepEqual(await events(), ['a', 'b']);
      assert.deepEqual(await events(), []);
      await appendFile(second, Buffer.from(cut).subarray(11));
      assert.deepEqual(await events(), [`ü${'x'.repeat(200_000)}`]);
    } finally {
      await tails.close();
      await rm(dir, { recursive: true });
    }
  });
});
