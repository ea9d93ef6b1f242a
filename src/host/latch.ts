import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { readTrustedText, replaceFile } from '#infrastructure';

/**
 * A file that keeps a slashed host from joining again after a restart. It names the stake record, and holds until another
 * record stands for this node.
 */
export interface Latch {
  /** `undefined` when the file is damaged: it holds all the same, because any record could have been in it. */
  readonly recordId: string | undefined;
  readonly nodeId: string;
  readonly detail: string;
  readonly atMs: number;
  /** false: the host ended before agent and pods were known to be gone; the next start finishes the lock-out. */
  readonly isComplete: boolean;
}

export function latchPath(stateDir: string): string {
  return join(stateDir, 'latch.json');
}

export async function writeLatch(stateDir: string, latch: Latch): Promise<void> {
  await replaceFile(latchPath(stateDir), `${JSON.stringify(latch, null, 2)}\n`);
}

export async function readLatch(stateDir: string): Promise<Latch | undefined> {
  let text: string;
  try {
    text = await readTrustedText(latchPath(stateDir), { what: 'the latch' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  return parseLatch(text);
}

export async function removeLatch(stateDir: string): Promise<void> {
  await unlink(latchPath(stateDir)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

/** Fails closed: a file that exists is a latch, whatever its content. */
function parseLatch(text: string): Latch {
  let fields: Partial<Record<keyof Latch, unknown>> = {};
  try {
    const document: unknown = JSON.parse(text);
    if (typeof document === 'object' && document !== null) fields = document;
  } catch {
    // Damaged: the fields stay empty.
  }
  return {
    recordId: typeof fields.recordId === 'string' ? fields.recordId : undefined,
    nodeId: typeof fields.nodeId === 'string' ? fields.nodeId : '',
    detail: typeof fields.detail === 'string' ? fields.detail : 'the latch file is damaged',
    atMs: typeof fields.atMs === 'number' ? fields.atMs : 0,
    isComplete: fields.isComplete === true,
  };
}
