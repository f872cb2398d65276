// What a testnet shows once it is up: a key that nobody holds, and a transfer from it that a Solana runtime executes.
import { randomBytes } from 'node:crypto';
import { base58 } from '@scure/base';
import { buildKeyRequest, buildSignRequest } from '../../client/records.ts';
import { type ProvenKey, VerificationError, verifySignatures } from '../../client/verify.ts';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import { publicKeyOf } from '../../protocol/keys/ed25519.ts';
import type { Payload } from '../../protocol/payloads/payload.ts';
import { transferMessage } from '../../protocol/payloads/solana-transfer.ts';
import type { RequestView } from '../../protocol/rpc.ts';
import { CliError } from '../errors.ts';
import { fetchKey, listKeys } from '../keys.ts';
import { jsonText, writeOut } from '../record-file.ts';
import { inWorkspace, trustedWorkspace, type WorkspaceSession } from '../session.ts';
import { approve, ask, Followed, type Stage } from './requests.ts';
import type { SolanaChain } from './solana-chain.ts';

/** Label of the key. */
export const keyLabel = 'payroll';
const [initiator, approver] = ['alice', 'bob'] as const;
const lamportsInSol = 1_000_000_000n;
const funded = 10n * lamportsInSol;
const paid = (3n * lamportsInSol) / 2n;
/** Of the transfer that whoever tries the network by hand may have signed. */
const trial = lamportsInSol / 4n;
/** Milliseconds for what is only left to be read from logs. */
const settleMs = 10_000;
/** Milliseconds for the parties beyond the threshold to hand in the result they learned. */
const stragglersMs = 2000;

export interface Demonstrated {
  readonly key: ProvenKey;
  readonly requestId: Hex;
}

/** An amount for people. */
function sol(lamports: bigint): string {
  const text = String(lamports).padStart(10, '0');
  return `${text.slice(0, -9)}.${text.slice(-9)} SOL`;
}

/**
 * The key of an earlier run on this folder, its certificate verified here; one that is still being made is waited for.
 * Undefined when there is none. Throws CliError, VerificationError.
 */
export async function earlierKey(stage: Stage): Promise<ProvenKey | undefined> {
  const { people, network, narration } = stage;
  return await inWorkspace(people, { as: initiator }, async (session) => {
    const workspace = await trustedWorkspace(people, session);
    const labelled = (await listKeys(people, session)).filter(({ label }) => label === keyLabel);
    const found =
      labelled.find(({ state }) => state === 'fulfilled') ??
      labelled.find(({ state }) => state !== 'rejected');
    if (found === undefined) return undefined;
    const { keyId } = found;
    narration.say('', `Key "${keyLabel}": asked for by an earlier run on this folder`);
    if (found.state !== 'fulfilled') {
      const followed = new Followed(stage, keyId, 'key');
      try {
        const { client } = session;
        const view = await client.call('sign_get', { requestId: keyId }, { signal: people.signal });
        await narration.during(() => 'the parties make the key', followed.fulfilled(session, view));
      } catch (error) {
        // One that the parties gave up is made anew.
        if (error instanceof CliError && error.code === 'rejected') return undefined;
        throw error;
      } finally {
        followed.end();
      }
    }
    const key = await fetchKey(people, session, workspace, keyId);
    narration.tell('key', { keyId, address: key.addresses[0]?.address, networkId: network.networkId });
    return key;
  });
}

/** A new key, its certificate verified here. Throws CliError, VerificationError. */
export async function makeKey(stage: Stage): Promise<ProvenKey> {
  const { people, network, narration, feed } = stage;
  narration.say('', 'Key: made by all parties together, so that nobody ever holds it');
  return await inWorkspace(people, { as: initiator }, async (session) => {
    const workspace = await trustedWorkspace(people, session);
    const { networkId, keyringId } = network;
    const built = buildKeyRequest(
      { networkId, workspace, keyringId, keyType: 'ed25519', label: keyLabel, now: people.now() },
      session.signer,
    );
    const { followed, view } = await ask(stage, session, 'key', built, { label: keyLabel });
    try {
      await narration.during(() => 'the parties make the key', followed.fulfilled(session, view));
      const key = await fetchKey(people, session, workspace, built.id);
      if (key.keyring.id !== keyringId) {
        throw new VerificationError('wrong_keyring', `the key is of keyring ${key.keyring.id}`);
      }
      await feed.poll();
      followed.clientSaw(initiator, 'client.fetched', {
        address: key.addresses[0]?.address,
        publicKey: key.key.publicKey,
        parties: key.keyring.roster.parties.map((party) => party.name),
      });
      return key;
    } finally {
      followed.end();
    }
  });
}

/** Fetches the key anew and checks its certificate: what a user does before funding it. Throws VerificationError. */
export async function checkCertificate({ people, network, narration }: Stage, keyId: Hex): Promise<void> {
  await inWorkspace(people, { as: approver }, async (session) => {
    const workspace = await trustedWorkspace(people, session);
    const { key, keyring, addresses } = await fetchKey(people, session, workspace, keyId);
    const parties = keyring.roster.parties.map((party) => party.name);
    const address = addresses[0]?.address ?? '';
    narration.say('', `Certificate of key "${key.label}", checked by ${approver}:`);
    narration.say(
      `  equal results, signed by ${parties.join(', ')}: all parties of keyring ${network.keyringId}`,
    );
    narration.say(`  so every one of them holds a share of ${address}, and nobody the key`);
    const { networkId, keyringId } = network;
    narration.tell('certificate', { networkId, keyId, keyringId, address, parties, verified: true });
  });
}

