// Known answers for what ECDSA keys sign on Ethereum, end to end: payload, digest, signature (RFC 6979, as the examples
// make it), and the form that goes out.
// https://eips.ethereum.org/EIPS/eip-155, https://eips.ethereum.org/EIPS/eip-712 (Example.sol, Example.js)
// https://web3js.readthedocs.io/en/v1.10.0/web3-eth-accounts.html#sign (EIP-191)
import assert from 'node:assert/strict';
import { Transaction } from 'micro-eth-signer';
import { serializeTransaction } from 'viem/utils';
import { fromHex, toHex } from '../../protocol/hex.ts';
import { assemble, decodePayload, type Payload } from '../../protocol/payloads/payload.ts';
import { parsePayloadFile } from '../../protocol/payloads/read.ts';
import { WholeEcdsaKey } from '../support/whole-ecdsa-key.ts';

function signed(payload: Payload, secret: string) {
  const key = new WholeEcdsaKey(fromHex(secret));
  const decoded = decodePayload(payload, key.evm);
  const signature = key.sign(decoded.message);
  return { key, digest: toHex(decoded.message), assembled: assemble(payload, key.evm, signature) };
}

describe('known answers of Ethereum', () => {
  it('EIP-155: a legacy transaction', () => {
    const { digest, assembled } = signed(
      {
        kind: 'evm.transaction',
        transaction:
          '0xec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080',
      },
      `0x${'46'.repeat(32)}`,
    );
    assert.equal(digest, '0xdaf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53');
    assert.equal(
      assembled.transaction,
      '0xf86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a0' +
        '28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a0' +
        '67cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83',
    );
    assert.equal(assembled.transactionHash, Transaction.fromHex(assembled.transaction!).hash);
  });

  it('EIP-2930 and EIP-1559: as two libraries build and sign them', () => {
    const secret = `0x${'46'.repeat(32)}`;
    const to = '0x3535353535353535353535353535353535353535';
    const storageKeys = [`0x${'00'.repeat(32)}`, `0x${'01'.repeat(32)}`] as const;
    const accessList = [{ address: to, storageKeys }] as const;
    const common = {
      chainId: 1,
      nonce: 9,
      gas: 60_000n,
      to,
      value: 10n ** 18n,
      data: '0xdeadbeef',
      accessList,
    } as const;
    const theirs = {
      ...common,
      chainId: 1n,
      nonce: 9n,
      gasLimit: 60_000n,
      accessList: [{ address: to, storageKeys: [...storageKeys] }],
    };
    const { gas: _gas, ...second } = { ...theirs, gas: 0n };
    for (const [unsigned, other] of [
      [
        serializeTransaction({ ...common, type: 'eip2930', gasPrice: 20n * 10n ** 9n }),
        Transaction.prepare({ ...second, type: 'eip2930', gasPrice: 20n * 10n ** 9n }, false),
      ],
      [
        serializeTransaction({
          ...common,
          type: 'eip1559',
          maxFeePerGas: 20n * 10n ** 9n,
          maxPriorityFeePerGas: 10n ** 9n,
        }),
        Transaction.prepare(
          { ...second, type: 'eip1559', maxFeePerGas: 20n * 10n ** 9n, maxPriorityFeePerGas: 10n ** 9n },
          false,
        ),
      ],
    ] as const) {
      assert.equal(unsigned, other.toHex());
      const { assembled, key } = signed({ kind: 'evm.transaction', transaction: unsigned }, secret);
      const expected = other.signBy(secret.slice(2), false);
      assert.equal(assembled.transaction, expected.toHex());
      assert.equal(assembled.transactionHash, expected.hash);
      assert.equal(Transaction.fromHex(assembled.transaction!).sender, key.address);
    }
  });

  it('EIP-191: a message of text', () => {
    const { digest, assembled } = signed(
      { kind: 'evm.message', data: toHex(new TextEncoder().encode('Some data')) },
      '0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318',
    );
    assert.equal(digest, '0x1da44b586eb0729ff70a73c326926f6ed5a25f5b056e7f47fbc6e58d86871655');
    assert.deepEqual(assembled, {
      encoding: 'eip191',
      evmSignature: {
        r: '0xb91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd',
        s: '0x6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a029',
        v: 28,
        bytes:
          '0xb91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd' +
          '6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a0291c',
      },
    });
  });

  it('EIP-712: the mail of its example, as wallets write it', () => {
    const file = {
      types: {
        EIP712Domain: [
          { name: 'name', type: 'string' },
          { name: 'version', type: 'string' },
          { name: 'chainId', type: 'uint256' },
          { name: 'verifyingContract', type: 'address' },
        ],
        Person: [
          { name: 'name', type: 'string' },
          { name: 'wallet', type: 'address' },
        ],
        Mail: [
          { name: 'from', type: 'Person' },
          { name: 'to', type: 'Person' },
          { name: 'contents', type: 'string' },
        ],
      },
      primaryType: 'Mail',
      domain: {
        name: 'Ether Mail',
        version: '1',
        chainId: 1,
        verifyingContract: '0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC',
      },
      message: {
        from: { name: 'Cow', wallet: '0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826' },
        to: { name: 'Bob', wallet: '0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB' },
        contents: 'Hello, Bob!',
      },
    };
    const payload = parsePayloadFile(new TextEncoder().encode(JSON.stringify(file)));
    // keccak256("cow")
    const secret = '0xc85ef7d79691fe79573b1a7064c19c1a9819ebdbd1faaab1a8ec92344438aaf4';
    const { key, digest, assembled } = signed(payload, secret);
    assert.equal(key.address, '0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826');
    assert.equal(digest, '0xbe609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2');
    const { r, s, v } = assembled.evmSignature!;
    assert.deepEqual(
      [r, s, v],
      [
        '0x4355c47d63924e8a72e509b65029052eb6c299d53a04e167c5775fd466751c9d',
        '0x07299936d304c153f6443dfa05f40ff007d72911b6f72307f996231605b91562',
        28,
      ],
    );
  });
});
