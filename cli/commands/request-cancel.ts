// `countersign request cancel`: its initiator takes a request back, which is the initiator's own rejection of it.
import { Command } from 'commander';
import { buildDecision } from '../../client/records.ts';
import { readContent } from '../../protocol/records/envelope.ts';
import { request as requestRecord } from '../../protocol/records/request.ts';
import { ownerOf } from '../../protocol/records/workspace.ts';
import { fetchAction } from '../action.ts';
import type { CommandFactory } from '../command.ts';
import { CliError } from '../errors.ts';
import { type SessionOptions, withExample, withWorkspace } from '../options.ts';
import { fields, printResult } from '../output.ts';
import { findRequest } from '../requests.ts';
import { inWorkspace } from '../session.ts';

export const requestCancel: CommandFactory = (context) =>
  withExample(
    withWorkspace(new Command('cancel'))
      .description('Take back a request of your own that is not approved yet.')
      .argument('<id>', "the request's id, or the beginning of it")
      .action(async (text: string, options: SessionOptions) => {
        await inWorkspace(context, options, async (session) => {
          const { client, networkId, signer } = session;
          const requestId = await findRequest(context, session, text);
          const { workspace, evidence } = await fetchAction(context, session, requestId);
          const { initiator } = readContent(requestRecord, evidence.request, networkId).content;
          const own = ownerOf(workspace, signer.credential)?.name;
          if (own !== initiator)
            throw new CliError(
              'failed',
              `request ${requestId} is of ${initiator}, and you sign as ${own ?? 'no owner'}`,
              `reject it with countersign action reject ${requestId}, or sign as ${initiator} with --as`,
            );
          const { decisions } = evidence;
          const base = { networkId, workspace, subject: requestId, decisions, now: context.now() };
          const { id, envelope } = buildDecision({ ...base, decision: 'reject' }, signer);
          const view = await client.call('action_decide', { decision: envelope }, { signal: context.signal });
          const { state } = view;
          printResult(context, options, { requestId, decision: 'cancelled', decisionId: id, state }, () =>
            fields([
              ['request', requestId],
              ['state', state === 'rejected' ? 'cancelled' : state],
            ]),
          );
        });
      }),
    'countersign request cancel 0x7be2a1',
  );
