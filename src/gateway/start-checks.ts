import { ConfigurationError, DaasError, errorFields } from '#base';
import { publicHexOf } from './audit-signer.ts';
import type { RunnableGatewayConfig } from './config.ts';
import type { GatewayOptions } from './gateway-parts.ts';
import { checkOwnEntry } from './server-files.ts';

/**
 * What only an API server that asks this gateway makes use of.
 * @throws `DAAS_TOKEN_REVIEW_OFF`.
 */
export function checkTokenReview({
  joinCredential,
  tenants,
  tokenReview,
}: Pick<RunnableGatewayConfig, 'joinCredential' | 'tenants' | 'tokenReview'>): void {
  if (tokenReview.enabled) return;
  if (joinCredential === 'webhook')
    throw new ConfigurationError(
      'DAAS_TOKEN_REVIEW_OFF',
      'gateway.joinCredential is webhook and gateway.tokenReview.enabled is false: no API server could ask about a join credential. Set it to true',
    );
  if (tenants.enabled)
    throw new ConfigurationError(
      'DAAS_TOKEN_REVIEW_OFF',
      'gateway.tenants.enabled is true and gateway.tokenReview.enabled is false: nobody could log in, and no namespace would be made. Set gateway.tokenReview.enabled to true',
    );
}

/**
 * Compares this gateway with its entry on chain. A chain that is away does not prevent a start: the nodes that run must
 * be heard.
 * @throws `DAAS_GATEWAY_NOT_ON_CHAIN`, `DAAS_GATEWAY_PIN_MISMATCH`.
 */
export async function checkEntry(
  { chain, config, log, signingKey }: GatewayOptions,
  cert: string,
): Promise<void> {
  const { gatewayId } = config;
  try {
    const cluster = await chain.cluster();
    checkOwnEntry(cluster, gatewayId, cert, log);
    const named = cluster.gateways.find(({ id }) => id === gatewayId)?.signingKey ?? '';
    if (signingKey && publicHexOf(signingKey) !== Buffer.from(named).toString('hex'))
      log.warn(
        'The chain names another signing key for this gateway: checkpoints of its audit file do not count',
        {
          gatewayId,
        },
      );
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
