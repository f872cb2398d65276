// Every crash point of coordinator, nodes and connectors, by when it is passed. docs/crashes.md says what each is.
// Whoever adds a durable write adds its points here, and a test that kills a process at each.

const around = (name: string): string[] => [`${name}:before`, `${name}:after`];
const aroundFile = (name: string): string[] => [`${name}:before`, `${name}:beside`, `${name}:after`];

/** Passed at every start. */
export const startPoints = [
  ...around('coordinator.database'),
  ...aroundFile('coordinator.port'),
  ...aroundFile('coordinator.ready'),
  ...around('node.database'),
  ...around('node.boot'),
  ...aroundFile('node.boot-mark'),
  ...aroundFile('node.bound'),
  ...aroundFile('node.ready'),
  ...around('connector.lock'),
  ...aroundFile('connector.ready'),
];

/** Passed when a key is made; `node.head` and `node.epoch-key` with a keyring's and a workspace's first alone. */
export const keyPoints = [
  ...around('node.head'),
  ...aroundFile('node.epoch-key'),
  ...around('node.share.pending'),
  ...around('node.share.active'),
];

/** Passed when something is signed; most of them for a key too. */
export const signPoints = [
  ...around('coordinator.commit.request'),
  ...around('coordinator.commit.decision'),
  ...around('coordinator.commit.result'),
  ...around('node.job.stored'),
  ...around('node.job.started'),
  ...around('node.result'),
  ...around('node.results.acknowledged'),
  ...aroundFile('connector.cursor.events'),
  ...aroundFile('connector.cursor.results'),
];

/** Passed when a keyring or a workspace is registered. */
export const registrationPoints = [
  ...around('coordinator.commit.keyring'),
  ...around('coordinator.commit.workspace'),
];

/** Passed at the first start in a folder. */
export const firstStartPoints = [
  ...around('coordinator.schema'),
  ...around('node.schema'),
  ...aroundFile('node.storage-key'),
  ...around('node.network'),
];

/** Passed by what a network without much to do has no need of: killed in test/integration/crash-points-store.test.ts. */
export const rarePoints = [
  ...around('coordinator.commit.change'),
  ...around('coordinator.commit.change-decision'),
  ...around('coordinator.commit.import'),
  ...around('coordinator.commit.change-expiry'),
  ...around('coordinator.commit.expiry'),
  ...around('coordinator.commit.settled'),
  ...around('coordinator.commit.time'),
  ...around('coordinator.commit.webhook'),
  ...around('coordinator.trim'),
  ...around('node.epoch.erased'),
  'node.epoch-key.erased:before',
  'node.epoch-key.erased:overwritten',
  'node.epoch-key.erased:after',
  ...around('node.key.derived'),
  ...around('node.pause'),
  ...around('node.fork'),
  ...around('node.freeze'),
  ...around('node.held'),
  ...around('node.log.charged'),
  ...around('node.log.claimed'),
  ...around('node.log.forgotten'),
  ...around('node.refusal.passing'),
  ...around('node.debits.noted'),
  ...around('node.debits.pruned'),
  ...around('node.peer.boot'),
  ...aroundFile('node.blame'),
  ...aroundFile('node.pair-setup'),
  'node.pair-setup.erased:before',
  'node.pair-setup.erased:overwritten',
  'node.pair-setup.erased:after',
  ...around('node.pair.setup'),
  ...around('node.pair.checking'),
  ...around('node.pair.checked'),
  ...around('node.pair.destroyed'),
  ...around('node.pair.banned'),
  ...around('node.pair.lifted'),
  ...around('node.pair.epoch'),
];

/** Passed by an operator's commands. */
export const commandPoints = [
  ...aroundFile('identity'),
  ...aroundFile('handed-out'),
  ...aroundFile('approved-changes'),
  ...aroundFile('node.roster'),
  ...aroundFile('node.grant'),
  ...aroundFile('private-file'),
];
