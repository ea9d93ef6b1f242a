import type { ServerGuard } from '#api';
import type { ChainClient } from '#chain';
import { GatewayConnector, NodeIdentity, StakeChain, type Token, token } from '#plugin';
import type { ProofSigner } from '#seal';

/** The connection to the full nodes, with which `StakeChain` reads and writes. */
export const ChainAccess: Token<ChainClient> = token('agent/chain-access');
/** The node's key. Plugins see a part of it as `NodeIdentity`, which signs nothing. */
export const NodeSigner: Token<NodeIdentity & ProofSigner> = token('agent/node-signer');
/** Checks the server of a join credential before the agent starts with it. */
export const JoinGuard: Token<ServerGuard> = token('agent/join-guard');

/** What this program offers to plugins besides the host's own services. */
export const offers = [StakeChain, NodeIdentity, GatewayConnector] as const;
