import { forgetOldest } from '#base';
import type { Audit } from './audit.ts';
import { createHeartbeatHours, type HeartbeatUse, HOUR_MS, MOST_ADDRESSES } from './heartbeat-hours.ts';
import type { Worker } from './worker.ts';

/**
 * What the uses of Seal tokens leave behind: a line for every node and hour about its heartbeats, or one for each, and in
 * memory from where and how often a node has registered lately.
 */
export interface TokenUsage {
  /** An accepted heartbeat. */
  heard(worker: Worker, use: HeartbeatUse): void;
  /** A registration that was admitted. */
  registered(nodeId: string, address: string): void;
  /** A heartbeat that the node's key has signed for a registration that is over. */
  heardSuperseded(nodeId: string, address: string): void;
  of(nodeId: string): NodeUsage;
  /** Writes some of the hours that are over, or, with `isLast`, of all of them. Whether some are left. */
  flush(options?: { readonly isLast?: boolean }): boolean;
}

/** The last hour of a node. */
interface NodeUsage {
  readonly registrations: number;
  /** When the first of them was. */
  readonly sinceMs: number | undefined;
  /** Of registrations and heartbeats. */
  readonly addresses: readonly string[];
  /** When the node's own key was last used for a registration that is over. */
  readonly supersededAtMs: number | undefined;
}

export interface TokenUsageOptions {
  readonly audit: Pick<Audit, 'record'>;
  readonly nowMs: () => number;
  readonly heartbeats: 'hourly' | 'full';
}

interface Uses {
  registeredAtMs: readonly number[];
  /** With the time of the last use from each; the one longest unused first. */
  readonly addresses: Map<string, number>;
  supersededAtMs: number | undefined;
}

const mostRegistrations = 64;

export function createTokenUsage({ audit, nowMs, heartbeats }: TokenUsageOptions): TokenUsage {
  const hours = createHeartbeatHours(audit);
  const uses = new Map<string, Uses>();
  const use = (nodeId: string, address: string) => noteUse(uses, { nodeId, address, atMs: nowMs() });
  const hourNow = () => Math.floor(nowMs() / HOUR_MS);
  return {
    heard(worker, heartbeat) {
      use(worker.nodeId, heartbeat.address);
      if (heartbeats === 'full') recordHeartbeat(audit, worker, heartbeat);
      else hours.count(hourNow(), worker, heartbeat);
    },
    registered(nodeId, address) {
      const own = use(nodeId, address);
      own.registeredAtMs = [...own.registeredAtMs, nowMs()].slice(-mostRegistrations);
    },
    heardSuperseded(nodeId, address) {
      use(nodeId, address).supersededAtMs = nowMs();
    },
    of: (nodeId) => usageSince(uses.get(nodeId), nowMs() - HOUR_MS),
    flush({ isLast = false } = {}) {
      forgetUnused(uses, nowMs() - HOUR_MS);
      return hours.flush(isLast ? undefined : hourNow());
    },
  };
}

function noteUse(
  uses: Map<string, Uses>,
  { nodeId, address, atMs }: { readonly nodeId: string; readonly address: string; readonly atMs: number },
): Uses {
  const own = uses.get(nodeId) ?? {
    registeredAtMs: [],
    addresses: new Map<string, number>(),
    supersededAtMs: undefined,
  };
  uses.set(nodeId, own);
  own.addresses.delete(address);
  own.addresses.set(address, atMs);
  forgetOldest(own.addresses, MOST_ADDRESSES);
  return own;
}

function usageSince(own: Uses | undefined, sinceMs: number): NodeUsage {
  const registrations = own?.registeredAtMs.filter((atMs) => atMs > sinceMs) ?? [];
  const addresses = [...(own?.addresses ?? [])].filter(([, atMs]) => atMs > sinceMs);
  const superseded = own?.supersededAtMs;
  return {
    registrations: registrations.length,
    sinceMs: registrations[0],
    addresses: addresses.map(([address]) => address),
    supersededAtMs: superseded !== undefined && superseded > sinceMs ? superseded : undefined,
  };
}

function forgetUnused(uses: Map<string, Uses>, sinceMs: number): void {
  for (const [nodeId, { addresses }] of uses)
    if ([...addresses.values()].every((atMs) => atMs <= sinceMs)) uses.delete(nodeId);
}

function recordHeartbeat(
  audit: Pick<Audit, 'record'>,
  { nodeId, tokenId }: Worker,
  { requestId, path, address, incarnation, sequence }: HeartbeatUse,
): void {
  audit.record('token.used', {
    request_id: requestId,
    path,
    address,
    node_id: nodeId,
    seal_token: tokenId,
    incarnation,
    sequence,
  });
}
