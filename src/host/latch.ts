import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { readTrustedText, replaceFile } from '#infrastructure';

/**
 * What keeps a slashed host from joining again after a restart: a file that names the record. It holds until another
 * record stands for this node.
 */
export interface Latch {
  /** `undefined` when the file is damaged: it still holds, for nobody can tell for whom it was meant. */
  readonly recordId: string | undefined;
  readonly nodeId: string;
  readonly detail: string;
  readonly atMs: number;
  /** false: the host was ended before the agent and its pods were known to be gone; the next start finishes that. */
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

/** Fails closed: whatever stands in the file, a file that is there is a latch. */
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
