export { parseK3sYaml } from './k3s-yaml.ts';
export { inspectAgent } from './plan.ts';
export { AgentSettings } from './settings.ts';
export { type AgentEvents, createAgentSupervisor, type SupervisorOptions } from './supervisor.ts';
export { parseFullToken } from './token-file.ts';
