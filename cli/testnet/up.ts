// What a testnet that is up says of itself: where it stands, which processes it is, and what to try.
import { shortId } from '../output.ts';
import type { TestNetwork } from './bootstrap.ts';
import type { Demo, Demonstrated } from './demonstration.ts';
import type { Layout } from './layout.ts';
import type { Narration } from './narration.ts';
import type { Daemon } from './processes.ts';

/** As they are listed. */
const kinds = ['coordinator', 'node', 'connector'] as const;

function byKindAndName(one: Daemon, other: Daemon): number {
  return kinds.indexOf(one.kind) - kinds.indexOf(other.kind) || (one.name < other.name ? -1 : 1);
}

export interface Up {
  readonly narration: Narration;
  readonly layout: Layout;
  readonly network: TestNetwork;
  readonly daemons: readonly Daemon[];
  readonly demo: Demo;
  /** Nothing when too few nodes were left for it. */
  readonly made: Demonstrated | undefined;
}

/** Says where everything is, and commands that work when they are pasted into another terminal. */
export function describeUp({ narration, layout, network, daemons: running, demo, made }: Up): void {
  const { root, home, passphraseFile } = layout;
  const { coordinator, workspaceId, keyringId } = network;
  const daemons = running.toSorted(byKindAndName);
  const commands = [
    'npx --no countersign key list',
    ...(made === undefined ? [] : [`npx --no countersign request show ${shortId(made.requestId)}`]),
    `npx --no countersign sign --key ${demo.label} --payload ${demo.trialFile} --wait`,
  ];
  const approve =
    'npx --no countersign action approve --as bob --yes ' +
    '"$(npx --no countersign action list --json | grep -o -m 1 \'0x[0-9a-f]\\{64\\}\')"';
  const environment = { COUNTERSIGN_HOME: home, COUNTERSIGN_PASSPHRASE_FILE: passphraseFile };
  narration.tell('up', {
    folder: root,
    coordinator,
    workspaceId,
    keyringId,
    ...(made && { keyId: made.key.key.id, requestId: made.requestId }),
    processes: daemons.map(({ name, pid, log }) => ({ process: name, pid, log })),
    environment,
    commands: [...commands, approve],
  });
  const width = Math.max(...daemons.map(({ name }) => name.length));
  narration.say(
    '',
    'The network is up. Ctrl-C stops it.',
    '',
    `  folder     ${root}`,
    `  RPC        ${coordinator}`,
    `  workspace  ${workspaceId}`,
    `  keyring    ${keyringId}`,
    ...(made ? [`  key        ${made.key.key.id}`] : []),
    '',
    ...daemons.map(({ name, pid, log }) => `  ${name.padEnd(width)}  pid ${String(pid).padEnd(8)}  ${log}`),
    '',
    'Try it from the checkout, in another terminal:',
    '',
    ...Object.entries(environment).map(([name, value]) => `  export ${name}=${value}`),
    ...commands.map((line) => `  ${line}`),
    '',
    'The last one waits for a second owner: approve it in a third terminal, after the same two exports, with',
    '',
    `  ${approve}`,
  );
}
