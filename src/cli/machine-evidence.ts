import { randomBytes } from 'node:crypto';
import { ConfigurationError } from '#base';
import type { EvidenceSettings } from '#infrastructure';
import {
  type CollateralItem,
  type Evidence,
  type EvidenceProvider,
  evidenceProviders,
  formatEvidence,
  look,
  type Provided,
  parseCollateral,
  registeredMeasurement,
} from '#tee';
import { readTeeFile } from './tee-files.ts';

export interface MachineEvidenceOptions {
  /** `gateway.attestation`, or `attestation.evidence` of a worker. */
  readonly section: EvidenceSettings;
  /** The name of that section, for messages. */
  readonly sectionName: string;
  readonly stateDir: string;
  readonly nowMs: () => number;
}

export interface MachineEvidence {
  /** What the machine shows, for the log. */
  readonly detail: string;
  /** An evidence file, as JSON, with the collateral of the configuration. */
  make(reportData: Uint8Array, signal: AbortSignal): Promise<Readonly<Record<string, unknown>>>;
}

const TRY_WITHIN_MS = 60_000;
/** A stand-in's certificates end after three hours: another one is made before. */
const PROVIDER_LIFE_MS = 3_600_000;

/**
 * Opens what makes evidence of this machine, and asks it once, so that a device that fails is found at the start; `undefined`: the
 * provider is none.
 * @throws `DAAS_TEE_DEVICE_MISSING` when the provider of the configuration has no device here, and what makes the collateral file none
 */
export async function openMachineEvidence(
  options: MachineEvidenceOptions,
): Promise<MachineEvidence | undefined> {
  const { section, sectionName } = options;
  const { provider: name, collateralFile } = section;
  if (name === 'none') return undefined;
  const open = providers(options);
  const { isHere, what } = await open().find();
  if (!isHere)
    throw new ConfigurationError(
      'DAAS_TEE_DEVICE_MISSING',
      `${sectionName}.provider is ${name}, and nothing makes such evidence here: ${what}`,
      { details: { device: name } },
    );
  await collateralOf(collateralFile);
  const detail = await tryOut(open(), options);
  return {
    detail,
    make: async (reportData, signal) =>
      fileOf(await open().provide(reportData, signal), await collateralOf(collateralFile)),
  };
}

/** Once at the start: what it shows is what the chain, or a policy, has to name. */
async function tryOut(
  provider: EvidenceProvider,
  { nowMs }: Pick<MachineEvidenceOptions, 'nowMs'>,
): Promise<string> {
  const { evidence, devRoot } = await provider.provide(randomBytes(64), AbortSignal.timeout(TRY_WITHIN_MS));
  const seen = evidence.kind === 'command' ? undefined : await look(evidence, { nowMs: nowMs(), devRoot });
  const measurement = seen?.claims && registeredMeasurement(evidence.kind, seen.claims.measurements);
  const key = seen?.claims?.details?.attestationKey;
  return [
    evidence.kind,
    `measurement for the chain ${measurement?.toString('hex') ?? 'as its program says'}`,
    ...(key === undefined ? [] : [`attestation key ${key}`]),
    ...(devRoot === undefined ? [] : [`root of the stand-in ${devRoot}`]),
  ].join(', ');
}

/** The provider of now. */
function providers({ section, stateDir, nowMs }: MachineEvidenceOptions): () => EvidenceProvider {
  const { provider: name, collateralFile: _, ...asked } = section;
  let made: { readonly provider: EvidenceProvider; readonly atMs: number } | undefined;
  return () => {
    const atMs = nowMs();
    if (!made || atMs - made.atMs > PROVIDER_LIFE_MS) {
      const all = evidenceProviders({
        ...asked,
        tcti: process.env.TPM2TOOLS_TCTI,
        devDirectory: stateDir,
        nowMs: atMs,
      });
      made = { provider: all[name as Exclude<typeof name, 'none'>], atMs };
    }
    return made.provider;
  };
}

/** Read for each: it is refreshed by another program. */
export async function collateralOf(file: string | undefined): Promise<readonly CollateralItem[]> {
  return file === undefined ? [] : parseCollateral(await readTeeFile(file, 'the collateral'), file);
}

function fileOf({ evidence }: Provided, more: readonly CollateralItem[]): Readonly<Record<string, unknown>> {
  const whole: Evidence = { ...evidence, collateral: [...evidence.collateral, ...more] };
  return JSON.parse(formatEvidence(whole)) as Readonly<Record<string, unknown>>;
}
