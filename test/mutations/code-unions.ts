// The unions of codes by which a message, a record or a request of somebody else is refused: where each is declared,
// how production code raises one of them, and which tests assert them.
import type { Declaration } from './unions.ts';

export interface CodeUnion extends Declaration {
  readonly name: string;
  /** Folders of the production code that raises these codes. */
  readonly production: readonly string[];
  /** Each has one group: the code raised. */
  readonly raised: readonly RegExp[];
  /** Test files, by their names, that assert these codes. */
  readonly asserted: RegExp;
  /** Where every code must have a row whose first cell is the code, in one of them: file and heading. */
  readonly reviews?: readonly { readonly file: string; readonly heading: string }[];
  /** Key of entries of test/mutations.json: `<key>: <code>`; without it no entry is demanded. */
  readonly mutationKey?: string;
}

/** `new Name('code'`: how an error of a class is made. */
const made = (...names: readonly string[]): RegExp =>
  new RegExp(`\\bnew (?:${names.join('|')})\\(\\s*'(\\w+)'`, 'g');
/** `code: 'x'`: how an attempt is ended, or an answer given, with a code. */
const field = /\bcode: '(\w+)'/g;

const review = 'docs/reviews/dkg-frost.md';
const ecdsaReview = 'docs/reviews/dkls23.md';
const ecdsaSessionsReview = 'docs/reviews/dkls23-sessions.md';
const taprootReview = 'docs/reviews/taproot-receipts.md';

