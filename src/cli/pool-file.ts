import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ConfigurationError, messageOf, Secret } from '#base';
import { makeTrustedDirectory, readTrustedText, replaceFile } from '#infrastructure';
import { readNodePublicKey } from '#seal';

const FORMAT = 'pool file of k3s-daas, version 1';
const Shared = z.strictObject({
  format: z.literal(FORMAT),
  nodeId: z.string().min(1),
  clusterId: z.string(),
  staker: z.string(),
  recordId: z.string().optional(),
  tokenId: z.string().optional(),
  /** Public half of the node key, hex. */
  holderKey: z.string().regex(/^[0-9a-f]{64}$/),
});
const PoolText = Shared.extend({ nodeKey: z.string().includes('PRIVATE KEY') });
const UsedText = Shared.extend({ usedAt: z.string() });

/** A machine's stake that was made beforehand, with its node key. */
export interface PoolFile extends Omit<z.infer<typeof Shared>, 'format'> {
  /** PKCS #8 PEM. */
  readonly nodeKey: Secret;
}

/** A new node key, not yet in a file. */
export function makePoolKey(): Pick<PoolFile, 'nodeKey' | 'holderKey'> {
  const { privateKey } = generateKeyPairSync('ed25519');
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { nodeKey: new Secret(pem), holderKey: publicHalf(pem) };
}

function publicHalf(pem: string): string {
  const { x = '', crv } = createPublicKey(pem).export({ format: 'jwk' });
  if (crv !== 'Ed25519') throw new TypeError('not an Ed25519 key');
  return Buffer.from(x, 'base64url').toString('hex');
}

/** Writes a pool file, mode 0600. */
export async function writePoolFile(file: string, { nodeKey, ...shared }: PoolFile): Promise<void> {
  await replaceFile(file, toText({ ...shared, nodeKey: nodeKey.reveal() }));
}

const toText = (content: object) => `${JSON.stringify({ format: FORMAT, ...content }, undefined, 2)}\n`;

/**
 * Reads a pool file; `undefined` when there is none. Throws `DAAS_NODE_KEY_EXPOSED` when others may read it, and
 * `DAAS_POOL_FILE_INVALID` when it is something else.
 */
export async function readPoolFile(file: string): Promise<PoolFile | undefined> {
  const content = await read(file, PoolText);
  if (!content) return undefined;
  const { format: _format, nodeKey, ...shared } = content;
  if (isHalfOf(nodeKey, shared.holderKey)) return { ...shared, nodeKey: new Secret(nodeKey) };
  throw invalid(file, 'its node key is not the one that it names');
}

function isHalfOf(pem: string, holderKey: string): boolean {
  try {
    return publicHalf(pem) === holderKey;
  } catch {
    return false;
  }
}

async function read<T>(file: string, schema: z.ZodType<T>): Promise<T | undefined> {
  let text: string;
  try {
    text = await readTrustedText(file, { what: 'the pool file', exposedCode: 'DAAS_NODE_KEY_EXPOSED' });
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw invalid(file, messageOf(cause));
  }
  const parsed = schema.safeParse(jsonOf(text));
  if (parsed.success) return parsed.data;
  // The content has a key in it, so the message quotes none of it.
  throw invalid(file, `${parsed.error.issues[0]?.path.join('.') || 'the file'} is missing or wrong`);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const usedName = (file: string) => `${file}.used`;

/** The node that a pool file is for, used or not. Throws `DAAS_POOL_FILE_INVALID` when there is no such file. */
export async function nodeOfPoolFile(file: string): Promise<string> {
  const pool = (await readPoolFile(file)) ?? (await read(usedName(file), UsedText));
  if (pool) return pool.nodeId;
  throw invalid(file, 'there is no such file');
}

/** What a used pool file is worth on this machine. */
interface PoolUse {
  readonly file: string;
  readonly stateDir: string;
  readonly nowMs: number;
}

/**
 * Takes a pool file into use: its node key becomes that of the state directory, and the file is renamed to `.used`, without the
 * key. Killed at any point and called again, it goes on; on a machine that took it before, it does nothing. Throws
 * `DAAS_POOL_FILE_USED` for a file that was taken elsewhere, `DAAS_POOL_KEY_CONFLICT` when the state directory has another key.
 */
export async function takePoolFile({ file, stateDir, nowMs }: PoolUse): Promise<void> {
  const keyFile = join(stateDir, 'node.key');
  const [pool, own] = [await readPoolFile(file), await readNodePublicKey(keyFile)];
  if (!pool) {
    if (own) return;
    throw new ConfigurationError(
      'DAAS_POOL_FILE_USED',
      `the pool file ${file} was used already (${usedName(file)}), and the state directory ${stateDir} has no node key: each file is for one machine. Take another file; or bring back the state directory that has the key`,
      { details: { file, stateDir } },
    );
  }
  if (own && Buffer.from(own).toString('hex') !== pool.holderKey)
    throw new ConfigurationError(
      'DAAS_POOL_KEY_CONFLICT',
      `the state directory ${stateDir} has a node key already, and it is not that of the pool file ${file}: start without --pool-file, or use another state directory`,
      { details: { file, stateDir } },
    );
  if (!own) {
    makeTrustedDirectory(stateDir, { what: 'the state directory' });
    await replaceFile(keyFile, pool.nodeKey.reveal());
  }
  const { nodeKey: _nodeKey, ...shared } = pool;
  await replaceFile(usedName(file), toText({ ...shared, usedAt: new Date(nowMs).toISOString() }));
  await unlink(file);
}

function invalid(file: string, why: string): ConfigurationError {
  return new ConfigurationError(
    'DAAS_POOL_FILE_INVALID',
    `the pool file ${file} cannot be used: ${why}. \`k3s-daas token pool make\` writes such files`,
    { details: { file } },
  );
}
