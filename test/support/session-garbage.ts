// Session frames of a hostile party, with something wrong in each: whatever it says it signs with its own key, after it was
// altered, as nothing can keep it from doing.
import { encode } from 'cborg';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import type { Evidence } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { Signer } from '../../protocol/records/envelope.ts';
import { taggedHash, utf8 } from '../../node/mpc/hash.ts';
import type { MessageType } from '../../node/sessions/wire.ts';
import { createWorld, networkId, resultBy, signerOf, type World } from './fixture.ts';
import { brokenJson, brokenMap, type Choices, otherValue, type Plain } from './frame-garbage.ts';

type Fields = Readonly<Record<string, Plain | undefined>>;

const signed: ReadonlySet<MessageType> = new Set(['propose', 'accept', 'start', 'round']);
const types: readonly MessageType[] = [
  'propose',
  'accept',
  'start',
  'round',
  'done',
  'wait',
  'decline',
  'evidence',
  'want',
  'abort',
  'confirm',
  'reached',
];

export interface SessionGarbage {
  readonly bytes: Uint8Array;
  readonly type: MessageType;
  /** Its form is wrong, so that it must be refused as `malformed_message`; else it may also be left alone. */
  readonly malformed: boolean;
}

export class HostileParty {
  readonly #choices: Choices;
  readonly #world: World;
  readonly #signer: Signer;
  readonly #requests: readonly { id: Hex; full: Evidence }[];

  /** `requests`: known to the victims, open or done. */
  constructor(
    choices: Choices,
    world: World,
    signer: Signer,
    requests: readonly { id: Hex; full: Evidence }[],
  ) {
    this.#choices = choices;
    this.#world = world;
    this.#signer = signer;
    this.#requests = requests;
  }

