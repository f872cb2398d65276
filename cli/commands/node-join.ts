// `countersign node join`: an operator's explicit command to be a party of a keyring. A node knows its keyring only from
// the roster stored here, and stores no second one.
import { Command } from 'commander';
import { addSignature, ed25519Signer, type Envelope } from '../../protocol/records/envelope.ts';
import { fingerprint, keyringRoster } from '../../protocol/records/keyring-roster.ts';
import type { CommandFactory } from '../command.ts';
import { confirm } from '../confirm.ts';
import type { CommandContext } from '../context.ts';
import { CliError } from '../errors.ts';
import { openSealed } from '../identities.ts';
import { type NodeFolder, readNodeFolder, storedRoster, storeRoster } from '../node-folder.ts';
import { type JsonOption, type PassphraseOption, withExample, withJson, withPassphrase } from '../options.ts';
import { printNotes, printResult } from '../output.ts';
import { jsonText, readRecord, writeOut } from '../record-file.ts';
import {
  describeRoster,
  mergeSignatures,
  openDraft,
  type RosterDraft,
  rosterJson,
  sameBytes,
  unsigned,
} from '../roster.ts';

interface Options extends JsonOption, PassphraseOption {
  readonly dir: string;
  readonly out?: string;
  readonly yes?: boolean;
  readonly fingerprint?: string;
}

/** Throws CliError `failed` unless the roster has this node as the party it is. */
function checkMembership({ roster }: RosterDraft, { party }: NodeFolder, source: string): void {
  const entry = roster.parties.find((candidate) => candidate.key === party.key);
  if (entry === undefined) {
    throw new CliError(
      'failed',
      `${source} does not list this node's party key ${party.key}`,
      "give party.json to the keyring's admin, and ask for a roster made with it",
    );
  }
  if (entry.name !== party.name) {
    throw new CliError(
      'failed',
      `${source} calls this node ${entry.name}, its name is ${party.name}`,
      'ask the admin for a roster made with your party.json as it is',
    );
  }
}

/**
 * Whether the operator was told the fingerprint of this very roster. Throws CliError `usage` for what is no fingerprint,
 * `failed` for another one.
 */
function isExpected({ id }: RosterDraft, told: string | undefined, source: string): boolean {
  if (told === undefined) return false;
  const plain = (text: string): string => text.replaceAll(/[\s:-]/g, '').toLowerCase();
  if (!/^[0-9a-f]{16}$/.test(plain(told))) {
    const remedy = 'give 16 hex digits, like "3f8a 0c21 9be4 77d0"';
    throw new CliError('usage', `${JSON.stringify(told)} is not a fingerprint`, remedy);
  }
  if (plain(told) === plain(fingerprint(id))) return true;
  throw new CliError(
    'failed',
    `${source} has the fingerprint ${fingerprint(id)}, you were told ${told}`,
    'sign nothing, and find out with the other operators who has which roster',
  );
}

/** The roster with this party's signature, added after the operator confirmed. */
async function signRoster(
  context: CommandContext,
  options: Options,
  { paths, party, config }: NodeFolder,
  envelope: Envelope,
  expected: boolean,
): Promise<Envelope> {
  const yes = expected || options.yes;
  await confirm(context, `Sign this roster as party ${party.name}?`, {
    yes,
    remedy: "pass --fingerprint with the digits that the keyring's admin read to you",
  });
  const identity = await openSealed(context, options, paths.identity, `node ${party.name}`);
  try {
    return addSignature(envelope, config.networkId, ed25519Signer(identity.seed));
  } finally {
    identity.seed.fill(0);
  }
}

async function join(context: CommandContext, file: string, options: Options): Promise<void> {
  const folder = await readNodeFolder(options.dir, context.environment);
  const { networkId } = folder.config;
  const handed = await readRecord(file, keyringRoster.type);
  const draft = openDraft(handed, networkId, file);
  checkMembership(draft, folder, file);
  const expected = isExpected(draft, options.fingerprint, file);
  const stored = await storedRoster(folder.paths);
  if (stored !== undefined && !sameBytes(stored, handed)) {
    const { id } = openDraft(stored, networkId, folder.paths.roster);
    throw new CliError(
      'failed',
      `this node belongs to keyring ${id}, ${file} is the roster of ${draft.id}`,
      'a node signs one roster for good, also when its admin drafts another: make another folder, and give the admin ' +
        'its party.json: countersign node init',
    );
  }
  const known =
    stored === undefined
      ? handed
      : mergeSignatures([
          { envelope: handed, source: file },
          { envelope: stored, source: folder.paths.roster },
        ]);
  const already = known.signatures.some((entry) => entry.credential === folder.party.key);
  if (!already) printNotes(context, describeRoster(draft, folder.party.key));
  const signed = already ? known : await signRoster(context, options, folder, known, expected);
  const result = openDraft(signed, networkId, file);
  // Before the signature leaves: from now on this folder signs no other roster.
  await storeRoster(folder.paths, signed);
  const grown = signed.signatures.length > handed.signatures.length;
  const out = options.out ?? (grown ? file.replace(/(\.signed)?(\.json)?$/, '.signed.json') : undefined);
  // A file that went from operator to operator grows in place; anything else that exists is left alone.
  if (out !== undefined)
    await writeOut(out, jsonText(signed), { replace: options.out === undefined && out === file });
  const missing = unsigned(result);
  printResult(context, options, { ...rosterJson(result), ...(out !== undefined && { file: out }) }, () => [
    ...(already ? describeRoster(result, folder.party.key) : []),
    missing.length === 0
      ? 'All parties have signed: this node can start.'
      : `Still to sign: ${missing.join(', ')}. Join again with the roster that all have signed.`,
    ...(out === undefined ? [] : [`Next: give ${out} back to the admin of the keyring.`]),
  ]);
}

export const nodeJoin: CommandFactory = (context) =>
  withExample(
    withPassphrase(withJson(new Command('join')))
      .description(
        'Sign a roster as one of its parties, after you compared its fingerprint with the other operators; or take over ' +
          'the one that all have signed.',
      )
      .argument('<roster>', 'file of the roster')
      .requiredOption('--dir <dir>', "the node's folder")
      .option(
        '--out <file>',
        'where to write the roster with the new signature (default: ROSTER.signed.json)',
      )
      .option(
        '--fingerprint <digits>',
        'refuse a roster with another fingerprint than this one, and ask nothing for this one',
      )
      .option('--yes', 'do not ask for confirmation')
      .action(async (file: string, options: Options) => {
        await join(context, file, options);
      }),
    'countersign node join roster.json --dir /var/lib/countersign/node --fingerprint "3f8a 0c21 9be4 77d0"',
    'countersign node join roster.complete.json --dir /var/lib/countersign/node',
  );
