// What a testnet shows once it is up, whatever the chain: a key that nobody holds, and its signatures, step by step.
import { buildKeyRequest, buildSignRequest } from '../../client/records.ts';
import {
  type ProvenKey,
  type ProvenSignature,
  VerificationError,
  verifySignatures,
} from '../../client/verify.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { KeyType } from '../../protocol/keys/key-type.ts';
import type { Payload } from '../../protocol/payloads/payload.ts';
import type { RequestView } from '../../protocol/rpc.ts';
import { CliError } from '../errors.ts';
import { fetchKey, listKeys } from '../keys.ts';
import { inWorkspace, trustedWorkspace, type WorkspaceSession } from '../session.ts';
import type { Layout } from './layout.ts';
import { approve, ask, Followed, type Stage } from './requests.ts';

const [initiator, approver] = ['alice', 'bob'] as const;
/** Milliseconds for what is only left to be read from logs. */
const settleMs = 10_000;
/** Milliseconds for the parties beyond the threshold to hand in the result they learned. */
const stragglersMs = 2000;

/** What is shown of one chain. */
export interface Demo {
  /** Label and type of its key. */
  readonly label: string;
  readonly keyType: KeyType;
  /** Where something unsigned is written, for whoever tries the network by hand. */
  readonly trialFile: string;
  /** Has something signed with the key, checks it here, and has the chain judge it. Throws CliError, VerificationError. */
  sign(stage: Stage, key: ProvenKey, running: number): Promise<Hex>;
}

/** A demonstration whose chain is ready, before there is a folder. */
export type PreparedDemo = (layout: Layout) => Demo;

export interface Demonstrated {
  readonly key: ProvenKey;
  readonly requestId: Hex;
}

/**
 * The key of an earlier run on this folder, its certificate verified here; one that is still being made is waited for.
 * Undefined when there is none. Throws CliError, VerificationError.
 */
export async function earlierKey(stage: Stage, label: string): Promise<ProvenKey | undefined> {
  const { people, network, narration } = stage;
  return await inWorkspace(people, { as: initiator }, async (session) => {
    const workspace = await trustedWorkspace(people, session);
    const labelled = (await listKeys(people, session)).filter((entry) => entry.label === label);
    const found =
      labelled.find(({ state }) => state === 'fulfilled') ??
      labelled.find(({ state }) => state !== 'rejected');
    if (found === undefined) return undefined;
    const { keyId } = found;
    narration.say('', `Key "${label}": asked for by an earlier run on this folder`);
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
export async function makeKey(stage: Stage, { label, keyType }: Demo): Promise<ProvenKey> {
  const { people, network, narration, feed } = stage;
  narration.say('', `Key "${label}": made by all parties together, so that nobody ever holds it`);
  return await inWorkspace(people, { as: initiator }, async (session) => {
    const workspace = await trustedWorkspace(people, session);
    const { networkId, keyringId } = network;
    const built = buildKeyRequest(
      { networkId, workspace, keyringId, keyType, label, now: people.now() },
      session.signer,
    );
    const { followed, view } = await ask(stage, session, 'key', built, { label });
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

/** An owner asks for the signatures of these payloads by the key; another approves. The steps are told as they are seen. */
export async function signStepByStep(
  stage: Stage,
  key: ProvenKey,
  payloads: readonly Payload[],
  running: number,
): Promise<{ readonly requestId: Hex; readonly signed: readonly ProvenSignature[] }> {
  const { people, network } = stage;
  return await inWorkspace(people, { as: initiator }, async (session) => {
    const workspace = await trustedWorkspace(people, session);
    const items = payloads.map((payload) => ({ keyId: key.key.id, payload }));
    const { networkId } = network;
    const built = buildSignRequest({ networkId, workspace, items, now: people.now() }, session.signer);
    return { requestId: built.id, signed: await followSigning(stage, key, running, session, built) };
  });
}

/** The twelve steps of a sign request. */
async function followSigning(
  stage: Stage,
  key: ProvenKey,
  running: number,
  session: WorkspaceSession,
  built: { readonly id: Hex; readonly envelope: RequestView['request'] },
): Promise<readonly ProvenSignature[]> {
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
    const proven = verifySignatures(last, [key.key], { networkId, requestId: built.id });
    const published = last.transactions ?? [];
    const isPublished = ({ assembled }: ProvenSignature, item: number): boolean => {
      const found = published.find((entry) => entry.item === item);
      return found?.transaction === assembled.transaction && found?.missing.length === 0;
    };
    if (!proven.every(isPublished)) {
      const message = 'the transaction that the coordinator published is not the one its records prove';
      throw new VerificationError('claims_differ', message);
    }
    followed.clientSaw(session.identity, 'client.fetched', {
      state: view.state,
      signature: proven[0]?.signature,
    });
    const missing = order.missing();
    if (missing.length > 0) {
      const what = `step ${missing.join(', ')} of the process was not seen in any log`;
      throw new CliError('failed', what, 'look at the logs of the processes');
    }
    return proven;
  } finally {
    followed.end();
  }
}
