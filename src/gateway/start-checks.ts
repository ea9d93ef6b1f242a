import { DaasError, errorFields } from '#base';
import type { GatewayOptions } from './gateway-parts.ts';
import { checkOwnEntry } from './server-files.ts';

/**
 * Compares this gateway with its entry on chain. A chain that is away does not prevent a start: the nodes that run must
 * be heard.
 * @throws `DAAS_GATEWAY_NOT_ON_CHAIN`, `DAAS_GATEWAY_PIN_MISMATCH`.
 */
export async function checkEntry({ chain, config, log }: GatewayOptions, cert: string): Promise<void> {
  try {
    checkOwnEntry(await chain.cluster(), config.gatewayId, cert, log);
  } catch (error) {
    if (!(error instanceof DaasError && error.isRetryable)) throw error;
    log.warn('The chain cannot be read: the gateway’s entry there is not checked', errorFields(error));
  }
}

/**
 * Reads the admitted names. A cluster that is away may come back; one without `gateway setup` stays without it.
 * @throws `DAAS_CLUSTER_NOT_SET_UP`.
 */
export async function checkCluster({ kubernetes, log }: GatewayOptions): Promise<void> {
  try {
    await kubernetes.admittedNames();
  } catch (error) {
    if (!(error instanceof DaasError && error.isRetryable)) throw error;
    log.warn('The cluster cannot be reached yet', errorFields(error));
  }
}
