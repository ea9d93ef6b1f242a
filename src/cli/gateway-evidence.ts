import type { Log } from '#base';
import type { GatewayOptions, RunnableGatewayConfig } from '#gateway';
import { reportDataOf } from '#tee';
import { openMachineEvidence } from './machine-evidence.ts';

export interface GatewayEvidenceOptions {
  readonly config: Pick<RunnableGatewayConfig, 'attestation' | 'stateDir'>;
  readonly chainId: string;
  readonly nowMs: () => number;
  readonly log: Log;
}

/**
 * Evidence of this machine for the workers that ask; `undefined`: `gateway.attestation.provider` is none.
 * @throws what `openMachineEvidence` throws
 */
export async function openGatewayEvidence({
  config: { attestation, stateDir },
  chainId,
  nowMs,
  log,
}: GatewayEvidenceOptions): Promise<GatewayOptions['evidence']> {
  if (attestation.provider === 'none')
    log.warn('The gateway makes no evidence of what it runs: workers that demand some do not register here');
  if (attestation.provider === 'dev')
    log.warn(
      'A stand-in makes the evidence of this gateway: it proves nothing, and no production policy accepts it',
    );
  const sectionName = 'gateway.attestation';
  const machine = await openMachineEvidence({ section: attestation, sectionName, stateDir, nowMs });
  if (!machine) return undefined;
  log.info('The machine makes evidence', { event: 'gateway.evidence-ready', detail: machine.detail });
  return {
    chainId,
    make: ({ signal, ...bound }) => machine.make(reportDataOf({ ...bound, chainId }), signal),
  };
}
