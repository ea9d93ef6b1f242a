import { createHash } from 'node:crypto';
import type { EvidenceKind } from './evidence.ts';
import type { Claims } from './verdict.ts';

/**
 * What the chain names as the measurement of a gateway with evidence of this kind; `undefined`: the evidence shows none.
 *
 * - `nitro`: SHA-256 of PCR0, PCR1 and PCR2, as the contracts compute it (attestation.move)
 * - `nitrotpm`, `tpm`: SHA-256 of all registers that are shown, each with its number before it, in the order of the numbers
 * - `sev-snp`: the launch measurement, 48 bytes
 * - `tdx`: SHA-256 of MRTD and RTMR0 to RTMR3
 * - `sgx`: MRENCLAVE, 32 bytes
 * - `command`: what the program says, as UTF-8
 */
export function registeredMeasurement(
  kind: EvidenceKind,
  measurements: Claims['measurements'],
): Buffer | undefined {
  const { measurement, mrEnclave } = measurements;
  switch (kind) {
    case 'nitro':
      return hashOf(measurements, ['pcr0', 'pcr1', 'pcr2']);
    case 'nitrotpm':
    case 'tpm':
      return registersOf(measurements);
    case 'sev-snp':
      return measurement === undefined ? undefined : Buffer.from(measurement, 'hex');
    case 'tdx':
      return hashOf(measurements, ['mrTd', 'rtmr0', 'rtmr1', 'rtmr2', 'rtmr3']);
    case 'sgx':
      return mrEnclave === undefined ? undefined : Buffer.from(mrEnclave, 'hex');
    case 'command':
      return measurement === undefined ? undefined : Buffer.from(measurement);
    default:
      return kind satisfies never;
  }
}

function hashOf(measurements: Claims['measurements'], names: readonly string[]): Buffer | undefined {
  const hash = createHash('sha256');
  for (const name of names) {
    const value = measurements[name];
    if (value === undefined) return undefined;
    hash.update(Buffer.from(value, 'hex'));
  }
  return hash.digest();
}

/** The number of each counts: the same values in other registers are another machine. */
function registersOf(measurements: Claims['measurements']): Buffer | undefined {
  const registers = Object.entries(measurements)
    .flatMap(([name, value]) => (/^pcr\d+$/.test(name) ? [{ index: Number(name.slice(3)), value }] : []))
    .sort((a, b) => a.index - b.index);
  if (registers.length === 0) return undefined;
  const hash = createHash('sha256');
  for (const { index, value } of registers) hash.update(Buffer.of(index)).update(Buffer.from(value, 'hex'));
  return hash.digest();
}
