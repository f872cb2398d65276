// A workspace as its log tells it. The log is a hash chain whose first entry is the genesis; replaying it gives owners
// and policies at its head.
import type { Hex } from '../hex.ts';
import type { Policy } from '../policy/schema.ts';
import { type Envelope, RecordError, verifyRecord } from './envelope.ts';
import type { Credential, LogHead } from './fields.ts';
import { type Principal, workspaceGenesis } from './workspace-genesis.ts';

export interface Workspace {
  readonly id: Hex;
  readonly name: string;
  readonly owners: readonly Principal[];
  readonly keyrings: readonly Hex[];
  readonly adminPolicy: Policy;
  readonly signPolicy: Policy;
  readonly head: LogHead;
  readonly log: readonly Envelope[];
}

/** Replays a workspace's log from its genesis. Throws RecordError naming the first entry that is wrong. */
export function openWorkspace(log: readonly Envelope[], networkId: string): Workspace {
  const [first, ...later] = log;
  if (first === undefined)
    throw new RecordError('malformed', 'workspace.genesis', 'the log is empty: it begins with the genesis');
  if (later.length > 0) {
    throw new RecordError(
      'malformed',
      'workspace.genesis',
      `the log has ${later.length} entries that this version cannot replay: use a newer one`,
    );
  }
  const { id, content, signedBy } = verifyRecord(workspaceGenesis, first, networkId);
  const credentials = new Set(content.owners.flatMap((owner) => owner.credentials));
  if (!signedBy.every((credential) => credentials.has(credential))) {
    throw new RecordError(
      'missing_signature',
      'workspace.genesis',
      'signed by somebody who is not one of its owners: only owners may sign it',
    );
  }
  const { name, owners, keyrings, adminPolicy, signPolicy } = content;
  return { id, name, owners, keyrings, adminPolicy, signPolicy, head: { seq: 0, id }, log };
}

/** The owner one of whose credentials this is. */
export function ownerOf(workspace: Workspace, credential: Credential): Principal | undefined {
  return workspace.owners.find((owner) => owner.credentials.includes(credential));
}
