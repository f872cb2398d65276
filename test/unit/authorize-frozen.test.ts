// What owners stopped by a change of their workspace, nobody signs.
import type { Envelope } from '../../protocol/records/envelope.ts';
import { openWorkspace } from '../../protocol/records/workspace.ts';
import type { Change } from '../../protocol/records/workspace-change.ts';
import { proposed } from '../support/changes.ts';
import { approve, idOf, keyRequest, networkId, signRequest, type World } from '../support/fixture.ts';
import { authorised, judge, key, payload, refused, world } from '../support/judged-world.ts';

/** The world after a change that alice proposes and bob approves, and its log. */
function changed(change: Change): { after: World; log: readonly Envelope[] } {
  const entry = proposed(world, change);
  const log = [world.genesis, entry, approve(world, idOf(entry), 'bob')];
  return { after: { ...world, workspace: openWorkspace(log, networkId) }, log };
}

function judgedAfter(change: Change, asked: (after: World) => Envelope): ReturnType<typeof judge> {
  const { after, log } = changed(change);
  const request = asked(after);
  return judge({ log: [...log], request, decisions: [approve(after, idOf(request), 'bob')] });
}

const signature = (after: World): Envelope => signRequest(after, [{ keyId: key.id, payload }]);

describe('authorize, after a change of the workspace', () => {
  it('refuses everything while the workspace is frozen', () => {
    refused(judgedAfter({ kind: 'freeze' }, signature), 'frozen', true, /is frozen by its owners/);
    refused(
      judgedAfter({ kind: 'freeze' }, (after) => keyRequest(after)),
      'frozen',
      true,
    );
  });

  it('refuses a disabled key, and no other', () => {
    const keyId = key.id;
    refused(
      judgedAfter({ kind: 'key.disable', keyId }, signature),
      'key_disabled',
      true,
      /is disabled by the owners/,
    );
    authorised(judgedAfter({ kind: 'key.disable', keyId: `0x${'77'.repeat(32)}` }, signature));
  });
});
