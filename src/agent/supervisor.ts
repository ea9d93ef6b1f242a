import { join } from 'node:path';
import {
  type Clock,
  ConfigurationError,
  DaasError,
  EXIT,
  errorFields,
  type Journal,
  type Log,
  messageOf,
} from '#base';
import { isAlive, type ProcessIdentity, parseProcessIdentity, processIdentity } from '#infrastructure';
import type { AgentStart, AgentState, AgentSupervisor, HostEvents, ResourceUsage } from '#plugin';
import { childEnvironment, composeArguments } from './arguments.ts';
import { findBinary } from './binary.ts';
import { kubeletCertificate, planCertificates } from './certificates.ts';
import { kubeletHealthzUrl } from './kubelet-health.ts';
import { fatalWords, isSettingFault, joinTrouble, parseLogLine } from './log-lines.ts';
import { nodePasswordFile } from './node-password.ts';
import { type Acceptance, type AgentPlan, inspectAgent, readPlan, refuseAdditions } from './plan.ts';
import { countPods, isPodShim, killPods } from './pods.ts';
import { type AgentProcess, launch } from './process.ts';
import {
  killProcess,
  type RunningProcess,
  runningProcesses,
  sendSignal,
  waitForEnd,
  withDescendants,
} from './process-table.ts';
import { probeReadiness } from './readiness.ts';
import { decideRestart } from './restart.ts';
import type { AgentSettings } from './settings.ts';
import { deadToken, openTokenFile, parseFullToken, type TokenFile } from './token-file.ts';
import { usageMeter } from './usage.ts';

/** What the supervisor tells; the host makes `HostEvents` of it as they are. */
export type AgentEvents = Pick<
  HostEvents,
  'agent.started' | 'agent.ready' | 'agent.refused' | 'agent.exited' | 'agent.stopped' | 'agent.state.changed'
>;

export interface SupervisorOptions {
  readonly settings: AgentSettings;
  readonly nodeId: string;
  /** A section of its own. It holds the server's address, its CA hash and the child's pid; never a secret. */
  readonly journal: Journal;
  /** The environment that k3s inherits (a cleaned copy of) and that is searched for settings that are ours. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** From 0 up to 1; jitter of restarts. */
  readonly random: () => number;
  readonly log: Log;
  readonly emit: <E extends keyof AgentEvents>(event: E, fact: AgentEvents[E]) => void;
  /** How often readiness is looked at while the agent starts. */
  readonly probeIntervalMs?: number;
}

/** Supervises one k3s agent process. Nothing is touched until `preflight` or `start`. */
export function createAgentSupervisor(options: SupervisorOptions): AgentSupervisor {
  return new K3sSupervisor(options);
}

/** From a `start` until the supervision ends: stopped, replaced, or given up. */
interface Run {
  readonly request: AgentStart;
  /** Aborts when somebody asked for the end; its reason is what a waiting `start` rejects with. */
  readonly asked: AbortController;
  readonly ready: PromiseWithResolvers<void>;
  readonly failed: PromiseWithResolvers<Error>;
  over: Promise<void>;
  hasBeenReady: boolean;
  /** The credential was in a token file at a start before. */
  isCredentialSpent: boolean;
  /** When it ends, by the monotonic clock: the other one may be set meanwhile. */
  readonly credentialEndsMs: number;
  /** The server has said no since it was last Ready. */
  isRefused: boolean;
  lastTrouble: string | undefined;
  lastDetail: string | undefined;
  /** By which the process ended itself. */
  lastFatal: string | undefined;
  /** The last process of this run, and what had to be killed for its end. */
  pid: number | undefined;
  readonly killedPids: number[];
  /** A process that even SIGKILL did not end. */
  stopFailure: unknown;
}

/** A pod's shim may hold the output open for as long as the pod lives. */
const lastWordsMs = 1000;

type Milestone = 'ended' | 'ready' | 'late' | 'asked';

