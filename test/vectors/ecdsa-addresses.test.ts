// Addresses of ECDSA keys: EIP-55 with its own examples, BIP173 and BIP84 with theirs, and two more libraries.
// https://eips.ethereum.org/EIPS/eip-55
// https://github.com/bitcoin/bips/blob/master/bip-0084.mediawiki
// https://github.com/bitcoin/bips/blob/master/bip-0173.mediawiki
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { payments, networks } from 'bitcoinjs-lib';
import { addr } from 'micro-eth-signer';
import { getAddress } from 'viem/utils';
import { addressesOf } from '../../protocol/keys/key-type.ts';
import { fromHex } from '../../protocol/hex.ts';

const secrets = fc.bigInt(1n, secp256k1.Point.Fn.ORDER - 1n);
const publicKeyOf = (secret: bigint): Uint8Array => secp256k1.Point.BASE.multiply(secret).toBytes();

describe('addresses of ECDSA keys', () => {
  it('have the checksum of EIP-55', () => {
    const examples = [
      // All upper case, all lower case, and normal, as the document has them.
      '0x52908400098527886E0F7030069857D2E4169EE7',
      '0x8617E340B3D01FA5F11F306F4090FD50E238070D',
      '0xde709f2102306220921060314715629080e2fb77',
      '0x27b1fdb04752bbc536007a920d24acb045561c26',
      '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed',
      '0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359',
      '0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB',
      '0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb',
    ];
    for (const address of examples) assert.equal(getAddress(address.toLowerCase()), address);
  });

  it('are the one of Ethereum: known keys', () => {
    // The key 1, and the first account of the test mnemonic that development nodes share (anvil, hardhat).
    for (const [secret, address] of [
      [1n, '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf'],
      [
        0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80n,
        '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266',
      ],
    ] as const)
      assert.deepEqual(addressesOf('ecdsa_secp256k1', publicKeyOf(secret)), [{ chain: 'ethereum', address }]);
  });

  it('are those of Bitcoin: BIP84 and BIP173', () => {
    for (const [publicKey, expected] of [
      [
        '0x0330d54fd0dd420a6e5f8d3624f5f3482cae350f79d5f0753bf5beef9c2d91af3c',
        'bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu',
      ],
      [
        '0x03e775fd51f0dfb8cd865d9ff1cca2a158cf651fe997fdc9fee9c1d3b5e995ea77',
        'bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g',
      ],
      [
        '0x03025324888e429ab8e3dbaf1f7802648b9cd01e9b418485c5fa4c1b9b5700e1a6',
        'bc1q8c6fshw2dlwun7ekn9qwf37cu2rn755upcp6el',
      ],
      [
        '0x0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798',
        'bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4',
      ],
    ] as const)
      assert.equal(addressesOf('bitcoin_secp256k1', fromHex(publicKey))[0]!.address, expected);
    assert.deepEqual(addressesOf('bitcoin_secp256k1', publicKeyOf(1n)), [
      { chain: 'bitcoin', address: 'bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4' },
      { chain: 'bitcoin-testnet', address: 'tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx' },
      { chain: 'bitcoin-regtest', address: 'bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080' },
    ]);
  });

  it('are what other libraries make of the same keys', () => {
    fc.assert(
      fc.property(secrets, (secret) => {
        const publicKey = publicKeyOf(secret);
        const [evm] = addressesOf('ecdsa_secp256k1', publicKey);
        assert.equal(evm!.address, addr.fromPublicKey(publicKey));
        assert.deepEqual(
          addressesOf('bitcoin_secp256k1', publicKey).map(({ address }) => address),
          [networks.bitcoin, networks.testnet, networks.regtest].map(
            (network) => payments.p2wpkh({ pubkey: publicKey, network }).address,
          ),
        );
      }),
      { numRuns: 30 },
    );
  });

  it('are of public keys of the right length only', () => {
    for (const keyType of ['ecdsa_secp256k1', 'bitcoin_secp256k1'] as const)
      for (const length of [0, 32, 34, 65])
        assert.throws(() => addressesOf(keyType, new Uint8Array(length)), {
          name: 'KeyTypeError',
          code: 'wrong_length',
        });
  });
});
