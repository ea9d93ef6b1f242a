import { join } from 'node:path';
import { z } from 'zod';
import { isNodeId } from '#domain';
import type { RunnableGatewayConfig } from './config.ts';
import { peerAddress } from './peer-address.ts';

/** An address from which a banned node has connected. */
export interface FencedPeer {
  readonly nodeId: string;
  readonly address: string;
}

/** An address of a banned node that is not fenced. */
export interface SharedPeer extends FencedPeer {
  /** Who has it too: `node NAME`, `gateway.server`, `the gateway`. */
  readonly sharedWith: string;
}

/** What the gateway tells the servers. */
export interface FenceOrders {
  readonly peers: readonly FencedPeer[];
  readonly shared: readonly SharedPeer[];
}

export const noFence: FenceOrders = { peers: [], shared: [] };

/** What one server can be asked to keep out. */
export const MOST_FENCED_PEERS = 4_096;

/** Where the gateway writes whom the servers keep out. */
export const fenceFile = ({ stateDir }: Pick<RunnableGatewayConfig, 'stateDir'>): string =>
  join(stateDir, 'fence', 'peers.json');

const Peer = z.object({ nodeId: z.string(), address: z.string() });
const FenceFile = z.strictObject({
  peers: z.array(Peer).max(MOST_FENCED_PEERS),
  shared: z
    .array(Peer.extend({ sharedWith: z.string().regex(/^[\x20-\x7e]{1,300}$/) }))
    .max(MOST_FENCED_PEERS)
    .default([]),
});

/**
 * Reads the file. What is no address or no node id is left out and counted: one bad entry must not keep the others from being
 * fenced. Throws an Error for anything else that `followFence` does not write.
 */
export function parseFenceFile(text: string): FenceOrders & { readonly unusable: number } {
  const { peers, shared } = FenceFile.parse(JSON.parse(text));
  const usable = peers.flatMap(usablePeer);
  return { peers: usable, shared: shared.flatMap(usablePeer), unusable: peers.length - usable.length };
}

function usablePeer<T extends FencedPeer>(peer: T): readonly T[] {
  const address = peerAddress(peer.address);
  return address !== undefined && isNodeId(peer.nodeId) ? [{ ...peer, address }] : [];
}

export const fenceText = ({ peers, shared }: FenceOrders): string => `${JSON.stringify({ peers, shared })}\n`;
