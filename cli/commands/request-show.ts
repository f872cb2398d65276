// `countersign request show`: how a request stands; what it made is verified here.
import { Command } from 'commander';
import type { CommandFactory } from '../command.ts';
import { CliError } from '../errors.ts';
import { type SessionOptions, withExample, withWorkspace } from '../options.ts';
import { requireFree } from '../record-file.ts';
import { reportRequest } from '../request-report.ts';
import { findRequest, proveRequest, waitForRequest, waitSeconds } from '../requests.ts';
import { inWorkspace, trustedWorkspace } from '../session.ts';

interface Options extends SessionOptions {
  readonly wait?: string | boolean;
  readonly out?: string;
}

export const requestShow: CommandFactory = (context) =>
  withExample(
    withWorkspace(new Command('show'))
      .description(
        'Show how a key or sign request stands, with its verified signatures once it is fulfilled.',
      )
      .argument('<id>', "the request's id, or the beginning of it")
      .option(
        '--wait [seconds]',
        'wait until it is final, at most so long; the exit code then tells how it ended',
      )
      .option(
        '--out <file>',
        'write the signed transactions or messages to this file (EVM: in 0x-hex; Bitcoin: in hex, or a PSBT; others: base64)',
      )
      .action(async (text: string, options: Options) => {
        const seconds = waitSeconds(options.wait);
        if (options.out !== undefined) await requireFree(options.out);
        await inWorkspace(context, options, async (session) => {
          const { client, networkId } = session;
          const requestId = await findRequest(context, session, text);
          const workspace = await trustedWorkspace(context, session);
          const first = await client.call('sign_get', { requestId }, { signal: context.signal });
          const request = proveRequest(first, requestId, workspace, networkId);
          const view =
            seconds === undefined
              ? first
              : await waitForRequest(context, session, { ...first, requestId }, seconds, options);
          await reportRequest(context, session, workspace, view, request, {
            json: options.json,
            out: options.out,
            final: seconds !== undefined,
          });
          if (options.out !== undefined && view.signatures === undefined) {
            throw new CliError(
              'waiting',
              `there are no signatures to write to ${options.out} yet`,
              'wait with --wait',
            );
          }
        });
      }),
    'countersign request show 0x7be2a1',
    'countersign request show 0x7be2a1 --wait 300 --json',
  );
