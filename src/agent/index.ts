export type { AgentEvents, SupervisorOptions } from './agent-context.ts';
export { inspectAgent } from './agent-plan.ts';
export { replaced } from './agent-run.ts';
export { k3sAgentHelp } from './k3s-help.ts';
export { parseK3sYaml } from './k3s-yaml.ts';
export { nodeReadiness, readOwnNode } from './readiness.ts';
export { AgentSettings } from './settings.ts';
export { createAgentSupervisor } from './supervisor.ts';
export { parseFullToken } from './token-file.ts';
