// `countersign profile`: what the other commands assume.
import { Argument, Command } from 'commander';
import type { CommandFactory } from '../command.ts';
import { CliError } from '../errors.ts';
import { type JsonOption, withExample, withJson } from '../options.ts';
import { printResult, table } from '../output.ts';
import { changeProfile, type ProfileKey, profileKeys, profileSettings } from '../profile.ts';

export const profileShow: CommandFactory = (context) =>
  withExample(
    withJson(new Command('show'))
      .description('Show what commands assume, and what says so: profile.yaml or the environment.')
      .action(async (options: JsonOption) => {
        const settings = await profileSettings(context, {});
        const values = Object.fromEntries(
          Object.entries(settings).map(([key, setting]) => [key, setting.value]),
        );
        printResult(context, options, values, () =>
          table(
            ['setting', 'value', 'from'],
            profileKeys.map((key) => [key, settings[key]?.value ?? '(not set)', settings[key]?.source ?? '']),
          ),
        );
      }),
    'countersign profile show',
  );

export const profileSet: CommandFactory = (context) =>
  withExample(
    withJson(new Command('set'))
      .description('Change profile.yaml, which flags and the environment override.')
      .addArgument(
        // Listed for help and completion; what is none of them is refused below, in the form of all refusals.
        new Argument('<key>', 'what to change').choices(profileKeys).argParser(String),
      )
      .argument('<value>', 'its value')
      .action(async (key: string, value: string, options: JsonOption) => {
        if (!profileKeys.includes(key as ProfileKey)) {
          throw new CliError(
            'usage',
            `unknown key ${JSON.stringify(key)}`,
            `allowed are: ${profileKeys.join(', ')}`,
          );
        }
        const profile = await changeProfile(context, { [key]: value });
        printResult(context, options, profile, () => [`${key} is ${value}`]);
      }),
    'countersign profile set coordinator https://coordinator.example:7000',
    'countersign profile set networkId my-network',
    'countersign profile set identity alice',
  );
