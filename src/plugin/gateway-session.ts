import { DaasError, EXIT } from '#base';
import type { ChainReader, GatewayEntry } from '#domain';
import type { WorkerRegistered } from './events.ts';
import type { Challenge, GatewayConnection, GatewayConnector } from './services.ts';

export interface GatewaySession {
  readonly connection: GatewayConnection;
  readonly challenge: Challenge;
}

/**
 * Opens a connection to the gateway that took a registration, and takes a challenge on it. Who calls closes the connection.
 * @throws `DAAS_GATEWAY_NOT_ON_CHAIN` when the chain names that gateway no longer, and what the connection throws.
 */
export async function challengeGateway(
  registered: Pick<WorkerRegistered, 'nodeId' | 'gatewayId' | 'gatewayUrl'>,
  {
    chain,
    gateways,
  }: {
    readonly chain: Pick<ChainReader, 'cluster'> & { readonly wallet: string };
    readonly gateways: GatewayConnector;
  },
  signal: AbortSignal,
): Promise<GatewaySession> {
  const connection = gateways.connect(await gatewayOf(registered, chain, signal));
  try {
    const { nodeId } = registered;
    return {
      connection,
      challenge: await connection.challenge({ nodeId, staker: chain.wallet }, signal),
    };
  } catch (error) {
    await connection[Symbol.asyncDispose]();
    throw error;
  }
}

async function gatewayOf(
  { gatewayId, gatewayUrl }: Pick<WorkerRegistered, 'gatewayId' | 'gatewayUrl'>,
  chain: Pick<ChainReader, 'cluster'>,
  signal: AbortSignal,
): Promise<GatewayEntry> {
  const { gateways } = await chain.cluster(signal);
  const entry = gateways.find(({ id }) => id === gatewayId);
  if (entry) return entry;
  throw new DaasError('DAAS_GATEWAY_NOT_ON_CHAIN', `the chain names the gateway ${gatewayUrl} no longer`, {
    exitCode: EXIT.unexpected,
    details: { gatewayId, gatewayUrl },
  });
}
