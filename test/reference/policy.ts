// Policy evaluation written from the specification's words alone (protocol.md, section 3), as plainly as possible and
// importing nothing from what it checks. Thousands of generated cases compare the two.

export interface ReferenceQuorum {
  k: number;
  of: 'owners' | string[];
}
export interface ReferenceRule {
  id: string;
  effect: 'allow' | 'deny';
  when?: { kind: string[] } | undefined;
  require?: ReferenceQuorum | undefined;
  reject?: ReferenceQuorum | undefined;
}
export type ReferenceVerdict = 'denied' | 'rejected' | 'waiting' | 'satisfied';

export interface ReferenceStanding {
  owners: string[];
  approved: string[];
  rejected: string[];
}

function isAbout(rule: ReferenceRule, kind: string): boolean {
  if (rule.when) return rule.when.kind.indexOf(kind) >= 0;
  // A rule without conditions: a deny rule is about everything, an allow rule about transactions only.
  if (rule.effect === 'deny') return true;
  // A PSBT is a transaction too.
  return kind.endsWith('.transaction') || kind === 'bitcoin.psbt';
}

function people(quorum: ReferenceQuorum, owners: string[]): string[] {
  const people: string[] = [];
  for (const owner of owners) if (quorum.of === 'owners' || quorum.of.includes(owner)) people.push(owner);
  return people;
}

function howMany(group: string[], decided: string[]): number {
  let count = 0;
  for (const person of group) if (decided.includes(person)) count += 1;
  return count;
}

function ruleVerdict(
  rule: ReferenceRule,
  { owners, approved, rejected }: ReferenceStanding,
): ReferenceVerdict {
  const require = rule.require!;
  const group = people(require, owners);
  if (rule.reject) {
    if (howMany(people(rule.reject, owners), rejected) >= rule.reject.k) return 'rejected';
  } else {
    const left = group.length - howMany(group, rejected);
    if (left < require.k) return 'rejected';
  }
  return howMany(group, approved) >= require.k ? 'satisfied' : 'waiting';
}

export function referenceVerdict(
  rules: ReferenceRule[],
  kinds: string[],
  standing: ReferenceStanding,
): ReferenceVerdict {
  const verdicts: ReferenceVerdict[] = kinds.length === 0 ? ['denied'] : [];
  for (const kind of kinds) {
    const about = rules.filter((rule) => isAbout(rule, kind));
    if (about.some((rule) => rule.effect === 'deny')) {
      verdicts.push('denied');
      continue;
    }
    const each = about.map((rule) => ruleVerdict(rule, standing));
    if (each.length === 0) verdicts.push('denied');
    else if (each.includes('satisfied')) verdicts.push('satisfied');
    else if (each.includes('waiting')) verdicts.push('waiting');
    else verdicts.push('rejected');
  }
  for (const worst of ['denied', 'rejected', 'waiting'] as const) if (verdicts.includes(worst)) return worst;
  return 'satisfied';
}
