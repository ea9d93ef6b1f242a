import { decodeSuiPrivateKey, type Signer } from '@mysten/sui/cryptography';
import { Ed25519Keypair, Ed25519PublicKey } from '@mysten/sui/keypairs/ed25519';
import { Secp256k1Keypair } from '@mysten/sui/keypairs/secp256k1';
import { Secp256r1Keypair } from '@mysten/sui/keypairs/secp256r1';
import { normalizeSuiAddress } from '@mysten/sui/utils';
import { ConfigurationError, Secret } from '#base';
import { readTrustedText } from '#infrastructure';

/** A Sui account that signs. The private key stays inside. */
export interface Wallet {
  readonly address: string;
  /** The serialized signature (base64) of a transaction's BCS bytes. */
  signTransaction(bytes: Uint8Array): Promise<string>;
}

/** The address of an account of Ed25519: that of a wallet, if its key is this one. */
export const addressOfKey = (publicKey: Uint8Array): string => new Ed25519PublicKey(publicKey).toSuiAddress();

export interface WalletOptions {
  /**
   * `suiprivkey1…`, 32 bytes in hex or base64 (Ed25519), or the content of a `sui.keystore` (a JSON array of
   * base64 flag + key).
   */
  readonly key: Secret;
  /** The address the key must have; it also chooses among the keys of a keystore. */
  readonly address?: string;
  /** Where the key came from, for messages: a file name, a setting. Never the key. */
  readonly origin: string;
}

/**
 * Throws `DAAS_WALLET_KEY_INVALID`, `DAAS_WALLET_ADDRESS_MISMATCH`, `DAAS_WALLET_AMBIGUOUS`, each with exit code 78 and
 * without a word of the key.
 */
export function openWallet({ key, address, origin }: WalletOptions): Wallet {
  const wanted = address === undefined ? undefined : normalizeSuiAddress(address);
  const keypairs = parseKeys(key.reveal().trim(), origin);
  if (keypairs.length === 0)
    throw new ConfigurationError(
      'DAAS_WALLET_KEY_INVALID',
      `${origin} is a keystore without a key: import one with \`sui keytool import\`, or give 'suiprivkey1…'`,
      { details: { origin } },
    );
  const addresses = keypairs.map((keypair) => keypair.toSuiAddress());
  if (wanted === undefined && keypairs.length > 1)
    throw new ConfigurationError(
      'DAAS_WALLET_AMBIGUOUS',
      `${origin} has ${keypairs.length} keys (${addresses.join(', ')}): say which by the wallet address`,
      { details: { origin, addresses } },
    );
  const index = wanted === undefined ? 0 : addresses.indexOf(wanted);
  const signer = keypairs[index];
  if (!signer)
    throw new ConfigurationError(
      'DAAS_WALLET_ADDRESS_MISMATCH',
      `the key of ${origin} belongs to ${addresses.join(', ')}, the configured wallet address is ${wanted}: correct the address or give its key`,
      { details: { origin, addresses, wanted } },
    );
  return {
    address: addresses[index] as string,
    signTransaction: async (bytes) => (await signer.signTransaction(bytes)).signature,
  };
}

/** A wallet whose key lies elsewhere: what it is to sign throws `DAAS_WALLET_KEY_ELSEWHERE`. */
export function walletWithoutKey(address: string): Wallet {
  return {
    address,
    signTransaction: () =>
      Promise.reject(
        new ConfigurationError(
          'DAAS_WALLET_KEY_ELSEWHERE',
          `the key of the wallet ${address} is not on this machine: run the command where it is, or write the transaction with --unsigned and sign it there`,
          { details: { address } },
        ),
      ),
  };
}

/** Bech32, 32 bytes in hex, 32 bytes in base64: as what a path ends with. */
const keyForms = [/suiprivkey1/i, /(?:^|\/)(?:0x)?[0-9a-f]{64}$/i, /[A-Za-z0-9+/]{43}=$/];

/**
 * Reads a key file that only its owner can read. Throws `DAAS_WALLET_KEY_EXPOSED` (exit 78) for one that others can read,
 * `DAAS_FILE_UNTRUSTED` for one that others can write, `DAAS_WALLET_KEY_UNREADABLE` when it cannot be read.
 */
export async function readWallet(file: string, address?: string): Promise<Wallet> {
  // The likeliest slip of all, and every message about a file tells its name.
  if (keyForms.some((form) => form.test(file)))
    throw new ConfigurationError(
      'DAAS_WALLET_KEY_INVALID',
      'a private key is given as the name of a key file (wallet.keyFile, --key-file). Write the key into a file (chmod 600) and pass its name. Replace the key if others can read that setting',
    );
  let text: string;
  try {
    text = await readTrustedText(file, { what: 'the wallet key', exposedCode: 'DAAS_WALLET_KEY_EXPOSED' });
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    throw new ConfigurationError(
      'DAAS_WALLET_KEY_UNREADABLE',
      `the key file ${file} cannot be read: check its path, owner and mode`,
      { cause, details: { file } },
    );
  }
  return openWallet({ key: new Secret(text), origin: file, ...(address !== undefined && { address }) });
}

const KEYPAIRS = {
  ED25519: Ed25519Keypair,
  Secp256k1: Secp256k1Keypair,
  Secp256r1: Secp256r1Keypair,
} as const;
/** Sui's signature scheme flags. */
const SCHEME_OF_FLAG: Readonly<Record<number, keyof typeof KEYPAIRS>> = {
  0: 'ED25519',
  1: 'Secp256k1',
  2: 'Secp256r1',
};

function parseKeys(text: string, origin: string): Signer[] {
  try {
    if (text.startsWith('[')) {
      const entries = JSON.parse(text) as unknown[];
      return entries.map((entry) => keystoreKey(entry));
    }
    if (text.startsWith('suiprivkey')) {
      const { scheme, secretKey } = decodeSuiPrivateKey(text);
      return [keypair(scheme, secretKey)];
    }
    const hex = /^(?:0x)?([0-9a-fA-F]{64})$/.exec(text)?.[1];
    if (hex) return [Ed25519Keypair.fromSecretKey(Buffer.from(hex, 'hex'))];
    const bytes = base64(text);
    return [bytes.length === 33 ? keystoreKey(text) : keypair('ED25519', bytes)];
  } catch {
    // The cause is dropped: decoders like to quote what they could not decode.
    throw new ConfigurationError(
      'DAAS_WALLET_KEY_INVALID',
      `${origin} holds no Sui private key: give 'suiprivkey1…', 32 bytes in hex or base64, or a sui.keystore`,
      { details: { origin } },
    );
  }
}

/** base64 of the scheme's flag byte and the 32 bytes of the key. */
function keystoreKey(entry: unknown): Signer {
  if (typeof entry !== 'string') throw new TypeError('not a key');
  const bytes = base64(entry);
  return keypair(SCHEME_OF_FLAG[bytes[0] ?? -1], bytes.subarray(1));
}

function keypair(scheme: string | undefined, secretKey: Uint8Array): Signer {
  if (secretKey.length !== 32 || scheme === undefined || !(scheme in KEYPAIRS))
    throw new TypeError('not a key');
  return KEYPAIRS[scheme as keyof typeof KEYPAIRS].fromSecretKey(secretKey);
}

function base64(text: string): Uint8Array {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) throw new TypeError('not base64');
  return Uint8Array.from(Buffer.from(text, 'base64'));
}
