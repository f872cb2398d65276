// `countersign keyring draft`: the admin's proposal of a keyring, for every operator to check and sign.
import { Command, InvalidArgumentError } from 'commander';
import { buildRosterDraft } from '../../client/records.ts';
import { ed25519Signer } from '../../protocol/records/envelope.ts';
import { labelSchema } from '../../protocol/records/fields.ts';
import { fingerprint, type Party, partySchema } from '../../protocol/records/keyring-roster.ts';
import type { CommandFactory } from '../command.ts';
import { CliError } from '../errors.ts';
import { openIdentityNamed } from '../identities.ts';
import { requireId } from '../ids.ts';
import {
  checkedBy,
  type JsonOption,
  type PassphraseOption,
  withExample,
  withJson,
  withNetwork,
  withPassphrase,
} from '../options.ts';
import { printNotes, printResult } from '../output.ts';
import { isReachable } from '../node-folder.ts';
import { type ProfileFlags, required, resolveProfile } from '../profile.ts';
import { jsonText, readJson, writeOut } from '../record-file.ts';
import { describeRoster, openDraft, rosterJson } from '../roster.ts';

interface Options extends JsonOption, PassphraseOption, ProfileFlags {
  readonly name: string;
  readonly threshold: number;
  readonly admin?: string;
  readonly serves: string;
  readonly out: string;
}

function parseThreshold(text: string): number {
  if (!/^[0-9]{1,2}$/.test(text)) throw new InvalidArgumentError('Expected a number of parties, at least 2.');
  return Number(text);
}

/** Throws CliError `usage` when two files introduce one party, or two parties by one name. */
function refuseTwice(parties: readonly Party[], files: readonly string[]): void {
  for (const [index, { name, key }] of parties.entries()) {
    const other = parties.findIndex((party) => party.key === key || party.name === name);
    if (other === index) continue;
    const same = parties[other]!.key === key ? `the party key ${key}` : `the name ${name}`;
    const remedy =
      parties[other]!.key === key ? 'name one file for each party' : 'have one of them make its node anew';
    throw new CliError('usage', `${files[other]} and ${files[index]} both have ${same}`, remedy);
  }
}

/** What the admin had better ask before anybody signs: an address in the roster stays. */
function addressNotes(parties: readonly Party[]): string[] {
  return parties
    .filter(({ addresses }) => !addresses.some(isReachable))
    .map(
      ({ name, addresses }) =>
        `${name} announces ${addresses.length === 0 ? 'no address' : addresses.join(' ')}, where nobody reaches it: every other ` +
        'party would need one under peers: in its config.yaml',
    );
}

export const keyringDraft: CommandFactory = (context) =>
  withExample(
    withPassphrase(withNetwork(withJson(new Command('draft'))))
      .description(
        'Draft the roster of a new keyring from the party.json of every node, signed by you as its admin.',
      )
      .argument('<party...>', 'files party.json')
      .requiredOption('--name <name>', "the keyring's name, for people", checkedBy(labelSchema))
      .requiredOption('--threshold <t>', 'how many parties it takes to sign', parseThreshold)
      .option('--admin <identity>', "identity of the keyring's admin, instead of the profile's")
      .option(
        '--serves <workspaces>',
        'open, or the ids of the only workspaces it serves, separated by commas',
        'open',
      )
      .requiredOption('--out <file>', 'where to write the roster')
      .action(async (files: string[], options: Options) => {
        const { name, threshold, out } = options;
        const profile = await resolveProfile(context, {
          ...options,
          ...(options.admin && { as: options.admin }),
        });
        const networkId = required(profile, 'networkId');
        const admin = required(profile, 'identity');
        const parties = [];
        for (const file of files) parties.push(await readJson(file, partySchema, 'the party.json of a node'));
        refuseTwice(parties, files);
        if (threshold < 2 || threshold > parties.length) {
          const remedy = `choose 2 to ${parties.length}`;
          throw new CliError(
            'usage',
            `a threshold of ${threshold} of ${parties.length} parties cannot be`,
            remedy,
          );
        }
        const serves =
          options.serves === 'open'
            ? 'open'
            : options.serves.split(',').map((id) => requireId(id.trim(), 'workspace'));
        const identity = await openIdentityNamed(context, admin, options);
        try {
          const { envelope } = buildRosterDraft(
            { networkId, name, parties, threshold, serves, now: context.now() },
            ed25519Signer(identity.seed),
          );
          const draft = openDraft(envelope, networkId, out);
          await writeOut(out, jsonText(envelope));
          printNotes(context, addressNotes(parties));
          printResult(context, options, { ...rosterJson(draft), file: out }, () => [
            ...describeRoster(draft),
            '',
            `Next: send ${out} to every operator, and read the fingerprint to each by telephone; each then runs`,
            `countersign node join ${out} --dir DIR --fingerprint "${fingerprint(draft.id)}"`,
          ]);
        } finally {
          identity.seed.fill(0);
        }
      }),
    'countersign keyring draft acme.json blue.json core.json --name main --threshold 2 --admin alice --out roster.json',
  );