class K3sSupervisor implements AgentSupervisor {
  readonly #options: SupervisorOptions;
  readonly #usage: () => Promise<ResourceUsage>;
  #state: AgentState = { kind: 'idle' };
  #run: Run | undefined;
  #plan: AgentPlan | undefined;
  #tokenFile: TokenFile | undefined;
  #stopping: Promise<void> | undefined;
  /** Nobody waits any longer for a SIGTERM to be followed. */
  #hurry = Promise.withResolvers<void>();
  #stoppingForGood: Promise<void> | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#usage = usageMeter(() => this.#plan?.dataDir ?? '/var/lib/rancher/k3s');
  }

  state(): AgentState {
    return this.#state;
  }

  async runningPods(): Promise<number | undefined> {
    return countPods((await this.#expectPlan()).containerdAddress);
  }

  resourceUsage(): Promise<ResourceUsage> {
    return this.#usage();
  }

  async preflight(signal: AbortSignal): Promise<void> {
    const { settings, env, nodeId, journal, log } = this.#options;
    const { plan, binary, version, fingerprint } = await inspectAgent(settings, env, nodeId, {
      signal,
      accepted: journal.read('accepted') as Acceptance | undefined,
    });
    this.#plan = plan;
    await journal.write('accepted', { fingerprint, version } satisfies Acceptance);
    log.info('k3s accepts its settings', { binary, version, dataDir: plan.dataDir });
    await this.#expectTokenFile();
    if (plan.logsToFile)
      log.warn('k3s writes its log to a file: what it says about a join that fails cannot be told', {
        error: { code: 'DAAS_AGENT_LOG_ELSEWHERE' },
      });
    signal.throwIfAborted();
    await this.#stopLeftOver();
  }

  async nodePasswordFile(): Promise<string> {
    const { dataDir, isRootless } = await this.#expectPlan();
    return nodePasswordFile(dataDir, isRootless);
  }

  async start(request: AgentStart, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { clock } = this.#options;
    const before = this.#run;
    const run: Run = {
      request,
      asked: new AbortController(),
      ready: Promise.withResolvers(),
      failed: Promise.withResolvers(),
      over: Promise.resolve(),
      hasBeenReady: false,
      isCredentialSpent: false,
      credentialEndsMs: clock.monotonicMs() + (request.join?.expiresAtMs ?? 0) - clock.nowMs(),
      isRefused: false,
      lastTrouble: undefined,
      lastDetail: undefined,
      lastFatal: undefined,
      pid: undefined,
      killedPids: [],
      stopFailure: undefined,
    };
    run.ready.promise.catch(() => undefined);
    this.#run = run;
    const stopping = this.#stopping;
    before?.asked.abort(
      new DaasError('DAAS_AGENT_REPLACED', 'another start of the agent took the place of this one'),
    );
    run.over = Promise.allSettled([before?.over, stopping]).then(() => this.#supervise(run));
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

  async needsCredential(signal: AbortSignal): Promise<boolean> {
    const { kind } = this.#state;
    switch (kind) {
      case 'idle':
      case 'stopping':
      case 'stopped':
        return true;
      case 'waiting':
        return this.#run?.isRefused === true;
      case 'starting':
      case 'ready': {
        const { nodeId } = this.#options;
        const readiness = await probeReadiness({ ...(await this.#expectPlan()), nodeId }, signal);
        if (readiness.isReady) return false;
        return readiness.isNodeRefused || this.#run?.isRefused === true;
      }
      default:
        return kind satisfies never;
    }
  }

  stop({ atOnce = false }: { readonly atOnce?: boolean } = {}): Promise<void> {
    if (atOnce) this.#hurry.resolve();
    this.#stopping ??= this.#halt().finally(() => {
      this.#stopping = undefined;
      this.#hurry = Promise.withResolvers();
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
    const hadProcess = pidOf(this.#state) !== undefined;
    run.asked.abort(new DaasError('DAAS_AGENT_STOPPED', 'the agent was stopped'));
    await run.over;
    if (this.#run === run) this.#run = undefined;
    if (run.stopFailure) throw run.stopFailure;
    if (hadProcess && !this.#stoppingForGood)
      this.#options.emit('agent.stopped', { pid: run.pid, killedPids: run.killedPids });
  }

  /** Every step is taken even when one before it failed: a locked-out node must not go on because its disk is full. */
  async #haltForGood(): Promise<void> {
    const { emit } = this.#options;
    const run = this.#run;
    const failures: unknown[] = [];
    const attempt = <T>(step: () => Promise<T>): Promise<T | undefined> =>
      step().catch((error: unknown) => {
        failures.push(error);
        return undefined;
      });
    const wipe = async () => (await this.#expectTokenFile()).wipe();
    // The credential first: whatever hangs below, nothing starts on it again. A failure is told when it fails again.
    await wipe().catch(() => undefined);
    await attempt(() => this.stop());
    // A start that was being prepared meanwhile may have written it once more.
    await attempt(wipe);
    const leftOver = await attempt(() => this.#stopLeftOver());
    const pods = await attempt(() => this.#killPods());
    emit('agent.stopped', {
      pid: run?.pid ?? leftOver,
      killedPids: [...(run?.killedPids ?? []), ...(pods ?? [])],
    });
    if (failures.length > 1) throw new AggregateError(failures, 'the agent could not be stopped for good');
    if (failures.length === 1) throw failures[0];
  }

  async #killPods(): Promise<number[]> {
    const address = await this.#containerdAddress();
    const killed = await killPods(address, this.#options.clock);
    const left = await countPods(address);
    if (left === 0) return killed;
    throw new DaasError(
      'DAAS_PODS_NOT_KILLED',
      `${left ?? 'an unknown number of'} pods of ${address} are still running after SIGKILL: end them by hand (k3s-killall.sh)`,
      { isRetryable: true, details: { killedPids: killed } },
    );
  }

  /** Keeps one agent running until it is asked not to, or until that makes no sense any more. Never rejects. */
  async #supervise(run: Run): Promise<void> {
    const { settings, clock, random, log } = this.#options;
    const { signal } = run.asked;
    const crashesMs: number[] = [];
    let deadlineMs = clock.monotonicMs() + settings.joinDeadlineMs;
    try {
      await this.#stopLeftOver();
      for (;;) {
        signal.throwIfAborted();
        if (clock.monotonicMs() >= deadlineMs)
          throw joinDeadline(settings.joinDeadlineMs, this.#options.nodeId, run);
        const wasReady = await this.#live(run, deadlineMs);
        if (run.lastFatal !== undefined && isSettingFault(run.lastFatal))
          throw settingsRefused(run.lastFatal);
        crashesMs.push(clock.monotonicMs());
        if (wasReady) deadlineMs = clock.monotonicMs() + settings.joinDeadlineMs;
        const decision = decideRestart(crashesMs, settings.crashBudget, settings.restartDelay, random);
        if (decision.kind === 'give-up') throw crashing(decision.crashes, settings, run);
        const { delayMs } = decision;
        log.warn('The agent ended unasked, it will be started again', { delayMs, crashes: crashesMs.length });
        this.#enter({ kind: 'waiting', restartInMs: delayMs, detail: 'the agent ended unasked' });
        await clock.sleep(delayMs, signal);
      }
    } catch (error) {
      if (!run.hasBeenReady) await this.#restoreCertificates().catch(() => undefined);
      this.#conclude(run, error);
    }
  }

  #conclude(run: Run, error: unknown): void {
    const { signal } = run.asked;
    if (signal.aborted) {
      run.ready.reject(signal.reason);
      this.#enter({ kind: 'stopped', detail: messageOf(signal.reason) });
      return;
    }
    const failure = error instanceof Error ? error : new Error(String(error));
    this.#options.log.error('The agent is given up', { ...errorFields(failure) });
    this.#enter({ kind: 'stopped', detail: messageOf(failure) });
    if (run.hasBeenReady) run.failed.resolve(failure);
    else run.ready.reject(failure);
  }

  /** One process from its start to its end. Says whether it was Ready; throws when the end is not a crash. */
  async #live(run: Run, deadlineMs: number): Promise<boolean> {
    const { settings, emit, journal, log } = this.#options;
    const settled = await this.#expectPlan();
    refuseAdditions(settled, run.request);
    // The kubelet's own files may have changed since the last start.
    const plan = { ...settled, healthzUrl: await kubeletHealthzUrl(settled) };
    const hadCredential = await this.#prepare(run, plan);
    run.asked.signal.throwIfAborted();
    const child = await this.#launch(run, plan, hadCredential);
    const { pid } = child;
    run.pid = pid;
    let identity: ProcessIdentity | undefined;
    const over = new AbortController();
    let how: Milestone = 'asked';
    let wasReady = false;
    try {
      identity = await processIdentity(pid);
      await this.#takeNote(identity);
      this.#enter({ kind: 'starting', pid });
      emit('agent.started', { pid });
      how = await this.#firstOf(run, child, plan, deadlineMs, over.signal);
      if (how === 'ready') {
        wasReady = true;
        await this.#becomeReady(run, pid, plan);
        how = await this.#firstOf(run, child, undefined, Number.POSITIVE_INFINITY, over.signal);
      }
    } finally {
      over.abort();
      if (how !== 'ended') await this.#end(run, child, identity);
    }
    const end = await child.ended;
    // Its last words may still be on their way: they decide whether a restart makes sense.
    if (how === 'ended') await endsWithin(child.drained, lastWordsMs, this.#options.clock);
    await journal.remove('child');
    emit('agent.exited', { pid, ...end });
    if (how !== 'ended') {
      run.asked.signal.throwIfAborted();
      throw joinDeadline(settings.joinDeadlineMs, this.#options.nodeId, run);
    }
    // Judged by what was asked, not by the code: k3s ends with 0 when its containerd died, and with 1 on a SIGTERM while joining.
    log.warn('The agent ended', { pid, ...end });
    return wasReady;
  }

  /** What happens first to a process; with a plan it is also watched for becoming Ready. */
  #firstOf(
    run: Run,
    child: AgentProcess,
    plan: AgentPlan | undefined,
    deadlineMs: number,
    over: AbortSignal,
  ): Promise<Milestone> {
    const { clock } = this.#options;
    const milestones: Array<Promise<Milestone>> = [
      child.ended.then(() => 'ended'),
      aborted(run.asked.signal, over),
    ];
    if (plan) {
      const leftMs = Math.max(0, deadlineMs - clock.monotonicMs());
      milestones.push(this.#untilReady(run, plan, over));
      milestones.push(clock.sleep(leftMs, over).then(() => 'late'));
    }
    return Promise.race(milestones);
  }

  /** Token file, certificates and journal as this start needs them. Says whether there is a credential that may live. */
  async #prepare(run: Run, plan: AgentPlan): Promise<boolean> {
    const { journal, clock } = this.#options;
    const { join: credential } = run.request;
    const isFresh = credential !== undefined && !run.isCredentialSpent;
    if (isFresh) await this.#writeToken(run);
    else await this.#expectToken();
    const hasLiveCredential =
      isFresh ||
      (credential !== undefined && !run.hasBeenReady && clock.monotonicMs() < run.credentialEndsMs);
    const certificate = kubeletCertificate(plan.dataDir);
    await certificate.carryOut(
      planCertificates({
        ...(await certificate.facts()),
        hasLiveCredential,
        isFreshCredential: isFresh,
        lastStartReachedReady: journal.read('reached-ready') === true,
      }),
    );
    run.isCredentialSpent = true;
    run.lastTrouble = undefined;
    run.lastDetail = undefined;
    run.lastFatal = undefined;
    await journal.write('reached-ready', false);
    await journal.write('containerd-address', plan.containerdAddress);
    return hasLiveCredential;
  }

  async #writeToken({ request }: Run): Promise<void> {
    const { journal } = this.#options;
    const { server = '', token } = request.join ?? {};
    const parsed = token && parseFullToken(token);
    if (!token || !parsed)
      throw new DaasError(
        'DAAS_JOIN_CREDENTIAL_INVALID',
        `the gateway's join credential for ${server} is not of the form K10<CA hash>::<id>.<secret>: k3s would send it as a password`,
      );
    await journal.write('server', { url: server, caHash: parsed.caHash });
    await (await this.#expectTokenFile()).write(token.reveal());
  }

  /** Without a credential k3s still wants a token: the spent one, or after a reboot one that nobody owns. */
  async #expectToken(): Promise<void> {
    const { caHash } = this.#server();
    const file = await this.#expectTokenFile();
    const found = await file.read();
    if (!found || parseFullToken(found)?.caHash !== caHash) await file.write(deadToken(caHash));
  }

  #server(): { readonly url: string; readonly caHash: string } {
    const { journal, nodeId } = this.#options;
    const known = journal.read('server') as { url?: string; caHash?: string } | undefined;
    if (typeof known?.url !== 'string' || typeof known.caHash !== 'string')
      throw new DaasError(
        'DAAS_AGENT_NEVER_JOINED',
        `node '${nodeId}' got no join credential, and this state directory knows of no earlier join: the cluster still has a Node of this name; wait until it is gone, or have the operator evict it (k3s-daas gateway evict ${nodeId})`,
        { isRetryable: true },
      );
    return { url: known.url, caHash: known.caHash };
  }

  async #launch(run: Run, plan: AgentPlan, hadJoinCredential: boolean): Promise<AgentProcess> {
    const { settings, env, nodeId, log, emit } = this.#options;
    const { nodeLabels, taints, arguments: pluginArguments } = run.request;
    const argv = composeArguments({
      argv: settings.args,
      dataDir: plan.dataDir,
      server: this.#server().url,
      tokenFile: this.#tokenPath(),
      nodeId,
      nodeLabels,
      taints,
      pluginArguments,
    });
    const secret = run.request.join && parseFullToken(run.request.join.token)?.credential.reveal();
    const told = new Set<string>();
    let pid = 0;
    const output = log.child({ part: 'k3s' });
    const child = await launch({
      binary: await findBinary(settings.binary, env),
      argv,
      env: childEnvironment(env),
      onLine: (line) => {
        const record = parseLogLine(secret ? line.replaceAll(secret, '[secret]') : line);
        output[record.level](record.message, { pid, k3s: record.fields });
        run.lastFatal = fatalWords(record) ?? run.lastFatal;
        const trouble = joinTrouble(record);
        if (!trouble) return;
        run.lastTrouble = trouble.reason;
        run.isRefused ||= trouble.isRefusal;
        // Told once: the same refusal comes again every few seconds, with other numbers in it.
        const kind = trouble.reason.replaceAll(/\d+/g, '#');
        if (!trouble.isRefusal || told.has(kind)) return;
        told.add(kind);
        emit('agent.refused', { pid, reason: trouble.reason, hadJoinCredential });
      },
    });
    pid = child.pid;
    return child;
  }

  /** A host that is killed before this is written leaves an agent behind that dies of SIGPIPE at its next line. */
  async #takeNote(identity: ProcessIdentity | undefined): Promise<void> {
    if (identity) await this.#options.journal.write('child', identity);
  }

  async #untilReady(run: Run, plan: AgentPlan, signal: AbortSignal): Promise<'ready'> {
    const { clock, nodeId, probeIntervalMs = 500 } = this.#options;
    for (;;) {
      const readiness = await probeReadiness({ ...plan, nodeId }, signal);
      if (signal.aborted) return new Promise(() => undefined);
      if (readiness.isReady) return 'ready';
      run.lastDetail = readiness.detail;
      await clock.sleep(probeIntervalMs, signal).catch(() => undefined);
    }
  }

  async #becomeReady(run: Run, pid: number, plan: AgentPlan): Promise<void> {
    const { journal, emit } = this.#options;
    await journal.write('reached-ready', true);
    await kubeletCertificate(plan.dataDir).forgetAside();
    run.hasBeenReady = true;
    run.isRefused = false;
    this.#enter({ kind: 'ready', pid });
    emit('agent.ready', { pid });
    run.ready.resolve();
  }

  /** A join that did not come about gives back the certificates that were moved aside for it. */
  async #restoreCertificates(): Promise<void> {
    const certificate = kubeletCertificate((await this.#expectPlan()).dataDir);
    const facts = await certificate.facts();
    await certificate.carryOut(
      planCertificates({
        ...facts,
        hasLiveCredential: false,
        isFreshCredential: false,
        lastStartReachedReady: false,
      }),
    );
  }

  /** SIGTERM once (a second one ends k3s on the spot), then at the deadline SIGKILL for it and what is below it. */
  async #end(run: Run, child: AgentProcess, identity: ProcessIdentity | undefined): Promise<void> {
    const { settings, clock } = this.#options;
    this.#enter({ kind: 'stopping', pid: child.pid });
    child.terminate();
    if (await endsWithin(child.ended, settings.stopDeadlineMs, clock, this.#hurry.promise)) return;
    this.#options.log.warn('The agent did not end in time and is killed', { pid: child.pid });
    if (identity) run.killedPids.push(...(await killTree(identity)));
    if (await endsWithin(child.ended, 5000, clock)) return;
    run.stopFailure = notStopped(child.pid);
    throw run.stopFailure;
  }

  /** An agent that an earlier life of the host started: its output goes nowhere, and a second one would clash with it. */
  async #stopLeftOver(): Promise<number | undefined> {
    const { journal, settings, clock, log } = this.#options;
    const identity = parseProcessIdentity(journal.read('child'));
    if (!identity || pidOf(this.#state) === identity.pid) return undefined;
    const wasAlive = await isAlive(identity);
    if (wasAlive) {
      log.info('Stopping the agent that an earlier life of the host left running', { pid: identity.pid });
      sendSignal(identity.pid, 'SIGTERM');
      if (!(await waitForEnd(identity, settings.stopDeadlineMs, clock))) {
        await killTree(identity);
        if (!(await waitForEnd(identity, 5000, clock))) throw notStopped(identity.pid);
      }
    }
    await journal.remove('child');
    return wasAlive ? identity.pid : undefined;
  }

  /** Also when the settings have become unreadable since: a lock-out must not fail for that. */
  async #containerdAddress(): Promise<string> {
    try {
      return (await this.#expectPlan()).containerdAddress;
    } catch (error) {
      const known = this.#options.journal.read('containerd-address');
      const address = this.#options.settings.containerdAddress ?? known;
      if (typeof address !== 'string') throw error;
      return address;
    }
  }

  async #expectPlan(): Promise<AgentPlan> {
    const { settings, env, nodeId } = this.#options;
    this.#plan ??= await readPlan(settings, env, nodeId);
    return this.#plan;
  }

  async #expectTokenFile(): Promise<TokenFile> {
    const { log, settings } = this.#options;
    try {
      this.#tokenFile ??= await openTokenFile(this.#tokenPath(), log);
      return this.#tokenFile;
    } catch (cause) {
      if (cause instanceof DaasError) throw cause;
      // Its exit code is that of its cause: a full tmpfs may pass.
      throw new ConfigurationError(
        'DAAS_AGENT_NO_RIGHTS',
        `the runtime directory ${settings.runtimeDir} (agent.runtimeDir) cannot be used: ${messageOf(cause)}`,
        { cause },
      );
    }
  }

  /** By node id, so that two hosts on one machine do not share it. */
  #tokenPath(): string {
    const { settings, nodeId } = this.#options;
    return join(settings.runtimeDir, nodeId, 'join-token');
  }

  #enter(state: AgentState): void {
    const from = this.#state.kind;
    this.#state = state;
    if (from !== state.kind) this.#options.emit('agent.state.changed', { from, to: state.kind });
  }
}

function pidOf(state: AgentState): number | undefined {
  return 'pid' in state ? state.pid : undefined;
}

function aborted(signal: AbortSignal, over: AbortSignal): Promise<'asked'> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve('asked');
    else signal.addEventListener('abort', () => resolve('asked'), { once: true, signal: over });
  });
}

