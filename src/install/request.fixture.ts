import { lookAtMachine } from './facts.ts';
import type { PretendedMachine } from './machine.fixture.ts';
import { planRemoval } from './plan-removal.ts';
import { planWorker, type WorkerRequest } from './plan-worker.ts';
import type { Step } from './steps.ts';

export const helpOfTests = { manual: 'a manual', bash: 'for bash', zsh: 'for zsh', fish: 'for fish' };

/** The steps that write it. */
export const helpWrites = [
  'write /usr/local/share/man/man1/k3s-daas.1',
  'write /usr/local/share/bash-completion/completions/k3s-daas',
  'write /usr/local/share/zsh/site-functions/_k3s-daas',
  'write /usr/local/share/fish/vendor_completions.d/k3s-daas.fish',
];

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
  help: helpOfTests,
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
