// The records of authorised sign requests and of one key request, with what each altered field of them must lead to.
import type { Evidence } from '../../protocol/authorize.ts';
import { type Hex, toHex } from '../../protocol/hex.ts';
import type { Envelope } from '../../protocol/records/envelope.ts';
import type { KeyView } from '../../protocol/rpc.ts';
import { type ChangedWorkspace, changeRecords } from './altered-change.ts';
import { type Altered, contentOf, type Expectation, type Forger } from './altered-evidence.ts';
import {
  approve,
  createWorld,
  evidence,
  hour,
  idOf,
  messagePayload,
  signerOf,
  signRequest,
  keyRequest,
} from './fixture.ts';
import type { LiedToNetwork } from './lied-to-network.ts';

export const foreign = createWorld({ name: 'foreign' });
const stranger = signerOf('stranger');
/** The coordinator's own key: as good as any for signing what it invents. */
export const coordinatorsKey = signerOf('the coordinator');
const otherId: Hex = `0x${'5a'.repeat(32)}`;
const otherPoint = coordinatorsKey.credential.slice('ed25519:'.length);
const otherNonce = `0x${'77'.repeat(16)}`;
const aliceAwaited: Expectation = { code: 'waiting', words: [/awaits alice, bob/] };

export interface AlteredScene {
  readonly forgers: readonly Forger[];
  /** Of the sign request, of the one about decisions, of the key request, and of the one in the workspace that was changed. */
  readonly whole: Evidence;
  readonly decided: Evidence;
  readonly asked: Evidence;
  readonly changed: Evidence;
  readonly records: readonly (readonly [Altered, Evidence])[];
}

const later = (value: unknown): string => new Date(Date.parse(String(value)) + hour / 4).toISOString();

/** Requests are handed to the real coordinator, with their approvals: whoever looks there finds them authorised. */
export async function alteredScene(
  network: LiedToNetwork,
  key: KeyView,
  beside: ChangedWorkspace,
): Promise<AlteredScene> {
  const { world } = network;
  const { owners, parties } = world;
  const forgers: Forger[] = [
    { name: 'the coordinator', signer: coordinatorsKey },
    { name: 'a stranger', signer: stranger },
    { name: 'carol', signer: owners['carol']! },
    { name: 'a party', signer: parties[1]!, of: ['keyring.roster', 'party.result of a certificate'] },
  ];
  const ask = (words: string): Envelope =>
    signRequest(
      world,
      [words, `${words} again`].map((text) => ({ keyId: key.keyId, payload: messagePayload(text) })),
      { created: Date.now() },
    );
  const keys = [{ request: key.request, certificate: key.certificate }];
  const approved = async (words: string): Promise<Evidence> => {
    const request = ask(words);
    const approval = network.approval(idOf(request), 'bob');
    await network.submit(request, approval);
    return evidence(world, request, { decisions: [approval], keys });
  };
  const whole = await approved('pay the rent');
  const decided = await approved('pay the wages');
  const newKey = keyRequest(world, { label: 'reserve', created: Date.now() });
  await network.owner('alice').call('key_request', { request: newKey });
  const asked = evidence(world, newKey);
  const changed = await afterChange(network, beside);
  const records = [...recordsOf({ whole, decided, asked }), ...changeRecords(beside, changed)];
  return { forgers, whole, decided, asked, changed, records };
}

/** A request under the policy that the change has brought. */
async function afterChange(network: LiedToNetwork, { world, key }: ChangedWorkspace): Promise<Evidence> {
  const items = [{ keyId: key.keyId, payload: messagePayload('pay the tax') }];
  const request = signRequest(world, items, { created: Date.now() });
  const approval = approve(world, idOf(request), 'bob', { expires: Date.now() + hour });
  await network.submit(request, approval);
  const keys = [{ request: key.request, certificate: key.certificate }];
  return evidence(world, request, { log: [...world.workspace.log], decisions: [approval], keys });
}

