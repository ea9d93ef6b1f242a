import { join } from 'node:path';
import { projectRoot } from '../world/program.ts';
import { workerPlugins } from '../world/worker-plugins.ts';

/** What the configurations of a test's containers say. */

export const SUI = 1_000_000_000n;
export const GATEWAY_HOME = '/var/lib/k3s-daas-gateway';
export const HEALTH_PORT = 8444;
export const STANDIN = join(projectRoot, 'integration', 'standin');

const chainSettings = (home: string) => ({
  endpoints: ['http://chain:9000'],
  allowInsecure: true,
  deployment: `${home}/deployment.json`,
});

export const gatewaySettings = (serverUrl: string, gatewayId?: string) => ({
  nodeId: 'gateway',
  chain: chainSettings(GATEWAY_HOME),
  gateway: {
    listen: { host: '0.0.0.0', port: 8443 },
    tls: { certFile: `${GATEWAY_HOME}/tls.crt`, keyFile: `${GATEWAY_HOME}/tls.key` },
    // The test looks at it from outside.
    health: { host: '0.0.0.0', port: HEALTH_PORT },
    stateDir: `${GATEWAY_HOME}/state`,
    kubeconfig: `${GATEWAY_HOME}/kubeconfig`,
    server: serverUrl,
    serverCaFile: `${GATEWAY_HOME}/server-ca.crt`,
    heartbeatIntervalMs: 1000,
    ...(gatewayId === undefined ? {} : { gatewayId }),
  },
});

/** The stand-in of k3s, from the clone. */
export const standinAgent = {
  binary: join(STANDIN, 'agent', 'k3s'),
  args: ['--rootless', '--config=/etc/k3s-daas/k3s.yaml', '--data-dir=/var/lib/k3s'],
  containerdAddress: '/run/containerd.sock',
};

export const workerSettings = (nodeId: string, acceptTerms: string, agent: object) => ({
  nodeId,
  stateDir: '/etc/k3s-daas/state',
  chain: chainSettings('/etc/k3s-daas'),
  wallet: { keyFile: '/etc/k3s-daas/wallet.key' },
  stake: { amountMist: String(2n * SUI), acceptTerms },
  health: { host: '127.0.0.1', port: 0 },
  plugins: workerPlugins(),
  agent,
});
