// Audit files, altered in every place: each alteration is noticed, and its line named.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { AuditError, type AuditErrorCode, auditLines, AuditWriter } from '../../protocol/audit.ts';
import { type Audited, continues, verifyAudit } from '../../protocol/audit-check.ts';
import type { Hex } from '../../protocol/hex.ts';
import { encodeCanonical } from '../../protocol/records/canonical.ts';
import type { Json } from '../support/cli-run.ts';
import { CliNetwork } from '../support/cli-network.ts';

const policy = `version: 1
rules:
  - { id: all, effect: allow, when: { kind: [message, key.request] }, require: { k: 2, of: owners } }
`;
const seed = new Uint8Array(32).fill(7);

/** A line as it is written. */
const canonical = (value: unknown): string => new TextDecoder().decode(encodeCanonical(value));

describe('an audit file', function () {
  this.timeout(60_000);
  let net: CliNetwork;
  let lines: string[];
  let workspaceId: Hex;
  let header: Json;
  let entries: Json[];

  before(async () => {
    net = await CliNetwork.start(policy);
    ({ workspaceId } = net);
    const { keyId } = await net.json('key request --label payroll --type ed25519');
    await net.json(`action approve ${keyId} --as bob --yes`);
    await net.parties.answer(keyId, seed);
    const text = await net.world.write('text', 'hello');
    const sign = async (): Promise<Hex> =>
      (await net.json(`sign --key payroll --payload ${text} --kind message`)).requestId;
    const signed = await sign();
    await net.json(`action approve ${signed} --as bob --yes`);
    await net.parties.answer(signed, seed, 2);
    await net.json(`action reject ${await sign()} --as bob --reason "wrong"`);
    await net.json(`request cancel ${await sign()}`);
    // It ends because the workspace changes.
    await sign();
    const { changeId } = await net.json('workspace disable-key payroll');
    await net.json(`action approve ${changeId} --as bob --yes`);
    const enable = await net.json('workspace enable-key payroll');
    await net.json(`action reject ${enable.changeId} --as bob`);
    await net.json('workspace freeze');
    const out = net.world.path('history.audit');
    await net.json(`audit export --out ${out}`);
    lines = (await readFile(out, 'utf8')).trimEnd().split('\n');
    const parsed: Json[] = lines.map((line) => JSON.parse(line));
    header = parsed[0];
    entries = parsed.slice(1, -1).map(({ entry }) => entry);
  });
  after(() => net?.stop());

  const check = (of: readonly string[], trusted: Hex = workspaceId): Audited =>
    verifyAudit(of, { workspaceId: trusted });
  /** What is thrown, with its code and the line it names. */
  function refuses(of: readonly string[], code: AuditErrorCode, line?: number, words = /./): void {
    assert.throws(
      () => check(of),
      (error: unknown) => {
        assert.ok(error instanceof AuditError, String(error));
        assert.equal(error.code, code, error.message);
        if (line !== undefined) assert.equal(error.line, line, error.message);
        assert.match(error.message, words);
        return true;
      },
    );
  }
  /** The file of whoever makes the chain anew over entries of his own. */
  const rechained = (of: readonly Json[]): string[] => auditLines(header, of);
  const copy = (): Json[] => structuredClone(entries);
  const find = (test: (entry: Json) => boolean): number => {
    const index = entries.findIndex(test);
    assert.ok(index >= 0);
    return index;
  };
  const fulfilledSign = (): number => find(({ state, signatures }) => state === 'fulfilled' && signatures);
  const rejectedFor = (code: string, kind = 'request'): number =>
    find((entry) => entry.kind === kind && entry.reason?.code === code);
  /** One entry altered, and the chain made anew: the records themselves must tell. */
  function altered(
    index: number,
    alter: (entry: Json) => void,
    code: AuditErrorCode = 'unproven',
    words?: RegExp,
  ): void {
    const changed = copy();
    alter(changed[index]);
    refuses(rechained(changed), code, index + 2, words);
  }

  it('holds as it was written, and says what is in it', () => {
    const audited = check(lines);
    assert.deepEqual(audited.requests, { fulfilled: 2, rejected: 3 });
    assert.deepEqual(audited.changes, { fulfilled: 2, rejected: 1 });
    assert.equal(audited.entries, 9);
    assert.equal(audited.workspace.frozen, true);
    assert.equal(audited.ids.size, 8);
    assert.deepEqual(
      entries
        .map(({ reason }) => reason?.code)
        .filter((code) => code !== undefined)
        .toSorted((one, other) => one.localeCompare(other)),
      ['approvers', 'approvers', 'cancelled', 'policy_changed'],
    );
    const seen: string[] = [];
    verifyAudit(lines, { workspaceId }, ({ approvedBy, entry }) =>
      seen.push(`${entry.state} ${approvedBy.join(' ')}`),
    );
    assert.deepEqual(seen.toSorted(), [
      'fulfilled alice bob',
      'fulfilled alice bob',
      'rejected ',
      'rejected alice',
      'rejected alice',
    ]);
  });

  it('is chained: no line can be removed, doubled, moved or cut off', () => {
    for (let index = 0; index < lines.length; index += 1) {
      const without = lines.toSpliced(index, 1);
      const code = index === 0 || index === lines.length - 1 ? 'malformed' : 'broken_chain';
      refuses(without, code);
      refuses(
        lines.toSpliced(index, 0, lines[index]!),
        index === lines.length - 1 || index === 0 ? 'malformed' : 'broken_chain',
      );
      if (index > 0) {
        const swapped = lines.with(index, lines[index - 1]!).with(index - 1, lines[index]!);
        assert.throws(() => check(swapped), AuditError);
      }
      refuses(lines.slice(0, index), 'malformed', Math.max(1, index), index === 0 ? /./ : /cut/);
    }
    const middle = JSON.parse(lines[3]!);
    refuses(lines.with(3, canonical({ ...middle, prev: `0x${'12'.repeat(32)}` })), 'broken_chain', 4);
    refuses(lines.with(3, canonical({ ...middle, seq: 4 })), 'broken_chain', 4);
    refuses([], 'malformed', 1, /cut/);
    refuses([...lines, lines.at(-1)!], 'malformed', lines.length + 1, /more after the end/);
  });

  it('is refused with any field of any line altered', () => {
    let tried = 0;
    /** The value with each of its leaves in turn altered or left out, and each list one shorter. */
    function* bent(value: Json): Generator<Json> {
      if (typeof value === 'string') {
        const at = Math.floor(value.length / 2);
        yield value.slice(0, at) + (value[at] === 'a' ? 'b' : 'a') + value.slice(at + 1);
      } else if (typeof value === 'number') yield value + 1;
      else if (Array.isArray(value)) {
        if (value.length > 0) yield value.slice(1);
        for (const [index, item] of value.entries())
          for (const other of bent(item)) yield value.with(index, other);
      } else if (value !== null && typeof value === 'object') {
        for (const [name, item] of Object.entries(value)) {
          const { [name]: _, ...others } = value;
          yield others;
          for (const other of bent(item)) yield { ...value, [name]: other };
        }
      }
    }
    const change = find(({ kind, state }) => kind === 'change' && state === 'fulfilled');
    // As few lines as there can be: each alteration reads all of them.
    for (const last of [fulfilledSign(), change]) {
      const few = rechained([entries[0], entries[last]]);
      check(few);
      for (const [index, line] of few.entries()) {
        for (const other of bent(JSON.parse(line))) {
          tried += 1;
          const what = `line ${index + 1}: ${JSON.stringify(other).slice(0, 300)}`;
          assert.throws(() => check(few.with(index, canonical(other))), AuditError, what);
        }
      }
    }
    assert.ok(tried > 200, String(tried));
  });

  it('is in the one spelling that there is', () => {
    refuses(lines.with(1, ` ${lines[1]}`), 'malformed', 2);
    refuses(lines.with(1, JSON.stringify({ ...JSON.parse(lines[1]!), more: 1 })), 'malformed', 2);
    refuses(lines.with(1, '{'), 'malformed', 2);
    refuses(lines.with(1, ''), 'malformed', 2);
    refuses(lines.with(0, canonical({ ...header, version: 2 })), 'malformed', 1, /version/);
  });

  it('is of the trusted workspace', () => {
    assert.throws(() => check(lines, `0x${'12'.repeat(32)}`), {
      code: 'unproven',
      line: 1,
      message: /trusted is 0x1212/,
    });
    const other = `0x${'12'.repeat(32)}`;
    const forged = auditLines({ ...header, workspaceId: other }, entries);
    assert.throws(() => check(forged, other as Hex), {
      code: 'unproven',
      line: 2,
      message: /genesis is of workspace/,
    });
  });

  describe('whose chain somebody made anew', () => {
    it('is refused with entries of a log left out, doubled or before the genesis', () => {
      refuses(rechained(entries.slice(1)), 'unproven', 2, /before the genesis/);
      refuses(rechained([entries[0], ...entries]), 'unproven', 3, /second genesis/);
      const change = find(({ kind, state }) => kind === 'change' && state === 'fulfilled');
      refuses(rechained(entries.toSpliced(change, 1)), 'unproven');
      refuses(
        rechained(entries.toSpliced(change, 0, entries[change])),
        'unproven',
        change + 3,
        /does not follow the head/,
      );
      const request = fulfilledSign();
      refuses(
        rechained(entries.toSpliced(request, 0, entries[request])),
        'unproven',
        request + 3,
        /ended before/,
      );
      altered(change, (entry) => (entry.decisions = []), 'unproven', /not decided by the owners/);
      altered(change, (entry) => (entry.state = 'rejected'), 'unproven', /nothing here says why/);
    });

    it('is refused with a fulfilled request that lacks what it takes', () => {
      const index = fulfilledSign();
      altered(
        index,
        (entry) => (entry.results = entry.results.slice(1)),
        'unproven',
        /of 1 parties, 2 are needed/,
      );
      altered(index, (entry) => (entry.decisions = []), 'unproven', /policy is not satisfied/);
      altered(index, (entry) => delete entry.signatures, 'unproven', /signatures: missing/);
      altered(index, (entry) => (entry.signatures = [`0x${'11'.repeat(64)}`]), 'unproven', /signatures/);
      altered(index, (entry) => (entry.keys = []), 'unproven', /certificate/);
      altered(
        index,
        (entry) => (entry.results = [entry.results[0], entry.results[0]]),
        'unproven',
        /second result/,
      );
      const key = find(
        ({ kind, state, signatures }) => kind === 'request' && state === 'fulfilled' && !signatures,
      );
      altered(
        key,
        (entry) => (entry.results = entry.results.slice(1)),
        'unproven',
        /of 2 parties, 3 are needed/,
      );
      altered(index, (entry) => (entry.results = entries[key].results), 'unproven', /another request/);
      altered(index, (entry) => (entry.decisions = entries[key].decisions), 'unproven', /is about/);
    });

    it('is refused with a rejection that nothing bears out', () => {
      altered(
        rejectedFor('approvers'),
        (entry) => (entry.decisions = []),
        'unproven',
        /nothing here says why/,
      );
      altered(
        rejectedFor('cancelled'),
        (entry) => (entry.decisions = []),
        'unproven',
        /nothing here says why/,
      );
      altered(rejectedFor('approvers'), (entry) => delete entry.reason, 'unproven', /ended as rejected/);
      altered(rejectedFor('approvers', 'change'), (entry) => (entry.decisions = []), 'unproven', /nothing/);
      for (const code of [
        'cancelled',
        'policy_changed',
        'approval_timeout',
        'mpc_timeout',
        'parties',
        'superseded',
        'x',
      ])
        altered(
          rejectedFor('approvers'),
          (entry) => (entry.reason.code = code),
          'unproven',
          /nothing here says why/,
        );
      for (const code of ['cancelled', 'superseded', 'approval_timeout', 'x'])
        altered(
          rejectedFor('approvers', 'change'),
          (entry) => (entry.reason.code = code),
          'unproven',
          /nothing/,
        );
      const changed = rejectedFor('policy_changed');
      const after = entries.findIndex(({ kind }) => kind === 'change');
      const moved = entries.toSpliced(changed, 1);
      moved.splice(after, 0, entries[changed]);
      refuses(rechained(moved), 'unproven', after + 2, /policy_changed, and nothing/);
      const foreign = entries[fulfilledSign()].decisions;
      altered(changed, (entry) => (entry.decisions = foreign), 'unproven', /is about/);
      // Its signatures are checked where it was fulfilled; elsewhere a table would show whatever stands there.
      altered(
        rejectedFor('approvers'),
        (entry) => (entry.signatures = [`0x${'11'.repeat(64)}`]),
        'unproven',
        /was rejected, and has signatures/,
      );
      altered(
        fulfilledSign(),
        (entry) => {
          entry.state = 'rejected';
          entry.at = '2099-01-01T00:00:00.000Z';
          entry.reason = { code: 'mpc_timeout', detail: '' };
        },
        'unproven',
        /was rejected, and has signatures/,
      );
      // A request that was signed did not end so.
      altered(fulfilledSign(), (entry) => {
        entry.state = 'rejected';
        entry.reason = { code: 'parties', detail: '' };
      });
    });
  });

  describe('that continues another', () => {
    it('begins with all of it', () => {
      const whole = check(lines);
      const earlier = check(rechained(entries.slice(0, -2)));
      assert.equal(continues(whole, earlier), true);
      assert.equal(continues(earlier, whole), false);
      assert.equal(continues(whole, whole), true);
      const other = check(rechained(entries.toSpliced(fulfilledSign(), 1)));
      assert.equal(continues(whole, other), false);
      assert.equal(continues(other, whole), false);
    });

    it('is written from where that ended', () => {
      const earlier = check(rechained(entries.slice(0, -1)));
      const writer = AuditWriter.after(earlier.head, earlier.entries);
      const added = [writer.entry(entries.at(-1)), writer.end()];
      assert.deepEqual(added, lines.slice(-2));
    });
  });
});
