import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigurationError, DaasError, messageOf } from '#base';
import { asBuffer } from './bytes.ts';
import type { Evidence } from './evidence.ts';
import { tpmExtraDataOf } from './report-data.ts';

/** Ways to evidence of the machine that this process runs on. */
export const PROVIDERS = ['tsm', 'nitrotpm', 'nitro', 'tpm', 'program', 'dev'] as const;
export type ProviderName = (typeof PROVIDERS)[number];

export interface EvidenceProvider {
  readonly name: ProviderName;
  /** Looks whether it can make evidence here; changes nothing. */
  find(): Promise<Found>;
  /**
   * Makes evidence that carries the report data, 64 bytes: what a SHA-512 has, and what both of Linux' drivers take.
   * @throws `DAAS_TEE_DEVICE_MISSING`, `DAAS_TEE_DEVICE_FAILED`, `DAAS_TEE_REPORT_DATA_INVALID`
   */
  provide(reportData: Uint8Array, signal: AbortSignal): Promise<Provided>;
}

export interface Found {
  readonly isHere: boolean;
  /** What it looked for and saw, for people. */
  readonly what: string;
}

export interface Provided {
  readonly evidence: Evidence;
  /** SHA-256 of the root of a stand-in: it counts in no production policy. Hexadecimal. */
  readonly devRoot?: string;
}

const REPORT_DATA_BYTES = 64;

export function expectReportData(reportData: Uint8Array): Buffer {
  if (reportData.length === REPORT_DATA_BYTES) return asBuffer(reportData);
  throw new ConfigurationError(
    'DAAS_TEE_REPORT_DATA_INVALID',
    `the report data has ${reportData.length} bytes: evidence carries exactly ${REPORT_DATA_BYTES}. Pass the SHA-512 of what it is to be bound to`,
  );
}

/** A device that answers with what it made for another request would prove nothing to whom the evidence is for. */
export function expectBound(evidence: Evidence, reportData: Buffer, device: string): Evidence {
  // What a program's format carries, and where, is known to its reader alone.
  if (evidence.kind === 'command') return evidence;
  const carried = evidence.kind === 'tpm' ? tpmExtraDataOf(reportData) : reportData;
  if (asBuffer(evidence.bytes).includes(carried)) return evidence;
  throw failed(device, 'the evidence does not carry the report data that was asked for');
}

export function missing(device: string, why: string, cause?: unknown): ConfigurationError {
  return new ConfigurationError('DAAS_TEE_DEVICE_MISSING', `${device} makes no evidence here: ${why}`, {
    cause,
    details: { device },
  });
}

/** May pass: another request was in between, the host was busy. */
export function failed(device: string, why: string, cause?: unknown): DaasError {
  return new DaasError(
    'DAAS_TEE_DEVICE_FAILED',
    `${device} made no evidence: ${cause === undefined ? why : `${why} (${messageOf(cause)})`}`,
    { cause, isRetryable: true, details: { device } },
  );
}

export async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

/** Where a system's own programs are: a PATH that somebody set does not decide what runs as root. */
export const SYSTEM_DIRECTORIES: readonly string[] = [
  '/usr/bin',
  '/usr/local/bin',
  '/bin',
  '/usr/sbin',
  '/usr/local/sbin',
  '/sbin',
];

export async function programIn(directories: readonly string[], name: string): Promise<string | undefined> {
  for (const directory of directories) {
    const path = join(directory, name);
    if (await isThere(path)) return path;
  }
  return undefined;
}
