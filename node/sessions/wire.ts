// What parties say to each other: one CBOR frame {t: type, b: body, s?: signature}, the body CBOR again. What is signed
// or hashed is always the received body, never a re-encoding. Everything here comes from a peer and is hostile until its
// schema, its signature and its place in an attempt were checked.
import { decode, encode } from 'cborg';
import * as z from 'zod';
import { publicKeyOfCredential, type Signer } from '../../protocol/records/envelope.ts';
import {
  ed25519CredentialSchema,
  epochSchema,
  logHeadSchema,
  recordIdSchema,
} from '../../protocol/records/fields.ts';
import { verify } from '../../protocol/keys/ed25519.ts';
import { taggedHash, utf8 } from '../mpc/hash.ts';
import { SessionError } from './error.ts';

const byteString = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'expected bytes');
const bytes = (length: number) =>
  byteString.refine((value) => value.length === length, `expected ${length} bytes`);
const bytesUpTo = (length: number) =>
  byteString.refine((value) => value.length <= length, `more than ${length} bytes`);
const point = bytesUpTo(33);
const attemptIdSchema = z.string().regex(/^[0-9a-f]{64}$/);

/** Parties of the largest roster, items of the largest request. */
const maxParties = 50;
const maxItems = 50;
/** Sets that a PROPOSE lists, and the most items of which presignatures are taken from a pool. */
export const maxListedSets = 4;
export const maxPooledItems = 4;

/** Parties by their place in the roster, from 1, ascending. */
const membersSchema = z.array(z.int().min(1).max(maxParties)).min(2).max(maxParties);
const maxAccept = 16 * 1024;
/** Heads of logs, and decisions, that one message tells of. */
export const maxTold = 20;
/** Bytes of the decisions in one message, as JSON. */
export const maxToldBytes = 128 * 1024;

/** Longest body of each type whose body is not short, in bytes: a long one is refused before it is read. */
const maxShortBody = 32 * 1024;
const maxBody: Partial<Record<string, number>> = {
  start: 850 * 1024,
  round: 257 * 1024,
  evidence: 901 * 1024,
  confirm: 850 * 1024,
  log: 901 * 1024,
  decisions: maxToldBytes + 1024,
};

