// Altered records, each put into evidence that is otherwise whole, with what a node must say to it. The rules are written
// from the design (which record proves what to whom), not from the code that judges.
import { base64urlnopad } from '@scure/base';
import type { Evidence } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import { encodeCanonical } from '../../protocol/records/canonical.ts';
import { addSignature, type Envelope, type Signer } from '../../protocol/records/envelope.ts';
import { type Alteration, alterationsOf, type Swaps } from './alterations.ts';
import { idOf, networkId } from './fixture.ts';

export interface Expectation {
  readonly code: 'bad_evidence' | 'waiting';
  /** All must match what the node says. */
  readonly words: readonly RegExp[];
}

export interface Lie extends Expectation {
  readonly record: string;
  readonly alteration: Alteration;
  readonly by: string;
  readonly requestId: Hex;
  readonly evidence: Evidence;
}

/** A record of the evidence: where it stands, its valid other values, and what follows from signing it anew. */
export interface Altered {
  readonly record: string;
  readonly envelope: Envelope;
  readonly requestId: Hex;
  readonly swaps: Swaps;
  readonly put: (evidence: Evidence, envelope: Envelope) => Evidence;
  /** What a well-formed alteration means that `by` signed. */
  readonly signedAnew: (content: Content, alteration: Alteration, by: Forger) => Expectation | RegExp;
  /** Keys that may be left out. */
  readonly optional?: readonly string[];
  /** Whether a record that is worth nothing is ignored, instead of spoiling the whole. */
  readonly ignored?: RegExp;
  /** What follows whatever is wrong with it, where nothing is told of that. */
  readonly always?: RegExp;
}

export type Content = Readonly<Record<string, unknown>>;

export interface Forger {
  readonly name: string;
  readonly signer: Signer;
  /** Records that this one might have signed in earnest; without it, all are forged. */
  readonly of?: readonly string[];
}

export function contentOf(envelope: Envelope): Content {
  return JSON.parse(new TextDecoder().decode(base64urlnopad.decode(envelope.bytes))) as Content;
}

/** Other bytes under the signatures of the old ones. */
export function withContent(envelope: Envelope, content: unknown): Envelope {
  return { ...envelope, bytes: base64urlnopad.encode(encodeCanonical(content)) };
}

const notItsSignature = /the signature of \S+ does not verify/;
const malformed = /✖/;
const otherNetwork = /made for network/;
const degenerateKey = /(ed25519:)?0x[0-9a-f]{64}: /;
const any = (...choices: readonly RegExp[]): RegExp =>
  new RegExp(choices.map(({ source }) => `(?:${source})`).join('|'));

/** What is wrong with a record, when its signatures mean `meant`. */
function wrong({ path, how }: Alteration, optional: readonly string[], meant: RegExp): RegExp {
  const key = path.split('.').at(-1)!;
  const isElement = /^\d+$/.test(key);
  if (path === 'networkId' && (how === 'changed' || how === 'swapped')) return otherNetwork;
  if (how === 'swapped') return meant;
  if (how === 'wrong type') return malformed;
  if (how === 'removed' && !isElement) return optional.includes(key) ? meant : malformed;
  // Whether the rest is still a record depends on its other fields.
  return any(meant, malformed, degenerateKey);
}

/** One lie for each alteration of a record: under its old signatures, and signed anew by each forger alone. */
export function* liesAbout(altered: Altered, whole: Evidence, forgers: readonly Forger[]): Generator<Lie> {
  const { record, envelope, swaps, put, signedAnew, optional = [], ignored, always } = altered;
  const lie = (alteration: Alteration, by: string, forged: Envelope, meant: Expectation | RegExp): Lie => {
    const evidence = put(whole, forged);
    // A request that is another one is told under its own name.
    const requestId = evidence.request === whole.request ? altered.requestId : idOf(evidence.request);
    const base = { record, alteration, by, evidence, requestId };
    if (!(meant instanceof RegExp)) return { ...base, ...meant };
    const words = always ?? wrong(alteration, optional, meant);
    if (ignored !== undefined) return { ...base, code: 'waiting', words: [ignored, words] };
    return { ...base, code: 'bad_evidence', words: [/^bad_evidence: /, words] };
  };
  for (const alteration of alterationsOf(contentOf(envelope), swaps)) {
    const kept = withContent(envelope, alteration.content);
    yield lie(alteration, 'nobody', kept, notItsSignature);
    for (const forger of forgers.filter(({ of }) => of?.includes(record) ?? true)) {
      const forged = addSignature({ ...kept, signatures: [] }, networkId, forger.signer);
      const meant = signedAnew(alteration.content as Content, alteration, forger);
      yield lie(alteration, forger.name, forged, meant);
    }
  }
}
