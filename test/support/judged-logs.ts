// Requests of workspaces with logs and parents, judged by `authorize` from real records.
import { buildDecision, buildSignRequest } from '../../client/records.ts';
import {
  authorize,
  type Evidence,
  evidenceSchema,
  type Trust,
  type Verdict,
} from '../../protocol/authorize.ts';
import type { Policy } from '../../protocol/policy/schema.ts';
import type { Envelope, Signer } from '../../protocol/records/envelope.ts';
import type { Payload } from '../../protocol/payloads/payload.ts';
import type { WorkspaceGenesis } from '../../protocol/records/workspace-genesis.ts';
import type { Workspace } from '../../protocol/records/workspace.ts';
import { createWorld, idOf, messagePayload, networkId, start, type World } from './fixture.ts';
import { begin, signerNamed } from './log-world.ts';
import { makeKey, type WorldKey } from './world-key.ts';

const ring = createWorld({ name: 'ring' });
const owners = Object.fromEntries(
  ['alice', 'bob', 'carol', 'dave', 'erin'].map((name) => [name, signerNamed(name)]),
);
const hello = messagePayload('hello');

/** A world whose workspace is in this state. */
export const worldOf = (workspace: Workspace): World => ({
  ...ring,
  owners,
  workspace,
  genesis: workspace.log[0]!,
});

/** A workspace that uses the ring. */
export const beginIn = (content: Partial<WorkspaceGenesis> = {}): Workspace =>
  begin({ keyrings: [ring.keyring.id], ...content });

/** k of whom for messages and keys. */
export const messages = (
  k: number,
  of: string | string[] = 'owners',
  more: Policy['rules'] = [],
): Policy => ({
  version: 1,
  rules: [
    { id: 'say', effect: 'allow', when: { kind: ['message', 'key.request'] }, require: { k, of } },
    ...more,
  ],
});

export interface Judged {
  readonly workspace: Workspace;
  readonly parent?: Workspace;
  readonly key: Pick<WorldKey, 'id' | 'entry'>;
  readonly by?: Signer;
  readonly approvals?: readonly Signer[];
  readonly payload?: Payload;
  /** Put in the place of what is right. */
  readonly parts?: (request: Envelope) => Partial<Evidence>;
  readonly trust?: Partial<Trust>;
  readonly request?: Envelope;
}

export const ask = ({ workspace, parent, key, by = owners['alice']!, payload = hello }: Judged): Envelope =>
  buildSignRequest(
    { networkId, now: start, workspace, ...(parent && { parent }), items: [{ keyId: key.id, payload }] },
    by,
  ).envelope;

/** What `authorize` says to a request of this workspace, made and approved at its head. */
export function judgeIn(judged: Judged): Verdict {
  const { workspace, parent, key, approvals = [], parts, trust, request = ask(judged) } = judged;
  const decisions = approvals.map(
    (signer) =>
      buildDecision(
        {
          networkId,
          now: start,
          workspace,
          ...(parent && { parent }),
          subject: idOf(request),
          decisions: [],
          decision: 'approve',
        },
        signer,
      ).envelope,
  );
  const evidence = {
    log: workspace.log,
    ...(parent && { parentLog: parent.log }),
    roster: ring.keyring.envelope,
    request,
    decisions,
    keys: [key.entry],
    ...parts?.(request),
  };
  return authorize(evidenceSchema.parse(evidence), { networkId, now: start + 1000, ...trust });
}

export const keyIn = (workspace: Workspace, name?: string, request?: Envelope): WorldKey =>
  makeKey(worldOf(workspace), name, request);