const bodySchemas = {
  /** Leader -> all, signed: a new attempt at one request. */
  propose: z.strictObject({
    purpose: z.enum(['generate', 'sign', 'pair-setup', 'presign']),
    requestId: recordIdSchema,
    keyringId: recordIdSchema,
    epoch: epochSchema,
    leader: ed25519CredentialSchema,
    /** The leader's random boot id and its counter: no attempt id ever repeats. */
    boot: z.string().regex(/^[0-9a-f]{32}$/),
    counter: z.int().min(1).max(0xffffffff),
    /** One an item: what the leader's own copy of the request makes it sign. */
    digests: z.array(bytes(32)).min(1).max(maxItems),
    logHead: logHeadSchema,
    /** H(leader's own ACCEPT, salt): the leader's entropy is fixed before it sees anybody else's. */
    commitment: bytes(32),
    /** All parties, those the leader prefers first. */
    order: z.array(ed25519CredentialSchema).min(2).max(maxParties),
    /**
     * Signing by ECDSA only, there always: sets that could sign at once, preferred ones first, each with the id of a
     * presignature for every item. They are named before anybody's entropy is known.
     */
    sets: z
      .array(
        z.strictObject({
          members: membersSchema,
          presignatures: z.array(bytes(32)).min(1).max(maxPooledItems),
        }),
      )
      .max(maxListedSets)
      .optional(),
    /** A pair setup's two parties, or the set that presigns. */
    members: membersSchema.optional(),
    /** The key that presignatures are made for. */
    keyId: recordIdSchema.optional(),
  }),
  /** Party -> leader, signed: 32 fresh bytes, and for signing by FROST a nonce pair's commitments per item. */
  accept: z.strictObject({
    attemptId: attemptIdSchema,
    party: ed25519CredentialSchema,
    entropy: bytes(32),
    nonces: z.array(z.strictObject({ hiding: point, binding: point })).max(maxItems),
    logHead: logHeadSchema,
    /** Signing by ECDSA: listed sets, by position, whose presignatures this party does not have. */
    cannot: z
      .array(
        z
          .int()
          .min(0)
          .max(maxListedSets - 1),
      )
      .max(maxListedSets)
      .optional(),
    /** Signing by ECDSA: parties with which this one cannot presign, because it bans them or has no pair setup. */
    excludes: z.array(ed25519CredentialSchema).max(maxParties).optional(),
  }),
  /** Leader -> all, signed: the PROPOSE and the ACCEPTs of the set verbatim; its hash goes into the session id. */
  start: z.strictObject({
    propose: bytesUpTo(maxAccept),
    accepts: z.array(bytesUpTo(maxAccept)).min(2).max(maxParties),
    salt: bytes(32),
  }),
  /** Among the set, signed: one message of the threshold protocol. */
  round: z.strictObject({ attemptId: attemptIdSchema, sid: bytes(32), message: bytesUpTo(256 * 1024) }),
  /** To all: the signatures, which prove themselves. */
  done: z.strictObject({
    requestId: recordIdSchema,
    signatures: z.array(bytesUpTo(72)).min(1).max(maxItems),
  }),
  /** Party -> leader: the request is not here, or not authorised by what is here. */
  wait: z.strictObject({ attemptId: attemptIdSchema, requestId: recordIdSchema }),
  /** Party -> leader: not with me, and why. */
  decline: z.strictObject({
    attemptId: attemptIdSchema,
    requestId: recordIdSchema,
    reason: z.enum(['refused', 'digests', 'log_head', 'no_share', 'busy', 'paused', 'banned']),
  }),
  /** Everything signed about a request, as JSON: it authenticates itself. */
  evidence: z.strictObject({ requestId: recordIdSchema, evidence: bytesUpTo(900 * 1024) }),
  /** Asks whoever reported a result of an unknown request for its evidence. */
  want: z.strictObject({ requestId: recordIdSchema }),
  /** To all: an attempt ended without result. */
  abort: z.strictObject({
    attemptId: attemptIdSchema,
    requestId: recordIdSchema,
    code: z.string().regex(/^[a-z_]{1,40}$/),
    awaited: z.array(ed25519CredentialSchema).max(maxParties),
    culprit: ed25519CredentialSchema.optional(),
  }),
  /** Confirmations of a key generation, as JSON records; `want` asks for those the receiver has. */
  confirm: z.strictObject({
    requestId: recordIdSchema,
    confirmations: z.array(bytesUpTo(16 * 1024)).max(maxParties),
    want: z.boolean(),
  }),
  /** To all: commitments of a key generation as others signed them, for comparison with those the receiver has. */
  exhibit: z.strictObject({
    attemptId: attemptIdSchema,
    requestId: recordIdSchema,
    commitments: z
      .array(z.strictObject({ party: ed25519CredentialSchema, frame: bytesUpTo(1024) }))
      .min(1)
      .max(maxParties),
  }),
  /** The newest logs of workspaces that the sender knows: whoever is behind asks for them. */
  heads: z.strictObject({
    heads: z
      .array(
        z.strictObject({
          workspaceId: recordIdSchema,
          head: logHeadSchema,
          /** Forks that the log says are resolved. */
          resolved: z.int().min(0).max(2000),
        }),
      )
      .max(maxTold),
  }),
  want_log: z.strictObject({ workspaceId: recordIdSchema }),
  /** A workspace's log, as JSON: it authenticates itself. */
  log: z.strictObject({ workspaceId: recordIdSchema, log: bytesUpTo(900 * 1024) }),
  /** To all: rejections and withdrawals of owners, as JSON records. */
  decisions: z.strictObject({ requestId: recordIdSchema, decisions: bytesUpTo(maxToldBytes) }),
  /** To all, by gossip: how far an attempt has come. */
  reached: z.strictObject({
    attemptId: attemptIdSchema,
    requestId: recordIdSchema,
    point: z.enum(['accepted', 'started', 'signed', 'confirmed', 'active']),
  }),
} as const;

