import { createHash, type Hash } from 'node:crypto';
import type { Audit } from './audit.ts';
import type { Worker } from './worker.ts';

/** One audit line for each node and hour about its heartbeats. */
export interface HeartbeatHours {
  count(hour: number, worker: Worker, heartbeat: HeartbeatUse): void;
  /** Writes hours before this one, without one of all, and at most `MOST_HOURS_AT_ONCE`. Whether some are left. */
  flush(hourNow: number | undefined): boolean;
}

export interface HeartbeatUse {
  readonly proof: string;
  readonly incarnation: number;
  readonly sequence: number;
  readonly address: string;
  /** `ProvenRequest.peer` */
  readonly peer: string | undefined;
  readonly requestId: string;
  readonly path: string;
}

interface Hour {
  readonly hour: number;
  readonly tokenId: string;
  readonly incarnation: number;
  readonly firstSequence: number;
  lastSequence: number;
  count: number;
  readonly addresses: Set<string>;
  otherAddresses: number;
  /** Over the proofs as they came. */
  readonly proofs: Hash;
}

export const HOUR_MS = 3_600_000;
/**
 * The audit file drops what waits beyond its limit (`mostWaiting`), and the hour ends for all nodes at the same moment: more
 * lines than this at once would be lost in a large cluster.
 */
export const MOST_HOURS_AT_ONCE = 1_000;
/** Addresses of a node that are named; further ones are counted. */
export const MOST_ADDRESSES = 8;

export function createHeartbeatHours(audit: Pick<Audit, 'record'>): HeartbeatHours {
  const hours = new Map<string, Hour>();

  function write(nodeId: string, hour: Hour): void {
    hours.delete(nodeId);
    audit.record('token.heartbeats', {
      node_id: nodeId,
      seal_token: hour.tokenId,
      incarnation: hour.incarnation,
      hour: new Date(hour.hour * HOUR_MS).toISOString(),
      count: hour.count,
      first_sequence: hour.firstSequence,
      last_sequence: hour.lastSequence,
      addresses: [...hour.addresses].join(','),
      other_addresses: hour.otherAddresses || undefined,
      proofs_sha256: hour.proofs.digest('hex'),
    });
  }

  return {
    count(hour, { nodeId, tokenId }, heartbeat) {
      const known = hours.get(nodeId);
      const isSame = known?.hour === hour && known.incarnation === heartbeat.incarnation;
      if (isSame && known.tokenId === tokenId) return add(known, heartbeat);
      if (known) write(nodeId, known);
      const begun = beginHour(hour, tokenId, heartbeat);
      hours.set(nodeId, begun);
      add(begun, heartbeat);
    },
    flush(hourNow) {
      let left = MOST_HOURS_AT_ONCE;
      for (const [nodeId, known] of hours) {
        if (known.hour === hourNow) continue;
        if (left === 0) return true;
        left -= 1;
        write(nodeId, known);
      }
      return false;
    },
  };
}

function beginHour(hour: number, tokenId: string, { incarnation, sequence }: HeartbeatUse): Hour {
  return {
    hour,
    tokenId,
    incarnation,
    firstSequence: sequence,
    lastSequence: sequence,
    count: 0,
    addresses: new Set(),
    otherAddresses: 0,
    proofs: createHash('sha256'),
  };
}

function add(hour: Hour, { sequence, address, proof }: HeartbeatUse): void {
  hour.count += 1;
  hour.lastSequence = sequence;
  if (hour.addresses.size < MOST_ADDRESSES || hour.addresses.has(address)) hour.addresses.add(address);
  else hour.otherAddresses += 1;
  hour.proofs.update(`${proof}\n`);
}
