import type { AgentStart, AgentState, AgentSupervisor, KubeletProof, ResourceUsage } from '#plugin';
import { AgentContext, type SupervisorOptions } from './agent-context.ts';
import { type Acceptance, inspectAgent } from './agent-plan.ts';
import { type AgentRun, newRun, replaced, stopped } from './agent-run.ts';
import { readClientCertificates } from './certificates.ts';
import { criPods } from './cri.ts';
import { keepShownKubelet, proveKubelet } from './kubelet-key.ts';
import { nodePasswordFile } from './node-password.ts';
import { countPods } from './pods.ts';
import { probeReadiness } from './readiness.ts';
import { killAllPods, stopLeftOver } from './stop-agent.ts';
import { supervise } from './supervise.ts';
import { usageMeter } from './usage.ts';

/** Supervises one k3s agent process. Changes nothing on the machine until `preflight` or `start`. */
export function createAgentSupervisor(options: SupervisorOptions): AgentSupervisor {
  return new K3sSupervisor(options);
}

class K3sSupervisor implements AgentSupervisor {
  readonly #context: AgentContext;
  readonly #usage: () => Promise<ResourceUsage>;
  #run: AgentRun | undefined;
  #stopping: Promise<void> | undefined;
  #stoppingForGood: Promise<void> | undefined;

  constructor(options: SupervisorOptions) {
    this.#context = new AgentContext(options);
    this.#usage = usageMeter({ dataDir: () => this.#context.dataDir, clock: options.clock });
  }

  state(): AgentState {
    return this.#context.state;
  }

  /** As the container runtime says; without its answer, by the shims that run. */
  async runningPods(signal?: AbortSignal): Promise<number | undefined> {
    const { containerdAddress } = await this.#context.plan();
    return criPods(containerdAddress, signal).catch(() => countPods(containerdAddress));
  }

  /** Known after `preflight`. */
  k3sVersion(): string | undefined {
    const accepted = this.#context.options.journal.read('accepted') as Acceptance | undefined;
    return accepted?.version;
  }

  resourceUsage(): Promise<ResourceUsage> {
    return this.#usage();
  }

  async preflight(signal: AbortSignal): Promise<void> {
    const { settings, env, nodeId, journal, log } = this.#context.options;
    const { plan, binary, version, fingerprint } = await inspectAgent(settings, env, nodeId, {
      signal,
      accepted: journal.read('accepted') as Acceptance | undefined,
    });
    this.#context.keepPlan(plan);
    await journal.write('accepted', { fingerprint, version } satisfies Acceptance);
    log.info('k3s accepts its settings', { binary, version, dataDir: plan.dataDir });
    await this.#context.tokenFile();
    if (plan.logsToFile)
      log.warn('k3s writes its log to a file: the reasons of a failed join are not visible here', {
        error: { code: 'DAAS_AGENT_LOG_ELSEWHERE' },
      });
    signal.throwIfAborted();
    await stopLeftOver(this.#context);
  }

  async nodePasswordFile(): Promise<string> {
    const { dataDir, isRootless } = await this.#context.plan();
    return nodePasswordFile(dataDir, isRootless);
  }

  async start(request: AgentStart, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const before = this.#run;
    const run = newRun(request, this.#context.options.clock);
    this.#run = run;
    const stopping = this.#stopping;
    before?.asked.abort(replaced());
    run.over = Promise.allSettled([before?.over, stopping]).then(() => supervise(run, this.#context));
    const onAbort = () => run.asked.abort(signal.reason);
    signal.addEventListener('abort', onAbort);
    try {
      await run.ready.promise;
    } finally {
      signal.removeEventListener('abort', onAbort);
      if (signal.aborted && !run.hasBeenReady) await run.over;
    }
  }

  failed(): Promise<Error> {
    return this.#run?.failed.promise ?? Promise.withResolvers<Error>().promise;
  }

  clientCertificates(): Promise<readonly string[]> {
    return readClientCertificates(this.#context.dataDir);
  }

  certificatesShown(certificates: readonly string[]): Promise<void> {
    return keepShownKubelet(this.#context.dataDir, certificates);
  }

  async proveKubelet(text: string): Promise<KubeletProof | undefined> {
    return proveKubelet((await this.#context.plan()).dataDir, text);
  }

  async needsCredential(signal: AbortSignal): Promise<boolean> {
    const { kind } = this.#context.state;
    switch (kind) {
      case 'idle':
      case 'stopping':
      case 'stopped':
        return true;
      case 'waiting':
        return this.#run?.isRefused === true;
      case 'starting':
      case 'ready': {
        const { nodeId } = this.#context.options;
        const readiness = await probeReadiness({ ...(await this.#context.plan()), nodeId }, signal);
        if (readiness.isReady) return false;
        return readiness.isNodeRefused || this.#run?.isRefused === true;
      }
      default:
        return kind satisfies never;
    }
  }

  stop({ atOnce = false }: { readonly atOnce?: boolean } = {}): Promise<void> {
    if (atOnce) this.#context.hurry();
    this.#stopping ??= this.#halt().finally(() => {
      this.#stopping = undefined;
      this.#context.unhurry();
    });
    return this.#stopping;
  }

  stopForGood(): Promise<void> {
    this.#stoppingForGood ??= this.#haltForGood().finally(() => {
      this.#stoppingForGood = undefined;
    });
    return this.#stoppingForGood;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #halt(): Promise<void> {
    const run = this.#run;
    if (!run) return;
    const hadProcess = this.#context.pid !== undefined;
    run.asked.abort(stopped());
    await run.over;
    if (this.#run === run) this.#run = undefined;
    if (run.stopFailure) throw run.stopFailure;
    if (hadProcess && !this.#stoppingForGood)
      this.#context.options.emit('agent.stopped', { pid: run.pid, killedPids: run.killedPids });
  }

  /** Every step runs even if an earlier one failed: a full disk must not keep a locked-out node running. */
  async #haltForGood(): Promise<void> {
    const { emit } = this.#context.options;
    const run = this.#run;
    const failures: unknown[] = [];
    const attempt = <T>(step: () => Promise<T>): Promise<T | undefined> =>
      step().catch((error: unknown) => {
        failures.push(error);
        return undefined;
      });
    const wipe = async () => (await this.#context.tokenFile()).wipe();
    // The credential first: no later start may use it, whatever hangs below. If this fails, the second wipe reports it.
    await wipe().catch(() => undefined);
    await attempt(() => this.stop());
    // A start that was being prepared meanwhile may have written the credential again.
    await attempt(wipe);
    const leftOver = await attempt(() => stopLeftOver(this.#context));
    const pods = await attempt(() => killAllPods(this.#context));
    emit('agent.stopped', {
      pid: run?.pid ?? leftOver,
      killedPids: [...(run?.killedPids ?? []), ...(pods ?? [])],
    });
    if (failures.length > 1) throw new AggregateError(failures, 'the agent could not be stopped for good');
    if (failures.length === 1) throw failures[0];
  }
}
