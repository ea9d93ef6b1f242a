import type { LogFields } from '#base';
import type { AgentSupervisor } from '#plugin';

export const forever = new AbortController().signal;
export const pidOf = (supervisor: AgentSupervisor): number => {
  const state = supervisor.state();
  if (!('pid' in state)) throw new Error(`no process while ${state.kind}`);
  return state.pid;
};

export const fieldsOfK3s = ({ k3s }: LogFields) => (k3s ?? {}) as Readonly<Record<string, string>>;
