// `countersign policy simulate`: what a policy would say of a request, before anybody relies on it.
import { Command, Option } from 'commander';
import { levelsFor } from '../../protocol/authorize.ts';
import { fromHex, type Hex } from '../../protocol/hex.ts';
import { decodePayload } from '../../protocol/payloads/payload.ts';
import { keyRequestFacts, policyFacts } from '../../protocol/policy/facts.ts';
import { longestWindow, type Policy } from '../../protocol/policy/schema.ts';
import { noRequest } from '../../protocol/simulate.ts';
import { ownerOf } from '../../protocol/records/workspace.ts';
import type { CommandFactory } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { CliError } from '../errors.ts';
import { findKey, ownPolicy, proveKey } from '../keys.ts';
import { type SessionOptions, withExample, withWorkspace } from '../options.ts';
import { printNotes, printResult, shortId, table } from '../output.ts';
import { readPayloads } from '../payload-file.ts';
import { readPolicy } from '../policy-file.ts';
import { findRequest } from '../requests.ts';
import { inWorkspace, trustedFamily, type TrustedFamily, type WorkspaceSession } from '../session.ts';
import {
  deciding,
  History,
  levelsWith,
  replay,
  simulate,
  type Simulated,
  verdictLines,
} from '../simulation.ts';

interface Options extends SessionOptions {
  readonly key?: string;
  readonly payload?: string;
  readonly keyRequest?: boolean;
  readonly request?: string;
  readonly replay?: boolean;
  readonly initiator?: string;
  readonly approve?: string[];
  readonly reject?: string[];
  readonly at?: string;
}

/** What is asked for. Throws CliError `usage` when it is not one thing. */
function checkOptions(options: Options): 'payload' | 'keyRequest' | 'request' | 'replay' {
  const asked = (['payload', 'keyRequest', 'request', 'replay'] as const).filter(
    (name) => options[name] !== undefined,
  );
  const [only] = asked;
  if (asked.length !== 1 || only === undefined) {
    const what = asked.length === 0 ? 'nothing to simulate' : 'these exclude each other';
    throw new CliError('usage', what, 'give one of --payload, --key-request, --request and --replay');
  }
  if (only === 'payload' && options.key === undefined)
    throw new CliError('usage', 'a payload is signed by a key', 'add --key');
  return only;
}

function momentOf(context: CommandContext, options: Options): number {
  if (options.at === undefined) return context.now();
  const now = /^\d{4}-\d\d-\d\dT[0-9:.]+Z$/.test(options.at) ? Date.parse(options.at) : NaN;
  if (Number.isNaN(now))
    throw new CliError(
      'usage',
      `--at ${JSON.stringify(options.at)} is no time`,
      'write it like 2030-01-31T12:00:00Z',
    );
  return now;
}

/** The names in options, each of an owner. */
function checkNames({ workspace, parent }: TrustedFamily, names: readonly string[]): void {
  const owners = [...workspace.owners, ...(parent?.owners ?? [])].map(({ name }) => name);
  for (const name of names)
    if (!owners.includes(name))
      throw new CliError(
        'usage',
        `${JSON.stringify(name)} is no owner of the workspace`,
        `owners: ${[...new Set(owners)].join(', ')}`,
      );
}

/** Who would ask: the identity that signs, unless told otherwise. Throws CliError `usage`. */
function initiatorOf(
  { workspace }: TrustedFamily,
  { signer }: WorkspaceSession,
  { initiator }: Options,
): string {
  const name = initiator ?? ownerOf(workspace, signer.credential)?.name;
  if (name !== undefined) return name;
  throw new CliError('usage', 'the identity that signs is no owner of the workspace', 'give --initiator');
}

/** What keeps it from being signed, whatever the policies say. */
function obstacles({ workspace, parent }: TrustedFamily, keyIds: readonly (Hex | undefined)[]): string[] {
  const frozen = [workspace, parent].filter((one) => one?.frozen);
  const disabled = keyIds.filter((id) => id !== undefined && workspace.disabledKeys.has(id));
  return [
    ...frozen.map((one) => `warning: workspace ${one!.name} is frozen, so nothing is signed for it`),
    ...disabled.map((id) => `warning: key ${id} is disabled, so it signs nothing`),
  ];
}

