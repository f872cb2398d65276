// Workspaces with a log: a genesis, changes of it and decisions on them, right ones unless told otherwise.
import assert from 'node:assert/strict';
import type { Hex } from '../../protocol/hex.ts';
import { defaultAdminPolicy } from '../../protocol/policy/schema.ts';
import { type Decision, decision as decisionRecord } from '../../protocol/records/decision.ts';
import {
  createRecord,
  type Envelope,
  RecordError,
  type RecordErrorCode,
  type Signer,
} from '../../protocol/records/envelope.ts';
import { type LogHead, timestamp } from '../../protocol/records/fields.ts';
import {
  type Change,
  introducedBy,
  type WorkspaceChange,
  workspaceChange,
} from '../../protocol/records/workspace-change.ts';
import { type WorkspaceGenesis, workspaceGenesis } from '../../protocol/records/workspace-genesis.ts';
import { appendChange, openWorkspace, type Workspace } from '../../protocol/records/workspace.ts';
import { alonePolicy, hour, idOf, networkId, signerOf, start } from './fixture.ts';

/** The key of an owner, or another key of the same person. */
export const signerNamed = (name: string, which = 'first'): Signer => signerOf('log', name, which);
export const principal = (name: string, ...which: string[]): { name: string; credentials: string[] } => ({
  name,
  credentials: (which.length === 0 ? ['first'] : which).map((one) => signerNamed(name, one).credential),
});
/** 32 bytes that are nothing's id. */
export const anyId = (byte: number): Hex => `0x${byte.toString(16).padStart(2, '0').repeat(32)}`;

let fresh = 0;
const nonce = (): Hex => `0x${(++fresh).toString(16).padStart(32, '0')}`;

/** A workspace of alice, bob and carol, two of whom change it, with what is said otherwise. */
export function begin(content: Partial<WorkspaceGenesis> = {}): Workspace {
  const genesis = createRecord(
    workspaceGenesis,
    {
      networkId,
      name: 'log workspace',
      owners: ['alice', 'bob', 'carol'].map((name) => principal(name)),
      keyrings: [anyId(1)],
      adminPolicy: defaultAdminPolicy(3),
      ...(content.parent === undefined && { signPolicy: alonePolicy }),
      created: timestamp(start),
      nonce: nonce(),
      ...content,
    },
    signerNamed((content.owners ?? [{ name: 'alice' }])[0]!.name),
  );
  return openWorkspace([genesis], networkId);
}

export interface Proposal {
  readonly by?: string;
  /** Default: the initiator, and everybody who is brought in. */
  readonly signers?: readonly Signer[];
  readonly content?: Partial<WorkspaceChange>;
}

/** Whose credentials these are, of those that tests use. */
const known = new Map(
  ['alice', 'bob', 'carol', 'dave', 'erin', 'mallory'].flatMap((name) =>
    ['first', 'second', 'third'].map((which) => {
      const signer = signerNamed(name, which);
      return [signer.credential, signer] as const;
    }),
  ),
);

/** A change that follows the head of the workspace. */
export function propose(
  workspace: Workspace,
  change: Change,
  { by = 'alice', signers, content }: Proposal = {},
): Envelope {
  const whole: WorkspaceChange = {
    networkId,
    workspaceId: workspace.id,
    seq: workspace.head.seq + 1,
    prev: workspace.head.id,
    initiator: by,
    change,
    created: timestamp(start),
    expires: timestamp(start + hour),
    nonce: nonce(),
    ...content,
  };
  const brought = introducedBy(whole).flatMap((credential) => known.get(credential) ?? []);
  return createRecord(workspaceChange, whole, ...(signers ?? [signerNamed(by), ...brought]));
}

export interface Voice {
  readonly decision?: Decision['decision'];
  readonly signer?: Signer;
  readonly seq?: number;
  readonly logHead?: LogHead;
}

/** A decision on a change, an approval unless said otherwise. */
export function decide(
  workspace: Pick<Workspace, 'head'>,
  subject: Envelope,
  name: string,
  voice: Voice = {},
): Envelope {
  const { decision = 'approve', signer = signerNamed(name), seq = 1, logHead = workspace.head } = voice;
  const base = { networkId, subject: idOf(subject), principal: name, seq, logHead: { ...logHead } };
  const content: Decision =
    decision === 'approve' ? { ...base, decision, expires: timestamp(start + hour) } : { ...base, decision };
  return createRecord(decisionRecord, content, signer);
}

/** The workspace after a change that these approved, beside who proposed it. */
export function after(
  workspace: Workspace,
  change: Change,
  { approvals = ['bob'], ...proposal }: Proposal & { readonly approvals?: readonly string[] } = {},
): Workspace {
  const envelope = propose(workspace, change, proposal);
  const decisions = approvals.map((name) => decide(workspace, envelope, name));
  return openWorkspace(appendChange(workspace.log, envelope, decisions), networkId);
}

/** Asserts that nobody can open a log that goes on like this. */
export function refuses(
  workspace: Workspace,
  later: readonly Envelope[],
  code: RecordErrorCode,
  words: RegExp,
): void {
  assert.throws(
    () => openWorkspace([...workspace.log, ...later], networkId),
    (error: unknown) => {
      assert.ok(error instanceof RecordError, String(error));
      assert.equal(error.code, code, error.message);
      assert.match(error.message, words);
      return true;
    },
  );
}

export const namesIn = ({ owners }: Pick<Workspace, 'owners'>): string[] => owners.map(({ name }) => name);
