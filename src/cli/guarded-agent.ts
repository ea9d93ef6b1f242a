import { replaced } from '#agent';
import type { AgentStart, AgentSupervisor } from '#plugin';

/** The supervisor, with a check of each join credential before the agent starts with it. */
export function guardedAgent(
  agent: AgentSupervisor,
  guard: (join: NonNullable<AgentStart['join']>, signal: AbortSignal) => Promise<void>,
): AgentSupervisor {
  let starts = 0;
  return {
    state: () => agent.state(),
    runningPods: (signal) => agent.runningPods(signal),
    resourceUsage: () => agent.resourceUsage(),
    k3sVersion: () => agent.k3sVersion(),
    preflight: (signal) => agent.preflight(signal),
    nodePasswordFile: () => agent.nodePasswordFile(),
    certificatesShown: (certificates) => agent.certificatesShown(certificates),
    proveKubelet: (text) => agent.proveKubelet(text),
    async start(request, signal) {
      starts += 1;
      const own = starts;
      // Without a credential it starts on certificates that a checked server has issued.
      if (request.join) await guard(request.join, signal);
      // The agent counts the start that comes last as the newest: an older one that was checked for longer must not.
      if (own !== starts) throw replaced();
      await agent.start(request, signal);
    },
    failed: () => agent.failed(),
    clientCertificates: () => agent.clientCertificates(),
    needsCredential: (signal) => agent.needsCredential(signal),
    stop: (options) => agent.stop(options),
    stopForGood: () => agent.stopForGood(),
    [Symbol.asyncDispose]: () => agent[Symbol.asyncDispose](),
  };
}
