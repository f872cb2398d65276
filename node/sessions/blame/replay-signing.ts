// A signer's messages of one attempt to sign, put to the checks of the other members. Which share is right follows from
// the START (the set and everybody's signed commitments), the key's certificate (which the accused has signed itself), and
// the message, which the digest in the accused's own attempt is bound to.
import { verifyKey } from '../../../protocol/authorize.ts';
import { fromHex, type Hex } from '../../../protocol/hex.ts';
import { readContent } from '../../../protocol/records/envelope.ts';
import { type Keyring, partyIndex } from '../../../protocol/records/keyring-roster.ts';
import { partyResult } from '../../../protocol/records/party-result.ts';
import { Abort } from '../../mpc/abort.ts';
import { loadPublicKeyPackage, type PublicKeyPackage } from '../../mpc/frost/key-package.ts';
import type { NonceCommitments } from '../../mpc/frost/nonces.ts';
import { checkNonceCommitment, checkShareBody, isShareValid, splitShares } from '../../mpc/frost/shares.ts';
import { MessageKind, openMessage } from '../../mpc/rounds.ts';
import { same, type Started } from '../attempt.ts';
import { payloadDigest } from '../purpose.ts';
import type { BlameBundle } from './bundle.ts';
import { BlameError } from './error.ts';
import type { Accusation } from './replay.ts';

type Signing = NonNullable<BlameBundle['signing']>;

/** Every member's commitments for one item, by index. Their form is not checked. */
export function commitmentsOf({ accepts }: Started, keyring: Keyring, item: number): NonceCommitments {
  return new Map(
    [...accepts].map(([party, { nonces }]) => [partyIndex(keyring.roster, party), nonces[item]!]),
  );
}

/** The public half of a key as it signs, from its certificate. Throws Error when that does not prove it. */
export function publicKeyOf(
  { key, parent, tweak }: Pick<Signing, 'key' | 'parent' | 'tweak'>,
  keyring: Keyring,
  networkId: string,
): PublicKeyPackage & { id: Hex } {
  const { id, keyType, origin } = verifyKey(key, keyring, networkId, parent ? [parent] : []);
  const parties = keyring.roster.parties.length;
  if (key.certificate.length !== parties || (parent && parent.certificate.length !== parties))
    throw new TypeError('a certificate holds one key result of each party');
  if (parent !== undefined && origin === undefined) throw new TypeError('the key has no parent');
  const { result } = readContent(partyResult, key.certificate[0]!, networkId).content;
  if (result.kind !== 'key') throw new TypeError('a certificate holds key results');
  const commitments = result.commitments.map(fromHex);
  const generated = {
    keyType,
    publicKey: commitments[0]!,
    commitments,
    threshold: keyring.roster.threshold,
    parties: keyring.roster.parties.map((_, index) => index + 1),
  };
  const known = loadPublicKeyPackage(generated, tweak && fromHex(tweak));
  return { ...known, id };
}

/** The item's key, once key and message are proven to be what the attempt is about. */
function keyOf({ keyring, networkId }: Accusation, { propose }: Started, signing: Signing) {
  if (propose.purpose !== 'sign') throw new BlameError('malformed', 'a key beside an attempt at a new one');
  let key: ReturnType<typeof publicKeyOf>;
  try {
    key = publicKeyOf(signing, keyring, networkId);
  } catch (error) {
    throw new BlameError('bad_context', `the key is not proven: ${(error as Error).message}`, {
      cause: error,
    });
  }
  const digest = propose.digests[signing.item];
  const { message, tweak } = signing;
  const expected = payloadDigest(key.id, fromHex(message as Hex), tweak && fromHex(tweak));
  if (digest === undefined || !same(digest, expected))
    throw new BlameError(
      'bad_context',
      `item ${signing.item} of the attempt is not this message under this key`,
    );
  return key;
}

/** Throws Abort naming the accused when one of its own nonce commitments is no valid point, BlameError otherwise. */
export function replayNonces(accusation: Accusation, started: Started, signing: Signing): never {
  const { keyring, accused } = accusation;
  const { group } = keyOf(accusation, started, signing).suite;
  const accept = started.accepts.get(accused);
  if (accept === undefined) throw new BlameError('not_proven', `${accused} is not in the set of this START`);
  for (const [item, commitment] of accept.nonces.entries())
    checkNonceCommitment(group, item, partyIndex(keyring.roster, accused), commitment);
  throw new BlameError('not_proven', 'the nonce commitments are valid points');
}

/** Throws Abort naming the signer for what its one or two messages prove, BlameError when that is nothing. */
export function replaySigning(
  accusation: Accusation,
  started: Started,
  signing: Signing,
  messages: readonly Uint8Array[],
): never {
  const { keyring, accused } = accusation;
  const key = keyOf(accusation, started, signing);
  const { group } = key.suite;
  const signer = partyIndex(keyring.roster, accused);
  const commitments = commitmentsOf(started, keyring, signing.item);
  // Nobody can sign, rightly or wrongly, where a member's commitment is no point: whoever's that is is at fault.
  for (const { nonces } of started.accepts.values())
    for (const [item, commitment] of nonces.entries()) {
      try {
        checkNonceCommitment(group, item, signer, commitment);
      } catch (cause) {
        throw new BlameError('not_proven', 'a nonce commitment in this START is no point: no share fits it', {
          cause,
        });
      }
    }
  // The keys of one request are of one type.
  const groups = started.propose.digests.map(() => group);
  const bodies = messages.map((bytes) => {
    const opened = openMessage([MessageKind.frostShare], started.sid, signer, bytes);
    if (opened === undefined)
      throw new BlameError('wrong_session', 'a message with another session id in it');
    checkShareBody(groups, signer, opened.body);
    return opened.body;
  });
  const [first, second] = bodies;
  if (first === undefined) throw new BlameError('not_proven', 'no message of the accused');
  if (second !== undefined) {
    if (same(first, second)) throw new BlameError('not_proven', 'the same message twice');
    throw new Abort('equivocation', `party ${signer} sent two different messages for round 1`, {
      culprit: signer,
    });
  }
  const share = splitShares(groups, first)[signing.item]!;
  if (isShareValid(key, commitments, fromHex(signing.message as Hex), signer, share))
    throw new BlameError('not_proven', `the share for item ${signing.item} is right`);
  throw new Abort('invalid_share', `bad signature share for item ${signing.item} from party ${signer}`, {
    culprit: signer,
  });
}