export interface TransferOptions {
  readonly chain: SolanaChain;
  readonly key: ProvenKey;
  /** File for an unsigned transfer to try. */
  readonly transferFile: string;
  /** How many nodes run. */
  readonly running: number;
}

/** Has a transfer signed, checks it here, and has it executed. Throws CliError, VerificationError. */
export async function signTransfer(stage: Stage, options: TransferOptions): Promise<Demonstrated> {
  const { people, network, narration } = stage;
  const { chain, key, transferFile } = options;
  const from = key.addresses[0]?.address ?? '';
  const to = base58.encode(publicKeyOf(randomBytes(32)));
  chain.airdrop(from, funded);
  const before = { from: chain.balance(from), to: chain.balance(to) };
  const payloadOf = (lamports: bigint): Payload => ({
    kind: 'solana.transaction',
    message: toHex(transferMessage({ from, to, lamports, recentBlockhash: chain.latestBlockhash() })),
  });
  await writeOut(transferFile, jsonText(payloadOf(trial)), { replace: true });
  narration.say('', `Signature: ${sol(paid)} from the key's address to ${to}`);
  const [signed, requestId] = await inWorkspace(people, { as: initiator }, async (session) => {
    const workspace = await trustedWorkspace(people, session);
    const items = [{ keyId: key.key.id, payload: payloadOf(paid) }];
    const { networkId } = network;
    const built = buildSignRequest({ networkId, workspace, items, now: people.now() }, session.signer);
    return [await signStepByStep(stage, options, session, built), built.id] as const;
  });
  narration.say('', `Signature  ${base58.encode(fromHex(signed.signature))}`);
  narration.say(`           verified here, under ${from}`);
  const { signature, transaction } = signed;
  narration.tell('signature', { requestId, signature, transaction, address: from, verified: true });
  const executed = chain.execute(fromHex(transaction));
  if (!executed.ok) {
    const what = `the Solana runtime refused the signed transaction (${executed.reason})`;
    throw new CliError('failed', what, 'report it with the logs');
  }
  const after = { from: chain.balance(from), to: chain.balance(to) };
  const fee = before.from - after.from - paid;
  if (after.to - before.to !== paid || fee < 0n || fee !== (executed.fee ?? fee)) {
    const what = `balances moved from ${before.from}, ${before.to} to ${after.from}, ${after.to} lamports`;
    throw new CliError('failed', `${what} for a transfer of ${paid}`, 'report it with the logs');
  }
  const asText = (balances: typeof before) => ({ from: String(balances.from), to: String(balances.to) });
  narration.say('', 'Balances in a Solana runtime (LiteSVM), before and after it executed the transaction:');
  narration.say(
    `  from  ${from.padEnd(44)}  ${sol(before.from)} -> ${sol(after.from)}  (fee ${fee} lamports)`,
  );
  narration.say(
    `  to    ${to.padEnd(44)}  ${sol(before.to).padStart(sol(before.from).length)} -> ${sol(after.to)}`,
  );
  narration.tell('balances', {
    requestId,
    from,
    to,
    lamports: String(paid),
    fee: String(fee),
    before: asText(before),
    after: asText(after),
    transactionSignature: executed.signature,
  });
  return { key, requestId };
}

/** The twelve steps of a sign request. */
async function signStepByStep(
  stage: Stage,
  { key, running }: TransferOptions,
  session: WorkspaceSession,
  built: { readonly id: Hex; readonly envelope: RequestView['request'] },
): Promise<{ readonly signature: Hex; readonly transaction: Hex }> {
  const { people, feed, narration, network } = stage;
  const { followed } = await ask(stage, session, 'sign', built, {});
  try {
    const approved = await approve(stage, approver, built.id);
    const view = await narration.during(
      () =>
        `the parties sign${followed.awaited().length > 0 ? `; awaited: ${followed.awaited().join(', ')}` : ''}`,
      followed.fulfilled(session, approved),
    );
    const { order } = followed;
    await feed.until(() => order.missing().every((step) => step === 12), settleMs, people.signal);
    await feed.until(
      () => order.count(9) >= running && order.count(10) >= running,
      stragglersMs,
      people.signal,
    );
    const last = await session.client.call('sign_get', { requestId: built.id }, { signal: people.signal });
    const { networkId } = network;
    const [proven] = verifySignatures(last, [key.key], { networkId, requestId: built.id });
    const [published] = last.transactions ?? [];
    if (
      proven === undefined ||
      published?.transaction === undefined ||
      published.missing.length > 0 ||
      published.transaction !== proven.assembled.transaction
    ) {
      const message = 'the transaction that the coordinator published is not the one its records prove';
      throw new VerificationError('claims_differ', message);
    }
    followed.clientSaw(session.identity, 'client.fetched', {
      state: view.state,
      signature: proven.signature,
    });
    const missing = order.missing();
    if (missing.length > 0) {
      const what = `step ${missing.join(', ')} of the process was not seen in any log`;
      throw new CliError('failed', what, 'look at the logs of the processes');
    }
    return { signature: proven.signature, transaction: published.transaction };
  } finally {
    followed.end();
  }
}
