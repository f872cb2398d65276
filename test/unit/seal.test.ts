// Sealed secrets, their files, identities, and where passphrases come from: hostile files first.
import assert from 'node:assert/strict';
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { IdentityError } from '../../client/identity/error.ts';
import { createIdentity, openIdentity, readPublicIdentity } from '../../client/identity/identity.ts';
import {
  type PassphraseSources,
  readPassphrase,
  type TerminalInput,
} from '../../client/identity/passphrase.ts';
import { parseSealed, seal, type Sealed, unseal } from '../../client/identity/seal.ts';
import { openSealedFile, readPrivateFile, writePrivateFile } from '../../client/identity/sealed-file.ts';

const testOnlyScryptCost = 2 ** 10;
const passphrase = 'correct horse battery staple';
const secret = new TextEncoder().encode('the secret itself, which must never be seen');

const fails =
  (code: IdentityError['code'], pattern = /./) =>
  (error: unknown) => {
    assert.ok(error instanceof IdentityError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, pattern);
    assert.doesNotMatch(error.message, /\n/, 'one line');
    assert.ok(!error.message.includes(passphrase));
    return true;
  };

const sealSecret = (options = {}) =>
  seal(secret, {
    kind: 'test',
    passphrase,
    public: { name: 'alice', note: 'x' },
    testOnlyScryptCost,
    ...options,
  });
const open = (sealed: Sealed, options = {}) =>
  unseal(sealed, { kind: 'test', passphrase, source: 'FILE', ...options });

