// `countersign version`: what exactly runs here, for reports of faults: the package, its runtime, and the versions of the
// formats that must be alike for two processes to understand each other.
import { arch, platform, release } from 'node:os';
import { Command } from 'commander';
import type { CommandFactory } from '../command.ts';
import { type JsonOption, withExample, withJson } from '../options.ts';
import { fields, printResult } from '../output.ts';
import { version } from '../version.ts';

export const versionCommand: CommandFactory = (context) =>
  withExample(
    withJson(new Command('version'))
      .description('Print the versions of this package, of what it runs on, and of the formats it speaks.')
      .action(async (options: JsonOption) => {
        const [{ frameVersion }, { recordTag }] = await Promise.all([
          import('../../node/network/frames.ts'),
          import('../../protocol/records/envelope.ts'),
        ]);
        const value = {
          version: version(),
          node: process.version,
          platform: platform(),
          architecture: arch(),
          release: release(),
          protocol: { records: recordTag, frames: frameVersion },
        };
        const { protocol } = value;
        printResult(context, options, value, () =>
          fields([
            ['countersign', value.version],
            ['node', value.node],
            ['system', `${value.platform} ${value.release}, ${value.architecture}`],
            ['records', protocol.records],
            ['peer frames', `version ${protocol.frames}`],
          ]),
        );
      }),
    'countersign version --json',
  );
