// The states of requests and changes written from the specification's words alone (protocol.md, section 4), as plainly as possible and
// importing nothing from what it checks. Plain data in, plain data out: who did what, and whether its signature was right,
// is told in words. Thousands of generated sequences of commands compare the two.

export interface ReferenceRule {
  /** How many of whom approve. */
  k: number;
  of: string[];
  /** How many of whom refuse; without it, refused is what can no longer be approved. */
  reject?: { k: number; of: string[] };
  /** How long it waits even when it is approved, in milliseconds. */
  delay?: number;
}
export interface ReferenceNetwork {
  owners: string[];
  parties: string[];
  threshold: number;
  rules: { sign: ReferenceRule; key: ReferenceRule; change: ReferenceRule };
  /** How many changes the workspace has seen. */
  head: number;
}

export type ReferenceEvent =
  | { what: 'state'; state: string; reason?: string }
  | { what: 'decision'; principal: string; decision: string }
  | { what: 'result'; party: string; kind: string; have: number; refused: number };

/** What one party said: what it is, and whether two are the same. */
export interface ReferenceResult {
  kind: 'signatures' | 'key' | 'refusal';
  value: string;
}
export interface ReferenceRequest {
  kind: 'sign' | 'key' | 'change';
  initiator: string;
  /** The workspace's when it was made. */
  head: number;
  seen: number;
  expires: number;
  state: 'partial' | 'pending' | 'fulfilled' | 'rejected';
  reason?: string;
  wasPending: boolean;
  decisions: {
    principal: string;
    decision: 'approve' | 'reject' | 'withdraw';
    seq: number;
    expires: number;
  }[];
  results: { party: string; result: ReferenceResult }[];
  published?: string;
  events: ReferenceEvent[];
}

/** What a command did: nothing wrong with it, or all that is wrong with it. Any of the codes is a right answer. */
export type ReferenceAnswer = { wrong: string[] };

const minutes = 60_000;
const hours = 60 * minutes;

function move(request: ReferenceRequest, state: ReferenceRequest['state'], reason?: string): void {
  request.state = state;
  if (reason !== undefined) request.reason = reason;
  if (state === 'pending') request.wasPending = true;
  request.events.push(reason === undefined ? { what: 'state', state } : { what: 'state', state, reason });
}

function isFinal(request: ReferenceRequest): boolean {
  return request.state === 'fulfilled' || request.state === 'rejected';
}

/** The decision of each principal that counts: the one with the highest seq. */
function latest(request: ReferenceRequest, principal: string) {
  let found: ReferenceRequest['decisions'][number] | undefined;
  for (const decision of request.decisions) {
    if (decision.principal === principal && (!found || decision.seq > found.seq)) found = decision;
  }
  return found;
}

function approves(request: ReferenceRequest, principal: string, now: number): boolean {
  const decision = latest(request, principal);
  // The initiator's signed request is its own approval.
  if (principal === request.initiator) return decision === undefined || decision.decision === 'approve';
  return decision?.decision === 'approve' && decision.expires > now;
}

function refuses(request: ReferenceRequest, principal: string): boolean {
  return latest(request, principal)?.decision === 'reject';
}

function judge(network: ReferenceNetwork, request: ReferenceRequest, now: number): void {
  if (request.state !== 'partial') return;
  if (refuses(request, request.initiator)) {
    move(request, 'rejected', 'cancelled');
    return;
  }
  const rule = network.rules[request.kind];
  const against = (people: string[]): number => people.filter((each) => refuses(request, each)).length;
  const refused = rule.reject
    ? against(rule.reject.of) >= rule.reject.k
    : rule.of.length - against(rule.of) < rule.k;
  if (refused) {
    move(request, 'rejected', 'approvers');
    return;
  }
  if (rule.of.filter((each) => approves(request, each, now)).length < rule.k) return;
  if (now < request.seen + (rule.delay ?? 0)) return;
  // A change that is decided is done: it is in the log.
  move(request, request.kind === 'change' ? 'fulfilled' : 'pending');
  if (request.kind === 'change') network.head += 1;
}

/** Ends what was made before the workspace's last change. */
export function referenceStale(network: ReferenceNetwork, request: ReferenceRequest): void {
  if (isFinal(request) || request.head === network.head) return;
  move(request, 'rejected', request.kind === 'change' ? 'superseded' : 'policy_changed');
}

/** Time has passed: what is over ends. */
export function referenceTime(network: ReferenceNetwork, request: ReferenceRequest, now: number): void {
  if (isFinal(request)) return;
  if (now >= request.expires)
    move(request, 'rejected', request.state === 'partial' ? 'approval_timeout' : 'mpc_timeout');
  // A delay may be over.
  else judge(network, request, now);
}