function recordsOf(scene: Pick<AlteredScene, 'whole' | 'decided' | 'asked'>): [Altered, Evidence][] {
  const { whole, decided, asked } = scene;
  const wholeId = idOf(whole.request);
  const [entry] = whole.keys as [Evidence['keys'][number]];
  const result = entry.certificate[1]!;
  const genesis: Altered = {
    record: 'workspace.genesis',
    envelope: whole.log[0]!,
    requestId: wholeId,
    optional: ['when'],
    put: (held, envelope) => ({ ...held, log: [envelope] }),
    swaps: genesisSwaps,
    // Signed by one of the owners it names it is a workspace, but another one.
    signedAnew: ({ owners }, _, { signer }) =>
      JSON.stringify(owners ?? []).includes(signer.credential)
        ? /the log is of workspace/
        : /signed by somebody who is not one of its owners/,
  };
  const roster: Altered = {
    record: 'keyring.roster',
    envelope: whole.roster,
    requestId: wholeId,
    put: (held, envelope) => ({ ...held, roster: envelope }),
    swaps: rosterSwaps,
    signedAnew: () => /has not signed/,
  };
  const request = (record: string, held: Evidence): Altered => ({
    record,
    envelope: held.request,
    requestId: idOf(held.request),
    put: (rest, envelope) => ({ ...rest, request: envelope }),
    swaps: requestSwaps,
    signedAnew: ({ initiator }, { path, how }, { name }) => {
      if (path === 'workspaceId') return /the log is of workspace/;
      // An owner who asks in her own name has asked: for something else, which the approvals are not about.
      if (how === 'swapped' && initiator === 'carol' && name === 'carol') {
        return record === 'request (sign)'
          ? aliceAwaited
          : { code: 'waiting', words: [/rule keys has 0 of 1/] };
      }
      return /not signed by its initiator/;
    },
  });
  const keyOf: Altered = {
    record: 'request (key) of a key',
    envelope: entry.request,
    requestId: wholeId,
    put: (held, envelope) => ({ ...held, keys: [{ ...entry, request: envelope }] }),
    swaps: requestSwaps,
    signedAnew: (_, { path }) =>
      path === 'keyringId' ? /is not a key request to keyring/ : /about another key, keyring or epoch/,
  };
  const certified: Altered = {
    record: 'party.result of a certificate',
    envelope: result,
    requestId: wholeId,
    put: (held, envelope) => ({
      ...held,
      keys: [{ ...entry, certificate: entry.certificate.with(1, envelope) }],
    }),
    swaps: resultSwaps,
    signedAnew: ({ party }, { path }, { name, signer }) => {
      if (party !== signer.credential) return /has not signed/;
      if (name !== 'a party') return /is no party of the keyring/;
      return path.startsWith('result') ? /reports another key than/ : /about another key, keyring or epoch/;
    },
  };
  const decision: Altered = {
    record: 'decision',
    envelope: decided.decisions[0]!,
    requestId: idOf(decided.request),
    put: (held, envelope) => ({ ...held, decisions: [envelope] }),
    swaps: decisionSwaps(wholeId),
    ignored: /awaits bob/,
    signedAnew: ({ principal }, { path, how }, { name }) => {
      if (path === 'subject') return /is about 0x/;
      // Carol may decide, and her decision changes nothing: the policy does not ask her.
      if (how === 'swapped' && principal === 'carol' && name === 'carol') {
        return { code: 'waiting', words: [/^rule spend has 1 of 2 approvals and awaits bob$/] };
      }
      return path === 'principal' && how !== 'swapped'
        ? /is no owner of workspace/
        : new RegExp(`signed by somebody else than ${String(principal)}`);
    },
  };
  return [
    [genesis, whole],
    [roster, whole],
    [request('request (sign)', whole), whole],
    [keyOf, whole],
    [certified, whole],
    [decision, decided],
    [request('request (key)', asked), asked],
  ];
}

