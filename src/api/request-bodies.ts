import type { HeartbeatRequest, RegisterRequest } from '#plugin';
import type { HeartbeatBody, RegisterBody } from './wire.ts';

export function registerBody(nodeId: string, timestamp: number, request: RegisterRequest): RegisterBody {
  return {
    node_id: nodeId,
    timestamp,
    node_password_hash: request.nodePasswordHash,
    host: { ...request.host },
  };
}

export function heartbeatBody(nodeId: string, timestamp: number, request: HeartbeatRequest): HeartbeatBody {
  const { cpuPercent, memoryPercent, diskPercent } = request.resourceUsage;
  return {
    node_id: nodeId,
    timestamp,
    stake_status: request.stakeStatus,
    stake_amount: request.stakeMist.toString(),
    agent_state: request.agentState,
    running_pods: request.runningPods ?? null,
    resource_usage: {
      cpu_percent: percent(cpuPercent),
      memory_percent: percent(memoryPercent),
      disk_percent: percent(diskPercent),
    },
  };
}

/** A figure that is not a number must not prevent the heartbeat. */
function percent(value: number): number {
  return Number.isFinite(value) ? Math.min(100, Math.max(0, Math.round(value * 10) / 10)) : 0;
}
