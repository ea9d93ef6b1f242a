import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DaasError } from '#base';
import { askProgram } from '#infrastructure';
import type { Evidence } from './evidence.ts';
import {
  type EvidenceProvider,
  expectBound,
  expectReportData,
  failed,
  missing,
  programIn,
  SYSTEM_DIRECTORIES,
} from './provider.ts';

const PROGRAM = 'nitro-tpm-attest';
const NEED = `there is no ${PROGRAM}: on Amazon Linux it is in the package aws-nitro-tpm-tools, for EC2 instances with NitroTPM`;
const TIMEOUT_MS = 30_000;

/** Evidence of an EC2 instance, by the program that AWS makes for it (EC2 user guide, "Get the NitroTPM Attestation Document"). */
export function nitroTpmProvider(directories = SYSTEM_DIRECTORIES): EvidenceProvider {
  return {
    name: 'nitrotpm',
    async find() {
      const program = await programIn(directories, PROGRAM);
      return { isHere: program !== undefined, what: program ?? NEED };
    },
    async provide(reportData, signal) {
      const program = await programIn(directories, PROGRAM);
      if (program === undefined) throw missing('NitroTPM', NEED);
      const userData = expectReportData(reportData);
      const evidence: Evidence = {
        kind: 'nitrotpm',
        bytes: await document(program, userData, signal),
        collateral: [],
      };
      return { evidence: expectBound(evidence, userData, program) };
    },
  };
}

/** The program reads the user data from a file, and prints the document. */
async function document(program: string, userData: Buffer, signal: AbortSignal): Promise<Buffer> {
  const directory = await mkdtemp(join(tmpdir(), 'k3s-daas-evidence-'));
  try {
    const file = join(directory, 'user-data');
    await writeFile(file, userData);
    const words = ['--user-data', file];
    return await askProgram(
      { program, arguments: words, timeoutMs: TIMEOUT_MS, origin: 'it makes evidence' },
      signal,
    );
  } catch (cause) {
    if (cause instanceof DaasError) throw cause;
    throw failed(program, 'it failed', cause);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
