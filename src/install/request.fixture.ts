import type { WorkerRequest } from './plan-worker.ts';

/** A request of a worker that is named worker-1, on a machine that has k3s. */
export const workerRequest = (change: Partial<WorkerRequest> = {}): WorkerRequest => ({
  program: '/usr/local/bin/k3s-daas',
  flags: undefined,
  environment: { K3S_DAAS_NODE_ID: 'worker-1', PATH: '/usr/bin' },
  nodeId: 'worker-1',
  keyMode: undefined,
  walletKeyFile: '/etc/k3s-daas/wallet.key',
  k3s: {
    binDir: '/usr/local/bin',
    skipDownload: false,
    version: undefined,
    baseUrl: undefined,
    sha256: undefined,
  },
  skipStart: false,
  skipEnable: false,
  startDeadlineMs: 60_000,
  ...change,
});
