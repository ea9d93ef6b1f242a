import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

const conditions = ['source', 'module', 'node', 'development|production'];
const shared = {
  ssr: { resolve: { conditions } },
  resolve: { conditions },
};

/**
 * - `unit`: everything that needs no other process; beside the code it describes.
 * - `integration`: worlds of real processes on loopback.
 * - `kube`: the real API server (`npm run test:kube`).
 */
export default defineConfig({
  test: {
    maxWorkers: Math.max(2, availableParallelism()),
    projects: [
      {
        ...shared,
        test: {
          name: 'unit',
          include: [
            'src/**/*.test.ts',
            'devnet/src/**/*.test.ts',
            'plugins/**/*.test.ts',
            'contracts/**/*.test.ts',
            'scripts/**/*.test.ts',
          ],
          execArgv: ['--conditions=source'],
          testTimeout: 20_000,
          // A transform cached under another tsconfig would be served stale.
          fsModuleCache: false,
        },
      },
      {
        ...shared,
        test: {
          name: 'integration',
          include: ['integration/**/*.test.ts'],
          exclude: ['integration/kube/**', 'node_modules/**'],
          execArgv: ['--conditions=source'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fsModuleCache: false,
        },
      },
      {
        ...shared,
        test: {
          name: 'kube',
          include: ['integration/kube/**/*.test.ts'],
          execArgv: ['--conditions=source'],
          globalSetup: ['integration/kube/setup.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 900_000,
          fsModuleCache: false,
        },
      },
    ],
  },
});
