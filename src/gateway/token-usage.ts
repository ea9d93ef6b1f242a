import { forgetOldest } from '#base';
import type { Audit } from './audit.ts';
import { createHeartbeatHours, type HeartbeatUse, HOUR_MS, MOST_ADDRESSES } from './heartbeat-hours.ts';
import { createPeerUses } from './peer-uses.ts';
import type { Worker } from './worker.ts';

/**
 * What the uses of Seal tokens leave behind: a line for every node and hour about its heartbeats, or one for each, and in
 * memory from where and how often a node has registered lately.
 */
export interface TokenUsage {
  /** An accepted heartbeat. */
  heard(worker: Worker, use: HeartbeatUse): void;
  /** A registration that was admitted. */
  registered(nodeId: string, origin: Origin): void;
  /** A heartbeat that the node's key has signed for a registration that is over. */
  heardSuperseded(nodeId: string, origin: Origin): void;
  of(nodeId: string): NodeUsage;
  /** Addresses from which the node has connected in the last hour, as a firewall takes them. */
  peersOf(nodeId: string): readonly string[];
  /** Nodes that have connected from this address in the last hour. */
  usersOf(peer: string): readonly string[];
  /** Told of each address from which a node had not connected before. */
  onNewPeer(listener: (nodeId: string, peer: string) => void): void;
  /** Writes some of the hours that are over, or, with `isLast`, of all of them. Whether some are left. */
  flush(options?: { readonly isLast?: boolean }): boolean;
}

/** Where a request came from: `ProvenRequest`. */
type Origin = Pick<HeartbeatUse, 'address' | 'peer'>;

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
/** It looks at every node. */
const forgetEveryMs = 60_000;

export function createTokenUsage({ audit, nowMs, heartbeats }: TokenUsageOptions): TokenUsage {
  const hours = createHeartbeatHours(audit);
  const uses = new Map<string, Uses>();
  const peers = createPeerUses();
  const use = (nodeId: string, { address, peer }: Origin) => {
    const atMs = nowMs();
    if (peer !== undefined) peers.note(nodeId, peer, atMs);
    return noteUse(uses, { nodeId, address, atMs });
  };
  const anHourAgoMs = () => nowMs() - HOUR_MS;
  let forgottenAtMs = nowMs();
  const hourNow = () => Math.floor(nowMs() / HOUR_MS);
  return {
    heard(worker, heartbeat) {
      use(worker.nodeId, heartbeat);
      if (heartbeats === 'full') recordHeartbeat(audit, worker, heartbeat);
      else hours.count(hourNow(), worker, heartbeat);
    },
    registered(nodeId, origin) {
      const own = use(nodeId, origin);
      own.registeredAtMs = [...own.registeredAtMs, nowMs()].slice(-mostRegistrations);
    },
    heardSuperseded(nodeId, origin) {
      use(nodeId, origin).supersededAtMs = nowMs();
    },
    of: (nodeId) => usageSince(uses.get(nodeId), anHourAgoMs()),
    peersOf: (nodeId) => peers.of(nodeId, anHourAgoMs()),
    usersOf: (peer) => peers.usersOf(peer, anHourAgoMs()),
    onNewPeer: (listener) => peers.onNew(listener),
    flush({ isLast = false } = {}) {
      if (nowMs() - forgottenAtMs >= forgetEveryMs) {
        forgottenAtMs = nowMs();
        forgetUnused(uses, anHourAgoMs());
        peers.forget(anHourAgoMs());
      }
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
