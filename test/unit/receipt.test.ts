// Receipts: made by a coordinator from what it was given, checked by anybody from the file alone. Whatever is altered in
// one, the part that no longer holds is named.
import assert from 'node:assert/strict';
import type { Hex } from '../../protocol/hex.ts';
import {
  decodeReceipt,
  encodeReceipt,
  maxReceiptBytes,
  type Receipt,
  ReceiptError,
  type ReceiptErrorCode,
  verifyReceipt,
} from '../../protocol/receipt.ts';
import { encodeCanonical } from '../../protocol/records/canonical.ts';
import type { Envelope } from '../../protocol/records/envelope.ts';
import { alterationsOf } from '../support/alterations.ts';
import {
  approve,
  createWorld,
  evidence as evidenceOf,
  idOf,
  keyRequest,
  messagePayload,
  networkId,
  reject,
  resultBy,
  signerOf,
  signRequest,
  start,
} from '../support/fixture.ts';
import { type ServiceWorld, stores, submitted, withService } from '../support/service-world.ts';
import { keyResultOf, makeKey, refusedBy, signedBy } from '../support/world-key.ts';

interface Made {
  readonly receipt: Receipt;
  readonly workspaceId: Hex;
  readonly requestId: Hex;
}

/** A fulfilled sign request with `results` results, and its receipt. */
async function signed(at: ServiceWorld, results = 2): Promise<Made> {
  const key = await at.key();
  const request = await submitted(at, key);
  const requestId = idOf(request);
  await at.call('action_decide', { decision: approve(at.world, requestId, 'bob') });
  for (let index = 0; index < results; index++) await at.sign(index, key, requestId);
  const { receipt } = await at.call('receipt_get', { requestId }, at.owner());
  return { receipt, requestId, workspaceId: at.world.workspace.id };
}

async function madeKey(at: ServiceWorld): Promise<Made> {
  const { id: requestId } = await at.key();
  const { receipt } = await at.call('receipt_get', { requestId }, at.owner());
  return { receipt, requestId, workspaceId: at.world.workspace.id };
}

const run = (work: (at: ServiceWorld) => Promise<void>) => () =>
  withService(stores['memory']!, work, createWorld());

/** The part of a receipt that a path is in. */
function partOf(path: string): ReceiptErrorCode {
  const parts: readonly [RegExp, ReceiptErrorCode][] = [
    [/^evidence\.log\./, 'log'],
    [/^evidence\.roster\./, 'roster'],
    [/^evidence\.request\./, 'request'],
    [/^evidence\.decisions\./, 'decisions'],
    [/^evidence\.keys\./, 'keys'],
    [/^results\./, 'results'],
    [/^signatures\./, 'signatures'],
  ];
  return parts.find(([pattern]) => pattern.test(`${path}.`))?.[1] ?? 'malformed';
}

/** The element of a list of records that a path goes into, as errors name it; undefined for all other paths. */
function elementOf(path: string): string | undefined {
  const inside = /^(evidence\.decisions|evidence\.keys|results)\.(\d+)\../.exec(path);
  return inside === null ? undefined : `${inside[1]}[${inside[2]}]`;
}

/** What is wrong with a receipt; undefined when nothing is. */
function wrongWith(content: unknown, workspaceId: Hex): ReceiptError | undefined {
  try {
    // As it would stand in a file.
    const receipt = decodeReceipt(encodeCanonical(content));
    verifyReceipt(receipt, { workspaceId });
    return undefined;
  } catch (error) {
    assert.ok(error instanceof ReceiptError, String(error));
    return error;
  }
}

