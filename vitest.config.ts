import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

// Those of Node itself, which loads the packages: files for bundlers (`module`) need not run in it.
const conditions = ['source', 'node', 'development|production'];
const shared = {
  ssr: { resolve: { conditions } },
  resolve: { conditions },
};
const options = {
  execArgv: ['--conditions=source'],
  // A transform cached under another tsconfig would be served stale.
  fsModuleCache: false,
};
const processes = { ...options, testTimeout: 120_000, hookTimeout: 120_000 };

/** What describes a Sui chain. */
const chainSuites = ['devnet/src/**/*.suite.ts', 'contracts/test/**/*.suite.ts'];
/** What describes Kubernetes, k3s and the product on them. */
const clusterSuites = ['integration/**/*.suite.ts'];
/** What describes the gateway's public port; addresses of peers count in each. */
const publicPort = [
  'src/gateway/{behind-haproxy,event-streams,gateway,key-breaches,leaving,load-breaches,proof-breaches,registering-again,token-usage}.test.ts',
  'integration/port.test.ts',
];
/** Need a real k3s (K3S_BIN), and are skipped by name without it. */
const realK3s = ['integration/real-*.test.ts', 'integration/world/real-machine.test.ts'];

/**
 * A project is a world: a suite (`*.suite.ts`) describes one behaviour and runs in each project that includes it.
 *
 * - `unit`: everything that needs no other process; beside the code it describes. Chain suites run on the dev chain.
 * - `integration`: worlds of real processes on loopback, on the stand-ins.
 * - `haproxy`: what describes the gateway's public port, through a real HAProxy (`npm run test:haproxy`).
 * - `kube`: a real API server (`npm run test:kube`).
 * - `containers`: containers on a Docker network (`npm run test:containers`).
 * - `real`: a real k3s (`K3S_BIN`).
 * - `sui`: a real Sui full node (`K3S_DAAS_TEST_SUI_RPC_ENDPOINT`).
 */
export default defineConfig({
  test: {
    maxWorkers: Math.max(2, availableParallelism()),
    projects: [
      {
        ...shared,
        test: {
          ...options,
          name: 'unit',
          include: ['{src,devnet/src,plugins,contracts,scripts}/**/*.test.ts', ...chainSuites],
          exclude: ['src/gateway/behind-haproxy.test.ts'],
          provide: { chain: 'dev chain' },
          testTimeout: 20_000,
        },
      },
      {
        ...shared,
        test: {
          ...processes,
          name: 'integration',
          include: ['integration/**/*.test.ts', ...clusterSuites],
          exclude: ['integration/kube/**', 'integration/containers/**', ...realK3s],
          provide: { world: 'standin' },
        },
      },
      {
        ...shared,
        test: {
          ...processes,
          name: 'haproxy',
          include: publicPort,
          env: { K3S_DAAS_TEST_FRONT: 'haproxy' },
          provide: { world: 'standin' },
        },
      },
      {
        ...shared,
        test: {
          ...processes,
          name: 'kube',
          include: ['integration/kube/**/*.test.ts', ...clusterSuites],
          globalSetup: ['integration/kube/setup.ts'],
          provide: { world: 'kube' },
          fileParallelism: false,
          hookTimeout: 900_000,
        },
      },
      {
        ...shared,
        test: {
          ...processes,
          name: 'containers',
          include: ['integration/containers/**/*.test.ts'],
          globalSetup: ['integration/containers/setup.ts'],
          // Its image cannot be pulled everywhere; the tests remove what they start.
          env: { TESTCONTAINERS_RYUK_DISABLED: 'true' },
          // Upgrading waits for two containers and a join.
          testTimeout: 240_000,
          fileParallelism: false,
          hookTimeout: 300_000,
        },
      },
      {
        ...shared,
        test: {
          ...processes,
          name: 'real',
          include: [...realK3s, ...clusterSuites],
          provide: { world: 'real' },
          fileParallelism: false,
          hookTimeout: 300_000,
        },
      },
      {
        ...shared,
        test: {
          ...options,
          name: 'sui',
          include: chainSuites,
          provide: { chain: 'full node' },
          // All files spend from one account.
          fileParallelism: false,
          testTimeout: 120_000,
        },
      },
    ],
  },
});
