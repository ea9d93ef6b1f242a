import type { CheckId } from './checks.ts';

/** Why evidence is refused: the check that failed, and the values it saw. */
export interface Reason {
  readonly check: CheckId;
  readonly message: string;
}

/** Evidence that cannot be examined further: what follows would be read from bytes that are not trusted. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly check: CheckId;
  constructor(check: CheckId, message: string) {
    super(message);
    this.check = check;
  }
}

/**
 * One examination of evidence at one point in time. Faults that leave the rest readable (an expired certificate, a debug
 * flag) are collected, so that an operator sees all of them at once; a broken form or signature ends it.
 */
export class Examination {
  readonly nowMs: number;
  /** SHA-256 of the root certificates that count, in hexadecimal. */
  readonly roots: ReadonlySet<string>;
  readonly reasons: Reason[] = [];

  constructor(nowMs: number, roots: Iterable<string>) {
    this.nowMs = nowMs;
    this.roots = new Set(roots);
  }

  /** Notes a fault and goes on. */
  fault(check: CheckId, message: string): void {
    this.reasons.push({ check, message });
  }

  /** Notes a fault unless the condition holds, and goes on. */
  expect(condition: boolean, check: CheckId, message: string): void {
    if (!condition) this.fault(check, message);
  }

  /** Ends the examination unless the condition holds. */
  demand(condition: boolean, check: CheckId, message: string): asserts condition {
    if (!condition) throw new Refusal(check, message);
  }
}

export function refuse(check: CheckId, message: string): never {
  throw new Refusal(check, message);
}

/** A point in time as people read it. */
export function timeText(ms: number): string {
  return Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : String(ms);
}
