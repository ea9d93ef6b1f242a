import type { TestProject } from 'vitest/node';
import { type FoundBinaries, findBinaries } from './binaries.ts';

declare module 'vitest' {
  interface ProvidedContext {
    controlPlane: FoundBinaries;
  }
}

/**
 * vitest's global setup of the project `kube`: finds or builds the real control plane. Without it the tests are skipped
 * and say what is missing; with `CI=true` that is a failure, since nothing else proves the policy's expressions.
 */
export async function setup(project: TestProject): Promise<void> {
  const found = await findBinaries((line) => process.stderr.write(`${line}\n`));
  if (found.kind === 'missing') {
    const lines = found.missing.map((line) => `  - ${line}`).join('\n');
    const message = `the tests on a real Kubernetes API server cannot run:\n${lines}`;
    if (process.env.CI === 'true') throw new Error(message);
    process.stderr.write(`${message}\n`);
  }
  project.provide('controlPlane', found);
}