/** A request by one of the owners, signed by its initiator or by somebody else. */
export function referenceCreate(
  network: ReferenceNetwork,
  command: {
    kind: ReferenceRequest['kind'];
    initiator: string;
    head: number;
    created: number;
    expires: number;
    signed: boolean;
  },
  now: number,
): ReferenceAnswer & { request?: ReferenceRequest } {
  const wrong: string[] = [];
  if (!command.signed || !network.owners.includes(command.initiator)) wrong.push('bad_signature');
  if (command.head !== network.head) wrong.push('stale_log_head');
  if (command.created > now + 5 * minutes) wrong.push('expired');
  // A change may be older: those whom it brings in have signed it before it comes.
  if (command.kind !== 'change' && command.created < now - 5 * minutes) wrong.push('expired');
  const longest = command.kind === 'change' ? now + 30 * 24 * hours : command.created + 24 * hours;
  const expires = Math.min(command.expires, longest);
  if (expires <= now) wrong.push('expired');
  if (wrong.length > 0) return { wrong };
  const request: ReferenceRequest = {
    kind: command.kind,
    initiator: command.initiator,
    head: network.head,
    seen: now,
    expires,
    state: 'partial',
    wasPending: false,
    decisions: [],
    results: [],
    events: [],
  };
  judge(network, request, now);
  if (request.state === 'partial') request.events.push({ what: 'state', state: 'partial' });
  return { wrong: [], request };
}

/** An owner's decision. The same again is the same record. */
export function referenceDecide(
  network: ReferenceNetwork,
  request: ReferenceRequest,
  command: {
    principal: string;
    decision: 'approve' | 'reject' | 'withdraw';
    seq: number;
    expires: number;
    head: number;
    signed: boolean;
  },
  now: number,
): ReferenceAnswer {
  const { principal, decision, seq, expires, signed } = command;
  const invalid: string[] = [];
  if (command.head !== request.head) invalid.push('stale_log_head');
  if (!signed || !network.owners.includes(principal)) invalid.push('bad_signature');
  if (invalid.length > 0) return { wrong: invalid };
  for (const held of request.decisions) {
    const same = held.principal === principal && held.seq === seq && held.decision === decision;
    if (same && (decision !== 'approve' || held.expires === expires)) return { wrong: [] };
  }
  const wrong: string[] = [];
  if (isFinal(request)) wrong.push('wrong_state');
  if (request.state === 'pending' && decision !== 'approve') wrong.push('wrong_state');
  const rule = network.rules[request.kind];
  const approver = rule.of.includes(principal) || (rule.reject?.of.includes(principal) ?? false);
  const cancels = decision === 'reject' && principal === request.initiator;
  if (!approver && !cancels) wrong.push('forbidden');
  if (decision === 'approve' && expires <= now) wrong.push('expired');
  const before = latest(request, principal);
  if (before && seq <= before.seq) wrong.push('wrong_state');
  if (wrong.length > 0) return { wrong };
  request.decisions.push({ principal, decision, seq, expires });
  request.events.push({ what: 'decision', principal, decision });
  judge(network, request, now);
  return { wrong: [] };
}

export function referenceVotes(network: ReferenceNetwork, request: ReferenceRequest) {
  const refused = request.results.filter(({ result }) => result.kind === 'refusal').length;
  const need = request.kind === 'key' ? network.parties.length : network.threshold;
  return { have: request.results.length - refused, need, refused };
}

/** A party's result; `fault` is what is wrong with it before any state is looked at. */
export function referenceResult(
  network: ReferenceNetwork,
  request: ReferenceRequest,
  command: { party: string; result: ReferenceResult; fault?: string },
): ReferenceAnswer {
  const { party, result, fault } = command;
  // Membership and signatures are checked before any state is touched.
  if (!network.parties.includes(party)) return { wrong: ['forbidden'] };
  if (fault !== undefined) return { wrong: [fault] };
  if (result.kind !== 'refusal' && (result.kind === 'key') !== (request.kind === 'key')) {
    return { wrong: ['invalid_params'] };
  }
  if (request.state === 'partial') return { wrong: ['wrong_state'] };
  const held = request.results.find((each) => each.party === party);
  if (held) {
    // A resent result is a no-op.
    if (held.result.kind === result.kind && held.result.value === result.value) return { wrong: [] };
    // While pending, a signature replaces the same party's refusal, never the reverse; any other second result does not.
    const replaces =
      held.result.kind === 'refusal' && result.kind === 'signatures' && request.state === 'pending';
    if (!replaces)
      return {
        wrong: request.state === 'rejected' ? ['conflicting_result', 'wrong_state'] : ['conflicting_result'],
      };
    held.result = result;
  } else {
    if (request.state === 'rejected') return { wrong: ['wrong_state'] };
    request.results.push({ party, result });
  }
  if (result.kind === 'signatures' && request.published === undefined) request.published = result.value;
  const votes = referenceVotes(network, request);
  request.events.push({ what: 'result', party, kind: result.kind, have: votes.have, refused: votes.refused });
  if (request.state !== 'pending') return { wrong: [] };
  if (request.kind === 'sign') {
    if (votes.have >= network.threshold) move(request, 'fulfilled');
    else if (votes.refused > network.parties.length - network.threshold) move(request, 'rejected', 'parties');
    return { wrong: [] };
  }
  // A key is what all parties say it is: one that refuses, or says another, makes that impossible.
  const values = request.results.map((each) => each.result.value);
  if (votes.refused > 0 || values.some((value) => value !== values[0])) move(request, 'rejected', 'parties');
  else if (votes.have === network.parties.length) move(request, 'fulfilled');
  return { wrong: [] };
}
