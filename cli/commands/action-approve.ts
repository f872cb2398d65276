// `countersign action approve`, `reject` and `withdraw`: an owner's signed decision on a request or a change.
import { Command } from 'commander';
import { type BuiltRecord, buildDecision, type DecisionBase, longestDelay } from '../../client/records.ts';
import { labelSchema } from '../../protocol/records/fields.ts';
import { openWorkspace } from '../../protocol/records/workspace.ts';
import { actionId } from '../../protocol/rpc.ts';
import { actionLines, actionWarnings, approvable, fetchAction } from '../action.ts';
import { changeLines, fetchChange, type JudgedChange, requireDecidable } from '../change.ts';
import type { CommandFactory } from '../command.ts';
import { confirm } from '../confirm.ts';
import { guardApproval } from '../decided-changes.ts';
import type { CommandContext } from '../context.ts';
import { parseDuration } from '../duration.ts';
import { CliError } from '../errors.ts';
import { findAction } from '../find-action.ts';
import { type SessionOptions, withExample, withWorkspace } from '../options.ts';
import { fields, printNotes, printResult } from '../output.ts';
import { inWorkspace, type WorkspaceSession } from '../session.ts';
import {
  deciderOf,
  givenTypedData,
  lifetimeOf,
  signedByDecider,
  type WalletOptions,
  withWallet,
} from '../wallet.ts';

/** An action with what a decision on it is made from. */
interface Subject {
  readonly base: DecisionBase & { readonly now: number };
  /** Milliseconds that it must wait before it can be signed. */
  readonly delayMs?: number;
  readonly lines: () => Promise<readonly string[]>;
  /** Of a change: where in the log it would stand. */
  readonly change?: JudgedChange;
}

/** What a decision is about, as the signed bytes tell it. Throws CliError, RecordError. */
async function subjectOf(context: CommandContext, session: WorkspaceSession, text: string): Promise<Subject> {
  const { networkId } = session;
  const found = await findAction(context, session, text);
  const base = { networkId, now: context.now() };
  if (found.kind === 'change') {
    const change = await fetchChange(context, session, found.id);
    const { workspace, decisions } = change;
    return {
      base: { ...base, workspace, decisions, subject: change.opened.record.envelope },
      lines: async () => changeLines(change, networkId),
      change,
    };
  }
  const action = await fetchAction(context, session, found.id);
  const { workspace, evidence, verdict } = action;
  const parent = evidence.parentLog && openWorkspace(evidence.parentLog, networkId);
  if (parent !== undefined && parent.id !== workspace.parent)
    throw new CliError(
      'failed',
      `the coordinator gave the log of workspace ${parent.id} as that of the parent`,
      'do not use this coordinator, and ask its operator',
    );
  // Owners of the parent decide where its sign policy is in force.
  const inherits = workspace.signPolicy === undefined && parent !== undefined;
  const delayMs = verdict.verdict === 'refused' ? 0 : longestDelay(verdict.authorisation.plan);
  return {
    base: {
      ...base,
      workspace,
      subject: evidence.request,
      decisions: evidence.decisions,
      ...(inherits && { parent }),
    },
    delayMs,
    lines: async () => {
      const authorisation = approvable(action);
      const warnings = await actionWarnings(context, session, action, authorisation);
      return actionLines(action, authorisation, networkId, warnings);
    },
  };
}

async function submit(
  context: CommandContext,
  { client }: WorkspaceSession,
  options: SessionOptions,
  { id, envelope }: BuiltRecord,
  decision: 'approved' | 'rejected' | 'taken back',
): Promise<void> {
  const view = await client.call('action_decide', { decision: envelope }, { signal: context.signal });
  const { state } = view;
  const isChange = view.kind === 'change';
  const subject = isChange ? { changeId: view.changeId } : { requestId: view.requestId };
  printResult(context, options, { ...subject, decision, decisionId: id, state }, () =>
    fields([
      [isChange ? 'change' : 'request', actionId(view)],
      ['decision', decision],
      ['state', isChange && state === 'fulfilled' ? 'in the log' : state],
    ]),
  );
}

/** What must hold before a change is approved; what it returns remembers that it was. Throws CliError. */
async function guardChange(
  context: CommandContext,
  session: WorkspaceSession,
  change: JudgedChange,
  second: boolean | undefined,
): Promise<() => Promise<void>> {
  await requireDecidable(context, session, change);
  return await guardApproval(context, session, change.workspace, change.opened.record.id, second);
}

