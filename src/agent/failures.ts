import { ConfigurationError, DaasError, EXIT } from '#base';
import type { AgentRun } from './agent-run.ts';
import type { AgentSettings } from './settings.ts';

export function crashing(crashes: number, { crashBudget }: AgentSettings, run: AgentRun): DaasError {
  const why = run.lastFatal ?? run.lastTrouble ?? run.lastDetail;
  return new DaasError(
    'DAAS_AGENT_CRASHING',
    `k3s ended ${crashes} times within ${crashBudget.windowMs} ms (agent.crashBudget) without being asked to${why ? `; last: ${why}` : ''}; its own lines in the log say why`,
    { details: { crashes } },
  );
}

/** A restart does not help, so systemd must not try one either. */
export function settingsRefused(words: string): ConfigurationError {
  return new ConfigurationError(
    'DAAS_AGENT_SETTINGS_REFUSED',
    `k3s ended itself because of its settings: ${words}; correct agent.args, the command line, k3s' config file or the kubelet's files`,
  );
}

export function joinDeadline(joinDeadlineMs: number, nodeId: string, run: AgentRun): DaasError {
  const why = run.lastTrouble
    ? `k3s says: ${run.lastTrouble}`
    : (run.lastFatal ?? run.lastDetail ?? 'nothing was heard of it');
  return new DaasError(
    'DAAS_JOIN_DEADLINE',
    `node '${nodeId}' did not become Ready within ${joinDeadlineMs} ms (agent.joinDeadlineMs): ${why}`,
    { exitCode: EXIT.joinDeadline, details: { joinDeadlineMs, reason: run.lastTrouble ?? run.lastDetail } },
  );
}

export function notStopped(pid: number): DaasError {
  return new DaasError(
    'DAAS_AGENT_NOT_STOPPED',
    `the k3s process ${pid} does not end, not even by SIGKILL: it hangs in the kernel; look at its state in /proc/${pid}/stack, or restart the machine`,
    { isRetryable: true, details: { pid } },
  );
}