export type MessageType = keyof typeof bodySchemas;
export type Body<Type extends MessageType> = z.infer<(typeof bodySchemas)[Type]>;
export type Propose = Body<'propose'>;
export type PurposeKind = Propose['purpose'];
/** A set that a PROPOSE lists. */
export type ListedSet = NonNullable<Propose['sets']>[number];
export type Accept = Body<'accept'>;
export type NonceCommitmentMessage = Accept['nonces'][number];

/** A frame whose form was checked; `body` are the bytes that its signature, if any, covers. */
export type Frame = {
  [Type in MessageType]: {
    readonly type: Type;
    readonly content: Body<Type>;
    readonly body: Uint8Array;
    readonly signature?: Uint8Array;
    /** The whole frame as received. */
    readonly bytes: Uint8Array;
  };
}[MessageType];
export type FrameOf<Type extends MessageType> = Extract<Frame, { type: Type }>;

const signedTypes: ReadonlySet<MessageType> = new Set(['propose', 'accept', 'start', 'round']);

const frameSchema = z.strictObject({
  t: z.enum(Object.keys(bodySchemas) as [MessageType, ...MessageType[]]),
  b: byteString,
  s: bytes(64).optional(),
});

/** What a frame's signature is for: a network, a keyring. */
export interface WireContext {
  readonly networkId: string;
  readonly keyringId: string;
}

function signingBytes(context: WireContext, type: MessageType, body: Uint8Array): Uint8Array {
  const { networkId, keyringId } = context;
  return taggedHash('countersign/v1/session-message', utf8(networkId), utf8(keyringId), utf8(type), body);
}

function decodeStrict(data: Uint8Array): unknown {
  return decode(data, {
    strict: true,
    allowIndefinite: false,
    allowUndefined: false,
    allowInfinity: false,
    allowNaN: false,
    allowBigInt: false,
    rejectDuplicateMapKeys: true,
  });
}

/** A frame of this type; signed by `signer` when the type is a signed one. */
export function encodeFrame<Type extends MessageType>(
  type: Type,
  content: Body<Type>,
  context: WireContext,
  signer: Signer,
): Uint8Array {
  const b = encode(content);
  return encode(
    signedTypes.has(type) ? { t: type, b, s: signer.sign(signingBytes(context, type, b)) } : { t: type, b },
  );
}

/** Checks form only. Throws SessionError `malformed_message`. */
export function decodeFrame(data: Uint8Array): Frame {
  try {
    const { t: type, b: body, s: signature } = frameSchema.parse(decodeStrict(data));
    const limit = maxBody[type] ?? maxShortBody;
    if (body.length > limit) throw new RangeError(`${body.length} bytes of ${type}, the limit is ${limit}`);
    const content = bodySchemas[type].parse(decodeStrict(body));
    if (signedTypes.has(type) !== (signature !== undefined))
      throw new TypeError('signature missing or not wanted');
    return { type, content, body, bytes: data, ...(signature && { signature }) } as Frame;
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    throw new SessionError('malformed_message', `not a session message: ${reason.slice(0, 300)}`);
  }
}

/** The PROPOSE that a START carries; checks form only. Throws SessionError `malformed_message`. */
export function proposeIn(start: FrameOf<'start'>): FrameOf<'propose'> {
  const inner = decodeFrame(start.content.propose);
  if (inner.type !== 'propose') throw new SessionError('malformed_message', 'a START without PROPOSE');
  return inner;
}

/** Throws SessionError `bad_signature` unless `credential` signed this frame for this network and keyring. */
export function verifyFrame(frame: Frame, credential: string, context: WireContext): void {
  const message = signingBytes(context, frame.type, frame.body);
  if (frame.signature === undefined || !verify(publicKeyOfCredential(credential), message, frame.signature)) {
    throw new SessionError('bad_signature', `a ${frame.type} that ${credential} has not signed`);
  }
}

/** The JSON value of bytes that a peer sent; undefined when they are no UTF-8 or no JSON. */
export function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}
