// The grants by which a party lets its connector act: valid, for the right party and keyring, and for how much longer.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ConnectorGrant, connectorGrant } from '../../protocol/records/connector-grant.ts';
import { envelopeSchema, verifyRecord } from '../../protocol/records/envelope.ts';
import { timeOf } from '../../protocol/records/fields.ts';
import { whyUnreadable } from './files.ts';
import type { Findings } from './findings.ts';
import type { Machine } from './machine.ts';

/** Time enough to make a new one without haste, in milliseconds. */
const soonMs = 30 * 86_400_000;
const dayMs = 86_400_000;

/** Says whether a grant holds now, and for how long. `whose` names it. */
export function tellExpiry(findings: Findings, now: number, whose: string, expires: string): void {
  const left = timeOf(expires) - now;
  if (left <= 0) findings.wrong('grant_expired', `${whose} ended at ${expires}`);
  else if (left <= soonMs) {
    findings.wrong('grant_expires', `${whose} ends at ${expires}, in ${Math.floor(left / dayMs)} days`);
  } else findings.ok('grant', `${whose} holds until ${expires}`);
}

export interface GrantCheck {
  readonly folder: string;
  readonly networkId: string;
  readonly party: string;
  /** Undefined when the keyring is not known. */
  readonly keyringId: string | undefined;
}

/** The grants in a node's folder. */
export async function checkGrants(
  findings: Findings,
  machine: Machine,
  { folder, networkId, party, keyringId }: GrantCheck,
): Promise<void> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.json'));
  const grants: ConnectorGrant[] = [];
  for (const name of names) {
    const path = join(folder, name);
    const reason = await whyUnreadable(path);
    if (reason !== undefined) {
      findings.wrong('grant_invalid', reason, 'remove it');
      continue;
    }
    try {
      const envelope = envelopeSchema.parse(JSON.parse(await readFile(path, 'utf8')));
      const { content } = verifyRecord(connectorGrant, envelope, networkId);
      if (content.party === party && content.keyringId === (keyringId ?? content.keyringId))
        grants.push(content);
      else findings.wrong('grant_invalid', `${path} is of another party or keyring`, 'remove it');
    } catch {
      findings.wrong('grant_invalid', `${path} is no grant that can be read and verified`);
    }
  }
  const now = machine.now();
  const current = grants.filter(({ expires }) => timeOf(expires) > now);
  if (grants.length === 0) findings.wrong('no_connector', `there is no grant in ${folder}`);
  // One that ended matters only while no other took its place.
  for (const { connector, expires } of current.length > 0 ? current : grants) {
    tellExpiry(findings, now, `the grant of connector ${connector.slice(0, 18)}...`, expires);
  }
}