async function imagined(
  context: CommandContext,
  session: WorkspaceSession,
  family: TrustedFamily,
  policy: Policy | undefined,
  options: Options,
): Promise<Simulated> {
  const { workspace, parent } = family;
  const initiator = initiatorOf(family, session, options);
  const approve = options.approve ?? [];
  const reject = options.reject ?? [];
  checkNames(family, [initiator, ...approve, ...reject]);
  const now = momentOf(context, options);
  const history = new History(context, session);
  // The coordinator's clock, by which requests were signed, may be ahead of this one.
  const until = options.at === undefined ? Infinity : now;
  const approved = deciding(
    family,
    [initiator, ...approve].filter((name) => !reject.includes(name)),
  );
  const standing = { initiator, approved, rejected: deciding(family, reject) };
  const moment = { requestId: noRequest, now, created: now, firstSeen: now };
  if (options.payload === undefined || options.key === undefined) {
    printNotes(context, obstacles(family, []));
    const levels = levelsWith(policy, workspace, levelsFor(workspace, parent));
    return simulate([{ facts: keyRequestFacts, levels }], standing, moment, history, until);
  }
  const proven = proveKey(await findKey(context, session, options.key), workspace, session.networkId);
  const { key } = proven;
  printNotes(context, obstacles(family, [key.id, key.origin?.parent]));
  const payloadKey = { keyType: key.keyType, publicKey: fromHex(key.publicKey) };
  const payloads = await readPayloads(options.payload, undefined, payloadKey);
  const own = await ownPolicy(context, session, workspace, proven);
  const levels = levelsWith(policy, workspace, levelsFor(workspace, parent, own));
  const items = payloads.map((payload) => ({
    keyId: key.id,
    facts: policyFacts(decodePayload(payload, payloadKey).facts),
    levels,
  }));
  return simulate(items, standing, moment, history, until);
}

export const policySimulate: CommandFactory = (context) =>
  withExample(
    withWorkspace(new Command('simulate'))
      .description(
        'Say what a policy would decide on a request: an imagined one, one that there is, or all there were.',
      )
      .argument('[file]', 'a policy to try in place of the one in force, as YAML')
      .option('--key <key>', 'key that would sign: its id, the beginning of it, or its label')
      .option('--payload <file>', 'what it would sign, as sign takes it')
      .option('--key-request', 'a request for a new key')
      .option('--request <id>', 'a request that there is, with the decisions it has')
      .option('--replay', 'every request of the last 31 days, with the decisions it had')
      .option('--initiator <name>', 'who would ask (default: the identity that signs)')
      .option('--approve <names...>', 'who would approve')
      .option('--reject <names...>', 'who would reject')
      .addOption(new Option('--at <time>', 'when (default: now)'))
      .action(async (file: string | undefined, options: Options) => {
        const asked = checkOptions(options);
        const policy = file === undefined ? undefined : await readPolicy(file, 'sign');
        await inWorkspace(context, options, async (session) => {
          const family = await trustedFamily(context, session);
          if (asked === 'payload' || asked === 'keyRequest') {
            const simulated = await imagined(context, session, family, policy, options);
            return printResult(context, options, jsonOf(simulated), () => verdictLines(simulated));
          }
          const history = new History(context, session);
          const id =
            options.request === undefined ? undefined : await findRequest(context, session, options.request);
          const chosen =
            id === undefined
              ? await history.madeSince(context.now() - longestWindow)
              : [await history.request(id)].flatMap((one) => one ?? []);
          if (id !== undefined && chosen.length === 0)
            throw new CliError(
              'failed',
              `request ${id} is not proven by its evidence`,
              "ask the coordinator's operator",
            );
          const rows = await Promise.all(
            chosen.map(async (one) => ({
              requestId: one.view.requestId,
              kind: one.view.kind,
              initiator: one.authorisation.request.initiator,
              state: one.view.state,
              ...jsonOf(await replay(one, policy, session.networkId, history)),
            })),
          );
          printResult(context, options, id === undefined ? rows : rows[0], () =>
            id === undefined
              ? table(
                  ['id', 'kind', 'asked by', 'ended', 'this policy says', 'because'],
                  rows.map((row) => [
                    shortId(row.requestId),
                    row.kind,
                    row.initiator,
                    row.state,
                    row.lines[0] ?? '',
                    row.lines.slice(1).join('; '),
                  ]),
                )
              : (rows[0]?.lines ?? []),
          );
        });
      }),
    'countersign policy simulate stricter.yaml --key payroll --payload transfer.json --approve bob',
    'countersign policy simulate --request 0x7be2a1',
    'countersign policy simulate stricter.yaml --replay',
  );

function jsonOf(
  simulated: Simulated,
): { readonly verdict: string; readonly lines: readonly string[] } & Record<string, unknown> {
  const lines = verdictLines(simulated);
  if (simulated.verdict === 'denied') {
    const { reason, item, mismatches, rule } = simulated.denial;
    return { verdict: 'denied', lines, reason, item, ...(rule !== undefined && { rule }), mismatches };
  }
  return { ...simulated, lines };
}
