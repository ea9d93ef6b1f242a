import type { Files } from './move.ts';

export function generatedTests(_seed: number): Files {
  return {};
}
