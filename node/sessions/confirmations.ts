// The third round of key generation. Each party confirms its durably stored share with its signed key result, once per
// key request, ever; the equal results of all n parties are the key's certificate and make it active. Whoever holds
// confirmations relays them: it does not matter from whom one comes.
import { utf8ToBytes } from '@noble/hashes/utils.js';
import { type Evidence, maxRequestLifetime } from '../../protocol/authorize.ts';
import { type Hex, toHex } from '../../protocol/hex.ts';
import { verifyCertificate } from '../../protocol/keys/certificate.ts';
import { keyTypes } from '../../protocol/keys/key-type.ts';
import {
  createRecord,
  type Envelope,
  envelopeId,
  envelopeSchema,
  readContent,
  verifyRecord,
} from '../../protocol/records/envelope.ts';
import { type KeyResult, type PartyResult, partyResult } from '../../protocol/records/party-result.ts';
import type { Origin } from '../../protocol/records/request.ts';
import type { KeyShare } from '../mpc/dkg/key-share.ts';
import { signedByPartyAlone } from '../work/evidence.ts';
import type { SessionContext } from './context.ts';
import { SessionError } from './error.ts';
import { type Body, encodeFrame, type MessageType, parseJson } from './wire.ts';
import { sameEpoch } from '../../protocol/records/fields.ts';

export interface Confirmation {
  readonly party: string;
  readonly envelope: Envelope;
}

/** The id of a record that nobody has looked at yet; undefined when its bytes are none. */
function idOf(envelope: Envelope, networkId: string): Hex | undefined {
  try {
    return envelopeId(envelope, networkId);
  } catch {
    return undefined;
  }
}

type Send = <Type extends MessageType>(party: string, type: Type, content: Body<Type>) => void;

export class Confirmations {
  readonly #context: SessionContext;
  readonly #send: Send;
  /** Of keys that are pending here: confirmations by party. */
  readonly #held = new Map<Hex, Map<string, Envelope>>();
  /** What cancels the next question about a pending key. */
  readonly #timers = new Map<Hex, () => void>();
  #stopped = false;

  constructor(context: SessionContext, send: Send) {
    this.#context = context;
    this.#send = send;
  }

  /** Content of a result that was verified, or made here. */
  contentOf(envelope: Envelope): PartyResult {
    return readContent(partyResult, envelope, this.#context.networkId).content;
  }

  /** Stores the share as pending together with this party's one confirmation, then returns the confirmation. */
  async make(requestId: Hex, share: KeyShare, keyRequest: Envelope): Promise<Envelope> {
    const result: KeyResult = {
      kind: 'key',
      keyType: share.keyType,
      publicKey: toHex(keyTypes[share.keyType].publicKeyOfPoint(share.publicKey)),
      chainCode: toHex(share.chainCode),
      commitments: share.commitments.map(toHex),
      transcript: toHex(share.transcriptHash),
    };
    const confirmation = this.#sign(requestId, result);
    const { keyring, store } = this.#context;
    const { id: keyringId, epoch } = keyring;
    await store.putPendingShare({ requestId, keyringId, epoch, share, confirmation, keyRequest });
    return confirmation;
  }

  /** As `make`, of a derived key: there is nothing secret to store. */
  async makeDerived(
    requestId: Hex,
    origin: Origin,
    result: KeyResult,
    keyRequest: Envelope,
  ): Promise<Envelope> {
    const confirmation = this.#sign(requestId, result);
    const { keyring, store } = this.#context;
    const { id: keyringId, epoch } = keyring;
    await store.putPendingDerived({ requestId, keyringId, epoch, origin, confirmation, keyRequest });
    return confirmation;
  }

  #sign(subject: Hex, result: KeyResult): Envelope {
    const { networkId, keyring, signer } = this.#context;
    const { id: keyringId, epoch } = keyring;
    const content = { networkId, subject, keyringId, epoch, party: signer.credential, result };
    return createRecord(partyResult, content, signer);
  }

  /** Tells everybody this party's confirmation, and takes those that came before it. */
  async announce(requestId: Hex, earlier: readonly Envelope[]): Promise<void> {
    const { keyring, signer, transport, networkId } = this.#context;
    await this.collect(
      requestId,
      earlier.map((envelope) => ({ party: this.contentOf(envelope).party, envelope })),
    );
    const content = await this.#content(requestId, false);
    for (const { key } of keyring.roster.parties)
      if (key !== signer.credential) this.#send(key, 'confirm', content);
    transport.publish(encodeFrame('confirm', content, { networkId, keyringId: keyring.id }, signer));
  }

  /** Tells one party all confirmations this one has; `want` asks for its own in return. */
  async tell(party: string, requestId: Hex, want: boolean): Promise<void> {
    this.#send(party, 'confirm', await this.#content(requestId, want));
  }

