import { link, open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileIdentity, syncDirectory } from '#infrastructure';
import { createNodeKey, type NodeKey, openNodeKey, readNodeKey } from './node-key.ts';
import type { KeySealer } from './sealed-key.ts';

/** Where the successor waits while a Seal token is rotated to it. */
export function successorPath(keyFile: string): string {
  return `${keyFile}.next`;
}

/**
 * The key of a node and, during a rotation, its successor in `<key file>.next`. Which of the two signs is decided by the
 * Seal token that a proof names, so that heartbeats of the earlier registration continue while the new token is registered.
 */
export interface NodeKeys {
  /** The key in use. */
  current(): NodeKey;
  /** The key that signs proofs for a Seal token. */
  keyFor(sealTokenId: string): NodeKey;
  /** The public key of the successor. Makes it (0600) when there is none: after `kill -9` it is the same one. */
  prepare(): Promise<Uint8Array>;
  /**
   * Whether this machine has the key that a token names; from then on that key signs proofs for the token. Reads the disk,
   * because `k3s-daas token rotate` makes successors, too.
   */
  adopt(sealTokenId: string, holderKey: Uint8Array): Promise<boolean>;
  /**
   * If the token was adopted for the successor, that takes the place of the key, and the earlier one is overwritten and
   * removed. Whether the key has changed.
   */
  complete(sealTokenId: string): Promise<boolean>;
}

/** Opens the key in this file, or makes one, and ends an exchange that was interrupted. */
export async function openNodeKeys(keyFile: string, sealer?: KeySealer): Promise<NodeKeys> {
  // What is left of an earlier key must not stop a node whose key is good; the next exchange says what is wrong.
  await endExchange(keyFile).catch(() => undefined);
  return nodeKeysOf(keyFile, await openNodeKey(keyFile, sealer), sealer);
}

function nodeKeysOf(keyFile: string, opened: NodeKey, sealer: KeySealer | undefined): NodeKeys {
  const next = successorPath(keyFile);
  let current = opened;
  let adopted: { readonly sealTokenId: string; readonly key: NodeKey } | undefined;
  return {
    current: () => current,
    keyFor: (sealTokenId) => (adopted?.sealTokenId === sealTokenId ? adopted.key : current),
    async prepare() {
      const successor = (await readNodeKey(next, sealer)) ?? (await createNodeKey(next, sealer));
      return successor.publicKey;
    },
    async adopt(sealTokenId, holderKey) {
      if (isSame(current.publicKey, holderKey)) return true;
      const successor = await readNodeKey(next, sealer);
      if (!successor || !isSame(successor.publicKey, holderKey)) return false;
      adopted = { sealTokenId, key: successor };
      return true;
    },
    async complete(sealTokenId) {
      if (adopted?.sealTokenId !== sealTokenId) return false;
      const { key } = adopted;
      await exchange(keyFile);
      // The key is the new one from here on, also when the earlier one cannot be overwritten.
      current = key;
      adopted = undefined;
      await endExchange(keyFile);
      return true;
    },
  };
}

/**
 * Puts the successor in the place of the key. The second name keeps the earlier key reachable, so that it can be overwritten
 * after the exchange; killed at any point, `endExchange` does what is left.
 */
async function exchange(keyFile: string): Promise<void> {
  // One that could not be overwritten before would keep its name, and this key would go without being overwritten.
  await endExchange(keyFile);
  await link(keyFile, retiredPath(keyFile)).catch(unless('EEXIST'));
  await rename(successorPath(keyFile), keyFile);
  await syncDirectory(dirname(keyFile));
}

/** Removes the earlier key. Before the exchange both names are one file, which must stay as it is. */
async function endExchange(keyFile: string): Promise<void> {
  const retired = retiredPath(keyFile);
  const [kept, earlier] = await Promise.all([identityOf(keyFile), identityOf(retired)]);
  if (earlier === undefined) return;
  try {
    if (kept !== earlier) await overwrite(retired);
  } finally {
    // Removed also when it cannot be overwritten: a name more would be one more way to it.
    await unlink(retired);
    await syncDirectory(dirname(keyFile));
  }
}

function retiredPath(keyFile: string): string {
  return `${keyFile}.retired`;
}

async function overwrite(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const { size } = await file.stat();
    await file.write(Buffer.alloc(size), 0, size, 0);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function identityOf(path: string): Promise<string | undefined> {
  try {
    return await fileIdentity(path);
  } catch (error) {
    unless('ENOENT')(error);
    return undefined;
  }
}

function unless(code: string): (error: unknown) => void {
  return (error) => {
    if ((error as NodeJS.ErrnoException).code !== code) throw error;
  };
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.from(one).equals(other);
}
