import type { WorkerEvidence } from '#api';
import { errorFields, type Log } from '#base';
import { type Loaded, pathOf } from './settings.ts';

export interface AgentEvidenceOptions {
  readonly chainId: string;
  readonly nowMs: () => number;
  readonly log: Log;
}

/** A gateway's challenge counts for a minute. */
const MAKE_WITHIN_MS = 30_000;

/**
 * Evidence of this machine for the gateways that ask for it; `undefined`: `attestation.evidence.provider` is none.
 * @throws what `openMachineEvidence` throws
 */
export async function openAgentEvidence(
  settings: Loaded,
  { chainId, nowMs, log }: AgentEvidenceOptions,
): Promise<WorkerEvidence | undefined> {
  const { attestation, stateDir } = settings.value;
  if (attestation.evidence.provider === 'none') return undefined;
  const [{ openMachineEvidence }, { workerReportDataOf }] = await Promise.all([
    import('./machine-evidence.ts'),
    import('#tee'),
  ]);
  const sectionName = 'attestation.evidence';
  const collateralFile = pathOf(settings, `${sectionName}.collateralFile`);
  const section = { ...attestation.evidence, ...(collateralFile !== undefined && { collateralFile }) };
  if (section.provider === 'dev')
    log.warn(
      'A stand-in makes the evidence of this machine: it proves nothing, and no production policy accepts it',
    );
  const machine = await openMachineEvidence({ section, sectionName, stateDir, nowMs });
  if (!machine) return undefined;
  log.info('The machine makes evidence', { event: 'host.evidence-ready', detail: machine.detail });
  return {
    async make(bound, signal) {
      const within = AbortSignal.timeout(MAKE_WITHIN_MS);
      const reportData = workerReportDataOf({ ...bound, chainId });
      try {
        return await machine.make(reportData, signal ? AbortSignal.any([signal, within]) : within);
      } catch (error) {
        log.error('The machine made no evidence', { event: 'host.evidence-failed', ...errorFields(error) });
        throw error;
      }
    },
  };
}