async function endsWithin(
  ended: Promise<unknown>,
  timeoutMs: number,
  clock: Clock,
  hurry?: Promise<void>,
): Promise<boolean> {
  const done = new AbortController();
  const late = clock.sleep(timeoutMs, done.signal).then(
    () => false,
    () => false,
  );
  try {
    return await Promise.race([ended.then(() => true), late, ...(hurry ? [hurry.then(() => false)] : [])]);
  } finally {
    done.abort();
  }
}

/** The process and what is below it, except pods: a shim that still hangs below containerd is left to live, like all others. */
async function killTree({ pid, startTicks }: ProcessIdentity): Promise<number[]> {
  const all = await runningProcesses();
  const root = all.find((process) => process.pid === pid && process.startTicks === startTicks);
  if (!root) return [];
  const tree = withDescendants([root], all);
  const shims: RunningProcess[] = [];
  for (const process of tree) if (await isPodShim(process)) shims.push(process);
  const pods = new Set(withDescendants(shims, all).map((process) => process.pid));
  const killed: number[] = [];
  for (const process of tree)
    if (!pods.has(process.pid) && (await killProcess(process))) killed.push(process.pid);
  return killed;
}

function notStopped(pid: number): DaasError {
  return new DaasError(
    'DAAS_AGENT_NOT_STOPPED',
    `the k3s process ${pid} does not end, not even by SIGKILL: it hangs in the kernel; look at its state in /proc/${pid}/stack, or restart the machine`,
    { isRetryable: true, details: { pid } },
  );
}