function genesisSwaps(path: string, value: unknown): unknown[] {
  if (path === 'networkId') return ['other-network'];
  if (path === 'name' || path === 'adminPolicy.rules.0.id') return ['other'];
  if (path === 'owners')
    return [[...(value as object[]), { name: 'mallory', credentials: [coordinatorsKey.credential] }]];
  if (path === 'owners.2.name') return ['dave'];
  if (/^owners\.\d\.credentials$/.test(path)) return [[...(value as string[]), coordinatorsKey.credential]];
  if (/^owners\.\d\.credentials\.0$/.test(path)) return [coordinatorsKey.credential];
  if (path === 'keyrings') return [[...(value as string[]), foreign.keyring.id]];
  if (path === 'keyrings.0') return [foreign.keyring.id];
  if (path.endsWith('Policy.rules.0.require.k')) return [1];
  if (path === 'signPolicy.rules.0.require.of') return ['owners', ['alice', 'bob', 'carol']];
  if (path === 'signPolicy.rules.0.require.of.0') return ['carol'];
  // An admin policy is about changes alone.
  if (path === 'signPolicy.rules.0.when.kind.0') return ['digest'];
  if (path === 'created') return [later(value)];
  return path === 'nonce' ? [otherNonce] : [];
}

function rosterSwaps(path: string, value: unknown): unknown[] {
  if (path === 'networkId') return ['other-network'];
  if (path === 'name' || /^parties\.\d\.name$/.test(path)) return ['other'];
  if (path === 'admins.0' || /^parties\.\d\.key$/.test(path)) return [coordinatorsKey.credential];
  if (/^parties\.\d\.addresses$/.test(path)) return [['/ip4/10.6.6.6/tcp/4001']];
  if (path === 'threshold') return [3];
  if (path === 'serves') return [[foreign.workspace.id]];
  if (path === 'created') return [later(value)];
  return path === 'nonce' ? [otherNonce] : [];
}

function requestSwaps(path: string, value: unknown): unknown[] {
  if (path === 'networkId') return ['other-network'];
  if (path === 'workspaceId') return [foreign.workspace.id];
  if (path === 'initiator') return ['bob', 'carol'];
  if (path === 'logHead.seq') return [1];
  if (path === 'logHead.id' || path === 'items.0.keyId') return [otherId];
  if (path === 'keyringId') return [foreign.keyring.id];
  if (path === 'created') return [new Date(Date.parse(String(value)) - 60_000).toISOString()];
  if (path === 'expires') return [later(value)];
  if (path === 'label') return ['other'];
  if (path === 'items')
    return [[...(value as object[]), (value as object[])[0]], (value as object[]).slice(0, 1)];
  if (/^items\.\d\.payload\.data$/.test(path)) return [toHex(new TextEncoder().encode('pay mallory'))];
  return path === 'nonce' ? [otherNonce] : [];
}

function resultSwaps(path: string): unknown[] {
  if (path === 'networkId') return ['other-network'];
  if (path === 'subject') return [otherId];
  if (path === 'keyringId') return [foreign.keyring.id];
  if (path === 'epoch.roster') return [2];
  if (path === 'epoch.run') return [1];
  if (path === 'party') return [coordinatorsKey.credential];
  if (path === 'result.publicKey' || path.startsWith('result.commitments.')) return [otherPoint];
  return path === 'result.chainCode' || path === 'result.transcript' ? [otherId] : [];
}

const decisionSwaps =
  (otherRequest: Hex) =>
  (path: string, value: unknown): unknown[] => {
    if (path === 'networkId') return ['other-network'];
    if (path === 'subject') return [otherRequest];
    if (path === 'principal') return ['alice', 'carol'];
    if (path === 'seq') return [5];
    if (path === 'logHead.seq') return [1];
    if (path === 'logHead.id') return [otherId];
    return path === 'expires' ? [later(value)] : [];
  };

/** Content of a record of the scene, for counting its fields. */
export const fieldsIn = (altered: Altered): unknown => contentOf(altered.envelope);
