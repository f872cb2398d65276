// Audit files and their tables at the command line: written from a coordinator in this process, verified without one.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { cell } from '../../cli/audit-csv.ts';
import { auditLines } from '../../protocol/audit.ts';
import { CliNetwork } from '../support/cli-network.ts';
import { fails, type Json } from '../support/cli-run.ts';

const policy = `version: 1
rules:
  - { id: all, effect: allow, when: { kind: [message, key.request] }, require: { k: 1, of: owners } }
`;
const seed = new Uint8Array(32).fill(7);

describe('countersign audit', function () {
  this.timeout(60_000);
  let net: CliNetwork;
  let first: string;
  let files = 0;

  const free = (): string => net.world.path(`free-${(files += 1)}`);
  const linesOf = async (path: string): Promise<string[]> =>
    (await readFile(path, 'utf8')).trimEnd().split('\n');
  const write = (lines: readonly string[]): Promise<string> =>
    net.world.write(`file-${(files += 1)}`, `${lines.join('\n')}\n`);
  /** Nobody answers there, and there is no passphrase. */
  const offline = { environment: { COUNTERSIGN_COORDINATOR: 'http://127.0.0.1:1' }, passphrase: undefined };

  before(async () => {
    net = await CliNetwork.start(policy);
    const { keyId } = await net.json('key request --label =cmd|x!A0 --type ed25519');
    await net.parties.answer(keyId, seed);
    const text = await net.world.write('text', 'hello');
    const asked = await net.json(`sign --key ${keyId} --payload ${text} --kind message`);
    await net.parties.answer(asked.requestId, seed, 2);
    first = free();
    await net.json(`audit export --out ${first}`);
    const { changeId } = await net.json(`workspace disable-key ${keyId}`);
    await net.json(`action approve ${changeId} --as bob --yes`);
  });
  after(() => net?.stop());

  it('export writes what ended, with its head, and verify agrees without a coordinator', async () => {
    const out = free();
    const written = await net.json(`audit export --out ${out}`);
    assert.deepEqual(written.requests, { fulfilled: 2, rejected: 0 });
    assert.deepEqual(written.changes, { fulfilled: 1, rejected: 0 });
    const verified = await net.json(`audit verify ${out}`, offline);
    assert.deepEqual(
      [verified.valid, verified.head, verified.entries, verified.logHead],
      [true, written.head, 4, written.logHead],
    );
    const { stdout } = await net.run(`audit verify ${out} --workspace ${net.workspaceId}`, offline);
    assert.match(stdout, /verdict +everything in the file holds/);
    assert.match(stdout, new RegExp(`head +${written.head}`));
    fails(await net.run(`audit export --out ${out}`), 1, /already exists/);
    fails(await net.run('audit export --json'), 2, /add --out/);
    fails(await net.run(`audit export --out ${net.world.path('nowhere', 'file')}`), 2, /there is no folder/);
  });

  it('export without a file writes the lines and nothing else to standard output', async () => {
    const { stdout, stderr, exitCode } = await net.run('audit export');
    assert.equal(exitCode, 0, stderr);
    const out = await write(stdout.trimEnd().split('\n'));
    assert.equal((await net.run(`audit verify ${out}`, offline)).exitCode, 0);
    assert.match(stderr, /head +0x/);
  });

  it('a later file begins with an earlier one, or it is told', async () => {
    const later = free();
    const extended = await net.run(`audit export --extends ${first} --out ${later}`);
    assert.equal(extended.exitCode, 0, extended.stderr);
    assert.equal((await net.json(`audit verify ${later} --extends ${first}`, offline)).extends, first);
    const [early, late] = [await linesOf(first), await linesOf(later)];
    assert.deepEqual(late.slice(0, early.length - 1), early.slice(0, -1));
    assert.equal(late.length, early.length + 1);
    // Nothing has ended since: the very same again.
    const same = free();
    await net.json(`audit export --extends ${later} --out ${same}`);
    assert.deepEqual(await linesOf(same), late);
    fails(await net.run(`audit verify ${first} --extends ${later}`, offline), 1, /does not begin with/);
    const parsed: Json[] = late.map((line) => JSON.parse(line));
    const shorter = auditLines(
      parsed[0],
      parsed
        .slice(1, -1)
        .map(({ entry }) => entry)
        .toSpliced(2, 1),
    );
    const left = await write(shorter);
    assert.equal((await net.run(`audit verify ${left}`, offline)).exitCode, 0);
    fails(await net.run(`audit verify ${left} --extends ${first}`, offline), 1, /leaves something out/);
  });

  it('verify names the first wrong line', async () => {
    const lines = await linesOf(first);
    const cut = await write(lines.slice(0, -1));
    fails(await net.run(`audit verify ${cut}`, offline), 1, /line 4: the file is cut/);
    const bent = await write(lines.with(2, lines[2]!.replace(/"seq":2/, '"seq":3')));
    fails(await net.run(`audit verify ${bent}`, offline), 1, /line 3: it does not follow/);
    const removed = await write(lines.toSpliced(1, 1));
    fails(await net.run(`audit verify ${removed}`, offline), 1, /line 2: it does not follow/);
    fails(
      await net.run(`audit verify ${first} --workspace 0x${'12'.repeat(32)}`, offline),
      1,
      /line 1: of workspace .*, trusted is 0x1212/,
    );
    for (const nonsense of ['', 'hello', '{}', '\u0000\u001b[2J', '{"end":0}', '[]'.repeat(1000)])
      fails(await net.run(`audit verify ${await write([nonsense])}`, offline), 1, /line 1: /);
    const binary = await net.world.write('binary', Uint8Array.of(0xff, 0xfe, 0x0a));
    fails(await net.run(`audit verify ${binary}`, offline), 1, /line 1: not text in UTF-8/);
    const long = await net.world.write('long', new Uint8Array(9 * 1024 * 1024).fill(97));
    fails(await net.run(`audit verify ${long}`, offline), 1, /line 1: longer than/);
    fails(await net.run(`audit verify ${free()}`, offline), 1, /does not exist/);
    fails(await net.run(`audit export --extends ${bent} --out ${free()}`), 1, /line 3/);
  });

  it('csv has one row for each item, and computes nothing', async () => {
    const out = free();
    const { rows } = await net.json(`audit csv ${first} --out ${out}`, offline);
    assert.equal(rows, 2);
    const text = await readFile(out, 'utf8');
    const [titles = '', key = '', signed = '', rest] = text.split('\r\n');
    assert.equal(rest, '');
    assert.equal(titles.split(',').length, 18);
    assert.match(key, /,key,.*,fulfilled,,alice,alice,'=cmd\|x!A0,[1-9A-HJ-NP-Za-km-z]{32,},key.request,/);
    assert.match(signed, /,sign,.*,'=cmd\|x!A0,.*,message,,,,,,0x[0-9a-f]{128},$/);
    assert.equal(signed.split(',').length, 18);
    fails(await net.run(`audit csv ${first} --out ${out}`, offline), 1, /already exists/);
    const bad = free();
    const cut = await write((await linesOf(first)).slice(0, -1));
    fails(await net.run(`audit csv ${cut} --out ${bad}`, offline), 1, /line 4/);
    await assert.rejects(readFile(bad), { code: 'ENOENT' });
  });

  it('csv quotes by RFC 4180, and marks what a spreadsheet would compute', () => {
    for (const [text, written] of [
      ['plain', 'plain'],
      ['', ''],
      ['a,b', '"a,b"'],
      ['say "no"', '"say ""no"""'],
      ['two\nlines', '"two\nlines"'],
      ['=1+1', "'=1+1"],
      ['+1', "'+1"],
      ['-1', "'-1"],
      ['@SUM(A1)', "'@SUM(A1)"],
      ['\t=1', "'\t=1"],
      ['\r=1', '"\'\r=1"'],
      ['=HYPERLINK("x","y")', '"\'=HYPERLINK(""x"",""y"")"'],
      ['a=1', 'a=1'],
    ] as const)
      assert.equal(cell(text), written);
  });
});
