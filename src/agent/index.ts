export { findBinary, readPlan } from './plan.ts';
export { AgentSettings } from './settings.ts';
export { type AgentEvents, createAgentSupervisor, type SupervisorOptions } from './supervisor.ts';
export { parseFullToken } from './token-file.ts';
