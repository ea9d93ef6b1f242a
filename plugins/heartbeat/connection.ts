import {
  type ChainReader,
  DaasError,
  EXIT,
  errorFacts,
  type GatewayConnection,
  type GatewayConnector,
  type GatewayEntry,
  type WorkerRegistered,
} from 'k3s-daas/plugin';

/** Opens the connection to the gateway that took the registration, and asks for its time. */
export async function connectToGateway(
  registered: WorkerRegistered,
  {
    chain,
    gateways,
  }: { readonly chain: ChainReader & { readonly wallet: string }; readonly gateways: GatewayConnector },
  signal: AbortSignal,
): Promise<GatewayConnection> {
  const connection = gateways.connect(await gatewayOf(registered, chain, signal));
  try {
    // Proofs are dated in the gateway's time, which the challenge gives: with a wrong clock the first heartbeat is refused.
    await connection.challenge({ nodeId: registered.nodeId, staker: chain.wallet }, signal);
    return connection;
  } catch (error) {
    await connection[Symbol.asyncDispose]();
    throw error;
  }
}

async function gatewayOf(
  { gatewayId, gatewayUrl }: WorkerRegistered,
  chain: ChainReader,
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

export function isConnectionLost(error: unknown): boolean {
  return errorFacts(error).code === 'DAAS_GATEWAY_CONNECTION_LOST';
}

/** One connection, opened when it is first needed, and again after opening it failed. */
export function lazyConnection(connect: () => Promise<GatewayConnection>) {
  let opened: GatewayConnection | undefined;
  return {
    async open(): Promise<GatewayConnection> {
      opened ??= await connect();
      return opened;
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await opened?.[Symbol.asyncDispose]();
    },
  };
}
