// `countersign keyring create`: gathers the operators' signatures and registers the keyring.
import { Command } from 'commander';
import { keyringRoster, openKeyring } from '../../protocol/records/keyring-roster.ts';
import type { CommandFactory } from '../command.ts';
import { CliError } from '../errors.ts';
import { type SessionOptions, withCoordinator, withExample } from '../options.ts';
import { printResult } from '../output.ts';
import { required, resolveProfile } from '../profile.ts';
import { jsonText, readRecord, writeOut } from '../record-file.ts';
import { describeRoster, mergeSignatures, openDraft, rosterJson, unsigned } from '../roster.ts';
import { openSession } from '../session.ts';

interface Options extends SessionOptions {
  readonly out?: string;
  /** False with `--no-submit`. */
  readonly submit: boolean;
}

export const keyringCreate: CommandFactory = (context) =>
  withExample(
    withCoordinator(new Command('create'))
      .description(
        'Join the signatures in copies of one roster, and register the keyring once every party has signed.',
      )
      .argument('<roster...>', 'files of the roster, as the operators gave them back')
      .option('--out <file>', 'where to write the roster with all signatures')
      .option('--no-submit', 'only join the signatures; needs no coordinator')
      .action(async (files: string[], options: Options) => {
        const networkId = required(await resolveProfile(context, options), 'networkId');
        // What can be wrong with the profile is told before anything is written.
        const session = options.submit ? await openSession(context, options) : undefined;
        const copies = [];
        for (const source of files)
          copies.push({ envelope: await readRecord(source, keyringRoster.type), source });
        const [first, ...others] = copies;
        if (first === undefined) throw new CliError('usage', 'no roster is named', 'name at least one file');
        for (const { envelope, source } of copies) openDraft(envelope, networkId, source);
        const draft = openDraft(mergeSignatures([first, ...others]), networkId, first.source);
        const missing = unsigned(draft);
        const report = (registered: boolean): void =>
          printResult(context, options, { ...rosterJson(draft), registered }, () => [
            ...describeRoster(draft),
            ...(options.out !== undefined && missing.length === 0
              ? ['', `All have signed: give ${options.out} to every operator, who joins with it.`]
              : []),
            ...(registered ? ['', 'The keyring is registered with the coordinator.'] : []),
          ]);
        if (missing.length > 0) {
          report(false);
          throw new CliError(
            'waiting',
            `${missing.join(', ')} ${missing.length === 1 ? 'has' : 'have'} not signed the roster`,
            'let them run countersign node join, and name the files they give back',
          );
        }
        const keyring = openKeyring(draft.envelope, networkId);
        // A file with fewer signatures would be handed on as the complete one, and be in its way.
        if (options.out !== undefined) await writeOut(options.out, jsonText(draft.envelope));
        if (session !== undefined) {
          const { client } = session;
          const view = await client.call(
            'keyring_create',
            { roster: draft.envelope },
            { signal: context.signal },
          );
          if (view.keyringId !== keyring.id) {
            const what = `the coordinator registered keyring ${view.keyringId} instead of ${keyring.id}`;
            throw new CliError('failed', what, 'ask its operator');
          }
        }
        report(session !== undefined);
      }),
    'countersign keyring create acme.json blue.json core.json --out roster.complete.json',
  );
