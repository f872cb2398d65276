// `countersign testnet`: a whole network on this machine, shown at work.
import { Command, Option } from 'commander';
import type { CommandFactory } from '../command.ts';
import { CliError } from '../errors.ts';
import { withExample } from '../options.ts';

interface Options {
  readonly parties?: string;
  readonly threshold?: string;
  readonly stop: string;
  readonly dir?: string;
  readonly wait?: string;
  readonly demo: 'solana' | 'taproot' | 'evm' | 'bitcoin' | 'all';
  readonly once?: boolean;
  readonly json?: boolean;
}

const maxParties = 9;
const maxWaitSeconds = 3600;
/** For parties of which enough run: they sign in a second, but a machine may be slow. */
const patientSeconds = 120;
/** For parties that cannot sign. */
const hopelessSeconds = 20;

/** A whole number within bounds. Throws CliError `usage`. */
function count(name: string, text: string, least: number, most: number): number {
  const value = /^[0-9]{1,5}$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw new CliError('usage', `${name} ${JSON.stringify(text)} cannot be`, `give ${least} to ${most}`);
}

export const testnet: CommandFactory = (context) =>
  withExample(
    new Command('testnet')
      .description(
        'Run a coordinator, nodes and connectors on this machine, make a key, sign and check a transaction step by step, ' +
          'and stay up to be tried. Its keys are worth nothing: for tests only.',
      )
      .option('--parties <n>', 'how many parties, 2 to 9 (default: 3)')
      .option('--threshold <t>', 'how many of them sign, from 2 (default: 2)')
      .addOption(
        new Option(
          '--demo <demo>',
          'what is signed: a transfer on Solana or Ethereum (evm), or a spend of Bitcoin coins, Taproot or of an ECDSA key (bitcoin), or all of these',
        )
          .choices(['solana', 'taproot', 'evm', 'bitcoin', 'all'])
          .default('solana'),
      )
      .option('--once', 'end after one verified run, with exit code 0 only then')
      .option('--stop <k>', 'kill so many nodes once the key exists', '0')
      .option(
        '--wait <seconds>',
        `how long the parties may take (default: ${patientSeconds}, or ${hopelessSeconds} when too few are left to sign)`,
      )
      .option(
        '--dir <dir>',
        'a folder for it, new or of an earlier testnet to continue (default: a temporary one, removed at the end)',
      )
      .option('--json', 'print one JSON object a line')
      .action(async (options: Options) => {
        const { dir, demo, once = false, json = false } = options;
        const { readMark, requireSame } = await import('../testnet/folder.ts');
        const earlier = dir === undefined ? undefined : await readMark(dir);
        const { parties: askedParties, threshold: askedThreshold } = options;
        const parties =
          askedParties === undefined
            ? (earlier?.parties ?? 3)
            : count('--parties', askedParties, 2, maxParties);
        const threshold =
          askedThreshold === undefined
            ? (earlier?.threshold ?? 2)
            : count('--threshold', askedThreshold, 2, earlier ? maxParties : parties);
        if (dir !== undefined && earlier !== undefined) requireSame(dir, earlier, { parties, threshold });
        const stop = count('--stop', options.stop, 0, parties - 1);
        const usual = stop > parties - threshold ? hopelessSeconds : patientSeconds;
        const waitSeconds =
          options.wait === undefined ? usual : count('--wait', options.wait, 1, maxWaitSeconds);
        const { runTestnet } = await import('../testnet/run.ts');
        await runTestnet(context, { parties, threshold, stop, once, json, demo, dir, waitSeconds });
      }),
    'countersign testnet',
    'countersign testnet --parties 5 --threshold 3 --stop 2 --once',
    'countersign testnet --demo taproot --once',
    'countersign testnet --demo evm --once',
  );
