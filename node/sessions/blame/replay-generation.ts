// A dealer's messages of one key generation, put to the checks of their receivers. What a dealer sends differs between
// receivers in one place only, the dealt share, and names its receiver: two reveals for two receivers are no
// equivocation, and a share is wrong at the index it was dealt to or not at all.
import { partyIndex } from '../../../protocol/records/keyring-roster.ts';
import { Abort } from '../../mpc/abort.ts';
import { checkDealing } from '../../mpc/dkg/dealing.ts';
import { checkCommit, checkReveal, decodeReveal, type Shape } from '../../mpc/dkg/messages.ts';
import { contextHash } from '../../mpc/dkg/transcript.ts';
import { groupOf } from '../../mpc/group.ts';
import { MessageKind, openMessage } from '../../mpc/rounds.ts';
import { same, type Started } from '../attempt.ts';
import { keyDigest } from '../purpose.ts';
import type { BlameBundle } from './bundle.ts';
import { BlameError } from './error.ts';
import type { Accusation } from './replay.ts';

const kinds = [MessageKind.dkgCommit, MessageKind.dkgReveal];

/** Throws Abort naming the dealer for what its one or two messages prove, BlameError when that is nothing. */
export function replayGeneration(
  { keyring, accused }: Accusation,
  started: Started,
  { keyType }: NonNullable<BlameBundle['generating']>,
  messages: readonly Uint8Array[],
): never {
  const { sid, propose } = started;
  const { roster, epoch } = keyring;
  if (!same(keyDigest(propose.requestId, keyType), propose.digests[0] as Uint8Array))
    throw new BlameError('bad_context', `the attempt is not about a key of type ${keyType}`);
  const parties = roster.parties.map((_, index) => index + 1);
  const { threshold } = roster;
  const shape: Shape = { group: groupOf(keyType), threshold, parties: parties.length };
  const dealer = partyIndex(roster, accused);
  const opened = messages.map((bytes) => {
    const message = openMessage(kinds, sid, dealer, bytes);
    if (message === undefined)
      throw new BlameError('wrong_session', 'a message with another session id in it');
    if (message.round === 0) checkCommit(dealer, message.body);
    else checkReveal(shape, dealer, message.body);
    return { ...message, bytes };
  });
  const [first, second] = opened;
  if (first === undefined || second === undefined)
    throw new BlameError('not_proven', 'nothing is wrong with this message by itself');
  if (first.round === second.round) {
    if (same(first.bytes, second.bytes)) throw new BlameError('not_proven', 'the same message twice');
    const receivers = opened.map(({ round, body }) =>
      round === 0 ? undefined : decodeReveal(shape, body).receiver,
    );
    if (receivers[0] !== receivers[1])
      throw new BlameError('not_proven', 'two reveals for two receivers, as there must be');
    throw new Abort(
      'equivocation',
      `party ${dealer} sent two different messages for round ${first.round + 1}`,
      {
        culprit: dealer,
      },
    );
  }
  if (first.round !== 0) throw new BlameError('malformed', 'a reveal before the commitment that it opens');
  const reveal = decodeReveal(shape, second.body);
  const context = contextHash({ purpose: 'generate', keyType, sid, epoch, threshold, parties });
  // Before the share at its receiver's index: an index that is nobody's was chosen by the dealer, but dealt to no one.
  if (!parties.includes(reveal.receiver) || reveal.receiver === dealer)
    throw new BlameError('not_proven', `a reveal for ${reveal.receiver}, who is no other party`);
  checkDealing(shape, context, dealer, first.body, reveal);
  throw new BlameError('not_proven', 'the share lies on the committed polynomial: nothing is wrong with it');
}
