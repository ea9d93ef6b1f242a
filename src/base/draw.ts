import { createHash } from 'node:crypto';

/**
 * 0 ≤ x < 1, the same for the same words, and another for others: what many hosts must not do in the same moment, each does at a
 * time of its own.
 */
export function drawOf(...words: ReadonlyArray<string | number>): number {
  return createHash('sha256').update(words.join(' ')).digest().readUInt32BE(0) / 2 ** 32;
}
