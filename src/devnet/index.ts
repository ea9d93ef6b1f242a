/**
 * The development chain: Sui's gRPC-web protocol on the SDK's own message types, with its state in memory.
 *
 * Published packages run as bytecode on a Move machine of our own (`move/`), over a part of Sui's framework that is
 * native here; a call of anything else of the framework ends in `FeatureNotYetSupported`. Not there at all: consensus,
 * a bytecode verifier, upgrades, receiving objects, balances of addresses, dynamic object fields, zkLogin, pruning.
 */
export { type Devnet, type DevnetOptions, startDevnet } from './devnet.ts';
export type { GivenCoin } from './faucet.ts';
export type { Middleware } from './grpc-web.ts';
export { RpcStatus } from './rpc-error.ts';
