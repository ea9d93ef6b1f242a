import type { EvidenceKind } from './evidence.ts';
import type { Reason } from './examination.ts';

/** How much of what runs a measurement covers, from least to most. */
export const COVERAGES = [
  'platform only',
  'firmware only',
  'firmware, kernel, initrd',
  'application',
] as const;
export type Coverage = (typeof COVERAGES)[number];

/** What evidence says of a machine. Believed only when the verdict is `accepted`. */
export interface Claims {
  /** `Milan`, `TDX quote version 4`: for people. */
  readonly platform: string;
  /** Name of a register to its value in hexadecimal. */
  readonly measurements: Readonly<Record<string, string>>;
  readonly reportData: Uint8Array | undefined;
  /** When the platform says that it made the evidence; most have no clock. */
  readonly madeAtMs?: number | undefined;
  /** Firmware versions and their status, for people and for a policy's minimum. */
  readonly tcb?: Readonly<Record<string, unknown>> | undefined;
  /** Intel's advisories that the platform's TCB level still has. */
  readonly advisories?: readonly string[] | undefined;
  readonly details?: Readonly<Record<string, string | number | boolean>> | undefined;
}

/** What a platform's own examination found, before the demands that all platforms share. */
export interface Findings {
  readonly claims: Claims;
  /** Which of the policy's measurements it is, and what that one covers; `undefined`: none. */
  readonly measured: Measured | undefined;
}

export interface Measured {
  readonly name: string;
  readonly covers: Coverage;
}

export interface Verdict {
  readonly accepted: boolean;
  readonly kind: EvidenceKind;
  /** Empty exactly when accepted. */
  readonly reasons: readonly Reason[];
  readonly claims: Claims | undefined;
  /** The policy's name for what was measured. */
  readonly measurement: string | undefined;
  /** What the matching measurement covers. An accepted verdict says no more than this. */
  readonly covers: Coverage;
  /** Whether the report data was compared: without it, evidence proves nothing about the other end of a connection. */
  readonly isBound: boolean;
}

export function coversAtLeast(covers: Coverage, minimum: Coverage): boolean {
  return COVERAGES.indexOf(covers) >= COVERAGES.indexOf(minimum);
}
