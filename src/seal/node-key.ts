import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { dirname } from 'node:path';
import { ConfigurationError, Secret } from '#base';
import { makeTrustedDirectory, readTrusted, replaceFile } from '#infrastructure';
import { type KeySealer, parseSealedKey, replaceClearKey, sealedKeyText, seedBytes } from './sealed-key.ts';

/** An Ed25519 key pair that proves a node. The private half can sign and cannot be read. */
export interface NodeKey {
  /** 32 bytes, as the Seal token names it (`holder_key`). */
  readonly publicKey: Uint8Array;
  readonly privateKey: KeyObject;
}

/** The fixed head of a PKCS #8 structure around a 32-byte Ed25519 seed (RFC 8410, section 7). */
const pkcs8Head = Buffer.from('302e020100300506032b657004220420', 'hex');

/**
 * Reads the node key, or makes one if there is none: a PKCS #8 PEM, mode 0600, in a directory that only its owner may
 * enter. Accepted for reading: PKCS #8 PEM, 32 raw bytes, or these as 64 hex digits. With a sealer the file holds what that has
 * sealed; a key in clear text is sealed then, and one that was sealed under other conditions is sealed anew.
 * @throws `DAAS_NODE_KEY_EXPOSED` when others may read the file, `DAAS_NODE_KEY_INVALID` when it holds something else,
 * `DAAS_NODE_KEY_SEALED` when it is sealed and there is no sealer, and what the sealer throws.
 */
export async function openNodeKey(path: string, sealer?: KeySealer): Promise<NodeKey> {
  const content = await readPrivateFile(path);
  if (content === undefined) return createNodeKey(path, sealer);
  const key = await keyIn(content, path, sealer);
  if (!sealer) return key;
  const sealed = parseSealedKey(content, path);
  if (!sealed) await replaceClearKey(path, await sealedText(key, sealer));
  else if (!sealer.isCurrent(sealed.sealed)) await replaceFile(path, await sealedText(key, sealer));
  return key;
}

/** As `openNodeKey`, but changes nothing, and `undefined` when there is no file. */
export async function readNodeKey(path: string, sealer?: KeySealer): Promise<NodeKey | undefined> {
  const content = await readPrivateFile(path);
  return content === undefined ? undefined : keyIn(content, path, sealer);
}

/** The public half alone, which a sealed key shows without its machine. `undefined` when there is no file. */
export async function readNodePublicKey(path: string): Promise<Uint8Array | undefined> {
  const content = await readPrivateFile(path);
  if (content === undefined) return undefined;
  return (parseSealedKey(content, path) ?? parseNodeKey(content, path)).publicKey;
}

/** Makes a key in a file of its own, mode 0600. */
export async function createNodeKey(path: string, sealer?: KeySealer): Promise<NodeKey> {
  const key = toNodeKey(generateKeyPairSync('ed25519').privateKey);
  makeTrustedDirectory(dirname(path), { what: 'the directory of the node key' });
  const clear = () => key.privateKey.export({ type: 'pkcs8', format: 'pem' });
  await replaceFile(path, sealer ? await sealedText(key, sealer) : clear());
  return key;
}

async function keyIn(content: Buffer, path: string, sealer: KeySealer | undefined): Promise<NodeKey> {
  const file = parseSealedKey(content, path);
  if (!file) return parseNodeKey(content, path);
  if (!sealer)
    throw new ConfigurationError(
      'DAAS_NODE_KEY_SEALED',
      `the node key in ${path} is sealed by the TPM of its machine, and nodeKey.sealing is none: set it to tpm`,
      { details: { file: path } },
    );
  const key = nodeKeyFromSeed(await sealer.open(file.sealed));
  if (Buffer.from(key.publicKey).equals(file.publicKey)) return key;
  throw new ConfigurationError(
    'DAAS_NODE_KEY_INVALID',
    `the sealed node key in ${path} is not the one that its file names: restore the file`,
    { details: { reason: 'sealed' } },
  );
}

async function sealedText({ publicKey, privateKey }: NodeKey, sealer: KeySealer): Promise<string> {
  const { d = '' } = privateKey.export({ format: 'jwk' });
  const seed = new Secret(Buffer.from(d, 'base64url').toString('hex'));
  return sealedKeyText({ publicKey, sealed: await sealer.seal(seed) });
}

/** A key from its 32-byte seed, wrapped so that the seed is not printed by accident. */
export function nodeKeyFromSeed(seed: Secret): NodeKey {
  return parseNodeKey(Buffer.from(seed.reveal(), 'hex'), 'a seed given by the caller');
}

function parseNodeKey(content: Buffer, origin: string): NodeKey {
  try {
    return toNodeKey(createPrivateKey(privateKeyInput(content)));
  } catch (cause) {
    throw new ConfigurationError(
      'DAAS_NODE_KEY_INVALID',
      `the node key in ${origin} is not an Ed25519 private key: expected PKCS #8 PEM, 32 raw bytes or 64 hex digits`,
      // The cause's message could quote the content; its code says enough.
      { details: { reason: (cause as NodeJS.ErrnoException).code ?? 'unreadable' } },
    );
  }
}

function privateKeyInput(content: Buffer): Parameters<typeof createPrivateKey>[0] {
  if (content.length === seedBytes) return fromSeed(content);
  const text = content.toString('latin1').trim();
  if (/^[0-9a-f]{64}$/i.test(text)) return fromSeed(Buffer.from(text, 'hex'));
  return { key: text, format: 'pem' };
}

function fromSeed(seed: Buffer): Parameters<typeof createPrivateKey>[0] {
  return { key: Buffer.concat([pkcs8Head, seed]), format: 'der', type: 'pkcs8' };
}

function toNodeKey(privateKey: KeyObject): NodeKey {
  if (privateKey.asymmetricKeyType !== 'ed25519') throw new Error('not an Ed25519 key');
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
  if (x === undefined) throw new Error('a public key without x');
  return { publicKey: new Uint8Array(Buffer.from(x, 'base64url')), privateKey };
}

async function readPrivateFile(path: string): Promise<Buffer | undefined> {
  try {
    return await readTrusted(path, { what: 'the node key', exposedCode: 'DAAS_NODE_KEY_EXPOSED' });
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new ConfigurationError(
      'DAAS_NODE_KEY_UNREADABLE',
      `the node key ${path} cannot be read: check its owner and mode`,
      { cause },
    );
  }
}
