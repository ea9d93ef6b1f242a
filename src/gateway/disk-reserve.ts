import { randomFillSync } from 'node:crypto';
import { constants, unlinkSync } from 'node:fs';
import { statfs, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { messageOf } from '#base';
import { openTrusted, type TrustRules } from '#infrastructure';

/**
 * Disk space that is taken while there is enough, and given back when the disk is full, so that a lock-out can still be
 * written. Nothing else may use it: an admission has to be written in the ordinary way.
 */
export interface DiskReserve {
  /** Gives the space back to the disk; false when there is none to give. */
  release(): boolean;
  /** Whether the disk is, or was a moment ago, too full for the reserve. */
  isSpent(): boolean;
  /** Takes the space again as soon as the disk has twice as much. Never throws. */
  restore(): Promise<void>;
  /** One sentence for the health check. */
  detail(): string;
}

const chunkBytes = 1024 * 1024;

/** `bytes: 0` keeps no reserve. A failure to make it does not prevent the start: nodes must be locked out all the same. */
export async function openDiskReserve(path: string, bytes: number): Promise<DiskReserve> {
  let isHeld = false;
  let problem: string | undefined;

  async function restore(): Promise<void> {
    if (bytes === 0 || isHeld) return;
    try {
      const { bavail, bsize } = await statfs(dirname(path));
      if (bavail * bsize < 2 * bytes) {
        problem = `less than ${mebibytes(2 * bytes)} MiB are free`;
        return;
      }
      await fill(path, bytes);
      isHeld = true;
      problem = undefined;
    } catch (error) {
      problem = messageOf(error);
      await unlink(path).catch(() => undefined);
    }
  }

  isHeld = bytes > 0 && (await sizeOf(path)) === bytes;
  await restore();
  return {
    release() {
      if (!isHeld) return false;
      isHeld = false;
      problem = 'is full: the reserve is used for lock-outs';
      try {
        unlinkSync(path);
        return true;
      } catch {
        return false;
      }
    },
    isSpent: () => bytes > 0 && !isHeld,
    restore,
    detail: () =>
      bytes === 0 ? 'no reserve is kept' : (problem ?? `${mebibytes(bytes)} MiB are kept for lock-outs`),
  };
}

/** Random bytes, since a file system may store zeros without using space. */
async function fill(path: string, bytes: number): Promise<void> {
  await using file = await openTrusted(
    path,
    rules,
    constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC,
  );
  for (let written = 0; written < bytes; written += chunkBytes)
    await file.writeFile(randomFillSync(Buffer.alloc(Math.min(chunkBytes, bytes - written))));
  await file.sync();
}

/** Undefined for a file that does not exist or that others can write: it is made anew. */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    await using file = await openTrusted(path, rules);
    return (await file.stat()).size;
  } catch {
    return undefined;
  }
}

const rules: TrustRules = { what: 'the disk reserve', origin: 'gateway.stateDir' };

const mebibytes = (bytes: number) => Math.round((bytes / 1024 / 1024) * 10) / 10;
