// Findings of the doctor about the machine that runs the tests: neither wanted nor forbidden in any of them.
export const ofThisMachine: ReadonlySet<string> = new Set([
  'core_dumps',
  'swap_on',
  'memory_swapped',
  'memory_unchecked',
  'disk_low',
  'disk_volatile',
  'disk_network',
]);
