import { isIP } from 'node:net';
import { join } from 'node:path';
import { z } from 'zod';
import { isNodeId } from '#domain';
import type { RunnableGatewayConfig } from './config.ts';

/** An address from which a banned node has connected. */
export interface FencedPeer {
  readonly nodeId: string;
  readonly address: string;
}

/** What one server can be asked to keep out. */
export const MOST_FENCED_PEERS = 4_096;

/** Where the gateway writes whom the servers keep out. */
export const fenceFile = ({ stateDir }: Pick<RunnableGatewayConfig, 'stateDir'>): string =>
  join(stateDir, 'fence', 'peers.json');

const FenceFile = z.strictObject({
  peers: z
    .array(
      z.strictObject({
        nodeId: z.string().refine(isNodeId),
        address: z.string().refine((text) => isIP(text) !== 0),
      }),
    )
    .max(MOST_FENCED_PEERS),
});

/** Reads the file; throws an Error for anything that `followFence` does not write. */
export function parseFenceFile(text: string): readonly FencedPeer[] {
  return FenceFile.parse(JSON.parse(text)).peers;
}

export const fenceText = (peers: readonly FencedPeer[]): string => `${JSON.stringify({ peers })}\n`;
