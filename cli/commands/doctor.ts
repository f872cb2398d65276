// `countersign doctor`: what is wrong with a machine that runs a party or a coordinator. It changes nothing and prints no secret.
import { Command } from 'commander';
import type { CommandFactory } from '../command.ts';
import { CliError } from '../errors.ts';
import { type JsonOption, type PassphraseOption, withExample, withJson } from '../options.ts';
import { printResult } from '../output.ts';

interface Options extends JsonOption, PassphraseOption {
  readonly node?: string;
  readonly connector?: string;
  readonly coordinator?: string;
}

export const doctor: CommandFactory = (context) =>
  withExample(
    withJson(new Command('doctor'))
      .description(
        'Look for what is wrong with a node, a connector or a coordinator, whether it runs or not: configuration, ' +
          'permissions, disk, memory, clock, ports, roster, grants, peers and coordinator. Changes nothing. Exit code 0 ' +
          'when nothing failed, warnings included.',
      )
      .option('--node <dir>', "a node's folder")
      .option('--connector <dir>', "a connector's folder")
      .option('--coordinator <file>', "a coordinator's configuration")
      .option(
        '--passphrase-file <file>',
        'also try whether this passphrase opens the keys, and whether the node lets the connector in',
      )
      .action(async (options: Options) => {
        const { node, connector, coordinator, passphraseFile } = options;
        if (node === undefined && connector === undefined && coordinator === undefined) {
          throw new CliError(
            'usage',
            'nothing to look at',
            'use --node DIR, --connector DIR or --coordinator FILE',
          );
        }
        const [{ findingLines, Findings, verdict }, { checkRuntime, thisMachine }, { version }] =
          await Promise.all([
            import('../doctor/findings.ts'),
            import('../doctor/machine.ts'),
            import('../version.ts'),
          ]);
        const { environment, now, signal } = context;
        const machine = thisMachine({ environment, now, signal, version: version() });
        const onMachine = new Findings('machine');
        const { all } = onMachine;
        checkRuntime(onMachine, machine);
        if (coordinator !== undefined) {
          const { examineCoordinator } = await import('../doctor/coordinator.ts');
          await examineCoordinator(new Findings('coordinator', all), machine, coordinator);
        }
        if (node !== undefined) {
          const { examineNode } = await import('../doctor/node.ts');
          await examineNode(new Findings('node', all), machine, { dir: node, passphraseFile });
        }
        if (connector !== undefined) {
          const { examineConnector } = await import('../doctor/connector.ts');
          await examineConnector(new Findings('connector', all), machine, { dir: connector, passphraseFile });
        }
        if (!all.some(({ check }) => check === 'clock')) {
          onMachine.wrong(
            'clock_unchecked',
            "nobody who runs has told the time: this machine's clock may be wrong",
          );
        }
        const result = verdict(all);
        printResult(context, options, result, () => findingLines(result));
        if (!result.ok) {
          const what = `${result.failures} of ${all.length} checks failed`;
          throw new CliError('failed', what, 'do what is said beside each');
        }
      }),
    'countersign doctor --node /var/lib/countersign-node --connector /var/lib/countersign-connector',
    'countersign doctor --coordinator /etc/countersign/coordinator.yaml --json',
  );
