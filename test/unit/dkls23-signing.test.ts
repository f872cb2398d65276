import assert from 'node:assert/strict';
import {
  accepted,
  digestOf,
  ecdsaShares,
  presignaturesOf,
  presigningOptions,
  runPresigning,
  runSigning,
  signingOptions,
} from '../support/dkls23-parties.ts';

describe('ECDSA signing', function () {
  this.timeout(60_000);
  it('one round with presignatures', () => {
    const shares = ecdsaShares(3, 2);
    const presigned = runPresigning(presigningOptions([1, 3], shares));
    for (const abort of presigned.aborts.values()) throw abort;
    const digest = digestOf('digest');
    const { outputs, aborts } = runSigning(
      signingOptions([1, 3], [{ shares, digest, presignatures: presignaturesOf(presigned) }]),
    );
    for (const abort of aborts.values()) throw abort;
    assert.deepEqual(outputs.get(1), outputs.get(3));
    assert.ok(accepted('ecdsa_secp256k1', shares.get(1)!.publicKey, 'digest', outputs.get(1)![0]!));
  });
});
