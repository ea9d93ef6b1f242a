import { type Clock, Secret } from '#base';
import type { Challenge, Registration } from '#plugin';
import type { ChallengeReply, RegisterReply } from './wire.ts';

// What the gateway answers, as the plugin contract has it.

export function toChallenge(reply: ChallengeReply): Challenge {
  return {
    nonce: reply.nonce,
    gatewayId: reply.gateway_id,
    timestampMs: reply.timestamp,
    expiresAtMs: reply.expires_at,
    admissible: reply.admissible,
    reason: reply.reason ?? undefined,
  };
}

export function toRegistration(reply: RegisterReply, clock: Clock): Registration {
  return {
    nodeId: reply.node_id,
    message: reply.message,
    incarnation: reply.incarnation,
    requestId: reply.request_id,
    join: reply.join
      ? {
          server: reply.join.server,
          token: new Secret(reply.join.token),
          // By this machine's clock, which need not agree with the gateway's.
          expiresAtMs: clock.nowMs() + reply.join.expires_at - reply.timestamp,
        }
      : undefined,
    heartbeatIntervalMs: reply.heartbeat.interval_ms,
    nodeLabels: reply.node_labels,
    taints: reply.taints,
    machineEvidence: reply.evidence && [reply.evidence.kind, reply.evidence.problem ?? []].flat().join(': '),
  };
}
