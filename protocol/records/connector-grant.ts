// `connector.grant`: a party allows a connector's key to watch for its keyring and to submit what its node signed. The
// party key itself never leaves the node.
import * as z from 'zod';
import type { RecordType } from './envelope.ts';
import { ed25519CredentialSchema, networkIdSchema, recordIdSchema, timestampSchema } from './fields.ts';

const schema = z.strictObject({
  networkId: networkIdSchema,
  keyringId: recordIdSchema,
  party: ed25519CredentialSchema,
  connector: ed25519CredentialSchema,
  expires: timestampSchema,
});
export type ConnectorGrant = z.infer<typeof schema>;

export const connectorGrant: RecordType<ConnectorGrant> = {
  type: 'connector.grant',
  schema,
  introduces: (grant) => [grant.connector],
  signers: (grant) => [grant.party],
};
