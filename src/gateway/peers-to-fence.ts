import { type FencedPeer, type FenceOrders, MOST_FENCED_PEERS, type SharedPeer } from './fence-file.ts';
import { peerAddress } from './peer-address.ts';

export interface FenceSight {
  /** Names of banned nodes. */
  readonly banned: readonly string[];
  /** What was fenced before; a gateway that has restarted knows no addresses. */
  readonly before: FenceOrders;
  /** Addresses from which a node has connected within the hour. */
  readonly peersOf: (nodeId: string) => readonly string[];
  /** Who that is not banned has an address too, such as `node worker-1`. */
  readonly sharerOf: (address: string) => string | undefined;
}

/**
 * Which peers to keep out: those of the banned names, known before or seen within the hour. An address that a node which is not
 * banned, or a server, has too is left open: the fence cannot tell two machines behind one address apart, and a slashed worker
 * could have an honest node cut off otherwise. Pure.
 */
export function peersToFence({ banned, before, peersOf, sharerOf }: FenceSight): FenceOrders {
  const names = new Set(banned);
  const kept = [...before.peers, ...before.shared].filter(({ nodeId }) => names.has(nodeId));
  const seen = banned.flatMap((nodeId) => peersOf(nodeId).map((address) => ({ nodeId, address })));
  const all = new Map<string, FencedPeer>();
  for (const { nodeId, address: given } of [...kept, ...seen]) {
    const address = peerAddress(given);
    if (address !== undefined) all.set(peerKey({ nodeId, address }), { nodeId, address });
  }
  const peers: FencedPeer[] = [];
  const shared: SharedPeer[] = [];
  for (const peer of all.values()) {
    const sharedWith = sharerOf(peer.address);
    if (sharedWith === undefined) peers.push(peer);
    else shared.push({ ...peer, sharedWith });
  }
  // The latest, where there are too many.
  return { peers: peers.slice(-MOST_FENCED_PEERS), shared: shared.slice(-MOST_FENCED_PEERS) };
}

export const peerKey = ({ nodeId, address }: FencedPeer): string => `${nodeId} ${address}`;
