// What stands behind the RPC server: one handler a method, and who may read an event stream. The server has checked
// form, limits and signatures of the HTTP request; everything about records, rights and state is the service's.
import type * as z from 'zod';
import type { Hex } from '../../protocol/hex.ts';
import type { ConnectorGrant } from '../../protocol/records/connector-grant.ts';
import type { Credential } from '../../protocol/records/fields.ts';
import type { MethodName, methods, Result } from '../../protocol/rpc.ts';

/** Who calls, as far as the HTTP request proves it. Empty for methods that are open. */
export interface Caller {
  /** Signed the HTTP request, with a fresh nonce. Which principal it belongs to is not known here. */
  readonly credential?: Credential;
  /**
   * A party's grant that names `credential` as its connector, verified and not expired. Whether `party` belongs to the
   * keyring is not known here.
   */
  readonly grant?: Pick<ConnectorGrant, 'keyringId' | 'party' | 'connector'>;
}

/** Parameters of a method as its schema returns them. */
export type ParsedParams<Name extends MethodName> = z.output<(typeof methods)[Name]['params']>;

/** Throws RpcError for what the caller did wrong. `signal` aborts when the caller hangs up or the server closes. */
export type Handler<Name extends MethodName> = (
  params: ParsedParams<Name>,
  caller: Caller,
  signal: AbortSignal,
) => Promise<Result<Name>>;

export type Handlers = { readonly [Name in MethodName]: Handler<Name> };

/** An event stream; the store's name for it is `keyrings/<id>` or `workspaces/<id>`. */
export interface StreamName {
  readonly kind: 'keyring' | 'workspace';
  readonly id: Hex;
}

export interface CoordinatorService {
  readonly handlers: Handlers;
  /** Returns when the caller may read the stream, throws RpcError (`forbidden`, `not_found`) when not. */
  mayRead(stream: StreamName, caller: Caller): Promise<void>;
}