describe('seal', () => {
  it('opens with the passphrase and kind it was sealed with', async () => {
    const sealed = parseSealed(JSON.stringify(await sealSecret()), 'FILE');
    assert.deepEqual(await open(sealed), secret);
    assert.ok(!JSON.stringify(sealed).includes(Buffer.from(secret).toString('hex').slice(0, 16)));
    const again = await sealSecret();
    assert.notEqual(again.kdf.salt, sealed.kdf.salt);
    assert.notEqual(again.ciphertext, sealed.ciphertext);
  });

  it('costs 128 MiB by default, and says so in the file', async () => {
    const sealed = await seal(secret, { kind: 'test', passphrase });
    assert.deepEqual({ N: sealed.kdf.N, r: sealed.kdf.r, p: sealed.kdf.p }, { N: 2 ** 17, r: 8, p: 1 });
    assert.deepEqual(await open(sealed), secret);
  });

  it('agrees with an independent derivation', async () => {
    const { scrypt } = await import('@noble/hashes/scrypt.js');
    const { xchacha20poly1305 } = await import('@noble/ciphers/chacha.js');
    const sealed = await sealSecret();
    const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex.slice(2), 'hex'));
    const key = scrypt(passphrase, bytes(sealed.kdf.salt), { N: testOnlyScryptCost, r: 8, p: 1, dkLen: 64 });
    const { N, salt, check } = sealed.kdf;
    const aad =
      `{"format":"countersign-sealed/1","kdf":{"N":${N},"check":"${check}","name":"scrypt","p":1,"r":8,"salt":"${salt}"},` +
      '"kind":"test","public":{"name":"alice","note":"x"}}';
    const cipher = xchacha20poly1305(key.subarray(0, 32), bytes(sealed.nonce), new TextEncoder().encode(aad));
    assert.deepEqual(cipher.decrypt(bytes(sealed.ciphertext)), secret);
  });

  it('names a wrong passphrase in one line', async () => {
    const sealed = await sealSecret();
    for (const wrong of ['wrong', `${passphrase} `, passphrase.toUpperCase()]) {
      await assert.rejects(
        open(sealed, { passphrase: wrong }),
        fails('wrong_passphrase', /^wrong passphrase for FILE$/),
      );
    }
    await assert.rejects(open(sealed, { passphrase: '' }), fails('bad_passphrase'));
    await assert.rejects(sealSecret({ passphrase: '' }), fails('bad_passphrase'));
  });

  it('takes both spellings of an accented passphrase', async () => {
    const sealed = await sealSecret({ passphrase: 'caf\u00e9' });
    assert.deepEqual(await open(sealed, { passphrase: 'cafe\u0301' }), secret);
  });

  it('refuses another kind', async () => {
    const sealed = await sealSecret();
    await assert.rejects(open(sealed, { kind: 'other' }), fails('wrong_kind'));
    await assert.rejects(open({ ...sealed, kind: 'other' }, { kind: 'other' }), fails('damaged'));
  });

  it('notices every change of ciphertext, nonce and public part', async () => {
    const sealed = await sealSecret();
    const flip = (hex: string, at: number) =>
      hex.slice(0, at) + (hex[at] === '0' ? '1' : '0') + hex.slice(at + 1);
    const changed: Sealed[] = [
      { ...sealed, ciphertext: flip(sealed.ciphertext, 2) },
      { ...sealed, ciphertext: flip(sealed.ciphertext, sealed.ciphertext.length - 1) },
      { ...sealed, ciphertext: sealed.ciphertext.slice(0, -2) },
      { ...sealed, ciphertext: `${sealed.ciphertext}00` },
      { ...sealed, nonce: flip(sealed.nonce, 5) as Sealed['nonce'] },
      { ...sealed, public: { name: 'mallory', note: 'x' } },
      { ...sealed, public: { name: 'alice' } },
      { ...sealed, public: { ...sealed.public, more: '' } },
    ];
    const { public: _public, ...bare } = sealed;
    assert.ok(_public);
    for (const each of [...changed, bare]) {
      await assert.rejects(open(parseSealed(JSON.stringify(each), 'FILE')), fails('damaged'));
    }
    // Other parameters are another derivation: it cannot tell them from another passphrase.
    const kdf = { ...sealed.kdf, N: testOnlyScryptCost * 2 };
    await assert.rejects(open({ ...sealed, kdf }), fails('wrong_passphrase'));
    const check = flip(sealed.kdf.check, 4) as Sealed['nonce'];
    await assert.rejects(open({ ...sealed, kdf: { ...sealed.kdf, check } }), fails('wrong_passphrase'));
  });

  it('refuses scrypt parameters that would cost too much or too little, before any work', async () => {
    const sealed = await sealSecret();
    const parameters = [
      { N: 2 ** 18 },
      { N: 2 ** 40 },
      { N: Number.MAX_SAFE_INTEGER },
      { N: 2 ** 17 - 1 },
      { N: 2 ** 9 },
      { N: 1 },
      { r: 16 },
      { r: 1 },
      { r: 2 ** 30 },
      { p: 2 },
      { p: 2 ** 30 },
    ];
    for (const each of parameters) {
      const hostile = { ...sealed, kdf: { ...sealed.kdf, ...each } };
      assert.throws(
        () => parseSealed(JSON.stringify(hostile), 'FILE'),
        fails('kdf_out_of_bounds', /^FILE: scrypt/),
      );
      await assert.rejects(open(hostile), fails('kdf_out_of_bounds'));
    }
    for (const cost of [2 ** 9, 2 ** 18, 1000, 0.5]) {
      await assert.rejects(sealSecret({ testOnlyScryptCost: cost }), RangeError);
    }
  });

  it('refuses what is not exactly such a file', async () => {
    const sealed = await sealSecret();
    const others: unknown[] = [
      null,
      [],
      'text',
      { ...sealed, format: 'countersign-sealed/2' },
      { ...sealed, more: 1 },
      { ...sealed, kind: 'Not A Kind' },
      { ...sealed, kdf: { ...sealed.kdf, name: 'pbkdf2' } },
      { ...sealed, kdf: { ...sealed.kdf, N: '1024' } },
      { ...sealed, kdf: { ...sealed.kdf, N: 0 } },
      { ...sealed, kdf: { ...sealed.kdf, salt: '0x00' } },
      { ...sealed, nonce: sealed.nonce.slice(0, -2) },
      { ...sealed, ciphertext: '0x00' },
      { ...sealed, ciphertext: `0x${'00'.repeat(70_000)}` },
      { ...sealed, ciphertext: sealed.ciphertext.slice(0, -1) },
      { ...sealed, public: { name: 1 } },
    ];
    for (const each of others) {
      assert.throws(() => parseSealed(JSON.stringify(each), 'FILE'), fails('malformed', /^FILE is not a /));
    }
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        assert.throws(() => parseSealed(text, 'FILE'), fails('malformed'));
      }),
    );
    await assert.rejects(
      seal(new Uint8Array(64 * 1024 + 1), { kind: 'test', passphrase, testOnlyScryptCost }),
      RangeError,
    );
  });
});