  /** The frame of a body as it is. */
  frame(type: MessageType, body: Uint8Array, signer = this.#signer): Uint8Array {
    return encode({ t: type, b: body, ...(signed.has(type) && { s: this.#sign(type, body, signer) }) });
  }

  #sign(type: MessageType, body: Uint8Array, signer: Signer): Uint8Array {
    const { id } = this.#world.keyring;
    return signer.sign(
      taggedHash('countersign/v1/session-message', utf8(networkId), utf8(id), utf8(type), body),
    );
  }

  /** What an honest party might say. */
  content(type: MessageType): Fields {
    const { keyring, workspace } = this.#world;
    const choices = this.#choices;
    const { id: requestId, full } = choices.pick(this.#requests);
    const attemptId = choices.hex(32);
    const logHead = { ...workspace.head };
    const propose = {
      purpose: choices.pick(['sign', 'generate']),
      requestId,
      keyringId: keyring.id,
      epoch: { ...keyring.epoch },
      leader: this.#signer.credential,
      boot: choices.hex(16),
      counter: 1 + choices.below(1000),
      digests: [choices.bytes(32)],
      logHead,
      commitment: choices.bytes(32),
      order: keyring.roster.parties.map(({ key }) => key),
    };
    const accept = {
      attemptId,
      party: this.#signer.credential,
      entropy: choices.bytes(32),
      nonces: [{ hiding: choices.bytes(32), binding: choices.bytes(32) }],
      logHead,
    };
    switch (type) {
      case 'propose':
        return propose;
      case 'accept':
        return accept;
      case 'start': {
        const frame = this.frame('accept', encode(accept));
        return {
          propose: this.frame('propose', encode(propose)),
          accepts: [frame, frame],
          salt: choices.bytes(32),
        };
      }
      case 'round':
        return { attemptId, sid: choices.bytes(32), message: choices.someBytes() };
      case 'done':
        return { requestId, signatures: [choices.bytes(64)] };
      case 'wait':
        return { attemptId, requestId };
      case 'decline':
        return {
          attemptId,
          requestId,
          reason: choices.pick(['refused', 'digests', 'log_head', 'no_share', 'busy']),
        };
      case 'evidence':
        return { requestId, evidence: utf8ToBytes(JSON.stringify(full)) };
      case 'want':
        return { requestId };
      case 'want_log':
        return { workspaceId: workspace.id };
      case 'heads':
        return {
          heads: [{ workspaceId: workspace.id, head: { seq: 1, id: `0x${choices.hex(32)}` }, resolved: 0 }],
        };
      case 'log':
        return { workspaceId: workspace.id, log: utf8ToBytes(JSON.stringify(full.log)) };
      case 'decisions':
        return { requestId, decisions: utf8ToBytes(JSON.stringify(full.decisions)) };
      case 'abort':
        return {
          attemptId,
          requestId,
          code: 'round_timeout',
          awaited: [this.#signer.credential],
          culprit: choices.pick(keyring.roster.parties).key,
        };
      case 'exhibit':
        return {
          attemptId,
          requestId,
          commitments: [{ party: this.#signer.credential, frame: choices.bytes(200) }],
        };
      case 'confirm': {
        const result = { kind: 'refusal' as const, code: 'expired' as const, reason: 'none' };
        const record = resultBy(this.#world, this.#signer, requestId, result);
        return {
          requestId,
          confirmations: [utf8ToBytes(JSON.stringify(record))],
          want: choices.below(2) === 0,
        };
      }
      case 'reached':
        return {
          attemptId,
          requestId,
          point: choices.pick(['accepted', 'started', 'signed', 'confirmed', 'active']),
        };
    }
  }

  next(): SessionGarbage {
    const choices = this.#choices;
    const type = choices.pick(types);
    const content = this.content(type);
    switch (choices.below(10)) {
      case 0:
        return { type, bytes: choices.someBytes(), malformed: true };
      case 1: {
        const body = encode(content);
        const frame = { t: type, b: body, s: this.#sign(type, body, this.#signer) };
        return {
          type,
          bytes: brokenMap(choices, signed.has(type) ? frame : { t: type, b: body }),
          malformed: true,
        };
      }
      case 2:
      case 3:
      case 4:
        return {
          type,
          bytes: this.frame(type, brokenMap(choices, required(type, content))),
          malformed: true,
        };
      case 5:
        return {
          type,
          bytes: this.frame(
            type,
            encode(content),
            choices.pick([signerOf('outsider'), ...this.#world.parties]),
          ),
          malformed: false,
        };
      case 6: {
        const { id, full } = choices.pick(this.#requests);
        const evidence = choices.below(2) === 0 ? this.#otherEvidence(full) : brokenJson(choices, full);
        const body = encode({ requestId: id, evidence });
        return { type: 'evidence', bytes: this.frame('evidence', body), malformed: false };
      }
      default: {
        const name = choices.pick(Object.keys(content));
        const altered = { ...content, [name]: otherValue(choices, content[name]) };
        return { type, bytes: this.frame(type, encode(altered)), malformed: false };
      }
    }
  }

  /** Evidence of the right form that says something else. */
  #otherEvidence(full: Evidence): Uint8Array {
    const choices = this.#choices;
    const stranger = createdElsewhere();
    const changed = choices.pick<() => unknown>([
      () => ({ ...full, log: [stranger.genesis] }),
      () => ({ ...full, roster: stranger.keyring.envelope }),
      () => ({ ...full, keys: [] }),
      () => ({ ...full, decisions: [full.request, ...full.decisions] }),
      () => ({ ...full, log: [...full.log, ...full.log] }),
      () => ({ ...full, keys: full.keys.map(({ request }) => ({ request, certificate: [] })) }),
      () => otherValue(choices, full as unknown as Plain),
      () => ({ ...full, [`x${choices.hex(2)}`]: 1 }),
    ])();
    return utf8ToBytes(JSON.stringify(changed));
  }
}

/** Without what may be left out: leaving it out would be nothing wrong. */
function required(type: MessageType, content: Fields): Fields {
  if (type !== 'abort') return content;
  return Object.fromEntries(Object.entries(content).filter(([name]) => name !== 'culprit'));
}

let elsewhere: World | undefined;
function createdElsewhere(): World {
  elsewhere ??= createWorld({ name: 'elsewhere' });
  return elsewhere;
}
