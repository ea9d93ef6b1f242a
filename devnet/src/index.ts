/**
 * The dev chain: Sui's gRPC-web protocol on the SDK's own message types, with its state in memory.
 *
 * Published packages run as bytecode on a Move machine of its own (`move/`), over the part of Sui's framework that is native
 * here; a call of any other framework function ends in `FeatureNotYetSupported`. The README lists what is not there.
 */
export type { Clock } from './clock.ts';
export type { ChainControl, ChainStatus } from './control.ts';
export { type Devnet, type DevnetOptions, startDevnet } from './devnet.ts';
export { DevnetError, type DevnetErrorCode } from './errors.ts';
export type { GivenCoin } from './faucet.ts';
export type { Middleware } from './grpc-web.ts';
export { type Lies, type LyingNode, startLyingNode } from './lying-node.ts';
export { RpcStatus } from './rpc-error.ts';