const idArgument = ['<id>', "the action's id, or the beginning of it"] as const;

type DecideOptions = SessionOptions & WalletOptions;

interface ApproveOptions extends DecideOptions {
  readonly yes?: boolean;
  readonly expires?: number;
  readonly second?: boolean;
}

export const actionApprove: CommandFactory = (context) =>
  withExample(
    withWallet(withWorkspace(new Command('approve')))
      .description('Approve a request or a change, after it was shown and you confirmed.')
      .argument(...idArgument)
      .option('--yes', 'do not ask for confirmation')
      .option(
        '--expires <duration>',
        'how long the approval may be used (default: the delay of the policy and 1h)',
        parseDuration,
      )
      .option('--second', 'although you approved another change at the same place of the log')
      .action(async (text: string, options: ApproveOptions) => {
        await inWorkspace(context, options, async (session) => {
          const decider = deciderOf(session, options);
          const given = await givenTypedData(options);
          const { base, delayMs = 0, lines, change } = await subjectOf(context, session, text);
          printNotes(context, await lines());
          const guarded = { ...session, signer: { ...session.signer, credential: decider.credential } };
          const remember = change && (await guardChange(context, guarded, change, options.second));
          // A wallet asks its owner itself.
          if (options.wallet === undefined) await confirm(context, 'Approve this?', options);
          const lifetime = options.expires !== undefined && { lifetimeMs: options.expires };
          const made = { ...base, delayMs, ...lifetime, ...lifetimeOf(given, base.now) };
          const built = buildDecision({ ...made, decision: 'approve' }, decider);
          const signed = await signedByDecider(context, options, session.networkId, built, given);
          if (signed === undefined) return;
          await remember?.();
          await submit(context, session, options, signed, 'approved');
        });
      }),
    'countersign action approve 0x7be2a1 --as bob',
    'countersign action approve 0x7be2a1 --as bob --yes --expires 10m',
    'countersign action approve 0x7be2a1 --as bob --wallet 0x7099... --typed-data approval.json',
    'countersign action approve 0x7be2a1 --as bob --wallet 0x7099... --typed-data approval.json --signature 0x6f1c...',
  );

interface RejectOptions extends DecideOptions {
  readonly reason?: string;
}

export const actionReject: CommandFactory = (context) =>
  withExample(
    withWallet(withWorkspace(new Command('reject')))
      .description('Reject a request or a change; its initiator cancels it this way.')
      .argument(...idArgument)
      .option('--reason <text>', 'why, in one line')
      .action(async (text: string, options: RejectOptions) => {
        const { reason } = options;
        if (reason !== undefined && !labelSchema.safeParse(reason).success) {
          throw new CliError('usage', 'the reason is not one plain line', 'write 1 to 100 characters');
        }
        await inWorkspace(context, options, async (session) => {
          // A rejection cannot do harm, so it needs no evidence but the workspace's log.
          const decider = deciderOf(session, options);
          const given = await givenTypedData(options);
          const { base } = await subjectOf(context, session, text);
          const said = {
            ...(given?.reason !== undefined && { reason: given.reason }),
            ...(reason !== undefined && { reason }),
          };
          const built = buildDecision({ ...base, ...said, decision: 'reject' }, decider);
          const signed = await signedByDecider(context, options, session.networkId, built, given);
          if (signed !== undefined) await submit(context, session, options, signed, 'rejected');
        });
      }),
    'countersign action reject 0x7be2a1 --as bob --reason "wrong recipient"',
  );

export const actionWithdraw: CommandFactory = (context) =>
  withExample(
    withWallet(withWorkspace(new Command('withdraw')))
      .description('Take back what you decided on a request or a change, as if you had not decided.')
      .argument(...idArgument)
      .action(async (text: string, options: DecideOptions) => {
        await inWorkspace(context, options, async (session) => {
          const decider = deciderOf(session, options);
          const given = await givenTypedData(options);
          const { base } = await subjectOf(context, session, text);
          const built = buildDecision({ ...base, decision: 'withdraw' }, decider);
          const signed = await signedByDecider(context, options, session.networkId, built, given);
          if (signed !== undefined) await submit(context, session, options, signed, 'taken back');
        });
      }),
    'countersign action withdraw 0x7be2a1 --as bob',
  );
