// Everything that `countersign doctor` can find wrong: a stable code, the check it belongs to, how much it matters, and what
// to do about it. docs/operators.md explains each.

export const checks = [
  'version',
  'config',
  'permissions',
  'passphrase',
  'disk',
  'process',
  'port',
  'clock',
  'memory',
  'roster',
  'grant',
  'peer',
  'node',
  'coordinator',
] as const;
export type Check = (typeof checks)[number];
export type Level = 'ok' | 'warning' | 'failure';

interface Entry {
  readonly check: Check;
  readonly level: Exclude<Level, 'ok'>;
  readonly remedy: string;
}

const failure = (check: Check, remedy: string): Entry => ({ check, level: 'failure', remedy });
const warning = (check: Check, remedy: string): Entry => ({ check, level: 'warning', remedy });

const upgradeTogether = 'run one version everywhere: upgrade and restart the older one';
const setClock = 'let NTP set the clock that is wrong: chronyc tracking, or timedatectl status';
const newGrant = 'let the node make a new one: countersign node allow-connector';

export const catalog = {
  runtime_unsupported: failure('version', 'install Node.js 20.19, 22.12 or later'),
  daemon_outdated: warning('version', 'restart the daemon, so that it runs what is installed'),
  coordinator_version: warning('version', upgradeTogether),

  config_invalid: failure('config', 'correct it: configs/ has commented examples'),
  folder_damaged: failure('config', 'restore the files of one folder from its backup'),
  shares_lost: failure('config', 'restore the whole folder from its backup: no share opens without it'),

  folder_missing: failure('permissions', 'make it with init, or name the folder that is meant'),
  not_accessible: failure(
    'permissions',
    "run this as the daemon's own user, or give that user its folder back",
  ),
  folder_open: failure('permissions', 'chmod 700 it'),
  file_open: failure('permissions', 'chmod 600 it'),
  file_writable: failure('permissions', 'chmod go-w it'),
  wrong_owner: failure('permissions', "chown it to the daemon's user"),

  passphrase_missing: failure('passphrase', 'name the file that holds the passphrase'),
  passphrase_open: failure(
    'passphrase',
    'chmod 600 it, and change the passphrase if others could have read it',
  ),
  passphrase_wrong: failure('passphrase', 'name the passphrase file of this folder'),

  disk_full: failure('disk', 'make room: nothing can be stored durably'),
  disk_low: warning('disk', 'make room before it is full'),
  disk_unwritable: failure('disk', "mount it for writing, and let the daemon's user write"),
  disk_unsynced: failure(
    'disk',
    'use a file system on which fsync works: what is stored would not survive a crash',
  ),
  disk_network: warning(
    'disk',
    'use a disk of this machine: locks and fsync of network file systems are not to be trusted',
  ),
  disk_volatile: warning(
    'disk',
    'use a disk: this one is empty after a restart, and shares are gone with it',
  ),

  daemon_stopped: warning('process', 'start it'),
  daemon_silent: failure('process', 'look at its log, and restart it'),
  control_unreachable: failure('process', "run this as the node's own user, with its XDG_RUNTIME_DIR"),
  paused: warning('process', 'resume it when the reason is gone: countersign node resume'),
  blame_recorded: warning(
    'process',
    'read docs/blame.md, and talk to the operator of the party that is named',
  ),

  port_taken: failure('port', 'stop the other process, or configure another port'),
  port_unavailable: failure('port', 'configure an address of this machine and a port that this user may use'),
  listen_plain: warning('port', 'listen at 127.0.0.1 behind a reverse proxy with TLS'),

  clock_wrong: failure('clock', setClock),
  clock_differs: warning('clock', setClock),
  clock_peer_differs: warning('clock', 'tell the operator of that peer'),
  clock_unchecked: warning('clock', 'nobody answered with a time: run this again when somebody does'),

  memory_swapped: failure(
    'memory',
    'turn swap off or set MemorySwapMax=0, restart the daemon, and wipe the swap device',
  ),
  swap_on: warning('memory', 'turn swap off, or set MemorySwapMax=0 in its unit'),
  core_dumps: warning(
    'memory',
    'set LimitCORE=0 in its unit, or ulimit -c 0: a dump would hold shares and nonces',
  ),
  memory_unchecked: warning(
    'memory',
    'see to it that swap and core dumps are off: this system does not tell',
  ),

  roster_missing: failure('roster', 'join the keyring: countersign node join'),
  roster_incomplete: failure('roster', 'join again with the roster that all parties have signed'),
  roster_invalid: failure(
    'roster',
    'restore roster.json, or join again with the roster that all parties have signed',
  ),
  roster_foreign: failure('roster', 'restore the roster.json of this node'),

  grant_missing: failure('grant', newGrant),
  grant_invalid: failure('grant', newGrant),
  grant_expired: failure('grant', newGrant),
  grant_expires: warning('grant', newGrant),
  no_connector: warning('grant', 'allow a connector: countersign node allow-connector'),

  peer_unreachable: warning(
    'peer',
    'ask its operator whether it runs, and whether a firewall is between you',
  ),
  peer_wrong_identity: failure(
    'peer',
    'do not rely on that address: ask its operator for the right one, set it under peers:',
  ),
  peer_one_way: warning(
    'peer',
    'correct its address under peers:, or open the way to it: only it can connect now',
  ),
  peer_no_channel: warning(
    'peer',
    'if one of the two just started, look again in half a minute; else compare keyring and versions with its operator',
  ),
  peer_no_address: warning('peer', 'set its address under peers: in config.yaml'),
  peer_went_back: warning('peer', 'tell its operator: it runs on an old copy of its folder'),
  peers_too_few: failure('peer', 'nothing can be signed until more parties are there'),
  announced_unreachable: warning(
    'peer',
    'open the way to this node for the other parties, or tell them an address that works',
  ),

  node_unreachable: failure('node', 'start the node, or correct node: in the configuration'),
  node_wrong_identity: failure(
    'node',
    'correct node: in the configuration; countersign node status prints the address',
  ),
  node_not_admitted: failure('node', 'let the node admit it: countersign node allow-connector'),
  node_differs: failure('node', 'give the connector the address and the grant of one node'),

  coordinator_unreachable: failure('coordinator', 'check the address, and ask its operator whether it runs'),
  coordinator_wrong_network: failure('coordinator', 'use the coordinator of this network'),
  coordinator_insecure: warning('coordinator', 'use its https address'),
  keyring_unregistered: failure('coordinator', 'let an admin register it: countersign keyring create'),
} as const satisfies Readonly<Record<string, Entry>>;
export type Code = keyof typeof catalog;
