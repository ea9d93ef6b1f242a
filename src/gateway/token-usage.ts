import { createHash, type Hash } from 'node:crypto';
import type { Audit } from './audit.ts';
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
  /** A heartbeat that the node's key has signed for a registration which is over. */
  heardSuperseded(nodeId: string, address: string): void;
  of(nodeId: string): NodeUsage;
  /** Writes the hours that are over, or, with `isLast`, all of them. */
  flush(options?: { readonly isLast?: boolean }): void;
}

interface HeartbeatUse {
  readonly proof: string;
  readonly incarnation: number;
  readonly sequence: number;
  readonly address: string;
  readonly requestId: string;
  readonly path: string;
}

/** What is known of the last hour. */
interface NodeUsage {
  readonly registrations: number;
  /** Of the first of them. */
  readonly sinceMs: number | undefined;
  /** Of registrations and heartbeats. */
  readonly addresses: readonly string[];
  /** When a registration that is over was last used, by the node's own key. */
  readonly supersededAtMs: number | undefined;
}

export interface TokenUsageOptions {
  readonly audit: Pick<Audit, 'record'>;
  readonly nowMs: () => number;
  readonly heartbeats: 'hourly' | 'full';
}

const hourMs = 3_600_000;
const mostAddresses = 8;
const mostRegistrations = 64;

interface Hour {
  readonly hour: number;
  readonly tokenId: string;
  readonly incarnation: number;
  readonly firstSequence: number;
  lastSequence: number;
  count: number;
  readonly addresses: Set<string>;
  otherAddresses: number;
  readonly proofs: Hash;
}

interface Sightings {
  registeredAtMs: readonly number[];
  /** With when each was last seen. */
  readonly addresses: Map<string, number>;
  supersededAtMs: number | undefined;
}

export function createTokenUsage({ audit, nowMs, heartbeats }: TokenUsageOptions): TokenUsage {
  const hours = new Map<string, Hour>();
  const sightings = new Map<string, Sightings>();

  function see(nodeId: string, address: string): Sightings {
    const seen = sightings.get(nodeId) ?? {
      registeredAtMs: [],
      addresses: new Map<string, number>(),
      supersededAtMs: undefined,
    };
    sightings.set(nodeId, seen);
    seen.addresses.delete(address);
    seen.addresses.set(address, nowMs());
    for (const oldest of seen.addresses.keys()) {
      if (seen.addresses.size <= mostAddresses) break;
      seen.addresses.delete(oldest);
    }
    return seen;
  }

  function hourOf({ nodeId, tokenId }: Worker, { incarnation, sequence }: HeartbeatUse): Hour {
    const hour = Math.floor(nowMs() / hourMs);
    const known = hours.get(nodeId);
    if (known?.hour === hour && known.incarnation === incarnation && known.tokenId === tokenId) return known;
    if (known) write(nodeId, known);
    const begun = {
      hour,
      tokenId,
      incarnation,
      firstSequence: sequence,
      lastSequence: sequence,
      count: 0,
      addresses: new Set<string>(),
      otherAddresses: 0,
      proofs: createHash('sha256'),
    };
    hours.set(nodeId, begun);
    return begun;
  }

  function write(nodeId: string, hour: Hour): void {
    hours.delete(nodeId);
    audit.record('token.heartbeats', {
      node_id: nodeId,
      seal_token: hour.tokenId,
      incarnation: hour.incarnation,
      hour: new Date(hour.hour * hourMs).toISOString(),
      count: hour.count,
      first_sequence: hour.firstSequence,
      last_sequence: hour.lastSequence,
      addresses: [...hour.addresses].join(','),
      other_addresses: hour.otherAddresses || undefined,
      proofs_sha256: hour.proofs.digest('hex'),
    });
  }

  return {
    heard(worker, use) {
      see(worker.nodeId, use.address);
      if (heartbeats === 'full')
        return audit.record('token.used', {
          request_id: use.requestId,
          path: use.path,
          address: use.address,
          node_id: worker.nodeId,
          seal_token: worker.tokenId,
          incarnation: use.incarnation,
          sequence: use.sequence,
        });
      const hour = hourOf(worker, use);
      hour.count += 1;
      hour.lastSequence = use.sequence;
      if (hour.addresses.size < mostAddresses || hour.addresses.has(use.address))
        hour.addresses.add(use.address);
      else hour.otherAddresses += 1;
      hour.proofs.update(`${use.proof}\n`);
    },
    registered(nodeId, address) {
      const seen = see(nodeId, address);
      seen.registeredAtMs = [...seen.registeredAtMs, nowMs()].slice(-mostRegistrations);
    },
    heardSuperseded(nodeId, address) {
      see(nodeId, address).supersededAtMs = nowMs();
    },
    of(nodeId) {
      const seen = sightings.get(nodeId);
      const sinceMs = nowMs() - hourMs;
      const registrations = seen?.registeredAtMs.filter((atMs) => atMs > sinceMs) ?? [];
      const addresses = [...(seen?.addresses ?? [])].filter(([, atMs]) => atMs > sinceMs);
      const superseded = seen?.supersededAtMs;
      return {
        registrations: registrations.length,
        sinceMs: registrations[0],
        addresses: addresses.map(([address]) => address),
        supersededAtMs: superseded !== undefined && superseded > sinceMs ? superseded : undefined,
      };
    },
    flush({ isLast = false } = {}) {
      const hour = Math.floor(nowMs() / hourMs);
      for (const [nodeId, known] of hours) if (isLast || known.hour !== hour) write(nodeId, known);
      const sinceMs = nowMs() - hourMs;
      for (const [nodeId, { addresses }] of sightings)
        if ([...addresses.values()].every((atMs) => atMs <= sinceMs)) sightings.delete(nodeId);
    },
  };
}