describe('receipt', () => {
  it(
    'of signatures proves who asked, who approved, which parties signed what',
    run(async (at) => {
      const { receipt, requestId, workspaceId } = await signed(at, 3);
      const proof = verifyReceipt(decodeReceipt(encodeReceipt(receipt)), { workspaceId });
      assert.equal(proof.requestId, requestId);
      assert.equal(proof.workspace.id, workspaceId);
      assert.equal(proof.keyring.id, at.world.keyring.id);
      assert.deepEqual(proof.approvedBy, ['alice', 'bob']);
      assert.equal(proof.parties.length, 3);
      assert.equal(proof.signatures.length, proof.items.length);
      assert.equal(proof.items[0]?.payload.kind, 'message');
      assert.equal(proof.key, undefined);
    }),
  );

  it(
    'of a key proves its certificate',
    run(async (at) => {
      const { receipt, workspaceId } = await madeKey(at);
      const proof = verifyReceipt(decodeReceipt(encodeReceipt(receipt)), { workspaceId });
      assert.equal(proof.parties.length, at.world.parties.length);
      assert.equal(proof.key?.publicKey, makeKey(at.world, 'treasury').publicKey);
      assert.deepEqual(proof.signatures, []);
    }),
  );

  it(
    'holds for ever, as far as its approvals are concerned',
    run(async (at) => {
      const { receipt, workspaceId, requestId } = await signed(at);
      at.now += 400 * 24 * 3600_000;
      assert.equal(wrongWith(receipt, workspaceId), undefined);
      assert.deepEqual((await at.call('receipt_get', { requestId }, at.owner())).receipt, receipt);
    }),
  );

  it(
    'is of fulfilled requests only, and only for those who may read them',
    run(async (at) => {
      const key = await at.key();
      const request = await submitted(at, key);
      const requestId = idOf(request);
      await at.refuses('wrong_state', 'receipt_get', { requestId }, at.owner(), /partial/);
      await at.call('action_decide', { decision: reject(at.world, requestId, 'alice') });
      await at.refuses('wrong_state', 'receipt_get', { requestId }, at.owner(), /rejected/);
      await at.refuses(
        'forbidden',
        'receipt_get',
        { requestId: key.id },
        {
          credential: at.world.parties[0]!.credential,
        },
      );
      await at.refuses('not_found', 'receipt_get', { requestId: at.world.workspace.id }, at.owner());
    }),
  );

  it(
    'names as approving only those whose last decision in it is an approval that had not run out',
    run(async (at) => {
      const { receipt, requestId, workspaceId } = await signed(at);
      const { decisions } = receipt.evidence;
      const approvedBy = (...more: readonly Envelope[]): readonly string[] => {
        const evidence = { ...receipt.evidence, decisions: [...decisions, ...more] };
        return verifyReceipt({ ...receipt, evidence }, { workspaceId }).approvedBy;
      };
      const carol = (seq: number): Envelope => approve(at.world, requestId, 'carol', { seq });
      assert.deepEqual(approvedBy(carol(1)), ['alice', 'bob', 'carol']);
      const rejection = reject(at.world, requestId, 'carol', { seq: 2 });
      for (const order of [
        [carol(1), rejection],
        [rejection, carol(1)],
      ])
        assert.deepEqual(approvedBy(...order), ['alice', 'bob']);
      assert.deepEqual(approvedBy(carol(1), rejection, carol(3)), ['alice', 'bob', 'carol']);
      const over = approve(at.world, requestId, 'carol', { expires: start - 1000 });
      assert.deepEqual(approvedBy(over), ['alice', 'bob']);
    }),
  );

  it(
    'leaves out who refused',
    run(async (at) => {
      const key = await at.key();
      const requestId = idOf(await submitted(at, key));
      await at.call('action_decide', { decision: approve(at.world, requestId, 'bob') });
      await at.submit(0, refusedBy(at.world, at.party(0), requestId));
      for (const index of [1, 2]) await at.sign(index, key, requestId);
      const { receipt } = await at.call('receipt_get', { requestId }, at.owner());
      const { parties } = verifyReceipt(receipt, { workspaceId: at.world.workspace.id });
      assert.equal(parties.length, 2);
      const withRefusal = {
        ...receipt,
        results: [...receipt.results, refusedBy(at.world, at.party(0), requestId)],
      };
      const error = wrongWith(withRefusal, at.world.workspace.id);
      assert.equal(error?.code, 'results');
      assert.equal(error?.at, 'results[2]');
    }),
  );

  for (const [name, make] of [
    ['signatures', signed],
    ['a key', madeKey],
  ] as const) {
    it(
      `of ${name}, altered in any one field, names the part that no longer holds`,
      run(async (at) => {
        const { receipt, workspaceId } = await make(at);
        const sound = verifyReceipt(receipt, { workspaceId });
        let tried = 0;
        for (const { path, how, content } of alterationsOf(receipt)) {
          const error = wrongWith(content, workspaceId);
          const what = `${path} ${how}: ${String(error)}`;
          tried += 1;
          if (error === undefined) {
            // The same records in another order, or one twice, prove the same.
            assert.ok(how === 'reordered' || how === 'added' || how === 'removed', what);
            const proof = verifyReceipt(content as Receipt, { workspaceId });
            assert.equal(proof.requestId, sound.requestId, what);
            assert.deepEqual(proof.approvedBy.toSorted(), sound.approvedBy.toSorted(), what);
            continue;
          }
          if (error.code === 'malformed') continue;
          // Every record is bound to the network: the first that is looked at no longer is of it.
          if (path === 'networkId') assert.equal(error.code, 'log', what);
          else assert.equal(error.code, partOf(path), what);
          assert.ok(error.at.length > 0 && error.message.startsWith(`${error.at}: `), what);
          if (path !== 'networkId') assert.equal(error.at, elementOf(path) ?? error.at, what);
        }
        assert.ok(tried > 100, `${tried} alterations`);
      }),
    );
  }

  it(
    'with one sound part exchanged for another names that part',
    run(async (at) => {
      const { receipt, workspaceId } = await signed(at);
      const other = createWorld({ name: 'elsewhere' });
      const { evidence } = receipt;
      const cases: [ReceiptErrorCode, Receipt][] = [
        ['log', { ...receipt, evidence: { ...evidence, log: [other.genesis] } }],
        ['decisions', { ...receipt, evidence: { ...evidence, decisions: [] } }],
        ['keys', { ...receipt, evidence: { ...evidence, keys: [] } }],
        ['keys', { ...receipt, evidence: { ...evidence, keys: [...evidence.keys, ...evidence.keys] } }],
        ['results', { ...receipt, results: receipt.results.slice(0, 1) }],
        ['results', { ...receipt, results: [receipt.results[0]!, receipt.results[0]!] }],
        ['results', { ...receipt, results: evidence.keys[0]!.certificate }],
        ['signatures', { ...receipt, signatures: [`0x${'00'.repeat(64)}`] }],
        ['signatures', { ...receipt, signatures: [...receipt.signatures!, ...receipt.signatures!] }],
      ];
      for (const [code, content] of cases) assert.equal(wrongWith(content, workspaceId)?.code, code);
      const { signatures: _, ...without } = receipt;
      assert.equal(wrongWith(without, workspaceId)?.code, 'signatures');
    }),
  );

  it(
    'with a result that its party signed, and that is none, names that result',
    run(async (at) => {
      const { receipt, workspaceId, requestId } = await signed(at);
      const [first, second] = receipt.results as [Envelope, Envelope];
      const third = at.party(2);
      const none = signedBy(at.world, third, requestId, [`0x${'00'.repeat(64)}`]);
      const key = resultBy(at.world, third, requestId, keyResultOf(2, 'treasury'));
      const stranger = signedBy(at.world, signerOf('stranger'), requestId, receipt.signatures!);
      // Of the same bytes under another request: the signature is valid, the result is about something else.
      const elsewhere = signedBy(at.world, third, at.world.workspace.id, receipt.signatures!);
      for (const wrong of [none, key, stranger, elsewhere, second, first]) {
        const error = wrongWith({ ...receipt, results: [first, second, wrong] }, workspaceId);
        assert.deepEqual([error?.code, error?.at], ['results', 'results[2]'], String(error));
      }
    }),
  );

  it(
    'of a key is of one key, confirmed by all, and has no signatures',
    run(async (at) => {
      const { receipt, workspaceId, requestId } = await madeKey(at);
      const { results } = receipt;
      const other = resultBy(at.world, at.party(2), requestId, keyResultOf(2, 'another'));
      const cases: [ReceiptErrorCode, string, Receipt][] = [
        ['results', 'results', { ...receipt, results: results.slice(0, 2) }],
        ['results', 'results[2]', { ...receipt, results: results.with(2, other) }],
        ['signatures', 'signatures', { ...receipt, signatures: [`0x${'00'.repeat(64)}`] }],
      ];
      for (const [code, place, content] of cases) {
        const error = wrongWith(content, workspaceId);
        assert.deepEqual([error?.code, error?.at], [code, place], String(error));
      }
    }),
  );

  it(
    'names a decision that is none, though the others suffice, and who rejected has not approved',
    run(async (at) => {
      const key = await at.key();
      const requestId = idOf(await submitted(at, key));
      const workspaceId = at.world.workspace.id;
      await at.call('action_decide', { decision: reject(at.world, requestId, 'carol') });
      await at.call('action_decide', { decision: approve(at.world, requestId, 'bob') });
      for (const index of [0, 1]) await at.sign(index, key, requestId);
      const { receipt } = await at.call('receipt_get', { requestId }, at.owner());
      const { evidence } = receipt;
      assert.equal(evidence.decisions.length, 2);
      assert.deepEqual(verifyReceipt(receipt, { workspaceId }).approvedBy, ['alice', 'bob']);
      const elsewhere = approve(at.world, key.id, 'carol');
      const stranger = approve(at.world, requestId, 'carol', { signer: at.world.owners['bob']! });
      for (const wrong of [elsewhere, stranger]) {
        const decisions = [...evidence.decisions, wrong];
        const error = wrongWith({ ...receipt, evidence: { ...evidence, decisions } }, workspaceId);
        assert.deepEqual([error?.code, error?.at], ['decisions', 'evidence.decisions[2]'], String(error));
      }
      const cancelled = [...evidence.decisions, reject(at.world, requestId, 'alice', { seq: 9 })];
      const refused = [...evidence.decisions, reject(at.world, requestId, 'bob', { seq: 9 })];
      for (const decisions of [cancelled, refused]) {
        const error = wrongWith({ ...receipt, evidence: { ...evidence, decisions } }, workspaceId);
        assert.deepEqual([error?.code, error?.at], ['decisions', 'evidence.decisions'], String(error));
      }
    }),
  );

  it(
    'names the roster of a keyring that the workspace does not use, or that does not serve it',
    run(async (at) => {
      const other = createWorld({ name: 'elsewhere' });
      for (const make of [signed, madeKey]) {
        const { receipt, workspaceId } = await make(at);
        const evidence = { ...receipt.evidence, roster: other.keyring.envelope };
        const error = wrongWith({ ...receipt, evidence }, workspaceId);
        assert.deepEqual([error?.code, error?.at], ['roster', 'evidence.roster'], String(error));
      }
      const closed = createWorld({ name: 'closed', serves: [other.workspace.id] });
      const request = keyRequest(closed);
      const { certificate } = makeKey(closed, 'treasury', request);
      const receipt: Receipt = {
        type: 'countersign.receipt',
        version: 1,
        networkId,
        evidence: evidenceOf(closed, request),
        results: [...certificate],
      };
      const error = wrongWith(receipt, closed.workspace.id);
      assert.deepEqual([error?.code, error?.at], ['roster', 'evidence.roster'], String(error));
    }),
  );

  it(
    'of a key of another workspace names the keys',
    run(async (at) => {
      const other = createWorld({ name: 'elsewhere' });
      const theirs = keyRequest({ ...other, keyring: at.world.keyring });
      const { entry, id } = makeKey(at.world, 'theirs', theirs);
      const { receipt, workspaceId } = await signed(at);
      const request = signRequest(at.world, [{ keyId: id, payload: messagePayload('hello') }]);
      const evidence = evidenceOf(at.world, request, { keys: [entry] });
      const error = wrongWith({ ...receipt, evidence }, workspaceId);
      assert.deepEqual([error?.code, error?.at], ['keys', 'evidence.keys'], String(error));
    }),
  );

  it(
    'is bounded: more results or signatures than any request has, or more bytes, are no receipt',
    run(async (at) => {
      const { receipt, workspaceId } = await signed(at);
      const results = Array.from({ length: 51 }, () => receipt.results[0]!);
      const signatures = Array.from({ length: 51 }, () => receipt.signatures![0]!);
      for (const content of [
        { ...receipt, results },
        { ...receipt, signatures },
        { ...receipt, results: [] },
      ])
        assert.equal(wrongWith(content, workspaceId)?.code, 'malformed');
      const [long] = receipt.results as [Envelope];
      const large = { ...receipt, results: [{ ...long, bytes: 'A'.repeat(maxReceiptBytes) }] };
      assert.throws(() => decodeReceipt(encodeCanonical(large)), { code: 'malformed', at: 'the file' });
    }),
  );

  it(
    'is of the workspace that its reader trusts, and of no other',
    run(async (at) => {
      const { receipt, requestId } = await signed(at);
      assert.throws(() => verifyReceipt(receipt, { workspaceId: requestId }), {
        name: 'ReceiptError',
        code: 'log',
        at: 'evidence.log',
      });
    }),
  );

  it(
    'has one spelling',
    run(async (at) => {
      const { receipt } = await signed(at);
      const bytes = encodeReceipt(receipt);
      assert.deepEqual(decodeReceipt(bytes), receipt);
      assert.deepEqual(decodeReceipt(bytes.subarray(0, -1)), receipt);
      const pretty = new TextEncoder().encode(JSON.stringify(receipt, undefined, 2));
      for (const wrong of [pretty, bytes.subarray(1), new Uint8Array(), Uint8Array.of(0x0a, 0x0a)])
        assert.throws(() => decodeReceipt(wrong), { name: 'ReceiptError', code: 'malformed' });
    }),
  );
});
