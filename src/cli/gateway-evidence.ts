import { randomBytes } from 'node:crypto';
import { ConfigurationError, type Log } from '#base';
import type { GatewayOptions, RunnableGatewayConfig } from '#gateway';
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
  reportDataOf,
} from '#tee';
import { readTeeFile } from './tee-files.ts';

export interface GatewayEvidenceOptions {
  readonly config: Pick<RunnableGatewayConfig, 'attestation' | 'stateDir'>;
  readonly chainId: string;
  readonly nowMs: () => number;
  readonly log: Log;
}

const TRY_WITHIN_MS = 60_000;
/** A stand-in's certificates end after three hours: another one is made before. */
const PROVIDER_LIFE_MS = 3_600_000;

/**
 * Evidence of this machine for the workers that ask; `undefined`: `gateway.attestation.provider` is none.
 * @throws `DAAS_TEE_DEVICE_MISSING` when the provider of the configuration has no device here, and what makes the collateral file none
 */
export async function openGatewayEvidence(
  options: GatewayEvidenceOptions,
): Promise<GatewayOptions['evidence']> {
  const { config, chainId, log } = options;
  const { provider: name } = config.attestation;
  if (name === 'none') {
    log.warn('The gateway makes no evidence of what it runs: workers that demand some do not register here');
    return undefined;
  }
  if (name === 'dev')
    log.warn(
      'A stand-in makes the evidence of this gateway: it proves nothing, and no production policy accepts it',
    );
  const open = providers(options);
  const { isHere, what } = await open().find();
  if (!isHere)
    throw new ConfigurationError(
      'DAAS_TEE_DEVICE_MISSING',
      `gateway.attestation.provider is ${name}, and nothing makes such evidence here: ${what}`,
      { details: { device: name } },
    );
  await collateralOf(config.attestation.collateralFile);
  await tryOut(open(), options);
  return {
    chainId,
    async make({ signal, ...bound }) {
      const provided = await open().provide(reportDataOf({ ...bound, chainId }), signal);
      return fileOf(provided, await collateralOf(config.attestation.collateralFile));
    },
  };
}

/** Once at the start, so that a device that fails is found before workers ask. What it shows is what the chain has to name. */
async function tryOut(
  provider: EvidenceProvider,
  { log, nowMs }: Pick<GatewayEvidenceOptions, 'log' | 'nowMs'>,
): Promise<void> {
  const { evidence, devRoot } = await provider.provide(randomBytes(64), AbortSignal.timeout(TRY_WITHIN_MS));
  const seen = evidence.kind === 'command' ? undefined : await look(evidence, { nowMs: nowMs(), devRoot });
  const measurement = seen?.claims && registeredMeasurement(evidence.kind, seen.claims.measurements);
  const root = devRoot === undefined ? '' : `, root of the stand-in ${devRoot}`;
  log.info('The machine makes evidence', {
    event: 'gateway.evidence-ready',
    detail: `${evidence.kind}, measurement for the chain ${measurement?.toString('hex') ?? 'as its program says'}${root}`,
  });
}

/** The provider of now. */
function providers({ config, nowMs }: GatewayEvidenceOptions): () => EvidenceProvider {
  const { provider: name, collateralFile: _, ...asked } = config.attestation;
  let made: { readonly provider: EvidenceProvider; readonly atMs: number } | undefined;
  return () => {
    const atMs = nowMs();
    if (!made || atMs - made.atMs > PROVIDER_LIFE_MS) {
      const all = evidenceProviders({
        ...asked,
        tcti: process.env.TPM2TOOLS_TCTI,
        devDirectory: config.stateDir,
        nowMs: atMs,
      });
      made = { provider: all[name as Exclude<typeof name, 'none'>], atMs };
    }
    return made.provider;
  };
}

/** Read for each: it is refreshed by another program. */
async function collateralOf(file: string | undefined): Promise<readonly CollateralItem[]> {
  return file === undefined ? [] : parseCollateral(await readTeeFile(file, 'the collateral'), file);
}

function fileOf({ evidence }: Provided, more: readonly CollateralItem[]): Readonly<Record<string, unknown>> {
  const whole: Evidence = { ...evidence, collateral: [...evidence.collateral, ...more] };
  return JSON.parse(formatEvidence(whole)) as Readonly<Record<string, unknown>>;
}
