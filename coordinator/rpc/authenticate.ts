// Who signed an HTTP request, and whose connector it is. Counts the caller's rate before it verifies anything.
import type { Hex } from '../../protocol/hex.ts';
import { RecordError, verifyRecord, type Envelope } from '../../protocol/records/envelope.ts';
import { type ConnectorGrant, connectorGrant } from '../../protocol/records/connector-grant.ts';
import {
  type Credential,
  ed25519CredentialSchema,
  timeOf,
  timestamp,
} from '../../protocol/records/fields.ts';
import {
  httpHeaders,
  type HttpRequestParts,
  SignedHttpError,
  verifyHttp,
} from '../../protocol/signed-http.ts';
import { recordRefused, RpcError } from './error.ts';
import type { Caller } from './handlers.ts';
import { RateLimit, type RpcLimits } from './limits.ts';
import { NonceMemory } from './nonces.ts';

/** A caller that signed, and how long that holds. */
export interface Authenticated {
  readonly caller: Caller & { readonly credential: Credential };
  /** When its grant ends, in milliseconds since 1970. */
  readonly grantExpires?: number;
}

export interface SignedRequest extends Omit<HttpRequestParts, 'networkId'> {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Of the connection, as limits count it. */
  readonly address: string;
  /** How many calls it carries. */
  readonly calls: number;
}

const maxKeptGrants = 1024;

export class Authenticator {
  readonly #networkId: string;
  readonly #now: () => number;
  readonly #nonces: NonceMemory;
  /** What an address claims costs only that address: a stranger cannot use up what belongs to somebody's credential. */
  readonly #claimed: RateLimit;
  readonly #proven: RateLimit;
  /** Grants that verified, by their exact text, least recently used first: to check a key again takes a millisecond. */
  readonly #grants = new Map<string, ConnectorGrant>();

  constructor(options: { networkId: string; now: () => number; limits: RpcLimits }) {
    this.#networkId = options.networkId;
    this.#now = options.now;
    this.#nonces = new NonceMemory(options.limits.nonces);
    this.#claimed = new RateLimit(options.limits.credentialRate, 'credential at this address');
    this.#proven = new RateLimit(options.limits.credentialRate, 'credential');
  }

  /**
   * The caller that a request's headers prove. Throws RpcError: `unauthenticated` (unsigned, malformed, clock, replayed),
   * `rate_limited`, `forbidden` (another connector's grant), `expired` (the grant), `bad_signature` (the grant).
   */
  async authenticate(request: SignedRequest): Promise<Authenticated> {
    const claim = ed25519CredentialSchema.safeParse(request.headers[httpHeaders.credential]);
    if (claim.success) await this.#claimed.spend(`${request.address} ${claim.data}`, request.calls);
    const now = this.#now();
    // A replay costs no verification: what is remembered was verified once.
    const again = request.headers[httpHeaders.nonce];
    if (claim.success && typeof again === 'string' && this.#nonces.has(claim.data, again as Hex)) {
      throw this.#replayed(again, now);
    }
    const { credential, nonce, grant } = this.#verify(request, now);
    await this.#proven.spend(credential, request.calls);
    switch (this.#nonces.remember(credential, nonce, now)) {
      case 'replayed':
        throw this.#replayed(nonce, now);
      case 'full':
        throw new RpcError(
          'unavailable',
          'too many signed requests in the last minutes',
          'send it again later',
          {
            retryAfterMs: 5000,
          },
        );
      case 'fresh':
    }
    if (grant === undefined) return { caller: { credential } };
    const { keyringId, party, connector, expires } = this.#open(grant);
    if (connector !== credential) {
      const detail = `the grant is for connector ${connector}, the request is signed by ${credential}`;
      throw new RpcError('forbidden', detail, 'present a grant that the node made for this connector');
    }
    if (timeOf(expires) <= now) {
      const remedy = 'let the node make a new grant: countersign node allow-connector';
      throw new RpcError('expired', `the grant ended at ${expires}`, remedy, { serverTime: timestamp(now) });
    }
    return { caller: { credential, grant: { keyringId, party, connector } }, grantExpires: timeOf(expires) };
  }

  #verify(request: SignedRequest, now: number): ReturnType<typeof verifyHttp> {
    const { method, path, body, headers } = request;
    try {
      return verifyHttp({ networkId: this.#networkId, method, path, body }, headers, now);
    } catch (error) {
      if (error instanceof SignedHttpError) throw this.#unauthenticated(error.message, now);
      throw error;
    }
  }

  #replayed(nonce: string, now: number): RpcError {
    return this.#unauthenticated(`the nonce ${nonce} was used before`, now);
  }

  #unauthenticated(detail: string, now: number): RpcError {
    const remedy = 'sign every request afresh, with a new nonce and a clock within 60 s of serverTime';
    return new RpcError('unauthenticated', detail, remedy, { serverTime: timestamp(now) });
  }

  #open(envelope: Envelope): ConnectorGrant {
    if (envelope.signatures.length !== 1) {
      const detail = `a grant has the one signature of its party, this has ${envelope.signatures.length}`;
      throw new RpcError('bad_signature', detail, 'present the grant as the node made it');
    }
    const text = JSON.stringify(envelope);
    const kept = this.#grants.get(text);
    try {
      const grant = kept ?? verifyRecord(connectorGrant, envelope, this.#networkId).content;
      this.#grants.delete(text);
      this.#grants.set(text, grant);
      if (this.#grants.size > maxKeptGrants) this.#grants.delete(this.#grants.keys().next().value!);
      return grant;
    } catch (error) {
      if (error instanceof RecordError) throw recordRefused(error);
      throw error;
    }
  }
}
