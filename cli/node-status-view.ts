// The status of a node for a person: first what is wrong, then peers, then what every open request waits for. The answer
// comes from another process, perhaps of another version: what is not understood is shown as it came.
import * as z from 'zod';
import { fields, shortId } from './output.ts';

const awaitedSchema = z.object({ party: z.string(), owes: z.string() });
const waitingSchema = z.discriminatedUnion('for', [
  z.object({ for: z.literal('approvals') }),
  z.object({ for: z.literal('time'), until: z.string().optional() }),
  z.object({ for: z.literal('workspace'), code: z.string() }),
  z.object({ for: z.literal('resume') }),
  z.object({ for: z.literal('parent'), keyId: z.string() }),
  z.object({ for: z.literal('peers'), have: z.number(), need: z.number(), awaited: z.array(awaitedSchema) }),
  z.object({ for: z.literal('leader'), leader: z.string(), until: z.string().optional() }),
  z.object({
    for: z.literal('attempts'),
    attempts: z.array(
      z.object({
        leader: z.string(),
        since: z.string(),
        phase: z.string(),
        awaited: z.array(awaitedSchema),
      }),
    ),
  }),
]);
const requestSchema = z.object({
  requestId: z.string(),
  kind: z.string(),
  since: z.string(),
  expires: z.string(),
  tries: z.number(),
  detail: z.string(),
  waiting: waitingSchema,
  lastAbort: z
    .object({
      at: z.string(),
      code: z.string(),
      awaited: z.array(z.string()),
      culprit: z.string().optional(),
    })
    .optional(),
});
const peerSchema = z.object({
  name: z.string(),
  key: z.string(),
  up: z.boolean(),
  since: z.string(),
  bootCounter: z.number().optional(),
  highestBoot: z.number().optional(),
  wentBack: z.boolean().optional(),
  lastDial: z.object({ at: z.string(), failures: z.number(), error: z.string() }).optional(),
});
const pairSchema = z.object({
  name: z.string(),
  state: z.string(),
  progress: z.object({ done: z.number(), of: z.number() }).optional(),
  ban: z.object({ since: z.string(), code: z.string(), detail: z.string() }).optional(),
  incidents: z.number(),
});
const poolSchema = z.object({
  keyId: z.string(),
  set: z.array(z.string()),
  ready: z.number(),
  target: z.number(),
});
export const blockedSchema = z.object({
  workspaceId: z.string(),
  head: z.object({ seq: z.number(), id: z.string() }).optional(),
  fork: z.object({ common: z.object({ seq: z.number() }), entries: z.array(z.string()) }).optional(),
  frozen: z.object({ since: z.string(), reason: z.string().optional() }).optional(),
});
const statusSchema = z.looseObject({
  name: z.string(),
  party: z.string(),
  state: z.string(),
  paused: z.object({ since: z.string(), reason: z.string().optional() }).optional(),
  clocks: z.array(z.string()),
  peers: z.array(peerSchema),
  pairs: z.array(pairSchema).optional(),
  presignatures: z.array(poolSchema).optional(),
  blocked: z.array(blockedSchema).optional(),
  debitsForgotten: z.string().optional(),
  requests: z.array(requestSchema),
});
type Status = z.output<typeof statusSchema>;
type Request = z.output<typeof requestSchema>;
type NameOf = (party: string) => string;

const owed: Readonly<Record<string, string>> = {
  connection: 'not connected',
  accept: 'no ACCEPT',
  start: 'no START',
  round: 'no round message',
  result: 'no result',
};

function awaited(parties: readonly { party: string; owes: string }[], nameOf: NameOf): string {
  if (parties.length === 0) return 'nobody';
  return parties.map(({ party, owes }) => `${nameOf(party)} (${owed[owes] ?? owes})`).join(', ');
}

function peerLine({
  name,
  up,
  since,
  bootCounter,
  highestBoot,
  wentBack,
  lastDial,
}: Status['peers'][number]): string {
  const boots = bootCounter === undefined ? '' : `, boot ${bootCounter}`;
  const back =
    wentBack === true
      ? `: WENT BACK from ${bootCounter === highestBoot ? 'another start of that number' : highestBoot}, it runs on an old copy of its folder`
      : '';
  const dial =
    lastDial === undefined
      ? ''
      : `, dialled ${lastDial.failures} times, last at ${lastDial.at}: ${lastDial.error}`;
  return `${name} ${up ? 'up' : 'down'} since ${since}${boots}${back}${dial}`;
}

function pairLine({ name, state, progress, ban, incidents }: z.output<typeof pairSchema>): string {
  const lost = incidents === 0 ? '' : `, ${incidents} incidents in 24 hours`;
  if (ban !== undefined) return `${name} BANNED since ${ban.since}: ${ban.code}, ${ban.detail}${lost}`;
  if (state === 'running') {
    const far = progress === undefined ? '' : ` (${progress.done} of ${progress.of})`;
    return `${name} setup being made${far}${lost}`;
  }
  return `${name} setup ${state}${lost}`;
}

