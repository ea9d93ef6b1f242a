import { dirname } from 'node:path';
import { type Clock, errorFields, type Log } from '#base';
import { makeTrustedDirectory, readTrustedText, replaceFile } from '#infrastructure';
import type { Audit } from './audit.ts';
import { bannedNames } from './authorizer-files.ts';
import type { RunnableGatewayConfig } from './config.ts';
import { type FencedPeer, fenceFile, fenceText, MOST_FENCED_PEERS, parseFenceFile } from './fence-file.ts';
import type { Registry } from './registry.ts';
import type { TokenUsage } from './token-usage.ts';
import { isAdmitted } from './worker.ts';

export interface FenceFeedOptions {
  readonly config: Pick<RunnableGatewayConfig, 'stateDir'>;
  readonly registry: Pick<Registry, 'bans' | 'worker' | 'workers'>;
  readonly usage: Pick<TokenUsage, 'of'>;
  readonly audit: Pick<Audit, 'record'>;
  readonly clock: Clock;
  readonly log: Log;
}

const lookEveryMs = 1_000;

/**
 * Keeps the file that names the peers of banned nodes: addresses of sockets that the kernel has accepted for the gateway and
 * on which the node's key has signed, never what a worker says of itself. Until the signal aborts.
 */
export async function followFence(options: FenceFeedOptions, signal: AbortSignal): Promise<void> {
  const { config, clock, log } = options;
  const path = fenceFile(config);
  makeTrustedDirectory(dirname(path), { what: 'the directory of the fence', origin: 'gateway.stateDir' });
  // A gateway that has restarted knows no addresses, and those from before count on.
  let peers = await earlierPeers(path, log);
  while (!signal.aborted) {
    try {
      peers = await look(options, path, peers);
    } catch (error) {
      log.warn('The peers of banned nodes could not be written', errorFields(error));
    }
    await clock.sleep(lookEveryMs, signal).catch(() => undefined);
  }
}

async function look(
  { registry, usage, audit, clock }: FenceFeedOptions,
  path: string,
  before: readonly FencedPeer[],
): Promise<readonly FencedPeer[]> {
  const banned = bannedNames(registry.bans().values(), (nodeId) => registry.worker(nodeId), clock.nowMs());
  if (banned.length === 0 && before.length === 0) return before;
  const addressesOf = (nodeId: string) => usage.of(nodeId).addresses;
  const live = new Set(
    registry
      .workers()
      .filter(isAdmitted)
      .flatMap(({ nodeId }) => addressesOf(nodeId)),
  );
  const { peers, shared } = peersToFence({ banned, before, addressesOf, live });
  const text = fenceText(peers);
  if (text === fenceText(before)) return before;
  await replaceFile(path, text, 0o644);
  const known = new Set(before.map(keyOf));
  for (const peer of peers)
    if (!known.has(keyOf(peer))) audit.record('fence.peer', { node_id: peer.nodeId, address: peer.address });
  for (const peer of shared) audit.record('fence.shared', { node_id: peer.nodeId, address: peer.address });
  return peers;
}

const keyOf = ({ nodeId, address }: FencedPeer) => `${nodeId} ${address}`;

/**
 * Which peers to keep out: those of the banned names, known before or seen within the hour. An address from which an admitted
 * node connects too is left open, since the fence cannot tell two machines behind one NAT apart. Pure.
 */
export function peersToFence({
  banned,
  before,
  addressesOf,
  live,
}: {
  readonly banned: readonly string[];
  readonly before: readonly FencedPeer[];
  readonly addressesOf: (nodeId: string) => readonly string[];
  readonly live: ReadonlySet<string>;
}): { readonly peers: readonly FencedPeer[]; readonly shared: readonly FencedPeer[] } {
  const names = new Set(banned);
  const kept = before.filter(({ nodeId }) => names.has(nodeId));
  const seen = banned.flatMap((nodeId) =>
    addressesOf(nodeId).map((address) => ({ nodeId, address: plainAddress(address) })),
  );
  const all = [...new Map([...kept, ...seen].map((peer) => [keyOf(peer), peer])).values()];
  const isShared = ({ address }: FencedPeer) => live.has(address) || live.has(`::ffff:${address}`);
  return {
    // The latest, where there are too many.
    peers: all.filter((peer) => !isShared(peer)).slice(-MOST_FENCED_PEERS),
    shared: all.filter(isShared),
  };
}

/** A listener for both families calls an IPv4 peer `::ffff:192.0.2.1`; the firewall does not. */
const plainAddress = (address: string) => address.replace(/^::ffff:(?=\d+\.)/, '');

async function earlierPeers(path: string, log: Log): Promise<readonly FencedPeer[]> {
  try {
    return parseFenceFile(
      await readTrustedText(path, { what: 'the peers of banned nodes', origin: 'gateway.stateDir' }),
    );
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT'))
      log.warn('The peers of banned nodes from before cannot be read', errorFields(error));
    return [];
  }
}