describe('files for their owner alone', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'countersign-seal-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('are of mode 0600 in folders of mode 0700, whatever the umask', async () => {
    const umask = process.umask(0);
    try {
      await writePrivateFile(join(folder, 'a/b/file'), 'text');
    } finally {
      process.umask(umask);
    }
    assert.equal((await stat(join(folder, 'a/b/file'))).mode & 0o777, 0o600);
    for (const made of ['a', 'a/b']) assert.equal((await stat(join(folder, made))).mode & 0o777, 0o700);
    assert.equal(new TextDecoder().decode(await readPrivateFile(join(folder, 'a/b/file'))), 'text');
    assert.deepEqual(await readdir(join(folder, 'a/b')), ['file'], 'no temporary file is left');
  });

  it('are replaced only when asked, and then wholly', async () => {
    const path = join(folder, 'file');
    await writePrivateFile(path, 'first');
    await assert.rejects(writePrivateFile(path, 'second'), fails('exists', /already exists/));
    assert.equal(await readFile(path, 'utf8'), 'first');
    await writePrivateFile(path, 'second', { replace: true });
    assert.equal(await readFile(path, 'utf8'), 'second');
    assert.deepEqual(await readdir(folder), ['file']);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, (_, writer) => writePrivateFile(join(folder, 'race'), String(writer))),
    );
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
    await writePrivateFile(join(folder, 'file2'), 'x');
    await assert.rejects(writePrivateFile(join(folder, 'file2', 'below'), 'x'), fails('unwritable'));
  });

  it('are refused when others may use them', async () => {
    const path = join(folder, 'file');
    await writePrivateFile(path, 'text');
    for (const mode of [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644]) {
      await chmod(path, mode);
      await assert.rejects(readPrivateFile(path), (error) => {
        assert.ok((error as Error).message.endsWith(`chmod 600 ${path}`));
        return fails('readable_by_others')(error);
      });
    }
    await chmod(path, 0o400);
    await readPrivateFile(path);
    await symlink(path, join(folder, 'link'));
    await chmod(path, 0o644);
    await assert.rejects(readPrivateFile(join(folder, 'link')), fails('readable_by_others'));
  });

  it('are bounded, regular and there', async () => {
    await assert.rejects(readPrivateFile(join(folder, 'none')), fails('missing'));
    await mkdir(join(folder, 'folder'), { mode: 0o700 });
    await assert.rejects(readPrivateFile(join(folder, 'folder')), fails('unreadable'));
    await writePrivateFile(join(folder, 'large'), 'x');
    await truncate(join(folder, 'large'), 2 ** 40);
    await assert.rejects(readPrivateFile(join(folder, 'large')), fails('unreadable', /the limit is/));
  });
});

describe('identities', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'countersign-identity-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('are made, listed without and opened with the passphrase', async () => {
    const path = join(folder, 'identities', 'alice.json');
    const made = await createIdentity({ name: 'alice', passphrase, path, testOnlyScryptCost });
    assert.match(made.credential, /^ed25519:0x[0-9a-f]{64}$/);
    assert.equal(made.seed.length, 32);
    assert.deepEqual(await readPublicIdentity(path), { name: 'alice', credential: made.credential });
    assert.deepEqual(await openIdentity(path, passphrase), made);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    await assert.rejects(openIdentity(path, 'wrong'), fails('wrong_passphrase'));
    await assert.rejects(
      createIdentity({ name: 'alice', passphrase, path, testOnlyScryptCost }),
      fails('exists'),
    );
    assert.deepEqual(await openIdentity(path, passphrase), made, 'the first one is still there');
  });

  it('have the seed that the source of randomness gave (RFC 8032, 7.1, TEST 1)', async () => {
    const seed = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex');
    let calls = 0;
    const random = (length: number) =>
      calls++ === 0 ? Uint8Array.from(seed) : new Uint8Array(length).fill(calls);
    const path = join(folder, 'a');
    const { credential } = await createIdentity({ name: 'a', passphrase, path, random, testOnlyScryptCost });
    assert.equal(credential, 'ed25519:0xd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
  });

  it('are refused with a bad name, another kind or another public part', async () => {
    for (const name of ['', 'A', '../a', '.a', 'a/b', 'a'.repeat(41)]) {
      const options = { name, passphrase, path: join(folder, 'x'), testOnlyScryptCost };
      await assert.rejects(createIdentity(options), fails('bad_name'));
    }
    assert.deepEqual(await readdir(folder), []);
    const path = join(folder, 'alice');
    await createIdentity({ name: 'alice', passphrase, path, testOnlyScryptCost });
    const file = JSON.parse(await readFile(path, 'utf8')) as Sealed;
    await writePrivateFile(path, JSON.stringify({ ...file, public: { ...file.public, name: 'bob' } }), {
      replace: true,
    });
    await assert.rejects(openIdentity(path, passphrase), fails('damaged'));
    await writePrivateFile(path, JSON.stringify(await sealSecret()), { replace: true });
    await assert.rejects(readPublicIdentity(path), fails('wrong_kind'));
    await assert.rejects(openIdentity(path, passphrase), fails('wrong_kind'));
    await writePrivateFile(path, 'x', { replace: true });
    await assert.rejects(openSealedFile(path, { kind: 'test', passphrase }), fails('malformed'));
  });
});