function poolLine({ keyId, set, ready, target }: z.output<typeof poolSchema>, nameOf: NameOf): string {
  return `${shortId(keyId)} with ${set.map(nameOf).join(', ')}: ${ready} of ${target}`;
}

function waitingLines({ waiting, detail }: Request, nameOf: NameOf): string[] {
  switch (waiting.for) {
    case 'approvals':
      return [`waits for approvals: ${detail}`];
    case 'time':
      return [`waits${waiting.until ? ` until ${waiting.until}` : ''}: ${detail}`];
    case 'workspace':
      return [`waits for its workspace: ${detail}`];
    case 'resume':
      return ['waits for this node to be resumed'];
    case 'parent':
      return [`waits for key ${shortId(waiting.keyId)}, from which it is derived, to be active here`];
    case 'peers':
      return [
        `waits for parties, ${waiting.have} of ${waiting.need} here: ${awaited(waiting.awaited, nameOf)}`,
      ];
    case 'leader':
      return [
        `waits for ${nameOf(waiting.leader)} to propose${waiting.until ? `, until ${waiting.until}` : ''}`,
      ];
    case 'attempts':
      return waiting.attempts.map(
        ({ leader, since, phase, awaited: parties }) =>
          `attempt of ${nameOf(leader)} since ${since}, ${phase}: waits for ${awaited(parties, nameOf)}`,
      );
  }
}

function requestLines(request: Request, nameOf: NameOf): string[] {
  const { requestId, kind, since, expires, tries, lastAbort } = request;
  const indented = waitingLines(request, nameOf);
  if (lastAbort !== undefined) {
    const { at, code, awaited: missing, culprit } = lastAbort;
    const blamed = culprit === undefined ? '' : `, culprit ${nameOf(culprit)}`;
    const without = missing.length === 0 ? '' : `, it awaited ${missing.map(nameOf).join(', ')}`;
    indented.push(`last attempt ended at ${at}: ${code}${without}${blamed}; ${tries} in a row`);
  }
  return [
    `${shortId(requestId)} ${kind}, here since ${since}, until ${expires}`,
    ...indented.map((line) => `  ${line}`),
  ];
}

/** Why nothing is signed for a workspace. */
export function blockedLine({ workspaceId, fork, frozen }: z.output<typeof blockedSchema>): string {
  const reason = frozen?.reason === undefined ? '' : `: ${frozen.reason}`;
  const words = [
    ...(frozen ? [`frozen on this node since ${frozen.since}${reason}`] : []),
    ...(fork
      ? [`FORKED: two log entries ${fork.common.seq + 1}, ${fork.entries.map(shortId).join(' and ')}`]
      : []),
  ];
  return `${shortId(workspaceId)} ${words.join('; ')}`;
}

/** A value that has no form of its own here, a list's items one a line. */
function plainLines(value: unknown): string[] {
  if (Array.isArray(value)) return value.length === 0 ? ['none'] : value.map(plain);
  return [plain(value)];
}

function plain(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  return Object.entries(value)
    .map(([key, part]) => `${key} ${typeof part === 'object' ? `(${plain(part)})` : String(part)}`)
    .join(', ');
}

/** Lines for a terminal, not yet made safe for it. */
export function statusLines(value: unknown): string[] {
  const parsed = statusSchema.safeParse(value);
  if (!parsed.success) {
    const entries =
      typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
    return entries.length === 0
      ? plainLines(value)
      : fields(entries.map(([key, part]) => [key, plainLines(part)] as const));
  }
  const { paused, clocks, peers, pairs, presignatures, blocked, debitsForgotten, requests, ...rest } =
    parsed.data;
  const names = new Map(peers.map(({ key, name }) => [key, name]));
  const nameOf: NameOf = (party) =>
    party === rest.party ? `${rest.name} (this node)` : (names.get(party) ?? party);
  const reason = paused?.reason === undefined ? '' : `: ${paused.reason}`;
  return fields([
    ['PAUSED', paused && `since ${paused.since}${reason}`],
    ['CLOCKS', clocks.length > 0 ? clocks : undefined],
    ['BLOCKED', blocked !== undefined && blocked.length > 0 ? blocked.map(blockedLine) : undefined],
    [
      'LIMITS',
      debitsForgotten && `count as used up from ${debitsForgotten} on, each for as long as it looks back`,
    ],
    ...Object.entries(rest).map(([key, part]) => [key, plainLines(part)] as const),
    ['peers', peers.length === 0 ? 'none' : peers.map(peerLine)],
    ['pairs', pairs?.map(pairLine)],
    ['presignatures', presignatures?.map((pool) => poolLine(pool, nameOf))],
    [
      'requests',
      requests.length === 0 ? 'none' : requests.flatMap((request) => requestLines(request, nameOf)),
    ],
  ]);
}
