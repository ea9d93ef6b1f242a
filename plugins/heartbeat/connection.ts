import { errorFacts, type GatewayConnection } from 'k3s-daas/plugin';

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
