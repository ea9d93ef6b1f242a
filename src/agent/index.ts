export { AgentSettings } from './settings.ts';
export { type AgentEvents, createAgentSupervisor, type SupervisorOptions } from './supervisor.ts';
export { deadToken, type FullToken, parseFullToken } from './token-file.ts';
