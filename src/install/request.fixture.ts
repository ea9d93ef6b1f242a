import { lookAtMachine } from './facts.ts';
import type { PretendedMachine } from './machine.fixture.ts';
import { planRemoval } from './plan-removal.ts';
import { planWorker, type WorkerRequest } from './plan-worker.ts';
import type { Step } from './steps.ts';

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

export async function workerPlan(machine: PretendedMachine, change: Partial<WorkerRequest> = {}) {
  const asked = workerRequest(change);
  const places = { binDir: asked.k3s.binDir, environment: asked.environment };
  return planWorker(await lookAtMachine(machine, 'worker', places), asked);
}

export async function workerRemoval(machine: PretendedMachine, restoreK3s: boolean) {
  const facts = await lookAtMachine(machine, 'worker', { binDir: '/usr/local/bin', environment: {} });
  return planRemoval(facts, { role: 'worker', restoreK3s, programFiles: [] });
}

export const short = (step: Step) =>
  step.kind === 'run' ? step.argv.join(' ') : `${step.kind} ${step.path}`;
