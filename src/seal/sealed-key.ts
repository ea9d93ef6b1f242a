import { open } from 'node:fs/promises';
import { z } from 'zod';
import { ConfigurationError, type Secret } from '#base';
import { replaceFile } from '#infrastructure';

/** Keeps a secret in a form that this machine alone can open, such as by its TPM. */
export interface KeySealer {
  /** @throws `DAAS_TEE_DEVICE_MISSING`, `DAAS_TEE_DEVICE_FAILED` */
  seal(secret: Secret): Promise<Sealed>;
  /** @throws `DAAS_NODE_KEY_NOT_OPENED` when it was sealed by another machine, or in another state of this one */
  open(sealed: Sealed): Promise<Secret>;
  /** Whether it would be sealed in this way today: the settings may name other conditions since. */
  isCurrent(sealed: Sealed): boolean;
}

/** What a sealer wrote, and reads again. */
export type Sealed = Readonly<Record<string, unknown>>;

/** The file of a node key that is sealed. The public half is there for those that only have to name it. */
export interface SealedKey {
  /** Ed25519, 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly sealed: Sealed;
}

/** A node key of Ed25519, raw. */
export const seedBytes = 32;
const FORMAT = 'k3s-daas-sealed-key/1';
const SealedFile = z.strictObject({
  format: z.literal(FORMAT),
  publicKey: z.string().regex(/^[0-9a-f]{64}$/),
  sealed: z.record(z.string(), z.unknown()),
});

/**
 * `undefined`: the content is a key in clear text, or none.
 * @throws `DAAS_NODE_KEY_INVALID`
 */
export function parseSealedKey(content: Buffer, path: string): SealedKey | undefined {
  const text = content.toString('utf8');
  // The 32 bytes of a key in clear text may look like the start of one.
  if (content.length === seedBytes || !text.trimStart().startsWith('{')) return undefined;
  const parsed = SealedFile.safeParse(jsonIn(text));
  if (parsed.success)
    return { publicKey: Buffer.from(parsed.data.publicKey, 'hex'), sealed: parsed.data.sealed };
  throw new ConfigurationError(
    'DAAS_NODE_KEY_INVALID',
    `the node key in ${path} is no sealed key that this version reads`,
    { details: { reason: 'sealed' } },
  );
}

export function sealedKeyText({ publicKey, sealed }: SealedKey): string {
  const file = { format: FORMAT, publicKey: Buffer.from(publicKey).toString('hex'), sealed };
  return `${JSON.stringify(file, undefined, 2)}\n`;
}

/**
 * Puts the sealed key in the place of the one in clear text, whose bytes are then overwritten: they are in no file any more. What a
 * disk keeps of them, or a copy that was made before, is not reached.
 */
export async function replaceClearKey(path: string, text: string): Promise<void> {
  const before = await open(path, 'r+');
  try {
    const { size } = await before.stat();
    await replaceFile(path, text);
    await before.write(Buffer.alloc(size), 0, size, 0);
    await before.sync();
  } finally {
    await before.close();
  }
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
