import type { Clock } from '#base';
import type { StateEngine } from '#domain';
import { type EtcdAccess, openEtcdClient } from './etcd-client.ts';
import { openEtcdEngine } from './etcd-engine.ts';
import { type EtcdLeadership, standInEtcd } from './etcd-leadership.ts';

export interface EtcdStateOptions extends EtcdAccess {
  readonly prefix: string;
  /** This gateway, for the others. */
  readonly name: string;
  readonly leaseSeconds: number;
  readonly clock: Clock;
  /** False: it only reads, and never leads. True unless given. */
  readonly isCandidate?: boolean;
}

export interface EtcdState {
  /** Disposing of it hands the leadership over. */
  readonly engine: StateEngine;
  readonly leadership: EtcdLeadership;
}

/** Opens the state of a cluster, and stands for election at once, unless it only reads. */
export async function openEtcdState(options: EtcdStateOptions): Promise<EtcdState> {
  const { prefix, name, leaseSeconds, clock, isCandidate } = options;
  const client = await openEtcdClient(options);
  const leadership = standInEtcd({ client, key: `${prefix}/leader`, name, leaseSeconds, clock, isCandidate });
  return { engine: openEtcdEngine({ client, prefix, leadership, clock }), leadership };
}
