// The attacks that the protocols must withstand, by the names under which test/mutations.json lists their defences:
// "attack: <name>". One for every row of the threat model's attack table.

/** Rows whose protocol exists: --check wants at least one entry for each. */
export const attackRows: readonly string[] = [
  'equivocation in key generation',
  'rogue key, replayed proof',
  'raised threshold',
  'index 0, q, 1+q, duplicate',
  'two certificates for one request',
  'session or transcript replay',
  'leader shows different STARTs',
  'nonce or presignature reuse',
  'digest chosen for a known R',
  'split view of the message',
  "stranger's commitment",
  'malformed share',
  'torsion point, degenerate public key',
  'hostile roster',
  'known-discrete-log base OT',
  'theta not binding',
  'inconsistent inputs',
  'ambiguous hashing',
];

/** Rows of protocols that do not exist yet; an entry for one of them means that it now does, and belongs above. */
export const laterAttackRows: readonly string[] = [
  // Refresh and reshare.
  'key lost in refresh',
  'reshare changes the key',
  // The gate of DKLs23's bans.
  'Delta leaked by many tries',
];
