import { inspect } from 'node:util';
import { decodeSuiPrivateKey } from '@mysten/sui/cryptography';
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { Secp256k1Keypair } from '@mysten/sui/keypairs/secp256k1';
import { Secp256r1Keypair } from '@mysten/sui/keypairs/secp256r1';
import { verifyTransactionSignature } from '@mysten/sui/verify';
import { describe, expect, test } from 'vitest';
import { Secret } from '#base';
import { openWallet, readWallet } from './wallet.ts';

const origin = 'wallet.key';
const open = (key: string, address?: string) =>
  openWallet({ key: new Secret(key), origin, ...(address !== undefined && { address }) });
const bytesOf = (bech32: string) => Buffer.from(decodeSuiPrivateKey(bech32).secretKey);

const ed25519 = Ed25519Keypair.generate();
const ed25519Key = bytesOf(ed25519.getSecretKey());
const entry = (flag: number, key: Uint8Array) => Buffer.from([flag, ...key]).toString('base64');

describe('the forms of a key', () => {
  test.each([
    ['bech32', ed25519.getSecretKey()],
    ['bech32 with a line end', `${ed25519.getSecretKey()}\n`],
    ['hex', ed25519Key.toString('hex')],
    ['hex with 0x', `0x${ed25519Key.toString('hex')}`],
    ['base64', ed25519Key.toString('base64')],
    ['a keystore entry', entry(0, ed25519Key)],
    ['a keystore', JSON.stringify([entry(0, ed25519Key)])],
  ])('%s', (_form, key) => {
    expect(open(key).address).toBe(ed25519.toSuiAddress());
  });

  test.each([
    ['secp256k1', Secp256k1Keypair.generate(), 1],
    ['secp256r1', Secp256r1Keypair.generate(), 2],
  ] as const)('%s keys have their own addresses', (_scheme, keypair, flag) => {
    const key = keypair.getSecretKey();
    expect(open(key).address).toBe(keypair.toSuiAddress());
    expect(open(JSON.stringify([entry(flag, bytesOf(key))])).address).toBe(keypair.toSuiAddress());
  });
});

test('the signature is one the chain accepts', async () => {
  const bytes = Uint8Array.from({ length: 64 }, (_item, index) => index);
  const signature = await open(ed25519.getSecretKey()).signTransaction(bytes);
  await expect(
    verifyTransactionSignature(bytes, signature, { address: ed25519.toSuiAddress() }),
  ).resolves.toBeDefined();
});

test('the configured address chooses among the keys of a keystore', () => {
  const other = Secp256k1Keypair.generate();
  const keystore = JSON.stringify([entry(0, ed25519Key), entry(1, bytesOf(other.getSecretKey()))]);
  expect(open(keystore, other.toSuiAddress()).address).toBe(other.toSuiAddress());
  expect(() => open(keystore)).toThrow(
    expect.objectContaining({ code: 'DAAS_WALLET_AMBIGUOUS', exitCode: 78 }),
  );
});

test('a key of another address is refused, and both addresses are named', () => {
  const wanted = `0x${'1'.repeat(64)}`;
  expect(() => open(ed25519.getSecretKey(), wanted)).toThrow(
    expect.objectContaining({ code: 'DAAS_WALLET_ADDRESS_MISMATCH', exitCode: 78 }),
  );
  expect(() => open(ed25519.getSecretKey(), wanted)).toThrow(wanted);
});

test.each([
  'nonsense',
  '',
  '[]x',
  '[42]',
  `suiprivkey1${'q'.repeat(59)}`,
  'ab'.repeat(31),
  'ab'.repeat(33),
  entry(9, ed25519Key),
])('%j is no key, and the message does not repeat it', (key) => {
  let thrown: unknown;
  try {
    open(key);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toMatchObject({ code: 'DAAS_WALLET_KEY_INVALID', exitCode: 78 });
  if (key !== '') expect(inspect(thrown, { depth: 5 })).not.toContain(key);
});

test('a wallet shows no key when it is printed', () => {
  const wallet = open(ed25519.getSecretKey());
  expect(inspect(wallet, { depth: 10, showHidden: true })).not.toContain(ed25519Key.toString('hex'));
  expect(JSON.stringify(wallet)).toBe(JSON.stringify({ address: ed25519.toSuiAddress() }));
});

test.each([
  ['suiprivkey1…', ed25519.getSecretKey()],
  ['hex', ed25519Key.toString('hex')],
  ['hex with 0x', `0x${ed25519Key.toString('hex')}`],
  ['base64', ed25519Key.toString('base64')],
])('a key in the place of its file’s name is refused and not repeated: %s', async (_form, key) => {
  for (const file of [key, `/etc/k3s-daas/${key}`]) {
    const refused = await readWallet(file).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'DAAS_WALLET_KEY_INVALID', exitCode: 78 });
    expect(inspect(refused)).not.toContain(key);
  }
});

test.each([undefined, `0x${'1'.repeat(64)}`])(
  'a keystore without a key is named as such (address %s)',
  (address) => {
    expect(() =>
      openWallet({ key: new Secret('[]'), origin: 'sui.keystore', ...(address && { address }) }),
    ).toThrow(
      expect.objectContaining({
        code: 'DAAS_WALLET_KEY_INVALID',
        exitCode: 78,
        message: expect.stringContaining('sui.keystore is a keystore without a key'),
      }),
    );
  },
);