  /**
   * While a key is pending here, the others are asked for what is missing: soon, then ever less often, until its request
   * must have ended. A confirmation that one party keeps back comes from any other that has it.
   */
  askWhilePending(requestId: Hex): void {
    if (this.#stopped) return;
    const { clock, timing } = this.#context;
    this.#askLater(requestId, timing.proposalDeadline, clock.now() + maxRequestLifetime);
  }

  #askLater(requestId: Hex, ms: number, end: number): void {
    const { clock, timing, log } = this.#context;
    const ask = async (): Promise<void> => {
      const { store, transport } = this.#context;
      if (clock.now() >= end || (await store.keyOf(requestId))) return;
      for (const party of transport.up()) await this.tell(party, requestId, true);
      if (!this.#stopped) this.#askLater(requestId, Math.min(ms * 2, timing.maxProposalDeadline), end);
    };
    this.#timers.get(requestId)?.();
    const cancel = clock.after(ms, () => {
      this.#timers.delete(requestId);
      ask().catch((error: unknown) =>
        log('session.ask_failed', { requestId, message: (error as Error).message }),
      );
    });
    this.#timers.set(requestId, cancel);
  }

  /** Asks for nothing any more. */
  stop(): void {
    this.#stopped = true;
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
  }

  /** Asks a party that came up for confirmations that are missing here. */
  async ask(party: string): Promise<void> {
    for (const requestId of await this.#context.store.pendingKeys()) await this.tell(party, requestId, true);
  }

  async #content(requestId: Hex, want: boolean): Promise<Body<'confirm'>> {
    const active = await this.#context.store.keyOf(requestId);
    const own = await this.#context.store.confirmationOf(requestId);
    const held = [...(this.#held.get(requestId)?.values() ?? [])];
    const mine = own ? [own, ...held.filter((envelope) => envelope.bytes !== own.bytes)] : held;
    const confirmations = (active?.certificate ?? mine).map((envelope) =>
      utf8ToBytes(JSON.stringify(envelope)),
    );
    return { requestId, confirmations, want };
  }

  /** The verified confirmations in a message. Throws SessionError or RecordError when one is none for this request. */
  open({ requestId, confirmations }: Body<'confirm'>): readonly Confirmation[] {
    const { networkId, keyring } = this.#context;
    return confirmations.map((bytes) => {
      const parsed = envelopeSchema.safeParse(parseJson(bytes));
      if (!parsed.success) throw new SessionError('malformed_message', 'a confirmation that is no record');
      const envelope = signedByPartyAlone(parsed.data, networkId);
      const { content } = verifyRecord(partyResult, envelope, networkId);
      const { subject, keyringId, epoch, party, result } = content;
      if (
        subject !== requestId ||
        keyringId !== keyring.id ||
        !sameEpoch(epoch, keyring.epoch) ||
        result.kind !== 'key'
      ) {
        throw new SessionError('wrong_keyring', `a confirmation that is not about key ${requestId}`);
      }
      if (!keyring.roster.parties.some((member) => member.key === party)) {
        throw new SessionError('stranger', `${party} confirms, but is not in the roster`);
      }
      return { party, envelope };
    });
  }

  /** Takes confirmations of a key whose share is here; with those of all parties the key becomes active. */
  async collect(requestId: Hex, received: readonly Confirmation[]): Promise<void> {
    const { store, keyring, networkId, log } = this.#context;
    const own = await store.confirmationOf(requestId);
    if (own === undefined || (await store.keyOf(requestId))) return;
    const held = this.#held.get(requestId) ?? new Map<string, Envelope>();
    this.#held.set(requestId, held);
    const mine = JSON.stringify(this.contentOf(own).result);
    for (const { party, envelope } of [
      { party: this.#context.signer.credential, envelope: own },
      ...received,
    ]) {
      if (JSON.stringify(this.contentOf(envelope).result) !== mine) {
        const resultId = envelopeId(envelope, networkId);
        // Which of the two is wrong, if any is, does not follow from it: nobody is called guilty.
        log('session.incident', { requestId, code: 'unequal_confirmation', party, resultId });
        continue;
      }
      if (!held.has(party)) held.set(party, envelope);
    }
    if (held.size < keyring.roster.parties.length) return;
    const certificate = [...held.values()];
    verifyCertificate(certificate, keyring, requestId, networkId);
    await store.activateKey(requestId, certificate);
    this.#held.delete(requestId);
    this.#timers.get(requestId)?.();
    this.#timers.delete(requestId);
    log('key.active', { requestId, keyId: requestId, parties: certificate.length });
  }

  /** Certificates that came with a request: a key that is still pending here may be complete elsewhere. */
  async offerCertificates(keys: Evidence['keys']): Promise<void> {
    const { networkId, store, log } = this.#context;
    for (const { request, certificate } of keys) {
      const keyId = idOf(request, networkId);
      if (keyId === undefined || !(await store.confirmationOf(keyId)) || (await store.keyOf(keyId))) continue;
      try {
        const confirmations = certificate.map((envelope) => utf8ToBytes(JSON.stringify(envelope)));
        await this.collect(keyId, this.open({ requestId: keyId, confirmations, want: false }));
      } catch (error) {
        log('session.incident', {
          requestId: keyId,
          code: 'bad_certificate',
          message: (error as Error).message,
        });
      }
    }
  }
}