function crashing(crashes: number, { crashBudget }: AgentSettings, run: Run): DaasError {
  const why = run.lastFatal ?? run.lastTrouble ?? run.lastDetail;
  return new DaasError(
    'DAAS_AGENT_CRASHING',
    `k3s ended ${crashes} times within ${crashBudget.windowMs} ms (agent.crashBudget) without being asked to${why ? `; last: ${why}` : ''}; its own lines in the log say why`,
    { details: { crashes } },
  );
}

/** No restart mends it, and systemd must not try either. */
function settingsRefused(words: string): ConfigurationError {
  return new ConfigurationError(
    'DAAS_AGENT_SETTINGS_REFUSED',
    `k3s ended itself because of its settings: ${words}; correct agent.args, the command line, k3s' config file or the kubelet's files`,
  );
}

function joinDeadline(joinDeadlineMs: number, nodeId: string, run: Run): DaasError {
  const why = run.lastTrouble
    ? `k3s says: ${run.lastTrouble}`
    : (run.lastFatal ?? run.lastDetail ?? 'nothing was heard of it');
  return new DaasError(
    'DAAS_JOIN_DEADLINE',
    `node '${nodeId}' did not become Ready within ${joinDeadlineMs} ms (agent.joinDeadlineMs): ${why}`,
    { exitCode: EXIT.joinDeadline, details: { joinDeadlineMs, reason: run.lastTrouble ?? run.lastDetail } },
  );
}
