// `rpc.discover` of the built program: its examples are beside it.
import assert from 'node:assert/strict';
import { discover as discoverFromSource } from '../../coordinator/rpc/discover.ts';

describe('the built coordinator', () => {
  it('describes its interface as its sources do', async () => {
    const built = new URL('../../dist/coordinator/rpc/discover.js', import.meta.url);
    const { discover } = (await import(built.href)) as { discover: typeof discoverFromSource };
    const document = await discover('1.2.3');
    assert.deepEqual(document, await discoverFromSource('1.2.3'));
    assert.equal(await discover('1.2.3'), document);
    const [first] = (document.methods as readonly { examples?: readonly unknown[] }[]).slice(1);
    assert.equal(first?.examples?.length, 1);
  });
});