export const codeUnions: readonly CodeUnion[] = [
  {
    name: 'AbortCode',
    file: 'node/mpc/abort.ts',
    begins: 'export type AbortCode =',
    ends: ';',
    production: ['node/mpc'],
    raised: [made('Abort', 'GroupError')],
    asserted: /^(dkg|frost|dkls23)/,
    reviews: [
      { file: review, heading: '## Abort codes of the machines' },
      { file: ecdsaReview, heading: '## Abort codes of ECDSA' },
    ],
    mutationKey: 'abort',
  },
  {
    name: 'SessionErrorCode',
    file: 'node/sessions/error.ts',
    begins: 'export type SessionErrorCode =',
    ends: ';',
    production: ['node/sessions'],
    raised: [made('SessionError'), field, /\.fail\(\s*'(\w+)'/g, /#deadline\([^;]*?'(\w+)'/g],
    asserted: /^sessions/,
    reviews: [
      { file: review, heading: '## Codes of the sessions' },
      { file: ecdsaSessionsReview, heading: '## Codes of the sessions' },
    ],
    mutationKey: 'session',
  },
  {
    name: 'GateErrorCode',
    file: 'node/sessions/pairs/gate-error.ts',
    begins: 'export type GateErrorCode =',
    ends: ';',
    production: ['node/sessions/pairs'],
    raised: [made('GateError')],
    asserted: /^pair-/,
    reviews: [{ file: 'docs/reviews/ban-gate.md', heading: '## Codes of the gate' }],
    mutationKey: 'gate',
  },
  {
    name: 'BlameErrorCode',
    file: 'node/sessions/blame/error.ts',
    begins: 'export type BlameErrorCode =',
    ends: ';',
    production: ['node/sessions/blame'],
    raised: [made('BlameError')],
    asserted: /^blame/,
  },
  {
    name: 'WorkErrorCode',
    file: 'node/work/error.ts',
    begins: 'export type WorkErrorCode =',
    ends: ';',
    production: ['node/work'],
    raised: [made('WorkError')],
    asserted: /^work/,
  },
  {
    name: 'WebhookErrorCode',
    file: 'protocol/webhook.ts',
    begins: 'export type WebhookErrorCode =',
    ends: ';',
    production: ['protocol', 'client'],
    raised: [made('WebhookError')],
    asserted: /^webhook-signature/,
  },
  {
    name: 'WebhookSecretErrorCode',
    file: 'coordinator/webhooks/secret-file.ts',
    begins: 'export type WebhookSecretErrorCode =',
    ends: ';',
    production: ['coordinator/webhooks'],
    raised: [made('WebhookSecretError')],
    asserted: /^webhook-config/,
  },
  {
    name: 'RefusalReason',
    file: 'protocol/refusal.ts',
    begins: 'export type RefusalReason =',
    ends: ';',
    production: ['protocol'],
    raised: [made('Refused'), /\breason: '(\w+)'/g, /\? '(\w+)' : '\w+'/g],
    asserted: /^authorize/,
    mutationKey: 'refusal',
  },
  {
    name: 'RecordErrorCode',
    file: 'protocol/records/envelope.ts',
    begins: 'export type RecordErrorCode =',
    ends: ';',
    production: ['protocol/records'],
    raised: [made('RecordError')],
    asserted: /^(records|authorize)/,
    mutationKey: 'record',
  },
  {
    name: "CanonicalError's code",
    file: 'protocol/records/canonical.ts',
    begins: 'readonly code:',
    ends: ';',
    production: ['protocol/records'],
    raised: [made('CanonicalError')],
    asserted: /^(canonical|records)/,
    mutationKey: 'canonical',
  },
  {
    name: "CertificateError's code",
    file: 'protocol/keys/certificate.ts',
    begins: 'readonly code:',
    ends: ';',
    production: ['protocol/keys'],
    raised: [made('CertificateError')],
    asserted: /./,
    mutationKey: 'certificate',
  },
  {
    name: 'DerivationErrorCode',
    file: 'protocol/keys/derivation.ts',
    begins: 'export type DerivationErrorCode =',
    ends: ';',
    production: ['protocol/keys'],
    raised: [made('DerivationError')],
    asserted: /^derivation/,
    mutationKey: 'derivation',
  },
  {
    name: 'Ed25519KeyErrorCode',
    file: 'protocol/keys/ed25519-rules.ts',
    begins: 'export type Ed25519KeyErrorCode =',
    ends: ';',
    production: ['protocol/keys'],
    raised: [made('Ed25519KeyError')],
    asserted: /^ed25519/,
    mutationKey: 'ed25519',
  },
  {
    name: 'TaprootKeyErrorCode',
    file: 'protocol/keys/taproot.ts',
    begins: 'export type TaprootKeyErrorCode =',
    ends: ';',
    production: ['protocol/keys'],
    raised: [made('TaprootKeyError')],
    asserted: /^taproot/,
    reviews: [{ file: taprootReview, heading: '## Codes of Taproot keys' }],
  },
  {
    name: 'PartyResultErrorCode',
    file: 'protocol/party-results.ts',
    begins: 'export type PartyResultErrorCode =',
    ends: ';',
    production: ['protocol'],
    raised: [made('PartyResultError')],
    asserted: /^party-results/,
    reviews: [{ file: taprootReview, heading: '## Codes of party results' }],
  },
  {
    name: 'ReceiptErrorCode',
    file: 'protocol/receipt.ts',
    begins: 'export type ReceiptErrorCode =',
    ends: ';',
    production: ['protocol'],
    raised: [made('ReceiptError'), /\bat\('(\w+)'/g],
    asserted: /^receipt/,
    reviews: [{ file: taprootReview, heading: '## Codes of receipts' }],
  },
  {
    name: 'AuditErrorCode',
    file: 'protocol/audit.ts',
    begins: 'export type AuditErrorCode =',
    ends: ';',
    production: ['protocol'],
    raised: [made('AuditError')],
    asserted: /^audit/,
  },
  {
    name: 'PayloadErrorCode',
    file: 'protocol/payloads/error.ts',
    begins: 'export type PayloadErrorCode =',
    ends: ';',
    production: ['protocol/payloads'],
    raised: [made('PayloadError')],
    asserted: /^payload/,
    mutationKey: 'payload',
  },
  {
    name: "SignedHttpError's code",
    file: 'protocol/signed-http.ts',
    begins: 'readonly code:',
    ends: ';',
    production: ['protocol'],
    raised: [made('SignedHttpError')],
    asserted: /^signed-http/,
    mutationKey: 'signed http',
  },
  {
    name: 'NetworkErrorCode',
    file: 'node/network/network-error.ts',
    begins: 'export type NetworkErrorCode =',
    ends: ';',
    production: ['node/network'],
    raised: [made('NetworkError')],
    asserted: /^(network|peer-channel)/,
  },
  {
    name: 'StateErrorCode',
    file: 'coordinator/state/error.ts',
    begins: 'export type StateErrorCode =',
    ends: ';',
    production: ['coordinator'],
    raised: [made('StateError'), /: \[\s*'(\w+)',/g],
    asserted: /^(state-machine|service)/,
    mutationKey: 'state',
  },
];