describe('passphrases', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'countersign-passphrase-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const file = async (name: string, text: string | Uint8Array, mode = 0o600) => {
    const path = join(folder, name);
    await writeFile(path, text, { mode });
    await chmod(path, mode);
    return path;
  };
  const noTerminal = new PassThrough() as TerminalInput;
  const read = (sources: PassphraseSources) =>
    readPassphrase({ environment: {}, input: noTerminal, ...sources });

  it('come from the first source that is configured', async () => {
    const passphraseFile = await file('one', 'first\n');
    const environment = {
      COUNTERSIGN_PASSPHRASE_FILE: await file('two', 'second'),
      CREDENTIALS_DIRECTORY: folder,
      COUNTERSIGN_PASSPHRASE: 'never from a variable',
    };
    await file('countersign-passphrase', 'third\r\n', 0o440);
    assert.equal(await read({ passphraseFile, environment }), 'first');
    assert.equal(await read({ environment }), 'second');
    assert.equal(await read({ environment: { CREDENTIALS_DIRECTORY: folder } }), 'third');
    await assert.rejects(
      read({ environment: { COUNTERSIGN_PASSPHRASE: 'x', CREDENTIALS_DIRECTORY: tmpdir() } }),
      fails('no_passphrase', /--passphrase-file FILE/),
    );
  });

  it('do not fall through to the next source when one fails', async () => {
    const environment = { COUNTERSIGN_PASSPHRASE_FILE: await file('good', 'good') };
    await assert.rejects(read({ environment, passphraseFile: join(folder, 'none') }), fails('missing'));
    await assert.rejects(
      read({ environment, passphraseFile: await file('open', 'x', 0o644) }),
      fails('readable_by_others', /chmod 600/),
    );
    await file('countersign-passphrase', 'x', 0o444);
    await assert.rejects(
      read({ environment: { CREDENTIALS_DIRECTORY: folder } }),
      fails('readable_by_others'),
    );
    for (const text of ['', '\n', '\r\n']) {
      await assert.rejects(
        read({ environment, passphraseFile: await file('empty', text) }),
        fails('bad_passphrase'),
      );
    }
    const bytes = Uint8Array.of(0xff, 0xfe);
    await assert.rejects(
      read({ environment, passphraseFile: await file('binary', bytes) }),
      fails('bad_passphrase'),
    );
  });

  it('lose one trailing line break and nothing else', async () => {
    assert.equal(await read({ passphraseFile: await file('a', ' a b \n\n') }), ' a b \n');
  });

  class Terminal extends PassThrough {
    readonly isTTY = true;
    readonly modes: boolean[] = [];
    readonly shown: string[] = [];
    setRawMode(raw: boolean): void {
      this.modes.push(raw);
    }
    ask(typed: readonly (string | Uint8Array)[], options: PassphraseSources = {}): Promise<string> {
      for (const chunk of typed) this.write(chunk);
      return read({ input: this, output: { write: (text) => this.shown.push(text) }, ...options });
    }
  }

  it('are asked for at a terminal without echo', async () => {
    const umlaut = new TextEncoder().encode('ü');
    const cases: [(string | Uint8Array)[], string][] = [
      [['secret\r'], 'secret'],
      [['se', 'cr', 'et', '\n'], 'secret'],
      [['secretx\x7f\r'], 'secret'],
      [['\x7fnonsense\x15secret\x04'], 'secret'],
      [['secret', '\x1b[A', '\r'], 'secret'],
      [[umlaut.slice(0, 1), umlaut.slice(1), '👍x\x7f\x7f\r'], 'ü'],
    ];
    for (const [typed, expected] of cases) {
      const terminal = new Terminal();
      assert.equal(await terminal.ask(typed), expected);
      assert.deepEqual(terminal.modes, [true, false]);
      assert.deepEqual(terminal.shown, ['Passphrase: ', '\n']);
      assert.equal(terminal.listenerCount('data'), 0);
    }
  });

  it('are asked for twice when they are new', async () => {
    for (const typed of [['secret\rsecret\r'], ['secret\r\nsecret\r\n'], ['secret\r', 'secret\r']]) {
      assert.equal(await new Terminal().ask(typed, { confirm: true, question: 'New: ' }), 'secret');
    }
    await assert.rejects(
      new Terminal().ask(['a\r', 'b\r'], { confirm: true }),
      fails('bad_passphrase', /differ/),
    );
    await assert.rejects(new Terminal().ask(['\r']), fails('bad_passphrase', /empty/));
  });

  it('can be refused to a terminal, which is then as it was', async () => {
    for (const leave of ['\x03', undefined]) {
      const terminal = new Terminal();
      const asked = terminal.ask(['sec']);
      if (leave === undefined) terminal.end();
      else terminal.write(leave);
      await assert.rejects(asked, fails('cancelled'));
      assert.deepEqual(terminal.modes, [true, false]);
    }
    const stop = new AbortController();
    const terminal = new Terminal();
    const asked = terminal.ask([], { signal: stop.signal });
    stop.abort();
    await assert.rejects(asked, fails('cancelled'));
    assert.equal(terminal.modes.at(-1) ?? false, false);
  });
});
