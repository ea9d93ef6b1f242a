/** The plugins of a worker, who asks this gateway first. It looks for slashes every second. */
export const workerPlugins = (gatewayUrl?: string) => [
  { use: 'staking' },
  { use: 'registration', ...(gatewayUrl !== undefined && { config: { gatewayUrl } }) },
  { use: 'heartbeat' },
  { use: 'slashing', config: { intervalMs: 1000 } },
];
